"""The meaning of a section of header fields: one value from several lines (RFC 9110 §5.3), and bytes as text.

May hold: pure functions and tables. May not hold: what any one field means.
"""

from __future__ import annotations

from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

Pairs = Sequence[tuple[bytes, bytes]]

# Fields that are not lists: of several lines the first counts, as most clients take it. Set-Cookie cannot be joined
# (RFC 9110 §5.3), and each line of it is a cookie of its own.
SINGLE: Final = frozenset(
    {
        b"age", b"authorization", b"access-control-allow-credentials", b"access-control-allow-origin",
        b"access-control-max-age", b"content-disposition", b"content-length", b"content-location", b"content-range",
        b"date", b"dnt", b"etag", b"expires", b"from", b"grpc-encoding", b"grpc-message", b"grpc-status", b"host",
        b"if-modified-since", b"if-range", b"if-unmodified-since", b"last-modified", b"location", b"max-forwards",
        b"origin", b"proxy-authorization", b"range", b"referer", b"retry-after", b"sec-websocket-accept",
        b"sec-websocket-key", b"server", b"set-cookie", b"user-agent",
    }
)  # fmt: skip


def index(headers: Pairs, small: bool = False) -> dict[bytes, bytes]:
    """The value of each field by its name in small letters. small: the names are in small letters already."""
    found = dict(reversed(headers)) if small else {name.lower(): value for name, value in reversed(headers)}
    if len(found) != len(headers):
        _join(headers, found)
    return found


def _join(headers: Pairs, found: dict[bytes, bytes]) -> None:
    """Some came several times."""
    lines: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lines.setdefault(name.lower(), []).append(value)
    for name, values in lines.items():
        if len(values) > 1:
            found[name] = joined(name, values)


def joined(name: bytes, values: list[bytes]) -> bytes:
    """One value of a field's several lines; its name in small letters."""
    if name == b"cookie":  # HTTP/2 and HTTP/3 split it to compress it (RFC 9113 §8.2.3, RFC 9114 §4.2.1)
        return b"; ".join(values)
    if name == b"content-type":  # the last one that is a media type (WHATWG Fetch, "extract a MIME type")
        return next((value for value in reversed(values) if b"/" in value), values[0])
    return values[0] if name in SINGLE else b", ".join(values)


def value(headers: Pairs, name: bytes) -> bytes:
    """The value of one field, b"" where it is not there; its name in small letters."""
    size = len(name)
    values = [value for key, value in headers if len(key) == size and key.lower() == name]
    return (values[0] if len(values) == 1 else joined(name, values)) if values else b""


def tokens(text: bytes) -> list[bytes]:
    """The elements of a list in small letters, parameters and empty ones left out."""
    found = [element.partition(b";")[0].strip().lower() for element in text.split(b",")]
    return [element for element in found if element]


def text(data: bytes) -> str:
    """A field's value: UTF-8 where it is that, else Latin-1 (RFC 9110 §5.5)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def is_latin(data: bytes) -> bool:
    """Whether text() has to take it for Latin-1."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def target(data: bytes) -> str:
    """A request's target: UTF-8 where it is that, else its bytes above 0x7f percent-encoded, so that the same resource
    is named (RFC 3986 §2.1)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in data)
