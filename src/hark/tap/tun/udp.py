"""UDP and ICMP echo on the host's side: one socket for each of the program's own.

What   An Endpoint represents on the host one source address and port (UDP) or one identifier (echo) of the program. It
       sends to whomever the program sends to and takes whatever comes, as a socket of the program would: the same
       source port for every peer (RFC 4787 REQ-1), where it is free the very port that the program has.
Errors Enabled by IP_RECVERR, they come from the socket's error queue with the datagram that caused them, and go to
       the program as the ICMP messages that they were.
Limits IDLE seconds without traffic end an endpoint, as on a home router; MOST at a time, the idlest goes first.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence

from hark.tap.tun.device import Device
from hark.tap.tun.flows import Address
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

IDLE: Final = 180.0  # seconds (RFC 4787 REQ-5 asks for two minutes at least)
MOST: Final = 2048
_NAMES: Final = 64  # peers whose addresses are kept in both forms
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_IP_PKTINFO: Final = 8
_IPV6_PKTINFO: Final = 50
_IP_RECVTTL: Final = 12
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29
_PMTU_DONT: Final = 0
_PMTU_DO: Final = 2
# Where the error comes from (sock_extended_err)
_BY_ITSELF: Final = 1
_BY_ICMP: Final = 2
_BY_ICMPV6: Final = 3
# What is asked of a socket: errors, and with each datagram its TTL, then its TOS.
_ASKED4: Final = (_IP_RECVERR, _IP_RECVTTL, 13)
_ASKED6: Final = (_IPV6_RECVERR, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS)
_NOTES: Final = 2 * socket.CMSG_SPACE(4)
_LOW: Final = 0 if sys.byteorder == "little" else -1  # where an int's low octet is
_LEAST_MTU: Final = {4: 576, 16: 1280}


class _Socket:
    """What has a socket on the host of its own."""

    sock: socket.socket

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    def close(self) -> None:
        """End it, and with it what it has joined."""
        self.sock.close()


class Endpoint(_Socket):
    """A datagram socket on the host. Subclasses say how a datagram is dressed for the program."""

    def __init__(self, client: Address, device: Device, proto: int) -> None:
        self.client = client
        self.device = device  # the interface inside, by which answers go back
        self.width = len(client[0])
        self.pid = 0
        self.router = b""  # from whom the ICMP errors come that nobody else sent
        self.used = 0.0  # time.monotonic() of the last datagram either way
        self._six = self.width == 16
        self._level = socket.IPPROTO_IPV6 if self._six else socket.IPPROTO_IP
        self._looks = 0, 0  # TTL and TOS that the socket sends with; 0: not set yet
        self._names: dict[tuple[object, ...], bytes] = {}
        self.server: Address = (b"", 0)  # whom the last datagram was for
        self.heard = False  # whether that is a group or a broadcast address
        self._many = False
        self._target: tuple[object, ...] = ()
        family = socket.AF_INET6 if self._six else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, proto)
        try:
            for option in _ASKED6 if self._six else _ASKED4:
                self.sock.setsockopt(self._level, option, 1)
        except OSError:
            self.sock.close()
            raise

    def aim(self, server: Address, broadcast: bool) -> None:
        """Whom the next datagrams are for, and whether that is the broadcast address of a network."""
        self.server, self._target = server, sockaddr(server, self.device)
        self._many = is_for_many(server[0])
        self.heard = self._many or broadcast

    def send(self, payload: bytes | memoryview, data: bytes, router: bytes) -> Sequence[bytes]:
        """Send one datagram, with the TTL and TOS that the program's packet `data` has; the ICMP packets for the
        program that come of it: errors of this one, and of earlier ones."""
        looks = (data[7], (data[0] & 15) << 4 | data[1] >> 4) if self._six else (data[8], data[1])
        try:
            if looks != self._looks:
                self._look(looks)
            if self._many:
                self._out(payload, looks)
            else:
                self.sock.sendto(payload, self._target)
            return ()
        except BlockingIOError:
            return ()  # the host's send buffer is full: UDP loses
        except OSError as error:
            return self._refused(payload, looks, data, router, error)

    def _refused(
        self, payload: bytes | memoryview, looks: tuple[int, int], data: bytes, router: bytes, error: OSError
    ) -> list[bytes]:
        """It may be the report of an earlier datagram's error, which this one met: then it goes now."""
        if error.errno == errno.EMSGSIZE:
            return self._too_big(payload, looks, data, router)
        told = list(self.errors(router))
        try:
            self._out(payload, looks)
        except BlockingIOError:
            return told
        except OSError as again:
            if again.errno == errno.EMSGSIZE:
                return told + self._too_big(payload, looks, data, router)
            told.append(self._complaint(data, router, again))
        return told

    def _out(self, payload: bytes | memoryview, looks: tuple[int, int]) -> None:
        if self._many:
            self.sock.sendmsg((payload,), self._by_device(looks), 0, self._target)
        else:
            self.sock.sendto(payload, self._target)

    def _by_device(self, looks: tuple[int, int]) -> list[tuple[int, int, bytes]]:
        """For multicast and broadcast: the interface, and the TTL, which has an option of its own there."""
        ttl, index = struct.pack("=i", looks[0]), self.device.index
        if self._six:
            info = struct.pack("=16sI", self.client[0], index)
            return [(self._level, _IPV6_PKTINFO, info), (self._level, socket.IPV6_HOPLIMIT, ttl)]
        info = struct.pack("=i4s4x", index, self.client[0] if self.sock.getsockname()[0] != "0.0.0.0" else bytes(4))
        return [(self._level, _IP_PKTINFO, info), (self._level, socket.IP_TTL, ttl)]

    def _look(self, looks: tuple[int, int]) -> None:
        ttl, tos = looks
        if ttl != self._looks[0]:
            self.sock.setsockopt(self._level, socket.IPV6_UNICAST_HOPS if self._six else socket.IP_TTL, ttl or 1)
        if tos != self._looks[1]:
            self.sock.setsockopt(self._level, socket.IPV6_TCLASS if self._six else socket.IP_TOS, tos)
        self._looks = looks

    def _too_big(self, payload: bytes | memoryview, looks: tuple[int, int], data: bytes, router: bytes) -> list[bytes]:
        """A datagram over the path's MTU goes out in fragments, as it would have, and the program gets the MTU, as
        it would have been had it asked not to fragment (path-MTU discovery): the packet alone does not say which."""
        noted = [info for origin, _, info, _, _, _ in self._queue() if origin == _BY_ITSELF]
        mtu = max(noted, default=_LEAST_MTU[self.width])
        self._fragment(_PMTU_DONT)
        with contextlib.suppress(OSError):  # the report below covers it
            self._out(payload, looks)
        self._fragment(_PMTU_DO)
        reported = self._six or data[6] & 0x40  # without "don't fragment" (RFC 791 §3.1) nothing is
        return [ip.too_big(router, data, mtu)] if reported else []

    def _fragment(self, mode: int) -> None:
        self.sock.setsockopt(self._level, _IPV6_MTU_DISCOVER if self._six else _IP_MTU_DISCOVER, mode)

    def _complaint(self, data: bytes, router: bytes, error: OSError) -> bytes:
        """The ICMP error for a failed send."""
        source = self.server[0] if error.errno == errno.ECONNREFUSED else router
        return ip.unreachable(source, data, errno.errorcode.get(error.errno or 0, ""))

    def receive(self) -> bytes:
        """A packet for the program out of a datagram that the socket has. Raises BlockingIOError when there is
        nothing, another OSError where there are `errors`."""
        data, notes, _, name = self.sock.recvmsg(65535, _NOTES)
        source = self._names.get(name)
        looks = (notes[0][2][_LOW], notes[1][2][_LOW]) if len(notes) == 2 else (64, 0)
        return self.dress(data, self.packed(name) if source is None else source, name[1], looks)

    def packed(self, name: tuple[object, ...]) -> bytes:
        """A peer's address as in packets."""
        if len(self._names) >= _NAMES:
            self._names.clear()
        self._names[name] = known = packed(str(name[0]))
        return known

    def errors(self, router: bytes) -> Iterator[bytes]:
        """The ICMP errors that came in for datagrams sent earlier."""
        for origin, code, info, quoted, offender, server in self._queue():
            if origin in (_BY_ICMP, _BY_ICMPV6):
                yield ip.icmp_error(offender or router, self.undress(quoted, server), code, info)

    def _queue(self) -> Iterator[tuple[int, tuple[int, int], int, bytes, bytes, Address]]:
        """The socket's error queue: origin, type and code, the field, the datagram, the offender, and whom the
        datagram was for."""
        while True:
            try:
                quoted, notes, _, name = self.sock.recvmsg(2048, 256, socket.MSG_ERRQUEUE)
            except OSError:
                return  # empty
            for level, kind, note in notes:
                if (level, kind) not in ((0, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)) or len(note) < 16:
                    continue
                origin, icmp_type, icmp_code, info = struct.unpack_from("=4xBBBxI", note)
                server = (packed(name[0]), name[1]) if name else self.server
                yield origin, (icmp_type, icmp_code), info, quoted, self._offender(note[16:]), server

    def _offender(self, name: bytes) -> bytes:
        """The address in a sockaddr, empty where there is none of our family."""
        at = 8 if self._six else 4
        family = struct.unpack_from("=H", name)[0] if len(name) >= at + self.width else socket.AF_UNSPEC
        return name[at : at + self.width] if family == self.sock.family else b""

    def dress(self, data: bytes, source: bytes, port: int, looks: tuple[int, int]) -> bytes:
        """The packet that brings `data` from a peer to the program; `looks` are its TTL and TOS."""
        raise NotImplementedError

    def undress(self, quoted: bytes, server: Address) -> bytes:
        """The packet that the program sent, as far as an error quotes it."""
        raise NotImplementedError


class Udp(Endpoint):
    """One UDP source of the program's."""

    def __init__(self, client: Address, device: Device, shared: bool) -> None:
        """`shared`: the port may be in use by others as well, as of those who speak to a group."""
        super().__init__(client, device, 0)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._fragment(_PMTU_DO)
            bind(self.sock, client, device, shared)
        except OSError:
            self.sock.close()
            raise

    def dress(self, data: bytes, source: bytes, port: int, looks: tuple[int, int]) -> bytes:
        return ip.udp_packet(source, self.client[0], port, self.client[1], data, *looks)

    def undress(self, quoted: bytes, server: Address) -> bytes:
        """See Endpoint."""
        return ip.udp_packet(self.client[0], server[0], self.client[1], server[1], quoted)


class Echo(Endpoint):
    """One ICMP echo identifier, over a ping socket."""

    def __init__(self, client: Address, device: Device) -> None:
        super().__init__(client, device, socket.IPPROTO_ICMPV6 if len(client[0]) == 16 else socket.IPPROTO_ICMP)
        try:
            bind(self.sock, (client[0], 0), device, False)
        except OSError:
            self.sock.close()
            raise

    def dress(self, data: bytes, source: bytes, port: int, looks: tuple[int, int]) -> bytes:
        # The kernel put its own identifier in: give the program's back.
        return ip.echo_reply(source, self.client[0], self.client[1].to_bytes(2, "big") + data[6:], *looks)

    def undress(self, quoted: bytes, server: Address) -> bytes:
        """See Endpoint."""
        message = quoted[:4] + self.client[1].to_bytes(2, "big") + quoted[6:]
        proto = ip.ICMPV6 if self.width == 16 else ip.ICMP
        return ip.ip_header(self.client[0], server[0], proto, len(message)) + message


class Heard(_Socket):
    """A socket on the host that takes what is sent to a group, or by broadcast, for a port of the program's."""

    def __init__(self, address: Address, device: Device) -> None:
        """Join where the address is a group's. Raises OSError."""
        self.address = address
        self.device = device
        self.used = 0.0
        six = len(address[0]) == 16
        self.sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self.sock.bind(sockaddr(address, device))
            if six:
                self.sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
                self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
                request = struct.pack("=16sI", address[0], device.index)
                self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            else:
                self.sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            if not six and address[0][0] >> 4 == 14:
                self.sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
                request = struct.pack("=4s4xi", address[0], device.index)
                self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError:
            self.sock.close()
            raise

    def receive(self) -> tuple[Address, bytes, int]:
        """(sender, datagram, TTL). Raises BlockingIOError when there is nothing."""
        data, notes, _, name = self.sock.recvmsg(65535, 64)
        ttl = next((struct.unpack_from("=i", note)[0] for _, _, note in notes if len(note) >= 4), 64)
        return (packed(name[0]), name[1]), data, ttl


def bind(sock: socket.socket, client: Address, device: Device, shared: bool) -> None:
    """Bind to the program's own address and port, to another port where that is taken or not allowed, and to any
    address where this is none of the host's any more. Raises OSError."""
    tries = [(client, False), (client, True)] if shared else [(client, False)]
    for address, reuse in [*tries, ((client[0], 0), False), ((bytes(len(client[0])), 0), False)]:
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(sockaddr(address, device))
            return
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENODEV):
                raise
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


def is_group(address: bytes) -> bool:
    """Whether it is a multicast address."""
    return address[0] == 0xFF if len(address) == 16 else address[0] >> 4 == 14


def is_for_many(address: bytes) -> bool:
    """Whether it is a multicast address, or the broadcast address of any network."""
    return is_group(address) or address == b"\xff\xff\xff\xff"


def sockaddr(address: Address, device: Device) -> tuple[object, ...]:
    """The address as Python's sockets take it; a link-local one with the host's interface."""
    text = host_address(address[0])
    if len(address[0]) == 4:
        return text, address[1]
    first, second = address[0][:2]
    local = (first == 0xFE and second & 0xC0 == 0x80) or (first == 0xFF and second & 15 in (1, 2))
    return text, address[1], 0, device.index if local else 0


@functools.lru_cache(maxsize=1024)
def host_address(packed: bytes) -> str:
    """The text form of a packed address."""
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


def packed(text: str) -> bytes:
    """A packed address out of its text form, a zone left aside."""
    text = text.partition("%")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def echo_request(packet: ip.Packet, data: memoryview) -> tuple[int, memoryview] | None:
    """(identifier, message from the identifier on) where the packet is an echo request."""
    if packet.end - packet.start < 8:
        return None
    if data[packet.start] != (128 if packet.version == 6 else 8):
        return None
    ident = struct.unpack_from("!H", data, packet.start + 4)[0]
    return ident, data[packet.start + 4 : packet.end]


def ping_allowed() -> bool:
    """Whether this user may open ping sockets on the host."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except OSError:
        return False
    return os.path.exists("/proc/net/icmp")
