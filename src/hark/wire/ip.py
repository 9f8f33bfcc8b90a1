"""IPv4, IPv6, TCP, UDP and ICMP headers: parse them, build them, sum them.

May hold: pure functions over one packet. May not hold: flows, sockets, time.
RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 768 (UDP), RFC 792/4443 (ICMP), RFC 1624 (checksum update).
"""

from __future__ import annotations

import struct

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58
FIN: Final = 1
SYN: Final = 2
RST: Final = 4
PSH: Final = 8
ACK: Final = 16
URG: Final = 32

Buffer = bytes | bytearray | memoryview

# Extension headers that may be between the IPv6 header and the transport (RFC 8200 §4): they are skipped.
_EXTENSIONS: Final = frozenset({0, 43, 60, 135, 139, 140})
_AUTH: Final = 51
_FRAGMENT: Final = 44


class Packet(Record):
    """One IP packet, its addresses packed (4 or 16 bytes) and its payload given as offsets into the frame."""

    version: int
    proto: int
    src: bytes
    dst: bytes
    start: int  # offset of the transport header
    end: int  # offset after the last payload byte, link padding excluded
    fragment: tuple[int, int, bool] | None  # (identification, offset in bytes, more follow); None: not a fragment
    missing: int = 0  # bytes after `end` that the packet declares


class Segment(Record):
    """One TCP header."""

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    start: int  # offset of the first data byte


_IP4: Final = struct.Struct("!BBHHHBBH4s4s").unpack_from
_UDP4: Final = struct.Struct("!BBHHHBBH4s4sHHHH").pack
_UDP6: Final = struct.Struct("!IHBB16s16sHHHH").pack
_TCP: Final = struct.Struct("!HHIIBB").unpack_from


def parse(data: Buffer, at: int = 0, size: int | None = None) -> Packet | None:
    """The IP packet at offset `at`; None where there is no whole header. A length field of 0 means "to the end"
    (segmentation offload leaves it so)."""
    limit = len(data) if size is None else at + size
    if limit - at < 20:
        return None
    version = data[at] >> 4
    if version == 4:
        first, _, total, ident, frag, _, proto, _, src, dst = _IP4(data, at)
        start = at + (first & 15) * 4
        end = at + total if total else limit
        if start < at + 20 or start > limit or end < start:
            return None
        offset, more = (frag & 0x1FFF) * 8, bool(frag & 0x2000)
        fragment = (ident, offset, more) if offset or more else None
        return Packet(4, proto, src, dst, start, min(end, limit), fragment, max(end - limit, 0))
    if version == 6 and limit - at >= 40:
        return _parse6(data, at, limit)
    return None


def _parse6(data: Buffer, at: int, limit: int) -> Packet | None:
    length = data[at + 4] << 8 | data[at + 5]
    proto = data[at + 6]
    start = at + 40
    end = min(start + length, limit) if length else limit
    missing = max(start + length - limit, 0)
    fragment = None
    while proto in _EXTENSIONS or proto in (_AUTH, _FRAGMENT):
        if start + 8 > end:
            return None
        if proto == _FRAGMENT:
            field = data[start + 2] << 8 | data[start + 3]
            ident = int.from_bytes(data[start + 4 : start + 8], "big")
            if field & 0xFFF9:
                fragment = (ident, field & 0xFFF8, bool(field & 1))
            step = 8
        else:
            step = (data[start + 1] + 2) * 4 if proto == _AUTH else (data[start + 1] + 1) * 8
        proto, start = data[start], start + step
        if fragment is not None:
            break
    if start > end:
        return None
    return Packet(
        6, proto, bytes(data[at + 8 : at + 24]), bytes(data[at + 24 : at + 40]), start, end, fragment, missing
    )


def join(parts: dict[int, tuple[bytes, bool]]) -> bytes | None:
    """A packet's payload out of its fragments, {offset: (bytes, whether more follow)}; None while one is missing."""
    body = bytearray()
    while True:
        part = parts.get(len(body))
        if part is None:
            return None
        body += part[0]
        if not part[1]:
            return bytes(body)
        if not part[0]:
            return None


def tcp(data: Buffer, start: int, end: int) -> Segment | None:
    """The TCP header at `start`; None where it is not whole or lies about its size."""
    if end - start < 20:
        return None
    sport, dport, seq, ack, offset, flags = _TCP(data, start)
    body = start + (offset >> 4) * 4
    if body < start + 20 or body > end:
        return None
    return Segment(sport, dport, seq, ack, flags, body)


def text(packed: bytes) -> str:
    """The text form of an address (RFC 5952 for IPv6)."""
    if len(packed) == 4:
        return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}"
    from ipaddress import ip_address  # a millisecond of every start

    return str(ip_address(packed))


def packed(text: str) -> bytes:
    """An address out of its text form. Raises ValueError."""
    from ipaddress import ip_address

    return ip_address(text).packed


def fold(total: int) -> int:
    """A one's complement sum brought into 16 bits."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def add16(data: Buffer) -> int:
    """The one's complement sum of the data's 16-bit words, not complemented."""
    raw = bytes(data)
    if len(raw) & 1:
        raw += b"\0"
    # 2**16 = 1 modulo 65535, so the sum of the words is the number itself modulo 65535; of the two zeros that one's
    # complement has, a sum of anything but zeros is the other.
    number = int.from_bytes(raw, "big")
    return number % 0xFFFF or (0xFFFF if number else 0)


def checksum(data: Buffer) -> int:
    """RFC 1071 checksum of the data."""
    return ~add16(data) & 0xFFFF


def delta16(old: bytes, new: bytes) -> int:
    """What to add to a one's complement sum when `old` becomes `new` (RFC 1624, equation 3)."""
    return fold((0xFFFF - add16(old)) + add16(new))


def ip_header(src: bytes, dst: bytes, proto: int, length: int, ttl: int = 64, tos: int = 0) -> bytes:
    """An IP header for a payload of `length` bytes; the version follows the addresses' size."""
    if len(src) == 16:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, length, proto, ttl) + src + dst
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + length, 0, 0x4000, ttl, proto, 0) + src + dst
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def pseudo(src: bytes, dst: bytes, proto: int, length: int) -> bytes:
    """The pseudo header that transport checksums cover (RFC 9293 §3.1, RFC 8200 §8.1)."""
    if len(src) == 16:
        return src + dst + struct.pack("!II", length, proto)
    return src + dst + struct.pack("!BBH", 0, proto, length)


def udp_packet(src: bytes, dst: bytes, sport: int, dport: int, payload: bytes, ttl: int = 64, tos: int = 0) -> bytes:
    """A whole UDP packet with its checksum."""
    length = 8 + len(payload)
    # The addresses and the payload are summed as they are, the rest is numbers: no byte is copied for a checksum.
    addresses = add16(src + dst)
    total = addresses + add16(payload) + UDP + sport + dport + 2 * length
    total = ~fold(total) & 0xFFFF or 0xFFFF
    if len(src) == 16:
        head = _UDP6(6 << 28 | tos << 20, length, UDP, ttl, src, dst, sport, dport, length, total)
    else:
        first = addresses + (0x4500 | tos) + 20 + length + 0x4000 + (ttl << 8 | UDP)
        first = ~fold(first) & 0xFFFF
        head = _UDP4(0x45, tos, 20 + length, 0, 0x4000, ttl, UDP, first, src, dst, sport, dport, length, total)
    return head + payload


def tcp_packet(
    source: tuple[bytes, int], target: tuple[bytes, int], seq: int, ack: int, flags: int, data: bytes
) -> bytes:
    """A whole TCP packet that only a recording gets: its checksum is 0, as where it is left to a device."""
    head = struct.pack("!HHIIBBHHH", source[1], target[1], seq, ack, 5 << 4, flags, 0xFFFF, 0, 0)
    return ip_header(source[0], target[0], TCP, 20 + len(data)) + head + data


def rst_packet(src: bytes, dst: bytes, sport: int, dport: int, seq: int, ack: int) -> bytes:
    """A whole TCP reset that acknowledges `ack` (RFC 9293 §3.5.2)."""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, RST | ACK, 0, 0, 0)
    total = checksum(pseudo(src, dst, TCP, 20) + head)
    return ip_header(src, dst, TCP, 20) + head[:16] + struct.pack("!H", total) + head[18:]


# Codes of "destination unreachable" by errno name: (ICMPv4 type, code), (ICMPv6 type, code).
UNREACHABLE: Final[dict[str, tuple[tuple[int, int], tuple[int, int]]]] = {
    "ENETUNREACH": ((3, 0), (1, 0)),
    "EHOSTUNREACH": ((3, 1), (1, 3)),
    "ECONNREFUSED": ((3, 3), (1, 4)),
    "EACCES": ((3, 13), (1, 1)),
    "EPERM": ((3, 13), (1, 1)),
}


def unreachable(router: bytes, packet: bytes, reason: str) -> bytes:
    """The ICMP error that says to `packet`'s sender why it did not arrive; an unknown reason is "host unreachable"."""
    four, six = UNREACHABLE.get(reason, UNREACHABLE["EHOSTUNREACH"])
    return icmp_error(router, packet, six if len(router) == 16 else four, 0)


def too_big(router: bytes, packet: bytes, mtu: int) -> bytes:
    """ "Packet too big" (ICMPv6) or "fragmentation needed" (ICMPv4): what path-MTU discovery listens for."""
    return icmp_error(router, packet, (2, 0) if len(router) == 16 else (3, 4), mtu)


def icmp_error(router: bytes, packet: bytes, code: tuple[int, int], field: int) -> bytes:
    """An ICMP error from `router` that quotes `packet` and goes back to its sender."""
    if len(router) == 16:
        target = packet[8:24]
        body = struct.pack("!BBHI", *code, 0, field) + packet[: 1280 - 48]
        total = checksum(pseudo(router, target, ICMPV6, len(body)) + body)
        proto = ICMPV6
    else:
        target = packet[12:16]
        body = struct.pack("!BBHI", *code, 0, field) + packet[: 576 - 28]
        total = checksum(body)
        proto = ICMP
    return ip_header(router, target, proto, len(body)) + body[:2] + struct.pack("!H", total) + body[4:]


def echo_reply(src: bytes, dst: bytes, payload: bytes, ttl: int = 64, tos: int = 0) -> bytes:
    """An ICMP echo reply; `payload` is the message from its identifier on (RFC 792, RFC 4443 §4.2)."""
    if len(src) == 16:
        body = b"\x81\0\0\0" + payload
        total = checksum(pseudo(src, dst, ICMPV6, len(body)) + body)
        return ip_header(src, dst, ICMPV6, len(body), ttl, tos) + body[:2] + struct.pack("!H", total) + body[4:]
    body = b"\0\0\0\0" + payload
    return ip_header(src, dst, ICMP, len(body), ttl, tos) + body[:2] + struct.pack("!H", checksum(body)) + body[4:]
