"""Where the body of an HTTP/1 message ends, and how to read one whose head declares that badly (RFC 9112 §6).

May hold: pure functions of a head or of bytes. May not hold: a connection's state.
Requests  Servers answer a request with invalid framing by 400 or 501 and close (nginx, Apache, Go, node), or interpret
          it, each in its own way. So the request is reported with a trouble, what follows its head is its body, and it
          ends where another request clearly begins.
Responses Clients read on. A response of unknown length lasts to the end of the connection, or to the next status line
          if another request waits for a response.
"""

import re
from typing import Final, NamedTuple

from hark.decode.http1_modes import CHUNK_DATA, CHUNK_SIZE, EXPECT, GUESS, HEAD, LENGTH, TRAILERS, UNTIL_END
from hark.wire import http1
from hark.wire.http1 import Headers

_CHUNK_BEGIN: Final = rb"[ \t]*[0-9A-Fa-f]{1,64}[ \t]*(?:;[^\r\n]*)?\r?|[ \t]*"
_CHUNK: Final = re.compile(rb"[ \t]*0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHUNK_LINE_MAX: Final = 16384  # bytes, extensions included


class Body(NamedTuple):
    """The body that follows a head. mode: how to read it, HEAD if there is none; left: its length in bytes, if mode is
    LENGTH; doubt: it may not be what the head says; wrong: why its end has to be guessed, "" if it need not."""

    mode: int
    left: int = 0
    doubt: bool = False
    after: int = HEAD  # the mode that EXPECT leads to
    wrong: str = ""


_NONE: Final = Body(HEAD)
_CHUNKS: Final = Body(CHUNK_SIZE)
_DOUBTED: Final = Body(CHUNK_SIZE, 0, True)
_REST: Final = Body(UNTIL_END)
_UNREADABLE: Final = Body(GUESS)
# EXPECT: a request line right after the head is the next request, whatever the method of this one.
_BAD: Final = Body(EXPECT, 0, False, GUESS, "a Content-Length cannot be read")
_CODED: Final = Body(EXPECT, 0, False, GUESS, "a Transfer-Encoding does not end in chunked")


def of_request(headers: Headers, version: str) -> Body:
    """The body of a request (§6.3). Without a length or chunks it has none."""
    length, chunked, bad, coded = http1.framing(headers)
    if chunked:
        body = _DOUBTED if version == "HTTP/1.0" else _CHUNKS
    elif coded:
        return _CODED  # §6.3: a server answers 400 and closes
    elif bad:
        return _BAD
    elif not length:
        return _NONE
    else:
        body = Body(LENGTH, length)
    return body._replace(mode=EXPECT, after=body.mode) if http1.expects_continue(headers) else body


def of_response(headers: Headers, version: str) -> Body:
    """The body of a response that may have one (§6.3). Without a length or chunks it lasts until the end."""
    length, chunked, bad, _ = http1.framing(headers)
    if chunked:
        return _DOUBTED if version == "HTTP/1.0" else _CHUNKS
    if bad:
        return _UNREADABLE
    if length is None:
        return _REST
    return Body(LENGTH, length) if length else _NONE


class Chunk(NamedTuple):
    """A chunk's first line. mode: what follows (CHUNK_SIZE: the line is incomplete; GUESS: it is no chunk); left: bytes
    of the chunk; size: bytes of the line."""

    mode: int
    left: int = 0
    size: int = 0


_MORE: Final = Chunk(CHUNK_SIZE)
_NO_CHUNK: Final = Chunk(GUESS)


def chunk(data: bytes, doubt: bool) -> Chunk:
    """Read the line before a chunk (§7.1). doubt: the body may have no chunks, so the first byte that is invalid in
    such a line decides."""
    match = _CHUNK.match(data)
    if match is not None:
        left = int(match[1], 16)
        return Chunk(CHUNK_DATA if left else TRAILERS, left, match.end())
    if b"\n" in data or (len(data) > _CHUNK_LINE_MAX if not doubt else not re.fullmatch(_CHUNK_BEGIN, data)):
        return _NO_CHUNK
    return _MORE


def chunk_end(data: bytes) -> int:
    """Bytes of the line end after a chunk; 0 if more are needed, -1 if there is none."""
    if data[:1] == b"\n":
        return 1
    if data[:2] == b"\r\n":
        return 2
    return 0 if data == b"\r" else -1
