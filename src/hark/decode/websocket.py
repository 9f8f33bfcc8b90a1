"""WebSocket messages, both directions at once (RFC 6455), with permessage-deflate (RFC 7692).

What   Frames become messages: fragments joined, unmasked, decompressed; pings, pongs and closes as they are. The
       exchange that began it stays open as long as the WebSocket does, and is ended here.
       A message that cannot be decompressed is reported as far as possible, with the reason; so are later ones that
       depend on it.
Limits MESSAGE_BYTES of a message are kept, the rest is counted. INFLATED_BYTES after decompression: past them, and
       after an invalid frame, the direction is reported as broken.
"""

import zlib
from collections import deque
from collections.abc import Sequence
from typing import Final

from hark.decode import limits
from hark.decode.endings import Ending, Ends, How
from hark.decode.events import Aborted, Event, Message, MessageEnd, Side, Trouble, TroubleKind
from hark.decode.layer import Data, Layer, Upgrade
from hark.wire import websocket

_TAIL: Final = b"\0\0\xff\xff"  # what a sender removes from the end of each compressed message (RFC 7692 §7.2.1)
_PIECE: Final = 1 << 16  # bytes that are decompressed at a time
_WINDOW: Final = 1 << 15  # bytes that DEFLATE refers back to at most (RFC 1951 §2)


class _Inflater:
    """Decompresses the messages of one direction, each with the window of those before. final: the message ended with
    the last block of a DEFLATE stream; wrong: why the rest of the message cannot be decompressed."""

    __slots__ = ("_fresh", "_machine", "_past", "_size", "final", "wrong")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """An empty window."""
        self._machine = zlib.decompressobj(-15)
        self._past: deque[bytes] = deque()  # the last output, at least the window
        self._size = 0
        self._fresh = True  # nothing of this message has come
        self.final = False
        self.wrong = ""

    def begin(self) -> None:
        """A message begins."""
        self._fresh, self.final, self.wrong = True, False, ""

    def feed(self, data: bytes) -> list[bytes]:
        """More of a message: the decompressed pieces."""
        out: list[bytes] = []
        size = 0
        first, self._fresh, self.final = self._fresh, False, self.final and not data
        while data and not self.wrong:
            # Between messages the window is the whole state: the decompressor is copied within a message only.
            saved = None if first or data == _TAIL else self._machine.copy()
            try:
                plain = self._machine.decompress(data, _PIECE)
                data = self._machine.unconsumed_tail
            except zlib.error as error:
                machine = saved or zlib.decompressobj(-15, zdict=self._window())
                plain, data = _salvaged(machine, data) if first or saved else b"", b""
                self.wrong = f"a message cannot be decompressed ({error})"
            first = False
            self._keep(plain, out)
            size += len(plain)
            if size > limits.INFLATED_BYTES:
                break
            if not self.wrong and self._machine.eof:  # BFINAL: another DEFLATE stream follows (RFC 7692 §7.2.3.4)
                data = self._machine.unused_data
                self._machine = zlib.decompressobj(-15, zdict=self._window())
                self.final = not data
        return out

    def _window(self) -> bytes:
        return b"".join(self._past)[-_WINDOW:]

    def finish(self) -> list[bytes]:
        """A message has ended: decompress the tail that its sender removed."""
        # After BFINAL nothing was removed, except by senders that let an empty block follow it.
        return [] if self._fresh or self.wrong or self.final else self.feed(_TAIL)

    def _keep(self, plain: bytes, out: list[bytes]) -> None:
        if not plain:
            return
        out.append(plain)
        past = self._past
        past.append(plain)
        self._size += len(plain)
        while self._size - len(past[0]) >= _WINDOW:
            self._size -= len(past.popleft())


def _salvaged(machine: "zlib._Decompress", data: bytes) -> bytes:
    """The decompressed bytes before an error."""
    out = bytearray()
    for at in range(len(data)):
        try:
            piece = machine.decompress(data[at : at + 1])
        except zlib.error:
            break
        out += piece
        if machine.eof or len(out) > _PIECE:
            break
    return bytes(out)


class _Half:
    __slots__ = (
        "blamed", "broken", "buffer", "closed", "data", "fin", "fresh", "inflater", "key", "kind", "left", "opcode",
        "packed", "payload", "size", "started",
    )  # fmt: skip

    def __init__(self) -> None:
        self.buffer = b""  # the beginning of a frame's head
        self.left = -1  # payload bytes still to come; -1 between frames
        self.key = b""
        self.fin = False
        self.opcode = 0  # of the frame
        self.payload = bytearray()  # of a control frame
        self.kind = 0  # of the message that the frame belongs to; 0 between messages
        self.data = bytearray()  # of that message, as far as it is kept
        self.size = 0
        self.started = 0
        self.packed = False
        self.inflater = _Inflater()
        self.fresh = False  # every message begins with an empty window
        self.blamed = False  # a message that cannot be decompressed was reported
        self.broken = False
        self.closed = False


class Websocket(Layer):
    """An upgraded connection or stream. ends: the sides whose message, in the exchange that began it, is ended here."""

    def __init__(self, conn: int, upgrade: Upgrade, ends: Sequence[Side]) -> None:
        self._conn = conn
        self._stream = upgrade.request.stream
        self._ends = ends
        self._halves = (_Half(), _Half())
        self._directions = Ends()
        self._wrong: Ending | None = None  # by a close frame with an error code
        accepted = b", ".join(v for n, v in upgrade.response.headers if n.lower() == b"sec-websocket-extensions")
        deflate = websocket.deflate(accepted.decode("ascii", "replace"))
        self._deflated = deflate is not None
        if deflate is not None:
            for half, fresh in zip(self._halves, deflate, strict=True):
                half.fresh = fresh

    # -- the layer's interface -----------------------------------------------------------------------------------

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        half = self._halves[side]
        out: list[Event] = []
        data = half.buffer + bytes(data)
        half.buffer = b""
        at = 0
        while not half.broken:
            if half.left < 0:
                begun = self._head(side, half, data, at, time, out)
                if begun < 0:
                    half.buffer = data[at:]
                    break
                at = begun
            elif at == len(data) and half.left:
                break
            else:
                at = self._payload(side, half, data, at, time, out)
        return out

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """A gap: it is unknown where the next frame begins."""
        out: list[Event] = []
        self._break(side, self._halves[side], time, f"{size} bytes were not captured", out)
        return out

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction."""
        self._directions.add(side, how, time)
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection or the stream is over, and the exchange with it."""
        client, server = self._halves
        time = ending.time
        ends: list[Event] = [MessageEnd(self._conn, self._stream, side, time, ()) for side in self._ends]
        cause = self._wrong
        if cause is None and (client.closed or server.closed):
            return ends
        cause = cause or self._directions.cause(ending)
        return [*ends[:-1], Aborted(self._conn, self._stream, time, "", cause)]

    # -- frames ------------------------------------------------------------------------------------------------------

    def _head(self, side: Side, half: _Half, data: bytes, at: int, time: int, out: list[Event]) -> int:
        """Read a frame's header (§5.2); the offset after it, -1 if it is not complete."""
        if len(data) - at < 2:
            return -1
        first, second = data[at], data[at + 1]
        size = second & 0x7F
        width = {126: 2, 127: 8}.get(size, 0)
        end = at + 2 + width + (4 if second & websocket.MASKED else 0)
        if len(data) < end:
            return -1
        if width:
            size = int.from_bytes(data[at + 2 : at + 2 + width], "big")
        opcode = first & 0x0F
        control = opcode >= 8
        continues = opcode == websocket.CONTINUATION
        if (
            opcode not in (websocket.CONTINUATION, *websocket.KINDS)
            or first & 0x30
            or (control and (size > 125 or not first & websocket.FIN))
            or (not control and continues == (half.kind == 0))
            or (first & websocket.RSV1 and (not self._deflated or control or continues))
        ):
            self._break(side, half, time, "a frame that cannot be", out)
            return len(data)
        half.key = data[end - 4 : end] if second & websocket.MASKED else b""
        half.left, half.fin, half.opcode = size, bool(first & websocket.FIN), opcode
        half.payload.clear()
        if not control and not continues:
            half.kind, half.packed, half.started, half.size = opcode, bool(first & websocket.RSV1), time, 0
            half.data.clear()
            if half.packed and (half.fresh or half.inflater.wrong):
                half.inflater.reset()  # after an error only what refers to the lost window is an error, too
            half.inflater.begin()
        return end

    def _payload(self, side: Side, half: _Half, data: bytes, at: int, time: int, out: list[Event]) -> int:
        """A piece of a frame's payload; the offset after it."""
        piece = data[at : at + half.left]
        control = half.opcode >= 8
        if half.key and piece:
            plain = websocket.unmask(piece, half.key, 0)
            turn = len(piece) & 3
            half.key = half.key[turn:] + half.key[:turn]
        else:
            plain = piece
        half.left -= len(piece)
        if control:
            half.payload += plain
        elif plain:
            self._collect(side, half, plain, time, out)
        if not half.left:
            half.left = -1
            if control:
                if half.opcode == websocket.CLOSE:
                    self._closing(side, half, time)
                self._message(side, half.opcode, bytes(half.payload), len(half.payload), time, out)
            elif half.fin:
                if half.packed:
                    self._inflated(side, half, half.inflater.finish(), time, out)
                wrong = half.inflater.wrong if half.packed else ""
                self._message(side, half.kind, bytes(half.data), half.size, time, out, wrong)
                half.kind = 0
                half.data.clear()
        return at + len(piece)

    def _closing(self, side: Side, half: _Half, time: int) -> None:
        """A close frame: the first one shows who ended it, and whether by an error (§7.4.1)."""
        first = not any(other.closed for other in self._halves)
        half.closed = True
        code = int.from_bytes(half.payload[:2], "big") if len(half.payload) >= 2 else websocket.NO_STATUS
        if first and code not in websocket.GOOD and code < websocket.PRIVATE:
            reason = bytes(half.payload[2:]).decode("utf-8", "backslashreplace")
            name = websocket.close_name(code) + (f" ({reason})" if reason else "")
            self._wrong = Ending(side, How.CLOSE_FRAME, time, name)

    def _message(
        self, side: Side, opcode: int, data: bytes, size: int, time: int, out: list[Event], wrong: str = ""
    ) -> None:
        if not self._halves[side].broken:
            kind = websocket.KINDS[opcode]
            out.append(Message(self._conn, self._stream, side, time, kind, data, size, "", "", wrong))

    def _collect(self, side: Side, half: _Half, data: bytes, time: int, out: list[Event]) -> None:
        """More of a message, compressed or not."""
        if not half.packed:
            half.size += len(data)
            half.data += data[: max(limits.MESSAGE_BYTES - len(half.data), 0)]
            return
        self._inflated(side, half, half.inflater.feed(data), time, out)

    def _inflated(self, side: Side, half: _Half, pieces: list[bytes], time: int, out: list[Event]) -> None:
        for plain in pieces:
            half.size += len(plain)
            half.data += plain[: max(limits.MESSAGE_BYTES - len(half.data), 0)]
        if half.size > limits.INFLATED_BYTES:
            self._break(side, half, time, f"a message of more than {limits.INFLATED_BYTES} bytes", out)
        elif half.inflater.wrong and not half.blamed:
            half.blamed = True
            text = f"{half.inflater.wrong}, by the {side.word}"
            out.append(Trouble(time, TroubleKind.BROKEN_WEBSOCKET, self._conn, text, self._stream))

    def _break(self, side: Side, half: _Half, time: int, why: str, out: list[Event]) -> None:
        """This direction cannot be decoded any more; why is a clause."""
        if half.broken:
            return
        half.broken, half.buffer = True, b""
        text = f"{why}, by the {side.word}"
        out.append(Trouble(time, TroubleKind.BROKEN_WEBSOCKET, self._conn, text, self._stream))
