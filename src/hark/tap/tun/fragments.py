"""IP packets that a program cuts itself, because it has learnt a small MTU, put together again.

Limits MOST packets at a time.
"""

from __future__ import annotations

from hark.bounded import Bounded
from hark.wire import ip


class Fragments:
    """Takes fragments, gives packets."""

    MOST = 64  # packets in reassembly; past it the oldest is dropped

    def __init__(self) -> None:
        self._parts: Bounded[tuple[bytes, bytes, int, int], dict[int, tuple[bytes, bool]]] = Bounded(self.MOST)

    def feed(self, packet: ip.Packet, data: memoryview) -> bytes | None:
        """The whole IP packet once its last missing fragment is here."""
        assert packet.fragment is not None
        ident, offset, more = packet.fragment
        key = (packet.src, packet.dst, packet.proto, ident)
        parts = self._parts.setdefault(key, {})
        parts[offset] = (bytes(data[packet.start : packet.end]), more)
        body = ip.join(parts)
        if body is None:
            return None
        self._parts.pop(key, None)
        return ip.ip_header(packet.src, packet.dst, packet.proto, len(body)) + body
