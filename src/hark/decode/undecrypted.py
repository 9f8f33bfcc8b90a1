"""Why a TLS or QUIC connection was not decrypted, and what helps.

May hold: the reasons, each with its clause and its remedy. May not hold: how they are found (tls.py, quic.py).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Undecrypted(Enum):
    """A reason. The value is its clause, in which {} stands for a detail."""

    NO_SECRETS = "no secrets for it came"
    SECRETS_MISSING = "some of its secrets are missing"
    WRONG_SECRETS = "the secrets given do not open it{}"
    CIPHER_SUITE = "cipher suite {} is not one that hark opens"
    NO_HANDSHAKE = "its handshake was not captured"
    HANDSHAKE_CUT = "{} bytes of its handshake were not captured"
    BYTES_MISSING = "{} bytes of it were not captured"
    NO_RECORD = "it is no TLS record"
    RECORD_SIZE = "a record of {} bytes cannot be"
    MESSAGE_SIZE = "a handshake message of {} bytes cannot be"
    CLIENT_HELLO = "its ClientHello cannot be read"
    SERVER_HELLO = "its ServerHello cannot be read"
    CONTRADICTION = "its handshake contradicts itself"

    @classmethod
    def of(cls, clause: str) -> Undecrypted | None:
        """The reason of a clause, for entries of a file, which have no other form of it; None if it is not hark's."""
        for reason in cls:
            before, _, after = reason.value.partition("{}")
            if clause.startswith(before) and clause.endswith(after) and len(clause) >= len(before) + len(after):
                return reason
        return None


class Cause(NamedTuple):
    """A reason with its detail."""

    reason: Undecrypted
    detail: object = ""

    @property
    def clause(self) -> str:
        """The cause in words."""
        return self.reason.value.format(self.detail)


# Remedies for what no key source can help with.
REMEDIES = {
    Undecrypted.NO_HANDSHAKE: "begin to capture before the connection does",
    Undecrypted.HANDSHAKE_CUT: "capture packets whole (tcpdump -s 0)",
}
