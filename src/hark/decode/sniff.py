"""Every guess about what bytes are, in one place. By content alone: port numbers say nothing.

May hold: pure functions over the first bytes of a direction. May not hold: state.
"""

import re

from hark.decode.events import Side
from hark.wire import http2

MORE = "more"  # it cannot be told yet
TLS, HTTP1, HTTP2, OPAQUE = "tls", "http/1.1", "h2", ""

_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} +\S[^\r\n]*? +HTTP/\d\.\d[ \t]*\r?\n")
_LINE_BEGIN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: [^\r\n]*\r?)?")
_STATUS = re.compile(rb"HTTP/\d\.\d \d{3}[ \r\n]")
_STATUS_BEGIN = b"HTTP/1.1 "


def protocol(side: Side, data: bytes) -> str:
    """What `side` speaks, judged by the first bytes that it sent: TLS, HTTP1, HTTP2, OPAQUE or MORE."""
    if not data:
        return MORE
    if data[0] == 0x16:
        return _tls(data)
    if side == Side.SERVER:
        if _STATUS.match(data):
            return HTTP1
        return MORE if _STATUS_BEGIN.startswith(data[:9]) and len(data) < 9 else OPAQUE
    if data.startswith(http2.PREFACE):
        return HTTP2
    if http2.PREFACE.startswith(data):
        return MORE
    stripped = data.lstrip(b"\r\n")
    if _LINE.match(stripped):
        return HTTP1
    return MORE if not stripped or _LINE_BEGIN.fullmatch(stripped) else OPAQUE


def _tls(data: bytes) -> str:
    """A handshake record of version 3.x that holds a hello."""
    if len(data) < 6:
        return MORE if len(data) < 2 or data[1] == 3 else OPAQUE
    length = data[3] << 8 | data[4]
    return TLS if data[1] == 3 and data[2] <= 4 and 4 <= length <= 16384 + 2048 and data[5] in (1, 2) else OPAQUE
