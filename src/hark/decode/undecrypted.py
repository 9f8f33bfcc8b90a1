"""Why a TLS or QUIC connection was not decrypted, and what helps.

May hold: the reasons, each with its clause and its remedy. May not hold: how they are found (tls.py, quic.py).
"""

from __future__ import annotations

from enum import Enum


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

    def clause(self, detail: object = "") -> str:
        """The reason in words."""
        return self.value.format(detail)

    @classmethod
    def of(cls, clause: str) -> Undecrypted | None:
        """The reason of a clause, for entries that were read from a file; None if hark has not written it."""
        for reason in cls:
            before, _, after = reason.value.partition("{}")
            if clause.startswith(before) and clause.endswith(after) and len(clause) >= len(before) + len(after):
                return reason
        return None


# Remedies for what no key source can help with.
REMEDIES = {
    Undecrypted.NO_HANDSHAKE: "begin to capture before the connection does",
    Undecrypted.HANDSHAKE_CUT: "capture packets whole (tcpdump -s 0)",
}
