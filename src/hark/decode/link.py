"""Link headers: where the IP packet begins in a frame, for every link type that hark decodes.

May hold: the table and the parsing of link headers. May not hold: anything above IP.
Numbers are the pcap registry's LINKTYPE_ values, and IEEE's for what a link's protocol field names.
"""

from typing import Final, NamedTuple

from hark.decode import wireless
from hark.recording import blocks

_IP: Final = {0x0800, 0x86DD}
_PPP_IP: Final = {0x0021, 0x0057}
_PPP_MPLS: Final = {0x0281, 0x0283}
_LABELS: Final = 16  # MPLS labels and tags that are skipped in one frame

# Link types with a protocol field: its offset, and that of the payload which it names.
_TYPED: Final = {
    blocks.ETHERNET: (12, 14),
    blocks.SLL: (14, 16),
    blocks.SLL2: (0, 20),
    104: (2, 4),  # Cisco HDLC
    274: (20, 22),  # Ethernet with its preamble
    240: (16, 18),  # netANALYZER
}
# Link types with a header of fixed size before IP: what follows must parse as IP anyway.
_FIXED: Final = {
    blocks.RAW: 0,
    12: 0,  # LINKTYPE_RAW as some systems write it
    14: 0,
    blocks.IPV4: 0,
    blocks.IPV6: 0,
    blocks.NULL: 4,
    blocks.LOOP: 4,
    109: 12,  # OpenBSD's enc
}
# Link types with a header of fixed size before LLC (RFC 1042): Token Ring, FDDI, ATM, IP over Fibre Channel.
_LLC: Final = {6: 14, 10: 13, 100: 0, 122: 16}
_PPP: Final = {9: 0, 50: 0, 51: 6, 204: 1}  # the last two: PPPoE's header, a byte for the direction
_WIRELESS: Final = frozenset({105, 119, 127, 163, 192})
_COOKED_WIRELESS: Final = {801: 105, 802: 119, 803: 127}  # Linux's ARPHRD_ numbers
NFLOG: Final = 239
PFLOG: Final = 117
MPLS: Final = 219
FRAME_RELAY: Final = 107
PKTAP: Final = 258


def network(data: memoryview, link: int) -> int:
    """The offset of the IP header in a frame of this link type; -1 if there is none."""
    fixed = _FIXED.get(link)
    if fixed is not None:
        return fixed
    typed = _TYPED.get(link)
    if typed is not None:
        at, body = typed
        if len(data) < body:
            return -1
        kind = data[at] << 8 | data[at + 1]
        if kind in _IP:
            return body
        if link in (blocks.SLL, blocks.SLL2):
            return _cooked(data, kind, body, link)
        return payload(data, kind, body)
    if link in _WIRELESS:
        at = wireless.llc(data, link)
        return llc(data, at) if at >= 0 else -1
    if link in _LLC:
        return llc(data, _LLC[link])
    if link in _PPP:
        return ppp(data, _PPP[link])
    return _rare(data, link)


def _rare(data: memoryview, link: int) -> int:
    if link == NFLOG:
        return _nflog(data)
    if link == PFLOG:
        return (data[0] + 3) & ~3 if len(data) else -1
    if link == MPLS:
        return _mpls(data, 0)
    if link == FRAME_RELAY:  # RFC 2427: an address of two bytes, then the network layer's number
        if bytes(data[2:4]) in (b"\x03\xcc", b"\x03\x8e"):
            return 4
        return llc(data, 5, snap=True) if bytes(data[2:5]) == b"\x03\x00\x80" else -1
    if link == PKTAP and len(data) >= 12:  # Apple's: a header before another link type
        size, inside = int.from_bytes(data[:4], "little"), int.from_bytes(data[8:12], "little")
        if 12 <= size <= len(data) and inside != PKTAP:
            at = network(data[size:], inside)
            return size + at if at >= 0 else -1
    return -1


_NAMES: Final = {
    0x0806: "ARP",
    0x8035: "RARP",
    0x88CC: "LLDP",
    0x888E: "EAPOL",
    0x8847: "MPLS",
    0x8863: "PPPoE discovery",
}
HARMLESS: Final = frozenset({"ARP", "RARP", "LLDP", "EAPOL", "PPPoE discovery", "LLC", "802.11 management"})


def name(data: memoryview, link: int) -> str:
    """The protocol of a frame without IP. Those in HARMLESS never carry HTTP."""
    if link in _WIRELESS:
        return wireless.name(data, link)
    if link not in _TYPED:
        known = link in _FIXED or link in _LLC or link in _PPP or link in (NFLOG, PFLOG, MPLS, FRAME_RELAY, PKTAP)
        return "no IP" if known else f"link type {link}"
    at, body = _TYPED[link]
    kind = data[at] << 8 | data[at + 1] if len(data) >= body else 0
    for _ in range(_LABELS):
        if kind not in _TAGS or len(data) < body + _TAGS[kind]:
            break
        body += _TAGS[kind]
        kind = data[body - 2] << 8 | data[body - 1]
    if kind in _NAMES:
        return _NAMES[kind]
    return "LLC" if 0 < kind < 0x600 else f"ethertype 0x{kind:04x}" if kind else "no IP"


# -- what a protocol field names ---------------------------------------------------------------------------------------

# Tags before another protocol field, by size in bytes: 802.1Q, 802.1ad and their older numbers; VN-Tag, 802.1BR, Cisco.
_TAGS: Final = {0x8100: 4, 0x88A8: 4, 0x9100: 4, 0x9200: 4, 0x9300: 4, 0x8926: 6, 0x893F: 8, 0x8909: 8}
_PPPOE: Final = 0x8864
_ETHERNET: Final = 0x6558
_BACKBONE: Final = 0x88E7
_LABELLED: Final = (0x8847, 0x8848)


def ethernet(data: memoryview, at: int = 0) -> int:
    """The offset of the IP header in an Ethernet frame at `at`; -1 if there is none."""
    return payload(data, data[at + 12] << 8 | data[at + 13], at + 14) if at + 14 <= len(data) else -1


def payload(data: memoryview, kind: int, at: int, depth: int = 0) -> int:
    """The offset of the IP header in a payload at `at` of the protocol `kind` (an EtherType); -1 if there is none.
    depth: how many Ethernet frames it is inside of."""
    for _ in range(_LABELS):
        if kind in _IP:
            return at
        if kind not in _TAGS or at + _TAGS[kind] > len(data):
            break
        at += _TAGS[kind]
        kind = data[at - 2] << 8 | data[at - 1]
    if kind == _PPPOE:
        return ppp(data, at + 6)
    if kind in _LABELLED:
        return _mpls(data, at, depth)
    if kind == 0x880B:  # PPP without PPPoE
        return ppp(data, at)
    if kind < 0x600:  # a length (IEEE 802.3): LLC follows
        return llc(data, at)
    if kind in (_ETHERNET, _BACKBONE) and not depth:
        at += 4 if kind == _BACKBONE else 0
        return payload(data, data[at + 12] << 8 | data[at + 13], at + 14, 1) if at + 14 <= len(data) else -1
    return -1


def llc(data: memoryview, at: int, snap: bool = False) -> int:
    """The offset of IP after an LLC header (RFC 1042), or after its SNAP part alone; -1 if there is none."""
    if not snap:
        start = bytes(data[at : at + 3])
        if start == b"\x06\x06\x03":
            return at + 3
        if start != b"\xaa\xaa\x03":
            return -1
        at += 3
    if at + 5 > len(data) or bytes(data[at : at + 3]) not in (b"\0\0\0", b"\0\0\xf8"):
        return -1
    kind = data[at + 3] << 8 | data[at + 4]
    return payload(data, kind, at + 5) if kind >= 0x600 else -1


def ppp(data: memoryview, at: int) -> int:
    """The offset of IP in PPP (RFC 1661); -1 if there is none. The address and control bytes may be left out, and so
    may the protocol field's first byte."""
    if bytes(data[at : at + 2]) == b"\xff\x03":
        at += 2
    if at >= len(data):
        return -1
    if data[at] & 1:
        return at + 1 if data[at] in _PPP_IP else -1
    kind = data[at] << 8 | data[at + 1] if len(data) > at + 1 else 0
    if kind in _PPP_MPLS:
        return _mpls(data, at + 2)
    return at + 2 if kind in _PPP_IP else -1


def _mpls(data: memoryview, at: int, depth: int = 0) -> int:
    """The offset of IP after a stack of labels (RFC 3032); -1 if there is none. What follows is not named: IP, or
    Ethernet, perhaps after a control word (RFC 4448)."""
    for _ in range(_LABELS):
        if at + 4 > len(data):
            return -1
        at += 4
        if data[at - 2] & 1:
            break
    if at >= len(data):
        return -1
    if data[at] >> 4 in (4, 6) and looks_like_ip(data, at, len(data)):
        return at
    if depth:
        return -1
    found = payload(data, _ETHERNET, at + 4) if data[at] >> 4 == 0 else -1
    return found if found >= 0 else payload(data, _ETHERNET, at)


def looks_like_ip(data: memoryview, at: int, end: int) -> bool:
    """Whether an IP header may begin here, for protocols that do not name their payload."""
    if end - at < 20:
        return False
    if data[at] >> 4 == 4:
        total = data[at + 2] << 8 | data[at + 3]
        return data[at] & 15 >= 5 and (total >= 20 or not total)
    return data[at] >> 4 == 6 and end - at >= 40


def _cooked(data: memoryview, kind: int, at: int, link: int) -> int:
    """Linux's cooked captures: the protocol field may be Linux's own, and the kind of device decides then."""
    device = data[2] << 8 | data[3] if link == blocks.SLL else data[8] << 8 | data[9]
    if device in _COOKED_WIRELESS:
        found = network(data[at:], _COOKED_WIRELESS[device])
        return at + found if found >= 0 else -1
    if kind in (0x0001, 0x0004):  # 802.3 frames without LLC, and with it
        return llc(data, at)
    found = payload(data, kind, at) if kind >= 0x600 else -1
    if found < 0 and kind not in _NAMES and looks_like_ip(data, at, len(data)):
        return at
    return found


def _nflog(data: memoryview) -> int:
    """Netfilter's log: the packet is one of several attributes, each with a length in the host's order."""
    at = 4
    while at + 4 <= len(data):
        size, kind = data[at] | data[at + 1] << 8, data[at + 2] | data[at + 3] << 8
        if size < 4:
            return -1
        if kind & 0x7FFF == 9:
            return at + 4
        at += (size + 3) & ~3
    return -1


class Pdu(NamedTuple):
    """A payload that Wireshark has exported: the dissector's name, both ends, the offset of the payload."""

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
