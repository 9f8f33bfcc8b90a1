"""TLS 1.0 to 1.3 on the wire: content types, handshake messages, the key schedule's labels.

May hold: tables and pure functions over one message. May not hold: a connection's state or ciphers in use.
RFC 5246 (TLS 1.2), RFC 8446 (TLS 1.3), RFC 7627 (extended master secret).
"""

import hashlib
import hmac
import struct
from typing import Final, NamedTuple

from hark.wire.suites import SUITES, Suite

__all__ = ["SUITES", "Suite"]  # with all that follows: who reads TLS needs them too

TLS13: Final = 0x0304  # a version
CCS: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPDATA: Final = 23
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
NEW_TICKET: Final = 4
END_OF_EARLY_DATA: Final = 5
ENCRYPTED_EXTENSIONS: Final = 8
CERTIFICATE: Final = 11
CLIENT_KEY_EXCHANGE: Final = 16
FINISHED: Final = 20
KEY_UPDATE: Final = 24
_SNI: Final = 0
_ALPN: Final = 16
_EARLY_DATA: Final = 42
_VERSIONS: Final = 43
_PSK: Final = 41
_ECH: Final = 0xFE0D
_MAC_LAST: Final = 22
_EXTENDED: Final = 23

# RFC 8446 §4.1.3: a ServerHello with this random is a HelloRetryRequest.
RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

VERSIONS: Final = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}

ALERTS: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


# Alerts by which an end rejects the other's certificate (RFC 8446 §6.2).
REJECTED: Final = frozenset({42, 43, 44, 45, 46, 48, 113})


def alert_name(code: int) -> str:
    """An alert's name, or its number where it has none here."""
    return ALERTS.get(code, f"alert {code}")


class ClientHello(NamedTuple):
    """What hark needs of a ClientHello; sni and alpn are empty where they were not sent. ech: Encrypted Client Hello
    was offered, so that sni may not be the name that was meant."""

    random: bytes
    sni: str
    alpn: tuple[str, ...]
    early_data: bool
    psk: bool
    ech: bool


class ServerHello(NamedTuple):
    """What hark needs of a ServerHello; version is the negotiated one, retry marks a HelloRetryRequest."""

    random: bytes
    version: int
    suite: int
    alpn: str
    retry: bool
    psk: bool
    mac_last: bool  # encrypt-then-MAC (RFC 7366)
    extended: bool  # extended master secret (RFC 7627)


def client_hello(body: bytes) -> ClientHello | None:
    """Parse a ClientHello's body (RFC 8446 §4.1.2); None where it is not whole."""
    try:
        at = 34
        at += 1 + body[at]
        at += 2 + (body[at] << 8 | body[at + 1])
        at += 1 + body[at]
        ext = _extensions(body, at)
        sni = ext.get(_SNI, b"")
        name = sni[5:].decode("ascii", "replace") if len(sni) > 5 and sni[2] == 0 else ""
        return ClientHello(body[2:34], name, _alpn(ext.get(_ALPN, b"")), _EARLY_DATA in ext, _PSK in ext, _ECH in ext)
    except (IndexError, struct.error):
        return None


def server_hello(body: bytes) -> ServerHello | None:
    """Parse a ServerHello's body (RFC 8446 §4.1.3); None where it is not whole."""
    try:
        version = body[0] << 8 | body[1]
        at = 35 + body[34]
        suite = body[at] << 8 | body[at + 1]
        ext = _extensions(body, at + 3)
        chosen = ext.get(_VERSIONS, b"")
        if len(chosen) == 2:
            version = chosen[0] << 8 | chosen[1]
        alpn = _alpn(ext.get(_ALPN, b""))
        random = body[2:34]
        chosen_alpn = alpn[0] if alpn else ""
        retry = random == RETRY_RANDOM
        return ServerHello(random, version, suite, chosen_alpn, retry, _PSK in ext, _MAC_LAST in ext, _EXTENDED in ext)
    except (IndexError, struct.error):
        return None


def encrypted_alpn(body: bytes) -> str:
    """The ALPN protocol that EncryptedExtensions names (RFC 8446 §4.3.1), or ""."""
    try:
        chosen = _alpn(_extensions(body, 0).get(_ALPN, b""))
    except (IndexError, struct.error):
        return ""
    return chosen[0] if chosen else ""


def certificates(body: bytes, version: int) -> tuple[bytes, ...]:
    """The chain in a Certificate message, DER, the peer's own first (RFC 5246 §7.4.2, RFC 8446 §4.4.2)."""
    found = []
    try:
        at = 1 + body[0] if version >= 0x0304 else 0
        end = at + 3 + int.from_bytes(body[at : at + 3], "big")
        at += 3
        while at + 3 <= min(end, len(body)):
            size = int.from_bytes(body[at : at + 3], "big")
            found.append(body[at + 3 : at + 3 + size])
            at += 3 + size
            if version >= 0x0304:
                at += 2 + (body[at] << 8 | body[at + 1])
    except IndexError:
        pass  # what is whole counts
    return tuple(found)


def master_secret(premaster: bytes, version: int, suite: Suite, randoms: bytes, session: bytes) -> bytes:
    """The master secret (RFC 5246 §8.1), or, with the hash of the session's handshake, the extended one (RFC 7627 §4).
    randoms: the client's, then the server's."""
    label, seed = (b"extended master secret", session) if session else (b"master secret", randoms)
    return prf10(premaster, label, seed, 48) if version < 0x0303 else prf12(premaster, label, seed, 48, suite.hash)


def session_hash(messages: bytes, version: int, suite: Suite) -> bytes:
    """The hash of a handshake's messages up to ClientKeyExchange (RFC 7627 §3)."""
    if version < 0x0303:
        return hashlib.md5(messages).digest() + hashlib.sha1(messages).digest()
    return hashlib.new(suite.hash, messages).digest()


def _extensions(body: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    if at + 2 > len(body):
        return found  # TLS 1.2 lets the block be absent altogether (RFC 5246 §7.4.1.2)
    end = min(len(body), at + 2 + (body[at] << 8 | body[at + 1]))
    at += 2
    while at + 4 <= end:
        kind, size = struct.unpack_from("!HH", body, at)
        found[kind] = body[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def _alpn(data: bytes) -> tuple[str, ...]:
    names, at = [], 2
    while at < len(data):
        size = data[at]
        names.append(data[at + 1 : at + 1 + size].decode("ascii", "backslashreplace"))
        at += 1 + size
    return tuple(names)


def expand_label(secret: bytes, label: bytes, context: bytes, length: int, name: str) -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1) with the hash called `name`."""
    full = b"tls13 " + label
    info = struct.pack("!HB", length, len(full)) + full + bytes([len(context)]) + context
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(secret, block + info + bytes([count]), name)
        out += block
        count += 1
    return out[:length]


def prf12(secret: bytes, label: bytes, seed: bytes, length: int, name: str) -> bytes:
    """The TLS 1.2 pseudo random function P_hash (RFC 5246 §5)."""
    seed = label + seed
    out, a = b"", seed
    while len(out) < length:
        a = hmac.digest(secret, a, name)
        out += hmac.digest(secret, a + seed, name)
    return out[:length]


def prf10(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """The pseudo random function of TLS 1.0 and 1.1: MD5 over one half of the secret, SHA-1 over the other
    (RFC 2246 §5)."""
    half = (len(secret) + 1) // 2
    first = prf12(secret[:half], label, seed, length, "md5")
    second = prf12(secret[-half:], label, seed, length, "sha1")
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def key_block(suite: Suite, version: int, master: bytes, seed: bytes) -> tuple[tuple[bytes, bytes, bytes], ...]:
    """(MAC key, key, iv) of the client's side and of the server's (RFC 5246 §6.3). seed: server random, then client
    random."""
    nonce = {"cbc": suite.block, "chacha": 12, "stream": 0, "null": 0}.get(suite.mode, 4)
    sizes = (hash_size(suite.mac) if suite.mac else 0, suite.key, nonce)
    label, total = b"key expansion", 2 * sum(sizes)
    old = version < 0x0303
    block = prf10(master, label, seed, total) if old else prf12(master, label, seed, total, suite.hash)
    sides: tuple[list[bytes], list[bytes]] = ([], [])
    at = 0
    for size in sizes:
        for side in sides:
            side.append(block[at : at + size])
            at += size
    return tuple((mac, key, iv) for mac, key, iv in sides)


def hash_size(name: str) -> int:
    """Bytes in a digest of the hash called `name`."""
    return hashlib.new(name).digest_size
