"""HTTP/2 frames (RFC 9113 §4, §6): names of types, flags and error codes, and how a payload is laid out.

May hold: tables and pure functions over one frame. May not hold: streams, HPACK state.
"""

from typing import Final

PREFACE: Final[bytes] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FLAG: Final = 0x20

ERRORS: Final = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)


def error_name(code: int) -> str:
    """The name of an error code (RFC 9113 §7); unknown ones in hex."""
    return ERRORS[code] if code < len(ERRORS) else f"0x{code:x}"


def unpad(payload: memoryview, flags: int) -> memoryview | None:
    """The payload without its padding (RFC 9113 §6.1); None where the padding is longer than the frame."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        return None
    return payload[1 : len(payload) - payload[0]]


# What a frame of each type must be like (RFC 9113 §6): its size (None: any), whether it is of a stream, its flags.
_SHAPES: Final[tuple[tuple[int | None, bool, int], ...]] = (
    (None, True, 0x09), (None, True, 0x2D), (5, True, 0), (4, True, 0), (None, False, 0x01), (None, True, 0x0C),
    (8, False, 0x01), (None, False, 0), (4, True, 0), (None, True, 0x04),
)  # fmt: skip


def are_frames(data: bytes) -> bool:
    """Whether the bytes are whole frames, one after the other: a test that noise does not pass."""
    at = 0
    while at + 9 <= len(data):
        size, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
        stream = int.from_bytes(data[at + 5 : at + 9], "big")
        if kind >= len(_SHAPES) or stream >> 31:
            return False
        wanted, of_stream, allowed = _SHAPES[kind]
        if flags & ~allowed or (wanted is not None and size != wanted):
            return False
        if (of_stream != bool(stream) and kind != WINDOW_UPDATE) or (kind == SETTINGS and size % 6):
            return False
        at += 9 + size
    return at == len(data) and at > 0
