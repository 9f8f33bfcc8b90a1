"""The order of the stack: what may speak inside what, and which file tells it.

What   A Channel is a byte stream in both directions whose protocol is found out by content (sniff.py) and then told by
       its layer; layers ask here for what takes over after an upgrade, a CONNECT, a proxy's handshake.
Why    One place knows what stands on what, so no protocol knows another.
Limits LAYERS protocols inside each other; SNIFF_BYTES while it is open what is spoken.
"""

from collections.abc import Callable, Sequence
from typing import Protocol as Interface

from hark.decode import dns, limits, sniff
from hark.decode.endings import Ending, Ends, How
from hark.decode.events import Closed, Established, Event, Opened, Protocol, Side, Trouble
from hark.decode.http1 import Http1
from hark.decode.http2 import Http2
from hark.decode.layer import Expecting, Layer, Streams, Upgrade
from hark.decode.nottls import Banner, Otherwise
from hark.decode.proxyprotocol import ProxyHeader
from hark.decode.socks import Socks
from hark.decode.websocket import Websocket


class Host(Interface):
    """What a channel needs of the decoder."""

    def tls(self, number: int, inside: Expecting) -> Layer:
        """A TLS layer of connection `number` around `inside`."""

    def number(self) -> int:
        """A new connection's number."""


class Opaque:
    """Bytes that hark has no name for: counted below, told by nobody."""

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Nothing to tell."""
        return ()

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Nothing to tell."""
        return ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """Nothing to tell."""
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """Nothing to tell."""
        return ()


class Channel:
    """A byte stream in both directions whose protocol is yet to be found out: a TCP connection, a TLS session's inside,
    a tunnel's. depth: how many protocols it is inside of; joined: its beginning was not captured."""

    def __init__(self, host: Host, number: int, depth: int = 0, joined: bool = False) -> None:
        self._host = host
        self._number = number
        self._depth = depth
        self._joined = joined
        self._layer: Layer | None = None
        self._early: list[tuple[Side, bytes, int]] = []
        self._heads = [b"", b""]
        self._lost = 0  # bytes missing before it was known what is spoken
        self.feed: Callable[[Side, bytes | memoryview, int], Sequence[Event]] = self._join if joined else self._first

    def _first(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent, while it is open what they are; afterwards `feed` is the layer's own."""
        raw = bytes(data)
        self._early.append((side, raw, time))
        self._heads[side] += raw
        name = sniff.protocol(side, self._heads[side])
        if name == sniff.OPAQUE and side == Side.SERVER and not self._heads[Side.CLIENT]:
            return self._speak_first(time)
        if name in (sniff.MORE, sniff.OPAQUE):
            name = sniff.answered(self._heads[0], self._heads[1], name)
            if name == sniff.MORE and len(self._heads[side]) < limits.SNIFF_BYTES:
                return ()
        return self._become(name, time)

    def _speak_first(self, time: int) -> Sequence[Event]:
        """The server speaks first, and it is nothing that is followed: it may still meet a ClientHello."""
        name = sniff.other(Side.SERVER, self._heads[Side.SERVER])
        self._layer = Banner(self._number, name)
        self.feed = self._layer.feed
        self._early.clear()
        return (Protocol(self._number, time, name),)

    def _answer(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes behind a ClientHello, until the server has answered: in TLS, or in something else."""
        assert self._layer is not None
        if side == Side.CLIENT or not len(data):
            return self._layer.feed(side, data, time)
        if data[0] in sniff.TLS_RECORDS:
            self.feed = self._layer.feed
            return self.feed(side, data, time)
        out = list(self._layer.close(Ending(None, How.ABANDONED, time, "it was not answered in TLS")))
        self._layer = Otherwise(self._number, Http1(self._number, self._upgrade))
        self.feed = self._layer.feed
        out.extend(self.feed(side, data, time))
        return out

    def _join(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent, passed over until some come that can be followed."""
        raw = bytes(data)
        name, begun = sniff.joined(side, raw), b""
        if name in (sniff.OPAQUE, sniff.MORE) and self._heads[side]:  # a first line in several segments
            whole = sniff.joined(side, self._heads[side] + raw)
            if whole != sniff.OPAQUE and len(self._heads[side]) <= limits.HEAD_BYTES:
                name, begun = whole, self._heads[side]
        if not begun:
            self._early = [early for early in self._early if early[0] != side]
        self._heads[side] = begun + raw if name == sniff.MORE else b""
        if name == sniff.OPAQUE:
            return ()
        self._early.append((side, raw, time))
        return self._become(name, time, joined=side) if name != sniff.MORE else ()

    def expect(self, alpn: str, time: int) -> Sequence[Event]:
        """ALPN has chosen: HTTP/2 servers may speak first, so what is sent need not be waited for."""
        if alpn == "h2" and self._layer is None:
            return self._become(sniff.HTTP2, time)
        return ()

    def _become(self, name: str, time: int, joined: Side | None = None) -> Sequence[Event]:
        """Speak `name` from here on; joined: whose bytes told so, where the beginning was not captured."""
        out: list[Event] = []
        number = self._number
        if self._depth >= limits.LAYERS:
            name = sniff.OPAQUE
        if name == sniff.TLS:
            self._layer = self._host.tls(number, self._inner())
        elif name == sniff.HTTP1:
            self._layer = Http1(number, self._upgrade, Side(1 - joined) if joined is not None else None)
        elif name == sniff.HTTP2:
            self._layer = Http2(number, self.upgrade_stream, joined=joined is not None)
        elif name in (sniff.SOCKS4, sniff.SOCKS5):
            self._layer = Socks(int(name[-1]), self._inner)
        elif name == sniff.PROXY:
            self._layer = ProxyHeader(number, self._inner())
        elif name == sniff.DNS:
            self._layer = dns.Stream(number)
        else:
            self._layer = Opaque()
            name = sniff.others(self._heads[0], self._heads[1]) if self._early else sniff.OPAQUE
        if name != sniff.TLS:
            out.append(Protocol(number, time, name))
        if self._lost:
            text = f"{self._lost} bytes at its beginning were not captured"
            out.append(Trouble(time, "lost-beginning", number, text))
        self.feed = self._answer if name == sniff.TLS and joined is None else self._layer.feed
        early, self._early = self._early, []
        for side, data, when in early:
            out.extend(self.feed(side, data, when))
        return out

    def _inner(self) -> "Channel":
        return Channel(self._host, self._number, self._depth + 1)

    def _upgrade(self, upgrade: Upgrade, time: int) -> tuple[Layer, Sequence[Event]]:
        """What takes over the whole connection after a 101 or a CONNECT."""
        if upgrade.token == "h2c":
            layer: Layer = Http2(self._number, self.upgrade_stream, upgraded=upgrade.request.stream)
            return layer, (Protocol(self._number, time, sniff.HTTP2),)
        if upgrade.token == "tunnel":
            return self._inner(), ()
        if upgrade.token == "websocket":
            layer = Websocket(self._number, upgrade, (Side.SERVER,))
            return layer, (Protocol(self._number, time, upgrade.token),)
        return Opaque(), (Protocol(self._number, time, upgrade.token),)

    def upgrade_stream(self, upgrade: Upgrade, time: int) -> tuple[Layer, Sequence[Event]]:
        """What takes over one stream of a connection with many. A tunnel in there is a connection of its own."""
        if upgrade.token == "websocket":
            return Websocket(self._number, upgrade, (Side.CLIENT, Side.SERVER)), ()
        if upgrade.token != "tunnel":
            return Opaque(), ()
        number = self._host.number()
        host, _, port = (upgrade.request.authority or upgrade.request.target).rpartition(":")
        server = (host.strip("[]"), int(port) if port.isdigit() and len(port) < 6 else 0)
        opened = Opened(number, time, ("", 0), server, 0, self._number)
        return _Tunnel(number, Channel(self._host, number, self._depth + 1)), (opened, Established(number, time))

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes by `side` are missing; before it is known what is spoken, that has to be found out in the middle."""
        if self._layer is not None:
            return self._layer.lost(side, size, time)
        if self._heads[side] and sniff.asks(self._heads[side]):  # a first line that was cut
            self._heads[side] = b""
            out = self._become(sniff.HTTP1, time, side if self._joined else None)
            assert self._layer is not None
            return [*out, *self._layer.lost(side, size, time)]
        self._lost += size
        self._early.clear()
        self.feed = self._join
        return ()

    def earlier(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent before it had any of what is known of the other: in HTTP/1, where answers are known by
        their order alone, they answer nothing of that."""
        if side == Side.SERVER and isinstance(self._layer, Http1) and self._layer.passes_over():
            return ()
        return self.feed(side, data, time)

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more."""
        return self._layer.end(side, how, time) if self._layer is not None else ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        head = self._heads[Side.CLIENT]
        if self._layer is None and not self._lost and head and sniff.protocol(Side.CLIENT, head) == sniff.OPAQUE:
            return self._become(sniff.OPAQUE, ending.time)  # what waited for an answer that did not come
        return self._layer.close(ending) if self._layer is not None else ()


class _Tunnel:
    """A tunnel through a stream, with the count and the end that a connection has."""

    def __init__(self, number: int, inside: Channel) -> None:
        self._number = number
        self._inside = inside
        self._sizes = [0, 0]
        self._ends = Ends()
        self.lost = inside.lost

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        self._sizes[side] += len(data)
        return self._inside.feed(side, data, time)

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more."""
        self._ends.add(side, how, time)
        return self._inside.end(side, how, time)

    def close(self, ending: Ending) -> Sequence[Event]:
        """The stream, or the connection around it, is over."""
        inside = self._inside.close(ending)
        return [*inside, Closed(self._number, ending.time, self._ends.cause(ending), *self._sizes)]


class _OpaqueStreams:
    """A QUIC application that hark has no name for."""

    def feed(self, side: Side, stream: int, data: bytes | memoryview, fin: bool, time: int) -> Sequence[Event]:
        return ()

    def lost(self, side: Side, stream: int, size: int, time: int) -> Sequence[Event]:
        return ()

    def reset(self, side: Side, stream: int, code: int, stopping: bool, time: int) -> Sequence[Event]:
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        return ()


def quic_inside(host: Host, number: int, alpn: str, time: int) -> tuple[Streams, Sequence[Event]]:
    """What speaks inside a QUIC connection that agreed on `alpn`."""
    if alpn == "h3" or alpn.startswith("h3-"):
        from hark.decode.http3 import Http3

        return Http3(number, Channel(host, number, 1).upgrade_stream), (Protocol(number, time, "h3"),)
    return _OpaqueStreams(), (Protocol(number, time, alpn),)
