"""One direction of a TCP connection: segments to bytes in order (RFC 9293 §3.4, §3.10).

What   Segments arrive in any order, twice, overlapping, with holes; what comes out is the stream, and holes by size.
Why    The usual segment continues where the last one ended: one comparison, no copy.
Limits REORDER_BYTES and REORDER_SEGMENTS wait behind a hole; past that, or when the connection ends, the hole is lost
       and told. Where two segments differ in the same bytes, the first one wins, as in most receivers.
"""

from typing import NamedTuple

from hark.decode import limits

_MASK = 0xFFFFFFFF
_HALF = 0x80000000


class Piece(NamedTuple):
    """The stream's next bytes, after `lost` bytes that nobody saw."""

    data: bytes | memoryview
    lost: int


class Reassembly:
    """Feed segments; get pieces."""

    __slots__ = ("_bytes", "fin", "next", "total", "waiting")

    def __init__(self) -> None:
        self.next = -1  # the sequence number expected; -1 before the first segment
        self.fin = -1  # the sequence number behind the last byte, once a FIN was seen
        self.total = 0  # bytes given out
        self.waiting: dict[int, bytes] = {}
        self._bytes = 0

    def start(self, seq: int) -> None:
        """A SYN with this sequence number was seen."""
        self.next = (seq + 1) & _MASK
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

    def advance(self, size: int) -> None:
        """`size` bytes at `next` were taken as they stood, with nothing waiting: the usual case, without a call to
        feed()."""
        self.next = (self.next + size) & _MASK
        self.total += size

    def feed(self, seq: int, data: memoryview) -> list[Piece]:
        """The bytes that can now be read in order."""
        size = len(data)
        if seq != self.next:
            if self.next < 0:
                self.next = seq  # joined in the middle
            else:
                ahead = (seq - self.next) & _MASK
                if ahead < _HALF:
                    return self._wait(seq, data)
                old = (self.next - seq) & _MASK
                if old >= size:
                    return []
                data = data[old:]
                size -= old
        self.next = (self.next + size) & _MASK
        self.total += size
        if not self.waiting:
            return [Piece(data, 0)]
        return [Piece(data, 0), *self._filled()]

    def _wait(self, seq: int, data: memoryview) -> list[Piece]:
        held = self.waiting.get(seq)
        if held is None or len(held) < len(data):
            if held is not None:
                data_bytes = held + bytes(data[len(held) :])
                self._bytes -= len(held)
            else:
                data_bytes = bytes(data)
            self.waiting[seq] = data_bytes
            self._bytes += len(data_bytes)
        if self._bytes > limits.REORDER_BYTES or len(self.waiting) > limits.REORDER_SEGMENTS:
            return self.skip()
        return []

    def _filled(self) -> list[Piece]:
        """Waiting segments that the stream has reached."""
        pieces = []
        while self.waiting:
            seq = min(self.waiting, key=lambda s: (s - self.next + _HALF) & _MASK)
            old = (self.next - seq) & _MASK
            if old < _HALF:
                data = self.waiting.pop(seq)
                self._bytes -= len(data)
                if old < len(data):
                    pieces.append(Piece(data[old:], 0))
                    self.next = (self.next + len(data) - old) & _MASK
                    self.total += len(data) - old
            else:
                break
        return pieces

    def skip(self) -> list[Piece]:
        """Give up the hole in front of what waits; [] where nothing waits."""
        if not self.waiting:
            return []
        seq = min(self.waiting, key=lambda s: (s - self.next) & _MASK)
        lost = (seq - self.next) & _MASK
        self.next = seq
        pieces = self._filled()
        return [pieces[0]._replace(lost=lost), *pieces[1:]] if pieces else []
