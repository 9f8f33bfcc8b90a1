"""Socket options of the program that others can observe: set on the real connection's socket too.

At the SYN  its own header fields (type of service, hop limit, don't-fragment, segment size) and what sock_diag gives
            (interface, mark, congestion control, buffers), before the real connect.
Later       the rest, and what was changed meanwhile, is read from the program's socket itself (borrow.py) after CHECKS
            seconds. The type of service is followed packet by packet (tun.py).
Otherwise   keep-alives: probes.py. A reset on close (SO_LINGER with 0): relay.py. TCP_NODELAY is always set, for the
            program's kernel has applied Nagle's algorithm already. The rest acts inside the namespace alone.
Not         options that the user may not set outside either, TCP_FASTOPEN, TCP_MD5SIG, IP options, MPTCP.
"""

from __future__ import annotations

import socket

from hark.record import Record
from hark.system.netlink import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CHECKS: Final = (0.05, 0.5, 2.0, 8.0, 30.0)  # s after the connect or the last look; the last one again and again
_SO_MARK: Final = 36
_SO_MAX_PACING_RATE: Final = 47
_SO_BUF_LOCK: Final = 72
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_TCP_HEADER: Final = 20  # bytes before the options
_MAXSEG: Final = b"\2\4"  # the option's kind and length (RFC 9293 §3.2); Linux has it first
# A program's segments fill the device's packets of 65,521 bytes (mirror.py): a size far below was set by the program.
_SMALL: Final = 60000
_SNDBUF_LOCK: Final = 1
_RCVBUF_LOCK: Final = 2
_CONGESTION_NAME: Final = 16  # bytes


class Option(Record):
    """One option; `size` in bytes of a value that is not an int."""

    level: int
    name: int
    size: int = 0


_COMMON: Final = (
    Option(socket.SOL_SOCKET, socket.SO_PRIORITY),
    Option(socket.SOL_SOCKET, socket.SO_DONTROUTE),
    Option(socket.SOL_SOCKET, _SO_MARK),
    Option(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, 8),
    Option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    Option(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION_NAME),
)
OPTIONS: dict[int, tuple[Option, ...]] = {
    socket.AF_INET: (*_COMMON, Option(socket.IPPROTO_IP, socket.IP_TTL), Option(socket.IPPROTO_IP, _IP_MTU_DISCOVER)),
    socket.AF_INET6: (
        *_COMMON,
        Option(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
        Option(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER),
    ),
}
_FAMILIES: Final = (int(socket.AF_INET), int(socket.AF_INET6))  # ints: an enum's look-up costs a microsecond
_BUFFERS: Final = ((_SNDBUF_LOCK, socket.SO_SNDBUF), (_RCVBUF_LOCK, socket.SO_RCVBUF))
Values = tuple[int | bytes, ...]


def values(sock: socket.socket, family: int) -> Values:
    """The values of that family's options, then the buffers that the program has set (0: it has not)."""
    found: list[int | bytes] = [
        sock.getsockopt(level, name, size) if size else sock.getsockopt(level, name)
        for level, name, size in OPTIONS[family]
    ]
    try:
        locks = sock.getsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK)
    except OSError:
        locks = 0  # before Linux 5.14
    for lock, name in _BUFFERS:
        found.append(sock.getsockopt(socket.SOL_SOCKET, name) if locks & lock else 0)
    return tuple(found)


def carry(sock: socket.socket, family: int, new: Values, old: Values) -> None:
    """Set on the real connection's socket what differs."""
    for option, value, before in zip(OPTIONS[family], new, old, strict=False):
        if value != before:
            put(sock, option.level, option.name, value)
    for (_, name), size, before in zip(_BUFFERS, new[-2:], old[-2:], strict=True):
        if size and size != before:
            put(sock, socket.SOL_SOCKET, name, int(size) // 2)  # the kernel doubles what it is given


def put(sock: socket.socket, level: int, name: int, value: int | bytes) -> None:
    """Set one option, where the user may and the kernel can."""
    try:
        sock.setsockopt(level, name, value)
    except OSError:
        pass  # e.g. a mark, or a congestion control of another kernel module: the connection works without it


class Defaults:
    """What sockets of this host have when nobody has set anything."""

    def __init__(self) -> None:
        self.of: dict[int, Values] = {}
        self.hops: dict[int, int] = {}  # the hop limit of packets
        for family in OPTIONS:
            try:
                with socket.socket(family, socket.SOCK_STREAM) as sock:
                    found = self.of[family] = values(sock, family)
                    self.buffers = tuple(sock.getsockopt(socket.SOL_SOCKET, name) for _, name in _BUFFERS)
                    self.hops[family] = int(found[len(_COMMON)])
                    self.congestion = bytes(found[len(_COMMON) - 1]).rstrip(b"\0")
            except OSError:
                continue  # a host without that family has no connections of it


def service(packet: bytes) -> int:
    """The type of service, or traffic class, of an IP packet."""
    return packet[1] if packet[0] >> 4 == 4 else (packet[0] << 4 | packet[1] >> 4) & 0xFF


def put_service(sock: socket.socket, six: bool, tos: int) -> None:
    """Give a connection that type of service."""
    if six:
        put(sock, socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
    else:
        put(sock, socket.IPPROTO_IP, socket.IP_TOS, tos)


def from_syn(sock: socket.socket, six: bool, syn: bytes, settings: Settings | None, defaults: Defaults) -> None:
    """Set what the program's SYN and sock_diag show of it. `six`: the real connection's family is IPv6."""
    four = syn[0] >> 4 == 4
    family = _FAMILIES[six]
    if four != six:
        tos, hops = service(syn), syn[8] if four else syn[7]
        if tos:
            put_service(sock, six, tos)
        if hops != defaults.hops[family]:
            put(sock, *OPTIONS[family][len(_COMMON)][:2], hops)
        if four and not syn[6] & 0x40:  # no don't-fragment bit
            put(sock, socket.IPPROTO_IP, _IP_MTU_DISCOVER, 0)
    size = segment_size(syn)
    if 0 < size < _SMALL:
        put(sock, socket.IPPROTO_TCP, socket.TCP_MAXSEG, size)
    if settings is None:
        return
    if settings.mark:
        put(sock, socket.SOL_SOCKET, _SO_MARK, settings.mark)
    if settings.congestion != defaults.congestion and settings.congestion:
        put(sock, socket.IPPROTO_TCP, socket.TCP_CONGESTION, settings.congestion)
    buffers = (settings.send_buffer, settings.receive_buffer)
    if buffers != defaults.buffers:
        for (_, name), now, usual in zip(_BUFFERS, buffers, defaults.buffers, strict=True):
            if now and now != usual:
                put(sock, socket.SOL_SOCKET, name, now // 2)


def segment_size(syn: bytes) -> int:
    """The maximum segment size that a SYN announces (RFC 9293 §3.7.1); 0 where it does not, or not first."""
    start = (40 if syn[0] >> 4 == 6 else (syn[0] & 15) * 4) + _TCP_HEADER
    return int.from_bytes(syn[start + 2 : start + 4], "big") if syn[start : start + 2] == _MAXSEG else 0
