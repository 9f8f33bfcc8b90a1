"""Failed attempts are held back for a while, because another attempt may supersede them.

What   A program asks for A and AAAA records, tries the names of a search list and every address of a name, and opens
       spare connections. What counts is the result: an attempt that another one of the same process supersedes within
       GRACE of recorded time is reported as superseded, any other as a failure once GRACE is over.
Why    A refused ::1 before an answer from 127.0.0.1 is no failure; without the answer it is the cause of one.
How    A failed name look-up is superseded by addresses of the same name or of another form of it (with or without a
       domain of the search list), or by a request to a host that it is a form of. A failed connection is superseded by
       an established one to the same host and port; one that was not used, by one to the same host and port that was.
       Hosts are the same if their names are; without names, if their addresses are of different families.
Order  Only recorded time decides when GRACE is over, and only at a frame: live runs, replays and parallel readers
       (pipeline/parallel.py) report the same failures in the same places.
Limits SUCCESSES of each kind are remembered. The number of failures that are held is not limited.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hark.bounded import Bounded
from hark.model.failure import Failure, FailureKind

if TYPE_CHECKING:
    from hark.model.exchange import Connection, Exchange

GRACE = 1_000_000_000  # ns
_NEVER = 1 << 63
_SUCCESSES = 4096
_NAMES = frozenset({FailureKind.NAME_NOT_FOUND, FailureKind.NAME_NO_ANSWER})
_ATTEMPTS = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE, FailureKind.NO_ANSWER})
_UNUSED = frozenset({FailureKind.CLOSED_BEFORE_REQUEST, FailureKind.RESET, FailureKind.TLS_SILENT})

REPLACEABLE = _NAMES | _ATTEMPTS | _UNUSED  # kinds that another attempt may supersede
BY_REQUESTS = _NAMES | _UNUSED  # of these, kinds that a request on another connection may supersede


def order_of(failure: Failure) -> tuple[int, int, str]:
    """The order of failures that are reported at the same frame."""
    number = failure.connection.number if failure.connection is not None else 0
    return failure.time, number, failure.host


class _Destination(NamedTuple):
    """Where a connection of a process leads. host: by name, "" if it has none; six: whether its address is IPv6."""

    pid: int
    port: int
    host: str
    six: bool
    address: str

    def same_service(self, other: _Destination) -> bool:
        """Whether both lead to the same service."""
        if (self.pid, self.port) != (other.pid, other.port):
            return False
        if self.address == other.address:
            return True
        if self.host or other.host:
            return self.host == other.host
        return self.six != other.six


class _Held(NamedTuple):
    failure: Failure
    destination: _Destination | None  # None for a name
    quiet: bool  # not reported at all if superseded


_Test = Callable[[_Held], bool]


class Attempts:
    """Failed and successful attempts of all processes."""

    def __init__(self) -> None:
        self.held: deque[_Held] = deque()
        self._due = _NEVER  # when the grace of the first held failure is over, or earlier
        self._reached: deque[tuple[int, _Destination]] = deque(maxlen=_SUCCESSES)
        self._used: Bounded[_Destination, int] = Bounded(
            _SUCCESSES
        )  # when a first request was sent, or a connection ended
        self._in_use: Counter[_Destination] = Counter()
        self._resolved: deque[tuple[int, int, str]] = deque(maxlen=_SUCCESSES)  # (time, pid, name)

    def failed(self, failure: Failure, quiet: bool = False) -> Failure | None:
        """Hold a failure. The failure itself if it is superseded already and that is to be reported."""
        connection = failure.connection
        held = _Held(failure, _destination(connection) if connection is not None else None, quiet)
        if self._is_superseded(held):
            question = (failure.pid, failure.host) if held.destination is None else None
            return None if quiet or any(resolved[1:] == question for resolved in self._resolved) else failure
        if failure.answer is None or not any(self._same_name(other, failure) for other in self.held):
            self.held.append(held)
            self._due = min(self._due, failure.time + GRACE)
        elif not quiet:  # of two failures of one name the one that says more is kept
            for index, other in enumerate(self.held):
                if other.quiet and self._same_name(other, failure):
                    self.held[index] = held
                    self._due = min(self._due, failure.time + GRACE)
        return None

    @staticmethod
    def _same_name(held: _Held, failure: Failure) -> bool:
        other = held.failure
        return other.answer is not None and (other.pid, other.host) == (failure.pid, failure.host)

    def reached(self, connection: Connection, time: int) -> list[Failure]:
        """A connection was established: the failures that it supersedes."""
        destination = _destination(connection)
        self._reached.append((time, destination))
        if not self.held:
            return []

        def supersedes(held: _Held) -> bool:
            if held.destination is None:
                return (held.failure.pid, held.failure.host) == (connection.pid, connection.name)
            return held.failure.kind in _ATTEMPTS and held.destination.same_service(destination)

        return self._take(supersedes, time)

    def used(self, exchange: Exchange, time: int) -> list[Failure]:
        """The first request of a connection: the failures that it supersedes."""
        connection = exchange.connection
        destination = _destination(connection)
        self._in_use[destination] += 1
        self._used.renew(destination, time)
        if not self.held:
            return []
        request = exchange.request
        authority = (request.authority or exchange.request_header("host")) if request is not None else ""
        host, _, port = authority.rpartition(":")
        host = host if port.isdigit() else authority

        def supersedes(held: _Held) -> bool:
            failure = held.failure
            if held.destination is None:
                return failure.pid == connection.pid and _is_form(failure.host, host)
            return failure.kind in _UNUSED and held.destination.same_service(destination)

        return self._take(supersedes, time)

    def over(self, connection: Connection, time: int) -> None:
        """A connection that carried requests has ended."""
        destination = _destination(connection)
        self._in_use[destination] -= 1
        if self._in_use[destination] <= 0:
            del self._in_use[destination]
        self._used.renew(destination, time)

    def resolved(self, pid: int, name: str, time: int) -> list[Failure]:
        """A name has been resolved to addresses: the failures that this supersedes."""
        self._resolved.append((time, pid, name))
        if not self.held:
            return []

        def supersedes(held: _Held) -> bool:
            return held.destination is None and held.failure.pid == pid and _are_forms(held.failure.host, name)

        # For the same name only the address of the other family is missing, which is not reported.
        return [failure for failure in self._take(supersedes, time) if failure.host != name]

    def overdue(self, now: int) -> list[Failure]:
        """Failures whose grace is over: nothing superseded them."""
        if now < self._due:
            return []
        over = [held for held in self.held if now - held.failure.time >= GRACE]
        for held in over:
            self.held.remove(held)
        self._due = min((held.failure.time for held in self.held), default=_NEVER - GRACE) + GRACE
        return sorted((held.failure for held in over), key=order_of)

    def rest(self) -> list[Failure]:
        """All that is held, at the end of the recording."""
        failures = sorted((held.failure for held in self.held), key=order_of)
        self.held.clear()
        return failures

    def _take(self, supersedes: _Test, now: int) -> list[Failure]:
        """Stop holding what a success supersedes; the failures of it that are reported as superseded."""
        taken = [held for held in self.held if now - held.failure.time < GRACE and supersedes(held)]
        for held in taken:
            self.held.remove(held)
        return [held.failure for held in taken if not held.quiet]

    def _is_superseded(self, held: _Held) -> bool:
        """Whether an earlier success supersedes it."""
        failure, destination = held.failure, held.destination
        since = failure.started - GRACE
        if destination is None:
            name = failure.host.rstrip(".")
            if name == "localhost" or name.startswith("localhost.") or name.endswith(".localhost"):
                return True  # libraries resolve these names themselves (RFC 6761 §6.3)
            return any(
                pid == failure.pid and time >= since and _are_forms(failure.host, resolved)
                for time, pid, resolved in self._resolved
            )
        if failure.kind in _ATTEMPTS:
            return any(time >= since and destination.same_service(other) for time, other in self._reached)
        if failure.kind in _UNUSED:
            used = any(time >= since and destination.same_service(other) for other, time in self._used.items())
            return used or any(destination.same_service(other) for other in self._in_use)
        return False


def _destination(connection: Connection) -> _Destination:
    address, port = connection.server
    loopback = address == "::1" or address.startswith("127.")
    name = "localhost" if loopback else connection.name.lower().rstrip(".")
    return _Destination(connection.pid, port, name, ":" in address, address)


def _is_form(name: str, host: str) -> bool:
    """Whether a name is a host, or the host with a domain of the search list appended."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    return bool(host) and (name == host or name.startswith(host + "."))


def _are_forms(name: str, other: str) -> bool:
    """Whether one of two names is the other with a domain of the search list appended."""
    return _is_form(name, other) or _is_form(other, name)
