"""Cipher suites by their IANA numbers, and what it takes to decrypt their records.

May hold: the table. May not hold: ciphers in use.
RFC 8446 (TLS 1.3), RFC 5246 (AES-CBC), RFC 5288/5289/5487/8442 (AES-GCM), RFC 6655/7251 (CCM), RFC 7905 (ChaCha20),
RFC 5932/6367 (Camellia), RFC 4162 (SEED), RFC 6209 (ARIA), RFC 5054 (SRP), RFC 4279/4785/5489 (PSK).
"""

from typing import Final, NamedTuple


class Suite(NamedTuple):
    """A cipher suite: its IANA name; its mode ("gcm", "ccm", "ccm8", "chacha", "cbc", "stream", "null"); bytes of its
    key; the hash of the key schedule; the hash of the record MAC ("" with an AEAD); the cipher; bytes of its block."""

    name: str
    mode: str
    key: int
    hash: str
    mac: str = ""
    cipher: str = "aes"
    block: int = 16


SUITES: Final[dict[int, Suite]] = {
    0x1301: Suite("TLS_AES_128_GCM_SHA256", "gcm", 16, "sha256"),
    0x1302: Suite("TLS_AES_256_GCM_SHA384", "gcm", 32, "sha384"),
    0x1303: Suite("TLS_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256"),
    0x1304: Suite("TLS_AES_128_CCM_SHA256", "ccm", 16, "sha256"),
    0x1305: Suite("TLS_AES_128_CCM_8_SHA256", "ccm8", 16, "sha256"),
}


def _pairs(cipher: str, mode: str, codes: dict[int, str]) -> None:
    """Suites that come in twos: 128 bits with SHA-256, and next to it 256 bits with SHA-384."""
    for code, kx in codes.items():
        for step, (bits, size, name) in enumerate(((128, 16, "sha256"), (256, 32, "sha384"))):
            full = f"TLS_{kx}_WITH_{cipher.upper()}_{bits}_{mode.upper()}_{name.upper()}"
            SUITES[code + step] = Suite(full, mode, size, name, name if mode == "cbc" else "", cipher)


def _cbc(cipher: str, label: str, size: int, block: int, mac: str, codes: dict[int, str]) -> None:
    """Block ciphers with one kind of MAC."""
    name = "SHA" if mac == "sha1" else mac.upper()
    prf = "sha384" if mac == "sha384" else "sha256"
    for code, kx in codes.items():
        SUITES[code] = Suite(f"TLS_{kx}_WITH_{label}_CBC_{name}", "cbc", size, prf, mac, cipher, block)


def _bare(label: str, mode: str, size: int, mac: str, codes: dict[int, str]) -> None:
    """RC4, and no encryption at all: only a MAC around the plaintext."""
    name = "SHA" if mac == "sha1" else mac.upper()
    prf = "sha384" if mac == "sha384" else "sha256"
    for code, kx in codes.items():
        SUITES[code] = Suite(f"TLS_{kx}_WITH_{label}_{name}", mode, size, prf, mac, "rc4" if size else "null", 1)


def _fill() -> None:
    _pairs("aes", "gcm", {
        0x009C: "RSA", 0x009E: "DHE_RSA", 0x00A0: "DH_RSA", 0x00A2: "DHE_DSS", 0x00A4: "DH_DSS", 0x00A6: "DH_anon",
        0x00A8: "PSK", 0x00AA: "DHE_PSK", 0x00AC: "RSA_PSK", 0xC02B: "ECDHE_ECDSA", 0xC02D: "ECDH_ECDSA",
        0xC02F: "ECDHE_RSA", 0xC031: "ECDH_RSA", 0xD001: "ECDHE_PSK",
    })  # fmt: skip
    _pairs("camellia", "gcm", {
        0xC07A: "RSA", 0xC07C: "DHE_RSA", 0xC07E: "DH_RSA", 0xC080: "DHE_DSS", 0xC082: "DH_DSS", 0xC084: "DH_anon",
        0xC086: "ECDHE_ECDSA", 0xC088: "ECDH_ECDSA", 0xC08A: "ECDHE_RSA", 0xC08C: "ECDH_RSA", 0xC08E: "PSK",
        0xC090: "DHE_PSK", 0xC092: "RSA_PSK",
    })  # fmt: skip
    _pairs("camellia", "cbc", {
        0xC072: "ECDHE_ECDSA", 0xC074: "ECDH_ECDSA", 0xC076: "ECDHE_RSA", 0xC078: "ECDH_RSA", 0xC094: "PSK",
        0xC096: "DHE_PSK", 0xC098: "RSA_PSK", 0xC09A: "ECDHE_PSK",
    })  # fmt: skip
    _pairs("aria", "cbc", {
        0xC03C: "RSA", 0xC03E: "DH_DSS", 0xC040: "DH_RSA", 0xC042: "DHE_DSS", 0xC044: "DHE_RSA", 0xC046: "DH_anon",
        0xC048: "ECDHE_ECDSA", 0xC04A: "ECDH_ECDSA", 0xC04C: "ECDHE_RSA", 0xC04E: "ECDH_RSA", 0xC064: "PSK",
        0xC066: "DHE_PSK", 0xC068: "RSA_PSK", 0xC070: "ECDHE_PSK",
    })  # fmt: skip
    _pairs("aria", "gcm", {
        0xC050: "RSA", 0xC052: "DHE_RSA", 0xC054: "DH_RSA", 0xC056: "DHE_DSS", 0xC058: "DH_DSS", 0xC05A: "DH_anon",
        0xC05C: "ECDHE_ECDSA", 0xC05E: "ECDH_ECDSA", 0xC060: "ECDHE_RSA", 0xC062: "ECDH_RSA", 0xC06A: "PSK",
        0xC06C: "DHE_PSK", 0xC06E: "RSA_PSK",
    })  # fmt: skip
    # CCM, then CCM_8 four codes further on (two for ECDHE_ECDSA)
    for code, kx, eight in ((0xC09C, "RSA", 4), (0xC09E, "DHE_RSA", 4), (0xC0A4, "PSK", 4), (0xC0A6, "DHE_PSK", 4),
                            (0xC0AC, "ECDHE_ECDSA", 2)):  # fmt: skip
        for step, (bits, size) in enumerate(((128, 16), (256, 32))):
            SUITES[code + step] = Suite(f"TLS_{kx}_WITH_AES_{bits}_CCM", "ccm", size, "sha256")
            short = "PSK_DHE" if kx == "DHE_PSK" else kx  # so it is registered
            SUITES[code + step + eight] = Suite(f"TLS_{short}_WITH_AES_{bits}_CCM_8", "ccm8", size, "sha256")
    for code, kx in enumerate(
        ("ECDHE_RSA", "ECDHE_ECDSA", "DHE_RSA", "PSK", "ECDHE_PSK", "DHE_PSK", "RSA_PSK"), 0xCCA8
    ):
        SUITES[code] = Suite(f"TLS_{kx}_WITH_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256", "", "chacha")
    cbc = {  # codes of the suites with AES 128 and 256 and SHA-1, then with SHA-256 or SHA-384
        "RSA": (0x2F, 0x35, 0x3C, 0x3D), "DH_DSS": (0x30, 0x36, 0x3E, 0x68), "DH_RSA": (0x31, 0x37, 0x3F, 0x69),
        "DHE_DSS": (0x32, 0x38, 0x40, 0x6A), "DHE_RSA": (0x33, 0x39, 0x67, 0x6B), "DH_anon": (0x34, 0x3A, 0x6C, 0x6D),
        "ECDH_ECDSA": (0xC004, 0xC005, 0xC025, 0xC026), "ECDHE_ECDSA": (0xC009, 0xC00A, 0xC023, 0xC024),
        "ECDH_RSA": (0xC00E, 0xC00F, 0xC029, 0xC02A), "ECDHE_RSA": (0xC013, 0xC014, 0xC027, 0xC028),
        "PSK": (0x8C, 0x8D, 0xAE, 0xAF), "DHE_PSK": (0x90, 0x91, 0xB2, 0xB3), "RSA_PSK": (0x94, 0x95, 0xB6, 0xB7),
        "ECDHE_PSK": (0xC035, 0xC036, 0xC037, 0xC038), "ECDH_anon": (0xC018, 0xC019),
        "SRP_SHA": (0xC01D, 0xC020), "SRP_SHA_RSA": (0xC01E, 0xC021), "SRP_SHA_DSS": (0xC01F, 0xC022),
    }  # fmt: skip
    for kx, codes in cbc.items():
        for number, code in enumerate(codes):
            bits, mac = (128, 256)[number % 2], ("sha1", "sha256")[number // 2]
            if number == 3 and (kx.startswith("EC") or kx.endswith("PSK")):
                mac = "sha384"
            _cbc("aes", f"AES_{bits}", bits // 8, 16, mac, {code: kx})
    six = ("RSA", "DH_DSS", "DH_RSA", "DHE_DSS", "DHE_RSA", "DH_anon")
    for first, bits, mac in ((0x41, 128, "sha1"), (0x84, 256, "sha1"), (0xBA, 128, "sha256"), (0xC0, 256, "sha256")):
        _cbc("camellia", f"CAMELLIA_{bits}", bits // 8, 16, mac, dict(enumerate(six, first)))
    _cbc("seed", "SEED", 16, 16, "sha1", dict(enumerate(six, 0x96)))
    _cbc("idea", "IDEA", 16, 8, "sha1", {0x07: "RSA"})
    _cbc("3des", "3DES_EDE", 24, 8, "sha1", {
        0x0A: "RSA", 0x0D: "DH_DSS", 0x10: "DH_RSA", 0x13: "DHE_DSS", 0x16: "DHE_RSA", 0x1B: "DH_anon", 0x8B: "PSK",
        0x8F: "DHE_PSK", 0x93: "RSA_PSK", 0xC003: "ECDH_ECDSA", 0xC008: "ECDHE_ECDSA", 0xC00D: "ECDH_RSA",
        0xC012: "ECDHE_RSA", 0xC017: "ECDH_anon", 0xC034: "ECDHE_PSK", 0xC01A: "SRP_SHA", 0xC01B: "SRP_SHA_RSA",
        0xC01C: "SRP_SHA_DSS",
    })  # fmt: skip
    elliptic = {
        "ECDH_ECDSA": 0xC001,
        "ECDHE_ECDSA": 0xC006,
        "ECDH_RSA": 0xC00B,
        "ECDHE_RSA": 0xC010,
        "ECDH_anon": 0xC015,
    }
    _bare("NULL", "null", 0, "sha1", {code: kx for kx, code in elliptic.items()})
    _bare("RC4_128", "stream", 16, "sha1", {code + 1: kx for kx, code in elliptic.items()})
    _bare("RC4_128", "stream", 16, "sha1", {
        0x05: "RSA", 0x8A: "PSK", 0x8E: "DHE_PSK", 0x92: "RSA_PSK", 0xC033: "ECDHE_PSK",
    })  # fmt: skip
    _bare("RC4_128", "stream", 16, "md5", {0x04: "RSA", 0x18: "DH_anon"})
    _bare("NULL", "null", 0, "md5", {0x01: "RSA"})
    _bare("NULL", "null", 0, "sha1", {0x02: "RSA", 0x2C: "PSK", 0x2D: "DHE_PSK", 0x2E: "RSA_PSK", 0xC039: "ECDHE_PSK"})
    _bare(
        "NULL", "null", 0, "sha256", {0x3B: "RSA", 0xB0: "PSK", 0xB4: "DHE_PSK", 0xB8: "RSA_PSK", 0xC03A: "ECDHE_PSK"}
    )
    _bare("NULL", "null", 0, "sha384", {0xB1: "PSK", 0xB5: "DHE_PSK", 0xB9: "RSA_PSK", 0xC03B: "ECDHE_PSK"})


_fill()
