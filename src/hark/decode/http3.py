"""HTTP/3, all streams of a QUIC connection (RFC 9114), with QPACK (RFC 9204).

What   Frames on request streams, settings and GOAWAY on control streams, both encoder streams; messages.py makes
       requests and responses of them.
Why    A field section may refer to table entries that come later on the encoder stream, in other packets. It waits for
       them, with what follows on its half of the stream, and nothing else waits.
Push   Hardly used any more: a promise is reported as a trouble, pushed streams are not decoded.
Limits HEAD_BYTES per section; QUIC_WAITING bytes of waiting sections and what follows them. After a damaged encoder
       stream only what refers to its table is not decoded.
"""

from collections.abc import Sequence
from typing import Final

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Event, Side, Trouble, TroubleKind
from hark.decode.headercache import HeaderCache
from hark.decode.huffman import CompressionError
from hark.decode.layer import Data, Streams, Upgrader
from hark.decode.messages import Messages
from hark.decode.qpack import BlockedError, Decoder
from hark.wire import http3
from hark.wire.fields import target
from hark.wire.quic import varint

_VERSION: Final = "HTTP/3"
_SIDES: Final = (Side.CLIENT, Side.SERVER)


class _Half:
    """One direction of a request stream."""

    __slots__ = ("buffer", "data_left", "dead", "fin", "since", "skip_left", "waiting")

    def __init__(self) -> None:
        self.buffer = b""
        self.since = 0  # when the buffer's first byte came
        self.data_left = 0  # bytes still to come of a DATA frame that is passed on in pieces
        self.skip_left = 0  # bytes still to come of a frame that is skipped
        self.fin = False
        self.dead = False  # reported as aborted: what still comes is skipped
        self.waiting = False  # the section at the buffer's start waits for table entries


class _Uni:
    """A unidirectional stream."""

    __slots__ = ("buffer", "kind")

    def __init__(self) -> None:
        self.buffer = b""
        self.kind = -1  # its type is not complete yet


class Http3(Streams):
    """One connection."""

    def __init__(self, conn: int, upgrade: Upgrader, cache: HeaderCache | None = None) -> None:
        cache = cache or HeaderCache()
        self._conn = conn
        self._messages = Messages(conn, _VERSION, upgrade, cache)
        self._tables = (Decoder(limits.HEAD_BYTES, cache), Decoder(limits.HEAD_BYTES, cache))  # by the encoding side
        self._halves: dict[tuple[int, Side], _Half] = {}
        self._blocked: dict[tuple[int, Side], _Half] = {}  # those whose section waits for table entries
        self._unis: dict[int, _Uni] = {}
        self._held = 0  # bytes of waiting sections, and of what follows them
        self._unwanted: set[int] = set()  # streams whose requests the server has stopped

    # -- the interface -------------------------------------------------------------------------------------------------

    def feed(self, side: Side, stream: int, data: Data, fin: bool, time: int) -> Sequence[Event]:
        """The next bytes of `side` on a stream."""
        out: list[Event] = []
        if stream & 3 == 0:
            half = self._halves.get((stream, side))
            if half is None:
                half = self._halves[stream, side] = _Half()
            half.fin = half.fin or fin
            if not half.dead:
                self._request_stream(side, stream, half, data, time, out)
            elif fin:
                del self._halves[stream, side]
        elif stream & 2:
            self._uni_stream(side, stream, data, time, out)
        return out

    def lost(self, side: Side, stream: int, size: int, time: int) -> Sequence[Event]:
        """A gap: within DATA it is harmless; elsewhere its stream is lost."""
        out: list[Event] = []
        half = self._halves.get((stream, side))
        if stream & 2:
            if stream in self._unis and self._unis[stream].kind == http3.QPACK_ENCODER:
                text = f"{size} bytes of a header table are missing"
                out.append(Trouble(time, TroubleKind.BROKEN_HTTP3, self._conn, text))
            self._unis[stream] = _Uni()
            self._unis[stream].kind = http3.QPACK_DECODER  # skipped
        elif half is not None and size <= half.data_left:
            half.data_left -= size
            text = f"{size} bytes of a body were not captured"
            out.append(Trouble(time, TroubleKind.LOST_BODY, self._conn, text, stream, side))
        else:
            self._drop(stream)
            text = f"{size} bytes were not captured"
            out.append(Trouble(time, TroubleKind.LOST_HTTP3, self._conn, text, stream))
            self._messages.abort(stream, time, text, out)
        return out

    def reset(self, side: Side, stream: int, code: int, stopping: bool, time: int) -> Sequence[Event]:
        """A half of a stream is reset, or its sender asked to reset it (RFC 9114 §4.1.1)."""
        out: list[Event] = []
        if stream & 3:
            return out
        if stopping and side == Side.SERVER:
            self._unwanted.add(stream)  # the client will reset its half; the response is still to come
        elif side == Side.CLIENT and not stopping and stream in self._unwanted:
            self._messages.end(side, stream, time, out)
        elif not self._messages.done(Side.SERVER, stream):
            self._messages.stop(stream, Ending(side, How.STREAM_RESET, time, http3.error_name(code)), out)
            self._drop(stream)
        else:
            self._messages.end(Side.CLIENT, stream, time, out)
        return out

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        out: list[Event] = []
        for stream, _ in list(self._blocked):
            self._messages.abort(stream, ending.time, "its headers need a part of the table that was not captured", out)
        self._messages.close(ending, out)
        return out

    # -- request streams -----------------------------------------------------------------------------------------------

    def _request_stream(self, side: Side, stream: int, half: _Half, data: Data, time: int, out: list[Event]) -> None:
        if half.waiting:
            self._hold(stream, half, data, time, out)
            return
        if half.buffer:
            data = half.buffer + bytes(data)
            half.buffer = b""
        else:
            half.since = time
        view = memoryview(data)
        at, size = 0, len(view)
        while at < size:
            if half.data_left or half.skip_left:
                at = self._payload(side, stream, half, view, at, time, out)
                continue
            frame = _frame(view, at)
            if frame is None:
                break
            kind, length, body = frame
            if kind == http3.DATA:
                half.data_left, at = length, body
            elif kind not in (http3.HEADERS, http3.PUSH_PROMISE):
                half.skip_left, at = length, body
            elif length > limits.HEAD_BYTES:
                self._break(side, stream, time, f"headers of {length} bytes", out)
                return
            elif body + length > size:
                break
            elif self._section(side, stream, half, kind, bytes(view[body : body + length]), time, out):
                at = body + length
                half.since = time
            else:
                break
        if half.waiting:
            self._hold(stream, half, view[at:], time, out)
        elif at < size:
            half.buffer = bytes(view[at:])
        elif half.fin:
            self._halves.pop((stream, side), None)
            self._messages.end(side, stream, time, out)

    def _hold(self, stream: int, half: _Half, data: Data, time: int, out: list[Event]) -> None:
        self._held += len(data)
        half.buffer += bytes(data)
        if self._held > limits.QUIC_WAITING:
            self._messages.abort(stream, time, "its headers need a part of the table that has not come", out)
            self._drop(stream)

    def _payload(
        self, side: Side, stream: int, half: _Half, view: memoryview, at: int, time: int, out: list[Event]
    ) -> int:
        """A frame's payload that is used as it comes; the offset after what was used."""
        if half.skip_left:
            taken = min(half.skip_left, len(view) - at)
            half.skip_left -= taken
            return at + taken
        piece = view[at : at + half.data_left]
        half.data_left -= len(piece)
        self._messages.data(side, stream, piece, time, out)
        return at + len(piece)

    def _section(
        self, side: Side, stream: int, half: _Half, kind: int, block: bytes, time: int, out: list[Event]
    ) -> bool:
        """A HEADERS or PUSH_PROMISE frame; False if it has to wait for table entries."""
        size = len(block)
        try:
            if kind == http3.PUSH_PROMISE:
                block = block[varint(block, 0)[1] :]
            fields = self._tables[side].decode(block)
        except BlockedError:
            half.waiting = True
            self._blocked[stream, side] = half
            return False
        except (CompressionError, IndexError) as error:
            self._break(side, stream, time, f"headers that do not decode: {error}", out)
            return True
        if kind == http3.PUSH_PROMISE:
            path = target(dict(fields).get(b":path", b""))
            text = f"the server pushes {path}, which is not followed"
            out.append(Trouble(time, TroubleKind.PUSH, self._conn, text))
        else:
            self._messages.section(side, stream, fields, size, half.since or time, time, out)
        return True

    def _break(self, side: Side, stream: int, time: int, why: str, out: list[Event]) -> None:
        """A stream cannot be decoded any more; why is a clause."""
        out.append(Trouble(time, TroubleKind.BROKEN_HTTP3, self._conn, f"{why}, by the {side.word}"))
        self._messages.abort(stream, time, why, out)
        self._drop(stream)

    def _drop(self, stream: int) -> None:
        """Nothing more is decoded of this stream."""
        for side in _SIDES:
            half = self._halves.get((stream, side))
            if half is None:
                half = self._halves[stream, side] = _Half()
            if self._blocked.pop((stream, side), None) is not None:
                self._held -= len(half.buffer)
            half.dead, half.waiting, half.buffer = True, False, b""

    def _unblock(self, side: Side, time: int, out: list[Event]) -> None:
        """The table of `side` has new entries, or its size is known: decode what has waited."""
        for (stream, which), half in list(self._blocked.items()):
            if which == side:
                del self._blocked[stream, which]
                self._held -= len(half.buffer)
                data, half.buffer, half.waiting = half.buffer, b"", False
                since, half.since = half.since, 0
                self._request_stream(side, stream, half, data, time, out)
                if half.waiting:
                    half.since = since

    # -- unidirectional streams ----------------------------------------------------------------------------------------

    def _uni_stream(self, side: Side, stream: int, data: Data, time: int, out: list[Event]) -> None:
        uni = self._unis.get(stream)
        if uni is None:
            uni = self._unis[stream] = _Uni()
        if uni.kind < 0:
            uni.buffer += bytes(data)
            try:
                uni.kind, at = varint(uni.buffer, 0)
            except IndexError:
                return
            data, uni.buffer = uni.buffer[at:], b""
        if uni.kind == http3.QPACK_ENCODER:
            self._instructions(side, uni, data, time, out)
        elif uni.kind == http3.CONTROL:
            self._control(side, uni, uni.buffer + bytes(data), time, out)

    def _instructions(self, side: Side, uni: _Uni, data: Data, time: int, out: list[Event]) -> None:
        table = self._tables[side]
        try:
            grown = table.feed(data)
        except CompressionError as error:
            text = f"a header table cannot be read ({error}), by {side.word}"
            out.append(Trouble(time, TroubleKind.BROKEN_HTTP3, self._conn, text))
            uni.kind = http3.QPACK_DECODER  # skipped from here on
            return
        if grown:
            self._unblock(side, time, out)

    def _control(self, side: Side, uni: _Uni, data: bytes, time: int, out: list[Event]) -> None:
        at = 0
        while (frame := _frame(memoryview(data), at)) is not None:
            kind, length, body = frame
            if length > limits.HEAD_BYTES:
                uni.kind = http3.QPACK_DECODER
                return
            if body + length > len(data):
                break
            at = body + length
            if kind == http3.SETTINGS:
                self._settings(side, data[body:at], time, out)
            elif kind == http3.GOAWAY and side == Side.SERVER:
                self._going(data[body:at], time, out)
        uni.buffer = data[at:]

    def _settings(self, side: Side, payload: bytes, time: int, out: list[Event]) -> None:
        found: dict[int, int] = {}
        at = 0
        try:
            while at < len(payload):
                key, at = varint(payload, at)
                found[key], at = varint(payload, at)
        except IndexError:
            pass  # the complete settings count
        other = side.other
        self._tables[other].allow(found.get(http3.QPACK_CAPACITY, 0))
        self._unblock(other, time, out)

    def _going(self, payload: bytes, time: int, out: list[Event]) -> None:
        try:
            last, _ = varint(payload, 0)
        except IndexError:
            return
        for stream in self._messages.streams:
            if stream >= last:
                self._messages.stop(stream, Ending(Side.SERVER, How.GOAWAY, time, "it has not taken it"), out)
                self._drop(stream)


def _frame(view: memoryview, at: int) -> tuple[int, int, int] | None:
    """(type, length, offset of the payload) of the frame at `at`; None if that is not complete."""
    try:
        kind, at = varint(view, at)
        length, at = varint(view, at)
    except IndexError:
        return None
    return kind, length, at
