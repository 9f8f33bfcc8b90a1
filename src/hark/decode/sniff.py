"""Detection of protocols by the first bytes of a direction. By content only: port numbers are not considered.

May hold: pure functions over the first bytes of a direction. May not hold: state.
"""

import re
from functools import cache
from typing import Final

from hark.decode.endings import Side
from hark.wire import dns, http1, http2, proxyprotocol

MORE: Final = "more"  # more bytes are needed
TLS: Final = "tls"
HTTP1: Final = "http/1.1"
HTTP2: Final = "h2"
OPAQUE: Final = ""
SOCKS4: Final = "socks4"
SOCKS5: Final = "socks5"
PROXY: Final = "proxy"
DNS: Final = "dns"

TLS_RECORDS: Final = frozenset({20, 21, 22, 23})  # content types: no text begins with one of these

# Patterns are compiled on first use: compiling takes longer than decoding a connection.
_LINE: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} +\S[^\r\n]*? +HTTP/\d\.\d[ \t]*\r?\n"
_LINE_BEGIN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: [^\r\n]*\r?)?"
_STATUS: Final = rb"HTTP/\d\.\d \d{3}[ \r\n]"
# Parts of lines on a connection whose beginning was not captured, where only the start of a segment can be compared.
_TARGET: Final = rb"(?:/|\*|[a-z][a-z0-9+.-]{1,10}://)"
_REQUEST_BEGIN: Final = rb"[A-Z]{3,16} " + _TARGET
_LINE_PART: Final = rb"[A-Z]{1,16}|[A-Z]{3,16} (?:[a-z0-9+.:-]{0,13}|" + _TARGET + rb"[^\r\n]*\r?)"
_STATUS_PART: Final = rb"H|HT|HTT|HTTP|HTTP/(?:\d(?:\.(?:\d(?: \d{0,3})?)?)?)?"
_RARE: Final = frozenset({0, 1, 4, 5, 13, 80})  # first bytes of DNS, SOCKS, and the PROXY protocol
_RECORDS: Final = frozenset({b"\x16\x03", b"\x17\x03"})
_SETTINGS: Final = b"\x04\0\0\0\0\0"  # a frame's type, flags and stream
_BANNER: Final = 64  # bytes of a banner that are compared
_STATUS_BEGIN: Final = rb"H(?:T(?:T(?:P(?:/(?:\d(?:\.(?:\d(?: \d{0,3})?)?)?)?)?)?)?)?"


def protocol(side: Side, data: bytes) -> str:
    """The protocol by the first bytes of `side`: one of the names above, or MORE."""
    if not data:
        return MORE
    if data[0] == 0x16:
        return _tls(data)
    if side == Side.SERVER:
        if re.match(_STATUS, data):
            return HTTP1
        if data[:2] == b"\0\0" or data == b"\0":  # an HTTP/2 server may send first: SETTINGS (RFC 9113 §3.4)
            if len(data) < 9:
                return MORE
            return HTTP2 if data[3:9] == _SETTINGS and data[2] % 6 == 0 else OPAQUE
        return MORE if re.fullmatch(_STATUS_BEGIN, data) else OPAQUE
    if data.startswith(http2.PREFACE):
        return HTTP2
    if http2.PREFACE.startswith(data):
        return MORE
    if data[0] in _RARE:
        name = _rare(data)
        if name != OPAQUE:
            return name
    stripped = data.lstrip(b"\r\n")
    if re.match(_LINE, stripped):
        return HTTP1
    return MORE if not stripped or re.fullmatch(_LINE_BEGIN, stripped) else OPAQUE


def by_answer(client: bytes, server: bytes, name: str) -> str:
    """The protocol by the first bytes of both sides: what a server answers by a status line was a request to it,
    however malformed, and a request of HTTP/0.9 is answered by anything. name: the result for the side that sent last
    alone, MORE or OPAQUE."""
    if not client:
        return name
    if not server:
        return MORE if name == MORE or not other_protocol(Side.CLIENT, client) else OPAQUE
    answer = protocol(Side.SERVER, server)
    if answer in (HTTP1, MORE):
        return answer
    return HTTP1 if http1.is_simple(client.partition(b"\n")[0]) and b"\n" in client else name


def _rare(data: bytes) -> str:
    """SOCKS and the PROXY protocol, which HTTP may follow, and DNS."""
    header = proxyprotocol.header(data)
    if header is not None:
        return PROXY if header.size else MORE
    if data[0] == 13:
        return MORE if proxyprotocol.V2.startswith(data) else OPAQUE
    if data[0] == 5:  # RFC 1928 §3: the client lists its methods, and waits
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


def midway(side: Side, data: bytes) -> str:
    """The protocol of a connection whose beginning was not captured, by any segment of `side`: HTTP1, HTTP2 or TLS if a
    message, a frame or a record begins with the segment, MORE if a message may; else OPAQUE."""
    if data[:2] in _RECORDS and len(data) >= 6:
        length = data[3] << 8 | data[4]
        return TLS if data[2] <= 4 and 1 <= length <= 16384 + 2048 else OPAQUE
    if data.startswith(http2.PREFACE):
        return HTTP2
    if re.match(_STATUS if side == Side.SERVER else _LINE, data):
        return HTTP1
    part = _STATUS_PART if side == Side.SERVER else _LINE_PART
    if re.fullmatch(part, data) or _begins(data, b"\x16\x03", b"\x17\x03"):
        return MORE
    return HTTP2 if http2.are_frames(data) else OPAQUE


SENDER_BYTES: Final = 4096  # of a segment's beginning that sender() reads


def sender(data: bytes) -> Side | None:
    """The sender of a segment that begins with these bytes; None if they do not show it."""
    if data[:1] in b"\x16" and len(data) > 8 and data[1] == 3:
        return _sender_of_handshake(data)
    if re.match(_STATUS, data):
        return Side.SERVER
    if re.match(_REQUEST_BEGIN, data) or data.startswith(http2.PREFACE) or re.match(_LINE, data):
        return Side.CLIENT
    if len(data) > 9 and data[3] < 10:
        return _sender_of_frames(data)
    for end, pattern, _ in _undecoded():
        if end is not None and pattern.match(data):
            return end
    return None


def begins_request(data: bytes) -> bool:
    """Whether an HTTP/1 request may begin with these bytes."""
    return re.match(_REQUEST_BEGIN, data) is not None


def may_decide(data: bytes) -> bool:
    """Whether sender() may find the sender when more bytes have come."""
    part = re.fullmatch(_STATUS_PART, data) or re.fullmatch(_LINE_PART, data)
    return part is not None or (len(data) <= 8 and data[:1] == b"\x16")


def _begins(data: bytes, *starts: bytes) -> bool:
    return len(data) < 6 and any(data.startswith(start) or start.startswith(data) for start in starts)


_CLIENT_MESSAGES: Final = frozenset({1, 16})
_SERVER_MESSAGES: Final = frozenset({2, 11, 12, 13, 14})


def _sender_of_handshake(data: bytes) -> Side | None:
    """By the type of an unencrypted handshake message (RFC 5246 §7.4), whose length must fit into its record."""
    record, size = data[3] << 8 | data[4], int.from_bytes(data[6:9], "big")
    if size + 4 > record and data[5] != 11:
        return None
    return Side.CLIENT if data[5] in _CLIENT_MESSAGES else Side.SERVER if data[5] in _SERVER_MESSAGES else None


def _sender_of_frames(data: bytes) -> Side | None:
    """By the first field of an HTTP/2 header block: a pseudo-header of HPACK's static table (RFC 7541 appendix A)."""
    at = 0
    while at + 9 < len(data):
        size, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
        if not http2.are_frames(data[at : at + 9] + bytes(min(size, 1 << 14))) or size > 1 << 14:
            return None
        if kind == http2.HEADERS and size > 6:
            block = at + 9 + (1 if flags & http2.PADDED else 0) + (5 if flags & http2.PRIORITY_FLAG else 0)
            first = data[block] if block < len(data) else 0
            index = first & 0x7F if first & 0x80 else first & 0x3F if first & 0x40 else first & 0x0F
            return Side.CLIENT if 1 <= index <= 7 else Side.SERVER if 8 <= index <= 14 else None
        at += 9 + size
    return None


def answer(data: bytes) -> str:
    """The protocol of an answer to a ClientHello that is not TLS: HTTP1, HTTP2, another name, OPAQUE, or MORE."""
    name = protocol(Side.SERVER, data)
    if name != OPAQUE:
        return name
    found = other_protocol(Side.SERVER, data)
    return found if found or b"\n" in data or len(data) >= _BANNER else MORE


def _tls(data: bytes) -> str:
    """A handshake record of version 3.x with a hello."""
    if len(data) < 6:
        return MORE if len(data) < 2 or data[1] == 3 else OPAQUE
    length = data[3] << 8 | data[4]
    return TLS if data[1] == 3 and data[2] <= 4 and 4 <= length <= 16384 + 2048 and data[5] in (1, 2) else OPAQUE


@cache
def _undecoded() -> tuple[tuple[Side | None, re.Pattern[bytes], str], ...]:
    """(side, first bytes, name) of protocols that are not decoded."""
    return (
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


def other_protocol_of(client: bytes, server: bytes) -> str:
    """The name of a protocol that is not decoded, by the first bytes of both sides; "" if it is unknown."""
    by_client = other_protocol(Side.CLIENT, client) if client else ""
    return by_client or (other_protocol(Side.SERVER, server) if server else "")


def other_protocol(side: Side, data: bytes) -> str:
    """The name of a protocol that is not decoded, by the first bytes of one side; "" if it is unknown."""
    for end, pattern, name in _undecoded():
        if end in (None, side) and pattern.match(data):
            return name
    return ""
