"""Opens TLS records of one direction under one key: AEAD and CBC, by the `cryptography` library.

May hold: a key at work and its sequence number. May not hold: handshakes, key schedules.
Every opener checks what the peer would check: a record that does not open under its key is a ValueError, never noise.
"""

import hmac
from collections.abc import Callable
from typing import Protocol

from hark.wire import quic, tls


class Opener(Protocol):
    """The records of one direction, in order."""

    def open(self, record: bytes | memoryview) -> bytes:
        """The plaintext of a whole record. Raises ValueError where it does not open."""


class _Aead:
    def __init__(self, suite: tls.Suite, key: bytes, iv: bytes) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import aead

        self._invalid = InvalidTag
        if suite.aead == "gcm":
            self._decrypt = aead.AESGCM(key).decrypt
        elif suite.aead == "chacha":
            self._decrypt = aead.ChaCha20Poly1305(key).decrypt
        else:
            self._decrypt = aead.AESCCM(key, 8 if suite.aead == "ccm8" else 16).decrypt
        self._tag = 8 if suite.aead == "ccm8" else 16
        self._salt = iv
        self._iv = int.from_bytes(iv, "big")
        self._seq = 0


class Aead13(_Aead):
    """TLS 1.3 (RFC 8446 §5.2): the header is authenticated, the nonce is counted."""

    def open(self, record: bytes | memoryview) -> bytes:
        """The inner plaintext with its content type and padding."""
        try:
            plain = self._decrypt((self._iv ^ self._seq).to_bytes(12, "big"), record[5:], record[:5])
        except self._invalid:
            raise ValueError("bad record mac") from None
        self._seq += 1
        return plain


class Aead12(_Aead):
    """TLS 1.2 (RFC 5246 §6.2.3.3): GCM and CCM carry half of the nonce in the record (RFC 5288 §3), ChaCha20 counts
    (RFC 7905 §2)."""

    def open(self, record: bytes | memoryview) -> bytes:
        """The plaintext."""
        if len(self._salt) == 4:
            nonce, body = self._salt + bytes(record[5:13]), record[13:]
        else:
            nonce, body = (self._iv ^ self._seq).to_bytes(12, "big"), record[5:]
        size = len(body) - self._tag
        if size < 0:
            raise ValueError("record shorter than its tag")
        extra = self._seq.to_bytes(8, "big") + bytes(record[:3]) + size.to_bytes(2, "big")
        try:
            plain = self._decrypt(nonce, body, extra)
        except self._invalid:
            raise ValueError("bad record mac") from None
        self._seq += 1
        return plain


class Packets:
    """QUIC packet protection of one direction at one level (RFC 9001 §5), under `secret`; labels begin with `prefix`.

    Of a key update the header's key is no part: only opener() changes (§6)."""

    def __init__(self, suite: tls.Suite, secret: bytes, prefix: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._suite = suite
        self._prefix = prefix
        self._secret = secret
        key = tls.expand_label(secret, prefix + b"hp", b"", suite.key, suite.hash)
        if suite.aead == "chacha":

            def mask(sample: bytes) -> bytes:
                return Cipher(algorithms.ChaCha20(key, sample), None).encryptor().update(bytes(5))

            self.mask: Callable[[bytes], bytes] = mask
        else:
            self.mask = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
        self.opener = self._opener()

    def _opener(self) -> "QuicAead":
        key = tls.expand_label(self._secret, self._prefix + b"key", b"", self._suite.key, self._suite.hash)
        iv = tls.expand_label(self._secret, self._prefix + b"iv", b"", 12, self._suite.hash)
        return QuicAead(self._suite, key, iv)

    def after(self) -> "QuicAead":
        """The opener of the next key phase; from here on this object's secret is that phase's."""
        size = tls.hash_size(self._suite.hash)
        self._secret = tls.expand_label(self._secret, self._prefix + b"ku", b"", size, self._suite.hash)
        return self._opener()


class QuicAead(_Aead):
    """QUIC payloads (RFC 9001 §5.3): the header is authenticated, the nonce is the packet's number."""

    def packet(self, number: int, header: bytes, body: bytes | memoryview) -> bytes | None:
        """The frames; None where the packet does not open."""
        try:
            return self._decrypt((self._iv ^ number).to_bytes(12, "big"), body, header)
        except self._invalid:
            return None


def retry_is_sound(version: quic.Version, original: bytes, packet: bytes) -> bool:
    """Whether a Retry's integrity tag is that of an answer to `original`, the client's first destination (RFC 9001
    §5.8)."""
    suite = tls.SUITES[0x1301]
    pseudo = bytes([len(original)]) + original + packet[:-16]
    return QuicAead(suite, version.retry_key, version.retry_nonce).packet(0, pseudo, packet[-16:]) == b""


class Cbc:
    """AES-CBC with HMAC (RFC 5246 §6.2.3.2): MAC, then encrypt; or, where agreed on, the other way round (RFC 7366)."""

    def __init__(self, suite: tls.Suite, version: int, mac: bytes, key: bytes, iv: bytes, mac_last: bool) -> None:
        self._hash = suite.mac
        self._size = tls.hash_size(suite.mac)
        self._explicit = version >= 0x0302  # TLS 1.0 goes on with the last block of the record before
        self._mac = mac
        self._key = key
        self._iv = iv
        self._mac_last = mac_last
        self._seq = 0

    def open(self, record: bytes | memoryview) -> bytes:
        """The plaintext."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        body = bytes(record[5:])
        if self._mac_last:
            body, tag = body[: -self._size], body[-self._size :]
            self._check(record, body, tag)
        iv, sealed = (body[:16], body[16:]) if self._explicit else (self._iv, body)
        if not sealed or len(sealed) % 16 or len(iv) != 16:
            raise ValueError("not whole blocks")
        machine = Cipher(algorithms.AES(self._key), modes.CBC(iv)).decryptor()
        plain = machine.update(sealed) + machine.finalize()
        self._iv = sealed[-16:]
        pad = plain[-1] + 1
        if pad > len(plain) or plain[-pad:] != bytes([pad - 1]) * pad:
            raise ValueError("bad padding")
        plain = plain[:-pad]
        if not self._mac_last:
            if len(plain) < self._size:
                raise ValueError("record shorter than its MAC")
            plain, tag = plain[: -self._size], plain[-self._size :]
            self._check(record, plain, tag)
        self._seq += 1
        return plain

    def _check(self, record: bytes | memoryview, data: bytes, tag: bytes) -> None:
        head = self._seq.to_bytes(8, "big") + bytes(record[:3]) + len(data).to_bytes(2, "big")
        if not hmac.compare_digest(hmac.digest(self._mac, head + data, self._hash), tag):
            raise ValueError("bad record mac")
