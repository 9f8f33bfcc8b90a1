"""The host's network as far as a program can see it: interfaces, addresses, routes and rules.

What   One look by rtnetlink, before the namespace is entered; `mirror` makes the same inside. With the same
       addresses, routes and rules the kernel inside chooses the same source address, so that getaddrinfo gives the
       order that it gives on the host (RFC 6724), getsockname() shows the host's address, and a zone names a link.
Why    Each answer that a program could get from an own model of these choices would be wrong somewhere.
Limits LINKS interfaces, those with a default route first; ADDRESSES addresses and ROUTES routes of each family. Of
       multipath routes over nexthop objects and routes with an encapsulation the destination is mirrored, not how it
       is reached.
"""

from __future__ import annotations

import socket
import struct

from hark.system import netlink
from hark.system.netlink import Route, attribute, attributes
from hark.tap.tun.network import LOOPBACK_INDEX, Address, Link, Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LINKS: Final = 16  # interfaces mirrored: each costs half a millisecond of the start
ADDRESSES: Final = 256  # mirrored: each costs 20 microseconds; the others are reached as any host's are
ROUTES: Final = 1000  # a family's: a router with the whole table of the Internet must not hold up the start
# Our own tables (their number spells "hark"), left out when hark runs under hark.
TABLE: Final = 0x6861726B  # what the host has for itself: loopback and its own addresses
HELD_TABLE: Final = TABLE + 1  # TCP for networks that the host's routes forbid
LAST_TABLE: Final = TABLE + 2  # TCP for what has no route
_OURS: Final = (TABLE, HELD_TABLE, LAST_TABLE)

_UP: Final = 1
_LOOPBACK: Final = 8
_ETHER: Final = 1
_CLONED: Final = 0x200
# Route types; blackhole, unreachable, prohibit
_UNICAST: Final = 1
_FORBIDDING: Final = (6, 7, 8)
_FOREVER: Final = 0xFFFFFFFF
# Address flags. IPv4 has "secondary" where IPv6 has "temporary".
_TEMPORARY: Final = 0x01
_DEPRECATED: Final = 0x20
_MANAGED: Final = 0x100
_NODAD: Final = 0x02
_REFUSED: Final = 0x08  # somebody else on the link has the address (RFC 4862 §5.4)
_KEPT4: Final = 0x200 | 0x400  # address flags that can be set: noprefixroute, autojoin
_KEPT6: Final = _KEPT4 | 0x10  # and home


def look(uid: int) -> Network:
    """Read it all; `uid` is whose rules count. An old kernel's refusal of one table leaves that one empty."""
    route = Route()
    try:
        links = [link for link in map(_link, route.dump(netlink.GETLINK, _link_request())) if link is not None]
        addresses = [_address(body) for body in route.dump(netlink.GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0))]
        routes: list[bytes] = []
        rules: list[bytes] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            request = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)
            routes += route.dump(netlink.GETROUTE, request, ROUTES)
            rules += route.dump(netlink.GETRULE, request)
    finally:
        route.close()
    shown = _chosen(links, addresses, routes)
    known = {link.ifindex for link in shown} | {LOOPBACK_INDEX}
    kept = _without_stable([address for address in addresses if address is not None and address.ifindex in known])
    # In the order in which they came to be: the kernel lists the newest IPv6 address first, and the oldest IPv4 one. A
    # secondary IPv4 address comes after its primary one.
    four = sorted((address for address in kept if len(address.local) == 4), key=lambda address: address.flags & 1)
    kept = [*four[:ADDRESSES], *reversed([address for address in kept if len(address.local) == 16][:ADDRESSES])]
    ready = [body for body in (_route(body, known) for body in routes) if body]
    ready.sort(key=lambda body: 5 in attributes(body, 12))  # gateways are reached by the routes without one
    rewritten = [body for body in (_rule(body, uid) for body in rules) if body]
    held = [held for held in map(_forbidden, routes) if held is not None]
    return Network(tuple(shown), tuple(kept), tuple(ready), tuple(rewritten), tuple(held))


def _link_request() -> bytes:
    without_statistics = 8
    return bytes(16) + attribute(29, struct.pack("=I", without_statistics))


def _link(body: bytes) -> Link | None:
    """An interface that is up and not lo."""
    kind, index, flags = struct.unpack_from("=HiI", body, 2)
    if not flags & _UP or flags & _LOOPBACK:
        return None
    found = attributes(body, 16)
    mac = found.get(1, b"") if kind == _ETHER else b""
    return Link(index, found[3].rstrip(b"\0").decode(errors="surrogateescape"), mac if len(mac) == 6 else b"")


def _address(body: bytes) -> Address | None:
    family, prefix, flags, scope, index = struct.unpack_from("=BBBBi", body)
    found = attributes(body, 8)
    local = found.get(2) or found.get(1)
    if family not in (socket.AF_INET, socket.AF_INET6) or not local:
        return None
    if 8 in found:
        flags = struct.unpack("=I", found[8])[0]
    if family == socket.AF_INET6 and flags & _REFUSED:
        return None
    flags &= _KEPT6 | _TEMPORARY | _MANAGED | _DEPRECATED  # not whether it is still being tried
    preferred = struct.unpack_from("=I", found[6])[0] if 6 in found else _FOREVER
    deprecated = not preferred or bool(flags & _DEPRECATED)
    flags &= ~_DEPRECATED
    return Address(
        family,
        prefix,
        flags,
        scope,
        index,
        local,
        found.get(1, local),
        found.get(4, b""),
        found.get(3, b""),
        deprecated,
    )


def _chosen(links: list[Link], addresses: list[Address | None], routes: list[bytes]) -> list[Link]:
    """The interfaces to mirror: those with an address, those with a default route first."""
    with_address = {address.ifindex for address in addresses if address is not None}
    ways = set()
    for body in routes:
        found = attributes(body, 12)
        if not body[1] and 4 in found and body[7] == _UNICAST:
            ways.add(struct.unpack("=I", found[4])[0])
    candidates = [link for link in links if link.ifindex in with_address]
    candidates.sort(key=lambda link: (link.ifindex not in ways, not link.mac, link.ifindex))
    return candidates[:LINKS]


def _without_stable(addresses: list[Address]) -> list[Address]:
    """Temporary addresses (RFC 8981) cannot be made by hand as such. Where a network has one in use, its stable
    neighbours are marked as deprecated, so that the same one is chosen (RFC 6724, rule 7 by means of rule 3)."""
    networks = {
        (address.ifindex, address.local[:8])
        for address in addresses
        if len(address.local) == 16 and address.flags & _TEMPORARY and not address.deprecated
    }
    return [
        address._replace(deprecated=True)
        if len(address.local) == 16
        and not address.flags & _TEMPORARY
        and address.flags & _MANAGED
        and (address.ifindex, address.local[:8]) in networks
        else address
        for address in addresses
    ]


def _table(body: bytes, found: dict[int, bytes]) -> int:
    return int(struct.unpack("=I", found[15])[0]) if 15 in found else body[4]


def _route(body: bytes, known: set[int]) -> bytes:
    """A route as it is to be inside; empty where it is none of a program's business or cannot be made."""
    family, prefix, source, tos, _, protocol, scope, kind, flags = struct.unpack_from("=BBBBBBBBI", body)
    found = attributes(body, 12)
    table = _table(body, found)
    if flags & _CLONED or table == netlink.LOCAL_TABLE or table in _OURS:
        return b""
    if kind != _UNICAST and kind not in (*_FORBIDDING, 9):
        return b""
    if kind == _UNICAST and 9 not in found and struct.unpack("=I", found.get(4, bytes(4)))[0] not in known:
        return b""
    onlink = 4
    body = struct.pack("=BBBBBBBBI", family, prefix, source, tos, 0, protocol, scope, kind, flags & onlink)
    body += attribute(15, struct.pack("=I", table))
    kept = (1, 2, 5, 6, 7, 9, 18, 20) + ((4,) if kind == _UNICAST else ())
    return body + b"".join(attribute(number, value) for number, value in found.items() if number in kept)


def _forbidden(body: bytes) -> tuple[int, bytes, int] | None:
    """The network of a route that forbids: for TCP it is tried on the host, so that the attempt is recorded."""
    found = attributes(body, 12)
    if body[7] in _FORBIDDING and 1 in found and body[1] and _table(body, found) not in (*_OURS, netlink.LOCAL_TABLE):
        return body[0], found[1], body[1]
    return None


def _rule(body: bytes, uid: int) -> bytes:
    """A rule as it is to be inside; empty for those that every namespace has and those that are not about the user."""
    found = attributes(body, 12)
    table = _table(body, found)
    if table in _OURS or (table, 6 in found and struct.unpack("=I", found[6])[0]) in (
        (netlink.LOCAL_TABLE, False),
        (netlink.LOCAL_TABLE, 0),
        (netlink.MAIN_TABLE, 32766),
        (253, 32767),
    ):
        return b""
    if 20 in found and uid:  # a range of uids: inside there is only the user's
        first, last = struct.unpack("=II", found[20])
        if not first <= uid <= last:
            return b""
        found[20] = struct.pack("=II", uid, uid)
    kept = (1, 2, 3, 4, 6, 10, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24)
    found[15] = struct.pack("=I", table)
    family, to, source, tos, _, _, _, action, flags = struct.unpack_from("=BBBBBBBBI", body)
    permanent_unresolved_detached = 1 | 4 | 8 | 16
    head = struct.pack("=BBBBBBBBI", family, to, source, tos, 0, 0, 0, action, flags & ~permanent_unresolved_detached)
    return head + b"".join(attribute(number, value) for number, value in found.items() if number in kept)


def address_message(address: Address, index: int) -> bytes:
    """The request that gives interface `index` the address."""
    six = address.family == socket.AF_INET6
    flags = (address.flags & _KEPT6) | _NODAD if six else address.flags & _KEPT4
    body = struct.pack("=BBBBi", address.family, address.prefix, flags & 0xFF, address.scope, index)
    body += attribute(2, address.local) + attribute(1, address.peer) + attribute(8, struct.pack("=I", flags))
    if address.broadcast:
        body += attribute(4, address.broadcast)
    if address.label:
        body += attribute(3, address.label)
    if address.deprecated:
        body += attribute(6, struct.pack("=IIII", 0, _FOREVER, 0, 0))
    return body
