"""Failures that are held for a while, and what makes up for them.

What   A program asks for A and AAAA, walks a search list, tries every address of a name, opens a connection more than
       it needs. What it got in the end is what counts: an attempt that the same process made up for within GRACE of
       recorded time is told as such (made up), everything else as a failure when GRACE is over.
Why    A refused ::1 in front of an answer from 127.0.0.1 is no failure; beside nothing else it is the cause.
How    A name is made up for by addresses of the same name, of a name that it is a search list's form of, or by a
       request to the host that it is a form of. A connection, by one that came about to the same host and port; one
       that was not used, by one to the same host and port that was. Hosts are the same by name; addresses without a
       name, where they are of different families.
Order  Recorded time alone decides when GRACE is over, and frames alone are asked about it: live, replay and telling by
       shares of connections (pipeline/parallel.py) tell the same failures at the same places.
Limits SUCCESSES of each kind are remembered; failures are few.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hark.model.failure import Failure, FailureKind

if TYPE_CHECKING:
    from hark.model.exchange import Connection, Exchange

GRACE = 1_000_000_000  # ns
_NEVER = 1 << 63
_SUCCESSES = 4096
_NAMES = frozenset({FailureKind.NAME_NOT_FOUND, FailureKind.NAME_NO_ANSWER})
_ATTEMPTS = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE, FailureKind.NO_ANSWER})
_UNUSED = frozenset({FailureKind.CLOSED_BEFORE_REQUEST, FailureKind.RESET, FailureKind.TLS_SILENT})

REPLACEABLE = _NAMES | _ATTEMPTS | _UNUSED  # kinds for which something may make up
BY_REQUESTS = _NAMES | _UNUSED  # of these, those for which a request on another connection may


def order_of(failure: Failure) -> tuple[int, int, str]:
    """The order of failures that are told at the same place."""
    number = failure.connection.number if failure.connection is not None else 0
    return failure.time, number, failure.host


class _Place(NamedTuple):
    """Where a connection leads. host: its name, else "" ; six: whether its address is IPv6."""

    pid: int
    port: int
    host: str
    six: bool
    address: str

    def alike(self, other: _Place) -> bool:
        """Whether another is a way to the same service."""
        if (self.pid, self.port) != (other.pid, other.port):
            return False
        if self.address == other.address:
            return True
        if self.host or other.host:
            return self.host == other.host
        return self.six != other.six


class _Held(NamedTuple):
    failure: Failure
    place: _Place | None  # of a connection
    quiet: bool  # not worth telling where it was made up for


_Test = Callable[[_Held], bool]


class Attempts:
    """What failed and what came through, of all processes."""

    def __init__(self) -> None:
        self.held: deque[_Held] = deque()
        self._due = _NEVER  # when the grace of the first of them is over, or earlier
        self._reached: deque[tuple[int, _Place]] = deque(maxlen=_SUCCESSES)
        self._used: dict[_Place, int] = {}  # when a connection that carried requests was last taken into use, or ended
        self._in_use: Counter[_Place] = Counter()
        self._found: deque[tuple[int, int, str]] = deque(maxlen=_SUCCESSES)  # (time, pid, name)

    def failed(self, failure: Failure, quiet: bool = False) -> Failure | None:
        """Something has failed: hold it. The failure where it is made up for already, and worth telling as that."""
        connection = failure.connection
        held = _Held(failure, _place(connection) if connection is not None else None, quiet)
        if self._made_up(held):
            asked = (failure.pid, failure.host) if held.place is None else None
            return None if quiet or any(found[1:] == asked for found in self._found) else failure
        if failure.answer is None or not any(self._same_name(other, failure) for other in self.held):
            self.held.append(held)
            self._due = min(self._due, failure.time + GRACE)
        elif not quiet:  # of one name, what says more is kept
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
        """A connection came about: the failures that this makes up for."""
        place = _place(connection)
        self._reached.append((time, place))
        if not self.held:
            return []

        def by(held: _Held) -> bool:
            if held.place is None:
                return (held.failure.pid, held.failure.host) == (connection.pid, connection.name)
            return held.failure.kind in _ATTEMPTS and held.place.alike(place)

        return self._take(by, time)

    def used(self, exchange: Exchange, time: int) -> list[Failure]:
        """A connection's first request: the failures that it makes up for."""
        connection = exchange.connection
        place = _place(connection)
        self._in_use[place] += 1
        self._note(place, time)
        if not self.held:
            return []
        request = exchange.request
        asked = (request.authority or exchange.request_header("host")) if request is not None else ""
        name = asked.rpartition(":")[0] if asked.rpartition(":")[2].isdigit() else asked

        def by(held: _Held) -> bool:
            failure = held.failure
            if held.place is None:
                return failure.pid == connection.pid and _is_form(failure.host, name)
            return failure.kind in _UNUSED and held.place.alike(place)

        return self._take(by, time)

    def over(self, connection: Connection, time: int) -> None:
        """A connection that carried requests has ended."""
        place = _place(connection)
        self._in_use[place] -= 1
        if self._in_use[place] <= 0:
            del self._in_use[place]
        self._note(place, time)

    def _note(self, place: _Place, time: int) -> None:
        self._used.pop(place, None)
        self._used[place] = time
        if len(self._used) > _SUCCESSES:
            del self._used[next(iter(self._used))]

    def found(self, pid: int, name: str, time: int) -> list[Failure]:
        """A name has led to addresses: the failures that this makes up for."""
        self._found.append((time, pid, name))
        if not self.held:
            return []

        def by(held: _Held) -> bool:
            return held.place is None and held.failure.pid == pid and _forms(held.failure.host, name)

        return [failure for failure in self._take(by, time) if failure.host != name]  # else of the other family alone

    def overdue(self, now: int) -> list[Failure]:
        """Failures whose grace is over: nothing made up for them."""
        if now < self._due:
            return []
        over = [held for held in self.held if now - held.failure.time >= GRACE]
        for held in over:
            self.held.remove(held)
        self._due = min((held.failure.time for held in self.held), default=_NEVER - GRACE) + GRACE
        return sorted((held.failure for held in over), key=order_of)

    def rest(self) -> list[Failure]:
        """Nothing more will come: all that is held."""
        told = sorted((held.failure for held in self.held), key=order_of)
        self.held.clear()
        return told

    def _take(self, by: _Test, now: int) -> list[Failure]:
        """Take out of what is held all that a success makes up for; those worth telling."""
        taken = [held for held in self.held if now - held.failure.time < GRACE and by(held)]
        if taken:
            for held in taken:
                self.held.remove(held)
        return [held.failure for held in taken if not held.quiet]

    def _made_up(self, held: _Held) -> bool:
        """Whether something that came before makes up for it."""
        failure, place = held.failure, held.place
        since = failure.started - GRACE
        if place is None:
            name = failure.host.rstrip(".")
            if name == "localhost" or name.startswith("localhost.") or name.endswith(".localhost"):
                return True  # libraries answer for these themselves (RFC 6761 §6.3)
            return any(
                pid == failure.pid and time >= since and _forms(failure.host, found) for time, pid, found in self._found
            )
        if failure.kind in _ATTEMPTS:
            return any(time >= since and place.alike(other) for time, other in self._reached)
        if failure.kind in _UNUSED:
            used = any(time >= since and place.alike(other) for other, time in self._used.items())
            return used or any(place.alike(other) for other in self._in_use)
        return False


def _place(connection: Connection) -> _Place:
    address, port = connection.server
    loopback = address == "::1" or address.startswith("127.")
    name = "localhost" if loopback else connection.name.lower().rstrip(".")
    return _Place(connection.pid, port, name, ":" in address, address)


def _is_form(name: str, host: str) -> bool:
    """Whether a name is what a search list made of a host, or the host itself."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    return bool(host) and (name == host or name.startswith(host + "."))


def _forms(name: str, other: str) -> bool:
    """Whether one of two names is the other with a search list's domain behind it."""
    return _is_form(name, other) or _is_form(other, name)
