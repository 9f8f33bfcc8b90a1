"""The network that the devices represent: interfaces and addresses, and the addresses that the NAT plane adds.

May hold: values. May not hold: how they are read (namespace/host.py) or made (namespace/mirror.py).
"""

from __future__ import annotations

import socket

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LOOPBACK_INDEX: Final = 1  # lo's in every network namespace
# No ephemeral range and no ordinary program uses tcpmux: a bind to 0.0.0.0 does not meet our listener.
LISTEN_PORT: Final = 1
# RFC 2544's benchmark network: never routed, and no host address, so that nothing real is shadowed by it. It is in
# no table that a program looks at. Device number d has the peers 198.18.(104 + d).2 and on.
HERE4: Final = bytes([198, 18, 104, 1])
# The documentation prefix with "hark". Device d has the peers ::d02 and on.
HERE6: Final = bytes.fromhex("20010db86861726b0000000000000001")
OWN_NAME: Final = "hark0"  # the device if the host has no Ethernet interface
OWN_MAC: Final = bytes.fromhex("026861726b00")
_HOST: Final = 254  # the scope of 127.0.0.1


class Link(Record):
    """One interface."""

    ifindex: int
    name: str
    mac: bytes  # empty where it is no Ethernet: it becomes a point-to-point interface


class Address(Record):
    """One address of one interface."""

    family: int
    prefix: int
    flags: int
    scope: int
    ifindex: int
    local: bytes
    peer: bytes  # what IFA_ADDRESS says: the other end, or the same
    broadcast: bytes
    label: bytes
    deprecated: bool


class Network(Record):
    """What the namespace is to have. Routes and rules are messages' bodies, ready to be sent."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[bytes, ...] = ()
    rules: tuple[bytes, ...] = ()
    held: tuple[tuple[int, bytes, int], ...] = ()  # (family, network, prefix) that the host's routes forbid

    def has_six(self) -> bool:
        """Whether the host has IPv6 at all."""
        return any(address.family == socket.AF_INET6 for address in self.addresses)

    def is_global(self, family: int) -> bool:
        """Whether the host has an address of that family which is more than link-local."""
        return any(
            address.family == family and (not address.scope or (family == socket.AF_INET and address.scope < _HOST))
            for address in self.addresses
        )

    def own(self) -> frozenset[bytes]:
        """All addresses of the host."""
        return frozenset(address.local for address in self.addresses)

    def broadcasts(self) -> frozenset[bytes]:
        """The broadcast addresses of the host's networks."""
        return frozenset(address.broadcast for address in self.addresses if address.broadcast)


def links(network: Network) -> tuple[Link, ...]:
    """The interfaces to make, in the order of their numbers. The first is an Ethernet one: it carries ::1, whatever
    has no interface of its own, and what leaves by lo."""
    ordered = sorted(network.links, key=lambda link: not link.mac)  # stable: those with a default route stay in front
    if not ordered or not ordered[0].mac:
        ordered.insert(0, Link(0, OWN_NAME, OWN_MAC))
    return tuple(ordered)


def peers(number: int, width: int) -> bytes:
    """The network of a device's NAT peers: an address with a last octet of 0."""
    if width == 16:
        return HERE6[:14] + bytes([number, 0])
    return bytes([HERE4[0], HERE4[1], HERE4[2] + number, 0])
