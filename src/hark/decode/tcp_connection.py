"""One TCP connection: its two byte streams, and how it ends (RFC 9293).

What   Puts payloads in order and passes them to the connection's channel, with the gaps in them; follows FINs up to the
       connection's end. May not hold: packets, other connections (tcp.py).
"""

import struct
from enum import Enum
from typing import Final

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Event, Opened, Side, TlsFacts, Trouble, TroubleKind
from hark.decode.held import Held
from hark.decode.layer import Expecting
from hark.decode.past import Past, near, reverse
from hark.decode.reassembly import Reassembly
from hark.recording.blocks import Note
from hark.wire import ip

SIDES: Final = (Side.CLIENT, Side.SERVER)
_BOTH_FINS: Final = 3  # a bit per side


class State(Enum):
    """How far a connection has come."""

    ATTEMPT = 1  # a SYN was captured, and nothing of the server
    ESTABLISHED = 2
    CLOSED = 3


class Connection:
    """One TCP connection. Methods append events to `out`."""

    __slots__ = (
        "_edge", "channel", "client", "closing", "fins", "first", "foreign", "halves", "held", "inside", "joined",
        "key", "number", "reads", "reordered", "seen", "server", "sockets", "state",
    )  # fmt: skip

    def __init__(self, number: int, key: bytes) -> None:
        self.number = number
        self.set_client(key)
        self.halves = (Reassembly(), Reassembly())
        self.channel: Expecting | None = None
        self.foreign = False  # in another decoder's share
        self.state = State.ATTEMPT
        self.fins = 0  # a bit per side
        self.first: Ending | None = None  # the first FIN
        self._edge = -1  # the server's next sequence number when the client sent its FIN first; -1: it did not
        self.reads = 0  # when the client acknowledged bytes after that, so it had half-closed; 0: it did not
        self.closing: Ending | None = None  # both have sent a FIN, and it is unknown whether the client still reads
        self.seen = 0  # when the last segment came
        self.sockets: Note | None = None  # says that it is one of Unix sockets
        self.inside = ""  # how the plaintext of a TLS connection was obtained, if that is what was recorded
        self.joined = False  # its beginning was not captured
        self.reordered = False  # and neither was the first captured segment of a side the first that it sent
        self.held: Held | None = None  # segments that came while it is unknown which end is the client

    def set_client(self, key: bytes) -> None:
        """key: addresses and ports as the client's segments have them."""
        width = len(key) // 2 - 2
        sport, dport = struct.unpack_from("!HH", key, 2 * width)
        self.key = key
        self.client, self.server = (key[:width], sport), (key[width : 2 * width], dport)

    def opened(self, time: int, pid: int, out: list[Event]) -> None:
        """Report the connection, now that its client is known."""
        client, server = _text(self.client), _text(self.server)
        if self.sockets is not None:
            client, server = sockets(self.sockets)
        out.append(Opened(self.number, time, client, server, pid, foreign=self.foreign))
        if self.inside and not self.foreign:
            out.append(TlsFacts(self.number, time, time, time, "", "", "", "", False, self.inside, b""))

    # -- which connection a segment belongs to -------------------------------------------------------------------------

    def begins_another(self, side: Side, seq: int, ack: int, flags: int, past: Past) -> bool | None:
        """Whether a SYN with this connection's addresses and ports begins another connection; None if it belongs to one
        that has ended."""
        half = self.halves[side]
        first = (seq + 1) & 0xFFFFFFFF
        if first == half.first:
            return False
        answers = not flags & ip.ACK or near(self.halves[1 - side], ack)
        if half.first < 0 and answers and (half.floor < 0 or (half.floor - first) & 0xFFFFFFFF <= limits.BEFORE):
            return None if self._is_past(side, seq, ack, flags, past) else False
        if self.joined and half.first >= 0 and (half.first - first) & 0xFFFFFFFF <= limits.BEFORE:
            return False  # it was reordered
        if self._is_past(side, seq, ack, flags, past):
            return None
        if flags & ip.ACK:
            return None if answers or self.state is State.ATTEMPT else True
        return self.state is not State.ATTEMPT or half.total > 0

    def owns(self, side: Side, seq: int, ack: int, flags: int, past: Past) -> bool:
        """Whether a segment that does not continue where the last one ended belongs to this connection."""
        here, there = near(self.halves[side], seq), not flags & ip.ACK or near(self.halves[1 - side], ack)
        if here and there:
            return True
        if self._is_past(side, seq, ack, flags, past):
            return False
        return here or there  # much of one direction was not captured

    def _is_past(self, side: Side, seq: int, ack: int, flags: int, past: Past) -> bool:
        return past.holds(reverse(self.key) if side else self.key, seq, ack, flags)

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def add(self, side: Side, seq: int, data: memoryview, time: int, out: list[Event]) -> None:
        """A payload that is not simply the next one."""
        half = self.halves[side]
        if self.channel is None:
            return
        for piece, lost in half.feed(seq, data):
            if lost:
                out.extend(self.channel.lost(side, lost, time))
            out.extend(self.channel.feed(side, piece, time))
        if half.differing:
            half.differing = False
            text = f"the {side.word} sent different bytes in the same place"
            out.append(Trouble(time, TroubleKind.TCP_OVERLAP, self.number, text))

    def acknowledged(self, side: Side, seq: int, ack: int, data: memoryview, time: int, out: list[Event]) -> None:
        """A segment with payload acknowledges a byte of the other side that is not its next one here."""
        other = self.halves[1 - side]
        if other.next < 0:  # segments from before that may come later, reordered
            other.floor = ack if other.floor < 0 or (ack - other.floor) & 0x80000000 == 0 else other.floor
        elif self.reordered and (other.first - ack) & 0x80000000 == 0:
            self._add_earlier(side, seq, data, time, out)  # for the caller they are repeated then
        elif (ack - other.next) & 0x80000000 == 0:
            self._not_captured(side.other, other, ack, time, out)

    def _add_earlier(self, side: Side, seq: int, data: memoryview, time: int, out: list[Event]) -> None:
        """Bytes that were sent before the first captured byte of the other side: they answer nothing that is known."""
        channel = self.channel
        for piece, lost in self.halves[side].feed(seq, data):
            if channel is not None:
                out.extend(channel.lost(side, lost, time) if lost else ())
                out.extend(channel.before_requests(side, piece, time))

    def _not_captured(self, side: Side, half: Reassembly, ack: int, time: int, out: list[Event]) -> None:
        """The other side has acknowledged bytes of `side` that are not here, and sends more: they were not captured. If
        they were only reordered on their way into the capture, they would have come by now."""
        channel = self.channel
        if channel is None or half.ended:
            return
        for piece, lost in half.acknowledged(ack):
            if lost:
                out.extend(channel.lost(side, lost, time))
            if len(piece):
                out.extend(channel.feed(side, piece, time))

    def cut(self, side: Side, seq: int, size: int, time: int, out: list[Event]) -> None:
        """The segment that ends at `seq` had `size` more bytes than were captured of it."""
        half = self.halves[side]
        if half.next == seq & 0xFFFFFFFF and not half.waiting and self.channel is not None:
            half.lose(size)
            out.extend(self.channel.lost(side, size, time))

    # -- ends ----------------------------------------------------------------------------------------------------------

    def after_fin(self, ack: int, flags: int, time: int) -> bool:
        """A segment of a client that has sent its FIN first: what it acknowledges was read, or is in its socket's
        buffer; a client that has exited sends a reset. Whether the connection is over by it."""
        if self._edge < 0 or flags & (ip.RST | ip.SYN) or not 0 < (ack - self._edge) & 0xFFFFFFFF < 0x80000000:
            return False
        self.reads = time
        return self.closing is not None

    def fin(self, side: Side, time: int, out: list[Event]) -> Ending | None:
        """Everything up to the FIN of `side` was passed on. The connection's end, if it is over."""
        self.fins |= 1 << side
        ending = Ending(side, How.FIN, time)
        server = self.halves[Side.SERVER]
        if self.first is None:
            self.first = ending
            self._edge = server.next if side == Side.CLIENT else -1
        if self.channel is not None:
            out.extend(self.channel.end(side, How.FIN, time))
        if self.fins != _BOTH_FINS:
            return None
        if self._edge not in (-1, server.next) and not self.reads:
            self.closing = ending  # the client's answer to bytes after its FIN comes next: a reset, or not
            return None
        return ending

    def close(self, ending: Ending, out: list[Event]) -> None:
        """The connection is over: what waits after gaps is passed on, and the channel closed."""
        channel, self.channel = self.channel, None
        if channel is not None:
            for side in SIDES:
                half = self.halves[side]
                while pieces := half.skip():
                    for piece, lost in pieces:
                        out.extend(channel.lost(side, lost, ending.time) if lost else ())
                        out.extend(channel.feed(side, piece, ending.time))
                if half.unfinished:
                    out.extend(channel.lost(side, half.unfinished, ending.time))
            out.extend(channel.close(ending))
        self.state = State.CLOSED


def sockets(note: Note) -> tuple[tuple[str, int], tuple[str, int]]:
    """The client's end and the server's, of a note on a connection of Unix sockets. The client's has a number that most
    other connections do not have, since clients seldom have a path."""
    number = int.from_bytes(note.ends[-4:-2], "big")
    return (_path(note, "client"), number), (_path(note, "server"), 0)


def _path(note: Note, side: str) -> str:
    """The path of one end, as a terminal can show it; "@" for one that has none."""
    path = dict(note.fields).get(side, "")[: limits.SOCKET_PATH]
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path) or "@"


def _text(end: tuple[bytes, int]) -> tuple[str, int]:
    return ip.text(end[0]), end[1]
