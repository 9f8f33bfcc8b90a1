"""The front door: recorded blocks in, events out. The only file that knows the order of the stack.

What   Finds each frame's connection, puts its bytes in order, finds out what they are, and stacks the layers: TCP,
       TLS, HTTP, and again inside tunnels.
Why    One dictionary look-up leads from a frame to its direction's state; nothing is scanned.
Limits FLOWS connections; all else in limits.py. What is over is told once and forgotten.
"""

import struct
from collections import deque
from collections.abc import Sequence

from hark.decode import limits, link, sniff
from hark.decode.events import (
    Closed,
    Dns,
    Established,
    Event,
    Opened,
    Protocol,
    Side,
    Trouble,
)
from hark.decode.fragments import Fragments
from hark.decode.http1 import Http1, Upgrade
from hark.decode.http2 import Http2
from hark.decode.keyring import Keyring
from hark.decode.layer import Expecting, Layer
from hark.decode.quic import Flows
from hark.decode.tcp import Reassembly
from hark.decode.tls import Budget, Tls
from hark.recording import blocks
from hark.recording.blocks import Block, Frame, Loss, Process, Secrets, Torn
from hark.wire import dns, ip

_SIDES = (Side.CLIENT, Side.SERVER)


class Opaque:
    """Bytes that hark has no name for: counted below, told by nobody."""

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Nothing to tell."""
        return ()

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Nothing to tell."""
        return ()

    def end(self, side: Side, time: int) -> Sequence[Event]:
        """Nothing to tell."""
        return ()

    def close(self, time: int, how: str) -> Sequence[Event]:
        """Nothing to tell."""
        return ()


class Channel:
    """A byte stream in both directions whose protocol is yet to be found out: a TCP connection, a TLS session's inside,
    a tunnel's."""

    def __init__(self, decoder: "Decoder", conn: "Connection", sealed: bool) -> None:
        self._decoder = decoder
        self._conn = conn
        self._inside_tls = sealed
        self._layer: Layer | None = None
        self._early: list[tuple[Side, bytes, int]] = []
        self._heads = [b"", b""]

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        if self._layer is not None:
            return self._layer.feed(side, data, time)
        raw = bytes(data)
        self._early.append((side, raw, time))
        self._heads[side] += raw
        name = sniff.protocol(side, self._heads[side])
        if name == sniff.MORE and len(self._heads[side]) < limits.SNIFF_BYTES:
            return ()
        if name == sniff.TLS and self._inside_tls:
            name = sniff.TLS if self._decoder.nested(self._conn) else sniff.OPAQUE
        return self._become(sniff.OPAQUE if name == sniff.MORE else name, time)

    def expect(self, alpn: str, time: int) -> Sequence[Event]:
        """ALPN has chosen: HTTP/2 servers may speak first, so what is sent need not be waited for."""
        if alpn == "h2" and self._layer is None:
            return self._become(sniff.HTTP2, time)
        return ()

    def _become(self, name: str, time: int) -> Sequence[Event]:
        out: list[Event] = []
        conn = self._conn
        if name == sniff.TLS:
            self._layer = self._decoder.tls(conn)
        elif name == sniff.HTTP1:
            self._layer = Http1(conn.number, self._upgrade)
        elif name == sniff.HTTP2:
            self._layer = Http2(conn.number)
        else:
            self._layer = Opaque()
        if name != sniff.TLS:
            out.append(Protocol(conn.number, time, name))
        early, self._early = self._early, []
        for side, data, when in early:
            out.extend(self._layer.feed(side, data, when))
        return out

    def _upgrade(self, upgrade: Upgrade, time: int) -> tuple[Layer, Sequence[Event]]:
        """What takes over after a 101 or a CONNECT."""
        number = self._conn.number
        if upgrade.token == "h2c":
            return Http2(number, upgraded=upgrade.request.stream), (Protocol(number, time, sniff.HTTP2),)
        if upgrade.token == "tunnel":
            return Channel(self._decoder, self._conn, self._inside_tls), ()
        return Opaque(), (Protocol(number, time, upgrade.token),)

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes by `side` are missing."""
        return self._layer.lost(side, size, time) if self._layer is not None else ()

    def end(self, side: Side, time: int) -> Sequence[Event]:
        """`side` will send no more."""
        return self._layer.end(side, time) if self._layer is not None else ()

    def close(self, time: int, how: str) -> Sequence[Event]:
        """The connection is over."""
        return self._layer.close(time, how) if self._layer is not None else ()


class Connection:
    """One TCP connection."""

    __slots__ = ("channel", "client", "ended", "fins", "halves", "number", "seen", "server", "state", "tls_depth")

    def __init__(self, number: int, client: tuple[bytes, int], server: tuple[bytes, int]) -> None:
        self.number = number
        self.client = client
        self.server = server
        self.halves = (Reassembly(), Reassembly())
        self.channel: Layer | None = None
        self.state = "asked"  # asked, established, closed
        self.fins = 0
        self.seen = 0
        self.ended = 0
        self.tls_depth = 0


class Decoder:
    """Feed it every block in order, then finish()."""

    def __init__(self) -> None:
        self._keyring = Keyring()
        self._budget = Budget()
        self._fragments = Fragments()
        self._quic = Flows(self._number)
        self._ends: dict[bytes, tuple[Connection, Side]] = {}
        self._live: dict[int, Connection] = {}
        self._sessions: dict[bytes, list[_Registered]] = {}  # TLS by client random
        self._waiting: dict[_Registered, Closed | None] = {}  # over, but secrets may still come; what to tell then
        self._questions: dict[tuple[bytes, int, bytes, int, int], tuple[int, str, str, int]] = {}
        self._gone: deque[Connection] = deque()
        self._numbers = 0
        self._now = 0

    # -- blocks --------------------------------------------------------------------------------------------------------

    def feed(self, block: Block) -> Sequence[Event]:
        """What becomes known by one more block."""
        if type(block) is Frame:
            self._now = block.time
            return self._frame(block)
        if isinstance(block, Secrets):
            return self._secrets(block)
        if isinstance(block, Process):
            return (block,)
        if isinstance(block, Loss):
            return (Trouble(block.time, "not-recorded", 0, f"{block.amount} {block.what} lost: {block.why}"),)
        if isinstance(block, Torn):
            return (Trouble(self._now, "torn-recording", 0, f"{block.what}, at byte {block.offset}"),)
        return ()

    def finish(self) -> Sequence[Event]:
        """The recording is over: tell what is open as unfinished."""
        out: list[Event] = []
        for conn in list(self._live.values()):
            self._close(conn, self._now, "still open at the end", out)
        for session in list(self._waiting):
            self._abandon(session, out)
        out += self._quic.finish(self._now)
        for asked, name, qtype, pid in self._questions.values():
            out.append(Dns(self._now, asked, name, qtype, "", (), pid))
        self._questions.clear()
        return out

    def _secrets(self, block: Secrets) -> Sequence[Event]:
        out: list[Event] = []
        for random in self._keyring.add(block.text, block.source):
            for session in list(self._sessions.get(random, ())):
                out.extend(session.secrets())
                self._settle(session, out)
        return out

    def _settle(self, session: "_Registered", out: list[Event]) -> None:
        """Tell the end of a connection whose TLS has waited for secrets and waits no more."""
        if session in self._waiting and not session.waiting:
            closed = self._waiting.pop(session)
            self.unregister(session)
            if closed is not None:
                out.append(closed)

    def _abandon(self, session: "_Registered", out: list[Event]) -> None:
        out.extend(session.abandon())
        self._settle(session, out)

    # -- frames --------------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> Sequence[Event]:
        data = frame.data
        at = 0 if frame.link == blocks.RAW else link.network(data, frame.link)
        packet = ip.parse(data, at) if at >= 0 else None
        for _ in range(limits.TUNNELS):
            if packet is None:
                return ()
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
                return self._udp(frame, data, packet) if packet.proto == ip.UDP else ()
            packet = ip.parse(data, at, packet.end - at)
        return ()

    def _tcp(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        segment = ip.tcp(data, packet.start, packet.end)
        if segment is None:
            return ()
        _, _, seq, _, flags, body = segment
        key = packet.src + packet.dst + bytes(data[packet.start : packet.start + 4])
        known = self._ends.get(key)
        out: list[Event] = []
        if known is None or (flags & ip.SYN and self._renewed(known, seq, flags)):
            known = self._open(frame, data, key, packet, segment, out)
            if known is None:
                return out
        conn, side = known
        conn.seen = frame.time
        if conn.state == "closed":
            return out
        half = conn.halves[side]
        if flags & ip.SYN:
            half.start(seq)
            seq += 1
        if side == Side.SERVER and conn.state == "asked" and not flags & ip.RST:
            conn.state = "established"
            out.append(Established(conn.number, frame.time))
        if body < packet.end:
            self._bytes(conn, side, half, seq & 0xFFFFFFFF, data[body : packet.end], frame.time, out)
        if flags & (ip.FIN | ip.RST):
            end = (seq + packet.end - body) & 0xFFFFFFFF
            self._ending(conn, side, half, flags, end, frame.time, out)
        elif half.ended and not conn.fins & (1 << side):
            self._fin(conn, side, frame.time, out)
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
        conn = Connection(self._number(), client, server)
        conn.channel = Channel(self, conn, False)
        if not segment.flags & ip.SYN:
            conn.state = "established"
        back = key[width : 2 * width] + key[:width] + key[2 * width + 2 :] + key[2 * width : 2 * width + 2]
        mine = Side.CLIENT if from_client else Side.SERVER
        self._ends[key] = (conn, mine)
        self._ends[back] = (conn, mine.other)
        self._live[conn.number] = conn
        out.append(Opened(conn.number, frame.time, _text(client), _text(server), frame.pid))
        if len(self._live) > limits.FLOWS:
            idlest = min(self._live.values(), key=lambda c: c.seen)
            self._close(idlest, frame.time, "too many connections are open", out)
        return conn, mine

    def _bytes(
        self, conn: Connection, side: Side, half: Reassembly, seq: int, data: memoryview, time: int, out: list[Event]
    ) -> None:
        channel = conn.channel
        if channel is None:
            return
        if seq == half.next and not half.waiting:
            half.advance(len(data))
            out.extend(channel.feed(side, data, time))
            return
        for piece, lost in half.feed(seq, data):
            if lost:
                out.extend(channel.lost(side, lost, time))
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
            closed = Closed(conn.number, time, how, client.total, server.total)
            waiting = next((session for session in self._waiting if session.conn is conn), None)
            if waiting is None:
                out.append(closed)
            else:
                self._waiting[waiting] = closed
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

    def _number(self) -> int:
        """The next connection's number."""
        self._numbers += 1
        return self._numbers

    # -- what the stack's layers ask for -------------------------------------------------------------------------------

    def tls(self, conn: Connection) -> Layer:
        """A TLS layer with a channel inside."""
        conn.tls_depth += 1
        inside: Expecting = Channel(self, conn, True)
        return _Registered(self, conn, Tls(conn.number, self._keyring, self._budget, inside))

    def nested(self, conn: Connection) -> bool:
        """Whether TLS may begin inside what this connection already is."""
        return conn.tls_depth < 4

    def register(self, session: "_Registered") -> None:
        """Have the session told when secrets for its client random come."""
        self._sessions.setdefault(session.random, []).append(session)

    def unregister(self, session: "_Registered") -> None:
        """The session is over."""
        known = self._sessions.get(session.random, [])
        if session in known:
            known.remove(session)
        if not known:
            self._sessions.pop(session.random, None)

    def wait(self, session: "_Registered") -> None:
        """The session's connection is over, its secrets may still come."""
        self._waiting[session] = None

    @property
    def pressed(self) -> bool:
        """Whether too much ciphertext is parked."""
        return self._budget.left < limits.PARKED_ALL_BYTES // 2 and bool(self._waiting)

    def press(self, out: list[Event]) -> None:
        """Sessions that wait for nothing but secrets make room for those that are alive."""
        while self.pressed:
            self._abandon(next(iter(self._waiting)), out)

    # -- datagrams -----------------------------------------------------------------------------------------------------

    def _udp(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        if packet.end - packet.start < 8 + 12:
            return ()
        sport, dport = struct.unpack_from("!HH", data, packet.start)
        payload = data[packet.start + 8 : packet.end]
        message = dns.parse(bytes(payload))
        if message is None:
            source, target = _text((packet.src, sport)), _text((packet.dst, dport))
            return self._quic.feed(source, target, payload, frame.time, frame.pid)
        kind = dns.TYPES.get(message.qtype, str(message.qtype))
        if not message.response:
            key = (packet.src, sport, packet.dst, dport, message.ident)
            if len(self._questions) >= limits.QUESTIONS:
                del self._questions[next(iter(self._questions))]
            self._questions.setdefault(key, (frame.time, message.name, kind, frame.pid))
            return ()
        asked = self._questions.pop((packet.dst, dport, packet.src, sport, message.ident), None)
        if asked is None:
            return ()
        rcode = dns.RCODES.get(message.rcode, str(message.rcode))
        return (Dns(frame.time, asked[0], message.name, kind, rcode, message.addresses, asked[3]),)

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
    """A TLS layer that the decoder finds again when secrets come."""

    def __init__(self, decoder: Decoder, conn: Connection, session: Tls) -> None:
        self._decoder = decoder
        self._session = session
        self.conn = conn
        self.random = b""
        self.secrets = session.secrets
        self.abandon = session.abandon
        self.lost = session.lost
        self.end = session.end

    @property
    def waiting(self) -> bool:
        """Whether the session is over but for its secrets."""
        return self._session.waiting

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        events = self._session.feed(side, data, time)
        if not self.random and self._session.client_random:
            self.random = self._session.client_random
            self._decoder.register(self)
        if self._decoder.pressed:
            events = list(events)
            self._decoder.press(events)
        return events

    def close(self, time: int, how: str) -> Sequence[Event]:
        """The connection is over."""
        events = self._session.close(time, how)
        if self._session.waiting:
            self._decoder.wait(self)
        else:
            self._decoder.unregister(self)
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
