"""The front door: recorded blocks in, events out.

What   Finds what each frame carries through link headers, tunnels and fragments, and hands segments to the table of TCP
       connections (tcp.py), datagrams to QUIC and DNS; gives channels what they ask for (channel.py).
Why    The usual packet takes one step: one dictionary look-up leads from a frame to its direction's state.
Limits In limits.py. What is over is told once and forgotten.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hark.decode import limits, link, tunnels
from hark.decode.channel import quic_inside
from hark.decode.dns import Matcher
from hark.decode.endings import Ending, How
from hark.decode.events import Event, PassedOver, Side, Trouble
from hark.decode.fragments import Fragments
from hark.decode.layer import Expecting, Layer
from hark.decode.sessions import Sessions
from hark.decode.tcp import Table
from hark.decode.tls import Tls
from hark.recording import blocks
from hark.recording.blocks import Block, Entry, Frame, Loss, Names, Note, Process, Secrets, Torn
from hark.wire import dns, ip

_IP4_TCP = struct.Struct("!BxHxxHxBxx12sIIBB").unpack_from  # up to TCP's flags; addresses and ports in one piece
_PRESSED = limits.PARKED_ALL_BYTES // 2
_PROHIBITED = (How.UNREACHABLE, "prohibited by a filter")
_UNREACHABLE: dict[int, dict[int, tuple[How, str]]] = {  # codes of ICMP (RFC 792, RFC 1812 §5.2.7.1) and ICMPv6 (§3.1)
    4: {0: (How.UNREACHABLE, "no route"), 1: (How.UNREACHABLE, "no such host"), 3: (How.REFUSED, "")}
    | dict.fromkeys((9, 10, 13), _PROHIBITED),
    6: {0: (How.UNREACHABLE, "no route"), 3: (How.UNREACHABLE, "no such host"), 4: (How.REFUSED, "")}
    | dict.fromkeys((1, 5, 6), _PROHIBITED),
}
_UDP = "UDP that is neither DNS nor QUIC"
_ROUTING = (2, 88, 89, 103, 112)  # IGMP, EIGRP, OSPF, PIM, VRRP
_HARMLESS = link.HARMLESS | {_UDP} | {f"IP protocol {number}" for number in _ROUTING}

if TYPE_CHECKING:
    from hark.decode.endpoints import Endpoints
    from hark.decode.quic import Inside


class Decoder:
    """Feed it every block in order, then finish().

    share: (k, n) to follow, of the TCP connections, only each n-th from the k-th on. All are numbered as ever, so n
    such decoders tell together what one does; unless `whole` becomes true, which says that something was met that one
    decoder has to see in one piece."""

    def __init__(self, share: tuple[int, int] = (0, 1)) -> None:
        self._odd = False
        self._sessions = Sessions()
        self._fragments = Fragments()
        self._quic: Endpoints | None = None  # made, and imported, for the first datagram that may be QUIC
        self._tcp = Table(self, share, self._sessions.closed)
        self._ends = self._tcp.ends
        self._names = Matcher()
        self._passed: dict[str, int] = {}
        self._now = 0

    # -- blocks --------------------------------------------------------------------------------------------------------

    def feed(self, block: Block) -> Sequence[Event]:
        """What becomes known by one more block."""
        if type(block) is Frame:
            return self._frame(block)
        if isinstance(block, Secrets):
            return self._sessions.secrets(block)
        if isinstance(block, Process | Names | Entry):
            return (block,)
        if isinstance(block, Loss):
            return (Trouble(block.time, "not-recorded", 0, f"{block.amount} {block.what} lost: {block.why}"),)
        if isinstance(block, Note):
            return self._tcp.note(block)
        if isinstance(block, Torn):
            return (Trouble(self._now, "torn-recording", 0, f"{block.what}, at byte {block.offset}"),)
        return ()

    def finish(self) -> Sequence[Event]:
        """The recording is over: tell what is open as unfinished, by connection."""
        out: list[Event] = []
        if self._quic is not None:
            self._quic.finish(self._now, out)
        for number in sorted({*self._tcp.live, *self._sessions.waiting}):
            self._tcp.finish(number, self._now, out)
            self._sessions.finish(number, out)
        out += self._names.finish(self._now)
        out += [PassedOver(self._now, what, count, what in _HARMLESS) for what, count in self._passed.items()]
        return out

    # -- frames --------------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> Sequence[Event]:
        time, kind, data = frame[:3]
        self._now = time
        size = len(data)
        if kind == blocks.RAW:
            at = 0
        elif kind == blocks.UPPER_PDU:
            return self._pdu(frame)
        else:
            at = link.network(data, kind)
        if 0 <= at <= size - 40:  # the usual packet, in one step: TCP over IPv4 without options, of a known flow
            first, total, fragment, proto, key, seq, ack, offset, flags = _IP4_TCP(data, at)
            if first == 0x45 and proto == ip.TCP and not fragment & 0x3FFF and not flags & ip.SYN:
                known = self._ends.get(key)
                body, end = at + 20 + (offset >> 4) * 4, at + total if total else size
                if known is not None and at + 40 <= body <= end <= size:
                    conn, side = known
                    if conn.foreign and not flags & (ip.FIN | ip.RST):
                        # Of another's share: it is enough to keep count, while nothing is out of the ordinary.
                        half = conn.halves[side]
                        if seq == half.next and not half.waiting and ack == conn.halves[1 - side].next:
                            half.next = (seq + end - body) & 0xFFFFFFFF
                            half.total += end - body
                            conn.seen = time
                            return ()
                    return self._tcp.segment(frame, data[body:end], known, seq, ack, flags)
                if known is None and at + 40 <= body == end <= size:
                    return ()  # as in Tcp.packet: the last acknowledgement of a connection that is over
        packet = ip.parse(data, at) if at >= 0 else None
        for _ in range(limits.TUNNELS):
            if packet is None:
                return self._pass_over(link.name(data, kind) if at < 0 else "IP that cannot be read")
            if packet.fragment is not None:
                whole = self._fragments.feed(packet, data)
                if whole is None:
                    return ()
                data, packet = whole, ip.parse(whole)
                continue
            if packet.proto == ip.TCP:
                return self._tcp.packet(frame, data, packet)
            if packet.proto in (ip.ICMP, ip.ICMPV6):
                return self._icmp(frame, data, packet)
            at = tunnels.inner(data, packet.proto, packet.start, packet.end)
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

    def _pdu(self, frame: Frame) -> Sequence[Event]:
        """Bytes that were exported without their packets: a piece of what one end has sent, or a datagram."""
        pdu = link.upper_pdu(frame.data)
        if pdu is None:
            return ()
        if pdu.protocol == "dns":
            return self._datagram(pdu.source, pdu.target, frame.data[pdu.start :], frame)
        return self._tcp.exported(frame, pdu)

    # -- what the stack's layers ask for -------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether connections were met that depend on each other, so that shares of them cannot be told apart."""
        return self._odd or self._tcp.crowded or self._sessions.tight

    def number(self) -> int:
        """The next connection's number, for one that is no TCP connection: a tunnel in a stream, QUIC."""
        self._odd = True
        return self._tcp.number()

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
        key = quoted.src + quoted.dst + bytes(data[quoted.start : quoted.start + 4])
        how, detail = _UNREACHABLE[packet.version].get(data[packet.start + 1], (How.UNREACHABLE, ""))
        return self._tcp.unreachable(key, how, detail, frame.time)


class _Registered:
    """A TLS layer that is found again when secrets come."""

    def __init__(self, sessions: Sessions, session: Tls) -> None:
        self._sessions = sessions
        self._budget = sessions.budget
        self._session = session
        self._read = session.feed
        self._ids = session.ids
        self._known = 0
        self.lost = session.lost
        self.end = session.end

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        events = self._read(side, data, time)
        if len(self._ids) > self._known:
            self._known = self._sessions.know(self._session, self._known)
        if self._budget.left < _PRESSED and self._sessions.pressed:
            events = list(events)
            self._sessions.press(events)
        return events

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        events = self._session.close(ending)
        self._sessions.over(self._session)
        return events
