"""A connection that begins with a PROXY protocol header (wire/proxyprotocol.py).

What   Removes the header from the client's bytes, reports the addresses in it, and passes what follows to the layer
       inside.
Limits 107 bytes of a version 1 header, 64 KiB of a version 2 header: the formats' own.
"""

from collections.abc import Sequence

from hark.decode.events import Event, Proxied, Side
from hark.decode.layer import Layer
from hark.wire import proxyprotocol


class ProxyHeader:
    """The header, then what is inside."""

    def __init__(self, number: int, inside: Layer) -> None:
        self._number = number
        self._inside = inside
        self._buffer = b""
        self._done = False
        self.lost = inside.lost
        self.end = inside.end
        self.close = inside.close

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        if self._done or side == Side.SERVER:
            return self._inside.feed(side, data, time)
        self._buffer += bytes(data)
        found = proxyprotocol.header(self._buffer)
        if found is not None and not found.size:
            return ()
        self._done = True
        header = found or proxyprotocol.Header(0)
        out: list[Event] = []
        if header.client:
            client, server = (header.client, header.client_port), (header.server, header.server_port)
            out.append(Proxied(self._number, time, client, server))
        rest, self._buffer = self._buffer[header.size :], b""
        out.extend(self._inside.feed(side, rest, time) if rest else ())
        return out
