"""The states of one direction of an HTTP/1 connection, as a table.

May hold: the modes with what leads from one to the next, and the record of a direction. May not hold: parsing.
"""

from typing import NamedTuple

from hark.decode.events import RequestHead

# What the next bytes of a direction are. Plain numbers: they are compared several times for each message.
#
# HEAD -> (head) -> LENGTH | CHUNK_SIZE | UNTIL_END | GUESS | HEAD (no body) | PASSED (both; 101, CONNECT)
# HEAD -> (a request's head that expects 100) -> EXPECT -> LENGTH | CHUNK_SIZE (the body came) | HEAD (withheld)
# CHUNK_SIZE -> CHUNK_DATA -> CHUNK_END -> CHUNK_SIZE … -> TRAILERS -> HEAD
# any but PASSED -> BROKEN (cannot be read) | SEEK (a hole) -> HEAD (where a message begins with a segment)
HEAD = 0  # lines up to an empty one
LENGTH = 1  # `left` bytes of a body
CHUNK_SIZE = 2  # a line
CHUNK_DATA = 3  # `left` bytes of a chunk
CHUNK_END = 4  # a line's end
TRAILERS = 5  # lines up to an empty one
UNTIL_END = 6  # a body up to the end of the direction
GUESS = 7  # the same, or up to a status line where another request waits: its length cannot be read
EXPECT = 8  # a body in mode `after`, or, where the answer came first, the next request (RFC 9110 §10.1.1)
PASSED = 9  # another protocol's
BROKEN = 10  # nothing that can be read
SEEK = 11  # anything: where the next message begins is not known
IDLE = (HEAD, BROKEN, PASSED, SEEK)  # modes that are in the middle of no message


class Asked(NamedTuple):
    """A request that waits for its final response."""

    stream: int
    head: RequestHead
    time: int


class Half:
    """What is known of one direction."""

    __slots__ = ("after", "buffer", "doubt", "left", "mode", "started", "stream")

    def __init__(self) -> None:
        self.mode = HEAD
        self.after = HEAD  # the mode of a body that may be withheld
        self.doubt = False  # whether it may not be what its head says: chunks in HTTP/1.0, bytes behind a response
        self.buffer = b""
        self.started = 0  # when the first byte of the buffered head came
        self.left = 0  # body or chunk bytes still to come
        self.stream = 0
