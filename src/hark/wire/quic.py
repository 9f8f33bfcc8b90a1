"""QUIC on the wire: versions, varints, packet headers, frames, error codes, and the labels of packet protection.

May hold: tables and pure functions over one packet. May not hold: a connection's state, ciphers in use.
RFC 8999 (what no version changes), RFC 9000 (version 1), RFC 9001 (its use of TLS), RFC 9369 (version 2).
"""

import hmac
from collections.abc import Iterator
from typing import NamedTuple

from hark.wire import tls

INITIAL, ZERO_RTT, HANDSHAKE, RETRY, ONE_RTT, NEGOTIATION = range(6)


class Version(NamedTuple):
    """What differs between versions: the name, the salt of Initial secrets, the labels' prefix, which kind each of the
    long header's four type codes is, and the key and nonce of a Retry's integrity tag."""

    name: str
    salt: bytes
    prefix: bytes
    kinds: tuple[int, int, int, int]
    retry_key: bytes
    retry_nonce: bytes


_KINDS1, _KINDS2 = (INITIAL, ZERO_RTT, HANDSHAKE, RETRY), (RETRY, INITIAL, ZERO_RTT, HANDSHAKE)
_V1 = Version(
    "QUIC v1", bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"), b"quic ", _KINDS1,
    bytes.fromhex("be0c690b9f66575a1d766b54e368c84e"), bytes.fromhex("461599d35d632bf2239825bb"),
)  # fmt: skip
_V2 = Version(
    "QUIC v2", bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"), b"quicv2 ", _KINDS2,
    bytes.fromhex("8fb4b01b56ac48e260fbcbcead7ccc92"), bytes.fromhex("d86969bc2d7c6d9990efb04a"),
)  # fmt: skip
_DRAFT29 = Version(  # the drafts that were deployed widely; drafts 33 and 34 are version 1 by another number
    "QUIC draft", bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"), b"quic ", _KINDS1,
    bytes.fromhex("ccce187ed09a09d05728155a6cb96be1"), bytes.fromhex("e54930f97f2136f0530a8c1c"),
)  # fmt: skip
VERSIONS = {
    0x00000001: _V1,
    0x6B3343CF: _V2,
    **dict.fromkeys(range(0xFF00001D, 0xFF000021), _DRAFT29),
    **dict.fromkeys(range(0xFF000021, 0xFF000023), _V1),
}
CID_MAX = 20  # bytes (RFC 9000 §17.2)

ERRORS = (
    "NO_ERROR", "INTERNAL_ERROR", "CONNECTION_REFUSED", "FLOW_CONTROL_ERROR", "STREAM_LIMIT_ERROR",
    "STREAM_STATE_ERROR", "FINAL_SIZE_ERROR", "FRAME_ENCODING_ERROR", "TRANSPORT_PARAMETER_ERROR",
    "CONNECTION_ID_LIMIT_ERROR", "PROTOCOL_VIOLATION", "INVALID_TOKEN", "APPLICATION_ERROR", "CRYPTO_BUFFER_EXCEEDED",
    "KEY_UPDATE_ERROR", "AEAD_LIMIT_REACHED", "NO_VIABLE_PATH",
)  # fmt: skip


def error_name(code: int) -> str:
    """The name of a transport error (RFC 9000 §20.1); TLS alerts by their own names."""
    if 0x100 <= code < 0x200:
        return tls.ALERTS.get(code - 0x100, f"alert {code - 0x100}")
    return "VERSION_NEGOTIATION_ERROR" if code == 0x11 else ERRORS[code] if code < len(ERRORS) else f"0x{code:x}"


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A variable-length integer and the offset after it (RFC 9000 §16). Raises IndexError where it is not whole."""
    first = data[at]
    if first < 0x40:
        return first, at + 1
    size = 1 << (first >> 6)
    if at + size > len(data):
        raise IndexError("a varint runs past the end")
    return int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


class Header(NamedTuple):
    """A packet as far as it can be read without keys: kind, version number, connection ids, the offset of its packet
    number (of the integrity tag for Retry), and the offset after it."""

    kind: int
    version: int
    dcid: bytes
    scid: bytes
    number_at: int
    end: int


def long_header(data: bytes, at: int) -> Header | None:
    """The long header at `at` (RFC 9000 §17.2); None where there is none of a known version."""
    try:
        first = data[at]
        version = int.from_bytes(data[at + 1 : at + 5], "big")
        size = data[at + 5]
        dcid, here = data[at + 6 : at + 6 + size], at + 6 + size
        size = data[here]
        scid, here = data[here + 1 : here + 1 + size], here + 1 + size
        if version == 0:
            return Header(NEGOTIATION, 0, dcid, scid, here, len(data))
        known = VERSIONS.get(version)
        if known is None or not first & 0x40 or len(dcid) > CID_MAX or len(scid) > CID_MAX:
            return None
        kind = known.kinds[first >> 4 & 3]
        if kind == RETRY:
            return Header(kind, version, dcid, scid, len(data) - 16, len(data)) if len(data) - 16 > here else None
        if kind == INITIAL:
            size, here = varint(data, here)
            here += size
        size, here = varint(data, here)
        return Header(kind, version, dcid, scid, here, here + size) if here + size <= len(data) else None
    except IndexError:
        return None


def initial_secrets(version: Version, dcid: bytes) -> tuple[bytes, bytes]:
    """The Initial secrets of the client's and the server's side (RFC 9001 §5.2)."""
    common = hmac.digest(version.salt, dcid, "sha256")
    client = tls.expand_label(common, b"client in", b"", 32, "sha256")
    return client, tls.expand_label(common, b"server in", b"", 32, "sha256")


def packet_number(short: int, size: int, largest: int) -> int:
    """The packet number whose lowest `size` bytes are `short`, after `largest` (RFC 9000 §A.3)."""
    window = 1 << (8 * size)
    expected = largest + 1
    number = (expected & -window) | short
    if number <= expected - window // 2 and number + window < 1 << 62:
        return number + window
    if number > expected + window // 2 and number >= window:
        return number - window
    return number


class Stream(NamedTuple):
    """STREAM."""

    stream: int
    offset: int
    fin: bool
    data: memoryview


class Crypto(NamedTuple):
    """CRYPTO."""

    offset: int
    data: memoryview


class Reset(NamedTuple):
    """RESET_STREAM (stopping False: its sender gives the stream up) or STOP_SENDING (the sender wants no more)."""

    stream: int
    code: int
    stopping: bool


class NewId(NamedTuple):
    """NEW_CONNECTION_ID."""

    cid: bytes


class Close(NamedTuple):
    """CONNECTION_CLOSE; application: whether the error code is the application's."""

    code: int
    reason: str
    application: bool


Frame = Stream | Crypto | Reset | NewId | Close

# Frames that say nothing to a listener: how many varints follow the type (RFC 9000 §19; ACK_FREQUENCY).
_PLAIN = {0x01: 0, 0x10: 1, 0x11: 2, 0x12: 1, 0x13: 1, 0x14: 1, 0x15: 2, 0x16: 1, 0x17: 1, 0x19: 1, 0x1E: 0, 0x1F: 0,
          0xAF: 4}  # fmt: skip


def frames(data: memoryview) -> Iterator[Frame]:
    """The frames of a packet's payload that say something to a listener. Raises ValueError or IndexError where the
    payload cannot be read on."""
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        if kind == 0:
            at += 1
            continue
        if kind & 0xF8 == 0x08:
            stream, at = varint(data, at + 1)
            offset = 0
            if kind & 4:
                offset, at = varint(data, at)
            size = end - at
            if kind & 2:
                size, at = varint(data, at)
            if at + size > end:
                raise ValueError("a STREAM frame runs past its packet")
            yield Stream(stream, offset, bool(kind & 1), data[at : at + size])
            at += size
            continue
        kind, at = varint(data, at)
        if kind in (2, 3):
            at = _ack(data, at, kind)
        elif kind in _PLAIN:
            for _ in range(_PLAIN[kind]):
                _, at = varint(data, at)
        elif kind == 6:
            offset, at = varint(data, at)
            size, at = varint(data, at)
            if at + size > end:
                raise ValueError("a CRYPTO frame runs past its packet")
            yield Crypto(offset, data[at : at + size])
            at += size
        elif kind in (4, 5):
            stream, at = varint(data, at)
            code, at = varint(data, at)
            if kind == 4:
                _, at = varint(data, at)
            yield Reset(stream, code, kind == 5)
        elif kind in (7, 0x31):  # NEW_TOKEN, DATAGRAM with a length
            size, at = varint(data, at)
            at += size
        elif kind == 0x18:
            _, at = varint(data, at)
            _, at = varint(data, at)
            size, at = data[at], at + 1
            yield NewId(bytes(data[at : at + size]))
            at += size + 16
        elif kind in (0x1A, 0x1B):  # PATH_CHALLENGE, PATH_RESPONSE
            at += 8
        elif kind in (0x1C, 0x1D):
            code, at = varint(data, at)
            if kind == 0x1C:
                _, at = varint(data, at)
            size, at = varint(data, at)
            yield Close(code, bytes(data[at : at + size]).decode("utf-8", "backslashreplace"), kind == 0x1D)
            at += size
        elif kind == 0x30:  # DATAGRAM to the packet's end (RFC 9221)
            return
        else:
            raise ValueError(f"a frame of unknown type 0x{kind:x}")


def _ack(data: memoryview, at: int, kind: int) -> int:
    for _ in range(2):
        _, at = varint(data, at)
    ranges, at = varint(data, at)
    _, at = varint(data, at)
    for _ in range(2 * ranges + (3 if kind == 3 else 0)):
        _, at = varint(data, at)
    return at
