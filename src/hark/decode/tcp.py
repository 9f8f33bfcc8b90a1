"""The table of TCP connections: which connection a segment belongs to, when connections begin and end (RFC 9293).

What   One dictionary look-up leads from a segment's addresses and ports to its connection and sender; nothing is
       scanned. tcp_connection.py has a connection's bytes.
Joined A connection whose beginning was not captured has no client until content shows which end that is (sniff.py);
       until then its segments are held (held.py). If nothing shows it, the larger port is taken for the client's.
Again  A segment that was captured twice, however late, belongs to a connection that is open or has ended (past.py), and
       does not begin one.
Limits FLOWS connections at a time; past it the one that has been idle for longest is reported as unfinished.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from hark.bounded import Bounded
from hark.decode import limits, sniff
from hark.decode.channel import Channel
from hark.decode.context import Context
from hark.decode.endings import Ending, How
from hark.decode.events import Closed, Established, Event, Noted, Side
from hark.decode.held import Budget, Held
from hark.decode.layer import Expecting
from hark.decode.link import Pdu
from hark.decode.past import Past, reverse
from hark.decode.tcp_connection import SIDES, Connection, State
from hark.recording import blocks
from hark.recording.blocks import Frame, Note
from hark.wire import ip

Known = tuple[Connection, Side]  # a connection, and the sender of a segment
_ATTEMPT: Final = State.ATTEMPT  # read for each segment: a constant of the module is faster than a member of the enum
_NONE: Final = -1  # in the place of a sequence number: the segment is dealt with


class Table:
    """The TCP connections of a recording. share: see Decoder; closed: called for every connection that has ended, to
    append its Closed. ends: by addresses and ports as a segment has them; live: by number; crowded: more than FLOWS
    were open at a time."""

    def __init__(self, context: Context, share: tuple[int, int], closed: Callable[[Closed, list[Event]], None]) -> None:
        self._context = context
        self._share = share
        self._closed = closed
        self.ends: dict[bytes, Known] = {}
        self.live: dict[int, Connection] = {}
        self.crowded = False
        self._past = Past()
        self._budget = Budget()
        self._notes: Bounded[bytes, list[Note]] = Bounded(limits.NOTES)  # by ends; no segment has come yet

    def note(self, note: Note) -> Sequence[Event]:
        """A note on a connection: on the open one with these ends, or on the next one."""
        known = self.ends.get(note.ends)
        if known is not None and known[0].state is not State.CLOSED:
            return () if known[0].foreign else (Noted(known[0].number, note.time, note.kind, note.fields),)
        waiting = self._notes.setdefault(note.ends, [])
        if len(waiting) < limits.NOTES_EACH:
            waiting.append(note)
        return ()

    # -- segments ------------------------------------------------------------------------------------------------------

    def packet(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        """A packet that contains a segment."""
        segment = ip.tcp(data, packet.start, packet.end)
        if segment is None:
            return ()
        _, _, seq, ack, flags, body = segment
        key = packet.src + packet.dst + bytes(data[packet.start : packet.start + 4])
        out: list[Event] = []
        payload = data[body : packet.end]
        known = self._find(frame, key, payload, seq, ack, flags, out)
        if known is None:
            return out
        cut = min(packet.missing, frame.size - len(frame.data)) if packet.missing else 0
        if cut <= 0:
            return self.segment(frame, payload, known, seq, ack, flags, out)
        self.segment(frame, payload, known, seq, ack, flags & ~ip.FIN, out)
        conn, side = self.ends.get(key, known)
        if conn.state is not State.CLOSED and conn.held is None:
            conn.cut(side, seq + bool(flags & ip.SYN) + len(payload), cut, frame.time, out)
            if flags & ip.FIN:
                self._ending(conn, side, ip.FIN, (seq + len(payload) + cut) & 0xFFFFFFFF, frame.time, out)
        return out

    def _find(
        self, frame: Frame, key: bytes, payload: memoryview, seq: int, ack: int, flags: int, out: list[Event]
    ) -> Known | None:
        """The connection of a segment, opened now if it is new; None if the segment belongs to none that is open."""
        known = self.ends.get(key)
        if known is not None and flags & ip.SYN:
            if known[0].held is not None:
                self._decide(known[0], known[1] if not flags & ip.ACK else known[1].other, frame.time, out)
                known = self.ends.get(key)
            another = known[0].begins_another(known[1], seq, ack, flags, self._past) if known is not None else True
            if another is None:
                return None
            known = None if another else known
        if known is not None:
            return known
        if (flags & ip.RST or not (flags & ip.SYN or len(payload))) or self._past.holds(key, seq, ack, flags):
            return None  # the end of a connection that was not captured, or a repeated segment of one that has ended
        known = self._open(frame, key, payload, flags, out)
        if flags & ip.SYN and flags & ip.ACK:
            known[0].halves[Side.CLIENT].start((ack - 1) & 0xFFFFFFFF)
        return known

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
        """A segment of a known connection; data is its payload. into: the list to append events to, and to return."""
        out: list[Event] = [] if into is None else into
        conn, side = known
        time = conn.seen = frame.time
        half = conn.halves[side]
        if seq != half.next:
            seq = self._out_of_order(frame, data, known, seq, ack, flags, out)
            if seq == _NONE:
                return out
        if side and conn.state is _ATTEMPT and not flags & ip.RST:
            conn.state = State.ESTABLISHED
            out.append(Established(conn.number, time))
        size = len(data)
        if size:
            if flags & ip.ACK and ack != conn.halves[1 - side].next:
                conn.acknowledged(side, seq, ack, data, time, out)
            channel = conn.channel
            if seq == half.next and not half.waiting and channel is not None:
                half.next = (seq + size) & 0xFFFFFFFF
                half.total += size
                if into is None and not out and half.fin < 0 and not flags & (ip.FIN | ip.RST):
                    return channel.feed(side, data, time)
                out.extend(channel.feed(side, data, time))
            else:
                conn.add(side, seq & 0xFFFFFFFF, data, time, out)
        if flags & (ip.FIN | ip.RST):
            self._ending(conn, side, flags, (seq + size) & 0xFFFFFFFF, time, out)
        elif half.fin >= 0 and half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, time, out)
        return out

    def _out_of_order(
        self, frame: Frame, data: memoryview, known: Known, seq: int, ack: int, flags: int, out: list[Event]
    ) -> int:
        """A segment that does not continue where the last one ended: the sequence number of its payload, or _NONE."""
        conn, side = known
        half = conn.halves[side]
        if conn.held is not None:
            self._hold(frame, data, known, seq, ack, flags, out)
            return _NONE
        if not side and conn.after_fin(ack, flags, frame.time) and conn.closing is not None:
            self._close(conn, conn.closing, out)
            return _NONE
        if flags & ip.SYN:
            if half.first < 0 or (conn.state is _ATTEMPT and not half.total):
                half.start(seq)
            return (seq + 1) & 0xFFFFFFFF
        if not conn.owns(side, seq, ack, flags, self._past):
            self._of_another(frame, data, known, seq, ack, flags, out)
            return _NONE
        if conn.joined and half.first >= 0 and 0 < (half.first - seq) & 0xFFFFFFFF <= limits.BEFORE:
            conn.reordered = True
        return seq

    def _of_another(
        self, frame: Frame, data: memoryview, known: Known, seq: int, ack: int, flags: int, out: list[Event]
    ) -> None:
        """A segment of another connection with the same ends: one that has ended, or one whose SYN was not captured."""
        conn, side = known
        key = reverse(conn.key) if side else conn.key
        if not (flags & ip.RST or not len(data) or self._past.holds(key, seq, ack, flags)):
            self.segment(frame, data, self._open(frame, key, data, flags, out), seq, ack, flags, out)

    def exported(self, frame: Frame, pdu: Pdu) -> Sequence[Event]:
        """A payload without its packet: the next bytes of one end."""
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
            conn.halves[side].total += len(data)
            out.extend(conn.channel.feed(side, data, frame.time))
        return out

    # -- connections whose beginning was not captured ------------------------------------------------------------------

    def _hold(
        self, frame: Frame, data: memoryview, known: Known, seq: int, ack: int, flags: int, out: list[Event]
    ) -> None:
        """A segment of a connection whose client is unknown."""
        conn, side = known
        held = conn.held
        assert held is not None
        sender = held.feed(side, frame, data, seq, ack, flags)
        if sender is not None:
            self._decide(conn, side if sender == Side.CLIENT else side.other, frame.time, out)
        elif held.over or self._budget.over:
            self._decide(conn, None, frame.time, out)

    def _decide(self, conn: Connection, client: Side | None, time: int, out: list[Event]) -> None:
        """The client is the end that was taken for `client` so far; None: it is unknown, so the larger port decides.
        The held segments are processed."""
        held, conn.held = conn.held, None
        if held is None:
            return
        if client is None:
            client = Side.CLIENT if conn.client[1] > conn.server[1] else Side.SERVER
        if client == Side.SERVER:
            conn.set_client(reverse(conn.key))
        self._enter(conn)
        conn.opened(held.time, held.pid, out)
        for side, frame, data, seq, ack, flags in held.release():
            known = (conn, side if client == Side.CLIENT else side.other)
            if conn.state is State.CLOSED:
                break
            self.segment(frame, data, known, seq, ack, flags, out)
        for side in SIDES:
            conn.halves[side].total += held.dropped[side if client == Side.CLIENT else side.other]

    # -- begin and end -------------------------------------------------------------------------------------------------

    def _enter(self, conn: Connection) -> None:
        """Add it to the table by its ends."""
        self.ends[conn.key] = (conn, Side.CLIENT)
        self.ends[reverse(conn.key)] = (conn, Side.SERVER)

    def _open(self, frame: Frame, key: bytes, data: memoryview, flags: int, out: list[Event]) -> Known:
        """A connection by its first captured segment: key as the segment has it, data its payload."""
        known = self.ends.get(key)
        if known is not None:
            self._close(known[0], Ending(None, How.ABANDONED, frame.time, "its ports were used again"), out)
        joined = not flags & ip.SYN
        sender = sniff.sender(bytes(data[: sniff.SENDER_BYTES])) if joined else Side(bool(flags & ip.ACK))
        conn = Connection(self._context.next_number(), reverse(key) if sender == Side.SERVER else key)
        conn.joined = joined
        conn.inside = frame.inside
        conn.foreign = conn.number % self._share[1] != self._share[0]
        conn.channel = Expecting() if conn.foreign else Channel(self._context, conn.number, joined=joined)
        if joined:
            conn.state = State.ESTABLISHED
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
            conn.opened(frame.time, frame.pid, out)
            if not conn.foreign:
                notes = [note for note in notes if note.kind != blocks.UNIX]
                out += [Noted(conn.number, note.time, note.kind, note.fields) for note in notes]
        if len(self.live) > limits.FLOWS:
            self.crowded = True
            idlest = min(self.live.values(), key=lambda c: c.seen)
            self._close(idlest, Ending(None, How.ABANDONED, frame.time, "too many connections are open"), out)
        return self.ends[key]

    def _ending(self, conn: Connection, side: Side, flags: int, seq: int, time: int, out: list[Event]) -> None:
        """A segment with FIN or RST, whose payload ends at `seq`."""
        if flags & ip.RST:
            how = How.REFUSED if conn.state is _ATTEMPT and side == Side.SERVER else How.RST
            since = conn.reads if side == Side.CLIENT else 0
            self._close(conn, Ending(side, how, time, since=since), out)
            return
        half = conn.halves[side]
        if half.fin < 0 and (seq - half.next) & 0x80000000 == 0:
            half.finish(seq)
        if half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, time, out)

    def _fin(self, conn: Connection, side: Side, time: int, out: list[Event]) -> None:
        ending = conn.fin(side, time, out)
        if ending is not None:
            self._close(conn, ending, out)

    def _close(self, conn: Connection, ending: Ending, out: list[Event]) -> None:
        if conn.closing is not None and ending.how is not How.RST:
            ending = conn.closing
        if conn.held is not None:
            self._decide(conn, None, ending.time, out)
        if conn.state is State.CLOSED:
            return
        conn.close(ending, out)
        client, server = conn.halves
        self._closed(Closed(conn.number, ending.time, conn.first or ending, client.total, server.total), out)
        self.live.pop(conn.number, None)
        for key in (conn.key, reverse(conn.key)):
            if self.ends.get(key, (None,))[0] is conn:
                del self.ends[key]
        if client.first >= 0 or server.first >= 0:
            self._past.add(conn.key, conn.halves)

    def unreachable(self, key: bytes, how: How, detail: str, time: int) -> Sequence[Event]:
        """An ICMP error: a packet with these ends did not arrive. It ends a connection attempt."""
        known = self.ends.get(key)
        out: list[Event] = []
        if known is not None and known[0].state is _ATTEMPT:
            self._close(known[0], Ending(None, how, time, detail), out)
        return out

    def finish(self, number: int, time: int, out: list[Event]) -> None:
        """The recording has ended: report connection `number` as unfinished, if it is open."""
        if number in self.live:
            conn = self.live[number]
            self._close(conn, Ending(None, How.OPEN, time, since=conn.seen), out)
