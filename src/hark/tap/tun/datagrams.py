"""UDP and ICMP echo from the devices: which endpoint a datagram belongs to, and what comes back.

What   A table of endpoints by protocol, source address and port, each with a socket on the host's side (udp.py). A
       datagram for a socket of the tree itself, on one of the host's own addresses, is handed straight back.
Groups What the program joins (groups.py) is joined on the host.
Limits IDLE seconds without traffic end an endpoint; MOST at a time, the idlest goes first (both in udp.py). What fails
       in one endpoint ends that one, and is recorded as lost.
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable

from hark.bounded import Bounded
from hark.tap.loop import ERR, IN, Loop
from hark.tap.tun import udp
from hark.tap.tun.decisions import Action, Decisions
from hark.tap.tun.flows import Address
from hark.tap.tun.groups import Groups
from hark.tap.tun.nat import ends
from hark.tap.tun.owners import Owners
from hark.tap.tun.tun import BATCH, Tun, router
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LOCAL_FLOWS: Final = 4096  # UDP pairs inside the namespace that are remembered
_AGAIN: Final = 0.05  # s after which it is asked again whether a process of the tree listens: that is a system call
_MLD: Final = (131, 132, 143)  # ICMPv6 types (RFC 3810 §5.2, RFC 2710 §3)

Key = tuple[int, bytes, int]  # protocol, the program's address and port or identifier


class Datagrams:
    """The namespace's UDP and ICMP echo."""

    def __init__(self, tun: Tun, loop: Loop, owners: Owners, groups: Groups, decisions: Decisions) -> None:
        self._tun = tun
        self._decisions = decisions
        self._loop = loop
        self._owners = owners
        self._groups = groups
        self._endpoints: dict[Key, udp.Udp | udp.Echo] = {}
        self._local_udp: Bounded[bytes, None] = Bounded(_LOCAL_FLOWS)
        self._outside: dict[Address, float] = {}  # own addresses where nobody of the tree listened, until when

    def sweep(self, now: float) -> None:
        """End the endpoints that were idle for too long; `now` is time.monotonic()."""
        for key, endpoint in list(self._endpoints.items()):
            if now - endpoint.used > udp.IDLE:
                self._end(key)
        self._groups.sweep(now)

    def take_udp(self, packet: ip.Packet, data: bytes) -> None:
        """Take a UDP packet from a device."""
        if packet.end - packet.start < 8:
            return
        sport, dport = struct.unpack_from("!HH", data, packet.start)
        server = (packet.dst, dport)
        if self._tun.is_own(packet.dst):
            pair = ends((packet.src, sport), server)
            if pair in self._local_udp or self._is_local(packet, sport, server, pair):
                self._tun.rec.frame(data)
                self._tun.inject(data, bytes(self._tun.vnet))
                return
        key = (ip.UDP, packet.src, sport)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            client = (packet.src, sport)
            endpoint = self._open(key, packet, data, lambda: self._udp(client, server))
            if endpoint is None:
                return
        self._tun.rec.frame(data, endpoint.pid)
        payload = data[packet.start + 8 : packet.end]
        decision = self._decisions.datagram((packet.src, sport), server, memoryview(payload), endpoint.pid)
        if decision.action is Action.REFUSE:
            self._tun.answer(ip.unreachable(router(packet.dst), data, "ECONNREFUSED"))
            return
        if server != endpoint.server:
            endpoint.aim(server, self._tun.is_broadcast(packet.dst))
        if endpoint.heard:
            self._groups.asked((packet.src, sport), server, payload, self._tun.device)
        self._send(key, endpoint, payload, data)

    def _udp(self, client: Address, server: Address) -> udp.Udp:
        endpoint = udp.Udp(client, self._tun.device, udp.is_for_many(server[0]))
        endpoint.pid = self._owners.find(ip.UDP, client, server, time.time_ns(), self._tun.device.index)
        return endpoint

    def _is_local(self, packet: ip.Packet, sport: int, server: Address, pair: bytes) -> bool:
        """Whether the datagram goes to a process of the tree itself; remembered, with its answers."""
        client, now = (packet.src, sport), time.monotonic()
        if self._outside.get(server, 0.0) > now:
            return False
        if not self._owners.listens(ip.UDP, server, client, self._tun.device.index):
            if len(self._outside) >= _LOCAL_FLOWS:
                self._outside.clear()
            self._outside[server] = now + _AGAIN
            return False
        for either in (pair, ends(server, client)):
            self._local_udp[either] = None
        return True

    def take_icmp(self, packet: ip.Packet, data: bytes) -> None:
        """Take an ICMP packet from a device: an echo request goes out, a report of groups is looked at, all else is
        let go."""
        request = udp.echo_request(packet, memoryview(data))
        if request is None:
            if packet.version == 6 and packet.end > packet.start and data[packet.start] in _MLD:
                self._groups.changed()
            return
        ident, message = request
        key = (packet.proto, packet.src, ident)
        endpoint = self._endpoints.get(key)
        self._tun.rec.frame(data)
        if endpoint is None:
            device = self._tun.device
            endpoint = self._open(key, packet, b"", lambda: udp.Echo((packet.src, ident), device))
            if endpoint is None:
                return
        head = b"\x80\0\0\0" if packet.version == 6 else b"\x08\0\0\0"
        endpoint.aim((packet.dst, 0), self._tun.is_broadcast(packet.dst))
        self._send(key, endpoint, head + bytes(message), data)

    def take_igmp(self) -> None:
        """An IGMP packet has come from a device: the program has joined or left a group (RFC 3376 §5.1)."""
        self._groups.changed()

    def _open(
        self, key: Key, packet: ip.Packet, data: bytes, make: Callable[[], udp.Udp | udp.Echo]
    ) -> udp.Udp | udp.Echo | None:
        """A new endpoint. If there can be none, the program gets the reason."""
        if len(self._endpoints) >= udp.MOST:
            self._end(min(self._endpoints, key=lambda key: self._endpoints[key].used))
        try:
            endpoint = make()
        except OSError as error:
            if data:
                self._tun.rec.frame(data)
            quoted = data or ip.ip_header(packet.src, packet.dst, packet.proto, 8) + bytes(8)
            self._tun.answer(ip.unreachable(router(packet.dst), quoted, errno.errorcode.get(error.errno or 0, "")))
            return None
        endpoint.router = router(packet.dst)
        self._endpoints[key] = endpoint
        self._loop.add(endpoint.fileno(), IN, lambda event: self._ready(key, endpoint, event))
        return endpoint

    def _send(self, key: Key, endpoint: udp.Udp | udp.Echo, payload: bytes, data: bytes) -> None:
        endpoint.used = time.monotonic()
        try:
            for packet in endpoint.send(payload, data, endpoint.router):
                self._tun.answer(packet, endpoint.device)
        except (OSError, ValueError, struct.error) as error:
            self._failed(key, error)

    def _ready(self, key: Key, endpoint: udp.Udp | udp.Echo, event: int) -> None:
        device = endpoint.device
        endpoint.used = time.monotonic()
        try:
            if event & ERR:
                self._errors(endpoint)
            for _ in range(BATCH):
                if self._tun.stalled:
                    return
                try:
                    self._tun.answer(endpoint.receive(), device)
                except BlockingIOError:
                    return
                except OSError:
                    self._errors(endpoint)
        except (OSError, ValueError, struct.error) as error:
            self._failed(key, error)

    def _errors(self, endpoint: udp.Udp | udp.Echo) -> None:
        for packet in endpoint.errors(endpoint.router):
            self._tun.answer(packet, endpoint.device)

    def _failed(self, key: Key, error: Exception) -> None:
        """End an endpoint that does not work, not the capture."""
        self._tun.rec.loss("datagram", 1, f"{type(error).__name__}: {error}")
        if key in self._endpoints:
            self._end(key)

    def _end(self, key: Key) -> None:
        endpoint = self._endpoints.pop(key)
        self._loop.remove(endpoint.fileno())
        endpoint.close()
