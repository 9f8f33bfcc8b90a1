"""Link headers: where the IP packet begins in a frame, for every link type that hark reads.

May hold: the table and the parsing of link headers. May not hold: anything above IP.
Numbers are the pcap registry's LINKTYPE_ values.
"""

from hark.recording import blocks

_IP = {0x0800, 0x86DD}
_VLAN = {0x8100, 0x88A8, 0x9100}
_PPPOE = 0x8864
_PPP_IP = {0x0021, 0x0057}
PPP, PPP_HDLC, UPPER_PDU = 9, 50, 252

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
