"""The streams of a QUIC connection: STREAM frames to bytes in order (RFC 9000 §2.2, §3).

What   Each direction of a stream is put in order and passed to the application; what is sent again after its end is
       recognized.
Limits QUIC_STREAMS open per direction: the oldest is ended as reset. QUIC_WAITING bytes after gaps: past it the
       missing bytes are reported as lost.
"""

from hark.decode import limits
from hark.decode.events import Event, Side
from hark.decode.layer import Streams
from hark.decode.reassembly import Piece, Reassembly
from hark.wire import http3, quic


class Stream:
    """One direction of a stream, or the CRYPTO data of a level."""

    __slots__ = ("bytes", "end")

    def __init__(self) -> None:
        self.bytes = Reassembly()
        self.bytes.start(-1)
        self.end = -1  # its size in bytes, once that is known


class _Finished:
    """Which streams of one type have ended: nearly all below some number, so few have to be remembered."""

    __slots__ = ("_above", "_floor")

    def __init__(self) -> None:
        self._floor = 0
        self._above: set[int] = set()

    def add(self, number: int) -> None:
        self._above.add(number)
        if len(self._above) > limits.QUIC_STREAMS:
            self._floor = max(self._above) - limits.QUIC_STREAMS // 2
            self._above = {n for n in self._above if n >= self._floor}
        while self._floor in self._above:
            self._above.remove(self._floor)
            self._floor += 1

    def __contains__(self, number: int) -> bool:
        return number < self._floor or number in self._above


class _Half:
    """The streams of one direction of the connection."""

    __slots__ = ("finished", "streams")

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self.finished = tuple(_Finished() for _ in range(4))  # by the type in a stream number's last two bits


class StreamTable:
    """The streams of one connection."""

    def __init__(self) -> None:
        self._halves = (_Half(), _Half())
        self._waiting = 0  # bytes after gaps

    def feed(self, side: Side, frame: quic.Stream, inside: Streams, time: int, out: list[Event]) -> None:
        """A STREAM frame of `side`; inside: the application."""
        half = self._halves[side]
        stream = half.streams.get(frame.stream)
        if stream is None:
            if frame.stream >> 2 in half.finished[frame.stream & 3]:
                return
            if len(half.streams) >= limits.QUIC_STREAMS:
                oldest = next(iter(half.streams))
                self._finish(half, oldest)
                out.extend(inside.reset(side, oldest, http3.NO_ERROR, False, time))
            stream = half.streams[frame.stream] = Stream()
        data = stream.bytes
        if frame.fin:
            stream.end = frame.offset + len(frame.data)
        before = data.held
        pieces = data.feed(frame.offset & 0xFFFFFFFF, frame.data)
        self._waiting += data.held - before
        if not pieces and data.offset == stream.end:
            pieces = [Piece(b"", 0)]  # a FIN after data that was there already
        self._pass(side, half, frame.stream, stream, pieces, inside, time, out)
        if self._waiting > limits.QUIC_WAITING:
            self.give_up_gaps(inside, time, out)

    def _pass(
        self,
        side: Side,
        half: _Half,
        number: int,
        stream: Stream,
        pieces: list[Piece],
        inside: Streams,
        time: int,
        out: list[Event],
    ) -> None:
        """Bytes in order, to the application."""
        for index, (piece, lost) in enumerate(pieces, 1):
            if lost:
                out.extend(inside.lost(side, number, lost, time))
            ended = index == len(pieces) and stream.bytes.offset == stream.end
            if ended:
                self._finish(half, number)
            if len(piece) or ended:
                out.extend(inside.feed(side, number, piece, ended, time))

    def reset(self, side: Side, number: int) -> None:
        """`side` has reset its direction of a stream."""
        self._finish(self._halves[side], number)

    def _finish(self, half: _Half, number: int) -> None:
        """This direction of a stream has ended: frames that come for it later are repeated ones."""
        stream = half.streams.pop(number, None)
        if stream is not None:
            self._waiting -= stream.bytes.held
        half.finished[number & 3].add(number >> 2)

    def give_up_gaps(self, inside: Streams | None, time: int, out: list[Event]) -> None:
        """Report missing bytes as lost, and pass on what follows them."""
        if inside is None:
            return
        for side, half in zip((Side.CLIENT, Side.SERVER), self._halves, strict=True):
            for number, stream in list(half.streams.items()):
                while pieces := stream.bytes.skip():
                    self._pass(side, half, number, stream, pieces, inside, time, out)
        self._waiting = 0
