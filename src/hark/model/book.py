"""The book: folds the decoder's events into the changes that views show.

What   Connections, processes and names are in connections.py, exchanges in exchanges.py. The book gives each event to
       one of them and collects the changes. An entry of a file is read here.
Why    Views handle exchanges and know no protocol.
Grace  Programs ask for A and AAAA records and try every address of a name: a failed attempt is a failure only if no
       other attempt of the same process succeeds (attempts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hark.decode import events as ev
from hark.model import failing
from hark.model.attempts import BY_REQUESTS, GRACE, REPLACEABLE, order_of
from hark.model.changes import Change, Ended, Failed, MessageSeen, OtherProtocol, PassedOver, Upgraded
from hark.model.connections import Connections
from hark.model.exchanges import Exchanges
from hark.recording.blocks import Entry, Names, Process

if TYPE_CHECKING:
    from hark.model.failure import Failure
    from hark.model.imported import EntryReader

_HTTP = frozenset({"http/1.1", "h2", "h3", "websocket", "dns", "proxy", "socks4", "socks5"})  # reported as exchanges

Order = tuple[int, int, str]  # (when it was due, number of the connection, name)


class Book:
    """Takes events, gives changes. keep: bytes of each body that views want; steps: whether they want to know of every
    step of an exchange."""

    def __init__(self, keep: int, steps: bool = False) -> None:
        self._reader: EntryReader | None = None
        self._connections = Connections()
        self._exchanges = Exchanges(self._connections, keep, steps)
        self.attempts = self._connections.attempts
        self.due = self._exchanges.due
        self._folds = self._table()

    @property
    def cross_linked(self) -> bool:
        """Whether a change depended on several connections."""
        return self._connections.cross_linked

    def widen(self, keep: int) -> None:
        """From now on report every step, and keep at least `keep` bytes of each body."""
        self._exchanges.keep = max(self._exchanges.keep, keep)
        self._exchanges.steps = True

    def feed(self, events: Iterable[ev.Event]) -> list[Change]:
        """The changes that these events make."""
        changes: list[Change] = []
        folds, more, body = self._folds, self._connections.more, self._exchanges.body
        for event in events:
            kind = type(event)
            fold = folds.get(kind)
            if fold is not None:
                change = fold(event)
                if change is not None:
                    changes.append(change)
                if more:
                    changes += more
                    more.clear()
            elif kind is ev.BodyData:
                if messages := body(event):  # type: ignore[arg-type]
                    changes += messages
            elif kind is Entry:
                changes += self._entry(event)  # type: ignore[arg-type]
        return changes

    def end(self) -> Iterator[Change]:
        """The recording is over: the changes that were held back."""
        yield from self._failed(self.attempts.rest())

    def rest(self, now: int) -> list[Change]:
        """Nothing has happened up to `now`: the changes that were held back until then."""
        return self.settle(now)

    def settle(self, now: int) -> list[Change]:
        """The changes that are due by `now`: exchanges that end then at the latest, and failures that nothing has
        superseded. Call it before every frame while something is `due` or held by `attempts`, so that live runs,
        replays and parallel readers have the same order."""
        return [change for _, change in self.settled(now)]

    def settled(self, now: int) -> list[tuple[Order, Change]]:
        """The same, each with its place in the order between two frames."""
        changes: list[tuple[Order, Change]] = [
            ((time, ended.exchange.connection.number, ""), ended) for time, ended in self._exchanges.settled(now)
        ]
        for failed in self._failed(self.attempts.overdue(now)):
            time, number, host = order_of(failed.failure)
            changes.append(((time + GRACE, number, host), failed))
        changes.sort(key=_order)
        return changes

    def _failed(self, failures: list[Failure]) -> Iterator[Failed]:
        """Failures that nothing has superseded: at least no request in this book."""
        for failure in failures:
            if failure.kind in BY_REQUESTS:
                self._connections.cross_linked = True
            yield Failed(failure)

    def _closed(self, event: ev.Closed) -> Change | None:
        connection = self._connections.open.pop(event.conn, None)
        if connection is None:
            return None
        if connection.exchanges:
            self.attempts.over(connection, event.time)
            self._connections.more += self._exchanges.end_of(connection)
        failure = failing.judge(connection, event)
        if failure is not None:
            if failure.kind not in REPLACEABLE:
                return Failed(failure)
            self._connections.fail(failure)
            return None
        other = connection.protocol is not None and connection.protocol not in _HTTP
        return OtherProtocol(connection) if other and not connection.exchanges and not connection.failed else None

    def _entry(self, event: Entry) -> Iterator[Change]:
        if self._reader is None:
            from hark.model.imported import EntryReader

            self._reader = EntryReader()
        if "_failure" in event.told:
            from hark.model.failed_entry import failure, is_failure

            if is_failure(event.told):
                yield Failed(failure(event.told))
                return
        exchange = self._reader.exchange(event.told)
        if exchange.socket and exchange.response is not None:
            yield Upgraded(exchange)
        for message in exchange.messages:
            yield MessageSeen(exchange, message)
        yield Ended(exchange)

    def _table(self) -> dict[type, Callable[[Any], Change | None]]:
        connections, exchanges = self._connections, self._exchanges
        return {
            ev.Opened: connections.opened,
            ev.Noted: connections.noted,
            ev.Established: connections.established,
            ev.TlsFacts: connections.tls,
            ev.Certificates: connections.certificates,
            ev.Protocol: connections.protocol,
            ev.Proxied: connections.proxied,
            ev.Closed: self._closed,
            ev.Encrypted: connections.encrypted,
            ev.Alert: connections.alert,
            ev.GoingAway: connections.going_away,
            ev.NotTls: connections.not_tls,
            ev.Trouble: exchanges.trouble,
            ev.PassedOver: lambda event: PassedOver(event.what, event.frames, event.harmless),
            ev.Dns: connections.dns,
            ev.RequestHead: exchanges.request,
            ev.ResponseHead: exchanges.response,
            ev.Message: exchanges.message,
            ev.MessageEnd: exchanges.message_end,
            ev.Aborted: exchanges.aborted,
            ev.Unwanted: exchanges.unwanted,
            Process: connections.process,
            Names: connections.names,
        }


def _order(settled: tuple[Order, Change]) -> Order:
    return settled[0]
