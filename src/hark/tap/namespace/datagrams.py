"""UDP and ICMP echo from the TUN: which flow a datagram belongs to, and what comes back.

What   A table of flows by protocol and ends, each with a socket on the host's side (udp.py). A datagram for a socket of
       the tree itself on 127.0.0.0/8 is handed straight back.
Limits IDLE seconds without traffic end a flow; MOST at a time, the idlest goes first (both in udp.py).
"""

import errno
import struct
import time

from hark.tap.loop import IN, Loop
from hark.tap.namespace import udp
from hark.tap.namespace.flows import Address
from hark.tap.namespace.nat import ends
from hark.tap.namespace.owners import Owners
from hark.tap.namespace.tun import BATCH, Tun, router
from hark.wire import ip

_LOCAL_FLOWS = 4096  # UDP pairs inside the namespace that are remembered


class Datagrams:
    """The namespace's UDP and ICMP echo flows."""

    def __init__(self, tun: Tun, loop: Loop, owners: Owners) -> None:
        self._tun = tun
        self._loop = loop
        self._owners = owners
        self._datagrams: dict[tuple[int, bytes], udp.Udp | udp.Echo] = {}
        self._local_udp: dict[bytes, None] = {}

    def sweep(self, now: float) -> None:
        """End the flows that were idle for too long; `now` is time.monotonic()."""
        for key, flow in list(self._datagrams.items()):
            if now - flow.used > udp.IDLE:
                self._end_datagrams(key)

    def take_udp(self, packet: ip.Packet, data: bytes) -> None:
        """Take a UDP packet from the TUN."""
        if packet.end - packet.start < 8:
            return
        sport, dport = struct.unpack_from("!HH", data, packet.start)
        client, server = (packet.src, sport), (packet.dst, dport)
        key = ends(client, server)
        if key in self._local_udp or self._is_local_udp(client, server, key):
            self._tun.rec.frame(data)
            self._tun.inject(data, bytes(self._tun.vnet))
            return
        flow = self._datagrams.get((ip.UDP, key))
        if flow is None:
            self._make_room()
            try:
                flow = udp.Udp(client, server, udp.host_address(server[0]))
            except OSError as error:
                self._tun.rec.frame(data)
                self._tun.answer(ip.unreachable(router(packet.dst), data, errno.errorcode.get(error.errno or 0, "")))
                return
            flow.pid = self._owners.find(ip.UDP, client, server, time.time_ns())
            self._watch(ip.UDP, key, flow)
        self._tun.rec.frame(data, flow.pid)
        self._send(flow, packet, data, data[packet.start + 8 : packet.end])

    def _is_local_udp(self, client: Address, server: Address, key: bytes) -> bool:
        """Whether the datagram goes to a process of the tree itself; remembered, with its answers."""
        if not self._tun.is_own(server[0]) or not self._owners.listens(ip.UDP, server, client):
            return False
        for pair in (key, ends(server, client)):
            self._local_udp[pair] = None
        while len(self._local_udp) > _LOCAL_FLOWS:
            del self._local_udp[next(iter(self._local_udp))]
        return True

    def take_icmp(self, packet: ip.Packet, data: bytes) -> None:
        """Take an ICMP packet from the TUN: an echo request goes out, all else is let go."""
        request = udp.echo_request(packet, memoryview(data))
        if request is None:
            return
        ident, message = request
        client, server = (packet.src, ident), (packet.dst, 0)
        key = ends(client, server)
        flow = self._datagrams.get((packet.proto, key))
        self._tun.rec.frame(data)
        if flow is None:
            self._make_room()
            try:
                flow = udp.Echo(client, server, udp.host_address(server[0]))
            except OSError as error:
                self._tun.answer(ip.unreachable(router(packet.dst), data, errno.errorcode.get(error.errno or 0, "")))
                return
            self._watch(packet.proto, key, flow)
        self._send(flow, packet, data, bytes(message))

    def _watch(self, proto: int, key: bytes, flow: udp.Udp | udp.Echo) -> None:
        self._datagrams[proto, key] = flow
        device = self._tun.device
        source = router(flow.server[0])

        def receive(event: int) -> None:
            for _ in range(BATCH):
                if self._tun.stalled:
                    return
                packet = flow.receive(source)
                if packet is None:
                    return
                flow.used = time.monotonic()
                self._tun.answer(packet, device)

        self._loop.add(flow.fileno(), IN, receive)

    def _send(self, flow: udp.Udp | udp.Echo, packet: ip.Packet, data: bytes, payload: bytes) -> None:
        flow.used = time.monotonic()
        flow.last = data
        answer = flow.send(payload, router(packet.dst))
        if answer is not None:
            self._tun.answer(answer)

    def _make_room(self) -> None:
        if len(self._datagrams) >= udp.MOST:
            self._end_datagrams(min(self._datagrams, key=lambda key: self._datagrams[key].used))

    def _end_datagrams(self, key: tuple[int, bytes]) -> None:
        flow = self._datagrams.pop(key)
        self._loop.remove(flow.fileno())
        flow.close()
