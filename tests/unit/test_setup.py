"""What is in the namespace that the program gets: the host's network, the sockets of the tap, the private tmpfs."""

import errno
import json
import os
import pathlib
import socket
import struct
import subprocess
import tempfile

import pytest

from alone import ADDRESS4, ADDRESS6, INDEX, MAC, address, alone
from hark.errors import HarkError
from hark.system import kernel
from hark.system.netlink import DELADDR, Route
from hark.tap import place as places
from hark.tap.namespace import mirror, setup
from hark.tap.tun.network import HERE4, HERE6, LISTEN_PORT, Network
from hark.wire import ip

pytestmark = pytest.mark.slow


def look() -> setup.Host:
    return setup.look(tempfile.mkdtemp(prefix="hark-test-"))


def interfaces() -> dict[str, dict]:
    shown = subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout
    return {link["ifname"]: link for link in json.loads(shown)}


@alone
def test_the_host_s_interfaces_and_addresses_are_inside() -> None:
    before = interfaces()["eth0"]
    _, files = setup.build(look())
    after = interfaces()["eth0"]
    assert (after["ifindex"], bytes.fromhex(after["address"].replace(":", ""))) == (INDEX, MAC)

    def addresses(link: dict) -> list[tuple[str, int]]:
        return [(found["local"], found["prefixlen"]) for found in link["addr_info"]]

    assert addresses(after) == addresses(before)
    assert (ADDRESS4, 24) in addresses(after)
    assert {name for name, fd in files.items() if fd < 0} in ({"heard"}, {"loopback"})
    for target, own in (("192.0.2.99", ADDRESS4), ("2001:db8:1::99", ADDRESS6), ("127.0.0.1", "127.0.0.1")):
        with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            assert probe.getsockname()[0] == own
    for name, listening in (("listener4", HERE4), ("listener6", HERE6)):
        with socket.socket(fileno=files[name]) as listener:
            assert listener.getsockname()[:2] == (ip.text(listening), LISTEN_PORT)
            assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert os.readlink(f"/proc/self/fd/{files['network']}") == os.readlink("/proc/self/ns/net")


@alone
def test_what_a_program_sends_comes_to_the_device() -> None:
    """TCP and UDP to anywhere, the host's own addresses too; and nothing of it stays on lo."""
    _, files = setup.build(look())
    os.set_blocking(files["device0"], False)
    for target in ("192.0.2.99", ADDRESS4, "127.0.0.1", "127.1.2.3"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"to " + target.encode(), (target, 9))
        packets = []
        while True:
            try:
                packets.append(os.read(files["device0"], 70000)[10 + 14 :])
            except BlockingIOError:
                break
        found = [packet for packet in packets if packet.endswith(b"to " + target.encode())]
        assert len(found) == 1, target
        parsed = ip.parse(found[0])
        assert parsed is not None and ip.text(parsed.dst) == target


@alone
def test_a_host_without_ipv6() -> None:
    with Route.open() as sock:
        address(Route(sock), socket.AF_INET6, ADDRESS6, 64, message=DELADDR)
    host = look()
    four = tuple(found for found in host.network.addresses if found.family == socket.AF_INET)
    _, files = setup.build(host._replace(network=host.network._replace(addresses=four)))
    assert files["listener6"] == -1
    assert pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").read_text() == "1\n"
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe, pytest.raises(OSError) as raised:
        probe.connect(("::1", 9))
    assert raised.value.errno in (errno.EADDRNOTAVAIL, errno.ENETUNREACH)


@alone
def test_the_private_folder_is_ours_alone_and_holds_the_owners() -> None:
    host = look()
    go, said = os.pipe(), os.pipe()
    outside = os.fork()
    if not outside:  # stays in the namespaces where it is
        os.read(go[0], 1)
        os.write(said[1], repr(os.listdir(host.private)).encode())
        os._exit(0)
    place, files = setup.build(host)
    assert place.private == host.private
    pathlib.Path(host.private, "file").write_text("x")
    assert os.fstat(files["owners"]).st_size == places.OWNERS_BYTES
    first = os.pread(files["owners"], 8, 0)
    assert struct.unpack("=Q", first)[0] == os.stat("/proc/self/ns/user").st_ino
    os.write(go[1], b".")
    os.waitpid(outside, 0)
    assert os.read(said[0], 1000) == b"[]"


@alone
def test_without_a_private_folder_the_tap_works() -> None:
    place, files = setup.build(setup.look("/nowhere"))
    assert (place.private, files["owners"]) == ("", -1)
    assert files["device0"] >= 0


@alone
def test_settings_of_the_host_are_inside() -> None:
    names = ("net/ipv4/ip_default_ttl", "net/ipv4/ip_local_port_range", "net/core/somaxconn")
    values = ("71\n", "20000\t30000\n", "137\n")
    for name, value in zip(names, values, strict=True):
        pathlib.Path("/proc/sys", name).write_text(value)
    host = look()
    assert set(zip(names, values, strict=True)) <= set(host.sysctls)
    setup.build(host)
    assert tuple(pathlib.Path("/proc/sys", name).read_text() for name in names) == values
    groups = pathlib.Path("/proc/sys/net/ipv4/ping_group_range").read_text().split()
    assert int(groups[0]) <= os.getgid() <= int(groups[1])


@alone
def test_a_device_that_cannot_be_had_is_said_with_its_remedy() -> None:
    """The machine's /dev/net/tun is another file here."""
    host = look()
    kernel.mount("/dev/null", "/dev/net/tun", "", 4096)  # MS_BIND
    with pytest.raises(HarkError) as raised:
        setup.build(host)
    assert raised.value.what == "cannot open /dev/net/tun"
    assert raised.value.remedy


@alone
def test_a_second_interface_that_cannot_be_had_is_left_out() -> None:
    host = look()
    (eth0,) = host.network.links
    twice = (eth0, eth0._replace(name="eth0"))  # the name is taken when its turn comes
    _, files = setup.build(host._replace(network=host.network._replace(links=twice)))
    assert files["device0"] >= 0
    assert files["device1"] == -1
    assert "eth0" in interfaces()


@alone
def test_namespaces_that_are_forbidden_are_said() -> None:
    pathlib.Path("/proc/sys/user/max_net_namespaces").write_text("0") if os.getuid() else None
    if os.getuid() == 0:
        kernel.keep_capabilities()  # as in a container
    with pytest.raises(HarkError) as raised:
        setup.enter(look())
    assert raised.value.what == "cannot make a network namespace"
    assert "hark doctor" in raised.value.remedy


@alone
def test_a_host_without_any_interface() -> None:
    """The device is hark's own; the addresses of lo are reached by it."""
    host = look()
    lo = tuple(found for found in host.network.addresses if found.ifindex == 1)
    _, files = setup.build(host._replace(network=Network((), lo)))
    assert files["device0"] >= 0
    assert "hark0" in interfaces()
    assert mirror.index_of("hark0") > 0
