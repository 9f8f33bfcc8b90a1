"""One direction of a byte stream: segments to bytes in order, TCP's (RFC 9293 §3.4, §3.10) and QUIC's (RFC 9000 §2.2).

What   Segments arrive in any order, twice, overlapping, with holes; what comes out is the stream, and holes by size.
Why    The usual segment continues where the last one ended: one comparison, no copy.
Limits REORDER_BYTES and REORDER_SEGMENTS wait behind a hole; past that, or when the connection ends, the hole is lost
       and told. Where two segments differ in the same bytes, the first one wins, as in most receivers.
"""

import bisect
from typing import Final, NamedTuple

from hark.decode import limits

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000


class Piece(NamedTuple):
    """The stream's next bytes, after `lost` bytes that nobody saw."""

    data: bytes | memoryview
    lost: int


class Reassembly:
    """Feed segments; get pieces."""

    __slots__ = ("_bytes", "_lost", "differing", "fin", "first", "floor", "next", "total", "waiting")

    def __init__(self) -> None:
        self.next = -1  # the sequence number expected; -1 before the first segment
        self.first = -1  # the sequence number of the first byte, or of the first one that was seen
        self.floor = -1  # before the first segment: what the receiver has had already
        self.fin = -1  # the sequence number behind the last byte, once a FIN was seen
        self.total = 0  # bytes given out
        self.waiting: list[tuple[int, bytes]] = []  # (offset in the stream, data), sorted, without overlaps
        self._bytes = 0
        self.differing = False  # bytes came twice and were not the same: the first ones count
        self._lost = 0  # bytes of holes that were given up

    def start(self, seq: int) -> None:
        """A SYN with this sequence number was seen."""
        self.next = self.first = (seq + 1) & _MASK
        self.fin = -1
        self.waiting.clear()
        self._bytes = 0

    def finish(self, seq: int) -> None:
        """A FIN stands at this sequence number."""
        self.fin = seq

    @property
    def ended(self) -> bool:
        """Whether all up to the FIN was given out."""
        return self.fin >= 0 and self.next == self.fin

    @property
    def offset(self) -> int:
        """Bytes from the stream's start to where it is read on, holes that were given up included."""
        return self.total + self._lost

    @property
    def held(self) -> int:
        """Bytes that wait behind a hole."""
        return self._bytes

    def advance(self, size: int) -> None:
        """`size` bytes at `next` were taken as they stood."""
        self.next = (self.next + size) & _MASK
        self.total += size

    def lose(self, size: int) -> None:
        """The next `size` bytes will not come: they were not captured."""
        self.next = (self.next + size) & _MASK
        self._lost += size

    def feed(self, seq: int, data: memoryview) -> list[Piece]:
        """The bytes that can now be read in order."""
        size = len(data)
        if self.next < 0:
            self.next = self.first = self.floor if self.floor >= 0 else seq  # joined in the middle
        if seq != self.next:
            ahead = (seq - self.next) & _MASK
            if ahead < _HALF:
                self._wait(self.total + self._lost + ahead, bytes(data))
                over = self._bytes > limits.REORDER_BYTES or len(self.waiting) > limits.REORDER_SEGMENTS
                return self.skip() if over else []
            old = (self.next - seq) & _MASK
            if old >= size:
                return []
            data = data[old:]
        if not self.waiting:
            self.advance(len(data))
            return [Piece(data, 0)]
        self._wait(self.total + self._lost, bytes(data))  # some of it may be there already, and came first
        return self._filled()

    def _wait(self, start: int, data: bytes) -> None:
        """Keep what of this data is not there yet: the first to bring a byte wins."""
        at = bisect.bisect_right(self.waiting, start, key=_offset)
        if at:
            before, held = self.waiting[at - 1]
            covered = before + len(held) - start
            if covered > 0:
                self._compare(held[start - before :], data)
                start, data = start + covered, data[covered:]
        while data:
            if at == len(self.waiting):
                self._insert(at, start, data)
                return
            after, held = self.waiting[at]
            room = after - start
            if room > 0:
                self._insert(at, start, data[:room])
                at += 1
            skip = room + len(held)
            self._compare(held, data[max(room, 0) :])
            start, data = start + skip, data[skip:]
            at += 1

    def _compare(self, held: bytes, again: bytes) -> None:
        """Whether bytes that came twice were the same."""
        size = min(len(held), len(again))
        self.differing = self.differing or held[:size] != again[:size]

    def _insert(self, at: int, start: int, data: bytes) -> None:
        self.waiting.insert(at, (start, data))
        self._bytes += len(data)

    def _filled(self) -> list[Piece]:
        """Waiting data that the stream has reached."""
        pieces = []
        count = 0
        for start, data in self.waiting:
            if start != self.total + self._lost:
                break
            pieces.append(Piece(data, 0))
            self.advance(len(data))
            self._bytes -= len(data)
            count += 1
        del self.waiting[:count]
        return pieces

    def acknowledged(self, ack: int) -> list[Piece]:
        """The receiver has all before `ack`: holes in front of it are lost, even where nothing waits behind them."""
        pieces: list[Piece] = []
        while (ahead := (ack - self.next) & _MASK) and ahead < _HALF:
            if self.waiting and self.waiting[0][0] - self.total - self._lost <= ahead:
                pieces += self.skip()
                continue
            self._lost += ahead
            self.next = ack
            if ahead > 1 or self.fin != ack - 1:  # a FIN takes one, too (RFC 9293 §3.4)
                pieces.append(Piece(b"", ahead))
        return pieces

    def skip(self) -> list[Piece]:
        """Give up the hole in front of what waits; [] where nothing waits."""
        if not self.waiting:
            return []
        lost = self.waiting[0][0] - self.total - self._lost
        self._lost += lost
        self.next = (self.next + lost) & _MASK
        first, *rest = self._filled()
        return [first._replace(lost=lost), *rest]


def _offset(item: tuple[int, bytes]) -> int:
    return item[0]
