"""rtnetlink and sock_diag messages, as few as hark needs (pyroute2 costs 150 ms of import).

May hold: building, sending and parsing of messages. May not hold: decisions about routes.
"""

import os
import socket
import struct
from typing import NamedTuple

NETLINK_ROUTE, NETLINK_SOCK_DIAG = 0, 4
_REQUEST, _ACK, _EXCL, _CREATE = 1, 4, 0x200, 0x400
_NEWLINK, _NEWADDR, _NEWROUTE, _NEWRULE, _DELRULE, _SOCK_DIAG = 16, 20, 24, 32, 33, 20
_ERROR = 2
MAIN_TABLE, LOCAL_TABLE = 254, 255
TCP_LISTEN = 10
_MEMORY, _CONGESTION = 1 << 6, 1 << 3  # what to ask of sock_diag, by bits: INET_DIAG_SKMEMINFO, INET_DIAG_CONG
_CONG, _SKMEMINFO, _MARK = 4, 7, 15  # and the attributes that come


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


class Route:
    """A NETLINK_ROUTE conversation in the current network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _call(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body)
        reply = self._socket.recv(4096)
        code = struct.unpack_from("=i", reply, 16)[0]
        if struct.unpack_from("=H", reply, 4)[0] != _ERROR or code:
            raise OSError(-code, os.strerror(-code), what)

    def up(self, index: int, mtu: int = 0, queue: int = 0) -> None:
        """Bring an interface up; mtu in bytes, queue in packets, 0 for what it has. (The ioctl for the queue's length
        asks for a capability of the host's, this message does not.)"""
        up = 1
        body = struct.pack("=BxHiII", 0, 0, index, up, up)
        if mtu:
            body += _attribute(4, struct.pack("=I", mtu))
        if queue:
            body += _attribute(13, struct.pack("=I", queue))
        self._call(_NEWLINK, 0, body, "set link up")

    def address(self, index: int, packed: bytes, prefix: int) -> None:
        """Give the interface an address; IPv6 ones without duplicate detection, for nobody else is on the link."""
        family = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET
        nodad = 0x02
        body = struct.pack("=BBBBi", family, prefix, nodad, 0, index) + _attribute(2, packed) + _attribute(1, packed)
        self._call(_NEWADDR, _CREATE | _EXCL, body, "add address")

    def default(self, index: int, family: int, table: int = MAIN_TABLE, source: bytes = b"") -> None:
        """Route everything in `table` to the interface, from `source` where that is given."""
        universe, static, unicast = 0, 4, 1
        body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, table, static, universe, unicast, 0)
        body += _attribute(4, struct.pack("=i", index))
        if source:
            body += _attribute(7, source)
        self._call(_NEWROUTE, _CREATE | _EXCL, body, "add route")

    def rule(
        self, priority: int, table: int, network: bytes = b"", prefix: int = 0, proto: int = 0, iif: str = ""
    ) -> None:
        """Add an IPv4 policy rule: what matches is looked up in `table`."""
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, prefix, 0, 0, table, 0, 0, 1, 0)
        body += _attribute(6, struct.pack("=I", priority))
        if network:
            body += _attribute(1, network)
        if iif:
            body += _attribute(3, iif.encode() + b"\0")
        if proto:
            body += _attribute(22, bytes([proto]))
        self._call(_NEWRULE, _CREATE | _EXCL, body, "add rule")

    def delete_rule(self, priority: int, table: int) -> None:
        """Remove an IPv4 policy rule."""
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 0, 0, 1, 0)
        body += _attribute(6, struct.pack("=I", priority))
        self._call(_DELRULE, 0, body, "delete rule")


def _attributes(data: bytes, at: int) -> dict[int, bytes]:
    found = {}
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


class Settings(NamedTuple):
    """What sock_diag says of a socket."""

    inode: int
    device: int  # the index of the interface that it is bound to, else 0
    mark: int  # SO_MARK
    congestion: bytes  # the name of the congestion control
    receive_buffer: int  # SO_RCVBUF in bytes, as the kernel counts it
    send_buffer: int  # SO_SNDBUF


class Diag:
    """Asks the kernel which socket owns a pair of addresses. Works in the namespace its socket was made in."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.settimeout(0.2)

    @staticmethod
    def open() -> socket.socket:
        """A sock_diag socket of the current network namespace."""
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)

    def find(self, proto: int, local: tuple[bytes, int], remote: tuple[bytes, int]) -> tuple[int, int] | None:
        """(state, inode) of the socket that packets from `remote` to `local` would reach; None where there is none."""
        reply = self._ask(proto, local, remote, 0)
        return (reply[17], struct.unpack_from("=I", reply, 84)[0]) if reply else None

    def settings(self, proto: int, local: tuple[bytes, int], remote: tuple[bytes, int]) -> "Settings | None":
        """The socket at `local` with what it has been set to; None where there is none."""
        reply = self._ask(proto, local, remote, _MEMORY | _CONGESTION)
        if not reply:
            return None
        found = _attributes(reply, 88)
        memory = found.get(_SKMEMINFO, b"")
        received, sent = struct.unpack_from("=4xI4xI", memory) if len(memory) >= 16 else (0, 0)
        mark = struct.unpack("=I", found[_MARK])[0] if _MARK in found else 0
        congestion = found.get(_CONG, b"").rstrip(b"\0")
        inode = struct.unpack_from("=I", reply, 84)[0]
        return Settings(inode, struct.unpack_from("=I", reply, 56)[0], mark, congestion, received, sent)

    def _ask(self, proto: int, local: tuple[bytes, int], remote: tuple[bytes, int], wanted: int) -> bytes:
        """The kernel's answer about one socket, or nothing."""
        source, target = (remote, local) if proto == socket.IPPROTO_UDP else (local, remote)  # as the kernel has it
        family = socket.AF_INET6 if len(local[0]) == 16 else socket.AF_INET
        body = struct.pack(
            "=BBBBI2s2s16s16sIII",
            family,
            proto,
            wanted,
            0,
            0xFFFFFFFF,
            source[1].to_bytes(2, "big"),
            target[1].to_bytes(2, "big"),
            source[0],
            target[0],
            0,
            0xFFFFFFFF,
            0xFFFFFFFF,
        )
        try:
            self._socket.send(struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG, _REQUEST, 1, 0) + body)
            reply = self._socket.recv(4096)
        except OSError:
            return b""  # an owner that is not found is reported as unknown
        if len(reply) < 88 or struct.unpack_from("=H", reply, 4)[0] != _SOCK_DIAG:
            return b""
        return reply
