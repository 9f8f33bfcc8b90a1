"""Every guess about what bytes are, in one place. By content alone: port numbers say nothing.

May hold: pure functions over the first bytes of a direction. May not hold: state.
"""

import re

from hark.decode import proxied
from hark.decode.events import Side
from hark.wire import dns, http2

MORE = "more"  # it cannot be told yet
TLS, HTTP1, HTTP2, OPAQUE = "tls", "http/1.1", "h2", ""
SOCKS4, SOCKS5, PROXY, DNS = "socks4", "socks5", "proxy", "dns"

TLS_RECORDS = frozenset({20, 21, 22, 23})  # content types: no text begins with one of these

_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} +\S[^\r\n]*? +HTTP/\d\.\d[ \t]*\r?\n")
_LINE_BEGIN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: [^\r\n]*\r?)?")
_STATUS = re.compile(rb"HTTP/\d\.\d \d{3}[ \r\n]")
_RARE = frozenset({0, 1, 4, 5, 13, 80})  # first bytes of DNS, SOCKS, and the PROXY protocol
_RECORDS = frozenset({b"\x16\x03", b"\x17\x03"})
_SETTINGS = b"\x04\0\0\0\0\0"  # a frame's type, flags and stream
_BANNER = 64  # bytes by which a banner says what it is
_STATUS_BEGIN = b"HTTP/1.1 "


def protocol(side: Side, data: bytes) -> str:
    """What `side` speaks, judged by the first bytes that it sent: one of the names above, or MORE."""
    if not data:
        return MORE
    if data[0] == 0x16:
        return _tls(data)
    if side == Side.SERVER:
        if _STATUS.match(data):
            return HTTP1
        if data[:2] == b"\0\0" or data == b"\0":  # an HTTP/2 server may speak first: SETTINGS (RFC 9113 §3.4)
            if len(data) < 9:
                return MORE
            return HTTP2 if data[3:9] == _SETTINGS and data[2] % 6 == 0 else OPAQUE
        return MORE if _STATUS_BEGIN.startswith(data[:9]) and len(data) < 9 else OPAQUE
    if data.startswith(http2.PREFACE):
        return HTTP2
    if http2.PREFACE.startswith(data):
        return MORE
    if data[0] in _RARE:
        name = _rare(data)
        if name != OPAQUE:
            return name
    stripped = data.lstrip(b"\r\n")
    if _LINE.match(stripped):
        return HTTP1
    return MORE if not stripped or _LINE_BEGIN.fullmatch(stripped) else OPAQUE


def _rare(data: bytes) -> str:
    """Protocols in front of which, or beside which, HTTP is spoken."""
    found = proxied.header(data)
    if found is not None:
        return PROXY if found[0] else MORE
    if data[0] == 13:
        return MORE if proxied.V2.startswith(data) else OPAQUE
    if data[0] == 5:  # RFC 1928 §3: the client says which methods it has, and waits
        if len(data) < 2 or (len(data) < 2 + data[1] <= 12):
            return MORE
        return SOCKS5 if len(data) == 2 + data[1] and all(m <= 9 or m >= 0x80 for m in data[2:]) else OPAQUE
    if data[0] == 4:  # the request ends with the user's name, or with the host's, and the client waits
        if len(data) > 1 and data[1] not in (1, 2):
            return OPAQUE
        names = 2 if data[4:7] == b"\0\0\0" and data[7:8] != b"\0" else 1  # SOCKS 4a: the host's, too
        if len(data) < 9 or data.count(0, 8) < names:
            return MORE if len(data) < 300 else OPAQUE
        return SOCKS4 if data[-1] == 0 and data.count(0, 8) == names else OPAQUE
    size = 2 + (data[0] << 8 | data[1]) if len(data) > 1 else 0
    if len(data) < size or len(data) < 2:
        return MORE if size <= 2 + 512 else OPAQUE
    message = dns.parse(data[2:size])
    return DNS if message is not None and not message.response else OPAQUE


def joined(side: Side, data: bytes) -> str:
    """What `side` speaks on a connection whose beginning was not captured, judged by a segment that may be any: HTTP1
    and HTTP2 where a message or a frame begins with it, TLS where a record does; else OPAQUE."""
    if data[:2] in _RECORDS and len(data) >= 6:
        length = data[3] << 8 | data[4]
        return TLS if data[2] <= 4 and 1 <= length <= 16384 + 2048 else OPAQUE
    if (_STATUS if side == Side.SERVER else _LINE).match(data):
        return HTTP1
    return HTTP2 if data.startswith(http2.PREFACE) or http2.are_frames(data) else OPAQUE


def answer(data: bytes) -> str:
    """What answers a ClientHello and is no TLS: HTTP1, HTTP2, another protocol's name, OPAQUE, or MORE."""
    name = protocol(Side.SERVER, data)
    if name != OPAQUE:
        return name
    found = other(Side.SERVER, data)
    return found if found or b"\n" in data or len(data) >= _BANNER else MORE


def _tls(data: bytes) -> str:
    """A handshake record of version 3.x that holds a hello."""
    if len(data) < 6:
        return MORE if len(data) < 2 or data[1] == 3 else OPAQUE
    length = data[3] << 8 | data[4]
    return TLS if data[1] == 3 and data[2] <= 4 and 4 <= length <= 16384 + 2048 and data[5] in (1, 2) else OPAQUE


_OTHERS = (  # side, first bytes, name
    (None, re.compile(rb"SSH-\d"), "ssh"),
    (Side.SERVER, re.compile(rb"220[ -][^\r\n]*\bE?SMTP", re.I), "smtp"),
    (Side.SERVER, re.compile(rb"220[ -]"), "ftp"),
    (Side.SERVER, re.compile(rb"\* OK "), "imap"),
    (Side.SERVER, re.compile(rb"\+OK "), "pop3"),
    (Side.CLIENT, re.compile(rb"\*\d{1,5}\r\n\$\d"), "redis"),
    (
        Side.CLIENT,
        re.compile(rb"\x00\x00\x00[\x08-\xff](?:\x04\xd2\x16[\x2e-\x30]|\x00\x03\x00\x00)", re.S),
        "postgres",
    ),
    (Side.SERVER, re.compile(rb"..\x00\x00\x0a\d+\.\d+", re.S), "mysql"),
    (Side.CLIENT, re.compile(rb"AMQP"), "amqp"),
    (Side.CLIENT, re.compile(rb"\x10.{1,4}\x00[\x04\x06]MQ(?:TT|Isdp)", re.S), "mqtt"),
    (Side.CLIENT, re.compile(rb"[A-Z]+ rtsp://"), "rtsp"),
    (Side.CLIENT, re.compile(rb"git-(?:upload|receive)-pack "), "git"),
    (Side.CLIENT, re.compile(rb"<\?xml[^>]*>\s*<stream:stream"), "xmpp"),
)


def other(side: Side, data: bytes) -> str:
    """The name of something that hark does not follow, "" where it has none: only told, never acted on."""
    for whose, pattern, name in _OTHERS:
        if whose in (None, side) and pattern.match(data):
            return name
    return ""
