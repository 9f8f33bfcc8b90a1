"""HTTP/1 by its lines (RFC 9112): request lines, status lines, field lines, and the body length that they declare.

May hold: pure functions. May not hold: a connection's state.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from hark.wire import fields

Headers = tuple[tuple[bytes, bytes], ...]

_END = re.compile(rb"\r?\n\r?\n")
_PROPER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) (HTTP/\d\.\d)")  # as RFC 9112 §3 has it
_PROPER_STATUS = re.compile(rb"(HTTP/\d\.\d) +(\d{3})(?: +(.*))?$")
# These are compiled when they are needed: few recordings have anything that they are for.
_METHOD = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VERSION = rb"HTTP/\d\.\d"
_ODD_VERSION = rb"(?i)http/\S{1,8}"
_ODD_STATUS = rb"(?i)(HTTP/\d{1,3}(?:\.\d{1,3})?|ICY)[ \t]+(\d{3})(?:[ \t]+(.*))?[ \t]*$"  # ICY: SHOUTcast
_REQUEST_LINE = rb"[A-Z]{3,16} \S+ HTTP/[1-3]\.\d\r?\n"
_REQUEST_BEGIN = rb"[A-Z]{1,16}(?: (?:\S+(?: (?:H(?:T(?:T(?:P(?:/(?:[1-3](?:\.(?:\d\r?)?)?)?)?)?)?)?)?)?)?)?"
_KNOWN_METHOD = rb"(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|CONNECT|TRACE)"  # RFC 9110 §9.3, RFC 5789
_KNOWN_REQUEST = _KNOWN_METHOD + rb" \S+ HTTP/1\.\d\r?\n"
_KNOWN_BEGIN = (  # the beginning of one, at the end of what is here
    _KNOWN_METHOD + rb"(?: (?:\S+(?: (?:H(?:T(?:T(?:P(?:/(?:1(?:\.(?:\d\r?)?)?)?)?)?)?)?)?)?)?)?\Z"
    rb"|(?:GE?|HE?A?|PO?S?|PU|DE?L?E?T?|PA?T?C?|OP?T?I?O?N?|CO?N?N?E?C?|TR?A?C?)\Z"
)
_STATUS_LINE = rb"HTTP/[1-3]\.\d \d{3}[ \r\n]"
_STATUS_SIZE = 13  # bytes that _STATUS_LINE takes
_DIGITS_MOST = 18  # of a length, zeros in front left out: 2^63 has 19, and no body is as long


class RequestLine(NamedTuple):
    """A request line; odd: it is not as RFC 9112 §3 has it, and read as a lenient server might."""

    method: str
    target: str
    version: str
    odd: bool = False


class StatusLine(NamedTuple):
    """A status line."""

    version: str
    status: int
    reason: str


class Framing(NamedTuple):
    """The body length that a head declares (§6.3)."""

    length: int | None  # None: it does not say
    chunked: bool
    bad: bool = False  # it says something that is no length, or several that differ
    coded: bool = False  # a transfer coding is named, and "chunked" is not the last one


def request_line(line: bytes) -> RequestLine | None:
    """The parts of a request line; None for what is none."""
    proper = _PROPER.fullmatch(line)
    if proper is not None:  # nearly all are
        method, target, version = proper.groups()
        return RequestLine(method.decode("ascii"), fields.target(target), version.decode("ascii"))
    method, _, rest = line.strip(b" \t").replace(b"\t", b" ").partition(b" ")
    target, _, version = rest.rpartition(b" ")
    target = target.strip(b" ")
    if re.fullmatch(_METHOD, method) is None or not rest:
        return None
    if target and re.fullmatch(_VERSION, version):
        odd = b"\t" in line.rstrip(b"\t ") or line[:1] == b" "
        return RequestLine(method.decode("ascii"), fields.target(target), version.decode("ascii"), odd)
    if target and re.fullmatch(_ODD_VERSION, version):
        return RequestLine(method.decode("ascii"), fields.target(target), fields.text(version), True)
    if not _simple(method, rest.strip(b" ")):
        return None
    return RequestLine(method.decode("ascii"), fields.target(rest.strip(b" ")), "HTTP/0.9", True)


def _simple(method: bytes, target: bytes) -> bool:
    """Whether it can be a request without a version (HTTP/0.9, RFC 9112 §A)."""
    return method.isupper() and not re.search(rb"\s", target) and (target[:1] == b"/" or b"://" in target)


def is_simple(line: bytes) -> bool:
    """Whether a line is a request of HTTP/0.9, which is answered by a body alone."""
    return line.startswith(b"GET ") and _simple(b"GET", line[4:].strip())


def status_line(line: bytes) -> StatusLine | None:
    """The parts of a status line; None for what is none."""
    return _common_status(line) if len(line) < _KNOWN_BYTES else _status(line)


def _status(line: bytes) -> StatusLine | None:
    match = _PROPER_STATUS.match(line) or re.match(_ODD_STATUS, line)
    if match is None:
        return None
    return StatusLine(match[1].decode("ascii"), int(match[2]), fields.text(match[3] or b""))


_common_status = lru_cache(256)(_status)  # most come again and again


def begins_request(data: bytes) -> bool:
    """Whether the data begins with a request line."""
    return re.match(_REQUEST_LINE, data) is not None


def may_begin_request(data: bytes) -> bool:
    """Whether these bytes may be the beginning of a request line."""
    return re.fullmatch(_REQUEST_BEGIN, data) is not None


def find_request(data: bytes) -> tuple[int, bool]:
    """Where a request line with a well-known method begins in these bytes, wherever that is, and True; or else from
    where on one may, and False: their length where none can."""
    match = re.search(_KNOWN_REQUEST, data)
    if match is not None:
        return match.start(), True
    match = re.search(_KNOWN_BEGIN, data)
    return match.start() if match is not None else len(data), False


def begins_response(data: bytes) -> bool:
    """Whether the data begins with a status line."""
    return re.match(_STATUS_LINE, data) is not None


def find_response(data: bytes) -> int:
    """Where a status line begins in these bytes, or from where on one may; their length where none can."""
    match = re.search(_STATUS_LINE, data)
    if match is not None:
        return match.start()
    for at in range(max(len(data) - _STATUS_SIZE + 1, 0), len(data)):
        if re.fullmatch(rb"H(T(T(P(/([1-3](\.(\d( (\d{1,3})?)?)?)?)?)?)?)?)?", data[at:]):
            return at
    return len(data)


def head_end(data: bytes) -> tuple[int, int]:
    """Where a head's lines end, and where what follows begins; -1 where the empty line is not there."""
    end = data.find(b"\n\r\n")
    if end > 0 and data[end - 1] == 13 and data.find(b"\n\n", 0, end) < 0:
        return end - 1, end + 3
    match = _END.search(data)  # bare line feeds
    return match.span() if match is not None else (-1, -1)


_KNOWN_MOST: Final = 4096  # header lines that are kept; past it the table is emptied
_KNOWN_BYTES: Final = 256  # of a line that is kept


def headers(lines: list[bytes], known: dict[bytes, tuple[bytes, bytes]]) -> Headers:
    """Name and value of each line; a folded line continues the value before it (§5.2). known: lines that came before,
    because most come again and again; lines are added to it."""
    found: list[tuple[bytes, bytes]] = []
    get = known.get
    for line in lines:
        header = get(line)
        if header is not None:
            found.append(header)
            continue
        if line[:1] in (b" ", b"\t") and found:
            name, value = found[-1]
            found[-1] = (name, (value + b" " + line.strip()).strip())
            continue
        name, colon, value = line.partition(b":")
        if colon:
            header = (name.strip(), value.strip())
            found.append(header)
            if len(line) < _KNOWN_BYTES and line[:1] not in (b" ", b"\t"):
                if len(known) >= _KNOWN_MOST:
                    known.clear()
                known[line] = header
    return tuple(found)


def framing(headers: Headers) -> Framing:
    """The body length that a head declares. Several lines of a field are one list (RFC 9110 §5.3).

    "chunked" as the last transfer coding has the last word (RFC 9112 §6.3). Without it clients go by a length where
    there is one, and else read to the end. "identity" is not a coding (it was in RFC 2616 §3.6)."""
    lengths = codings = b""
    for key, value in headers:
        size = len(key)
        if size == 14 and key.lower() == b"content-length":
            lengths = lengths + b"," + value if lengths else value or b","
        elif size == 17 and key.lower() == b"transfer-encoding":
            codings = codings + b"," + value if codings else value
    if codings:
        names = fields.tokens(codings)
        if names[-1:] == [b"chunked"]:
            return _CHUNKED
        if any(name != b"identity" for name in names):
            return _length(lengths)._replace(coded=True)
    return _length(lengths) if lengths else _NO_LENGTH


def _length(lengths: bytes) -> Framing:
    """What the values of Content-Length, as one list, say."""
    if not lengths:
        return _NO_LENGTH
    if lengths.isdigit() and len(lengths) <= _DIGITS_MOST:
        return _of_length(lengths)
    numbers = {part.strip() for part in lengths.split(b",")}
    if not all(number.isdigit() for number in numbers):
        return _BAD_LENGTH
    values = {number.lstrip(b"0") or b"0" for number in numbers}
    number = values.pop()
    if values or len(number) > _DIGITS_MOST:
        return _BAD_LENGTH
    return Framing(int(number), False)


@lru_cache(1024)
def _of_length(digits: bytes) -> Framing:
    return Framing(int(digits), False)


_CHUNKED, _NO_LENGTH, _BAD_LENGTH = Framing(None, True), Framing(None, False), Framing(None, False, True)


def expects_continue(headers: Headers) -> bool:
    """Whether the client may wait for a 100 before it sends the body (RFC 9110 §10.1.1)."""
    return any(
        len(key) == 6 and key.lower() == b"expect" and b"100-continue" in value.lower() for key, value in headers
    )
