"""What meets a ClientHello and is not TLS: a plain HTTP port, a mail server, anything.

What   Otherwise reads what the server says instead of TLS, as HTTP where it is that; Banner waits for what the client
       says to a server that spoke first. Both tell it (NotTls).
Limits The first line, or 64 bytes, decide what it is. Nothing else is kept.
"""

from collections.abc import Sequence
from typing import Final

from hark.decode import sniff
from hark.decode.endings import Ending, How
from hark.decode.events import Event, NotTls, Protocol, Side
from hark.decode.layer import Layer

_NAMES: Final = {sniff.HTTP1: "HTTP", sniff.HTTP2: "HTTP/2"}


class Otherwise:
    """The server's side of such a connection; the client's ClientHello stands before. http: what reads HTTP/1."""

    def __init__(self, number: int, http: Layer) -> None:
        self._number = number
        self._http = http
        self._head = b""
        self._name: str | None = None  # what it is, once that is known

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent; the client's are TLS still, and nobody reads them."""
        if side == Side.CLIENT:
            return ()
        if self._name is not None:
            return self._http.feed(side, data, time) if self._name == sniff.HTTP1 else ()
        self._head += bytes(data)
        name = sniff.answer(self._head)
        return () if name == sniff.MORE else self._tell(name, time)

    def _tell(self, name: str, time: int) -> Sequence[Event]:
        self._name = name
        out: list[Event] = [NotTls(self._number, time, _NAMES.get(name, name)), Protocol(self._number, time, name)]
        if name == sniff.HTTP1:
            out.extend(self._http.feed(Side.SERVER, self._head, time))
        self._head = b""
        return out

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes by `side` are missing."""
        return self._http.lost(side, size, time) if self._name == sniff.HTTP1 and side == Side.SERVER else ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more. The client's end says nothing about the response: it left because of it."""
        if side == Side.CLIENT:
            return ()
        out = list(self._tell(sniff.OPAQUE, time)) if self._head else []
        out.extend(self._http.end(side, how, time))
        return out

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        out = list(self._tell(sniff.OPAQUE, ending.time)) if self._head else []
        out.extend(self._http.close(ending))
        return out


class Banner:
    """A connection on which the server spoke first, in something that is not followed."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._head: bytes | None = b""  # the client's first bytes; None once it is known what they are

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        if self._head is None or side == Side.SERVER:
            return ()
        self._head += bytes(data)
        name = sniff.protocol(Side.CLIENT, self._head)
        if name == sniff.MORE:
            return ()
        self._head = None
        return (NotTls(self._number, time, self._name),) if name == sniff.TLS else ()

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes by `side` are missing."""
        if side == Side.CLIENT:
            self._head = None
        return ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more."""
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        return ()
