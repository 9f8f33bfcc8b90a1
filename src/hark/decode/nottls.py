"""Servers that get a ClientHello and do not use TLS: a plain HTTP port, a mail server, anything.

What   PlainAnswer reads what the server sends instead of TLS, as HTTP if it is that; ServerFirst waits for what the
       client sends to a server that sent first. Both report it (NotTls).
Limits The first line, or 64 bytes, decide which protocol it is. Nothing else is kept.
"""

from collections.abc import Sequence
from typing import Final

from hark.decode import sniff
from hark.decode.endings import Ending, How
from hark.decode.events import Event, NotTls, Protocol, Side
from hark.decode.layer import Data, Layer

_NAMES: Final = {sniff.HTTP1: "HTTP", sniff.HTTP2: "HTTP/2"}


class PlainAnswer(Layer):
    """The server's side of such a connection, after the client's ClientHello. http: the layer for HTTP/1."""

    def __init__(self, number: int, http: Layer) -> None:
        self._number = number
        self._http = http
        self._head = b""
        self._name: str | None = None  # the protocol, once it is detected

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`; the client's are still TLS, and ignored."""
        if side == Side.CLIENT:
            return ()
        if self._name is not None:
            return self._http.feed(side, data, time) if self._name == sniff.HTTP1 else ()
        self._head += bytes(data)
        name = sniff.answer(self._head)
        return () if name == sniff.MORE else self._detected(name, time)

    def _detected(self, name: str, time: int) -> Sequence[Event]:
        self._name = name
        out: list[Event] = [NotTls(self._number, time, _NAMES.get(name, name)), Protocol(self._number, time, name)]
        if name == sniff.HTTP1:
            out.extend(self._http.feed(Side.SERVER, self._head, time))
        self._head = b""
        return out

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes of `side` are missing."""
        return self._http.lost(side, size, time) if self._name == sniff.HTTP1 and side == Side.SERVER else ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction. The client's end is a reaction to this answer, so it does not count."""
        if side == Side.CLIENT:
            return ()
        out = list(self._detected(sniff.OPAQUE, time)) if self._head else []
        out.extend(self._http.end(side, how, time))
        return out

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        out = list(self._detected(sniff.OPAQUE, ending.time)) if self._head else []
        out.extend(self._http.close(ending))
        return out


class ServerFirst(Layer):
    """A connection on which the server sent first, in a protocol that is not decoded."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._head: bytes | None = b""  # the client's first bytes; None once their protocol is known

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        if self._head is None or side == Side.SERVER:
            return ()
        self._head += bytes(data)
        name = sniff.protocol(Side.CLIENT, self._head)
        if name == sniff.MORE:
            return ()
        self._head = None
        return (NotTls(self._number, time, self._name),) if name == sniff.TLS else ()

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes of `side` are missing."""
        if side == Side.CLIENT:
            self._head = None
        return ()
