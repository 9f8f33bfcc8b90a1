"""The front door: recorded blocks in, events out.

What   Finds each frame's connection, puts its bytes in order, and hands them to its channel, which finds out what they
       are and stacks the layers (channel.py).
Why    One dictionary look-up leads from a frame to its direction's state; nothing is scanned.
Limits FLOWS connections; all else in limits.py. What is over is told once and forgotten.
"""

import struct
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hark.decode import limits, link, sniff
from hark.decode.channel import Channel, Opaque, quic_inside
from hark.decode.dns import Matcher
from hark.decode.events import (
    Closed,
    Established,
    Event,
    Opened,
    PassedOver,
    Side,
    Trouble,
)
from hark.decode.fragments import Fragments
from hark.decode.layer import Expecting, Layer
from hark.decode.reassembly import Reassembly
from hark.decode.sessions import Sessions
from hark.decode.tls import Tls
from hark.recording import blocks
from hark.recording.blocks import Block, Entry, Frame, Loss, Names, Process, Secrets, Torn
from hark.wire import dns, ip

_IP4_TCP = struct.Struct("!BxHxxHxBxx12sIIBB").unpack_from  # up to TCP's flags; addresses and ports in one piece
_PRESSED = limits.PARKED_ALL_BYTES // 2
_UDP = "UDP that is neither DNS nor QUIC"
_SIDES = (Side.CLIENT, Side.SERVER)


if TYPE_CHECKING:
    from hark.decode.endpoints import Endpoints
    from hark.decode.quic import Inside


class Connection:
    """One TCP connection."""

    __slots__ = ("channel", "client", "ended", "fins", "foreign", "halves", "number", "seen", "server", "state")

    def __init__(self, number: int, client: tuple[bytes, int], server: tuple[bytes, int]) -> None:
        self.number = number
        self.client = client
        self.server = server
        self.halves = (Reassembly(), Reassembly())
        self.channel: Layer | None = None
        self.foreign = False  # of another decoder's share
        self.state = "asked"  # asked, established, closed
        self.fins = 0
        self.seen = 0
        self.ended = 0


class Decoder:
    """Feed it every block in order, then finish().

    share: (k, n) to follow, of the TCP connections, only each n-th from the k-th on. All are numbered as ever, so n
    such decoders tell together what one does; unless `whole` becomes true, which says that something was met that one
    decoder has to see in one piece."""

    def __init__(self, share: tuple[int, int] = (0, 1)) -> None:
        self._share = share
        self._odd = False
        self._sessions = Sessions()
        self._fragments = Fragments()
        self._quic: Endpoints | None = None  # made, and imported, for the first datagram that may be QUIC
        self._ends: dict[bytes, tuple[Connection, Side]] = {}
        self._live: dict[int, Connection] = {}
        self._names = Matcher()
        self._gone: deque[Connection] = deque()
        self._passed: dict[str, int] = {}
        self._numbers = 0
        self._now = 0

    # -- blocks --------------------------------------------------------------------------------------------------------

    def feed(self, block: Block) -> Sequence[Event]:
        """What becomes known by one more block."""
        if type(block) is Frame:
            self._now = block.time
            return self._frame(block)
        if isinstance(block, Secrets):
            return self._sessions.secrets(block)
        if isinstance(block, Process | Names | Entry):
            return (block,)
        if isinstance(block, Loss):
            return (Trouble(block.time, "not-recorded", 0, f"{block.amount} {block.what} lost: {block.why}"),)
        if isinstance(block, Torn):
            return (Trouble(self._now, "torn-recording", 0, f"{block.what}, at byte {block.offset}"),)
        return ()

    def finish(self) -> Sequence[Event]:
        """The recording is over: tell what is open as unfinished, by connection."""
        out: list[Event] = []
        if self._quic is not None:
            self._quic.finish(self._now, out)
        for number in sorted({*self._live, *self._sessions.waiting}):
            if number in self._live:
                self._close(self._live[number], self._now, "still open at the end", out)
            self._sessions.finish(number, out)
        out += self._names.finish(self._now)
        out += [PassedOver(self._now, what, count) for what, count in self._passed.items()]
        return out

    # -- frames --------------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> Sequence[Event]:
        data = frame.data
        if frame.link == blocks.UPPER_PDU:
            return self._pdu(frame)
        at = 0 if frame.link == blocks.RAW else link.network(data, frame.link)
        if 0 <= at <= len(data) - 40:  # the usual packet, in one step: TCP over IPv4 without options, of a known flow
            first, total, fragment, proto, key, seq, ack, offset, flags = _IP4_TCP(data, at)
            if first == 0x45 and proto == ip.TCP and not fragment & 0x3FFF and not flags & ip.SYN:
                known = self._ends.get(key)
                body, end = at + 20 + (offset >> 4) * 4, at + total if total else len(data)
                if known is not None and at + 40 <= body <= end <= len(data):
                    conn, side = known
                    if conn.foreign and not flags & (ip.FIN | ip.RST):
                        # Of another's share: it is enough to keep count, while nothing is out of the ordinary.
                        half = conn.halves[side]
                        if seq == half.next and not half.waiting and ack == conn.halves[1 - side].next:
                            half.next = (seq + end - body) & 0xFFFFFFFF
                            half.total += end - body
                            conn.seen = frame.time
                            return ()
                    return self._segment(frame, data[body:end], known, seq, ack, flags, [])
        packet = ip.parse(data, at) if at >= 0 else None
        for _ in range(limits.TUNNELS):
            if packet is None:
                return self._pass_over(link.name(data, frame.link) if at < 0 else "IP that cannot be read")
            if packet.fragment is not None:
                whole = self._fragments.feed(packet, data)
                if whole is None:
                    return ()
                data, packet = whole, ip.parse(whole)
                continue
            if packet.proto == ip.TCP:
                return self._tcp(frame, data, packet)
            if packet.proto in (ip.ICMP, ip.ICMPV6):
                return self._icmp(frame, data, packet)
            at = link.inner(data, packet.proto, packet.start, packet.end)
            if at < 0:
                if packet.proto == ip.UDP:
                    return self._udp(frame, data, packet)
                return self._pass_over(f"IP protocol {packet.proto}")
            packet = ip.parse(data, at, packet.end - at)
        return self._pass_over("tunnels in tunnels")

    def _pass_over(self, what: str) -> Sequence[Event]:
        """Count a frame that is not followed."""
        self._passed[what] = self._passed.get(what, 0) + 1
        return ()

    def _tcp(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        segment = ip.tcp(data, packet.start, packet.end)
        if segment is None:
            return ()
        _, _, seq, ack, flags, body = segment
        key = packet.src + packet.dst + bytes(data[packet.start : packet.start + 4])
        known = self._ends.get(key)
        out: list[Event] = []
        if known is None or (flags & ip.SYN and self._renewed(known, seq, flags)):
            known = self._open(frame, data, key, packet, segment, out)
            if known is None:
                return out
        return self._segment(frame, data[body : packet.end], known, seq, ack, flags, out)

    def _segment(
        self,
        frame: Frame,
        data: memoryview,
        known: tuple[Connection, Side],
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

    def _pdu(self, frame: Frame) -> Sequence[Event]:
        """Bytes that were exported without their packets: a piece of what one end has sent."""
        pdu = link.upper_pdu(frame.data)
        out: list[Event] = []
        if pdu is None:
            return out
        data = frame.data[pdu.start :]
        if pdu.protocol == "dns":
            return self._datagram(pdu.source, pdu.target, data, frame)
        (source, sport), (target, dport) = pdu.source, pdu.target
        key = source + target + struct.pack("!HH", sport, dport)
        known = self._ends.get(key)
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

    def _renewed(self, known: tuple[Connection, Side], seq: int, flags: int) -> bool:
        """Whether a SYN on known ends begins another connection on the same ports."""
        conn, side = known
        if flags & ip.ACK:
            return False
        half = conn.halves[side]
        return half.next >= 0 and (seq + 1) & 0xFFFFFFFF != half.next and (conn.state != "asked" or half.total > 0)

    def _open(
        self, frame: Frame, data: memoryview, key: bytes, packet: ip.Packet, segment: ip.Segment, out: list[Event]
    ) -> tuple[Connection, Side] | None:
        known = self._ends.get(key)
        if known is not None:
            self._close(known[0], frame.time, "its ports were used again", out)
        if segment.flags & ip.RST or (not segment.flags & ip.SYN and segment.start == packet.end):
            return None  # the end of something that was never seen, or has been told
        width = len(packet.src)
        source, target = (packet.src, segment.sport), (packet.dst, segment.dport)
        if segment.flags & ip.SYN:
            from_client = not segment.flags & ip.ACK
        else:
            from_client = _asks(data[segment.start : packet.end], segment)
        client, server = (source, target) if from_client else (target, source)
        self._numbers += 1
        conn = Connection(self._numbers, client, server)
        if conn.number % self._share[1] == self._share[0]:
            conn.channel = Channel(self, conn.number, joined=not segment.flags & ip.SYN)
        else:
            conn.channel = Opaque()
            conn.foreign = True
        if not segment.flags & ip.SYN:
            conn.state = "established"
        back = key[width : 2 * width] + key[:width] + key[2 * width + 2 :] + key[2 * width : 2 * width + 2]
        mine = Side.CLIENT if from_client else Side.SERVER
        self._ends[key] = (conn, mine)
        self._ends[back] = (conn, mine.other)
        self._live[conn.number] = conn
        out.append(Opened(conn.number, frame.time, _text(client), _text(server), frame.pid))
        if len(self._live) > limits.FLOWS:
            self._odd = True
            idlest = min(self._live.values(), key=lambda c: c.seen)
            self._close(idlest, frame.time, "too many connections are open", out)
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
            who = "client" if side == Side.CLIENT else "server"
            how = "refused" if conn.state == "asked" and side == Side.SERVER else f"reset by the {who}"
            self._close(conn, time, how, out)
            return
        half.finish(seq)
        if half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, time, out)

    def _fin(self, conn: Connection, side: Side, time: int, out: list[Event]) -> None:
        conn.fins |= 1 << side
        if conn.channel is not None:
            out.extend(conn.channel.end(side, time))
        if conn.fins == 3:
            self._close(conn, time, "closed", out)

    def _close(self, conn: Connection, time: int, how: str, out: list[Event]) -> None:
        if conn.state != "closed":
            channel, conn.channel = conn.channel, None
            if channel is not None:
                for side in _SIDES:
                    half = conn.halves[side]
                    while pieces := half.skip():
                        for piece, lost in pieces:
                            out.extend(channel.lost(side, lost, time) if lost else ())
                            out.extend(channel.feed(side, piece, time))
                out.extend(channel.close(time, _clause(how)))
            client, server = conn.halves
            self._sessions.closed(Closed(conn.number, time, how, client.total, server.total), out)
            conn.state = "closed"
        self._live.pop(conn.number, None)
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
                if self._ends.get(key, (None,))[0] is old:
                    del self._ends[key]

    # -- what the stack's layers ask for -------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether connections were met that depend on each other, so that shares of them cannot be told apart."""
        return self._odd or self._sessions.tight

    def number(self) -> int:
        """The next connection's number, for one that is no TCP connection: a tunnel in a stream, QUIC."""
        self._odd = True
        self._numbers += 1
        return self._numbers

    def tls(self, number: int, inside: Expecting) -> Layer:
        """A TLS layer of connection `number` around `inside`."""
        return _Registered(self._sessions, Tls(number, self._sessions.keyring, self._sessions.budget, inside))

    def _quic_inside(self, number: int) -> "Inside":
        return lambda alpn, time: quic_inside(self, number, alpn, time)

    # -- datagrams -----------------------------------------------------------------------------------------------------

    def _udp(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        if packet.end - packet.start < 8 + 12:
            return self._pass_over(_UDP)
        sport, dport = struct.unpack_from("!HH", data, packet.start)
        payload = data[packet.start + 8 : packet.end]
        return self._datagram((packet.src, sport), (packet.dst, dport), payload, frame)

    def _datagram(
        self, source: tuple[bytes, int], target: tuple[bytes, int], payload: memoryview, frame: Frame
    ) -> Sequence[Event]:
        """A datagram's payload: DNS, QUIC, or nothing that is known."""
        message = dns.parse(bytes(payload))
        if message is None:
            if self._quic is None:
                if not payload or not payload[0] & 0x80:  # a connection begins with a long header
                    return self._pass_over(_UDP)
                from hark.decode.endpoints import Endpoints

                self._quic = Endpoints(self._sessions, self.number, self._quic_inside)
            known, events = self._quic.feed(source, target, payload, frame.time, frame.pid)
            return events if known else self._pass_over(_UDP)
        if not message.response:
            self._names.question((source, target, message.ident), message, frame.time, frame.pid)
            return ()
        return self._names.answer((target, source, message.ident), message, frame.time)

    def _icmp(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        """An ICMP error about a connection attempt ends it."""
        kind = data[packet.start] if packet.end - packet.start > 8 else 0
        if kind != (1 if packet.version == 6 else 3) or (packet.version == 4 and data[packet.start + 1] == 4):
            return ()
        quoted = ip.parse(data, packet.start + 8, packet.end - packet.start - 8)
        if quoted is None or quoted.proto != ip.TCP or quoted.start + 4 > packet.end:
            return ()
        known = self._ends.get(quoted.src + quoted.dst + bytes(data[quoted.start : quoted.start + 4]))
        if known is None or known[0].state != "asked":
            return ()
        out: list[Event] = []
        self._close(known[0], frame.time, "unreachable", out)
        return out


class _Registered:
    """A TLS layer that is found again when secrets come."""

    def __init__(self, sessions: Sessions, session: Tls) -> None:
        self._sessions = sessions
        self._budget = sessions.budget
        self._session = session
        self._known = 0
        self.lost = session.lost
        self.end = session.end

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        events = self._session.feed(side, data, time)
        if len(self._session.ids) > self._known:
            self._known = self._sessions.know(self._session, self._known)
        if self._budget.left < _PRESSED and self._sessions.pressed:
            events = list(events)
            self._sessions.press(events)
        return events

    def close(self, time: int, how: str) -> Sequence[Event]:
        """The connection is over."""
        events = self._session.close(time, how)
        self._sessions.over(self._session)
        return events


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


def _clause(how: str) -> str:
    """How a connection ended, as the reason of what stayed unfinished on it."""
    return {
        "closed": "the connection was closed",
        "refused": "the connection was refused",
        "unreachable": "the host could not be reached",
        "still open at the end": "no end was seen",
    }.get(how, f"the connection was {how}" if how.startswith("reset") else how)
