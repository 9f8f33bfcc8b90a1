"""Segments of a connection whose beginning was not captured, held while it is unknown which end is the client.

What   A list in the order of arrival, and what each end's next message may begin with.
Why    Only content shows who sends requests and who responses. What comes before the first segment that shows it is the
       rest of a message whose beginning was not captured, or a first line in small pieces.
Limits UNDECIDED_BYTES per connection: the oldest are dropped. UNDECIDED_ALL_BYTES over all.
"""

from typing import Final, NamedTuple

from hark.decode import limits, sniff
from hark.decode.events import Side
from hark.recording.blocks import Frame
from hark.wire import ip

_SEGMENT: Final = 256  # bytes of memory per segment besides its data


class Budget:
    """The bytes that all connections hold together."""

    def __init__(self) -> None:
        self.used = 0

    @property
    def over(self) -> bool:
        """Whether they are more than UNDECIDED_ALL_BYTES."""
        return self.used > limits.UNDECIDED_ALL_BYTES


class Segment(NamedTuple):
    """A segment. side: CLIENT for the end that is taken for the client so far."""

    side: Side
    frame: Frame
    data: memoryview
    seq: int
    ack: int
    flags: int


class Held:
    """Feed segments until one shows the client; then release them. time, pid: of the first segment."""

    def __init__(self, time: int, pid: int, budget: Budget) -> None:
        self.time = time
        self.pid = pid
        self.over = False  # the connection has ended: nothing more will show it
        self.dropped = [0, 0]  # bytes that were not kept
        self._budget = budget
        self._segments: list[Segment] = []
        self._size = 0
        self._begun = [b"", b""]  # what may be the beginning of a message in small pieces
        self._fins = 0

    def feed(self, side: Side, frame: Frame, data: memoryview, seq: int, ack: int, flags: int) -> Side | None:
        """The sender of this segment, if its content shows it, else None."""
        copy = bytes(data)
        kept = frame._replace(data=memoryview(b""))
        self._segments.append(Segment(side, kept, memoryview(copy), seq, ack, flags))
        self._count(len(copy) + _SEGMENT)
        while self._size > limits.UNDECIDED_BYTES and len(self._segments) > 1:
            old = self._segments.pop(0)
            self._count(-len(old.data) - _SEGMENT)
            self.dropped[old.side] += len(old.data)
        if flags & ip.FIN:
            self._fins |= 1 << side
        self.over = bool(flags & ip.RST) or self._fins == 3
        if not copy:
            return None
        start = copy[: sniff.SENDER_BYTES]
        sender = sniff.sender(start)
        if sender is None and self._begun[side]:
            start = self._begun[side] + start
            sender = sniff.sender(start)
        self._begun[side] = start if sniff.may_decide(start) else copy if sniff.may_decide(copy) else b""
        return sender

    def release(self) -> list[Segment]:
        """The held segments, in the order in which they came."""
        segments, self._segments = self._segments, []
        self._count(-self._size)
        return segments

    def _count(self, size: int) -> None:
        self._size += size
        self._budget.used += size
