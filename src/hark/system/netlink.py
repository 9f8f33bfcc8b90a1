"""rtnetlink and sock_diag messages, as few as hark needs (pyroute2 costs 150 ms of import).

May hold: building, sending and parsing of messages. May not hold: decisions about routes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NETLINK_ROUTE: Final = 0
NETLINK_SOCK_DIAG: Final = 4
_REQUEST: Final = 1
_ACK: Final = 4
_DUMP: Final = 0x300
REPLACE: Final = 0x100
EXCL: Final = 0x200
CREATE: Final = 0x400
APPEND: Final = 0x800
NEWLINK: Final = 16
GETLINK: Final = 18
NEWADDR: Final = 20
DELADDR: Final = 21
GETADDR: Final = 22
NEWROUTE: Final = 24
DELROUTE: Final = 25
GETROUTE: Final = 26
NEWRULE: Final = 32
DELRULE: Final = 33
GETRULE: Final = 34
_NEWQDISC: Final = 36
_NEWTFILTER: Final = 44
_SOCK_DIAG: Final = 20
_ERROR: Final = 2
_DONE: Final = 3
_NESTED: Final = 0x8000
MAIN_TABLE: Final = 254
LOCAL_TABLE: Final = 255
TCP_LISTEN: Final = 10
# What to ask of sock_diag, by bits: INET_DIAG_SKMEMINFO, INET_DIAG_CONG
_MEMORY: Final = 1 << 6
_CONGESTION: Final = 1 << 3
# And the attributes that come
_CONG: Final = 4
_SKMEMINFO: Final = 7
_MARK: Final = 15
_QUESTION: Final = struct.Struct("=IHHIIBBBBI2s2s16s16sIII")  # nlmsghdr, inet_diag_req_v2
# Ints: an enum costs a microsecond
_INET: Final = int(socket.AF_INET)
_INET6: Final = int(socket.AF_INET6)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute as in a message."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes, at: int) -> dict[int, bytes]:
    """The attributes from offset `at` on; of one that comes twice, the last."""
    found = {}
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + size]  # without the flags for nested and big-endian
        at += (size + 3) & ~3
    return found


class Match(Record):
    """What a filter of `Route.redirect` takes."""

    priority: int  # of the filter; one ethertype each
    ethertype: int
    keys: tuple[tuple[int, int, int], ...]  # mask and value of the 32-bit word at this offset in the IP header


class Route:
    """A NETLINK_ROUTE conversation in the current network namespace."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        """With `sock`, in the namespace that it was made in."""
        self._socket = sock or self.open()

    @staticmethod
    def open(groups: int = 0) -> socket.socket:
        """A netlink socket of the current network namespace, which receives changes in `groups` (RTMGRP_…)."""
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        if groups:
            made.bind((0, groups))
        return made

    def close(self) -> None:
        """Give its socket back."""
        self._socket.close()

    def call(self, kind: int, flags: int, body: bytes, what: str) -> None:
        """Send one request and wait for its acknowledgement. Raises OSError, with `what` as its file name."""
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body)
        reply = self._socket.recv(4096)
        code = struct.unpack_from("=i", reply, 16)[0]
        if struct.unpack_from("=H", reply, 4)[0] != _ERROR or code:
            raise OSError(-code, os.strerror(-code), what)

    def dump(self, kind: int, body: bytes, most: int = 65536) -> list[bytes]:
        """What a table holds: each message's body, its fixed header first. Those after the first `most` are dropped,
        which a socket of another namespace cannot do."""
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _DUMP, 1, 0) + body)
        found = _messages(self._socket, most)
        if len(found) >= most:  # the rest of it stays with this socket
            self._socket.close()
            self._socket = self.open()
        return found[:most]

    def up(self, index: int, mtu: int = 0, queue: int = 0, mac: bytes = b"") -> None:
        """Bring an interface up; mtu in bytes, queue in packets, 0 for what it has. (The ioctl for the queue's length
        asks for a capability of the host's, this message does not.) With a MAC address it gets that, and asks nobody
        on the link for theirs."""
        up, noarp = 1, 0x80
        flags = up | noarp if mac else up
        body = struct.pack("=BxHiII", 0, 0, index, flags, flags)
        if mtu:
            body += attribute(4, struct.pack("=I", mtu))
        if queue:
            body += attribute(13, struct.pack("=I", queue))
        if mac:
            body += attribute(1, mac)
        self.call(NEWLINK, 0, body, "set link up")

    def route(
        self,
        table: int,
        family: int,
        index: int,
        to: bytes = b"",
        prefix: int = 0,
        source: bytes = b"",
        kind: int = 1,
        message: int = NEWROUTE,
    ) -> None:
        """Route `to`/`prefix` (everything, where that is empty) to the interface; `kind` 1 is unicast, 2 local.
        `message` may be DELROUTE."""
        static, universe, host = 4, 0, 254
        body = struct.pack("=BBBBBBBBI", family, prefix, 0, 0, 0, static, host if kind == 2 else universe, kind, 0)
        body += attribute(15, struct.pack("=I", table)) + attribute(4, struct.pack("=i", index))
        if to:
            body += attribute(1, to)
        if source:
            body += attribute(7, source)
        self.call(message, CREATE | EXCL if message == NEWROUTE else 0, body, "route")

    def rule(self, family: int, priority: int, table: int, proto: int = 0, iif: str = "", mark: int = 0) -> None:
        """Add a policy rule: what matches is looked up in `table`."""
        body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 1, 0)
        body += attribute(6, struct.pack("=I", priority)) + attribute(15, struct.pack("=I", table))
        if iif:
            body += attribute(3, iif.encode() + b"\0")
        if proto:
            body += attribute(22, bytes([proto]))
        if mark:
            body += attribute(10, struct.pack("=I", mark))
        self.call(NEWRULE, CREATE | EXCL, body, "add rule")

    def delete_rule(self, family: int, priority: int, table: int) -> None:
        """Remove a policy rule."""
        body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, table, 0, 0, 1, 0)
        body += attribute(6, struct.pack("=I", priority))
        self.call(DELRULE, 0, body, "delete rule")

    def redirect(self, source: int, target: int, matches: tuple[Match, ...]) -> None:
        """What goes out through interface `source` and is one of `matches` goes out through `target` instead: a clsact
        qdisc with u32 filters and their mirred action."""
        clsact, egress = 0xFFFFFFF1, 0xFFFFFFF3
        body = struct.pack("=BxxxiIII", 0, source, 0xFFFF0000, clsact, 0) + attribute(1, b"clsact\0")
        self.call(_NEWQDISC, CREATE | EXCL, body, "add qdisc")
        eaction_redirect, stolen, terminal = 1, 4, 1
        for match in matches:
            mirred = struct.pack("=IIiiiII", 0, 0, stolen, 0, 0, eaction_redirect, target)
            action = attribute(1, b"mirred\0") + attribute(2 | _NESTED, attribute(2, mirred))
            keys = struct.pack("=BxBx12x", terminal, len(match.keys))
            for mask, value, offset in match.keys:
                keys += struct.pack("!II", mask, value) + struct.pack("=ii", offset, 0)
            options = attribute(7, attribute(1, action)) + attribute(5, keys)
            info = match.priority << 16 | socket.htons(match.ethertype)
            body = struct.pack("=BxxxiIII", 0, source, 0, egress, info) + attribute(1, b"u32\0") + attribute(2, options)
            self.call(_NEWTFILTER, CREATE | EXCL, body, "add filter")


class Settings(Record):
    """What sock_diag reports of a socket."""

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
        self._socket.setblocking(False)  # the answer is there when the request has been sent

    @staticmethod
    def open() -> socket.socket:
        """A sock_diag socket of the current network namespace."""
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)

    def find(
        self, proto: int, local: tuple[bytes, int], remote: tuple[bytes, int], index: int = 0
    ) -> tuple[int, int] | None:
        """(state, inode) of the socket that packets from `remote` to `local` on interface `index` would reach; None
        where there is none."""
        reply = self._ask(proto, local, remote, 0, index)
        return (reply[17], struct.unpack_from("=I", reply, 84)[0]) if reply else None

    def settings(
        self, proto: int, local: tuple[bytes, int], remote: tuple[bytes, int], index: int, back: bool
    ) -> tuple[Settings | None, bool]:
        """The socket at `local` with what it has been set to; None where there is none. `index` is that of the
        interface by which its packets leave: one that is bound to it is not found otherwise. With `back`, also
        whether a socket listens for packets from `local` to `remote`."""
        questions = _question(proto, local, remote, _MEMORY | _CONGESTION, index)
        if back:
            questions += _question(proto, remote, local, 0, index)
        self._send(questions)
        reply = self._reply()
        other = self._reply() if back else b""
        return (_settings(reply) if reply else None), bool(other) and other[17] == TCP_LISTEN

    def _ask(self, proto: int, local: tuple[bytes, int], remote: tuple[bytes, int], wanted: int, index: int) -> bytes:
        """The kernel's answer about one socket, or nothing."""
        self._send(_question(proto, local, remote, wanted, index))
        return self._reply()

    def _send(self, questions: bytes) -> None:
        with contextlib.suppress(OSError):  # no answer comes then
            self._socket.send(questions)

    def _reply(self) -> bytes:
        """The kernel's answer to the next question, or nothing."""
        try:
            reply = self._socket.recv(4096)
        except OSError:
            return b""  # an owner that is not found is reported as unknown
        if len(reply) < 88 or struct.unpack_from("=H", reply, 4)[0] != _SOCK_DIAG:
            return b""
        return reply

    def udp_sockets(self) -> list[tuple[bytes, int]]:
        """Address and port of each unconnected UDP socket."""
        found = []
        for family in (socket.AF_INET, socket.AF_INET6):
            body = struct.pack("=BBBBI48x", family, socket.IPPROTO_UDP, 0, 0, 0xFFFFFFFF)
            try:
                self._socket.send(struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG, _REQUEST | _DUMP, 1, 0) + body)
                messages = _messages(self._socket)
            except OSError:
                continue  # without it no group is received
            for message in messages:
                port, peer = struct.unpack_from("!HH", message, 4)
                if not peer:
                    found.append((message[8 : 12 if family == socket.AF_INET else 24], port))
        return found


def _question(proto: int, local: tuple[bytes, int], remote: tuple[bytes, int], wanted: int, index: int) -> bytes:
    """A request for one socket. The kernel takes several in one piece, and answers one after the other."""
    source, target = (remote, local) if proto == socket.IPPROTO_UDP else (local, remote)  # as the kernel has it
    return _QUESTION.pack(
        _QUESTION.size,
        _SOCK_DIAG,
        _REQUEST,
        1,
        0,
        _INET6 if len(local[0]) == 16 else _INET,
        proto,
        wanted,
        0,
        0xFFFFFFFF,
        source[1].to_bytes(2, "big"),
        target[1].to_bytes(2, "big"),
        source[0],
        target[0],
        index,
        0xFFFFFFFF,
        0xFFFFFFFF,
    )


def _settings(reply: bytes) -> Settings:
    found = attributes(reply, 88)
    memory = found.get(_SKMEMINFO, b"")
    received, sent = struct.unpack_from("=4xI4xI", memory) if len(memory) >= 16 else (0, 0)
    mark = struct.unpack("=I", found[_MARK])[0] if _MARK in found else 0
    congestion = found.get(_CONG, b"").rstrip(b"\0")
    inode = struct.unpack_from("=I", reply, 84)[0]
    return Settings(inode, struct.unpack_from("=I", reply, 56)[0], mark, congestion, received, sent)


def _messages(sock: socket.socket, most: int = 65536) -> list[bytes]:
    """The bodies of a dump's messages, up to its end or until there are `most`. Raises OSError."""
    found: list[bytes] = []
    while len(found) < most:
        reply = sock.recv(1 << 17)
        at = 0
        while at + 16 <= len(reply):
            size, kind = struct.unpack_from("=IH", reply, at)
            if kind == _ERROR:
                code = -struct.unpack_from("=i", reply, at + 16)[0]
                raise OSError(code, os.strerror(code), "netlink dump")
            if kind == _DONE or size < 16:
                return found
            found.append(reply[at + 16 : at + size])
            at += (size + 3) & ~3
    return found
