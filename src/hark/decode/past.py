"""TCP connections that have ended, so that packets which were captured twice are recognized as theirs.

What   For every pair of addresses and ports, where each direction of its last connections began, and its length.
Why    A capture may contain a packet twice, however late (mirror ports, two interfaces, merged files). RFC 9293
       §3.10.7.4 has a receiver drop what is outside of its window; here the window of an ended connection counts, too,
       so that a repeated SYN, or a retransmission after the end, does not begin a connection.
Limits PAST pairs, PAST_EACH connections of each; the oldest are forgotten.
"""

import struct
from typing import Final

from hark.bounded import Bounded
from hark.decode import limits
from hark.decode.reassembly import Reassembly
from hark.wire import ip

_MASK: Final = 0xFFFFFFFF
# Each direction's first sequence number (-1: not captured) and length in bytes, the client's first.
_RECORD: Final = struct.Struct("!qQqQ")


class Past:
    """The ended connections of a recording. Keys are addresses and ports as a segment has them."""

    def __init__(self) -> None:
        self._ended: Bounded[bytes, bytes] = Bounded(limits.PAST)  # by the client's key

    def add(self, key: bytes, halves: tuple[Reassembly, Reassembly]) -> None:
        """A connection has ended; key: as its client's segments have it."""
        client, server = halves
        record = _RECORD.pack(client.first, client.offset, server.first, server.offset)
        before = self._ended.get(key, b"")
        self._ended.renew(key, before[-(limits.PAST_EACH - 1) * _RECORD.size :] + record)

    def holds(self, key: bytes, seq: int, ack: int, flags: int) -> bool:
        """Whether a segment belongs to a connection that has ended."""
        for found, mine in ((self._ended.get(key), 0), (self._ended.get(reverse(key)), 2)):
            for record in _RECORD.iter_unpack(found or b""):
                first, size, other, answered = record[mine], record[mine + 1], record[2 - mine], record[3 - mine]
                if flags & ip.SYN:
                    if (seq + 1) & _MASK == first:
                        return True
                elif _within(first, size, seq) and (not flags & ip.ACK or _within(other, answered, ack)):
                    return True
        return False


def reverse(key: bytes) -> bytes:
    """The key of the other direction's segments."""
    width = len(key) // 2 - 2
    return key[width : 2 * width] + key[:width] + key[2 * width + 2 :] + key[2 * width : 2 * width + 2]


def near(half: Reassembly, seq: int) -> bool:
    """Whether a sequence number is plausible for this direction: sent already, or soon."""
    return _within(half.first, half.offset, seq)


def _within(first: int, size: int, seq: int) -> bool:
    ahead = (seq - first) & _MASK
    return first < 0 or ahead <= size + limits.WINDOW or _MASK + 1 - ahead <= limits.BEFORE
