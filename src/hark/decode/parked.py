"""Ciphertext that waits for its secrets: what TLS and QUIC do alike with it.

What   Items that cannot be opened yet are kept in their order, offered again when secrets come, and given up when none
       will. A session whose connection is over while items wait is closed only then.
Limits PARKED_BYTES a session, PARKED_ALL_BYTES over all (the budget): past them the session is given up.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from hark.decode import limits
from hark.decode.endings import Ending
from hark.decode.events import Event
from hark.decode.keyring import Budget

Item = TypeVar("Item")


class Parked(Generic[Item]):
    """The waiting part of a session; what an item is, is the session's own."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parked: deque[Item] = deque()
        self._parked_bytes = 0
        self._sealed = 0  # bytes of application data that stayed closed
        self._dead = ""  # why nothing more is opened
        self._apart = False  # whether everything is read as far as it goes, whatever waits before it
        self._closed: Ending | None = None  # how the connection ended, while secrets are awaited

    # -- what a session says of itself ---------------------------------------------------------------------------------

    @abstractmethod
    def _again(self, item: Item, out: list[Event]) -> None:
        """Take a parked item up again; it may be parked anew."""

    @abstractmethod
    def _closed_bytes(self, item: Item) -> int:
        """Bytes of application data in an item that stays closed."""

    @abstractmethod
    def _missing(self) -> str:
        """Why it cannot be opened, as a clause."""

    @abstractmethod
    def _over(self, ending: Ending) -> Sequence[Event]:
        """The connection is over and nothing waits any more: tell the end."""

    # -- parking -------------------------------------------------------------------------------------------------------

    def _park(self, item: Item, size: int) -> None:
        """Keep an item of `size` bytes until secrets come."""
        self._parked.append(item)
        self._parked_bytes += size
        self._budget.left -= size
        if self._parked_bytes > limits.PARKED_BYTES or self._budget.left < 0:
            self._die(self._missing())

    def _unpark(self) -> deque[Item]:
        waiting, self._parked = self._parked, deque()
        self._budget.left += self._parked_bytes
        self._parked_bytes = 0
        return waiting

    def _resume(self, out: list[Event]) -> None:
        """Offer all that is parked again, in order, up to the first that still cannot be opened."""
        if self._parked and not self._dead:
            for item in self._unpark():
                self._again(item, out)

    def _die(self, why: str) -> None:
        """Nothing more is opened; what was parked counts as sealed."""
        if not self._dead:
            self._dead = why
            self._sealed += sum(map(self._closed_bytes, self._unpark()))

    # -- what the table of sessions calls (sessions.py) ----------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether the connection is over and this session still hopes for secrets."""
        return self._closed is not None

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over; what is parked still waits for its secrets (see `waiting`)."""
        if self._parked and not self._dead:
            self._closed = ending
            return ()
        return self._over(ending)

    def secrets(self) -> Sequence[Event]:
        """Secrets for this session have come: take up what is parked."""
        out: list[Event] = []
        self._resume(out)
        if self._closed is not None and not self._parked:
            ending, self._closed = self._closed, None
            out.extend(self._over(ending))
        return out

    def abandon(self) -> Sequence[Event]:
        """No secrets will come any more, or there is no room to wait for them."""
        if self._closed is None:
            return ()
        ending, self._closed = self._closed, None
        out: list[Event] = []
        self._apart = True
        self._resume(out)
        self._die(self._missing())
        out.extend(self._over(ending))
        return out
