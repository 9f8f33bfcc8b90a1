"""The table of TCP connections: segments in, each direction's bytes in order to the connection's channel.

What   Finds each segment's connection; opens and ends connections.
Why    One dictionary look-up leads from a segment to its direction's state; nothing is scanned.
Joined A connection whose beginning was not captured has no client until content tells which end that is (sniff.py);
       until then its segments are kept (held.py). Port numbers are asked where nothing ever tells.
Again  A segment that comes once more, however late, is one of a connection that is there or is over (past.py): it
       begins none.
Limits FLOWS connections at a time; the idlest is told as unfinished past that.
RFC 9293.
"""

import struct
from collections.abc import Callable, Sequence

from hark.decode import limits, sniff
from hark.decode.channel import Channel, Host, Opaque
from hark.decode.endings import Ending, How
from hark.decode.events import Closed, Established, Event, Noted, Opened, Side, TlsFacts, Trouble
from hark.decode.held import Budget, Held
from hark.decode.layer import Layer
from hark.decode.link import Pdu
from hark.decode.past import Past, near, reverse
from hark.decode.reassembly import Reassembly
from hark.recording import blocks
from hark.recording.blocks import Frame, Note
from hark.wire import ip

_SIDES = (Side.CLIENT, Side.SERVER)
Known = tuple["Connection", Side]


class Connection:
    """One TCP connection."""

    __slots__ = (
        "channel",
        "client",
        "closing",
        "edge",
        "fins",
        "first",
        "foreign",
        "halves",
        "held",
        "inside",
        "joined",
        "key",
        "number",
        "reads",
        "seen",
        "server",
        "sockets",
        "state",
        "turned",
    )

    def __init__(self, number: int, key: bytes) -> None:
        self.number = number
        self.ends(key)
        self.halves = (Reassembly(), Reassembly())
        self.channel: Layer | None = None
        self.foreign = False  # of another decoder's share
        self.state = "asked"  # asked, established, closed
        self.fins = 0
        self.first: Ending | None = None  # the first FIN
        self.edge = -1  # where the server was when the client sent its FIN first; -1: it did not
        self.reads = 0  # when the client acknowledged bytes that came behind that: it had only half-closed; 0: not
        self.closing: Ending | None = None  # both have sent a FIN, and whether the client read on is still to be seen
        self.seen = 0
        self.sockets: Note | None = None  # says that it is one of Unix sockets
        self.inside = ""  # how the plaintext of a TLS connection was had, where this is what was recorded
        self.joined = False  # its beginning was not captured
        self.turned = False  # and what was seen first of an end was not what it had sent first
        self.held: Held | None = None  # what came while it is open which end is the client

    def ends(self, key: bytes) -> None:
        """Whose connection it is; key: addresses and ports as the client's segments have them."""
        width = len(key) // 2 - 2
        sport, dport = struct.unpack_from("!HH", key, 2 * width)
        self.key = key
        self.client, self.server = (key[:width], sport), (key[width : 2 * width], dport)


class Table:
    """The TCP connections of a recording.

    host: what channels ask for; share: see Decoder; closed: told of every connection that has ended."""

    def __init__(self, host: Host, share: tuple[int, int], closed: Callable[[Closed, list[Event]], None]) -> None:
        self._host = host
        self._share = share
        self._closed = closed
        self.ends: dict[bytes, Known] = {}  # by addresses and ports as a segment has them
        self.live: dict[int, Connection] = {}
        self.crowded = False  # more than FLOWS were open at a time
        self._past = Past()
        self._budget = Budget()
        self._notes: dict[bytes, list[Note]] = {}  # on connections of which no segment has come yet, by their ends
        self._numbers = 0

    def note(self, note: Note) -> Sequence[Event]:
        """A note on a connection: of one that is there, or the next one with these ends."""
        known = self.ends.get(note.ends)
        if known is not None and known[0].state != "closed":
            return () if known[0].foreign else (Noted(known[0].number, note.time, note.kind, note.fields),)
        waiting = self._notes.setdefault(note.ends, [])
        if len(waiting) < limits.NOTES_EACH:
            waiting.append(note)
        if len(self._notes) > limits.NOTES:
            del self._notes[next(iter(self._notes))]
        return ()

    def number(self) -> int:
        """The next connection's number."""
        self._numbers += 1
        return self._numbers

    def packet(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        """A packet that holds a segment."""
        segment = ip.tcp(data, packet.start, packet.end)
        if segment is None:
            return ()
        _, _, seq, ack, flags, body = segment
        key = packet.src + packet.dst + bytes(data[packet.start : packet.start + 4])
        known = self.ends.get(key)
        out: list[Event] = []
        payload = data[body : packet.end]
        if known is not None and flags & ip.SYN:
            if known[0].held is not None:
                self._decide(known[0], known[1] if not flags & ip.ACK else known[1].other, frame.time, out)
                known = self.ends.get(key)
            verdict = self._syn(known, seq, ack, flags) if known is not None else True
            if verdict is None:
                return out
            known = None if verdict else known
        if known is None:
            if (flags & ip.RST or not (flags & ip.SYN or len(payload))) or self._past.holds(key, seq, ack, flags):
                return out  # the end of something that was never seen; or what has been told comes again
            known = self._open(frame, key, payload, flags, out)
            if flags & ip.SYN and flags & ip.ACK:
                known[0].halves[Side.CLIENT].start((ack - 1) & 0xFFFFFFFF)
        cut = min(packet.missing, frame.size - len(frame.data)) if packet.missing else 0
        if cut <= 0:
            return self.segment(frame, payload, known, seq, ack, flags, out)
        self.segment(frame, payload, known, seq, ack, flags & ~ip.FIN, out)
        conn, side = self.ends.get(key, known)
        if conn.state != "closed" and conn.held is None:
            self._cut(conn, side, seq + bool(flags & ip.SYN) + len(payload), cut, frame.time, out)
            if flags & ip.FIN:
                self._ending(
                    conn, side, conn.halves[side], ip.FIN, (seq + len(payload) + cut) & 0xFFFFFFFF, frame.time, out
                )
        return out

    def _cut(self, conn: Connection, side: Side, seq: int, size: int, time: int, out: list[Event]) -> None:
        """The segment that ends at `seq` had `size` bytes more than were captured of it."""
        half = conn.halves[side]
        channel = conn.channel
        if half.next == seq & 0xFFFFFFFF and not half.waiting and channel is not None:
            half.lose(size)
            out.extend(channel.lost(side, size, time))

    def segment(
        self,
        frame: Frame,
        data: memoryview,
        known: Known,
        seq: int,
        ack: int,
        flags: int,
        into: list[Event] | None = None,
    ) -> Sequence[Event]:
        """A segment of a known connection; data is its payload. into: where the events go, in any case."""
        out: list[Event] = [] if into is None else into
        conn, side = known
        time = conn.seen = frame.time
        half = conn.halves[side]
        if seq != half.next:
            if conn.held is not None:
                return self._hold(frame, data, known, seq, ack, flags, out)
            if conn.edge >= 0 and not side and self._behind_its_end(conn, ack, flags, time, out):
                return out
            if flags & ip.SYN:
                if half.first < 0 or (conn.state == "asked" and not half.total):
                    half.start(seq)
                seq = (seq + 1) & 0xFFFFFFFF
            elif not self._own(conn, side, seq, ack, flags):
                return self._another(frame, data, known, seq, ack, flags, out)
            elif conn.joined and half.first >= 0 and 0 < (half.first - seq) & 0xFFFFFFFF <= limits.BEFORE:
                conn.turned = True
        if side and conn.state == "asked" and not flags & ip.RST:
            conn.state = "established"
            out.append(Established(conn.number, time))
        size = len(data)
        if size:
            if flags & ip.ACK:
                other = conn.halves[1 - side]
                if ack != other.next:
                    if other.next < 0:  # what comes later from before that came out of order, behind its answer
                        other.floor = ack if other.floor < 0 or (ack - other.floor) & 0x80000000 == 0 else other.floor
                    elif conn.turned and (other.first - ack) & 0x80000000 == 0:
                        self._earlier(conn, side, half, seq, data, time, out)  # again, below, they are old
                    elif (ack - other.next) & 0x80000000 == 0:
                        self._unseen(conn, side.other, other, ack, time, out)
            channel = conn.channel
            if seq == half.next and not half.waiting and channel is not None:
                half.next = (seq + size) & 0xFFFFFFFF
                half.total += size
                if into is None and not out and half.fin < 0 and not flags & (ip.FIN | ip.RST):
                    return channel.feed(side, data, time)
                out.extend(channel.feed(side, data, time))
            else:
                self._bytes(conn, side, half, seq & 0xFFFFFFFF, data, time, out)
        if flags & (ip.FIN | ip.RST):
            self._ending(conn, side, half, flags, (seq + size) & 0xFFFFFFFF, time, out)
        elif half.fin >= 0 and half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, time, out)
        return out

    def _syn(self, known: Known, seq: int, ack: int, flags: int) -> bool | None:
        """Whether a SYN on known ends begins another connection on the same ports; None where it is of none that is
        there, but of one that is over."""
        conn, side = known
        half = conn.halves[side]
        first = (seq + 1) & 0xFFFFFFFF
        if first == half.first:
            return False
        answers = not flags & ip.ACK or near(conn.halves[1 - side], ack)
        if half.first < 0 and answers and (half.floor < 0 or (half.floor - first) & 0xFFFFFFFF <= limits.BEFORE):
            return None if self._past.holds(reverse(conn.key) if side else conn.key, seq, ack, flags) else False
        if conn.joined and half.first >= 0 and (half.first - first) & 0xFFFFFFFF <= limits.BEFORE:
            return False  # it comes behind what it should have come before
        if self._past.holds(reverse(conn.key) if side else conn.key, seq, ack, flags):
            return None
        if flags & ip.ACK:
            return None if answers or conn.state == "asked" else True
        return conn.state != "asked" or half.total > 0

    def _own(self, conn: Connection, side: Side, seq: int, ack: int, flags: int) -> bool:
        """Whether a segment that does not continue where the last one ended is of this connection."""
        here, there = near(conn.halves[side], seq), not flags & ip.ACK or near(conn.halves[1 - side], ack)
        if here and there:
            return True
        if self._past.holds(reverse(conn.key) if side else conn.key, seq, ack, flags):
            return False
        return here or there  # much of one direction was not captured

    def _another(
        self, frame: Frame, data: memoryview, known: Known, seq: int, ack: int, flags: int, out: list[Event]
    ) -> Sequence[Event]:
        """A segment of another connection with the same ends: one that is over, or one whose SYN was not captured."""
        conn, side = known
        key = reverse(conn.key) if side else conn.key
        if flags & ip.RST or not len(data) or self._past.holds(key, seq, ack, flags):
            return out
        return self.segment(frame, data, self._open(frame, key, data, flags, out), seq, ack, flags, out)

    # -- joined in the middle ------------------------------------------------------------------------------------------

    def _hold(
        self, frame: Frame, data: memoryview, known: Known, seq: int, ack: int, flags: int, out: list[Event]
    ) -> Sequence[Event]:
        """A segment of a connection of which it is open which end is the client."""
        conn, side = known
        held = conn.held
        assert held is not None
        sender = held.feed(side, frame, data, seq, ack, flags)
        if sender is not None:
            self._decide(conn, side if sender == Side.CLIENT else side.other, frame.time, out)
        elif held.over or self._budget.over:
            self._decide(conn, None, frame.time, out)
        return out

    def _decide(self, conn: Connection, client: Side | None, time: int, out: list[Event]) -> None:
        """The client is the end that was taken for `client` so far; None: nothing tells, the larger port is taken for
        a client's. What was held is read."""
        held, conn.held = conn.held, None
        if held is None:
            return
        if client is None:
            client = Side.CLIENT if conn.client[1] > conn.server[1] else Side.SERVER
        if client == Side.SERVER:
            conn.ends(reverse(conn.key))
        self._enter(conn)
        _tell_opened(conn, held.time, held.pid, out)
        segments = held.release()
        for side, frame, data, seq, ack, flags in segments:
            known = (conn, side if client == Side.CLIENT else side.other)
            if conn.state == "closed":
                break
            self.segment(frame, data, known, seq, ack, flags, out)
        for side in _SIDES:
            conn.halves[side].total += held.dropped[side if client == Side.CLIENT else side.other]

    def _enter(self, conn: Connection) -> None:
        """Find it by its ends from now on."""
        self.ends[conn.key] = (conn, Side.CLIENT)
        self.ends[reverse(conn.key)] = (conn, Side.SERVER)

    def exported(self, frame: Frame, pdu: Pdu) -> Sequence[Event]:
        """A piece of what one end has sent, without its packet."""
        out: list[Event] = []
        data = frame.data[pdu.start :]
        (source, sport), (target, dport) = pdu.source, pdu.target
        key = source + target + struct.pack("!HH", sport, dport)
        known = self.ends.get(key)
        if known is None:
            if not len(data):
                return out
            known = self._open(frame, key, data, 0, out)
            if known[0].held is not None:
                self._decide(known[0], None, frame.time, out)
        conn, side = self.ends.get(key, known)
        if conn.channel is not None:
            conn.seen = frame.time
            half = conn.halves[side]
            half.total += len(data)
            out.extend(conn.channel.feed(side, data, frame.time))
        return out

    def unreachable(self, key: bytes, how: How, detail: str, time: int) -> Sequence[Event]:
        """An ICMP error says that a packet with these ends did not arrive: it ends a connection attempt."""
        known = self.ends.get(key)
        out: list[Event] = []
        if known is not None and known[0].state == "asked":
            self._close(known[0], Ending(None, how, time, detail), out)
        return out

    def finish(self, number: int, time: int, out: list[Event]) -> None:
        """The recording is over: an open connection `number` ends unfinished."""
        if number in self.live:
            conn = self.live[number]
            self._close(conn, Ending(None, How.OPEN, time, since=conn.seen), out)

    def _open(self, frame: Frame, key: bytes, data: memoryview, flags: int, out: list[Event]) -> Known:
        """A connection of which a first segment is seen: key as the segment has it, data its payload."""
        known = self.ends.get(key)
        if known is not None:
            self._close(known[0], Ending(None, How.ABANDONED, frame.time, "its ports were used again"), out)
        joined = not flags & ip.SYN
        sender = sniff.sender(bytes(data[: sniff.SENDER_BYTES])) if joined else Side(bool(flags & ip.ACK))
        conn = Connection(self.number(), reverse(key) if sender == Side.SERVER else key)
        conn.joined = joined
        conn.inside = frame.inside
        if conn.number % self._share[1] == self._share[0]:
            conn.channel = Channel(self._host, conn.number, joined=joined)
        else:
            conn.channel = Opaque()
            conn.foreign = True
        if joined:
            conn.state = "established"
        self._enter(conn)
        self.live[conn.number] = conn
        conn.seen = frame.time
        notes = self._notes.pop(conn.key, []) if self._notes else []
        for note in notes:
            if note.kind == blocks.UNIX:
                conn.sockets = note
        if sender is None:
            conn.held = Held(frame.time, frame.pid, self._budget)
        else:
            _tell_opened(conn, frame.time, frame.pid, out)
            if not conn.foreign:
                out += [
                    Noted(conn.number, note.time, note.kind, note.fields) for note in notes if note.kind != blocks.UNIX
                ]
        if len(self.live) > limits.FLOWS:
            self.crowded = True
            idlest = min(self.live.values(), key=lambda c: c.seen)
            self._close(idlest, Ending(None, How.ABANDONED, frame.time, "too many connections are open"), out)
        return self.ends[key]

    def _bytes(
        self, conn: Connection, side: Side, half: Reassembly, seq: int, data: memoryview, time: int, out: list[Event]
    ) -> None:
        channel = conn.channel
        if channel is None:
            return
        for piece, lost in half.feed(seq, data):
            if lost:
                out.extend(channel.lost(side, lost, time))
            out.extend(channel.feed(side, piece, time))
        if half.differing:
            half.differing = False
            who = "client" if side == Side.CLIENT else "server"
            out.append(Trouble(time, "tcp-overlap", conn.number, f"the {who} sent different bytes in the same place"))

    def _earlier(
        self, conn: Connection, side: Side, half: Reassembly, seq: int, data: memoryview, time: int, out: list[Event]
    ) -> None:
        """Bytes on a joined connection that were sent before any of the other end's that were captured came there: they
        answer nothing that is known."""
        channel = conn.channel
        for piece, lost in half.feed(seq, data):
            if isinstance(channel, Channel):
                out.extend(channel.lost(side, lost, time) if lost else ())
                out.extend(channel.earlier(side, piece, time))

    def _unseen(self, conn: Connection, side: Side, half: Reassembly, ack: int, time: int, out: list[Event]) -> None:
        """The peer speaks on after it has acknowledged bytes by `side` that are not here: they were not captured. What
        was only reordered on its way into the capture is not spoken on after."""
        channel = conn.channel
        if channel is None or half.ended:
            return
        for piece, lost in half.acknowledged(ack):
            if lost:
                out.extend(channel.lost(side, lost, time))
            if len(piece):
                out.extend(channel.feed(side, piece, time))

    def _ending(
        self, conn: Connection, side: Side, half: Reassembly, flags: int, seq: int, time: int, out: list[Event]
    ) -> None:
        if flags & ip.RST:
            how = How.REFUSED if conn.state == "asked" and side == Side.SERVER else How.RST
            since = conn.reads if side == Side.CLIENT else 0
            self._close(conn, Ending(side, how, time, since=since), out)
            return
        if half.fin < 0 and (seq - half.next) & 0x80000000 == 0:
            half.finish(seq)
        if half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, time, out)

    def _behind_its_end(self, conn: Connection, ack: int, flags: int, time: int, out: list[Event]) -> bool:
        """A segment by a client that has sent its FIN: what it acknowledges it has read, or its kernel for it; one that
        is gone sends a reset. Whether the connection is over by it."""
        if flags & (ip.RST | ip.SYN) or not 0 < (ack - conn.edge) & 0xFFFFFFFF < 0x80000000:
            return False
        conn.reads = time
        if conn.closing is not None:
            self._close(conn, conn.closing, out)
        return conn.closing is not None

    def _fin(self, conn: Connection, side: Side, time: int, out: list[Event]) -> None:
        conn.fins |= 1 << side
        ending = Ending(side, How.FIN, time)
        if conn.first is None:
            conn.first = ending
            conn.edge = conn.halves[Side.SERVER].next if side == Side.CLIENT else -1
        if conn.channel is not None:
            out.extend(conn.channel.end(side, How.FIN, time))
        if conn.fins == 3 and conn.edge not in (-1, conn.halves[Side.SERVER].next) and not conn.reads:
            conn.closing = ending  # the answer to bytes that came behind the client's end comes next: a reset, or not
        elif conn.fins == 3:
            self._close(conn, ending, out)

    def _close(self, conn: Connection, ending: Ending, out: list[Event]) -> None:
        if conn.closing is not None and ending.how is not How.RST:
            ending = conn.closing
        time = ending.time
        if conn.held is not None:
            self._decide(conn, None, time, out)
        if conn.state == "closed":
            return
        channel, conn.channel = conn.channel, None
        if channel is not None:
            for side in _SIDES:
                half = conn.halves[side]
                while pieces := half.skip():
                    for piece, lost in pieces:
                        out.extend(channel.lost(side, lost, time) if lost else ())
                        out.extend(channel.feed(side, piece, time))
            out.extend(channel.close(ending))
        client, server = conn.halves
        self._closed(Closed(conn.number, time, conn.first or ending, client.total, server.total), out)
        conn.state = "closed"
        self.live.pop(conn.number, None)
        for key in (conn.key, reverse(conn.key)):
            if self.ends.get(key, (None,))[0] is conn:
                del self.ends[key]
        if client.first >= 0 or server.first >= 0:
            self._past.add(conn.key, conn.halves)


def _tell_opened(conn: Connection, time: int, pid: int, out: list[Event]) -> None:
    client, server = _text(conn.client), _text(conn.server)
    if conn.sockets is not None:
        client, server = sockets(conn.sockets)
    out.append(Opened(conn.number, time, client, server, pid, foreign=conn.foreign))
    if conn.inside and not conn.foreign:
        out.append(TlsFacts(conn.number, time, time, time, "", "", "", "", False, conn.inside, b""))


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
