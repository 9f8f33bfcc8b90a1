"""The NAT plane: packets from the TUN are redirected to a listening socket inside the namespace, and back.

What   The program's SYN to server:port is rewritten to come from a made-up peer and go to our listener; what the
       listener's side sends to that peer is rewritten to come from server:port. The kernel's own TCP is at both
       ends, so there is no TCP stack of ours: no windows, no timers, no congestion control.
Why    It is the fastest way in user space (a relay over kernel sockets moves 64 KiB a call) and the most faithful:
       the program's peer is the TCP that it would have on loopback.
How    Every direction of a flow is one Turn: the twelve (or 36) bytes of addresses and ports to put in, and what that
       adds to the checksums (RFC 1624), worked out once per flow. A packet costs one dictionary look-up.
Limits A peer address carries 60,000 flows; peers are added as needed, up to 200. Flows to servers inside the
       namespace (127.0.0.1) are handed straight back: their Turn has no change.
Not    nftables or a redirect in the kernel: they need capabilities that the capture process outside does not have, and
       they would hide the packets from the recording.
"""

from __future__ import annotations

import functools
import struct

from hark.record import Record
from hark.tap.tun.device import Device
from hark.tap.tun.flows import Address, Flow
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_get16 = struct.Struct("!H").unpack_from
_put16 = struct.Struct("!H").pack_into
_PORT_FIRST: Final = 2000
_PORT_LAST: Final = 62000
_PEERS: Final = 200


class Turn(Record):
    """What to do with one direction of a flow."""

    ends: bytes  # the new source, destination, source port, destination port; empty: hand the packet straight back
    ip_sum: int  # to add to the IPv4 header's sum
    partial_sum: int  # to add to the transport's sum when it is left to the device (pseudo header only)
    whole_sum: int  # to add to the transport's sum when it is whole
    inward: bool  # from our listener to the program: recorded as rewritten; otherwise as it came
    flow: Flow
    lo: Device | None = None  # the way to the program, where it is not the device that the packet came from


class Nat:
    """The flows of the namespace, by the bytes that identify their packets."""

    def __init__(self, here4: bytes, here6: bytes, port: int) -> None:
        self._here = {4: here4, 16: here6}
        self._port = port
        self._next: dict[bytes, int] = {}  # by the peers' network
        self._by_peer: dict[Address, Flow] = {}
        self.turns: dict[bytes, Turn] = {}

    def open(self, client: Address, server: Address, local: bool, device: Device | None, peers: bytes) -> Flow:
        """A flow for a SYN. An earlier flow with the same ends must have been closed first.

        `device` is the way back to the program where it is not the one that the flow's packets come from (for ::1).
        `peers` is the network of the made-up peers: the one of the device where the SYN came from. Raises OverflowError
        where each of its peers and ports has a flow (12 million)."""
        width = len(client[0])
        key = ends(client, server)
        if local:
            back = ends(server, client)
            flow = Flow(client, server, client, key, back, True)
            self.turns[key] = Turn(b"", 0, 0, 0, False, flow, device)
            self.turns[back] = Turn(b"", 0, 0, 0, True, flow, device)
            return flow
        peer = self._peer(peers)
        here = (self._here[width], self._port)
        back = ends(here, peer)
        flow = Flow(client, server, peer, key, back, False)
        self.turns[key] = _turn(key, ends(peer, here), width, False, flow, None)
        self.turns[back] = _turn(back, ends(server, client), width, True, flow, device)
        self._by_peer[peer] = flow
        return flow

    def accepted(self, peer: Address) -> Flow | None:
        """The flow whose connection our listener has accepted from `peer`."""
        return self._by_peer.get(peer)

    def close(self, flow: Flow) -> None:
        """Forget a flow: its packets are strangers from now on."""
        for key in (flow.key, flow.back):
            turn = self.turns.get(key)
            if turn is not None and turn.flow is flow:
                del self.turns[key]
        if self._by_peer.get(flow.peer) is flow:
            del self._by_peer[flow.peer]

    def _peer(self, peers: bytes) -> Address:
        """The next made-up peer that no flow uses. Numbers go round, so that a late packet of an old flow finds
        nobody rather than somebody else."""
        span = _PORT_LAST - _PORT_FIRST
        for _ in range(span * _PEERS):
            number = self._next.get(peers, 0)
            self._next[peers] = (number + 1) % (span * _PEERS)
            peer = (peers[:-1] + bytes([2 + number // span]), _PORT_FIRST + number % span)
            if peer not in self._by_peer:
                return peer
        raise OverflowError("more flows than peers")


def ends(source: Address, target: Address) -> bytes:
    """Addresses and ports as in a packet, one after the other."""
    return source[0] + target[0] + source[1].to_bytes(2, "big") + target[1].to_bytes(2, "big")


_delta = functools.lru_cache(maxsize=256)(ip.delta16)  # of addresses, which most flows have in common


def _turn(old: bytes, new: bytes, width: int, inward: bool, flow: Flow, device: Device | None) -> Turn:
    addresses = _delta(old[: 2 * width], new[: 2 * width])
    whole = ip.fold(addresses + ip.delta16(old[2 * width :], new[2 * width :]))
    return Turn(new, addresses, addresses, whole, inward, flow, device)


def rewrite(
    data: bytearray | memoryview,
    start: int,
    head: int,
    low: int,
    high: int,
    new: bytes,
    ip_sum: int,
    partial: int,
    partial_sum: int,
    whole_sum: int,
) -> None:
    """Put new ends into a packet and correct its checksums (RFC 1624). Offsets in bytes: start of the IP header; head,
    from there to TCP's; low to high, from there, the ends. ip_sum, partial_sum, whole_sum: what the sums change by."""
    data[start + low : start + high] = new
    if head == 20:
        total = (~_get16(data, start + 10)[0] & 0xFFFF) + ip_sum
        _put16(data, start + 10, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    at = start + head + 16
    old = _get16(data, at)[0]
    if partial:  # the device would finish it: only the pseudo header is in there, not complemented
        total = old + partial_sum
        total = (total & 0xFFFF) + (total >> 16)
    else:
        total = (~old & 0xFFFF) + whole_sum
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    _put16(data, at, total)
