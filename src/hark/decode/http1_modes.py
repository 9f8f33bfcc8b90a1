"""The states of one direction of an HTTP/1 connection, as a table.

May hold: the modes and their transitions, and the record of a direction. May not hold: parsing.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hark.decode.events import RequestHead

# What the next bytes of a direction are. Plain numbers, not an enum: they are compared several times per message.
#
# HEAD -> (head) -> LENGTH | CHUNK_SIZE | UNTIL_END | GUESS | HEAD (no body) | UPGRADED (both; 101, CONNECT)
# HEAD -> (request head that expects 100) -> EXPECT -> LENGTH | CHUNK_SIZE (the body came) | HEAD (it was withheld)
# CHUNK_SIZE -> CHUNK_DATA -> CHUNK_END -> CHUNK_SIZE … -> TRAILERS -> HEAD
# any but UPGRADED -> BROKEN (cannot be decoded) | SEEK (bytes are missing) -> HEAD (a segment begins with a message)
HEAD: Final = 0  # lines up to an empty one
LENGTH: Final = 1  # `left` bytes of a body
CHUNK_SIZE: Final = 2  # a chunk's first line
CHUNK_DATA: Final = 3  # `left` bytes of a chunk
CHUNK_END: Final = 4  # the line end after a chunk
TRAILERS: Final = 5  # lines up to an empty one
UNTIL_END: Final = 6  # a body up to the end of the direction
GUESS: Final = 7  # a body of unknown length: up to the end, or to the next message if another request waits
EXPECT: Final = 8  # a body in mode `after`, or, if the response came first, the next request (RFC 9110 §10.1.1)
UPGRADED: Final = 9  # another protocol
BROKEN: Final = 10  # cannot be decoded
SEEK: Final = 11  # unknown: the next message has to be found
IDLE: Final = (HEAD, BROKEN, UPGRADED, SEEK)  # modes outside of a message's body


class Request(NamedTuple):
    """A request that waits for its final response. time: when its head was complete, ns since the epoch."""

    stream: int
    head: "RequestHead"
    time: int


class Half:
    """One direction of a connection."""

    __slots__ = ("after", "buffer", "doubt", "left", "mode", "started", "stream")

    def __init__(self) -> None:
        self.mode: int = HEAD
        self.after: int = HEAD  # the mode of a body that may be withheld
        self.doubt = False  # the body may not be what its head says: chunks in HTTP/1.0, bytes after a response
        self.buffer = b""
        self.started = 0  # when the first byte of the buffered head came
        self.left = 0  # bytes of the body or chunk that are still to come
        self.stream = 0  # number of the exchange
