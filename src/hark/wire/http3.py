"""HTTP/3 frames, streams, settings and errors by number (RFC 9114 §7, §8, §11; RFC 9204 §6).

May hold: tables. May not hold: state.
"""

DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13
CONTROL, PUSH, QPACK_ENCODER, QPACK_DECODER = range(4)  # types of unidirectional streams
QPACK_CAPACITY = 1  # SETTINGS_QPACK_MAX_TABLE_CAPACITY
NO_ERROR = 0x100

_NAMES = (
    "NO_ERROR", "GENERAL_PROTOCOL_ERROR", "INTERNAL_ERROR", "STREAM_CREATION_ERROR", "CLOSED_CRITICAL_STREAM",
    "FRAME_UNEXPECTED", "FRAME_ERROR", "EXCESSIVE_LOAD", "ID_ERROR", "SETTINGS_ERROR", "MISSING_SETTINGS",
    "REQUEST_REJECTED", "REQUEST_CANCELLED", "REQUEST_INCOMPLETE", "MESSAGE_ERROR", "CONNECT_ERROR",
    "VERSION_FALLBACK",
)  # fmt: skip
_ERRORS = dict(enumerate(_NAMES, NO_ERROR)) | {
    0x200: "DECOMPRESSION_FAILED",
    0x201: "ENCODER_STREAM_ERROR",
    0x202: "DECODER_STREAM_ERROR",
}


def error_name(code: int) -> str:
    """The name of an application error; those of no name, and the reserved ones (RFC 9114 §8.1), in hex."""
    return _ERRORS.get(code, f"0x{code:x}")
