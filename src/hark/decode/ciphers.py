"""Decryption of TLS records and QUIC packets of one direction under one key, by the `cryptography` library.

May hold: a key and the number of the next record. May not hold: handshakes, key schedules.
Each cipher checks what the peer would check: a record that was not made with its key is a ValueError, never noise.
"""

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from hark.wire import tls

if TYPE_CHECKING:
    from hark.wire import quic

Algorithm = Any  # the library's ciphers have no common public type


class RecordCipher(Protocol):
    """Decrypts the records of one direction, in order. seq: the number of the next one; overhead: bytes of a record
    that are not content, header included, -1 if that varies; chained: a record cannot be decrypted without the one
    before it."""

    seq: int
    overhead: int
    chained: bool

    def decrypt(self, record: bytes | memoryview) -> bytes:
        """The plaintext of a whole record. Raises ValueError if it does not authenticate."""


class _Aead:
    def __init__(self, suite: tls.Suite, key: bytes, iv: bytes) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import aead

        self._invalid: tuple[type[Exception], ...] = (InvalidTag, ValueError)
        self._aead: Callable[[bytes, bytes | memoryview, bytes | memoryview], bytes]
        if suite.cipher in ("camellia", "aria"):
            self._aead = Gcm(block_cipher(suite.cipher, key)).decrypt
        elif suite.mode == "gcm":
            self._aead = aead.AESGCM(key).decrypt
        elif suite.mode == "chacha":
            self._aead = aead.ChaCha20Poly1305(key).decrypt
        else:
            self._aead = aead.AESCCM(key, 8 if suite.mode == "ccm8" else 16).decrypt
        self._tag = 8 if suite.mode == "ccm8" else 16
        self.overhead = 5 + self._tag + self._explicit(iv)
        self.chained = False
        self._salt = iv
        self._iv = int.from_bytes(iv, "big")
        self.seq = 0

    def _explicit(self, iv: bytes) -> int:
        """Bytes of a record that are neither header, content nor tag."""
        return 0


class Aead13(_Aead):
    """TLS 1.3 (RFC 8446 §5.2): the header is authenticated, the nonce is counted."""

    def _explicit(self, iv: bytes) -> int:
        return 1  # the content type

    def decrypt(self, record: bytes | memoryview) -> bytes:
        """The inner plaintext with its content type and padding."""
        try:
            plain = self._aead((self._iv ^ self.seq).to_bytes(12, "big"), record[5:], record[:5])
        except self._invalid:
            raise ValueError("bad record mac") from None
        self.seq += 1
        return plain


class Aead12(_Aead):
    """TLS 1.2 (RFC 5246 §6.2.3.3): GCM and CCM carry half of the nonce in the record (RFC 5288 §3), ChaCha20 counts
    (RFC 7905 §2)."""

    def _explicit(self, iv: bytes) -> int:
        return 8 if len(iv) == 4 else 0

    def decrypt(self, record: bytes | memoryview) -> bytes:
        """The plaintext."""
        if len(self._salt) == 4:
            nonce, body = self._salt + bytes(record[5:13]), record[13:]
        else:
            nonce, body = (self._iv ^ self.seq).to_bytes(12, "big"), record[5:]
        size = len(body) - self._tag
        if size < 0:
            raise ValueError("record shorter than its tag")
        extra = self.seq.to_bytes(8, "big") + bytes(record[:3]) + size.to_bytes(2, "big")
        try:
            plain = self._aead(nonce, body, extra)
        except self._invalid:
            raise ValueError("bad record mac") from None
        self.seq += 1
        return plain


class PacketKeys:
    """The keys of QUIC packets of one direction at one level (RFC 9001 §5), derived from `secret`; labels begin with
    `prefix`. A key update changes `cipher` and keeps the key of the header protection (§6)."""

    def __init__(self, suite: tls.Suite, secret: bytes, prefix: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._suite = suite
        self._prefix = prefix
        self._secret = secret
        key = tls.expand_label(secret, prefix + b"hp", b"", suite.key, suite.hash)
        if suite.mode == "chacha":

            def mask(sample: bytes) -> bytes:
                return Cipher(algorithms.ChaCha20(key, sample), None).encryptor().update(bytes(5))

            self.mask: Callable[[bytes], bytes] = mask
        else:
            self.mask = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
        self.cipher = self._cipher()

    def _cipher(self) -> "QuicAead":
        key = tls.expand_label(self._secret, self._prefix + b"key", b"", self._suite.key, self._suite.hash)
        iv = tls.expand_label(self._secret, self._prefix + b"iv", b"", 12, self._suite.hash)
        return QuicAead(self._suite, key, iv)

    def next_phase(self) -> "QuicAead":
        """The cipher of the next key phase; from here on this object has that phase's secret."""
        size = tls.hash_size(self._suite.hash)
        self._secret = tls.expand_label(self._secret, self._prefix + b"ku", b"", size, self._suite.hash)
        return self._cipher()


class QuicAead(_Aead):
    """QUIC payloads (RFC 9001 §5.3): the header is authenticated, the packet number is the nonce."""

    def packet(self, number: int, header: bytes, body: bytes | memoryview) -> bytes | None:
        """The frames; None if the packet does not authenticate."""
        try:
            return self._aead((self._iv ^ number).to_bytes(12, "big"), body, header)
        except self._invalid:
            return None


def retry_is_valid(version: "quic.Version", original: bytes, packet: bytes) -> bool:
    """Whether a Retry's integrity tag is valid for an answer to `original`, the client's first destination id (RFC 9001
    §5.8)."""
    suite = tls.SUITES[0x1301]
    pseudo = bytes([len(original)]) + original + packet[:-16]
    return QuicAead(suite, version.retry_key, version.retry_nonce).packet(0, pseudo, packet[-16:]) == b""


class _Mac:
    """The MAC of the suites without an AEAD (RFC 5246 §6.2.3.1)."""

    def __init__(self, suite: tls.Suite, mac: bytes) -> None:
        self._hash = suite.mac
        self._size = tls.hash_size(suite.mac)
        self._mac = mac
        self.seq = 0
        self.overhead = -1
        self.chained = False

    def _check(self, record: bytes | memoryview, data: bytes, tag: bytes) -> None:
        head = self.seq.to_bytes(8, "big") + bytes(record[:3]) + len(data).to_bytes(2, "big")
        if not hmac.compare_digest(hmac.digest(self._mac, head + data, self._hash), tag):
            raise ValueError("bad record mac")

    def _without(self, record: bytes | memoryview, plain: bytes) -> bytes:
        if len(plain) < self._size:
            raise ValueError("record shorter than its MAC")
        data = plain[: -self._size]
        self._check(record, data, plain[-self._size :])
        self.seq += 1
        return data


class Bare(_Mac):
    """RC4 and NULL: a stream cipher or none, with a MAC (RFC 5246 §6.2.3.1)."""

    def __init__(self, suite: tls.Suite, mac: bytes, key: bytes) -> None:
        super().__init__(suite, mac)
        self.overhead = 5 + self._size
        self.chained = bool(key)
        self._update: Callable[[bytes], bytes] = bytes
        if key:
            from cryptography.hazmat.primitives.ciphers import Cipher

            self._update = Cipher(_algorithm("rc4", key), None).decryptor().update

    def decrypt(self, record: bytes | memoryview) -> bytes:
        """The plaintext."""
        return self._without(record, self._update(bytes(record[5:])))


class Cbc(_Mac):
    """Block ciphers with HMAC (RFC 5246 §6.2.3.2): MAC, then encrypt; if negotiated, the other way round (RFC 7366).
    mac_last: the MAC is over the ciphertext."""

    def __init__(self, suite: tls.Suite, version: int, mac: bytes, key: bytes, iv: bytes, mac_last: bool) -> None:
        super().__init__(suite, mac)
        self._explicit = version >= 0x0302  # TLS 1.0 continues with the last block of the previous record
        self.chained = not self._explicit
        self._block = suite.block
        self._iv = iv
        self._mac_last = mac_last
        self._decrypt = _cbc(suite.cipher, key)

    def decrypt(self, record: bytes | memoryview) -> bytes:
        """The plaintext."""
        body = bytes(record[5:])
        if self._mac_last:
            body, tag = body[: -self._size], body[-self._size :]
            self._check(record, body, tag)
        size = self._block
        iv, blocks = (body[:size], body[size:]) if self._explicit else (self._iv, body)
        if not blocks or len(blocks) % size or len(iv) != size:
            raise ValueError("not whole blocks")
        plain = self._decrypt(iv, blocks)
        self._iv = blocks[-size:]
        pad = plain[-1] + 1
        if pad > len(plain) or plain[-pad:] != bytes([pad - 1]) * pad:
            raise ValueError("bad padding")
        plain = plain[:-pad]
        if not self._mac_last:
            return self._without(record, plain)
        self.seq += 1
        return plain


def _algorithm(name: str, key: bytes) -> Algorithm:
    """A cipher of the library; old ones have moved within it over time."""
    from cryptography.hazmat.primitives.ciphers import algorithms

    if name == "aes":
        return algorithms.AES(key)
    try:
        from cryptography.hazmat.decrepit.ciphers import algorithms as old
    except ImportError:
        places: tuple[Any, ...] = (algorithms,)
    else:
        places = (old, algorithms)
    attribute = {"camellia": "Camellia", "seed": "SEED", "idea": "IDEA", "3des": "TripleDES", "rc4": "ARC4"}[name]
    made: Algorithm = next(getattr(place, attribute) for place in places if hasattr(place, attribute))
    return made(key)


def _cbc(name: str, key: bytes) -> Callable[[bytes, bytes], bytes]:
    """CBC decryption under a key: (initialization vector, whole blocks) -> plaintext."""
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    if name == "aria":
        from hark.decode.aria import Aria

        return Aria(key).cbc
    algorithm = _algorithm(name, key)

    def decrypt(iv: bytes, data: bytes) -> bytes:
        machine = Cipher(algorithm, modes.CBC(iv)).decryptor()
        return machine.update(data) + machine.finalize()

    return decrypt


def block_cipher(name: str, key: bytes) -> Callable[[bytes], bytes]:
    """Encryption of whole blocks under a key."""
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    if name == "aria":
        from hark.decode.aria import Aria

        return Aria(key).encrypt
    return Cipher(_algorithm(name, key), modes.ECB()).encryptor().update


class Gcm:
    """Galois/Counter mode (NIST SP 800-38D) for ciphers for which the library has none. Slow, for rare suites."""

    def __init__(self, encrypt: Callable[[bytes], bytes]) -> None:
        self._encrypt = encrypt
        hashed = int.from_bytes(encrypt(bytes(16)), "big")
        self._powers = []  # the hash key times x^n, for every bit of a block
        for _ in range(128):
            self._powers.append(hashed)
            hashed = hashed >> 1 ^ (0xE1 << 120 if hashed & 1 else 0)

    def decrypt(self, nonce: bytes, data: bytes | memoryview, extra: bytes | memoryview) -> bytes:
        """The plaintext. Raises ValueError if the tag is wrong."""
        body, tag = bytes(data[:-16]), bytes(data[-16:])
        blocks = (len(body) + 15) // 16
        stream = self._encrypt(b"".join(nonce + n.to_bytes(4, "big") for n in range(1, blocks + 2)))
        total = self._hash(bytes(extra)) if extra else 0
        total = self._hash(body, total)
        total = self._multiply(total ^ (len(extra) * 8 << 64 | len(body) * 8))
        if not hmac.compare_digest((total ^ int.from_bytes(stream[:16], "big")).to_bytes(16, "big"), tag):
            raise ValueError("bad record mac")
        mask = int.from_bytes(stream[16 : 16 + len(body)], "big")
        return (int.from_bytes(body, "big") ^ mask).to_bytes(len(body), "big")

    def _hash(self, data: bytes, total: int = 0) -> int:
        for at in range(0, len(data), 16):
            total = self._multiply(total ^ int.from_bytes(data[at : at + 16].ljust(16, b"\0"), "big"))
        return total

    def _multiply(self, value: int) -> int:
        product = 0
        for bit, power in enumerate(self._powers):
            if value >> (127 - bit) & 1:
                product ^= power
        return product


def premaster(keys: list[bytes], certificate: bytes, encrypted: bytes) -> bytes:
    """The premaster secret of an RSA key exchange (RFC 5246 §7.4.7.1). keys: PEM; the one that belongs to the
    certificate (DER) is used, because any other would give a wrong secret and no error. b"" if none belongs to it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError:
        return b""
    for text in keys:
        try:
            key = load_pem_private_key(text, None)
        except (ValueError, TypeError):
            continue
        if not isinstance(key, rsa.RSAPrivateKey) or not isinstance(public, rsa.RSAPublicKey):
            continue
        if key.public_key().public_numbers() == public.public_numbers():
            try:
                return key.decrypt(encrypted, padding.PKCS1v15())
            except ValueError:
                return b""
    return b""
