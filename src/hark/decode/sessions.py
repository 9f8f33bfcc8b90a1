"""TLS and QUIC sessions by client random: who has to be told when secrets come, and who still waits for some.

What   A session is known from its ClientHello on. When its connection is over while ciphertext is parked, the
       connection's end is held back until the secrets come, the recording ends, or room is needed.
Limits PARKED_ALL_BYTES of ciphertext over all; past half of it, sessions that are over make room for those alive.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol as Interface

from hark.decode import limits
from hark.decode.events import Closed, Event
from hark.decode.keyring import Budget, Keyring
from hark.recording.blocks import Secrets


class Session(Interface):
    """What TLS and QUIC have in common here."""

    number: int
    ids: list[bytes]  # client randoms, and what else secrets for it may be known by; it only grows

    @property
    def waiting(self) -> bool:
        """Whether its connection is over and it still hopes for secrets."""

    def secrets(self) -> Sequence[Event]:
        """Secrets for it have come."""

    def abandon(self) -> Sequence[Event]:
        """None will come any more."""


class Sessions:
    """The table of sessions, with the keyring and the budget that they share."""

    def __init__(self) -> None:
        self.keyring = Keyring()
        self.budget = Budget()
        self._known: dict[bytes, list[Session]] = {}
        self._waiting: dict[int, list[Session]] = {}  # by connection, in the order of their ends
        self._ends: dict[int, Closed] = {}  # what to tell of those connections then
        self.tight = False  # whether one had to make room for another

    def secrets(self, block: Secrets) -> Sequence[Event]:
        """Secrets have come: everything that they open."""
        out: list[Event] = []
        changed = self.keyring.add(block.text, block.source)
        found = dict.fromkeys(session for name in changed for session in self._known.get(name, ()))
        for session in sorted(found, key=lambda session: session.number):
            out.extend(session.secrets())
            self._settle(session, out)
        return out

    def know(self, session: Session, told: int) -> int:
        """Tell the session when secrets for its ids come; `told` of them were known before. How many are now."""
        for name in session.ids[told:]:
            self._known.setdefault(name, []).append(session)
        return len(session.ids)

    def over(self, session: Session) -> None:
        """The session was closed; it waits for its secrets, or is forgotten."""
        if session.waiting:
            self._waiting.setdefault(session.number, []).append(session)
            return
        for name in session.ids:
            known = self._known.get(name, [])
            if session in known:
                known.remove(session)
            if not known:
                self._known.pop(name, None)

    def closed(self, event: Closed, out: list[Event]) -> None:
        """Tell a connection's end, now or when its sessions wait no more."""
        if event.conn in self._waiting:
            self._ends[event.conn] = event
        else:
            out.append(event)

    def _settle(self, session: Session, out: list[Event]) -> None:
        """The session may have got what it waited for."""
        mates = self._waiting.get(session.number)
        if mates is None or session not in mates or session.waiting:
            return
        mates.remove(session)
        self.over(session)
        if not mates:
            del self._waiting[session.number]
            closed = self._ends.pop(session.number, None)
            if closed is not None:
                out.append(closed)

    @property
    def pressed(self) -> bool:
        """Whether too much ciphertext is parked."""
        return self.budget.left < limits.PARKED_ALL_BYTES // 2 and bool(self._waiting)

    def press(self, out: list[Event]) -> None:
        """Sessions that wait for nothing but secrets make room for those that are alive."""
        while self.pressed:
            self.tight = True
            self._abandon(next(iter(self._waiting.values()))[0], out)

    @property
    def waiting(self) -> Iterable[int]:
        """The connections that are over but for their secrets."""
        return self._waiting

    def finish(self, number: int, out: list[Event]) -> None:
        """No secrets for this connection will come any more."""
        while number in self._waiting:
            self._abandon(self._waiting[number][0], out)

    def _abandon(self, session: Session, out: list[Event]) -> None:
        out.extend(session.abandon())
        self._settle(session, out)
