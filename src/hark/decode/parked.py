"""Ciphertext that waits for its keys: what TLS and QUIC sessions have in common.

What   Items that cannot be decrypted yet are kept in order, tried again when secrets come, and given up if none will. A
       session whose connection ends while items wait is closed only then.
Limits PARKED_BYTES per session, PARKED_ALL_BYTES over all sessions: past them the session is not decrypted.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from hark.decode import limits
from hark.decode.endings import Ending
from hark.decode.events import Event
from hark.decode.sessions import Sessions
from hark.decode.undecrypted import Cause, Undecrypted

Item = TypeVar("Item")


class Parked(Generic[Item]):
    """The part of a session that keeps ciphertext. What an item is, is the subclass's own. ids: what secrets for this
    session may be known by; it only grows."""

    def __init__(self, number: int, ids: list[bytes], sessions: Sessions) -> None:
        self.number = number
        self.ids = ids
        self._sessions = sessions
        self._registered = 0  # how many of the ids the table of sessions knows
        self._parked: deque[Item] = deque()
        self._parked_bytes = 0
        self._encrypted = 0  # bytes of application data that were not decrypted
        self._failure: Cause | None = None  # why nothing more is decrypted
        self._last_try = False  # no secrets will come: decrypt what can be, whatever is parked before it
        self._ending: Ending | None = None  # how the connection ended, while secrets are awaited

    # -- what a subclass defines ---------------------------------------------------------------------------------------

    @abstractmethod
    def _retry(self, item: Item, out: list[Event]) -> None:
        """Process a parked item again; it may be parked again."""

    @abstractmethod
    def _application_bytes(self, item: Item) -> int:
        """Bytes of application data in an item that is not decrypted."""

    @abstractmethod
    def _missing(self) -> Cause:
        """Why it cannot be decrypted."""

    @abstractmethod
    def _finish(self, ending: Ending) -> Sequence[Event]:
        """The connection is over and nothing is parked any more: the last events."""

    # -- parking -------------------------------------------------------------------------------------------------------

    def _register(self) -> None:
        """The session may have got new ids."""
        if len(self.ids) > self._registered:
            self._registered = self._sessions.register(self, self._registered)

    def _park(self, item: Item, size: int) -> None:
        """Keep an item of `size` bytes until secrets come."""
        self._parked.append(item)
        self._parked_bytes += size
        budget = self._sessions.budget
        budget.left -= size
        if self._parked_bytes > limits.PARKED_BYTES or budget.left < 0:
            self._fail(*self._missing())

    def _unpark(self) -> deque[Item]:
        waiting, self._parked = self._parked, deque()
        self._sessions.budget.left += self._parked_bytes
        self._parked_bytes = 0
        return waiting

    def _resume(self, out: list[Event]) -> None:
        """Try all parked items again, in order, up to the first that still cannot be decrypted."""
        if self._parked and not self._failure:
            for item in self._unpark():
                self._retry(item, out)

    def _fail(self, reason: Undecrypted, detail: object = "") -> None:
        """Nothing more is decrypted; what was parked counts as encrypted."""
        if not self._failure:
            self._failure = Cause(reason, detail)
            self._encrypted += sum(map(self._application_bytes, self._unpark()))

    # -- called by the table of sessions (sessions.py) -----------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether the connection is over and this session still waits for secrets."""
        return self._ending is not None

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over; what is parked still waits for its secrets (see `waiting`)."""
        events: Sequence[Event] = ()
        if self._parked and not self._failure:
            self._ending = ending
        else:
            events = self._finish(ending)
        self._sessions.closed_session(self)
        return events

    def secrets(self) -> Sequence[Event]:
        """Secrets for this session have come: decrypt what is parked."""
        out: list[Event] = []
        self._resume(out)
        if self._ending is not None and not self._parked:
            ending, self._ending = self._ending, None
            out.extend(self._finish(ending))
        return out

    def abandon(self) -> Sequence[Event]:
        """No secrets will come any more, or the limit leaves no space to wait for them."""
        if self._ending is None:
            return ()
        ending, self._ending = self._ending, None
        out: list[Event] = []
        self._last_try = True
        self._resume(out)
        self._fail(*self._missing())
        out.extend(self._finish(ending))
        return out
