"""Endpoints and groups of the namespace tap over real sockets; the host's network as it is to be inside."""

import errno
import socket
import struct

import pytest

from hark.system import netlink
from hark.system.netlink import attribute, attributes
from hark.tap.namespace import host
from hark.tap.tun import network, udp
from hark.tap.tun.device import Device
from hark.tap.tun.network import Address, Link, Network
from hark.wire import ip

DEVICE = Device(-1, 0, Link(0, "hark0", bytes(6)), True)
HOME = {4: ip.packed("127.0.0.1"), 6: ip.packed("::1")}
ROUTER = {4: ip.packed("198.18.104.254"), 6: ip.packed("2001:db8::fe")}


def peer(version: int) -> socket.socket:
    """A socket for an endpoint to speak with."""
    made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind((ip.text(HOME[version]), 0))
    made.settimeout(2)
    return made


def free(version: int) -> int:
    """A port that nobody has."""
    with peer(version) as probe:
        return int(probe.getsockname()[1])


def waited(endpoint: udp.Udp) -> bytes:
    """What the endpoint gets next."""
    endpoint.sock.settimeout(2)
    try:
        return endpoint.receive()
    finally:
        endpoint.sock.settimeout(0)


def sent(version: int, port: int, to: int, payload: bytes, ttl: int = 64) -> bytes:
    """A program's packet."""
    return ip.udp_packet(HOME[version], HOME[version], port, to, payload, ttl)


@pytest.mark.parametrize("version", [4, 6])
def test_one_port_for_all_peers_and_from_any_of_them(version: int) -> None:
    port = free(version)
    endpoint = udp.Udp((HOME[version], port), DEVICE, False)
    seen = set()
    with peer(version) as one, peer(version) as other:
        for there in (one, other, one):
            to = there.getsockname()[1]
            endpoint.aim((HOME[version], to), False)
            assert not endpoint.send(b"question", sent(version, port, to, b"question"), ROUTER[version])
            data, name = there.recvfrom(100)
            seen.add(name[1])
            assert data == b"question"
        assert seen == {port}  # the very port of the program, for it was free
        other.sendto(b"answer", name)
        packet = ip.parse(got := waited(endpoint))
        assert packet is not None and packet.src == HOME[version] and packet.dst == HOME[version]
        assert struct.unpack_from("!HH", got, packet.start) == (other.getsockname()[1], port)
        assert got[packet.start + 8 :] == b"answer"
    endpoint.close()


@pytest.mark.parametrize("version", [4, 6])
def test_a_port_that_is_taken_gives_way(version: int) -> None:
    with peer(version) as there:
        taken = there.getsockname()[1]
        endpoint = udp.Udp((HOME[version], taken), DEVICE, False)
        assert endpoint.sock.getsockname()[1] != taken
        endpoint.close()
        nowhere = ip.packed("203.0.113.7" if version == 4 else "2001:db8::7")
        endpoint = udp.Udp((nowhere, taken), DEVICE, False)  # an address that the host no longer has
        assert not endpoint.sock.getsockname()[0].strip(".:0")
        endpoint.close()


@pytest.mark.parametrize("version", [4, 6])
def test_an_error_comes_as_the_icmp_that_it_was_and_names_its_datagram(version: int) -> None:
    port, closed = free(version), free(version)
    endpoint = udp.Udp((HOME[version], port), DEVICE, False)
    endpoint.aim((HOME[version], closed), False)
    assert not endpoint.send(b"lost", sent(version, port, closed, b"lost"), ROUTER[version])
    with peer(version) as there:
        to = there.getsockname()[1]
        endpoint.aim((HOME[version], to), False)
        told = list(endpoint.send(b"kept", sent(version, port, to, b"kept"), ROUTER[version]))
        assert there.recv(100) == b"kept"  # another peer's error loses nothing
        told += endpoint.errors(ROUTER[version])
    assert len(told) == 1
    packet = ip.parse(told[0])
    assert packet is not None and packet.src == HOME[version] and packet.dst == HOME[version]
    assert tuple(told[0][packet.start : packet.start + 2]) == ((3, 3) if version == 4 else (1, 4))
    quoted = told[0][packet.start + 8 :]
    inner = ip.parse(quoted)
    assert inner is not None and struct.unpack_from("!HH", quoted, inner.start) == (port, closed)
    assert quoted.endswith(b"lost")
    with pytest.raises(BlockingIOError):
        endpoint.receive()
    endpoint.close()


@pytest.mark.parametrize("version", [4, 6])
def test_ttl_and_tos_are_the_packets(version: int) -> None:
    port = free(version)
    endpoint = udp.Udp((HOME[version], port), DEVICE, False)
    level = socket.IPPROTO_IP if version == 4 else socket.IPPROTO_IPV6
    with peer(version) as there:
        for option in (12, socket.IP_RECVTOS) if version == 4 else (socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS):
            there.setsockopt(level, option, 1)
        to = there.getsockname()[1]
        endpoint.aim((HOME[version], to), False)
        for ttl, tos in ((64, 0), (9, 0xB8), (9, 2), (255, 0), (64, 0)):
            data = bytearray(sent(version, port, to, b"x", ttl))
            data[0], data[1] = (0x45, tos) if version == 4 else (0x60 | tos >> 4, (tos & 15) << 4)
            assert not endpoint.send(b"x", bytes(data), ROUTER[version])
            _, notes, _, _ = there.recvmsg(10, 100)
            assert sorted(note[0] for _, _, note in notes) == sorted((ttl, tos))
    endpoint.close()


def test_what_cannot_go_is_told_at_once() -> None:
    endpoint = udp.Udp((HOME[4], free(4)), DEVICE, False)
    endpoint.aim((ip.packed("192.0.2.1"), 9), False)
    data = ip.udp_packet(HOME[4], ip.packed("192.0.2.1"), 1, 9, b"x")
    told = endpoint.send(b"x", data, ROUTER[4])  # from a loopback source there is no way out
    assert len(told) == 1
    assert told[0][20] == 3
    endpoint.close()


def test_a_group_is_heard_with_the_ttl_that_it_was_sent_with() -> None:
    group, port = ip.packed("239.255.77.1"), free(4)
    lo = Device(-1, 0, Link(1, "lo", bytes(6)), True)
    heard = udp.Heard((group, port), lo)
    with peer(4) as there:
        there.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        there.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 5)
        try:
            there.sendto(b"hello", ("239.255.77.1", port))
        except OSError as error:
            assert error.errno == errno.ENETUNREACH
            pytest.skip("no way to a group here")
        heard.sock.settimeout(2)
        assert heard.receive() == ((HOME[4], there.getsockname()[1]), b"hello", 5)
    heard.close()


@pytest.mark.parametrize(
    "text, index",
    [
        ("10.0.0.1", None),
        ("2001:db8::1", 0),
        ("fe80::1", 7),
        ("febf::1", 7),
        ("fec0::1", 0),
        ("ff02::1", 7),
        ("ff05::1", 0),
    ],
)
def test_link_local_addresses_name_their_interface(text: str, index: int | None) -> None:
    found = udp.sockaddr((ip.packed(text), 53), Device(-1, 0, Link(7, "eth0", bytes(6)), True))
    assert found == ((text, 53) if index is None else (text, 53, 0, index))


# -- the host's network ----------------------------------------------------------------------------------------------


def address(text: str, ifindex: int = 2, flags: int = 0, scope: int = 0, deprecated: bool = False) -> Address:
    packed = ip.packed(text)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return Address(family, 64, flags, scope, ifindex, packed, packed, b"", b"", deprecated)


def test_stable_neighbours_of_a_temporary_address_are_marked() -> None:
    stable = address("2001:db8:1::1", flags=0x100)
    manual, other = address("2001:db8:1::5"), address("2001:db8:2::1", flags=0x100)
    temporary = address("2001:db8:1::9", flags=0x01)
    made = host._without_stable([stable, manual, other, temporary])
    assert [found.deprecated for found in made] == [True, False, False, False]
    assert not any(
        found.deprecated for found in host._without_stable([stable, temporary._replace(deprecated=True)])[:1]
    )


def route(kind: int = 1, table: int = 254, flags: int = 0, **attrs: bytes) -> bytes:
    numbers = {
        "to": 1,
        "oif": 4,
        "gateway": 5,
        "multipath": 9,
        "cacheinfo": 12,
        "table": 15,
        "encap": 22,
        "nexthop": 30,
    }
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 24 if "to" in attrs else 0, 0, 0, table & 0xFF, 4, 0, kind, flags)
    return head + b"".join(attribute(numbers[name], value) for name, value in attrs.items())


OIF = struct.pack("=I", 2)


@pytest.mark.parametrize(
    "body, kept",
    [
        (route(oif=OIF), True),
        (route(oif=OIF, gateway=b"\x0a\0\0\1", to=b"\x0a\1\0\0"), True),
        (route(oif=struct.pack("=I", 9)), False),  # an interface that is not mirrored
        (route(table=255, oif=OIF), False),  # the kernel makes those by itself
        (route(flags=0x200, oif=OIF), False),  # a cached one
        (route(kind=2, oif=OIF), False),
        (route(kind=7, to=b"\x0a\1\0\0"), True),
        (route(oif=OIF, table=0) + attribute(15, struct.pack("=I", host.TABLE)), False),  # hark's own
    ],
)
def test_which_routes_are_made(body: bytes, kept: bool) -> None:
    made = host._route(body, {1, 2})
    assert bool(made) == kept
    if kept:
        assert not {12, 22, 30} & set(attributes(made, 12))
        assert struct.unpack("=I", attributes(made, 12)[15])[0] == 254


def rule(priority: int, table: int, **attrs: bytes) -> bytes:
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table if table < 256 else 0, 0, 0, 1, 1)
    body = head + attribute(6, struct.pack("=I", priority)) + attribute(15, struct.pack("=I", table))
    return body + b"".join(attribute(20, value) for value in attrs.values())


@pytest.mark.parametrize(
    "body, kept",
    [
        (rule(0, 255), False),
        (rule(32766, 254), False),
        (rule(32767, 253), False),
        (rule(5000, 254), True),
        (rule(100, 51820), True),
        (rule(0, host.TABLE), False),
        (rule(0, host.LAST_TABLE), False),
        (rule(7, 77, uids=struct.pack("=II", 0, 999)), False),
        (rule(7, 77, uids=struct.pack("=II", 1000, 1999)), True),
    ],
)
def test_which_rules_are_made(body: bytes, kept: bool) -> None:
    made = host._rule(body, 1000)
    assert bool(made) == kept
    if kept and 20 in attributes(made, 12):
        assert attributes(made, 12)[20] == struct.pack("=II", 1000, 1000)


def test_the_first_device_is_an_ethernet() -> None:
    wire, tunnel = Link(3, "eth0", b"\2" * 6), Link(2, "wg0", b"")
    assert network.links(Network((tunnel, wire))) == (wire, tunnel)
    assert [link.name for link in network.links(Network((tunnel,)))] == ["hark0", "wg0"]
    assert [link.name for link in network.links(Network())] == ["hark0"]


def test_what_the_host_has_is_read() -> None:
    found = host.look(1000)
    assert any(
        address.local == b"\x7f\0\0\1" and address.ifindex == network.LOOPBACK_INDEX for address in found.addresses
    )
    assert len(found.links) <= host.LINKS
    assert all(link.ifindex != network.LOOPBACK_INDEX and len(link.mac) in (0, 6) for link in found.links)


def test_a_torn_netlink_message_ends() -> None:
    whole = attribute(3, b"eth0\0") + attribute(4, bytes(4))
    for size in range(len(whole)):
        attributes(whole[:size], 0)  # neither raises nor hangs
    assert netlink.attributes(struct.pack("=HH", 0, 1) * 4, 0) == {}
