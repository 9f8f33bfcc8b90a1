"""TLS and QUIC sessions by client random: which are decrypted by new secrets, and which still wait for some.

What   A session is registered from its ClientHello on. If its connection ends while ciphertext is parked, the event of
       the connection's end is held back until the secrets come, the recording ends, or the limit is reached.
Limits PARKED_ALL_BYTES of ciphertext over all; past half of it, sessions of ended connections are given up.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from typing import Protocol as Interface

from hark.decode import limits
from hark.decode.events import Closed, Event
from hark.decode.keyring import Budget, Keyring
from hark.recording.blocks import Secrets

PRESSURE: Final = limits.PARKED_ALL_BYTES // 2  # bytes of the budget that remain when ended connections are given up


class Session(Interface):
    """What TLS and QUIC sessions have in common here (parked.py)."""

    number: int
    ids: list[bytes]  # client randoms, and what else secrets for it may be known by; it only grows

    @property
    def waiting(self) -> bool:
        """Whether its connection is over and it still waits for secrets."""

    def secrets(self) -> Sequence[Event]:
        """Secrets for it have come."""

    def abandon(self) -> Sequence[Event]:
        """None will come any more."""


class Sessions:
    """The table of sessions, with the keyring and the budget that they share."""

    def __init__(self, keyring: Keyring | None = None) -> None:
        self.keyring = keyring or Keyring()
        self.budget = Budget()
        self._known: dict[bytes, list[Session]] = {}
        self._waiting: dict[int, list[Session]] = {}  # by connection, in the order of their ends
        self._ends: dict[int, Closed] = {}  # the held back ends of those connections
        self.tight = False  # whether a session was given up for the limit

    def secrets(self, block: Secrets) -> Sequence[Event]:
        """Secrets have come: the events of everything that they decrypt."""
        out: list[Event] = []
        changed = self.keyring.add(block.text, block.source)
        found = dict.fromkeys(session for name in changed for session in self._known.get(name, ()))
        for session in sorted(found, key=lambda session: session.number):
            out.extend(session.secrets())
            self._settle(session, out)
        return out

    def register(self, session: Session, known: int) -> int:
        """Remember the session's ids from the `known`-th on; returns how many are remembered now."""
        for name in session.ids[known:]:
            self._known.setdefault(name, []).append(session)
        return len(session.ids)

    def closed_session(self, session: Session) -> None:
        """The session was closed: remember that it waits for its secrets, or forget it."""
        if session.waiting:
            self._waiting.setdefault(session.number, []).append(session)
            return
        for name in session.ids:
            known = self._known.get(name, [])
            if session in known:
                known.remove(session)
            if not known:
                self._known.pop(name, None)

    def closed_connection(self, event: Closed, out: list[Event]) -> None:
        """A connection has ended: report it now, or when its sessions do not wait any more."""
        if event.conn in self._waiting:
            self._ends[event.conn] = event
        else:
            out.append(event)

    def _settle(self, session: Session, out: list[Event]) -> None:
        """The session may have got what it waited for."""
        others = self._waiting.get(session.number)
        if others is None or session not in others or session.waiting:
            return
        others.remove(session)
        self.closed_session(session)
        if not others:
            del self._waiting[session.number]
            closed = self._ends.pop(session.number, None)
            if closed is not None:
                out.append(closed)

    def press(self, out: list[Event]) -> None:
        """If much ciphertext is parked, give up sessions of ended connections in favour of open ones."""
        while self.budget.left < PRESSURE and self._waiting:
            self.tight = True
            self._abandon(next(iter(self._waiting.values()))[0], out)

    @property
    def waiting(self) -> Iterable[int]:
        """The numbers of ended connections whose sessions wait for secrets."""
        return self._waiting

    def finish(self, number: int, out: list[Event]) -> None:
        """No secrets for this connection will come any more."""
        while number in self._waiting:
            self._abandon(self._waiting[number][0], out)

    def _abandon(self, session: Session, out: list[Event]) -> None:
        out.extend(session.abandon())
        self._settle(session, out)
