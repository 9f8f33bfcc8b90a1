"""IP packets inside of IP packets: where the inner one begins.

May hold: the parsing of tunnel headers. May not hold: state, encrypted tunnels.
Port numbers of UDP are not considered: fixed bits and lengths of a tunnel's header must agree with the inner packet.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

from hark.decode import link
from hark.wire import ip

_UDP: Final = 17
_GRE: Final = 47
_L2TP: Final = 115
_ETHERIP: Final = 97
_MPLS: Final = 137
_ERSPAN2: Final = 0x88BE
_ERSPAN3: Final = 0x22EB
_WCCP: Final = 0x883E
_PPTP: Final = 0x880B


def inner(data: memoryview, proto: int, start: int, end: int) -> int:
    """The offset of an IP packet inside another, whose payload of protocol `proto` begins at `start`; -1 if there is
    none."""
    if proto in (4, 41):  # RFC 2003, RFC 2473
        return start
    if proto == _UDP:
        at = start + 8
        if end - at < 20:
            return -1
        for probe in _probes(data[at]):
            found = probe(data, at, end)
            if found >= 0:
                return found
        return _bare(data, at, end)
    if proto == _GRE:
        return _gre(data, start, end)
    if proto == _ETHERIP and end - start > 16:  # RFC 3378
        return link.ethernet(data[:end], start + 2)
    if proto == _MPLS:  # RFC 4023
        return link.payload(data[:end], 0x8847, start)
    if proto == _L2TP:  # RFC 3931 §4.1.1.1: only the ends know the cookie's size, and whether a sublayer follows
        return next((at for size in (4, 8, 12, 16) if (at := _framed(data, start + size, end)) >= 0), -1)
    return -1


def _gre(data: memoryview, start: int, end: int) -> int:
    """RFC 2784, RFC 2890; version 1 is PPTP's (RFC 2637). NVGRE (RFC 7637) is GRE with a key around Ethernet."""
    if end - start < 4:
        return -1
    flags, kind = data[start] << 8 | data[start + 1], data[start + 2] << 8 | data[start + 3]
    at = start + 4 + sum(4 for bit in (0x8000, 0x2000, 0x1000) if flags & bit)
    if flags & 7 == 1 and kind == _PPTP:
        return link.ppp(data[:end], at + (4 if flags & 0x80 else 0))
    if flags & 7:
        return -1
    if kind == _ERSPAN2:  # type I has no header of its own, and no sequence number either
        return link.ethernet(data[:end], at + (8 if flags & 0x1000 else 0))
    if kind == _ERSPAN3:
        more = 8 if at + 12 <= end and data[at + 11] & 1 else 0
        return link.ethernet(data[:end], at + 12 + more)
    if kind == _WCCP:  # version 2 has a header of 4 bytes before it
        return at if link.looks_like_ip(data, at, end) else at + 4
    return link.payload(data[:end], kind, at)


def _framed(data: memoryview, at: int, end: int) -> int:
    """IP in an Ethernet frame whose own header has to be proof enough."""
    found = link.ethernet(data[:end], at) if at + 34 <= end else -1
    return found if found >= 0 and _fits(data, found, end) else -1


def _fits(data: memoryview, at: int, end: int) -> bool:
    """Whether there is a plausible IP header at `at`."""
    if not link.looks_like_ip(data, at, end):
        return False
    if data[at] >> 4 == 6:
        return data[at + 6] in _NEXT
    return ip.checksum(data[at : at + (data[at] & 15) * 4]) == 0 or data[at + 9] in (1, 6, 17)


_NEXT: Final = frozenset({0, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 60})  # what may follow an IPv6 header


def _vxlan(data: memoryview, at: int, end: int) -> int:
    """RFC 7348, with the bits of its extensions for groups and for the next protocol."""
    flags = data[at]
    if data[at + 7] or (flags == 0x08 and (data[at + 1] or data[at + 2] or data[at + 3])):
        return -1
    if flags & 0x04:  # VXLAN-GPE
        plain, at = data[at + 3] in (1, 2), at + 8
        return at if plain and _fits(data, at, end) else _framed(data, at, end)
    return _framed(data, at + 8, end)


def _geneve(data: memoryview, at: int, end: int) -> int:
    """RFC 8926: version 0, options by their length in words."""
    kind = data[at + 2] << 8 | data[at + 3]
    if data[at] >> 6 or data[at + 1] & 0x3F or data[at + 7]:
        return -1
    at += 8 + (data[at] & 0x3F) * 4
    if kind in (0x0800, 0x86DD):
        return at if _fits(data, at, end) else -1
    return _framed(data, at, end) if kind == 0x6558 else -1


def _gtp(data: memoryview, at: int, end: int) -> int:
    """GTP-U, version 1 (3GPP TS 29.281 §5): a G-PDU, its length exact, extension headers in a chain."""
    size = data[at + 2] << 8 | data[at + 3]
    if data[at + 1] != 0xFF or at + 8 + size < end:
        return -1
    body = at + 8
    if data[at] & 7:
        kind, body = data[at + 11], body + 4
        while kind and data[at] & 4 and body < end:
            step = data[body] * 4
            if not step or body + step > end:
                return -1
            kind, body = data[body + step - 1], body + step
    return body if _fits(data, body, end) else -1


def _l2tp(data: memoryview, at: int, end: int) -> int:
    """L2TP, version 2 (RFC 2661 §3.1): a data message, around PPP."""
    flags = data[at] << 8 | data[at + 1]
    if flags & 0x8000 or flags & 0x34F0 or flags & 15 != 2:
        return -1
    body = at + 6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:
        body += 2 + (data[body] << 8 | data[body + 1]) if body + 2 <= end else 2
    found = link.ppp(data[:end], body) if body < end else -1
    return found if found >= 0 and _fits(data, found, end) else -1


def _tzsp(data: memoryview, at: int, end: int) -> int:
    """TaZmen Sniffer Protocol: tags before a frame, here of Ethernet."""
    if data[at + 1] not in (0, 1) or data[at + 2] or data[at + 3] != 1:
        return -1
    at += 4
    while at + 2 <= end and data[at] != 1:
        at += 1 if not data[at] else 2 + data[at + 1]
    return _framed(data, at + 1, end)


def _bare(data: memoryview, at: int, end: int) -> int:
    """IP directly in UDP (Teredo, RFC 4380; FOU), or MPLS (RFC 7510)."""
    first = data[at]
    if first == 0x45:
        whole = at + (data[at + 2] << 8 | data[at + 3]) == end
        return at if whole and ip.checksum(data[at : at + 20]) == 0 else -1
    if first >> 4 == 6 and end - at >= 40:
        whole = at + 40 + (data[at + 4] << 8 | data[at + 5]) == end
        return at if whole and data[at + 6] in _NEXT else -1
    if data[at + 2] & 1 and link.looks_like_ip(data, at + 4, end) and data[at + 4] == 0x45:
        whole = at + 4 + (data[at + 6] << 8 | data[at + 7]) == end
        return at + 4 if whole and ip.checksum(data[at + 4 : at + 24]) == 0 else -1
    return -1


_Probe = Callable[[memoryview, int, int], int]
_L2TP_FIRST: Final = frozenset(a | b | c | d for a in (0, 0x40) for b in (0, 8) for c in (0, 2) for d in (0, 1))


@cache
def _probes(first: int) -> tuple[_Probe, ...]:
    """The tunnels that may begin with this byte."""
    found: list[_Probe] = []
    if first in (0x08, 0x88, 0x0C):
        found.append(_vxlan)
    if first < 0x40:
        found.append(_geneve)
    if 0x30 <= first < 0x38:
        found.append(_gtp)
    if first in _L2TP_FIRST:
        found.append(_l2tp)
    if first == 1:
        found.append(_tzsp)
    return tuple(found)
