"""What every protocol of the stack looks like from below, and the reader that most of them start with.

May hold: the interface. May not hold: a protocol.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from typing import Protocol as Interface

from hark.decode.endings import Ending, How
from hark.decode.events import Event, RequestHead, ResponseHead, Side


class Layer(Interface):
    """Both directions of one byte stream. Every call returns what became known by it; none raises because of what a
    peer sent."""

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent, in order."""

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """`size` bytes by `side` that nobody saw come next."""

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more (a FIN, a close_notify)."""

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over, by `ending`."""


class Expecting(Layer, Interface):
    """A layer that can be told what was agreed on below it."""

    def expect(self, alpn: str, time: int) -> Sequence[Event]:
        """ALPN has chosen this protocol ("" for none)."""


class Streams(Interface):
    """What speaks inside a QUIC connection: many byte streams, by their ids."""

    def feed(self, side: Side, stream: int, data: bytes | memoryview, fin: bool, time: int) -> Sequence[Event]:
        """Bytes that `side` sent on a stream, in order; fin: they are its last."""

    def lost(self, side: Side, stream: int, size: int, time: int) -> Sequence[Event]:
        """`size` bytes by `side` on a stream that nobody saw come next."""

    def reset(self, side: Side, stream: int, code: int, stopping: bool, time: int) -> Sequence[Event]:
        """`side` gives its half of a stream up; stopping: it wants no more of the other half."""

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over, by `ending`."""


class Upgrade(NamedTuple):
    """What a connection or a stream turned into: by 101 the token of the Upgrade header, by the 2xx to a CONNECT
    "tunnel" or what its :protocol said."""

    token: str
    request: RequestHead
    response: ResponseHead


Upgrader = Callable[[Upgrade, int], tuple[Layer, Sequence[Event]]]

# What goes on telling of the exchange that began it, and ends it. Tokens that are not here end the exchange at once.
LASTING = frozenset({"websocket"})
