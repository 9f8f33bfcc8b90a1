"""Segments of a connection that was joined in the middle, kept while nothing tells which end is the client.

What   A list in the order of arrival, and what each end's next message may begin with.
Why    Only content says who asks and who answers. What comes before the first segment that tells is the rest of
       something whose beginning nobody saw, or a first line in small pieces.
Limits UNDECIDED_BYTES a connection: the oldest go. UNDECIDED_ALL_BYTES over all.
"""

from typing import Final, NamedTuple

from hark.decode import limits, sniff
from hark.decode.events import Side
from hark.recording.blocks import Frame
from hark.wire import ip

_SEGMENT: Final = 256  # bytes that keeping a segment takes beside its data


class Budget:
    """What all connections hold together."""

    def __init__(self) -> None:
        self.used = 0

    @property
    def over(self) -> bool:
        """Whether it is more than may be."""
        return self.used > limits.UNDECIDED_ALL_BYTES


class Segment(NamedTuple):
    """A segment as it came; side: of the end that was taken for the client so far, or of the other."""

    side: Side
    frame: Frame
    data: memoryview
    seq: int
    ack: int
    flags: int


class Held:
    """Feed segments until one tells; then release them. time, pid: of the first."""

    def __init__(self, time: int, pid: int, budget: Budget) -> None:
        self.time = time
        self.pid = pid
        self.over = False  # nothing will tell any more: the connection has ended
        self.dropped = [0, 0]  # bytes that were not kept
        self._budget = budget
        self._segments: list[Segment] = []
        self._size = 0
        self._begun = [b"", b""]  # what may be the beginning of a message in small pieces
        self._fins = 0

    def feed(self, side: Side, frame: Frame, data: memoryview, seq: int, ack: int, flags: int) -> Side | None:
        """Which end has sent this segment, as its content tells; None where it does not."""
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
        self._begun[side] = start if sniff.may_tell(start) else copy if sniff.may_tell(copy) else b""
        return sender

    def release(self) -> list[Segment]:
        """What was kept, in the order in which it came."""
        segments, self._segments = self._segments, []
        self._count(-self._size)
        return segments

    def _count(self, size: int) -> None:
        self._size += size
        self._budget.used += size
