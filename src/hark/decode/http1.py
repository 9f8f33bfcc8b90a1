"""HTTP/1.0 and 1.1, both directions at once (RFC 9112).

What   Requests and responses on one connection, paired in order; bodies by length, by chunks, or until the end.
Why    A passive reader has to do what neither library does: it knows the request when it reads the response (HEAD,
       CONNECT, 1xx) and must go on telling when a peer is bad.
Lax    Bare LF ends a line, header names are not checked, folded lines are joined (§5.2): what real peers accept, a
       listener must read. What cannot be read ends the telling of that direction, never the program's connection.
       What a server has answered was a request to it, whatever the line looked like: it is told as it was sent.
       Where peers differ in what a head says of its body, what follows on the connection decides (http1_framing.py).
Limits HEAD_BYTES a head; PIPELINE requests without an answer.
"""

import re
from collections import deque
from collections.abc import Sequence

from hark.decode import limits
from hark.decode.endings import Ending, Ends, How, refused
from hark.decode.events import (
    Aborted,
    BodyData,
    Event,
    Headers,
    MessageEnd,
    RequestHead,
    ResponseHead,
    Side,
    Trouble,
    Unwanted,
)
from hark.decode.http1_framing import chunk, chunk_end, of_request, of_response
from hark.decode.http1_modes import (
    BROKEN,
    CHUNK_DATA,
    CHUNK_END,
    CHUNK_SIZE,
    EXPECT,
    GUESS,
    HEAD,
    IDLE,
    LENGTH,
    PASSED,
    SEEK,
    UNTIL_END,
    Asked,
    Half,
)
from hark.decode.http1_upgrade import Waiting, may_upgrade, token
from hark.decode.layer import LASTING, Layer, Upgrade, Upgrader
from hark.wire import fields, http1

_PARTS = (  # what either may begin with, where only a part of the line is here; rare, so compiled when it comes
    rb"[A-Z]{1,16}|[A-Z]{3,16} (?:[a-z0-9+.:-]{0,13}|(?:/|[a-z]{2,8}://)[^\r\n]*\r?)",
    rb"H|HT|HTT|HTTP|HTTP/(?:[1-3](?:\.(?:\d(?: \d{0,3})?)?)?)?",
)
_REQUEST_TORN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ +\S+"
_RECORD = rb"[\x15\x16]\x03[\x00-\x04]"  # a TLS alert or handshake message
_LINE_SHOWN = 1024  # bytes of a line that is no request line


class Http1:
    """One connection. `upgrade` gives the layer that takes over after a 101 or a CONNECT; `seeking` is the side of
    which no message's beginning has been seen yet, where the connection's beginning was not captured."""

    def __init__(self, conn: int, upgrade: Upgrader, seeking: Side | None = None) -> None:
        self._conn = conn
        self._upgrade = upgrade
        self._halves = (Half(), Half())
        self._asked: deque[Asked] = deque()
        self._streams = 0
        self._next: Layer | None = None  # what took over
        self._answer_seen = 0  # the last stream whose final answer has begun
        if seeking is not None:
            self._halves[seeking].mode = SEEK
        self._ends = Ends()
        self._sent = 0  # when the last request was whole
        self._heard = 0  # when the server's last byte came
        self._stopped: Ending | None = None  # the server's end, where the client's was first and may refuse what came
        self._late: list[tuple[MessageEnd, Ending]] = []  # ends of responses that came behind the client's own end
        self._held = Waiting()

    # -- the layer's interface -----------------------------------------------------------------------------------

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        half = self._halves[side]
        out: list[Event] = []
        if half.mode == PASSED:
            return self._passed(side, data, time)
        if side:
            self._heard = time
        if half.buffer:
            data = half.buffer + bytes(data)
            half.buffer = b""
        elif half.mode == HEAD:
            half.started = time
        self._run(side, half, data, time, out)
        return out

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """A hole: inside a body of known length it is harmless; elsewhere the messages that it may have held a part of
        are given up, and the direction is taken up again where one begins with a segment."""
        half = self._halves[side]
        if self._next is not None:
            return self._next.lost(side, size, time)
        if half.mode in (LENGTH, CHUNK_DATA) and size <= half.left:
            half.left -= size
            text = f"{size} bytes of a body were not captured"
            out: list[Event] = [Trouble(time, "lost-body", self._conn, text, half.stream, side)]
            if half.mode == LENGTH and not half.left:
                self._whole(side, half, time, (), out)
            return out
        if half.mode == UNTIL_END:
            text = f"{size} bytes of a body were not captured"
            return (Trouble(time, "lost-body", self._conn, text, half.stream, side),)
        why = f"{size} bytes were not captured"
        out = []
        if half.mode == SEEK and side == Side.CLIENT and not self._asked and re.match(_REQUEST_TORN, half.buffer):
            half.mode = HEAD
        if half.mode in (BROKEN, SEEK):
            return ()
        if half.mode == HEAD and half.buffer.strip() and self._torn(side, half, why, time, out):
            return out
        out = [Trouble(time, "lost-http", self._conn, f"{why}, by the {_who(side)}")]
        if half.mode != HEAD:
            out.append(Trouble(time, "lost-body", self._conn, why, half.stream, side))
            out.append(Aborted(self._conn, half.stream, time, why))
            self._forget(half.stream)
        if side == Side.SERVER:  # which of the requests the next answer is for cannot be known
            self._give_up(time, why, out)
        half.mode, half.buffer = SEEK, b""
        return out

    def _torn(self, side: Side, half: Half, why: str, time: int, out: list[Event]) -> bool:
        """What was captured of a head is told, marked; False where that is too little."""
        first, *rest = half.buffer.lstrip(b"\r\n").split(b"\n")
        lines = [first, *rest[:-1]]
        if side == Side.CLIENT:
            asks = re.match(_REQUEST_TORN, first) if not rest else None
            if asks is not None:
                lines = [asks[0] + b" HTTP/1.1"]  # as nearly all are
            good = self._request(half, lines, -1, time, out)
        else:
            good = self._response(half, lines, -1, time, out)
        if not good or half.mode == PASSED:
            return good
        stream = half.stream
        if half.mode != HEAD:
            self._whole(side, half, time, (), out)
        out.insert(len(out) - 1, Trouble(time, "lost-head", self._conn, f"{why}, from within a head on", stream))
        if side == Side.SERVER and len(self._asked) > 1:  # which of them the next answer is for cannot be known
            self._give_up(time, why, out)
        half.mode, half.buffer = SEEK, b""
        return True

    def passes_over(self) -> bool:
        """Whether bytes by the server that answer none of the requests that were seen are to be passed over: where they
        are not the rest of a message, the next one is looked for behind them."""
        server = self._halves[Side.SERVER]
        if server.mode == HEAD and self._asked and not server.buffer:
            server.mode = SEEK
        return server.mode == SEEK

    def _give_up(self, time: int, why: str, out: list[Event]) -> None:
        """No request that was made by then will be answered as far as anybody can tell."""
        out.extend(Aborted(self._conn, asked.stream, time, why) for asked in self._asked if asked.time <= time)
        self._asked = deque(asked for asked in self._asked if asked.time > time)

    def _found(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bool:
        """Whether a message begins here, and it can be known what it belongs to."""
        if side == Side.SERVER:
            # With a request that was made after the hole, the answer is to it: there is no other.
            if len(self._asked) != 1 or not http1.begins_response(data):
                return False
        elif not http1.begins_request(data):
            return False
        elif self._asked:  # those that wait may be answered before others that nobody saw
            self._give_up(time, "the requests behind it were not captured", out)
            self._halves[Side.SERVER].mode = BROKEN
        half.mode, half.started = HEAD, time
        return True

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more."""
        half = self._halves[side]
        out: list[Event] = []
        if self._next is not None:
            return self._next.end(side, how, time)
        self._ends.add(side, how, time)
        if side == Side.CLIENT:
            if half.mode == GUESS or (half.mode == EXPECT and half.after == GUESS):
                self._rest(side, half, time, out)
                self._whole(side, half, time, (), out)
            elif half.mode == EXPECT and self._answer_seen >= half.stream:
                self._whole(side, half, time, (), out)
            return out  # what is to be answered still may be, also a head that did not end
        unread = half.mode == HEAD and bool(half.buffer.strip())
        ending = Ending(side, how, time, "in the middle of its headers" if unread and self._asked else "")
        if half.mode in (UNTIL_END, GUESS) and self._ends.may_read(self._sent, self._heard):
            self._rest(side, half, time, out)
            self._whole(side, half, time, (), out)
        left = self._ends.left()
        if left is not None and self._heard > left.time:
            self._stopped = ending  # whether the client is still there is seen next
        else:
            self._unanswered(ending, out)
            half.mode, half.buffer = BROKEN, b""
        return out

    def _rest(self, side: Side, half: Half, time: int, out: list[Event]) -> None:
        """What was kept because another message might have begun with it is of the body."""
        if half.buffer:
            out.append(BodyData(self._conn, half.stream, side, time, half.buffer))
            half.buffer = b""

    def _unanswered(self, last: Ending, out: list[Event]) -> None:
        """The server will say no more, by `last`: end the response that is coming in, and what waits for one."""
        server = self._halves[Side.SERVER]
        answering = server.mode not in IDLE
        cause = self._ends.cause(last, self._sent, self._heard)
        if cause.side == last.side and cause.how == last.how:
            cause = last
        streams = [asked.stream for asked in self._asked]
        if answering and server.stream not in streams:
            streams.insert(0, server.stream)
        out.extend(Aborted(self._conn, stream, last.time, "", cause) for stream in streams)
        self._asked.clear()

    def _arrived(self, last: Ending, out: list[Event]) -> None:
        """Responses that came behind the client's end: it has read them, unless it answers with a reset."""
        for end, left in self._late:
            cause = last if last.since else left
            out.append(Aborted(self._conn, end.stream, last.time, "", cause) if refused(last, end.time) else end)
        self._late.clear()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over: what is open stays unfinished."""
        out: list[Event] = []
        if self._next is not None:
            out.extend(self._next.close(ending))
        asked = {waiting.stream for waiting in self._asked}
        if self._stopped is not None and not refused(ending, self._heard):
            ending = self._stopped
        client = self._halves[Side.CLIENT]
        if client.mode == HEAD and client.buffer.strip():
            out.extend(self._break(Side.CLIENT, client, ending.time, "an end in the middle of a head"))
        if client.mode == GUESS or (client.mode == EXPECT and client.after == GUESS):
            self._rest(Side.CLIENT, client, ending.time, out)
        self._unanswered(ending, out)
        self._arrived(ending, out)
        if client.mode not in IDLE and client.stream not in asked:  # it was answered before it was whole
            out.append(Aborted(self._conn, client.stream, ending.time, "", self._ends.cause(ending)))
        for half in self._halves:
            half.mode, half.buffer = BROKEN, b""
        return out

    # -- the two parsers ---------------------------------------------------------------------------------------------

    def _run(self, side: Side, half: Half, data: bytes | memoryview, time: int, out: list[Event]) -> None:
        while len(data):
            mode = half.mode
            if mode in (LENGTH, CHUNK_DATA):
                take = data[: half.left] if len(data) > half.left else data
                half.left -= len(take)
                out.append(BodyData(self._conn, half.stream, side, time, take))
                data = data[len(take) :]
                if not half.left:
                    if mode == LENGTH:
                        self._whole(side, half, time, (), out)
                        half.started = time
                    else:
                        half.mode = CHUNK_END
                continue
            if mode == UNTIL_END:
                out.append(BodyData(self._conn, half.stream, side, time, data))
                return
            if mode == PASSED:
                out.extend(self._passed(side, data, time))
                return
            if mode == BROKEN:
                return
            if mode == SEEK and not self._found(side, half, bytes(data), time, out):
                if len(data) <= limits.HEAD_BYTES and re.fullmatch(_PARTS[side], data):
                    half.buffer = bytes(data)  # a first line in several segments
                return
            if mode == GUESS:
                rest = self._guess(side, half, bytes(data), time, out)
            elif mode == EXPECT:
                rest = self._expected(half, bytes(data), time, out)
            else:
                rest = self._line(side, half, bytes(data), time, out)
            if rest is None:
                return
            data = rest

    def _line(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """Modes that read lines. What is left of the data; None where more is needed (and data is kept)."""
        if half.mode == HEAD:
            return self._head(side, half, data, time, out)
        if half.mode == CHUNK_END:
            size = chunk_end(data)
            if size < 0:
                return self._unframed(side, half, data, time, "a chunk does not end where it should", out)
            if not size:
                half.buffer = data
                return None
            half.mode = CHUNK_SIZE
            return data[size:]
        if half.mode == CHUNK_SIZE:
            mode, left, size = chunk(data, half.doubt)
            if mode == CHUNK_SIZE:
                half.buffer = data
                return None
            doubt, half.doubt = half.doubt, False
            if mode == GUESS and doubt:
                half.mode = UNTIL_END if side else GUESS
                return data
            if mode == GUESS:
                return self._unframed(side, half, data, time, "a chunk size cannot be read", out)
            half.mode, half.left = mode, left
            return data[size:]
        return self._trailers(side, half, data, time, out)

    def _trailers(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        for empty in (b"\r\n", b"\n"):
            if data.startswith(empty):
                self._whole(side, half, time, (), out)
                half.started = time
                return data[len(empty) :]
        end, after = http1.head_end(data)
        if end < 0:
            if len(data) > limits.HEAD_BYTES:
                return self._unframed(side, half, data, time, "trailers without an end", out)
            half.buffer = data
            return None
        self._whole(side, half, time, http1.headers(data[:end].split(b"\n")), out)
        half.started = time
        return data[after:]

    def _head(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        if side == Side.CLIENT and self._undecided():
            self._held.add(data, time)
            return None
        if data[0] in b"\r\n":  # §2.2: empty lines in front of a request line are skipped
            data = data.lstrip(b"\r\n")
            if not data:
                return None
        if side == Side.SERVER:
            rest = self._answer(half, data, time, out) if data[:7] != b"HTTP/1." or not self._asked else data
            if rest is None or half.mode != HEAD:
                return rest
            data = rest
        end, after = http1.head_end(data)
        if end < 0:
            if side == Side.SERVER and re.match(_RECORD, data):
                out.extend(self._break(side, half, time, "an answer in TLS, not HTTP"))
                return None
            if len(data) > limits.HEAD_BYTES:
                out.extend(self._break(side, half, time, f"a head of more than {limits.HEAD_BYTES} bytes"))
                return None
            half.buffer = data
            return None
        lines = data[:end].split(b"\n")
        read = self._request if side == Side.CLIENT else self._response
        if not read(half, lines, after, time, out):
            what = "request" if side == Side.CLIENT else "status"
            out.extend(self._break(side, half, time, f"a {what} line cannot be read"))
            return None
        return data[after:]

    def _answer(self, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """What the server sends where a status line should begin and may not. What is left of it, None where more is
        needed."""
        client = self._halves[Side.CLIENT]
        if not self._asked and client.mode == HEAD and client.buffer and not half.doubt:
            # It answers what came so far: a head that did not end, or a request that has no headers (HTTP/0.9).
            lines, client.buffer = client.buffer.split(b"\n"), b""
            self._asks(client, lines if len(lines) > 1 else [*lines, b""], 0, time, out)
            self._whole(Side.CLIENT, client, time, (), out)  # for the server it was
            client.mode = BROKEN
        if not self._asked:
            return self._surplus(half, data, time, out)
        asked = self._asked[0].head
        old = asked.version == "HTTP/0.9"
        first = old or (self._answer_seen == 0 and len(self._asked) == 1 and 0x20 < data[0] < 0x7F)
        if not first or any(sign.startswith(data[: len(sign)].upper()) for sign in (b"HTTP/", b"ICY ")):
            return data
        half.stream, half.mode = asked.stream, UNTIL_END
        self._answer_seen = half.stream
        out.append(ResponseHead(self._conn, half.stream, time, time, 200, "", "HTTP/0.9", (), 0, False))
        if not old:
            text = "the answer has no status line (HTTP/0.9)"
            out.append(Trouble(time, "broken-http", self._conn, text, half.stream))
        return data

    def _surplus(self, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """Without a request that waits: passed over up to a status line, for bodies of what has none (HEAD, 204, 304)
        and bytes behind a body's length are sent."""
        at = http1.find_response(data)
        if at and not half.doubt:
            half.doubt = True
            out.append(Trouble(time, "surplus-http", self._conn, "bytes that belong to no response, by the server"))
        if http1.begins_response(data[at:]):
            return data[at:]
        half.buffer = data[at:]
        return None

    def _guess(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """A message whose length cannot be read: a response up to the next one, where another request waits for one; a
        request up to the next one."""
        if side == Side.CLIENT:
            at, found = http1.find_request(data)
        else:
            at = http1.find_response(data) if len(self._asked) > 1 else len(data)
            found = http1.begins_response(data[at:])
        if len(data) - at > limits.HEAD_BYTES and not found:
            at = len(data)
        if at:
            out.append(BodyData(self._conn, half.stream, side, time, data[:at]))
        if found:
            self._whole(side, half, time, (), out)
            half.started = time
            return data[at:]
        half.buffer = data[at:]
        return None

    def _unframed(self, side: Side, half: Half, data: bytes, time: int, why: str, out: list[Event]) -> bytes | None:
        """A body goes on in another way than its head said. A request is read on, as its server will answer it."""
        if side == Side.SERVER:
            out.extend(self._break(side, half, time, why))
            return None
        out.append(Trouble(time, "broken-http", self._conn, f"{why}, by the client", half.stream))
        half.mode = GUESS
        return data

    def _expected(self, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """What follows a head that expects 100 Continue: the body, unless a final answer has begun before and another
        request follows (RFC 9110 §10.1.1). Behind one whose framing is wrong another request may follow at once."""
        if self._answer_seen >= half.stream or half.after == GUESS:
            if http1.begins_request(data):
                self._whole(Side.CLIENT, half, time, (), out)
                half.started = time
                return data
            if http1.may_begin_request(data) and len(data) <= limits.HEAD_BYTES:
                half.buffer = data
                return None
        half.mode = half.after
        return data

    def _undecided(self) -> bool:
        """Whether the last request may turn the connection into something else and its answer is still to come."""
        if not self._asked or self._asked[-1].stream <= self._answer_seen:
            return False
        return may_upgrade(self._asked[-1].head)

    def _release(self, out: list[Event]) -> None:
        """The answer has come: the held bytes are read as what they are now."""
        for data, time in self._held.take():
            out.extend(self.feed(Side.CLIENT, data, time))

    def _request(self, half: Half, lines: list[bytes], size: int, time: int, out: list[Event]) -> bool:
        self._sent = 0
        headers = self._asks(half, lines, size, time, out)
        if len(self._asked) > limits.PIPELINE:
            out.append(Aborted(self._conn, self._asked.popleft().stream, time, "too many requests without an answer"))
        body = of_request(headers, self._asked[-1].head.version)
        if body.mode == HEAD:
            self._whole(Side.CLIENT, half, time, (), out)
        else:
            half.mode, half.left, half.doubt, half.after, wrong = body
            if wrong:
                out.append(Trouble(time, "broken-http", self._conn, f"{wrong}, by the client", half.stream))
        half.started = time
        return True

    def _asks(self, half: Half, lines: list[bytes], size: int, time: int, out: list[Event]) -> Headers:
        """Tell a request by the lines of its head; its headers."""
        self._streams += 1
        half.stream = self._streams
        headers = http1.headers(lines[1:])
        sent = lines[0].rstrip(b"\r")
        line = http1.request_line(sent)
        method, target, version, odd = line or http1.RequestLine("?", "", "", True)
        as_sent = fields.text(sent[:_LINE_SHOWN]) if odd else ""
        started = half.started or time
        head = RequestHead(
            self._conn, half.stream, time, started, method, target, "", "", version, headers, size, "", as_sent
        )  # fmt: skip
        out.append(head)
        self._asked.append(Asked(half.stream, head, time))
        if line is None:
            text = f"this is no request line: {as_sent}"
            out.append(Trouble(time, "broken-http", self._conn, text, half.stream))
        return headers

    def _response(self, half: Half, lines: list[bytes], size: int, time: int, out: list[Event]) -> bool:
        line = http1.status_line(lines[0].rstrip(b"\r"))
        if line is None:
            return False
        version, status, reason = line
        asked = self._asked[0] if self._asked else None
        headers = http1.headers(lines[1:])
        half.doubt = False
        # An upgrade to HTTP/2 answers the very request that asked for it there (RFC 7540 §3.2): this is not the answer.
        interim = 100 <= status < 200 and (status != 101 or token(headers) == "h2c")
        if asked is None:
            # An answer to a request that nobody saw (408 on an idle connection, or the capture began late).
            self._streams += 1
            half.stream = self._streams
        else:
            half.stream = asked.stream
        head = ResponseHead(
            self._conn, half.stream, time, half.started or time, status, reason, version, headers, size, interim
        )
        out.append(head)
        half.started = time
        client = self._halves[Side.CLIENT]
        if status == 100 and client.mode == EXPECT and client.stream == half.stream:
            client.mode = client.after
        if not interim or status == 101:
            self._answered(half, asked, head, time, out)
        return True

    def _answered(self, half: Half, asked: Asked | None, head: ResponseHead, time: int, out: list[Event]) -> None:
        method = asked.head.method if asked else ""
        status, headers = head.status, head.headers
        self._answer_seen = half.stream
        if asked is not None and (status == 101 or (method == "CONNECT" and 200 <= status < 300)):
            name = token(headers) if status == 101 else "tunnel"
            if name == "h2c" or name in LASTING:
                self._asked.popleft()
            else:
                self._whole(Side.SERVER, half, time, (), out)
            self._next, events = self._upgrade(Upgrade(name, asked.head, head), time)
            out.extend(events)
            for other in self._halves:
                other.mode = PASSED
            self._release(out)
            return
        if method != "HEAD" and status not in (204, 304):
            half.mode, half.left, half.doubt, _, _ = of_response(headers, head.version)
        if half.mode == HEAD:
            self._whole(Side.SERVER, half, time, (), out)
        if self._held:
            self._release(out)

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _whole(self, side: Side, half: Half, time: int, trailers: Headers, out: list[Event]) -> None:
        end = MessageEnd(self._conn, half.stream, side, time, trailers)
        if side == Side.CLIENT:
            self._sent = time
            out.append(end)
        elif self._ends.first is not None and (left := self._ends.left()) is not None:
            self._late.append((end, left))
        else:
            out.append(end)
        half.mode = HEAD
        if side == Side.SERVER and self._asked and self._asked[0].stream == half.stream:
            self._asked.popleft()
            client = self._halves[Side.CLIENT]
            if client.mode in (EXPECT, BROKEN, GUESS) and client.stream == half.stream:
                out.append(Unwanted(self._conn, half.stream, time))  # its rest may have been withheld
                if client.mode == GUESS and not client.buffer:
                    client.mode, client.after = EXPECT, GUESS  # the client may go on with any request

    def _forget(self, stream: int) -> None:
        self._asked = deque(asked for asked in self._asked if asked.stream != stream)

    def _break(self, side: Side, half: Half, time: int, why: str) -> list[Event]:
        """Nothing more can be told of this direction."""
        out: list[Event] = [Trouble(time, "broken-http", self._conn, f"{why}, by the {_who(side)}")]
        if half.mode != HEAD:
            out.append(Aborted(self._conn, half.stream, time, why))
            self._forget(half.stream)
        elif side == Side.SERVER and self._asked:
            out.append(Aborted(self._conn, self._asked.popleft().stream, time, why))
        half.mode, half.buffer = BROKEN, b""
        return out

    def _passed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        return self._next.feed(side, data, time) if self._next is not None else ()


def _who(side: Side) -> str:
    return "client" if side == Side.CLIENT else "server"
