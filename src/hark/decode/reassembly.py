"""One direction of a byte stream: segments of TCP (RFC 9293 §3.4, §3.10) or QUIC (RFC 9000 §2.2) to bytes in order.

What   Segments come in any order, repeated, overlapping, with gaps; the result is the stream, with gaps by their size.
Why    The usual segment continues where the last one ended: one comparison, no copy.
Limits REORDER_BYTES and REORDER_SEGMENTS wait after a gap; past that, or when the connection ends, the gap is given
       up. If two segments differ in the same bytes, the first one counts, as for most receivers.
"""

import bisect
from typing import Final, NamedTuple

from hark.decode import limits

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000


class Piece(NamedTuple):
    """The next bytes of the stream, after `lost` bytes that were not captured."""

    data: bytes | memoryview
    lost: int


class Reassembly:
    """One direction. waiting: segments after a gap; differing: set if repeated bytes were not the same."""

    __slots__ = ("_bytes", "_lost", "differing", "fin", "first", "floor", "next", "total", "waiting")

    def __init__(self) -> None:
        self.next = -1  # the sequence number expected; -1 before the first segment
        self.first = -1  # the sequence number of the first byte, or of the first captured one
        self.floor = -1  # before the first segment: what the receiver has acknowledged already
        self.fin = -1  # the sequence number after the last byte, once a FIN was captured
        self.total = 0  # bytes passed on
        self.waiting: list[tuple[int, bytes]] = []  # (offset in the stream, data), sorted, without overlaps
        self._bytes = 0
        self.differing = False  # the first ones count
        self._lost = 0  # bytes of gaps that were given up

    def start(self, seq: int) -> None:
        """A SYN with this sequence number was captured."""
        self.next = self.first = (seq + 1) & _MASK
        self.fin = -1
        self.waiting.clear()
        self._bytes = 0

    def finish(self, seq: int) -> None:
        """A FIN has this sequence number."""
        self.fin = seq

    @property
    def ended(self) -> bool:
        """Whether everything up to the FIN was passed on."""
        return self.fin >= 0 and self.next == self.fin

    @property
    def unfinished(self) -> int:
        """Bytes that are missing before the FIN, if nothing waits for them."""
        if self.fin < 0 or self.next < 0 or self.waiting:
            return 0
        ahead = (self.fin - self.next) & _MASK
        return ahead if ahead < _HALF else 0  # a peer may send beyond its FIN

    @property
    def offset(self) -> int:
        """Bytes from the start of the stream to the next one, given up gaps included."""
        return self.total + self._lost

    @property
    def held(self) -> int:
        """Bytes that wait after a gap."""
        return self._bytes

    def advance(self, size: int) -> None:
        """The next `size` bytes were passed on."""
        self.next = (self.next + size) & _MASK
        self.total += size

    def lose(self, size: int) -> None:
        """The next `size` bytes were not captured."""
        self.next = (self.next + size) & _MASK
        self._lost += size

    def feed(self, seq: int, data: memoryview) -> list[Piece]:
        """A segment: the pieces that can now be passed on in order."""
        size = len(data)
        if self.next < 0:
            self.next = self.first = self.floor if self.floor >= 0 else seq  # the beginning was not captured
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
        self._wait(self.total + self._lost, bytes(data))  # some of it may be there already, and counts
        return self._filled()

    def _wait(self, start: int, data: bytes) -> None:
        """Keep the bytes that are not there yet: the first copy of a byte counts."""
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
            gap = after - start
            if gap > 0:
                self._insert(at, start, data[:gap])
                at += 1
            skip = gap + len(held)
            self._compare(held, data[max(gap, 0) :])
            start, data = start + skip, data[skip:]
            at += 1

    def _compare(self, held: bytes, again: bytes) -> None:
        """Note whether repeated bytes were the same."""
        size = min(len(held), len(again))
        self.differing = self.differing or held[:size] != again[:size]

    def _insert(self, at: int, start: int, data: bytes) -> None:
        self.waiting.insert(at, (start, data))
        self._bytes += len(data)

    def _filled(self) -> list[Piece]:
        """Waiting segments that the stream has reached."""
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
        """The receiver has everything before `ack`: gaps before it are given up, even if nothing waits after them."""
        pieces: list[Piece] = []
        while (ahead := (ack - self.next) & _MASK) and ahead < _HALF:
            if self.waiting and self.waiting[0][0] - self.total - self._lost <= ahead:
                pieces += self.skip()
                continue
            self._lost += ahead
            self.next = ack
            if ahead > 1 or self.fin != ack - 1:  # a FIN counts as one, too (RFC 9293 §3.4)
                pieces.append(Piece(b"", ahead))
        return pieces

    def skip(self) -> list[Piece]:
        """Give up the gap before the waiting segments; [] if none wait."""
        if not self.waiting:
            return []
        lost = self.waiting[0][0] - self.total - self._lost
        self._lost += lost
        self.next = (self.next + lost) & _MASK
        first, *rest = self._filled()
        return [first._replace(lost=lost), *rest]


def _offset(item: tuple[int, bytes]) -> int:
    return item[0]
