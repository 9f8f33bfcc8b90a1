"""Folds the decoder's events into changes that views show.

What   Tables of what is open: connections by number, exchanges by (connection, stream), processes by pid, DNS answers
       by address. An exchange ends when both its messages are whole, or when its end cannot come any more.
Why    Views see whole things and need no protocol; what has ended is dropped here, so memory stays flat.
Grace  Programs ask for A and AAAA and try every address of a name: a failure is told as one only when no other attempt
       of the same process came through (attempts.py).
Limits The decoder bounds what can be open. ADDRESSES answers and PIDS processes are remembered.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hark.decode import events as ev
from hark.decode import limits
from hark.decode.endings import Ending, How, Phase
from hark.model import clauses, failing
from hark.model.attempts import BY_REQUESTS, GRACE, REPLACEABLE, Attempts, order_of
from hark.model.body import Body
from hark.model.changes import (
    Answered,
    Began,
    Change,
    Ended,
    Failed,
    MadeUp,
    MessageSeen,
    OtherProtocol,
    PassedOver,
    RecordingTrouble,
    Upgraded,
)
from hark.model.exchange import EMPTY, Connection, Exchange
from hark.model.failure import Failure, FailureKind
from hark.model.talk import DnsMessage, talk
from hark.recording.blocks import Entry, Names, Process
from hark.wire import websocket

if TYPE_CHECKING:
    from hark.model.archive import Shelf

_PIDS = 4096
_FOLLOWED = frozenset({"http/1.1", "h2", "h3", "websocket", "dns", "proxy", "socks4", "socks5"})
_ON_ITS_WAY = 500_000_000  # ns that the rest of a request may still come in that the server no longer wants
_TALK_KEEP = 4096  # bytes of a message that views may show, however little of bodies they keep
_TALKING = frozenset({"text/event-st", "application/g", "application/d"})  # how the media types of talks begin


Order = tuple[int, int, str]  # (when it was due, number of the connection, name)


class Book:
    """Feed it events; get changes. keep: bytes of each body that views want; steps: whether they want to know of every
    step of an exchange."""

    def __init__(self, keep: int, steps: bool = False) -> None:
        self._keep = keep
        self._steps = steps
        self._shelf: Shelf | None = None
        self.joined = False  # whether what was told depends on several connections: a name looked up inside of one, for
        #   others; a failure, for which another may make up
        self._connections: dict[int, Connection] = {}
        self._exchanges: dict[tuple[int, int], Exchange] = {}
        self._processes: dict[int, Process] = {}
        self._answers: dict[str, ev.Dns] = {}
        self._named: dict[str, str] = {}  # the last name that led to an address
        self._chains: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}  # certificates, each kept once
        self._numbers = 0
        self.due: deque[tuple[int, Exchange]] = deque()  # (time, exchange): over then, if nothing more comes of it
        self.attempts = Attempts()
        self._more: list[Change] = []  # changes beside the one that an event makes

    def widen(self, keep: int) -> None:
        """From now on tell every step, and keep at least `keep` bytes of each body."""
        self._keep = max(self._keep, keep)
        self._steps = True

    def feed(self, events: Iterable[ev.Event]) -> list[Change]:
        """The changes that these events make."""
        changes: list[Change] = []
        folds = _FOLDS
        for event in events:
            kind = type(event)
            fold = folds.get(kind)
            if fold is not None:
                change = fold(self, event)
                if change is not None:
                    changes.append(change)
                if self._more:
                    changes += self._more
                    self._more = []
            elif kind is ev.BodyData:
                if said := self._body(event):  # type: ignore[arg-type]
                    changes += said
            elif kind is Entry:
                changes += self._entry(event)  # type: ignore[arg-type]
        return changes

    def end(self) -> Iterator[Change]:
        """Nothing more will come: what is held is told."""
        yield from self._failed(self.attempts.rest())

    def rest(self, now: int) -> list[Change]:
        """Nothing has happened up to `now`: what waits no longer is told."""
        return self.settle(now)

    def settle(self, now: int) -> list[Change]:
        """What was to be told by `now`: exchanges of which nothing more comes, and failures for which nothing made up.
        To be asked at every frame where something is `due` or held by `attempts`, so that live telling, replay and
        telling by shares have the same order."""
        return [change for _, change in self.settled(now)]

    def settled(self, now: int) -> list[tuple[Order, Change]]:
        """The same, each with its place among what is told between two frames."""
        found: list[tuple[Order, Change]] = []
        while self.due and self.due[0][0] <= now:
            time, exchange = self.due.popleft()
            number = exchange.connection.number
            if self._exchanges.get((number, exchange.stream)) is exchange:
                found.append(((time, number, ""), self._over(exchange)))
        for failed in self._failed(self.attempts.overdue(now)):
            time, number, host = order_of(failed.failure)
            found.append(((time + GRACE, number, host), failed))
        found.sort(key=_place)
        return found

    def _fail(self, failure: Failure, quiet: bool = False) -> None:
        """Something has failed; it is told when nothing makes up for it. quiet: not at all where something does."""
        made_up = self.attempts.failed(failure, quiet)
        if made_up is not None:
            self._more.append(MadeUp(made_up))

    def _failed(self, failures: list[Failure]) -> Iterator[Failed]:
        """Nothing made up for these: at least no request that this book was told of."""
        for failure in failures:
            self.joined = self.joined or failure.kind in BY_REQUESTS
            yield Failed(failure)

    def _succeed(self, failures: list[Failure]) -> None:
        """These failures were made up for."""
        self._more += map(MadeUp, failures)

    # -- connections -------------------------------------------------------------------------------------------------

    def _opened(self, event: ev.Opened) -> None:
        process = self._processes.get(event.pid) if event.pid else None
        connection = Connection(event.conn, event.time, event.client, event.server, event.pid, process)
        answer = self._answers.pop(event.server[0], None)
        if answer is not None:
            connection.dns = (answer.asked, answer.time)
        connection.name = self._named.get(event.server[0], "")
        connection.udp, connection.foreign = event.udp, event.foreign
        self._connections[event.conn] = connection

    def _noted(self, event: ev.Noted) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None and len(connection.notes) < limits.NOTES_EACH:
            connection.notes.append(event)

    def _established(self, event: ev.Established) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None:
            connection.established = event.time
            self._succeed(self.attempts.reached(connection, event.time))

    def _tls(self, event: ev.TlsFacts) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None:
            connection.tls = event

    def _certificates(self, event: ev.Certificates) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None:
            if event.chain not in self._chains and len(self._chains) >= _PIDS:
                self._chains.clear()
            connection.certificates[event.side] = self._chains.setdefault(event.chain, event.chain)

    def _protocol(self, event: ev.Protocol) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None:
            connection.protocol = event.name
            connection.through = connection.through or event.name.startswith("socks")

    def _proxied(self, event: ev.Proxied) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None:
            connection.proxied = (event.client, event.server)

    def _closed(self, event: ev.Closed) -> Change | None:
        connection = self._connections.pop(event.conn, None)
        if connection is None:
            return None
        if connection.exchanges:
            self.attempts.over(connection, event.time)
            for _, exchange in self.due:  # nothing more comes of these
                if exchange.connection is connection and self._exchanges.get((event.conn, exchange.stream)) is exchange:
                    self._more.append(self._over(exchange))
        failure = failing.judge(connection, event)
        if failure is not None:
            if failure.kind not in REPLACEABLE:
                return Failed(failure)
            self._fail(failure)
            return None
        other = connection.protocol is not None and connection.protocol not in _FOLLOWED
        return OtherProtocol(connection) if other and not connection.exchanges and not connection.failed else None

    def _encrypted(self, event: ev.Encrypted) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None:
            connection.encrypted = event

    def _alert(self, event: ev.Alert) -> None:
        connection = self._connections.get(event.conn)
        if connection is None:
            return
        how, name = How.CLOSE_NOTIFY, ""
        if event.code:
            from hark.wire.tls import alert_name

            how, name = How.ALERT, alert_name(event.code)
        connection.alerts.append(Ending(event.side, how, event.time, name))

    def _going_away(self, event: ev.GoingAway) -> None:
        connection = self._connections.get(event.conn)
        if connection is not None:
            connection.alerts.append(event.ending)

    def _not_tls(self, event: ev.NotTls) -> Change | None:
        connection = self._connections.get(event.conn)
        if connection is None or connection.failed:
            return None
        connection.not_tls = event.protocol
        connection.failed = True
        return Failed(failing.not_tls(connection, event.protocol, event.time))

    def _trouble(self, event: ev.Trouble) -> Change | None:
        connection = self._connections.get(event.conn)
        if connection is None:
            return RecordingTrouble(event)
        exchange = self._exchanges.get((event.conn, event.stream))
        if exchange is not None:
            exchange.trouble = exchange.trouble or event.text
            if event.kind is ev.TroubleKind.LOST_BODY and event.side is not None:
                _body_of(exchange, event.side).lost()
                if exchange.talks is not None:
                    exchange.talks[event.side] = None  # where the next message begins is not known any more
        else:
            connection.troubles.append(event)
        return None

    def _process(self, event: Process) -> None:
        old = self._processes.get(event.pid)
        self._processes[event.pid] = event
        if len(self._processes) > _PIDS:
            del self._processes[next(iter(self._processes))]
        if old is not None and old.start == event.start and old.cmdline == event.cmdline:
            for connection in self._connections.values():  # the same process, better known
                if connection.process is old:
                    connection.process = event

    def _names(self, event: Names) -> None:
        for address, name in event.entries:
            self._name(address, name)

    def _name(self, address: str, name: str) -> None:
        self._named.pop(address, None)
        self._named[address] = name
        if len(self._named) > limits.ADDRESSES:
            del self._named[next(iter(self._named))]

    def _dns(self, event: ev.Dns) -> None:
        self.joined = self.joined or bool(event.conn)
        through = self._connections.get(event.conn) if event.conn else None
        if through is not None:
            event = event._replace(pid=through.pid)
        for address in event.addresses:
            self._answers[address] = event
            self._name(address, event.name)
        while len(self._answers) > limits.ADDRESSES:
            del self._answers[next(iter(self._answers))]
        if event.addresses:
            self._succeed(self.attempts.found(event.pid, event.name, event.time))
        elif event.qtype in ("A", "AAAA"):  # no other record's absence keeps a program from its host
            absent = event.rcode == "NOERROR"  # the name is there, and has no address of this family
            process = self._processes.get(event.pid) if event.pid else None
            kind = FailureKind.NAME_NOT_FOUND if absent or event.rcode == "NXDOMAIN" else FailureKind.NAME_NO_ANSWER
            why = "no address" if absent else event.rcode or "no answer"
            failure = Failure(kind, Phase.NAME, event.asked, event.time, why, process, event.pid, answer=event)
            self._fail(failure, absent)

    def _entry(self, event: Entry) -> Iterator[Change]:
        if self._shelf is None:
            from hark.model.archive import Shelf

            self._shelf = Shelf()
        if "_failure" in event.told:
            from hark.model.failed_entry import failure, is_failure

            if is_failure(event.told):
                yield Failed(failure(event.told))
                return
        exchange = self._shelf.exchange(event.told)
        if exchange.socket and exchange.response is not None:
            yield Upgraded(exchange)
        for message in exchange.messages:
            yield MessageSeen(exchange, message)
        yield Ended(exchange)

    # -- exchanges -----------------------------------------------------------------------------------------------------

    def _new(self, conn: int, stream: int, request: ev.RequestHead | None, started: int) -> Exchange | None:
        connection = self._connections.get(conn)
        if connection is None:
            return None
        self._numbers += 1
        connection.exchanges += 1
        exchange = Exchange(self._numbers, connection, stream, request, started, self._keep)
        self._exchanges[conn, stream] = exchange
        return exchange

    def _request(self, event: ev.RequestHead) -> Change | None:
        exchange = self._new(event.conn, event.stream, event, event.started)
        if exchange is None:
            return None
        if exchange.first:
            self._succeed(self.attempts.used(exchange, event.time))
        if event.method == "POST":
            mime = exchange.request_header("content-type")
            if mime[:13].lower() in _TALKING:
                encoding = exchange.request_header("grpc-encoding")
                said = talk(event.conn, event.stream, ev.Side.CLIENT, mime, "", encoding, max(self._keep, _TALK_KEEP))
                exchange.talks = [said, None]
        return Began(exchange)

    def _response(self, event: ev.ResponseHead) -> Change | None:
        exchange = self._exchanges.get((event.conn, event.stream))
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
        if mime[:13].lower() in _TALKING:
            coding, encoding = exchange.codings(ev.Side.SERVER), exchange.response_header("grpc-encoding")
            asked = exchange.talks[0] if exchange.talks is not None else None
            exchange.talks = [
                asked,
                talk(event.conn, event.stream, ev.Side.SERVER, mime, coding, encoding, max(self._keep, _TALK_KEEP)),
            ]
        if exchange.socket:
            return Upgraded(exchange)
        return Answered(exchange) if self._steps else None

    def _body(self, event: ev.BodyData) -> Sequence[Change]:
        exchange = self._exchanges.get((event.conn, event.stream))
        if exchange is None:
            return ()
        body = exchange.response_body if event.side else exchange.request_body
        if body is EMPTY:
            body = _body_of(exchange, event.side)
        body.add(event.data)
        if exchange.talks is None:
            return ()
        said = exchange.talks[event.side]
        if said is None:
            return ()
        try:
            messages = said.feed(bytes(event.data), event.time)
        except ValueError:  # it is not what its type says, or too much: the body is told as it is
            exchange.talks[event.side] = None
            return ()
        return [self._spoke(exchange, message) for message in messages]

    def _message(self, event: ev.Message) -> Change | None:
        exchange = self._exchanges.get((event.conn, event.stream))
        if exchange is None:
            return None
        if event.kind == "close" and exchange.ending is None:
            code = int.from_bytes(event.data[:2], "big") if event.size >= 2 else websocket.NO_STATUS
            exchange.ending = Ending(event.side, How.CLOSE_FRAME, event.time, websocket.close_name(code))
        return self._spoke(exchange, event)

    @staticmethod
    def _spoke(exchange: Exchange, message: ev.Message) -> MessageSeen:
        exchange.add(message)
        return MessageSeen(exchange, message)

    def _end(self, event: ev.MessageEnd) -> Change | None:
        exchange = self._exchanges.get((event.conn, event.stream))
        if exchange is None:
            return None
        if not event.side:  # the client's
            exchange.sent = event.time
            exchange.request_trailers = event.trailers
        else:
            exchange.ended = event.time
            exchange.response_trailers = event.trailers
            if exchange.talks is not None:
                self._looked_up(exchange)
        if exchange.ended and (exchange.sent or exchange.request is None):
            return self._over(exchange)
        return None

    def _looked_up(self, exchange: Exchange) -> None:
        """The answer of a look-up over HTTPS (RFC 8484) leads to connections as any other does."""
        said = exchange.talks[ev.Side.SERVER] if exchange.talks is not None else None
        if isinstance(said, DnsMessage):
            answer = said.answer(exchange.started, exchange.ended, exchange.connection.pid)
            if answer is not None:
                self.joined = True
                self._dns(answer)

    def _unwanted(self, event: ev.Unwanted) -> None:
        exchange = self._exchanges.get((event.conn, event.stream))
        if exchange is not None and exchange.ended:
            exchange.sent = event.time
            self.due.append((event.time + _ON_ITS_WAY, exchange))

    def _aborted(self, event: ev.Aborted) -> Change | None:
        exchange = self._exchanges.get((event.conn, event.stream))
        if exchange is None:
            return None
        if exchange.ended and exchange.response is not None:
            # The answer is whole; the server did not want the rest of the request.
            return self._over(exchange)
        streams = exchange.response is not None and exchange.response.version >= "HTTP/2"
        length = exchange.response_header("content-length") if exchange.sent and streams else ""
        exchange.ended = event.time
        if not length or length != str(exchange.response_body.size):
            self._cut(exchange, event)  # else all of it came, and only the end was not said
        return self._over(exchange)

    @staticmethod
    def _cut(exchange: Exchange, event: ev.Aborted) -> None:
        """An exchange is not whole: by whom, or why."""
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

    def _over(self, exchange: Exchange) -> Ended:
        del self._exchanges[exchange.connection.number, exchange.stream]
        return Ended(exchange)


def _place(settled: tuple[Order, Change]) -> Order:
    return settled[0]


def _without_request(connection: Connection) -> str:
    """Why a response has no request."""
    if connection.not_tls is not None:
        return f"the server answered in {connection.not_tls}, not TLS"
    for trouble in connection.troubles:
        if trouble.kind is ev.TroubleKind.BROKEN_HTTP and trouble.text.endswith("by the client"):
            return trouble.text
    lost = any(trouble.kind.startswith("lost") for trouble in connection.troubles)
    return "no request was seen for it" if connection.established and not lost else "its request was not captured"


def _body_of(exchange: Exchange, side: ev.Side) -> Body:
    """A body that can be added to."""
    body = exchange.response_body if side else exchange.request_body
    if body is EMPTY:
        body = Body(exchange.keep)
        if side:
            exchange.response_body = body
        else:
            exchange.request_body = body
    return body


_FOLDS: dict[type, Callable[[Book, Any], Change | None]] = {
    ev.Opened: Book._opened,
    ev.Noted: Book._noted,
    ev.Established: Book._established,
    ev.TlsFacts: Book._tls,
    ev.Certificates: Book._certificates,
    ev.Protocol: Book._protocol,
    ev.Proxied: Book._proxied,
    ev.Closed: Book._closed,
    ev.Encrypted: Book._encrypted,
    ev.Alert: Book._alert,
    ev.GoingAway: Book._going_away,
    ev.NotTls: Book._not_tls,
    ev.Trouble: Book._trouble,
    ev.PassedOver: lambda book, event: PassedOver(event.what, event.frames, event.harmless),
    ev.Dns: Book._dns,
    ev.RequestHead: Book._request,
    ev.ResponseHead: Book._response,
    ev.Message: Book._message,
    ev.MessageEnd: Book._end,
    ev.Aborted: Book._aborted,
    ev.Unwanted: Book._unwanted,
    Process: Book._process,
    Names: Book._names,
}
