"""The table of TCP connections: segments in, each direction's bytes in order to the connection's channel.

What   Finds each segment's connection, opens, ends and forgets connections.
Why    One dictionary look-up leads from a segment to its direction's state; nothing is scanned.
Limits FLOWS connections at a time; the idlest is told as unfinished past that. ENDED_SECONDS for stray segments.
RFC 9293.
"""

import struct
from collections import deque
from collections.abc import Callable, Sequence

from hark.decode import limits, sniff
from hark.decode.channel import Channel, Host, Opaque
from hark.decode.endings import Ending, How
from hark.decode.events import Closed, Established, Event, Opened, Side, Trouble
from hark.decode.layer import Layer
from hark.decode.link import Pdu
from hark.decode.reassembly import Reassembly
from hark.recording.blocks import Frame
from hark.wire import ip

_SIDES = (Side.CLIENT, Side.SERVER)
Known = tuple["Connection", Side]


class Connection:
    """One TCP connection."""

    __slots__ = (
        "channel", "client", "ended", "fins", "first", "foreign", "halves", "number", "seen", "server", "state",
    )  # fmt: skip

    def __init__(self, number: int, client: tuple[bytes, int], server: tuple[bytes, int]) -> None:
        self.number = number
        self.client = client
        self.server = server
        self.halves = (Reassembly(), Reassembly())
        self.channel: Layer | None = None
        self.foreign = False  # of another decoder's share
        self.state = "asked"  # asked, established, closed
        self.fins = 0
        self.first: Ending | None = None  # the first FIN
        self.seen = 0
        self.ended = 0


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
        self._gone: deque[Connection] = deque()
        self._numbers = 0

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
        if known is None or (flags & ip.SYN and self._renewed(known, seq, flags)):
            known = self._open(frame, data, key, packet, segment, out)
            if known is None:
                return out
        return self.segment(frame, data[body : packet.end], known, seq, ack, flags, out)

    def segment(
        self,
        frame: Frame,
        data: memoryview,
        known: Known,
        seq: int,
        ack: int,
        flags: int,
        out: list[Event],
    ) -> Sequence[Event]:
        """A segment of a known connection; data is its payload."""
        conn, side = known
        time = conn.seen = frame.time
        if conn.state == "closed":
            return out
        half = conn.halves[side]
        if flags & ip.SYN:
            half.start(seq)
            seq += 1
        if side and conn.state == "asked" and not flags & ip.RST:
            conn.state = "established"
            out.append(Established(conn.number, time))
        size = len(data)
        if size:
            if flags & ip.ACK:
                other = conn.halves[1 - side]
                if ack != other.next and other.next >= 0 and (ack - other.next) & 0x80000000 == 0:
                    self._unseen(conn, side.other, other, ack, time, out)
            channel = conn.channel
            if seq == half.next and not half.waiting and channel is not None:
                half.next = (seq + size) & 0xFFFFFFFF
                half.total += size
                out.extend(channel.feed(side, data, time))
            else:
                self._bytes(conn, side, half, seq & 0xFFFFFFFF, data, time, out)
        if flags & (ip.FIN | ip.RST):
            self._ending(conn, side, half, flags, (seq + size) & 0xFFFFFFFF, time, out)
        elif half.fin >= 0 and half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, time, out)
        return out

    def _renewed(self, known: Known, seq: int, flags: int) -> bool:
        """Whether a SYN on known ends begins another connection on the same ports."""
        conn, side = known
        if flags & ip.ACK:
            return False
        half = conn.halves[side]
        return half.next >= 0 and (seq + 1) & 0xFFFFFFFF != half.next and (conn.state != "asked" or half.total > 0)

    def exported(self, frame: Frame, pdu: Pdu) -> Sequence[Event]:
        """A piece of what one end has sent, without its packet."""
        out: list[Event] = []
        data = frame.data[pdu.start :]
        (source, sport), (target, dport) = pdu.source, pdu.target
        key = source + target + struct.pack("!HH", sport, dport)
        known = self.ends.get(key)
        if known is None or known[0].state == "closed":
            segment = ip.Segment(sport, dport, 0, 0, 0, pdu.start)
            packet = ip.Packet(4, ip.TCP, source, target, 0, len(frame.data), None)
            known = self._open(frame, frame.data, key, packet, segment, out)
        if known is not None and known[0].channel is not None:
            conn, side = known
            conn.seen = frame.time
            half = conn.halves[side]
            half.total += len(data)
            out.extend(known[0].channel.feed(side, data, frame.time))
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

    def _open(
        self, frame: Frame, data: memoryview, key: bytes, packet: ip.Packet, segment: ip.Segment, out: list[Event]
    ) -> Known | None:
        known = self.ends.get(key)
        if known is not None:
            self._close(known[0], Ending(None, How.ABANDONED, frame.time, "its ports were used again"), out)
        if segment.flags & ip.RST or (not segment.flags & ip.SYN and segment.start == packet.end):
            return None  # the end of something that was never seen, or has been told
        width = len(packet.src)
        source, target = (packet.src, segment.sport), (packet.dst, segment.dport)
        if segment.flags & ip.SYN:
            from_client = not segment.flags & ip.ACK
        else:
            from_client = _asks(data[segment.start : packet.end], segment)
        client, server = (source, target) if from_client else (target, source)
        conn = Connection(self.number(), client, server)
        if conn.number % self._share[1] == self._share[0]:
            conn.channel = Channel(self._host, conn.number, joined=not segment.flags & ip.SYN)
        else:
            conn.channel = Opaque()
            conn.foreign = True
        if not segment.flags & ip.SYN:
            conn.state = "established"
        back = key[width : 2 * width] + key[:width] + key[2 * width + 2 :] + key[2 * width : 2 * width + 2]
        mine = Side.CLIENT if from_client else Side.SERVER
        self.ends[key] = (conn, mine)
        self.ends[back] = (conn, mine.other)
        self.live[conn.number] = conn
        out.append(Opened(conn.number, frame.time, _text(client), _text(server), frame.pid, foreign=conn.foreign))
        if len(self.live) > limits.FLOWS:
            self.crowded = True
            idlest = min(self.live.values(), key=lambda c: c.seen)
            self._close(idlest, Ending(None, How.ABANDONED, frame.time, "too many connections are open"), out)
        return conn, mine

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
            self._close(conn, Ending(side, how, time), out)
            return
        half.finish(seq)
        if half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, time, out)

    def _fin(self, conn: Connection, side: Side, time: int, out: list[Event]) -> None:
        conn.fins |= 1 << side
        ending = Ending(side, How.FIN, time)
        conn.first = conn.first or ending
        if conn.channel is not None:
            out.extend(conn.channel.end(side, How.FIN, time))
        if conn.fins == 3:
            self._close(conn, ending, out)

    def _close(self, conn: Connection, ending: Ending, out: list[Event]) -> None:
        time = ending.time
        if conn.state != "closed":
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
        conn.ended = time
        self._forget(conn)

    def _forget(self, conn: Connection) -> None:
        """Drop the connections whose last packets are long over; this one stays a while for its stray ones."""
        self._gone.append(conn)
        while self._gone and (
            conn.ended - self._gone[0].ended > limits.ENDED_SECONDS * 1_000_000_000 or len(self._gone) > 4096
        ):
            old = self._gone.popleft()
            for pair in ((old.client, old.server), (old.server, old.client)):
                key = pair[0][0] + pair[1][0] + struct.pack("!HH", pair[0][1], pair[1][1])
                if self.ends.get(key, (None,))[0] is old:
                    del self.ends[key]


def _asks(data: memoryview, segment: ip.Segment) -> bool:
    """Whether a connection's first seen segment comes from its client: by content, else by the larger port."""
    start = bytes(data[:64])
    if start[:1] == b"\x16" and len(start) > 5 and start[5] in (1, 2):
        return start[5] == 1
    if start.startswith(b"HTTP/1."):
        return False
    if start and sniff.protocol(Side.CLIENT, start) in (sniff.HTTP1, sniff.HTTP2):
        return True
    return segment.sport > segment.dport


def _text(end: tuple[bytes, int]) -> tuple[str, int]:
    return ip.text(end[0]), end[1]
