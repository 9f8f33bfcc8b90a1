"""UDP and ICMP echo: one socket on the host's side for each pair of ends.

What   Flow objects that hold an upstream socket; parsing of what comes in, building of what goes back. The pump owns
       the loop and the TUN.
Why    A connected socket per pair gets the right replies and the right errors, which go back as ICMP.
Limits IDLE seconds without traffic end a flow, as on a home router; MOST at a time, the idlest goes first.
"""

import errno
import os
import socket
import struct

from hark.wire import ip

IDLE = 180.0  # seconds (RFC 4787 REQ-5 asks for two minutes at least)
MOST = 2048
_IP_MTU_DISCOVER, _IP_MTU, _IPV6_MTU_DISCOVER, _IPV6_MTU = 10, 14, 23, 24
_PMTU_DONT, _PMTU_DO = 0, 2

Address = tuple[bytes, int]


class Upstream:
    """A datagram socket to one target. Subclasses say how a datagram is dressed for the program."""

    def __init__(self, client: Address, server: Address, target: str, proto: int) -> None:
        self.client = client
        self.server = server
        self.width = len(server[0])
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, proto)
        self.pid = 0
        self.used = 0.0
        self.last = b""  # the program's last packet: ICMP errors quote it
        self.family = family

    def fileno(self) -> int:
        """The upstream socket's descriptor."""
        return self.sock.fileno()

    def close(self) -> None:
        """End the flow."""
        self.sock.close()

    def receive(self, router: bytes) -> bytes | None:
        """A packet for the program out of what the socket has: a datagram, or the ICMP form of its error. None when
        there is nothing."""
        try:
            return self.dress(self.sock.recv(65535))
        except BlockingIOError:
            return None
        except OSError as error:
            return self.complain(router, error)

    def complain(self, router: bytes, error: OSError) -> bytes:
        """The ICMP error that stands for a failed send or receive."""
        source = self.server[0] if error.errno == errno.ECONNREFUSED else router
        return ip.unreachable(source, self.last, errno.errorcode.get(error.errno or 0, ""))

    def dress(self, data: bytes) -> bytes:
        """The packet that brings `data` to the program."""
        raise NotImplementedError


class Udp(Upstream):
    """One UDP flow."""

    def __init__(self, client: Address, server: Address, target: str) -> None:
        super().__init__(client, server, target, 0)
        self.sock.connect((target, server[1]))
        self._fragment(_PMTU_DO)

    def _fragment(self, mode: int) -> None:
        six = self.family == socket.AF_INET6
        level, name = (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER) if six else (socket.IPPROTO_IP, _IP_MTU_DISCOVER)
        self.sock.setsockopt(level, name, mode)

    def send(self, payload: bytes | memoryview, router: bytes) -> bytes | None:
        """Send one datagram; an ICMP packet for the program where that fails.

        A datagram over the path's MTU goes out in fragments, as it would have, and the program is told the MTU, as
        it would have been had it asked not to fragment (path-MTU discovery): the packet alone does not say which."""
        try:
            self.sock.send(payload)
        except BlockingIOError:
            return None  # the host's send buffer is full: UDP loses
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                return self.complain(router, error)
            self._fragment(_PMTU_DONT)
            try:
                self.sock.send(payload)
            except OSError:
                pass  # the report below says it
            self._fragment(_PMTU_DO)
            return ip.too_big(router, self.last, self._mtu())
        return None

    def _mtu(self) -> int:
        six = self.family == socket.AF_INET6
        level, name = (socket.IPPROTO_IPV6, _IPV6_MTU) if six else (socket.IPPROTO_IP, _IP_MTU)
        try:
            return max(self.sock.getsockopt(level, name), 576)
        except OSError:
            return 1280

    def dress(self, data: bytes) -> bytes:
        return ip.udp_packet(self.server[0], self.client[0], self.server[1], self.client[1], data)


class Echo(Upstream):
    """One ICMP echo identifier on its way to one target, over a ping socket."""

    def __init__(self, client: Address, server: Address, target: str) -> None:
        six = len(server[0]) == 16
        super().__init__(client, server, target, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
        self.sock.connect((target, 0))

    def send(self, payload: bytes | memoryview, router: bytes) -> bytes | None:
        """Send an echo request; `payload` is the message from its identifier on."""
        kind = b"\x80\0\0\0" if self.width == 16 else b"\x08\0\0\0"
        try:
            self.sock.send(kind + payload)
        except BlockingIOError:
            return None
        except OSError as error:
            return self.complain(router, error)
        return None

    def dress(self, data: bytes) -> bytes:
        # The kernel put its own identifier in: give the program's back.
        return ip.echo_reply(self.server[0], self.client[0], self.client[1].to_bytes(2, "big") + data[6:])


class Fragments:
    """Puts a program's IP fragments together (a program that learnt a small MTU cuts its datagrams itself)."""

    MOST = 64  # datagrams in the making; the oldest goes

    def __init__(self) -> None:
        self._parts: dict[tuple[bytes, bytes, int, int], dict[int, tuple[bytes, bool]]] = {}

    def feed(self, packet: ip.Packet, data: memoryview) -> bytes | None:
        """The whole IP packet once its last missing fragment is here."""
        assert packet.fragment is not None
        ident, offset, more = packet.fragment
        key = (packet.src, packet.dst, packet.proto, ident)
        parts = self._parts.setdefault(key, {})
        parts[offset] = (bytes(data[packet.start : packet.end]), more)
        if len(self._parts) > self.MOST:
            del self._parts[next(iter(self._parts))]
        body = ip.join(parts)
        if body is None:
            return None
        self._parts.pop(key, None)
        return ip.ip_header(packet.src, packet.dst, packet.proto, len(body)) + body


def host_address(packed: bytes) -> str:
    """The text form of a packed address."""
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


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
