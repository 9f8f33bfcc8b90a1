"""A connection that begins with a PROXY protocol header (wire/proxyprotocol.py).

What   Removes the header from the client's bytes, reports the addresses in it, and passes what follows to the layer
       inside.
Limits 107 bytes of a version 1 header, 64 KiB of a version 2 header: the formats' own.
"""

from collections.abc import Sequence

from hark.decode.events import Event, Proxied, Side
from hark.decode.layer import Data, Layer, Wrapper
from hark.wire import proxyprotocol


class ProxyHeader(Wrapper):
    """The header, then the layer inside."""

    def __init__(self, number: int, inside: Layer) -> None:
        super().__init__(inside)
        self._number = number
        self._buffer = b""
        self._done = False

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        if self._done or side == Side.SERVER:
            return self._inside.feed(side, data, time)
        self._buffer += bytes(data)
        header = proxyprotocol.header(self._buffer)
        if header is not None and not header.size:
            return ()
        self._done = True
        size, client, port, server, server_port = header or proxyprotocol.Header(0)
        out: list[Event] = []
        if client:
            out.append(Proxied(self._number, time, (client, port), (server, server_port)))
        rest, self._buffer = self._buffer[size:], b""
        out.extend(self._inside.feed(side, rest, time) if rest else ())
        return out
