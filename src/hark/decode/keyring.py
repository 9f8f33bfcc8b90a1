"""The secrets that have come, by client random.

May hold: the table and who waits for what. May not hold: ciphers, records.
"""

from typing import Final, NamedTuple

from hark.decode import limits
from hark.wire import keylog

PRIVATE: Final = b"a private key"  # what sessions wait for that one could open


class Key(NamedTuple):
    """The secrets of one session by label, and the source that gave the first of them."""

    secrets: dict[str, bytes]
    source: str


class Budget:
    """Bytes of ciphertext parked over all connections."""

    def __init__(self) -> None:
        self.left = limits.PARKED_ALL_BYTES


class Keyring:
    """Secrets of all sessions. The same secret may come from several sources; the first counts."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Key] = {}
        self.private: list[bytes] = []  # RSA private keys, PEM

    def add(self, text: bytes, source: str) -> list[bytes]:
        """Take key log lines, or a private key in PEM; the client randoms (of RSA lines: the beginnings of encrypted
        premaster secrets; of private keys: PRIVATE) about which something new is known."""
        if text.lstrip().startswith(b"-----BEGIN "):
            self.private.append(text)
            return [PRIVATE]
        changed: dict[bytes, None] = {}  # in their order
        for label, random, secret in keylog.parse(text):
            key = self._keys.get(random)
            if key is None:
                if len(self._keys) >= limits.SECRETS:
                    del self._keys[next(iter(self._keys))]
                key = self._keys[random] = Key({}, source or "key log")
            if key.secrets.setdefault(label, secret) is secret:
                changed[random] = None
        return list(changed)

    def get(self, random: bytes) -> Key | None:
        """What is known of a session."""
        return self._keys.get(random)
