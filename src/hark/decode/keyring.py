"""The TLS secrets that key sources have given, by client random.

May hold: the table. May not hold: ciphers, records.
"""

from typing import Final, NamedTuple

from hark.bounded import Bounded
from hark.decode import limits
from hark.wire import keylog

PRIVATE: Final = b"a private key"  # the id of sessions that a private key could decrypt


class Key(NamedTuple):
    """The secrets of one session by label, and the key source that gave the first of them."""

    secrets: dict[str, bytes]
    source: str


class Budget:
    """How many bytes of ciphertext may still be parked, over all connections."""

    def __init__(self) -> None:
        self.left = limits.PARKED_ALL_BYTES


class Keyring:
    """The secrets of all sessions. If several sources give the same secret, the first counts."""

    def __init__(self) -> None:
        self._keys: Bounded[bytes, Key] = Bounded(limits.SECRETS)
        self.private: list[bytes] = []  # RSA private keys, PEM

    def add(self, text: bytes, source: str) -> list[bytes]:
        """Add key log lines (RFC 9850), or a private key in PEM. Returns the ids for which something is new: client
        randoms, of RSA lines the first bytes of the encrypted premaster secret, PRIVATE for a private key."""
        if text.lstrip().startswith(b"-----BEGIN "):
            self.private.append(text)
            return [PRIVATE]
        changed: dict[bytes, None] = {}  # in their order
        for label, random, secret in keylog.parse(text):
            key = self._keys.get(random)
            if key is None:
                key = self._keys[random] = Key({}, source or "key log")
            if key.secrets.setdefault(label, secret) is secret:
                changed[random] = None
        return list(changed)

    def get(self, random: bytes) -> Key | None:
        """The secrets of a session."""
        return self._keys.get(random)
