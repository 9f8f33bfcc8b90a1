"""Makes the host's network inside the namespace: a TAP or TUN device for each interface, and hark's own tables.

What   The devices with the host's names, indexes, MAC addresses, addresses, routes and rules (host.py); before
       them tables of our own, which send to a device what the kernel would keep on lo: 127.0.0.0/8, the host's own
       addresses, and the peers of the NAT plane. Only TCP and UDP are looked up there.
lo     The kernel drops ::1 on any interface but lo and gives it no route elsewhere, nor to a socket bound to lo: a
       filter on lo's egress redirects both to the first device; what goes back is written to a packet socket on lo.
TCP    What the host's routes forbid or do not know is sent to the first device as well: the real connect on the host
       fails as the program's would have, and is recorded.
Limits What cannot be made (an index that is taken, a rule of a newer kernel) is left out. TAP devices have NOARP set;
       a TUN is used for an interface that is not Ethernet.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from hark.system import netlink
from hark.system.netlink import LOCAL_TABLE, Match, Route
from hark.tap.namespace import host as hosts
from hark.tap.namespace.host import HELD_TABLE, LAST_TABLE, TABLE
from hark.tap.tun.network import HERE4, HERE6, LOOPBACK_INDEX, Address, Link, Network, peers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MTU: Final = 65521  # a TAP's largest: no datagram that a program can send to the Internet needs fragments
QUEUE: Final = 32768  # packets that wait for us; the default of 500 loses some when 10,000 connections speak at once

_TUNSETIFF: Final = 0x400454CA
_TUNSETOFFLOAD: Final = 0x400454D0
_TUNSETIFINDEX: Final = 0x400454DA
_IFF_TUN: Final = 0x0001
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_IFF_VNET_HDR: Final = 0x4000
_OFFLOAD_CSUM_TSO4_TSO6: Final = 1 | 2 | 4
_SIOCGIFINDEX: Final = 0x8933
_LOOPBACK6: Final = bytes(15) + b"\1"
_LAST_PRIORITY: Final = 32768  # after the rules for the main and default tables
# On packets that hark writes to lo: they are for a socket here, whatever their addresses. No program can set it.
LO_MARK: Final = 0x6861726B
# What is redirected from lo: TCP and UDP by the protocol octet, in the word at offset 8 of an IPv4 header (RFC 791
# §3.1), in that at offset 4 of an IPv6 header (RFC 8200 §3). IPv4 datagrams to a group, 224.0.0.0/4, stay here.
_FOUR: Final = 0x0800
_SIX: Final = 0x86DD
# Mask, shift, offset
_PROTOCOL4: Final = (0x00FF0000, 16, 8)
_PROTOCOL6: Final = (0x0000FF00, 8, 4)
_DESTINATION4: Final = 16
_UNICAST4: Final = ((0x80, 0), (0xC0, 0x80), (0xE0, 0xC0))  # mask and value of the destination's first octet


def _protocol(place: tuple[int, int, int], proto: int) -> tuple[int, int, int]:
    mask, shift, offset = place
    return mask, proto << shift, offset


LEAVES_LO: Final = (
    *(Match(1, _SIX, (_protocol(_PROTOCOL6, proto),)) for proto in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)),
    Match(2, _FOUR, (_protocol(_PROTOCOL4, socket.IPPROTO_TCP),)),
    *(
        Match(2, _FOUR, (_protocol(_PROTOCOL4, socket.IPPROTO_UDP), (mask << 24, value << 24, _DESTINATION4)))
        for mask, value in _UNICAST4
    ),
)


def open_device(link: Link) -> int:
    """Make the device; its descriptor. Raises OSError."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    kind = _IFF_TAP if link.mac else _IFF_TUN
    request = struct.pack("16sH22x", os.fsencode(link.name), kind | _IFF_NO_PI | _IFF_VNET_HDR)
    try:
        if link.ifindex:
            fcntl.ioctl(fd, _TUNSETIFINDEX, struct.pack("I", link.ifindex))
        fcntl.ioctl(fd, _TUNSETIFF, request)
        fcntl.ioctl(fd, _TUNSETOFFLOAD, _OFFLOAD_CSUM_TSO4_TSO6)
    except OSError:
        os.close(fd)
        raise
    return fd


def index_of(name: str) -> int:
    """The index that an interface has in this namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16s16x", os.fsencode(name))
        return int(struct.unpack_from("i", fcntl.ioctl(control, _SIOCGIFINDEX, request), 16)[0])


def build(network: Network, made: list[tuple[int, Link]]) -> bool:
    """Give the devices that were made, by number, what the host's have; whether ::1 crosses the first of them. Raises
    OSError where what hark itself needs cannot be made."""
    route = Route()
    try:
        route.up(LOOPBACK_INDEX)
        indexes = {LOOPBACK_INDEX: LOOPBACK_INDEX}
        for _, link in made:
            index = index_of(link.name)
            indexes[link.ifindex] = index
            route.up(index, MTU, QUEUE, link.mac)
        families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6) if network.has_six() else (socket.AF_INET,)
        for family in families:
            _before_the_hosts(route, network, made, family)
        for address in network.addresses:
            _try(route, netlink.NEWADDR, hosts.address_message(address, indexes.get(address.ifindex, 0)))
        carrier = index_of(made[0][1].name)
        for body in network.routes:
            _try(route, netlink.NEWROUTE, body)
            _over_lo(route, network, body, carrier)
        for body in network.rules:
            _try(route, netlink.NEWRULE, body)
        for address in network.addresses:
            _own(route, address, indexes.get(address.ifindex, 0), carrier)
        for family, net, prefix in network.held:
            _try_route(route, HELD_TABLE, family, carrier, net, prefix)
        return network.has_six() and _try_redirect(route, carrier)
    finally:
        route.close()


def update(route: Route, old: Network, new: Network, carrier: int, indexes: dict[int, int]) -> None:
    """Make the namespace follow the host: `indexes` are those of the devices inside by the host's. What belongs to an
    interface that has come since is given to the first device, whose index is `carrier`."""
    to = {LOOPBACK_INDEX: LOOPBACK_INDEX} | indexes
    there = {(address.ifindex, address.local, address.prefix) for address in new.addresses}
    for address in old.addresses:
        if (address.ifindex, address.local, address.prefix) not in there:
            index = to.get(address.ifindex, carrier)
            _try(route, netlink.DELADDR, hosts.address_message(address, index))
            _own(route, address, index, carrier, netlink.DELROUTE)
    for kind, before, after in (
        (netlink.DELROUTE, old.routes, new.routes),
        (netlink.DELRULE, old.rules, new.rules),
    ):
        for body in before:
            if body not in after:
                _try(route, kind, _placed(body, to, carrier) if kind == netlink.DELROUTE else body)
    for address in new.addresses:
        if address not in old.addresses:
            index = to.get(address.ifindex, carrier)
            _try(route, netlink.NEWADDR, hosts.address_message(address, index), netlink.REPLACE)
            _own(route, address, index, carrier)
    for body in new.routes:
        if body not in old.routes:
            _try(route, netlink.NEWROUTE, _placed(body, to, carrier))
    for body in new.rules:
        if body not in old.rules:
            _try(route, netlink.NEWRULE, body)


def _placed(body: bytes, to: dict[int, int], carrier: int) -> bytes:
    """A route over the device that represents its interface."""
    found = netlink.attributes(body, 12)
    if 4 not in found:
        return body
    found[4] = struct.pack("=i", to.get(struct.unpack("=I", found[4])[0], carrier))
    return body[:12] + b"".join(netlink.attribute(number, value) for number, value in found.items())


def _before_the_hosts(route: Route, network: Network, made: list[tuple[int, Link]], family: int) -> None:
    """The rules and routes that hark works with."""
    width = 4 if family == socket.AF_INET else 16
    route.delete_rule(family, 0, LOCAL_TABLE)
    route.rule(family, 0, LOCAL_TABLE, mark=LO_MARK)
    for proto in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        route.rule(family, 0, TABLE, proto, "lo")
    if any(held[0] == family for held in network.held):
        route.rule(family, 0, HELD_TABLE, socket.IPPROTO_TCP, "lo")
    route.rule(family, 0, LOCAL_TABLE)
    carrier = index_of(made[0][1].name)
    # Our listeners' address is one by a local route: no interface shows it.
    route.route(LOCAL_TABLE, family, LOOPBACK_INDEX, HERE4 if width == 4 else HERE6, 8 * width, kind=2)
    for number, link in made:
        route.route(TABLE, family, index_of(link.name), peers(number, width), 8 * width - 8)
    if width == 4:
        route.route(TABLE, family, carrier, b"\x7f\0\0\0", 8, b"\x7f\0\0\1")
    if network.is_global(family):
        route.route(LAST_TABLE, family, carrier)
        route.rule(family, _LAST_PRIORITY, LAST_TABLE, socket.IPPROTO_TCP, "lo")


def _own(route: Route, address: Address, index: int, carrier: int, kind: int = netlink.NEWROUTE) -> None:
    """Send what is for one of the host's own addresses to a device, as the host may have a server there."""
    if (len(address.local) == 4 and address.local[0] == 127) or address.local == _LOOPBACK6:
        return
    target = carrier if index in (0, LOOPBACK_INDEX) else index
    _try_route(route, TABLE, address.family, target, address.local, 8 * len(address.local), address.local, kind)


def _over_lo(route: Route, network: Network, body: bytes, carrier: int) -> None:
    """A route over lo leads to what nobody answers from: the packets are to be seen."""
    by_the_kernel = 2  # an address brings it along
    found = netlink.attributes(body, 12)
    if body[5] == by_the_kernel or found.get(4) != struct.pack("=I", LOOPBACK_INDEX) or 1 not in found:
        return
    sources = [
        address.local
        for address in network.addresses
        if address.ifindex == LOOPBACK_INDEX and address.family == body[0] and not address.scope
    ]
    _try_route(route, TABLE, body[0], carrier, found[1], body[1], found.get(7) or b"".join(sources[:1]))


def _try(route: Route, kind: int, body: bytes, how: int = netlink.EXCL) -> bool:
    """Make or remove one thing of the host's; whether that went. EEXIST: the kernel has made it by itself."""
    flags = netlink.CREATE | (netlink.APPEND if kind == netlink.NEWROUTE else how)  # several routes to one network
    try:
        route.call(kind, 0 if kind in (netlink.DELADDR, netlink.DELROUTE, netlink.DELRULE) else flags, body, "mirror")
    except OSError:
        return False
    return True


def _try_route(
    route: Route,
    table: int,
    family: int,
    index: int,
    to: bytes,
    prefix: int,
    source: bytes = b"",
    message: int = netlink.NEWROUTE,
) -> bool:
    try:
        route.route(table, family, index, to, prefix, source, message=message)
    except OSError:
        return False  # e.g. the same address on two interfaces
    return True


def _try_redirect(route: Route, carrier: int) -> bool:
    """Have what leaves by lo go to the device; False where the kernel lacks the parts for it: then it stays on lo."""
    try:
        route.redirect(LOOPBACK_INDEX, carrier, LEAVES_LO)
    except OSError:
        return False
    return True
