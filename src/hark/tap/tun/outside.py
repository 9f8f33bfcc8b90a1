"""What tcp.py asks for: the interface between the states of flows and the sockets that stand for them.

May hold: the protocol and the values in it. May not hold: what is done.
"""

from typing import TYPE_CHECKING, Protocol

from hark.tap.tun.device import Device
from hark.tap.tun.flows import Address, Arrival, Flow, Held, State

if TYPE_CHECKING:
    from hark.system.netlink import Settings


class Outside(Protocol):
    """What is done for the flows."""

    def look(self, client: Address, server: Address, data: bytes) -> Arrival:
        """Find out about a SYN that has just come."""

    def record(self, data: bytes, pid: int = 0) -> None:
        """Record a packet as it came."""

    def hand(self, data: bytes, vnet: bytes) -> None:
        """Hand a packet back as it came."""

    def forward(self, flow: Flow, packet: bytes, vnet: bytes) -> None:
        """Let a packet of the program go on to our listener."""

    def answer(self, packet: bytes, device: Device | None) -> None:
        """Record a packet of our making and hand it to the program."""

    def unreachable(self, target: bytes, packet: bytes, name: str, device: Device | None) -> None:
        """Answer with the ICMP error for that errno."""

    def connect(self, flow: Flow, held: Held, settings: "Settings | None") -> None:
        """Begin the real connect; Tcp.decided() is called with what came of it, at once or later."""

    def abandon(self, state: State) -> None:
        """The program has given up: end what stands for its connection."""

    def forget(self, flow: Flow) -> None:
        """Nat.close() it when its last packets have passed."""
