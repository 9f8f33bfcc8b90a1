"""One interface of the namespace, as the capture process has it.

May hold: a descriptor and the headers that packets need on it. May not hold: what packets mean.
"""

from __future__ import annotations

import os

from hark.tap.tun.network import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ETHERTYPES: Final = (b"\x08\0", b"\x86\xdd")  # IPv4, IPv6


class Device:
    """One interface of the namespace: a descriptor, and the Ethernet header that its packets need, if any."""

    __slots__ = ("fd", "four", "index", "name", "number", "scratch", "six")

    def __init__(self, fd: int, number: int, link: Link, ethernet: bool) -> None:
        self.fd = fd
        self.number = number  # among the devices: chooses the network of its NAT peers
        self.name = link.name
        self.index = link.ifindex  # of the host's interface, 0 where there is none
        # To the device and from it. Nobody looks at the second.
        self.four, self.six = (link.mac * 2 + kind if ethernet else b"" for kind in _ETHERTYPES)
        self.scratch = bytearray(len(self.four))  # where the header of a packet that is read goes

    def write(self, vnet: bytes | bytearray, packet: bytes) -> None:
        """Hand the kernel a packet. Raises OSError."""
        os.writev(self.fd, (vnet, self.four if packet[0] >> 4 == 4 else self.six, packet))
