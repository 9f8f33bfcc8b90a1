"""Protocol Buffers without a schema: the wire format (protobuf.dev/programming-guides/encoding) as plain values.

May hold: pure functions over one message. May not hold: schemas.
A length-delimited field may be a string, bytes, a message or packed numbers; how it is shown is a guess in that
order of likelihood: printable text, a message that parses to its last byte, bytes.
"""

import struct
from base64 import b64encode
from typing import Final

Value = int | float | str | dict[str, "Value"] | list["Value"]
_DEPTH: Final = 32  # messages inside each other


def message(data: bytes, depth: int = 0) -> dict[str, Value] | None:
    """Field numbers (as strings) and their values; repeated ones as lists. None if the bytes are not a message."""
    fields: dict[str, Value] = {}
    at = 0
    try:
        while at < len(data):
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            if not number or number > (1 << 29) - 1:
                return None
            value: Value
            if kind == 0:
                value, at = _varint(data, at)
            elif kind == 1:
                value, at = struct.unpack_from("<Q", data, at)[0], at + 8
            elif kind == 5:
                value, at = struct.unpack_from("<I", data, at)[0], at + 4
            elif kind == 2:
                size, at = _varint(data, at)
                if at + size > len(data):
                    return None
                value, at = _delimited(data[at : at + size], depth), at + size
            else:
                return None  # groups are deprecated and never seen in gRPC
            _add(fields, str(number), value)
    except (IndexError, struct.error):
        return None
    return fields


def _delimited(data: bytes, depth: int) -> Value:
    try:
        text = data.decode()
        if text.isprintable() or not set(text) - set("\t\n\r") or all(c.isprintable() or c in "\t\n\r" for c in text):
            return text
    except UnicodeDecodeError:
        pass
    inner = message(data, depth + 1) if depth < _DEPTH else None
    return inner if inner else {"base64": b64encode(data).decode("ascii")}


def _add(fields: dict[str, Value], name: str, value: Value) -> None:
    if name not in fields:
        fields[name] = value
        return
    known = fields[name]
    if isinstance(known, list):
        known.append(value)
    else:
        fields[name] = [known, value]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise IndexError("a varint without an end")
