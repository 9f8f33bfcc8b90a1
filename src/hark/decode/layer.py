"""The base classes of protocols: a layer over one byte stream, a layer around another one, the streams of QUIC.

May hold: what all protocols have in common. May not hold: a protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from hark.decode.endings import Ending, How, Side

if TYPE_CHECKING:
    from hark.decode.events import Event, RequestHead, ResponseHead

# What a layer is fed. A memoryview spares copies of large records and bodies: with bytes alone, a large download takes
# 10 % more CPU, while small exchanges gain less than 1 % (measured on 64 MiB and on 2,000 exchanges over TLS 1.3).
Data = bytes | memoryview


class Layer:
    """Both directions of one byte stream. Each method returns the events that the call has caused, and raises nothing
    because of what a peer sent. Times are ns since the epoch. This base class ignores everything."""

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`, in order. They are valid until the next call only."""
        return ()

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """The next `size` bytes of `side` were not captured."""
        return ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction (a FIN, a close_notify)."""
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over, by `ending`."""
        return ()


class Wrapper(Layer):
    """A layer around another, which gets everything that a subclass does not handle itself."""

    def __init__(self, inside: Layer) -> None:
        self._inside = inside

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        return self._inside.feed(side, data, time)

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes of `side` were not captured."""
        return self._inside.lost(side, size, time)

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction."""
        return self._inside.end(side, how, time)

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        return self._inside.close(ending)


class Expecting(Layer):
    """A layer whose protocol is detected, with what the layer below knows of it."""

    def expect(self, alpn: str, time: int) -> Sequence[Event]:
        """The protocol that ALPN has selected, "" for none."""
        return ()

    def before_requests(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """Bytes that `side` sent before it got any captured byte of the other side: they answer no captured request."""
        return ()


class Streams:
    """The application of a QUIC connection: many byte streams, by stream id. This base class ignores everything."""

    def feed(self, side: Side, stream: int, data: Data, fin: bool, time: int) -> Sequence[Event]:
        """The next bytes of `side` on a stream, in order; fin: they are the last ones."""
        return ()

    def lost(self, side: Side, stream: int, size: int, time: int) -> Sequence[Event]:
        """The next `size` bytes of `side` on a stream were not captured."""
        return ()

    def reset(self, side: Side, stream: int, code: int, stopping: bool, time: int) -> Sequence[Event]:
        """`side` resets its half of a stream; stopping: it asks the other side to (STOP_SENDING)."""
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over, by `ending`."""
        return ()


class Upgrade(NamedTuple):
    """What a connection or a stream was switched to. token: of the Upgrade header after a 101; "tunnel", or the
    :protocol of an extended CONNECT, after a 2xx to a CONNECT."""

    token: str
    request: RequestHead
    response: ResponseHead


Upgrader = Callable[[Upgrade, int], "tuple[Layer, Sequence[Event]]"]

# Protocols whose messages belong to the exchange that began them, which ends with them. Any other upgrade ends the
# exchange at once.
LASTING: Final = frozenset({"websocket"})
