"""Socket options of the program's that have an effect outside: from its SYN and from its socket to the real one."""

import socket
import struct

import pytest

from hark.system.netlink import Settings
from hark.tap.tun import sockopts
from hark.wire import ip

FOUR, SIX = ip.packed("192.0.2.1"), ip.packed("2001:db8::1")
NONE = Settings(7, 0, 0, b"", 0, 0)
IP_MTU_DISCOVER = 10


def syn(six: bool = False, tos: int = 0, hops: int = 64, fragment: bool = False, segment: int = 65481) -> bytes:
    options = struct.pack("!BBH", 2, 4, segment) if segment else b"\1\1\1\1"
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 0, 6 << 4, ip.SYN, 1000, 0, 0) + options
    if six:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(tcp), 6, hops) + SIX * 2 + tcp
    return struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(tcp), 0, 0 if fragment else 0x4000, hops, 6, 0) + FOUR * 2 + tcp


def made(six: bool) -> socket.socket:
    return socket.socket(socket.AF_INET6 if six else socket.AF_INET)


def seen(sock: socket.socket, six: bool) -> tuple[int, int]:
    """Type of service and hop limit of what the socket sends."""
    if six:
        tos, hops = socket.IPV6_TCLASS, socket.IPV6_UNICAST_HOPS
        return sock.getsockopt(socket.IPPROTO_IPV6, tos), sock.getsockopt(socket.IPPROTO_IPV6, hops)
    return sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)


@pytest.mark.parametrize("six", [False, True])
def test_what_a_syn_shows(six: bool) -> None:
    with made(six) as sock:
        sockopts.from_syn(sock, six, syn(six, tos=0x28, hops=23, segment=1400), None, sockopts.Defaults())
        assert seen(sock, six) == (0x28, 23)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) in (1400, 536)  # read back before the connect


@pytest.mark.parametrize("six", [False, True])
def test_what_is_usual_sets_nothing(six: bool) -> None:
    defaults = sockopts.Defaults()
    with made(six) as sock:
        family = int(sock.family)
        before = sockopts.values(sock, family)
        sockopts.from_syn(sock, six, syn(six, hops=defaults.hops[family]), NONE, defaults)
        assert sockopts.values(sock, family) == before == defaults.of[sock.family]


def test_fragments_are_allowed_where_the_program_allows_them() -> None:
    for fragment in (False, True):
        with made(False) as sock:
            usual = sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER)
            sockopts.from_syn(sock, False, syn(fragment=fragment), None, sockopts.Defaults())
            assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == (0 if fragment else usual)


def test_an_ipv4_program_over_ipv6() -> None:
    """Where ::1 stands for 127.0.0.1, IPv4's settings have no place, and the segment's size has."""
    with made(True) as sock:
        before = seen(sock, True)
        sockopts.from_syn(sock, True, syn(tos=0x28, hops=23), None, sockopts.Defaults())
        assert seen(sock, True) == before


@pytest.mark.parametrize(
    ("packet", "size"),
    [(syn(segment=1234), 1234), (syn(True, segment=1234), 1234), (syn(segment=0), 0), (syn()[:40], 0)],
)
def test_the_segment_size_of_a_syn(packet: bytes, size: int) -> None:
    assert sockopts.segment_size(packet) == size


def test_the_service_of_any_packet() -> None:
    for six in (False, True):
        for tos in (0, 1, 0x10, 0xFF):
            assert sockopts.service(syn(six, tos=tos)) == tos


def test_buffers_and_congestion_control_as_sock_diag_has_them() -> None:
    with made(False) as sock:
        settings = NONE._replace(send_buffer=40_000, receive_buffer=60_000, congestion=b"reno")
        sockopts.from_syn(sock, False, syn(), settings, sockopts.Defaults())
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 40_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 60_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
        sockopts.from_syn(sock, False, syn(), NONE._replace(congestion=b"nonesuch"), sockopts.Defaults())
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"


@pytest.mark.parametrize("six", [False, True])
def test_what_changes_later_is_carried_over_and_no_more(six: bool) -> None:
    with made(six) as program, made(six) as real:
        family = int(program.family)
        old = sockopts.values(program, family)
        program.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 5)
        program.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 71_000)
        program.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50_000)
        real.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)  # not changed by the program: stays
        new = sockopts.values(program, family)
        sockopts.carry(real, family, new, old)
        assert real.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY) == 5
        assert real.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 71_000
        assert real.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 100_000
        assert real.getsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE) == 1
        program.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 0)
        sockopts.carry(real, family, sockopts.values(program, family), new)
        assert real.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY) == 0


@pytest.mark.parametrize("six", [False, True])
def test_the_type_of_service_of_a_connection(six: bool) -> None:
    with made(six) as sock:
        sockopts.put_service(sock, six, 0x48)
        assert seen(sock, six)[0] == 0x48
