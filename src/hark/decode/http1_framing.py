"""Where a message's body ends, and what to make of one that does not say it well (RFC 9112 §6).

May hold: pure functions of a head or of bytes. May not hold: a connection's state.
Requests  Servers answer a request whose framing is wrong by 400 or 501 and close (nginx, Apache, Go, node), or go by
          what they make of it, each in its own way. So the request is kept and marked, what follows its head is its
          body, and it ends where another request clearly begins.
Responses Clients read on. One whose length cannot be read lasts to the end, or to the next status line where another
          request waits.
"""

import re
from typing import NamedTuple

from hark.decode.events import Headers
from hark.decode.http1_modes import CHUNK_DATA, CHUNK_SIZE, EXPECT, GUESS, HEAD, LENGTH, TRAILERS, UNTIL_END
from hark.wire import http1

_CHUNK_BEGIN = rb"[ \t]*[0-9A-Fa-f]{1,64}[ \t]*(?:;[^\r\n]*)?\r?|[ \t]*"
_CHUNK = re.compile(rb"[ \t]*0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHUNK_LINE_MAX = 16384  # bytes, extensions included


class Body(NamedTuple):
    """How a message goes on behind its head: mode is HEAD where it has no body, and left its length where it has one.
    doubt: it may not be what its head says. wrong: why its end has to be guessed, "" where it need not."""

    mode: int
    left: int = 0
    doubt: bool = False
    after: int = HEAD  # the mode that EXPECT leads to
    wrong: str = ""


_NONE, _CHUNKS, _DOUBTED = Body(HEAD), Body(CHUNK_SIZE), Body(CHUNK_SIZE, 0, True)
_REST, _UNREADABLE = Body(UNTIL_END), Body(GUESS)
# EXPECT: a request line right behind the head is the next request, whatever its method
_BAD = Body(EXPECT, 0, False, GUESS, "a Content-Length cannot be read")
_CODED = Body(EXPECT, 0, False, GUESS, "a Transfer-Encoding does not end in chunked")


def of_request(headers: Headers, version: str) -> Body:
    """The body of a request (§6.3). Without a length and chunks there is none."""
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
    """The body of a response that may have one (§6.3). Without a length and chunks it lasts until the end."""
    length, chunked, bad, _ = http1.framing(headers)
    if chunked:
        return _DOUBTED if version == "HTTP/1.0" else _CHUNKS
    if bad:
        return _UNREADABLE
    if length is None:
        return _REST
    return Body(LENGTH, length) if length else _NONE


class Chunk(NamedTuple):
    """What stands where the size of a chunk should be: the mode that follows, the chunk's size, and how many bytes the
    line takes. mode CHUNK_SIZE: more is needed; GUESS: it is no chunk."""

    mode: int
    left: int = 0
    size: int = 0


_MORE, _NO_CHUNK = Chunk(CHUNK_SIZE), Chunk(GUESS)


def chunk(data: bytes, doubt: bool) -> Chunk:
    """Read the line in front of a chunk (§7.1). doubt: there may be no chunks at all, so the first byte that cannot be
    in such a line tells."""
    match = _CHUNK.match(data)
    if match is not None:
        left = int(match[1], 16)
        return Chunk(CHUNK_DATA if left else TRAILERS, left, match.end())
    if b"\n" in data or (len(data) > _CHUNK_LINE_MAX if not doubt else not re.fullmatch(_CHUNK_BEGIN, data)):
        return _NO_CHUNK
    return _MORE


def chunk_end(data: bytes) -> int:
    """How many bytes the line's end behind a chunk takes; 0 where more is needed, -1 where it is none."""
    if data[:1] == b"\n":
        return 1
    if data[:2] == b"\r\n":
        return 2
    return 0 if data == b"\r" else -1
