"""Keep-alive probes are passed on: when the program's kernel sends one, the real connection sends one too.

What   A probe of the program's kernel (RFC 9293 §3.8.4: a segment that repeats the last sequence number) is held back,
       the real connection's kernel is made to send one, and when the server answers the probe goes on to our
       listener, whose kernel answers it. If the server does not answer, nobody does, and the program's kernel gives
       up as it would have: by its own counts and times, with its own error.
Why    The program's settings need not be known, and may change at any time. Routers between see the probes, so that
       they keep their tables.
How    TCP_KEEPIDLE of a second makes the kernel send a probe at once if nothing was received for that long; the next
       of its own would come after nine hours.
Limits While the server has not acknowledged all that was sent, the kernel retransmits and sends no probes; then ours
       is answered at once, and what ends the connection is the retransmissions' time-out.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from hark.tap.loop import Loop
from hark.tap.tun.flows import Flow, Relayed
from hark.tap.tun.relay import Relay
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# s between checks whether the server has answered
_LOOK_FIRST: Final = 0.001
_LOOK_MAX: Final = 0.25
_GIVE_UP: Final = 75.0  # s: a probe is not answered any more
_RECENT: Final = 50  # ms by which the clocks of the two sides may differ
# The longest there is for the next one, and at last what sends one now.
_ASK: Final = ((socket.TCP_KEEPINTVL, 32767), (socket.TCP_KEEPCNT, 127), (socket.TCP_KEEPIDLE, 1))
# Bytes of struct tcp_info, and its fields' offsets
_INFO_SIZE: Final = 136
_LAST_ACK: Final = 56
_RECEIVED: Final = 128


class Probes:
    """The probes that are held back. `forward` lets the packet of a flow go on."""

    def __init__(self, loop: Loop, forward: Callable[[Flow, bytes, bytes], None]) -> None:
        self._loop = loop
        self._forward = forward
        self._held: dict[Flow, tuple[bytes, bytes, float]] = {}

    def take(self, flow: Flow, packet: bytes, vnet: bytes) -> bool:
        """Whether this packet, which came after a quiet time, is a probe and was held back."""
        state = flow.state
        if not isinstance(state, Relayed) or not _is_probe(flow, packet, state.relay):
            return False
        server = state.relay.server
        if state.relay.doomed or state.relay.closed or server.pending is not None or server.unsent():
            return False
        server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _ASK:
            server.sock.setsockopt(socket.IPPROTO_TCP, name, value)
        new = flow not in self._held
        self._held[flow] = (packet, vnet, time.monotonic())
        if new:
            self._look(flow, state.relay, _LOOK_FIRST)
        return True

    def _look(self, flow: Flow, relay: Relay, pause: float) -> None:
        """Pass the probe on if the server has sent something since it came, else check again later."""
        packet, vnet, came = self._held[flow]
        waited = time.monotonic() - came
        if relay.closed or relay.doomed or waited > _GIVE_UP:
            del self._held[flow]
            return
        info = relay.server.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
        if struct.unpack_from("=I", info, _LAST_ACK)[0] <= waited * 1000 + _RECENT:
            del self._held[flow]
            self._forward(flow, packet, vnet)
            return
        again = min(max(pause, waited / 4), _LOOK_MAX)
        self._loop.later(pause, lambda: self._look(flow, relay, again), relay.abort)


def _is_probe(flow: Flow, packet: bytes, relay: Relay) -> bool:
    """Whether it carries nothing and repeats the last sequence number that our side has received."""
    head = 20 if packet[0] >> 4 == 4 else 40
    segment = ip.tcp(packet, head, len(packet))
    if segment is None or segment.flags != ip.ACK or len(packet) > segment.start + 1:
        return False
    info = relay.program.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
    if len(info) < _INFO_SIZE:
        return False  # before Linux 4.1
    received = struct.unpack_from("=Q", info, _RECEIVED)[0]
    return bool(segment.seq == (flow.isn + received) & 0xFFFFFFFF)
