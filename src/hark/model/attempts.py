"""Attempts that failed, held until it is known whether another attempt of the same process made up for them.

What   fail() holds a failure, succeed() drops what it makes up for, given_up() gives those whose time is over.
Why    Programs ask for A and AAAA and try every address of a name (RFC 8305): one address that is refused is no failure
       where another one was reached. So a failure is told when GRACE of recorded time has gone by without a success.
Order  Recorded time alone decides, and frames alone are asked about it: live, replay and telling by shares of
       connections (parallel.py) tell the same failures at the same places.
Limits SUCCESSES keys are remembered; of the oldest ones a later failure is told though it was made up for.
"""

from hark.model.failure import Failure

Key = tuple[object, ...]  # what an attempt was for: (process id, port of the server), or (process id, name)
GRACE = 1_000_000_000  # ns of recorded time: happy eyeballs wait for a quarter of a second before the next address
_SUCCESSES = 4096
_NEVER = 1 << 63


def key_of(failure: Failure) -> Key:
    """What a success has to be for to make up for it."""
    if failure.answer is not None:
        return failure.answer.pid, failure.answer.name
    return failure.pid, failure.port


def order_of(failure: Failure) -> tuple[int, int, str]:
    """The order of failures that are told at the same place."""
    number = failure.connection.number if failure.connection is not None else 0
    return failure.time, number, failure.host


class Attempts:
    """What is held."""

    def __init__(self) -> None:
        self.held: dict[Key, Failure] = {}  # by key and connection
        self._due = _NEVER  # when the first of them is given up
        self._successes: dict[Key, int] = {}

    def fail(self, failure: Failure) -> None:
        """Hold a failure, unless something has made up for it already. A second one for the same name takes its place:
        A and AAAA are one question to a person."""
        key = key_of(failure)
        if failure.time - self._successes.get(key, -GRACE) < GRACE:
            return
        self.held[*key, failure.connection.number if failure.connection is not None else 0] = failure
        self._due = min(self._due, failure.time + GRACE)

    def succeed(self, key: Key, time: int) -> None:
        """Forget the failures that this makes up for."""
        self._successes.pop(key, None)
        self._successes[key] = time
        if len(self._successes) > _SUCCESSES:
            del self._successes[next(iter(self._successes))]
        for held in [held for held in self.held if held[:-1] == key]:
            del self.held[held]

    def due(self, now: int) -> bool:
        """Whether something may be given up by now; to be asked at every frame."""
        return now >= self._due

    def given_up(self, now: int) -> list[Failure]:
        """Failures for which nothing made up in time."""
        over = [key for key, failure in self.held.items() if now - failure.time >= GRACE]
        told = sorted((self.held.pop(key) for key in over), key=order_of)
        self._due = min((failure.time for failure in self.held.values()), default=_NEVER - GRACE) + GRACE
        return told

    def end(self) -> list[Failure]:
        """Nothing more will come: all that is held."""
        told, self.held = sorted(self.held.values(), key=order_of), {}
        self._due = _NEVER
        return told
