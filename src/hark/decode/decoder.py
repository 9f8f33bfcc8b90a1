"""The entry point of the package: recorded blocks in, events out.

What   Finds what each frame carries, through link headers, tunnels and fragments, and gives segments to the table of
       TCP connections (tcp.py), datagrams to DNS and the table of QUIC connections (quic_connections.py).
Why    The usual packet takes one step: one dictionary look-up leads from a frame to the state of its direction.
Limits In limits.py. What has ended is reported once and forgotten.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hark.decode import limits, link, tunnels
from hark.decode.channel import quic_inside
from hark.decode.context import Context
from hark.decode.dns import Matcher
from hark.decode.endings import How
from hark.decode.events import Event, PassedOver, Trouble, TroubleKind
from hark.decode.fragments import Fragments
from hark.decode.tcp import Table
from hark.recording import blocks
from hark.recording.blocks import Block, Entry, Frame, Loss, Names, Note, Process, Secrets, Torn
from hark.wire import dns, ip

if TYPE_CHECKING:
    from hark.decode.quic import MakeInside
    from hark.decode.quic_connections import QuicConnections

# IPv4 without options, and TCP up to its flags; addresses and ports in one piece.
_IP4_TCP: Final = struct.Struct("!BxHxxHxBxx12sIIBB").unpack_from
_PROHIBITED: Final = (How.UNREACHABLE, "prohibited by a filter")
# By IP version: codes of ICMP type 3 (RFC 792, RFC 1812 §5.2.7.1) and of ICMPv6 type 1 (RFC 4443 §3.1).
_UNREACHABLE: Final[dict[int, dict[int, tuple[How, str]]]] = {
    4: {0: (How.UNREACHABLE, "no route"), 1: (How.UNREACHABLE, "no such host"), 3: (How.REFUSED, "")}
    | dict.fromkeys((9, 10, 13), _PROHIBITED),
    6: {0: (How.UNREACHABLE, "no route"), 3: (How.UNREACHABLE, "no such host"), 4: (How.REFUSED, "")}
    | dict.fromkeys((1, 5, 6), _PROHIBITED),
}
_UDP: Final = "UDP that is neither DNS nor QUIC"
_ROUTING: Final = (2, 88, 89, 103, 112)  # IGMP, EIGRP, OSPF, PIM, VRRP
_HARMLESS: Final = link.HARMLESS | {_UDP} | {f"IP protocol {number}" for number in _ROUTING}
_DATAGRAM_MIN: Final = 8 + 12  # bytes: UDP's header, and the smallest DNS message


class Decoder:
    """Feed it every block in order, then call finish().

    share: (k, n), to decode only every n-th TCP connection, from the k-th on. All connections are numbered as usual, so
    the events of n such decoders are together those of one, unless `indivisible` becomes true."""

    def __init__(self, share: tuple[int, int] = (0, 1)) -> None:
        self._context = Context()
        self._sessions = self._context.sessions
        self._fragments = Fragments()
        self._quic: QuicConnections | None = None  # created, and imported, for the first datagram that may be QUIC
        self._tcp = Table(self._context, share, self._sessions.closed_connection)
        self._ends = self._tcp.ends
        self._questions = Matcher()
        self._passed_over: dict[str, int] = {}
        self._now = 0  # the time of the last frame

    @property
    def indivisible(self) -> bool:
        """Whether connections were found that depend on each other, so that shares of them cannot be decoded alone."""
        return self._context.indivisible or self._tcp.crowded or self._sessions.tight

    # -- blocks --------------------------------------------------------------------------------------------------------

    def feed(self, block: Block) -> Sequence[Event]:
        """The events of one more block."""
        if type(block) is Frame:
            return self._frame(block)
        if isinstance(block, Secrets):
            return self._sessions.secrets(block)
        if isinstance(block, Process | Names | Entry):
            return (block,)
        if isinstance(block, Loss):
            text = f"{block.amount} {block.what} lost: {block.why}"
            return (Trouble(block.time, TroubleKind.NOT_RECORDED, 0, text),)
        if isinstance(block, Note):
            return self._tcp.note(block)
        if isinstance(block, Torn):
            return (Trouble(self._now, TroubleKind.TORN_RECORDING, 0, f"{block.what}, at byte {block.offset}"),)
        return ()

    def finish(self) -> Sequence[Event]:
        """The recording has ended: what is open is reported as unfinished, by connection."""
        out: list[Event] = []
        if self._quic is not None:
            self._quic.finish(self._now, out)
        for number in sorted({*self._tcp.live, *self._sessions.waiting}):
            self._tcp.finish(number, self._now, out)
            self._sessions.finish(number, out)
        out += self._questions.finish(self._now)
        out += [PassedOver(self._now, what, count, what in _HARMLESS) for what, count in self._passed_over.items()]
        return out

    # -- frames --------------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> Sequence[Event]:
        time, kind, data = frame[:3]
        self._now = time
        size = len(data)
        if kind == blocks.RAW:
            at = 0
        elif kind == blocks.UPPER_PDU:
            return self._exported(frame)
        else:
            at = link.network(data, kind)
        if 0 <= at <= size - 40:  # the usual packet, in one step: TCP over IPv4 without options, of a known connection
            first, total, fragment, proto, key, seq, ack, offset, flags = _IP4_TCP(data, at)
            if first == 0x45 and proto == ip.TCP and not fragment & 0x3FFF and not flags & ip.SYN:
                known = self._ends.get(key)
                body, end = at + 20 + (offset >> 4) * 4, at + total if total else size
                if known is not None and at + 40 <= body <= end <= size:
                    conn, side = known
                    if conn.foreign and not flags & (ip.FIN | ip.RST):
                        # In another decoder's share: if nothing is unusual, it is enough to count.
                        half = conn.halves[side]
                        if seq == half.next and not half.waiting and ack == conn.halves[1 - side].next:
                            half.next = (seq + end - body) & 0xFFFFFFFF
                            half.total += end - body
                            conn.seen = time
                            return ()
                    return self._tcp.segment(frame, data[body:end], known, seq, ack, flags)
                if known is None and at + 40 <= body == end <= size:
                    return ()  # as in Table.packet: the last acknowledgement of a connection that has ended
        return self._packet(frame, data, kind, at)

    def _packet(self, frame: Frame, data: memoryview, kind: int, at: int) -> Sequence[Event]:
        """Any other packet, which may be in fragments or tunnels. kind: the link type; at: where IP begins, or -1."""
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
        """Count a frame that is not decoded."""
        self._passed_over[what] = self._passed_over.get(what, 0) + 1
        return ()

    def _exported(self, frame: Frame) -> Sequence[Event]:
        """A payload that was exported without its packet: of a TCP connection, or a datagram."""
        pdu = link.upper_pdu(frame.data)
        if pdu is None:
            return ()
        if pdu.protocol == "dns":
            return self._datagram(pdu.source, pdu.target, frame.data[pdu.start :], frame)
        return self._tcp.exported(frame, pdu)

    # -- datagrams -----------------------------------------------------------------------------------------------------

    def _udp(self, frame: Frame, data: memoryview, packet: ip.Packet) -> Sequence[Event]:
        if packet.end - packet.start < _DATAGRAM_MIN:
            return self._pass_over(_UDP)
        sport, dport = struct.unpack_from("!HH", data, packet.start)
        payload = data[packet.start + 8 : packet.end]
        return self._datagram((packet.src, sport), (packet.dst, dport), payload, frame)

    def _datagram(
        self, source: tuple[bytes, int], target: tuple[bytes, int], payload: memoryview, frame: Frame
    ) -> Sequence[Event]:
        """A datagram's payload: DNS, QUIC, or unknown."""
        message = dns.parse(bytes(payload))
        if message is None:
            if self._quic is None:
                if not payload or not payload[0] & 0x80:  # a connection begins with a long header
                    return self._pass_over(_UDP)
                from hark.decode.quic_connections import QuicConnections

                self._quic = QuicConnections(self._context, self._quic_inside)
            known, events = self._quic.feed(source, target, payload, frame.time, frame.pid)
            return events if known else self._pass_over(_UDP)
        if not message.response:
            self._questions.question((source, target, message.ident), message, frame.time, frame.pid)
            return ()
        return self._questions.answer((target, source, message.ident), message, frame.time)

    def _quic_inside(self, number: int) -> "MakeInside":
        return lambda alpn, time: quic_inside(self._context, number, alpn, time)

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
