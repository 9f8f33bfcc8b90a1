"""The three points at which somebody may decide about traffic. Without rules the answer is "pass" everywhere.

May hold: the questions, the possible answers, and the choice that passes everything. May not hold: rules.
"""

from __future__ import annotations

import enum

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

Address = tuple[bytes, int]  # packed, and a port


class Action(enum.Enum):
    """What becomes of it."""

    PASS = enum.auto()
    REFUSE = enum.auto()  # as by a host on which nothing listens


class Decision(Record):
    """An answer, and why: "" where there is nothing to say."""

    action: Action
    reason: str = ""


PASS: Final = Decision(Action.PASS)


class Decisions:
    """Whoever decides, by what is given alone. This one passes everything: what has rules overrides it."""

    def connect(self, client: Address, server: Address, pid: int) -> Decision:
        """At the SYN."""
        return PASS

    def datagram(self, client: Address, server: Address, data: memoryview, pid: int) -> Decision:
        """At a datagram, DNS questions among them."""
        return PASS

    def first_bytes(self, client: Address, server: Address, data: memoryview, pid: int) -> Decision:
        """At the first bytes that the client sends on a connection."""
        return PASS
