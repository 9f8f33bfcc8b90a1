"""TLS 1.0 to 1.3 on the wire: content types, hellos, cipher suites, the key schedule's labels.

May hold: tables and pure functions over one message. May not hold: a connection's state or ciphers at work.
RFC 5246 (TLS 1.2), RFC 8446 (TLS 1.3), RFC 5288/5289/6655/7251/7905 (AEAD suites).
"""

import hashlib
import hmac
import struct
from typing import NamedTuple

CCS, ALERT, HANDSHAKE, APPDATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, NEW_TICKET, END_OF_EARLY_DATA, ENCRYPTED_EXTENSIONS = 1, 2, 4, 5, 8
CERTIFICATE, FINISHED, KEY_UPDATE = 11, 20, 24
_SNI, _ALPN, _EARLY_DATA, _VERSIONS, _PSK, _ECH, _MAC_LAST = 0, 16, 42, 43, 41, 0xFE0D, 22

# RFC 8446 §4.1.3: a ServerHello with this random is a HelloRetryRequest.
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}

ALERTS = {
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


class Suite(NamedTuple):
    """A cipher suite: its IANA name, how records are sealed ("gcm", "ccm", "ccm8", "chacha", "cbc"), key bytes, hash of
    TLS 1.2's and 1.3's key schedule, hash of the record MAC ("" with an AEAD)."""

    name: str
    aead: str
    key: int
    hash: str
    mac: str = ""


def _suites() -> dict[int, Suite]:
    table = {
        0x1301: Suite("TLS_AES_128_GCM_SHA256", "gcm", 16, "sha256"),
        0x1302: Suite("TLS_AES_256_GCM_SHA384", "gcm", 32, "sha384"),
        0x1303: Suite("TLS_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256"),
        0x1304: Suite("TLS_AES_128_CCM_SHA256", "ccm", 16, "sha256"),
        0x1305: Suite("TLS_AES_128_CCM_8_SHA256", "ccm8", 16, "sha256"),
    }
    gcm = {
        0x009C: "RSA", 0x009E: "DHE_RSA", 0x00A0: "DH_RSA", 0x00A2: "DHE_DSS", 0x00A4: "DH_DSS", 0x00A6: "DH_anon",
        0x00A8: "PSK", 0x00AA: "DHE_PSK", 0x00AC: "RSA_PSK", 0xC02B: "ECDHE_ECDSA", 0xC02D: "ECDH_ECDSA",
        0xC02F: "ECDHE_RSA", 0xC031: "ECDH_RSA", 0xD001: "ECDHE_PSK",
    }  # fmt: skip
    for code, kx in gcm.items():  # RFC 5288, 5289, 5487, 8442: the 256 bit suite stands next to its 128 bit twin
        table[code] = Suite(f"TLS_{kx}_WITH_AES_128_GCM_SHA256", "gcm", 16, "sha256")
        table[code + 1] = Suite(f"TLS_{kx}_WITH_AES_256_GCM_SHA384", "gcm", 32, "sha384")
    ccm = {0xC09C: "RSA", 0xC09E: "DHE_RSA", 0xC0A4: "PSK", 0xC0A6: "DHE_PSK", 0xC0AC: "ECDHE_ECDSA"}
    for code, kx in ccm.items():  # RFC 6655, 7251: CCM, then CCM_8 two codes further on
        for step, (bits, size) in enumerate(((128, 16), (256, 32))):
            table[code + step] = Suite(f"TLS_{kx}_WITH_AES_{bits}_CCM", "ccm", size, "sha256")
            eight = code + step + (4 if kx in ("RSA", "PSK") else 2 if kx == "ECDHE_ECDSA" else 4)
            table.setdefault(eight, Suite(f"TLS_{kx}_WITH_AES_{bits}_CCM_8", "ccm8", size, "sha256"))
    chacha = ("ECDHE_RSA", "ECDHE_ECDSA", "DHE_RSA", "PSK", "ECDHE_PSK", "DHE_PSK", "RSA_PSK")
    for code, kx in enumerate(chacha, 0xCCA8):  # RFC 7905
        table[code] = Suite(f"TLS_{kx}_WITH_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256")
    cbc = {  # RFC 5246 §A.5, RFC 8422, RFC 5289: codes of the suites with AES 128 and 256 and these MACs
        "RSA": (0x2F, 0x35, 0x3C, 0x3D), "DH_DSS": (0x30, 0x36, 0x3E, 0x68), "DH_RSA": (0x31, 0x37, 0x3F, 0x69),
        "DHE_DSS": (0x32, 0x38, 0x40, 0x6A), "DHE_RSA": (0x33, 0x39, 0x67, 0x6B), "DH_anon": (0x34, 0x3A, 0x6C, 0x6D),
        "ECDH_ECDSA": (0xC004, 0xC005, 0xC025, 0xC026), "ECDHE_ECDSA": (0xC009, 0xC00A, 0xC023, 0xC024),
        "ECDH_RSA": (0xC00E, 0xC00F, 0xC029, 0xC02A), "ECDHE_RSA": (0xC013, 0xC014, 0xC027, 0xC028),
        "PSK": (0x8C, 0x8D, 0xAE, 0xAF), "DHE_PSK": (0x90, 0x91, 0xB2, 0xB3), "RSA_PSK": (0x94, 0x95, 0xB6, 0xB7),
        "ECDHE_PSK": (0xC035, 0xC036, 0xC037, 0xC038), "ECDH_anon": (0xC018, 0xC019, 0, 0),
    }  # fmt: skip
    for kx, codes in cbc.items():
        with_384 = kx.startswith("EC") or kx.endswith("PSK")
        for number, code in enumerate(codes):
            bits, mac = (128, 256)[number % 2], ("sha1", "sha256")[number // 2]
            mac = "sha384" if number == 3 and with_384 else mac
            name = f"TLS_{kx}_WITH_AES_{bits}_CBC_{'SHA' if mac == 'sha1' else mac.upper()}"
            table[code] = Suite(name, "cbc", bits // 8, "sha384" if mac == "sha384" else "sha256", mac)
    del table[0]
    return table


SUITES = _suites()


class ClientHello(NamedTuple):
    """What hark needs of a ClientHello; sni and alpn are empty where they were not sent."""

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
        return ServerHello(
            random, version, suite, alpn[0] if alpn else "", random == RETRY_RANDOM, _PSK in ext, _MAC_LAST in ext
        )
    except (IndexError, struct.error):
        return None


def encrypted_alpn(body: bytes) -> str:
    """The ALPN protocol that EncryptedExtensions names (RFC 8446 §4.3.1), or ""."""
    try:
        chosen = _alpn(_extensions(body, 0).get(_ALPN, b""))
    except (IndexError, struct.error):
        return ""
    return chosen[0] if chosen else ""


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
    sizes = (hash_size(suite.mac) if suite.mac else 0, suite.key, {"cbc": 16, "chacha": 12}.get(suite.aead, 4))
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
