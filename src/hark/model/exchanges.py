"""Exchanges, from the decoder's events about requests, responses, their bodies and messages.

What   A table of the exchanges in progress, by (connection, stream). An exchange ends when request and response are
       complete, or when no more of it can arrive.
Why    An exchange that has ended is dropped here, so that memory does not grow with the recording.
Limits The decoder limits the number of exchanges in progress.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hark.decode import events as ev
from hark.decode.endings import Ending, How, Phase, Side
from hark.model import clauses
from hark.model.body import Body
from hark.model.changes import Answered, Began, Change, Ended, MessageSeen, RecordingTrouble, Upgraded
from hark.model.exchange import EMPTY, Exchange
from hark.model.streams import DnsMessage, MessageReader, reader_for
from hark.wire import websocket

if TYPE_CHECKING:
    from hark.model.connections import Connections
    from hark.model.exchange import Connection

_ON_ITS_WAY = 500_000_000  # ns that the rest of a request may still arrive in after the server has answered it early
_MESSAGE_KEEP = 4096  # bytes of a message that views may show even if they keep less of bodies
_MESSAGE_TYPES = frozenset({"text/event-st", "application/g", "application/d"})  # beginnings of their media types


class Exchanges:
    """Folds events about exchanges. A method returns the change that its event makes, if it makes one. keep: bytes of
    each body that views want; steps: whether they want to know of every step of an exchange."""

    def __init__(self, connections: Connections, keep: int, steps: bool) -> None:
        self.keep = keep
        self.steps = steps
        self.due: deque[tuple[int, Exchange]] = deque()  # (time, exchange): it ends then at the latest
        self._connections = connections
        self._by_number = connections.open
        self._open: dict[tuple[int, int], Exchange] = {}
        self._count = 0

    # -- heads ---------------------------------------------------------------------------------------------------------

    def _new(self, conn: int, stream: int, request: ev.RequestHead | None, started: int) -> Exchange | None:
        connection = self._by_number.get(conn)
        if connection is None:
            return None
        self._count += 1
        connection.exchanges += 1
        exchange = Exchange(self._count, connection, stream, request, started, self.keep)
        self._open[conn, stream] = exchange
        return exchange

    def request(self, event: ev.RequestHead) -> Change | None:
        """The head of a request."""
        exchange = self._new(event.conn, event.stream, event, event.started)
        if exchange is None:
            return None
        if exchange.first:
            self._connections.superseded(self._connections.attempts.used(exchange, event.time))
        if event.method == "POST":
            mime = exchange.request_header("content-type")
            if mime[:13].lower() in _MESSAGE_TYPES:
                encoding = exchange.request_header("grpc-encoding")
                exchange.readers = [self._reader(event, Side.CLIENT, mime, "", encoding), None]
        return Began(exchange)

    def response(self, event: ev.ResponseHead) -> Change | None:
        """The head of a response."""
        exchange = self._open.get((event.conn, event.stream))
        if exchange is None:
            exchange = self._new(event.conn, event.stream, None, event.started)
            if exchange is None:
                return None
            exchange.trouble = _without_request(exchange.connection)
        if event.interim:
            exchange.interim.append(event)
            return None
        exchange.response = event
        exchange.answered = event.started
        if exchange.request is not None and exchange.request.method == "CONNECT" and 200 <= event.status < 300:
            exchange.connection.through = True
        mime = exchange.response_header("content-type")
        if mime[:13].lower() in _MESSAGE_TYPES:
            coding, encoding = exchange.codings(Side.SERVER), exchange.response_header("grpc-encoding")
            of_request = exchange.readers[Side.CLIENT] if exchange.readers is not None else None
            exchange.readers = [of_request, self._reader(event, Side.SERVER, mime, coding, encoding)]
        if exchange.socket:
            return Upgraded(exchange)
        return Answered(exchange) if self.steps else None

    def _reader(
        self, head: ev.RequestHead | ev.ResponseHead, side: Side, mime: str, coding: str, encoding: str
    ) -> MessageReader | None:
        return reader_for(head.conn, head.stream, side, mime, coding, encoding, max(self.keep, _MESSAGE_KEEP))

    # -- bodies and messages -------------------------------------------------------------------------------------------

    def body(self, event: ev.BodyData) -> Sequence[Change]:
        """A piece of a body. The result: the messages that it completes."""
        exchange = self._open.get((event.conn, event.stream))
        if exchange is None:
            return ()
        body = exchange.response_body if event.side else exchange.request_body
        if body is EMPTY:
            body = _body_of(exchange, event.side)
        body.add(event.data)
        if exchange.readers is None:
            return ()
        reader = exchange.readers[event.side]
        if reader is None:
            return ()
        try:
            messages = reader.feed(bytes(event.data), event.time)
        except ValueError:  # it is not of its media type, or too large: a plain body
            exchange.readers[event.side] = None
            return ()
        return [_seen(exchange, message) for message in messages]

    def message(self, event: ev.Message) -> Change | None:
        """A WebSocket message."""
        exchange = self._open.get((event.conn, event.stream))
        if exchange is None:
            return None
        if event.kind == "close" and exchange.ending is None:
            code = int.from_bytes(event.data[:2], "big") if event.size >= 2 else websocket.NO_STATUS
            exchange.ending = Ending(event.side, How.CLOSE_FRAME, event.time, websocket.close_name(code))
        return _seen(exchange, event)

    # -- ends ----------------------------------------------------------------------------------------------------------

    def message_end(self, event: ev.MessageEnd) -> Change | None:
        """A request or a response is complete."""
        exchange = self._open.get((event.conn, event.stream))
        if exchange is None:
            return None
        if not event.side:  # the client's
            exchange.sent = event.time
            exchange.request_trailers = event.trailers
        else:
            exchange.ended = event.time
            exchange.response_trailers = event.trailers
            if exchange.readers is not None:
                self._dns_over_https(exchange, exchange.readers[Side.SERVER])
        if exchange.ended and (exchange.sent or exchange.request is None):
            return self._end(exchange)
        return None

    def _dns_over_https(self, exchange: Exchange, reader: MessageReader | None) -> None:
        """The answer to a DNS question over HTTPS (RFC 8484) counts as any other."""
        if isinstance(reader, DnsMessage):
            answer = reader.answer(exchange.started, exchange.ended, exchange.connection.pid)
            if answer is not None:
                self._connections.cross_linked = True
                self._connections.dns(answer)

    def unwanted(self, event: ev.Unwanted) -> None:
        """The server has answered, and wants no more of the request."""
        exchange = self._open.get((event.conn, event.stream))
        if exchange is not None and exchange.ended:
            exchange.sent = event.time
            self.due.append((event.time + _ON_ITS_WAY, exchange))

    def aborted(self, event: ev.Aborted) -> Change | None:
        """An exchange ends early."""
        exchange = self._open.get((event.conn, event.stream))
        if exchange is None:
            return None
        if exchange.ended and exchange.response is not None:
            # The response is complete; the server did not want the rest of the request.
            return self._end(exchange)
        has_streams = exchange.response is not None and exchange.response.version >= "HTTP/2"
        length = exchange.response_header("content-length") if exchange.sent and has_streams else ""
        exchange.ended = event.time
        if not length or length != str(exchange.response_body.size):
            _cut(exchange, event)  # else the response is complete except for the end of its stream
        return self._end(exchange)

    def settled(self, now: int) -> list[tuple[int, Ended]]:
        """(when it was due, change) of the exchanges that are due by `now`."""
        changes: list[tuple[int, Ended]] = []
        while self.due and self.due[0][0] <= now:
            time, exchange = self.due.popleft()
            if self._is_open(exchange):
                changes.append((time, self._end(exchange)))
        return changes

    def end_of(self, connection: Connection) -> list[Change]:
        """End the exchanges of a connection that are due: the connection is over."""
        return [
            self._end(exchange)
            for _, exchange in self.due
            if exchange.connection is connection and self._is_open(exchange)
        ]

    def _is_open(self, exchange: Exchange) -> bool:
        return self._open.get((exchange.connection.number, exchange.stream)) is exchange

    def _end(self, exchange: Exchange) -> Ended:
        del self._open[exchange.connection.number, exchange.stream]
        return Ended(exchange)

    # -- what could not be read ----------------------------------------------------------------------------------------

    def trouble(self, event: ev.Trouble) -> Change | None:
        """Something is missing or wrong: in an exchange, a connection or the recording."""
        connection = self._by_number.get(event.conn)
        if connection is None:
            return RecordingTrouble(event)
        exchange = self._open.get((event.conn, event.stream))
        if exchange is None:
            connection.troubles.append(event)
            return None
        exchange.trouble = exchange.trouble or event.text
        if event.kind is ev.TroubleKind.LOST_BODY and event.side is not None:
            _body_of(exchange, event.side).lost()
            if exchange.readers is not None:
                exchange.readers[event.side] = None  # the start of the next message is not known
        return None


def _seen(exchange: Exchange, message: ev.Message) -> MessageSeen:
    exchange.add(message)
    return MessageSeen(exchange, message)


def _cut(exchange: Exchange, event: ev.Aborted) -> None:
    """Note which side ended an exchange early, or else why it is incomplete."""
    ending, why = event.ending, event.why
    if ending is not None:
        exchange.ending = ending
        if ending.how is not How.OPEN:
            ended = ending.then.time if ending.then is not None else ending.time
            exchange.ended = max(ended, exchange.answered, exchange.started)
        since = exchange.sent if exchange.phase is Phase.WAITING else ending.since
        socket = exchange.socket
        lasted = ending.time - (exchange.started if socket else exchange.began)
        quiet = ending.time - (since or ending.time)
        why = clauses.exchange(ending, exchange.phase, lasted, quiet, socket)
    exchange.trouble = exchange.trouble or why


def _without_request(connection: Connection) -> str:
    """Why a response has no request."""
    if connection.not_tls is not None:
        return f"the server answered in {connection.not_tls}, not TLS"
    for trouble in connection.troubles:
        if trouble.kind is ev.TroubleKind.BROKEN_HTTP and trouble.text.endswith("by the client"):
            return trouble.text
    lost = any(trouble.kind.startswith("lost") for trouble in connection.troubles)
    return "no request was seen for it" if connection.established and not lost else "its request was not captured"


def _body_of(exchange: Exchange, side: Side) -> Body:
    """A body that can be added to."""
    body = exchange.response_body if side else exchange.request_body
    if body is EMPTY:
        body = Body(exchange.keep)
        if side:
            exchange.response_body = body
        else:
            exchange.request_body = body
    return body
