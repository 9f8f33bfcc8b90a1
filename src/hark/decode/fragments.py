"""IP fragments put together (RFC 791 §3.2, RFC 8200 §4.5).

What   The packets in the making, by addresses, protocol and identification.
Why    The first to bring an offset wins; overlaps that do not match an offset are never completed, as RFC 5722 asks.
Limits FRAGMENTED packets in the making; the oldest is given up.
"""

from hark.decode import limits
from hark.wire import ip


class Fragments:
    """Feed fragments; get whole packets."""

    def __init__(self) -> None:
        self._parts: dict[tuple[bytes, bytes, int, int], dict[int, tuple[bytes, bool]]] = {}

    def feed(self, packet: ip.Packet, data: memoryview) -> memoryview | None:
        """The whole IP packet once its last missing fragment is here."""
        if packet.fragment is None:
            return None
        ident, offset, more = packet.fragment
        key = (packet.src, packet.dst, packet.proto, ident)
        parts = self._parts.setdefault(key, {})
        parts.setdefault(offset, (bytes(data[packet.start : packet.end]), more))
        if len(self._parts) > limits.FRAGMENTED:
            del self._parts[next(iter(self._parts))]
        body = ip.join(parts)
        if body is None or len(body) > 65535:
            return None
        del self._parts[key]
        return memoryview(ip.ip_header(packet.src, packet.dst, packet.proto, min(len(body), 65515)) + body)
