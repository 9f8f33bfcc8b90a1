"""The order of the stack: which protocol may be inside which.

What   A Channel is a byte stream in both directions. Its protocol is detected by content (sniff.py), and its layer does
       the rest. Layers get from here what takes over after an upgrade, a CONNECT, or a proxy's handshake.
Why    One file knows the order, so no protocol knows another.
Limits LAYERS protocols inside each other; SNIFF_BYTES until the protocol is detected.
"""

from collections.abc import Sequence

from hark.decode import dns, limits, sniff
from hark.decode.context import Context
from hark.decode.endings import Ending, Ends, How
from hark.decode.events import Closed, Established, Event, Opened, Protocol, Side, Trouble, TroubleKind
from hark.decode.http1 import Http1
from hark.decode.http2 import Http2
from hark.decode.layer import Data, Expecting, Layer, Streams, Upgrade, Wrapper
from hark.decode.nottls import PlainAnswer, ServerFirst
from hark.decode.proxyprotocol import ProxyHeader
from hark.decode.socks import Socks
from hark.decode.tls import Tls
from hark.decode.websocket import Websocket


class Opaque(Layer):
    """A protocol that hark does not decode."""


class Channel(Expecting):
    """A byte stream in both directions whose protocol has to be detected: a TCP connection, the inside of TLS, a
    tunnel. depth: how many protocols it is inside of; joined: the capture began after it did."""

    def __init__(self, context: Context, number: int, depth: int = 0, joined: bool = False) -> None:
        self._context = context
        self._number = number
        self._depth = depth
        self._joined = joined
        self._midway = joined  # its beginning is missing: the protocol may be detected by any segment
        self._layer: Layer | None = None
        self._settled = False  # the layer gets every byte
        self._early: list[tuple[Side, bytes, int]] = []  # bytes before the protocol was detected, with their times
        self._heads = [b"", b""]  # the first bytes of each side
        self._lost = 0  # bytes that were missing before the protocol was detected

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        # Replacing self.feed by the layer's spares this call, but gains less than 1 % (measured by instructions).
        layer = self._layer
        if layer is None:
            return self._detect_midway(side, data, time) if self._midway else self._detect(side, data, time)
        return layer.feed(side, data, time) if self._settled else self._after_hello(layer, side, data, time)

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes of `side` are missing; if the protocol is not detected yet, that has to be done by what follows."""
        if self._layer is not None:
            return self._layer.lost(side, size, time)
        if self._heads[side] and sniff.begins_request(self._heads[side]):  # a first line that was cut
            self._heads[side] = b""
            out = self._start(sniff.HTTP1, time, side if self._joined else None)
            assert self._layer is not None
            return [*out, *self._layer.lost(side, size, time)]
        self._lost += size
        self._early.clear()
        self._midway = True
        return ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction."""
        return self._layer.end(side, how, time) if self._layer is not None else ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        head = self._heads[Side.CLIENT]
        if self._layer is None and not self._lost and head and sniff.protocol(Side.CLIENT, head) == sniff.OPAQUE:
            return self._start(sniff.OPAQUE, ending.time)  # it depended on the server's answer, which did not come
        return self._layer.close(ending) if self._layer is not None else ()

    def expect(self, alpn: str, time: int) -> Sequence[Event]:
        """ALPN has selected a protocol: HTTP/2 servers may send first, so the client's bytes are not waited for."""
        if alpn == "h2" and self._layer is None:
            return self._start(sniff.HTTP2, time)
        return ()

    def before_requests(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """In HTTP/1, whose responses are known by their order alone, such bytes of the server are skipped."""
        if side == Side.SERVER and isinstance(self._layer, Http1) and self._layer.skips_response():
            return ()
        return self.feed(side, data, time)

    # -- detection -----------------------------------------------------------------------------------------------------

    def _detect(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The first bytes of `side`."""
        raw = bytes(data)
        self._early.append((side, raw, time))
        self._heads[side] += raw
        name = sniff.protocol(side, self._heads[side])
        if name == sniff.OPAQUE and side == Side.SERVER and not self._heads[Side.CLIENT]:
            return self._server_first(time)
        if name in (sniff.MORE, sniff.OPAQUE):
            name = sniff.by_answer(self._heads[0], self._heads[1], name)
            if name == sniff.MORE and len(self._heads[side]) < limits.SNIFF_BYTES:
                return ()
        return self._start(name, time)

    def _detect_midway(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """Bytes of `side` from within the stream, skipped until some come that can be decoded."""
        raw = bytes(data)
        name, before = sniff.midway(side, raw), b""
        if name in (sniff.OPAQUE, sniff.MORE) and self._heads[side]:  # a first line in several segments
            joined = sniff.midway(side, self._heads[side] + raw)
            if joined != sniff.OPAQUE and len(self._heads[side]) <= limits.HEAD_BYTES:
                name, before = joined, self._heads[side]
        if not before:
            self._early = [early for early in self._early if early[0] != side]
        self._heads[side] = before + raw if name == sniff.MORE else b""
        if name == sniff.OPAQUE:
            return ()
        self._early.append((side, raw, time))
        return self._start(name, time, midway=side) if name != sniff.MORE else ()

    def _server_first(self, time: int) -> Sequence[Event]:
        """The server sends first, in a protocol that is not decoded; it may still get a ClientHello."""
        name = sniff.other_protocol(Side.SERVER, self._heads[Side.SERVER])
        self._layer = ServerFirst(self._number, name)
        self._settled = True
        self._early.clear()
        return (Protocol(self._number, time, name),)

    def _after_hello(self, tls: Layer, side: Side, data: Data, time: int) -> Sequence[Event]:
        """Bytes after a ClientHello, until the server has answered in TLS or in another protocol."""
        if side == Side.CLIENT or not len(data):
            return tls.feed(side, data, time)
        self._settled = True
        if data[0] in sniff.TLS_RECORDS:
            return tls.feed(side, data, time)
        out = list(tls.close(Ending(None, How.ABANDONED, time, "it was not answered in TLS")))
        self._layer = PlainAnswer(self._number, Http1(self._number, self._upgrade, cache=self._context.cache))
        out.extend(self._layer.feed(side, data, time))
        return out

    def _start(self, name: str, time: int, midway: Side | None = None) -> Sequence[Event]:
        """Create the layer of a detected protocol; midway: the side whose bytes decided, if the beginning is
        missing."""
        out: list[Event] = []
        number = self._number
        if self._depth >= limits.LAYERS:
            name = sniff.OPAQUE
        self._layer = self._make(name, midway)
        self._settled = name != sniff.TLS or midway is not None
        if isinstance(self._layer, Opaque):
            name = sniff.other_protocol_of(self._heads[0], self._heads[1]) if self._early else sniff.OPAQUE
        if name != sniff.TLS:
            out.append(Protocol(number, time, name))
        if self._lost:
            text = f"{self._lost} bytes at its beginning were not captured"
            out.append(Trouble(time, TroubleKind.LOST_BEGINNING, number, text))
        early, self._early = self._early, []
        for side, data, when in early:
            out.extend(self.feed(side, data, when))
        return out

    def _make(self, name: str, midway: Side | None) -> Layer:
        number, cache = self._number, self._context.cache
        if name == sniff.TLS:
            return Tls(number, self._context.sessions, self._inner())
        if name == sniff.HTTP1:
            return Http1(number, self._upgrade, midway.other if midway is not None else None, cache)
        if name == sniff.HTTP2:
            return Http2(number, self.upgrade_stream, joined=midway is not None, cache=cache)
        if name in (sniff.SOCKS4, sniff.SOCKS5):
            return Socks(int(name[-1]), self._inner)
        if name == sniff.PROXY:
            return ProxyHeader(number, self._inner())
        if name == sniff.DNS:
            return dns.Stream(number)
        return Opaque()

    def _inner(self) -> "Channel":
        return Channel(self._context, self._number, self._depth + 1)

    # -- upgrades ------------------------------------------------------------------------------------------------------

    def _upgrade(self, upgrade: Upgrade, time: int) -> tuple[Layer, Sequence[Event]]:
        """What takes over the connection after a 101 or a CONNECT."""
        number = self._number
        if upgrade.token == "h2c":
            layer: Layer = Http2(number, self.upgrade_stream, upgrade.request.stream, cache=self._context.cache)
            return layer, (Protocol(number, time, sniff.HTTP2),)
        if upgrade.token == "tunnel":
            return self._inner(), ()
        if upgrade.token == "websocket":
            layer = Websocket(number, upgrade, (Side.SERVER,))
            return layer, (Protocol(number, time, upgrade.token),)
        return Opaque(), (Protocol(number, time, upgrade.token),)

    def upgrade_stream(self, upgrade: Upgrade, time: int) -> tuple[Layer, Sequence[Event]]:
        """What takes over one stream of HTTP/2 or HTTP/3. A tunnel in it is a connection of its own."""
        if upgrade.token == "websocket":
            return Websocket(self._number, upgrade, (Side.CLIENT, Side.SERVER)), ()
        if upgrade.token != "tunnel":
            return Opaque(), ()
        number = self._context.inner_number()
        host, _, port = (upgrade.request.authority or upgrade.request.target).rpartition(":")
        server = (host.strip("[]"), int(port) if port.isdigit() and len(port) < 6 else 0)
        opened = Opened(number, time, ("", 0), server, 0, self._number)
        return _Tunnel(number, Channel(self._context, number, self._depth + 1)), (opened, Established(number, time))


class _Tunnel(Wrapper):
    """A tunnel in a stream, with what a connection has: byte counts and an end."""

    def __init__(self, number: int, inside: Channel) -> None:
        super().__init__(inside)
        self._number = number
        self._sizes = [0, 0]  # bytes by side
        self._ends = Ends()

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        self._sizes[side] += len(data)
        return self._inside.feed(side, data, time)

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction."""
        self._ends.add(side, how, time)
        return self._inside.end(side, how, time)

    def close(self, ending: Ending) -> Sequence[Event]:
        """The stream, or its connection, is over."""
        inside = self._inside.close(ending)
        return [*inside, Closed(self._number, ending.time, self._ends.cause(ending), *self._sizes)]


def quic_inside(context: Context, number: int, alpn: str, time: int) -> tuple[Streams, Sequence[Event]]:
    """The application of a QUIC connection that has negotiated `alpn`."""
    if alpn == "h3" or alpn.startswith("h3-"):
        from hark.decode.http3 import Http3

        layer = Http3(number, Channel(context, number, 1).upgrade_stream, context.cache)
        return layer, (Protocol(number, time, "h3"),)
    return Streams(), (Protocol(number, time, alpn),)
