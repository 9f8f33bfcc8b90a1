"""What every protocol of the stack looks like from below, and the reader that most of them start with.

May hold: the interface. May not hold: a protocol.
"""

from collections.abc import Sequence
from typing import Protocol as Interface

from hark.decode.events import Event, Side


class Layer(Interface):
    """Both directions of one byte stream. Every call returns what became known by it; none raises because of what a
    peer sent."""

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent, in order."""

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """`size` bytes by `side` that nobody saw come next."""

    def end(self, side: Side, time: int) -> Sequence[Event]:
        """`side` will send no more (a FIN, a close_notify)."""

    def close(self, time: int, how: str) -> Sequence[Event]:
        """The connection is over; how is a clause."""


class Expecting(Layer, Interface):
    """A layer that can be told what was agreed on below it."""

    def expect(self, alpn: str, time: int) -> Sequence[Event]:
        """ALPN has chosen this protocol ("" for none)."""
