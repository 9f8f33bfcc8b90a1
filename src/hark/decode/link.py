"""Link headers: where the IP packet begins in a frame, for every link type that hark reads.

May hold: the table and the parsing of link headers. May not hold: anything above IP.
Numbers are the pcap registry's LINKTYPE_ values.
"""

from typing import NamedTuple

from hark.recording import blocks

_IP = {0x0800, 0x86DD}
_VLAN = {0x8100, 0x88A8, 0x9100}
_PPPOE = 0x8864
_PPP_IP = {0x0021, 0x0057}
PPP, PPP_HDLC = 9, 50

# Those with a header of one size whose protocol field may be taken on trust: what follows must parse as IP anyway.
_FIXED = {
    blocks.RAW: 0,
    12: 0,  # LINKTYPE_RAW as some systems wrote it
    14: 0,
    blocks.IPV4: 0,
    blocks.IPV6: 0,
    blocks.NULL: 4,
    blocks.LOOP: 4,
    blocks.SLL: 16,
    blocks.SLL2: 20,
}


def network(data: memoryview, link: int) -> int:
    """The offset of the IP header; -1 where there is none."""
    fixed = _FIXED.get(link)
    if fixed is not None:
        return fixed
    if link == blocks.ETHERNET:
        return _ethernet(data)
    if link in (PPP, PPP_HDLC):
        return _ppp(data, 0)
    return -1


_NAMES = {0x0806: "ARP", 0x8035: "RARP", 0x88CC: "LLDP", 0x888E: "EAPOL", 0x8847: "MPLS", 0x8863: "PPPoE discovery"}


def name(data: memoryview, link: int) -> str:
    """What a frame is in which there is no IP."""
    if link not in _FIXED and link not in (blocks.ETHERNET, PPP, PPP_HDLC):
        return f"link type {link}"
    kind = data[12] << 8 | data[13] if link == blocks.ETHERNET and len(data) >= 14 else 0
    if kind in _NAMES:
        return _NAMES[kind]
    return "LLC" if 0 < kind < 0x600 else f"ethertype 0x{kind:04x}" if kind else "no IP"


def _ethernet(data: memoryview) -> int:
    at = 12
    while at + 2 <= len(data):
        kind = data[at] << 8 | data[at + 1]
        if kind in _IP:
            return at + 2
        if kind == _PPPOE:
            return _ppp(data, at + 8)
        if kind not in _VLAN:
            return -1
        at += 4
    return -1


def _ppp(data: memoryview, at: int) -> int:
    """RFC 1661: the address and control bytes may be left out, and so may the protocol field's first byte."""
    if bytes(data[at : at + 2]) == b"\xff\x03":
        at += 2
    if at >= len(data):
        return -1
    if data[at] & 1:
        return at + 1 if data[at] in _PPP_IP else -1
    return at + 2 if len(data) > at + 1 and data[at] << 8 | data[at + 1] in _PPP_IP else -1


def inner(data: memoryview, proto: int, start: int, end: int) -> int:
    """The offset of an IP packet inside another: IP in IP (RFC 2003, RFC 2473), GRE (RFC 2784, RFC 2890), VXLAN
    (RFC 7348); -1 where there is none."""
    if proto in (4, 41):
        return start
    if proto == 47 and end - start >= 4:
        flags, kind = data[start] << 8 | data[start + 1], data[start + 2] << 8 | data[start + 3]
        at = start + 4 + sum(4 for bit in (0x8000, 0x2000, 0x1000) if flags & bit)
        if kind == 0x6558:
            offset = _ethernet(data[at:end])
            return at + offset if offset >= 0 else -1
        return at if kind in _IP and not flags & 7 else -1
    if proto == 17 and end - start > 8 + 8 + 14 and data[start + 2] << 8 | data[start + 3] == 4789:
        if data[start + 8] != 0x08:
            return -1
        offset = _ethernet(data[start + 16 : end])
        return start + 16 + offset if offset >= 0 else -1
    return -1


class Pdu(NamedTuple):
    """What Wireshark exports of a decoded protocol: the dissector's name, both ends, the offset of the bytes."""

    protocol: str
    source: tuple[bytes, int]
    target: tuple[bytes, int]
    start: int


def upper_pdu(data: memoryview) -> Pdu | None:
    """A frame of LINKTYPE_WIRESHARK_UPPER_PDU: tags of 16 bits with a length of 16 bits, then the bytes."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        tag, size = data[at] << 8 | data[at + 1], data[at + 2] << 8 | data[at + 3]
        at += 4
        if not tag:
            name = found.get(12, b"").rstrip(b"\0").decode("ascii", "replace")
            source, target = found.get(20) or found.get(22) or b"", found.get(21) or found.get(23) or b""
            ports = [int.from_bytes(found.get(code, b""), "big") & 0xFFFF for code in (25, 26)]
            if len(source) not in (4, 16) or len(source) != len(target):
                source = target = bytes(4)
            return Pdu(name, (source, ports[0]), (target, ports[1]), at)
        found[tag] = bytes(data[at : at + size])
        at += size
    return None
