"""HTTP/2, both directions at once (RFC 9113), with HPACK (RFC 7541).

What   Frames, header blocks, streams; requests, responses, bodies, trailers, interim responses and pushes; why a stream
       ended early.
Why    A passive observer needs no flow control and no priorities, but the order of frames and both compression
       contexts, and it must continue if a peer violates the protocol.
Limits STREAMS at a time, HEAD_BYTES per header block, TABLE_BYTES per compression context. After a header block that
       cannot be decoded its direction is not decoded any more: every later one depends on it (RFC 7541 §2.2).
"""

import struct
from collections.abc import Sequence
from typing import Final

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Event, GoingAway, Side, Trouble, TroubleKind, Unwanted
from hark.decode.headercache import HeaderCache
from hark.decode.hpack import Decoder
from hark.decode.huffman import CompressionError
from hark.decode.layer import Data, Layer, Upgrader
from hark.decode.messages import Messages
from hark.wire import http2

_VERSION: Final = "HTTP/2"
_DATA: Final = http2.DATA
_HEADERS: Final = http2.HEADERS
_END_STREAM: Final = http2.END_STREAM
_END_HEADERS: Final = http2.END_HEADERS
_PADDED: Final = http2.PADDED
_WHOLE: Final = http2.END_HEADERS | http2.PADDED | http2.PRIORITY_FLAG
_FRAME_HEADER: Final = struct.Struct("!HBBBI").unpack_from  # length in two parts, type, flags, stream
_HEADER_BYTES: Final = 9  # of a frame (§4.1)


class _Half:
    __slots__ = (
        "block", "block_flags", "block_kind", "block_stream", "block_time", "broken", "buffer", "data_flags",
        "data_left", "data_stream", "hpack", "preface",
    )  # fmt: skip

    def __init__(self, client: bool, joined: bool, cache: HeaderCache) -> None:
        self.buffer = b""
        self.preface = client and not joined
        self.hpack = Decoder(limits.TABLE_BYTES, limits.HEAD_BYTES, joined, cache)
        self.block = b""  # the beginning of a header block, until its last CONTINUATION
        self.block_kind = 0
        self.block_flags = 0
        self.block_stream = 0
        self.block_time = 0
        self.data_left = 0  # bytes still to come of a DATA frame that is passed on in pieces
        self.data_flags = 0
        self.data_stream = 0
        self.broken = False


class Http2(Layer):
    """One connection. upgraded: the HTTP/1 exchange whose request began it (h2c), which continues as stream 1; all
    streams are numbered from that number on. joined: the connection's beginning was not captured."""

    def __init__(
        self, conn: int, upgrade: Upgrader, upgraded: int = 0, joined: bool = False, cache: HeaderCache | None = None
    ) -> None:
        cache = cache or HeaderCache()
        self._conn = conn
        self._halves = (_Half(True, joined, cache), _Half(False, joined, cache))
        self._messages = Messages(conn, _VERSION, upgrade, cache, joined)
        self._goaway: Ending | None = None
        self._shift = max(upgraded - 1, 0)  # what is added to stream numbers
        if upgraded:
            self._messages.begun(upgraded)

    # -- the layer's interface -----------------------------------------------------------------------------------

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        half = self._halves[side]
        out: list[Event] = []
        if half.broken:
            return out
        if half.buffer:
            data = half.buffer + bytes(data)
            half.buffer = b""
        view = memoryview(data)
        size = len(view)
        at = self._preface(half, view) if half.preface else 0
        while at < size and not half.broken:
            if half.data_left:
                at = self._more_data(side, half, view, at, time, out)
                continue
            if size - at < _HEADER_BYTES:
                break
            high, low, kind, flags, stream = _FRAME_HEADER(view, at)
            end = at + _HEADER_BYTES + (high << 8 | low)
            stream &= 0x7FFFFFFF
            if self._shift and stream:
                stream += self._shift
            if end > size:
                if not self._partial(side, half, kind, flags, stream, end - at - _HEADER_BYTES, time, out):
                    break
                at += _HEADER_BYTES
                continue
            payload = view[at + _HEADER_BYTES : end]
            if kind == _HEADERS and flags & _WHOLE == _END_HEADERS and stream and not half.block_stream:
                # The usual header block, in one step.
                self._block(side, half, _HEADERS, flags, stream, bytes(payload), time, time, out)
            elif kind == _DATA and not flags & _PADDED and not half.block_stream:
                self._messages.data(side, stream, payload, time, out)
                if flags & _END_STREAM:
                    self._messages.end(side, stream, time, out)
            else:
                self._frame(side, half, kind, flags, stream, payload, time, out)
            at = end
        if at < size and not half.broken:
            half.buffer = bytes(view[at:])
        return out

    def _preface(self, half: _Half, view: memoryview) -> int:
        """The offset of the first frame after the connection preface (§3.4), if there is one."""
        if len(view) < len(http2.PREFACE):
            half.buffer = bytes(view)
            return len(view)
        half.preface = False
        return len(http2.PREFACE) if view[: len(http2.PREFACE)] == http2.PREFACE else 0

    def _partial(
        self,
        side: Side,
        half: _Half,
        kind: int,
        flags: int,
        stream: int,
        length: int,
        time: int,
        out: list[Event],
    ) -> bool:
        """A frame that is not complete: whether its payload is passed on as it comes."""
        if kind == http2.DATA and not flags & http2.PADDED and not half.block_stream:
            half.data_left, half.data_flags, half.data_stream = length, flags, stream
            return True
        if length > limits.FRAME_BYTES:
            self._break(side, time, f"a frame of {length} bytes", out)
        return False

    def _more_data(self, side: Side, half: _Half, view: memoryview, at: int, time: int, out: list[Event]) -> int:
        """A DATA frame that is not complete is passed on as it comes; the offset after what was used."""
        piece = view[at : at + half.data_left]
        half.data_left -= len(piece)
        flags = half.data_flags if not half.data_left else 0
        self._data(side, flags, half.data_stream, piece, time, out)
        return at + len(piece)

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """A gap: within a DATA frame it is harmless, elsewhere frames and the compression context are lost."""
        half = self._halves[side]
        if half.data_left > size:
            half.data_left -= size
            text = f"{size} bytes of a body were not captured"
            return (Trouble(time, TroubleKind.LOST_BODY, self._conn, text, half.data_stream, side),)
        text = f"{size} bytes were not captured"
        out: list[Event] = [
            Trouble(time, TroubleKind.LOST_HTTP2, self._conn, text, stream) for stream in self._messages.streams
        ]
        self._break(side, time, text, out)
        return out

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction, and nothing incomplete will be completed: without window updates and
        acknowledgements of settings from both sides HTTP/2 cannot continue, so there is no half-closed state."""
        return self.close(Ending(side, how, time))

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over: what is open stays incomplete."""
        out: list[Event] = []
        self._messages.close(self._goaway or ending, out)
        return out

    # -- frames ------------------------------------------------------------------------------------------------------

    def _frame(
        self,
        side: Side,
        half: _Half,
        kind: int,
        flags: int,
        stream: int,
        payload: memoryview,
        time: int,
        out: list[Event],
    ) -> None:
        if half.block_stream and kind != http2.CONTINUATION:
            self._break(side, time, "a header block was interrupted", out)
        elif kind == http2.DATA:
            self._data(side, flags, stream, payload, time, out)
        elif kind == http2.HEADERS:
            body = http2.unpad(payload, flags)
            if body is not None and flags & http2.PRIORITY_FLAG:
                body = body[5:]
            self._begin_block(side, half, kind, flags, stream, body, time, out)
        elif kind == http2.PUSH_PROMISE:
            body = http2.unpad(payload, flags)
            if body is None or len(body) < 4:
                self._break(side, time, "a PUSH_PROMISE cannot be read", out)
                return
            promised = int.from_bytes(body[:4], "big") & 0x7FFFFFFF
            self._begin_block(side, half, kind, flags, promised, body[4:], time, out)
        elif kind == http2.CONTINUATION:
            self._continue_block(side, half, flags, payload, time, out)
        elif kind == http2.RST_STREAM:
            self._reset(side, stream, payload, time, out)
        elif kind == http2.GOAWAY:
            self._going(side, payload, time, out)

    def _begin_block(
        self,
        side: Side,
        half: _Half,
        kind: int,
        flags: int,
        stream: int,
        body: memoryview | None,
        time: int,
        out: list[Event],
    ) -> None:
        if body is None or not stream:
            self._break(side, time, "a header block cannot be read", out)
            return
        if flags & http2.END_HEADERS:
            self._block(side, half, kind, flags, stream, bytes(body), time, time, out)
            return
        half.block, half.block_kind, half.block_flags = bytes(body), kind, flags
        half.block_stream, half.block_time = stream, time

    def _continue_block(
        self, side: Side, half: _Half, flags: int, payload: memoryview, time: int, out: list[Event]
    ) -> None:
        if not half.block_stream or len(half.block) + len(payload) > limits.HEAD_BYTES:
            self._break(side, time, "a header block cannot be read", out)
            return
        half.block += bytes(payload)
        if flags & http2.END_HEADERS:
            stream, half.block_stream = half.block_stream, 0
            block, half.block = half.block, b""
            self._block(side, half, half.block_kind, half.block_flags, stream, block, half.block_time, time, out)

    def _block(
        self,
        side: Side,
        half: _Half,
        kind: int,
        flags: int,
        stream: int,
        block: bytes,
        started: int,
        time: int,
        out: list[Event],
    ) -> None:
        try:
            fields = half.hpack.decode(block)
        except CompressionError as error:
            self._break(side, time, f"a header block does not decode: {error}", out)
            return
        messages = self._messages
        if kind == _HEADERS:
            messages.section(side, stream, fields, len(block) + 9, started, time, out)
            if flags & _END_STREAM:
                messages.end(side, stream, time, out)
        else:  # a promised request is the client's, and complete
            messages.section(Side.CLIENT, stream, fields, len(block) + 9, started, time, out)
            messages.end(Side.CLIENT, stream, time, out)

    def _data(self, side: Side, flags: int, stream: int, payload: memoryview, time: int, out: list[Event]) -> None:
        body = http2.unpad(payload, flags)
        if body is None:
            self._break(side, time, "a DATA frame's padding is longer than the frame", out)
            return
        self._messages.data(side, stream, body, time, out)
        if flags & http2.END_STREAM:
            self._messages.end(side, stream, time, out)

    def _reset(self, side: Side, stream: int, payload: memoryview, time: int, out: list[Event]) -> None:
        if len(payload) < 4:
            return
        code = int.from_bytes(payload[:4], "big")
        if code == 0 and self._messages.done(Side.SERVER, stream):
            # RFC 9113 §8.1: a server may answer completely and then stop a request body that it does not need. More of
            # it may still come.
            if stream in self._messages:
                out.append(Unwanted(self._conn, stream, time))
            return
        self._messages.stop(stream, Ending(side, How.STREAM_RESET, time, http2.error_name(code)), out)

    def _going(self, side: Side, payload: memoryview, time: int, out: list[Event]) -> None:
        if len(payload) < 8:
            return
        last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        code = int.from_bytes(payload[4:8], "big")
        reason = bytes(payload[8:200]).decode("utf-8", "backslashreplace")
        detail = http2.error_name(code) + (f" ({reason})" if reason else "")
        ending = Ending(side, How.GOAWAY, time, detail)
        if code:
            self._goaway = self._goaway or ending
            out.append(GoingAway(self._conn, time, ending))
        if side == Side.SERVER:
            for stream in self._messages.streams:
                if stream > last and stream % 2:
                    self._messages.stop(stream, ending, out)

    def _break(self, side: Side, time: int, why: str, out: list[Event]) -> None:
        """This direction cannot be decoded any more; why is a clause."""
        half = self._halves[side]
        if half.broken:
            return
        half.broken, half.buffer, half.block = True, b"", b""
        out.append(Trouble(time, TroubleKind.BROKEN_HTTP2, self._conn, f"{why}, by the {side.word}"))
        self._messages.abandon(time, why, out)
