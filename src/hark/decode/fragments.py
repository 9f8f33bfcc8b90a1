"""Reassembly of IP fragments (RFC 791 §3.2, RFC 8200 §4.5).

What   Incomplete packets by addresses, protocol and identification.
Why    The first fragment with an offset counts; packets with overlapping fragments are never completed, as RFC 5722
       demands.
Limits FRAGMENTED incomplete packets; the oldest is dropped.
"""

from hark.bounded import Bounded
from hark.decode import limits
from hark.wire import ip


class Fragments:
    """The incomplete packets of a recording."""

    def __init__(self) -> None:
        self._parts: Bounded[tuple[bytes, bytes, int, int], dict[int, tuple[bytes, bool]]] = Bounded(limits.FRAGMENTED)

    def feed(self, packet: ip.Packet, data: memoryview) -> memoryview | None:
        """Add a fragment; the whole IP packet once it is complete, else None."""
        if packet.fragment is None:
            return None
        ident, offset, more = packet.fragment
        key = (packet.src, packet.dst, packet.proto, ident)
        parts = self._parts.setdefault(key, {})
        parts.setdefault(offset, (bytes(data[packet.start : packet.end]), more))
        body = ip.join(parts)
        if body is None or len(body) > 65535:
            return None
        del self._parts[key]
        return memoryview(ip.ip_header(packet.src, packet.dst, packet.proto, min(len(body), 65515)) + body)
