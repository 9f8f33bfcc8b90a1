"""HTTP/1.0 and 1.1, both directions at once (RFC 9112).

What   Requests and responses on one connection, paired in order; bodies by length, by chunks, or until the end.
       http1_heads.py reads heads, http1_bodies.py the bodies that need parsing, http1_exchanges.py pairs and ends.
Why    No HTTP library can be used: a passive observer needs the request to parse the response (HEAD, CONNECT, 1xx), and
       must continue if a peer violates the protocol.
Lax    A bare LF ends a line, header names are not checked, folded lines are joined (§5.2): as real peers do it. A
       request that a server has answered is reported, however malformed its first line is. Where implementations differ
       in how they read a head's framing, the bytes that follow decide (http1_framing.py).
Gaps   Missing bytes of a body with a known length change nothing else. After any other gap the direction continues at
       the first segment that begins with a message.
Limits HEAD_BYTES per head; PIPELINE requests without a response.
"""

import re
from collections.abc import Sequence
from typing import Final

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Aborted, BodyData, Event, Side, Trouble, TroubleKind
from hark.decode.headercache import HeaderCache
from hark.decode.http1_bodies import read as read_body
from hark.decode.http1_heads import Heads
from hark.decode.http1_modes import BROKEN, CHUNK_DATA, CHUNK_END, HEAD, LENGTH, SEEK, UNTIL_END, UPGRADED, Half
from hark.decode.layer import Data, Upgrader
from hark.wire import http1

# By side: the beginning of a first line that is not complete. Rarely needed, so compiled on first use.
_FIRST_LINE_PART: Final = (
    rb"[A-Z]{1,16}|[A-Z]{3,16} (?:[a-z0-9+.:-]{0,13}|(?:/|[a-z]{2,8}://)[^\r\n]*\r?)",
    rb"H|HT|HTT|HTTP|HTTP/(?:[1-3](?:\.(?:\d(?: \d{0,3})?)?)?)?",
)
_REQUEST_TARGET: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ +\S+"  # a request line up to its version


class Http1(Heads):
    """One connection. `upgrade` gives the layer that takes over after a 101 or a CONNECT; `seeking` is the side that
    has not begun a message yet, if the beginning of the connection was not captured."""

    def __init__(
        self, conn: int, upgrade: Upgrader, seeking: Side | None = None, cache: HeaderCache | None = None
    ) -> None:
        super().__init__(conn, upgrade, cache)
        if seeking is not None:
            self._halves[seeking].mode = SEEK

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """Bytes of `side`."""
        half = self._halves[side]
        if half.mode == UPGRADED:
            return self._inside.feed(side, data, time) if self._inside is not None else ()
        out: list[Event] = []
        if side:
            self._exchanges.received = time
        if half.buffer:
            data = half.buffer + bytes(data)
            half.buffer = b""
        elif half.mode == HEAD:
            half.started = time
        self._run(side, half, data, time, out)
        return out

    def _run(self, side: Side, half: Half, data: Data, time: int, out: list[Event]) -> None:
        while len(data):
            mode = half.mode
            if mode in (LENGTH, CHUNK_DATA):
                if len(data) < half.left:
                    half.left -= len(data)
                    out.append(BodyData(self._conn, half.stream, side, time, data))
                    return
                data = self._last_counted(side, half, data, time, out)
                continue
            if mode == UNTIL_END:
                out.append(BodyData(self._conn, half.stream, side, time, data))
                return
            if mode == UPGRADED:
                if self._inside is not None:
                    out.extend(self._inside.feed(side, data, time))
                return
            if mode == BROKEN:
                return
            if mode == SEEK:
                if not self._resume(side, half, bytes(data), time, out):
                    return
                mode = half.mode
            if mode == HEAD:
                rest = self._head(side, half, bytes(data), time, out)
            else:
                rest = read_body(self._exchanges, side, half, bytes(data), time, out)
            if rest is None:
                return
            data = rest

    def _last_counted(self, side: Side, half: Half, data: Data, time: int, out: list[Event]) -> Data:
        """The last bytes of a body or a chunk of known length; what is left after them."""
        take, rest = (data, b"") if len(data) == half.left else (data[: half.left], data[half.left :])
        half.left = 0
        out.append(BodyData(self._conn, half.stream, side, time, take))
        if half.mode == LENGTH:
            self._exchanges.complete(side, half, time, (), out)
            half.started = time
        else:
            half.mode = CHUNK_END
        return rest

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction."""
        if self._inside is not None:
            return self._inside.end(side, how, time)
        out: list[Event] = []
        self._exchanges.end(side, how, time, out)
        return out

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        out: list[Event] = []
        if self._inside is not None:
            out.extend(self._inside.close(ending))
        self._exchanges.close(ending, out)
        return out

    # -- gaps ----------------------------------------------------------------------------------------------------------

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """A gap. Within a body of known length it is harmless; elsewhere the messages that it may have contained a part
        of are given up."""
        half = self._halves[side]
        if self._inside is not None:
            return self._inside.lost(side, size, time)
        out: list[Event] = []
        if half.mode == UNTIL_END or (half.mode in (LENGTH, CHUNK_DATA) and size <= half.left):
            self._lost_body(side, half, size, time, out)
            return out
        why = f"{size} bytes were not captured"
        waiting = self._exchanges.requests
        if half.mode == SEEK and side == Side.CLIENT and not waiting and re.match(_REQUEST_TARGET, half.buffer):
            half.mode = HEAD
        if half.mode in (BROKEN, SEEK):
            return ()
        if half.mode == HEAD and half.buffer.strip() and self._partial_head(side, half, why, time, out):
            return out
        out = [Trouble(time, TroubleKind.LOST_HTTP, self._conn, f"{why}, by the {side.word}")]
        if half.mode != HEAD:
            out.append(Trouble(time, TroubleKind.LOST_BODY, self._conn, why, half.stream, side))
            out.append(Aborted(self._conn, half.stream, time, why))
            self._exchanges.drop(half.stream)
        if side == Side.SERVER:  # the next response cannot be assigned to a request
            self._exchanges.give_up(time, why, out)
        half.mode, half.buffer = SEEK, b""
        return out

    def _lost_body(self, side: Side, half: Half, size: int, time: int, out: list[Event]) -> None:
        text = f"{size} bytes of a body were not captured"
        out.append(Trouble(time, TroubleKind.LOST_BODY, self._conn, text, half.stream, side))
        if half.mode != UNTIL_END:
            half.left -= size
            if half.mode == LENGTH and not half.left:
                self._exchanges.complete(side, half, time, (), out)

    def _partial_head(self, side: Side, half: Half, why: str, time: int, out: list[Event]) -> bool:
        """Report the captured part of a head, with a trouble; False if too little of it was captured."""
        first, *rest = half.buffer.lstrip(b"\r\n").split(b"\n")
        lines = [first, *rest[:-1]]
        if side == Side.CLIENT:
            begun = re.match(_REQUEST_TARGET, first) if not rest else None
            if begun is not None:
                lines = [begun[0] + b" HTTP/1.1"]  # as nearly all are
            good = self._request(half, lines, -1, time, out)
        else:
            good = self._response(half, lines, -1, time, out)
        if not good or half.mode == UPGRADED:
            return good
        stream = half.stream
        if half.mode != HEAD:
            self._exchanges.complete(side, half, time, (), out)
        text = f"{why}, from within a head on"
        out.insert(len(out) - 1, Trouble(time, TroubleKind.LOST_HEAD, self._conn, text, stream))
        if side == Side.SERVER and len(self._exchanges.requests) > 1:  # the next response cannot be assigned to one
            self._exchanges.give_up(time, why, out)
        half.mode, half.buffer = SEEK, b""
        return True

    def _resume(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bool:
        """Whether a message begins with these bytes, which follow a gap, and it is known what it belongs to."""
        if not self._begins(side, data):
            if len(data) <= limits.HEAD_BYTES and re.fullmatch(_FIRST_LINE_PART[side], data):
                half.buffer = data  # a first line in several segments
            return False
        if side == Side.CLIENT and self._exchanges.requests:
            # Earlier requests may be answered before others that were not captured.
            self._exchanges.give_up(time, "the requests behind it were not captured", out)
            self._halves[Side.SERVER].mode = BROKEN
        half.mode, half.started = HEAD, time
        return True

    def _begins(self, side: Side, data: bytes) -> bool:
        if side == Side.CLIENT:
            return http1.begins_request(data)
        # If one request was made after the gap, the response is to that one: there is no other.
        return len(self._exchanges.requests) == 1 and http1.begins_response(data)

    def skips_response(self) -> bool:
        """Whether bytes that the server sent before any captured request are to be skipped: unless they continue a
        message, the next one is looked for after them."""
        server = self._halves[Side.SERVER]
        if server.mode == HEAD and self._exchanges.requests and not server.buffer:
            server.mode = SEEK
        return server.mode == SEEK
