"""The exchanges of an HTTP/1 connection: requests paired with responses in order, and how each of them ends.

May hold: the queue of requests without a response, and the connection's ends. May not hold: parsing.
Ends   The end of a connection completes a response of unknown length, and aborts any other. If the client's FIN came
       first, responses that follow are reported only once it is known whether the client still read them.
"""

from collections import deque

from hark.decode.endings import Ending, Ends, How, unread
from hark.decode.events import Aborted, BodyData, Event, Headers, MessageEnd, Side, Trouble, TroubleKind, Unwanted
from hark.decode.headercache import HeaderCache
from hark.decode.http1_modes import BROKEN, EXPECT, GUESS, HEAD, IDLE, UNTIL_END, Half, Request


class Exchanges:
    """Those of one connection, and the state of its two directions. Methods append events to `out`."""

    __slots__ = (
        "_late", "_server_end", "answered", "conn", "count", "ends", "halves", "lines", "received", "requests", "sent",
    )  # fmt: skip

    def __init__(self, conn: int, cache: HeaderCache) -> None:
        self.conn = conn
        self.lines = cache.lines
        self.halves = (Half(), Half())
        self.requests: deque[Request] = deque()  # those without a complete final response
        self.count = 0  # exchanges so far
        self.answered = 0  # the last exchange whose final response has begun
        self.ends = Ends()
        self.sent = 0  # when the last request was complete
        self.received = 0  # when the server's last byte came
        self._server_end: Ending | None = None  # if the client's end came first and may reset what followed
        self._late: list[tuple[MessageEnd, Ending]] = []  # responses that were complete after the client's own end

    # -- messages ------------------------------------------------------------------------------------------------------

    def complete(self, side: Side, half: Half, time: int, trailers: Headers, out: list[Event]) -> None:
        """The message of this direction has ended."""
        end = MessageEnd(self.conn, half.stream, side, time, trailers)
        if side == Side.CLIENT:
            self.sent = time
            out.append(end)
        elif self.ends.first is not None and (left := self.ends.client_first()) is not None:
            self._late.append((end, left))
        else:
            out.append(end)
        half.mode = HEAD
        if side == Side.SERVER and self.requests and self.requests[0].stream == half.stream:
            self.requests.popleft()
            client = self.halves[Side.CLIENT]
            if client.mode in (EXPECT, BROKEN, GUESS) and client.stream == half.stream:
                out.append(Unwanted(self.conn, half.stream, time))  # the rest of the request may be withheld
                if client.mode == GUESS and not client.buffer:
                    client.mode, client.after = EXPECT, GUESS  # any request may follow

    def flush(self, side: Side, half: Half, time: int, out: list[Event]) -> None:
        """Bytes that were kept because the next message might have begun with them belong to the body."""
        if half.buffer:
            out.append(BodyData(self.conn, half.stream, side, time, half.buffer))
            half.buffer = b""

    def drop(self, stream: int) -> None:
        """No response is expected for this request any more."""
        self.requests = deque(request for request in self.requests if request.stream != stream)

    def give_up(self, time: int, why: str, out: list[Event]) -> None:
        """Responses can no longer be assigned to the requests that were sent until `time`."""
        out.extend(Aborted(self.conn, request.stream, time, why) for request in self.requests if request.time <= time)
        self.requests = deque(request for request in self.requests if request.time > time)

    def break_off(self, side: Side, half: Half, time: int, why: str, out: list[Event]) -> None:
        """The rest of this direction cannot be decoded; why is a clause."""
        out.append(Trouble(time, TroubleKind.BROKEN_HTTP, self.conn, f"{why}, by the {side.word}"))
        if half.mode != HEAD:
            out.append(Aborted(self.conn, half.stream, time, why))
            self.drop(half.stream)
        elif side == Side.SERVER and self.requests:
            out.append(Aborted(self.conn, self.requests.popleft().stream, time, why))
        half.mode, half.buffer = BROKEN, b""

    # -- ends ----------------------------------------------------------------------------------------------------------

    def end(self, side: Side, how: How, time: int, out: list[Event]) -> None:
        """`side` has ended its direction."""
        half = self.halves[side]
        self.ends.add(side, how, time)
        if side == Side.CLIENT:
            if half.mode == GUESS or (half.mode == EXPECT and half.after == GUESS):
                self.flush(side, half, time, out)
                self.complete(side, half, time, (), out)
            elif half.mode == EXPECT and self.answered >= half.stream:
                self.complete(side, half, time, (), out)
            return  # responses may still come, even to an incomplete head
        unread_head = half.mode == HEAD and bool(half.buffer.strip())
        ending = Ending(side, how, time, "in the middle of its headers" if unread_head and self.requests else "")
        if half.mode in (UNTIL_END, GUESS) and self.ends.may_read(self.sent, self.received):
            self.flush(side, half, time, out)
            self.complete(side, half, time, (), out)
        left = self.ends.client_first()
        if left is not None and self.received > left.time:
            self._server_end = ending  # the next packet shows whether the client still reads
        else:
            self._cut_off(ending, out)
            half.mode, half.buffer = BROKEN, b""

    def close(self, ending: Ending, out: list[Event]) -> None:
        """The connection is over: what is open stays incomplete."""
        waiting = {request.stream for request in self.requests}
        if self._server_end is not None and not unread(ending, self.received):
            ending = self._server_end
        client = self.halves[Side.CLIENT]
        if client.mode == HEAD and client.buffer.strip():
            self.break_off(Side.CLIENT, client, ending.time, "an end in the middle of a head", out)
        if client.mode == GUESS or (client.mode == EXPECT and client.after == GUESS):
            self.flush(Side.CLIENT, client, ending.time, out)
        self._cut_off(ending, out)
        self._late_responses(ending, out)
        if client.mode not in IDLE and client.stream not in waiting:  # the response came before the complete request
            out.append(Aborted(self.conn, client.stream, ending.time, "", self.ends.cause(ending)))
        for half in self.halves:
            half.mode, half.buffer = BROKEN, b""

    def _cut_off(self, last: Ending, out: list[Event]) -> None:
        """The server sends nothing more: abort the response in progress, and every request without a response."""
        server = self.halves[Side.SERVER]
        cause = self.ends.cause(last, self.sent, self.received)
        if cause.side == last.side and cause.how == last.how:
            cause = last
        streams = [request.stream for request in self.requests]
        if server.mode not in IDLE and server.stream not in streams:
            streams.insert(0, server.stream)
        out.extend(Aborted(self.conn, stream, last.time, "", cause) for stream in streams)
        self.requests.clear()

    def _late_responses(self, last: Ending, out: list[Event]) -> None:
        """Responses that were complete after the client's end: the client has read them, unless it sent a reset."""
        for end, left in self._late:
            cause = last if last.since else left
            out.append(Aborted(self.conn, end.stream, last.time, "", cause) if unread(last, end.time) else end)
        self._late.clear()
