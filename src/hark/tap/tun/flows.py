"""One TCP connection of the program, and its state.

May hold: values. May not hold: what to do about them (tcp.py), or how its packets are rewritten (nat.py).

  SYN ──► Held ──► Released ──► Relayed ──► Over      the server answered; our listener accepted; both are closed
           │          └──────────────────────►        the program gave up, or the server reset it meanwhile
           ├──► Silent                                no answer: the program's kernel times out by itself
           └──► Over                                  refused, unreachable
  SYN ──► Local ──► Over                              to a process of the tree
"""

import socket

from hark.record import Record
from hark.system.netlink import Settings
from hark.tap.tun.device import Device
from hark.tap.tun.owners import NOBODY, Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.tap.tun.relay import Relay

Address = tuple[bytes, int]


class Arrival(Record):
    """What is known of a SYN beside its bytes."""

    owner: Owner
    settings: Settings | None  # of the program's socket
    local: bool  # the server is in the namespace too
    device: Device  # by which it came
    inlet: Device  # by which it goes on to our listener
    way: Device | None  # by which packets go back to the program, where it is not the one that they come from
    peers: bytes  # the network of the made-up peers
    vnet: bytes  # the virtio header in front of it
    tos: int
    now: int  # ns since the epoch


class Held:
    """The SYN waits for the real connect. `sock` is the attempt in progress."""

    __slots__ = ("sock", "syn", "taken", "vnet")

    def __init__(self, syn: bytes, vnet: bytes) -> None:
        self.syn = syn
        self.vnet = vnet  # the virtio header in front of it
        self.sock: socket.socket | None = None
        self.taken = False  # somebody on the host has the program's port


class Silent:
    """The real connect has timed out: SYNs are swallowed until the program's own kernel gives up."""


class Released:
    """Connected; the SYN is on its way to our listener."""

    __slots__ = ("server", "syn", "vnet")

    def __init__(self, held: Held, server: socket.socket | None) -> None:
        self.syn = held.syn
        self.vnet = held.vnet
        self.server = server  # None: the server has reset the connection meanwhile


class Relayed:
    """Bytes are copied."""

    __slots__ = ("relay",)

    def __init__(self, relay: "Relay") -> None:
        self.relay = relay


class Local:
    """Between two processes of the tree: packets are handed straight back."""

    __slots__ = ("fins",)

    def __init__(self) -> None:
        self.fins = 0  # bit 0: the client has sent one, bit 1: the server has


class Over:
    """Closed; remembered for a while, so that its last packets find their way."""


State = Held | Silent | Released | Relayed | Local | Over


class Flow:
    """One TCP connection of the program."""

    __slots__ = ("back", "carried", "client", "device", "inlet", "isn", "key", "local", "owner", "peer", "seen",
                 "server", "state", "tos")  # fmt: skip

    def __init__(self, client: Address, server: Address, peer: Address, key: bytes, back: bytes, local: bool) -> None:
        self.client = client
        self.server = server
        self.peer = peer  # whom our listener sees
        self.key = key  # the program's packets' addresses and ports
        self.back = back  # our listener's packets' addresses and ports, or the server's own when local
        self.local = local
        self.state: State = Local() if local else Over()
        self.owner = NOBODY  # where the program's socket is to be found
        self.carried: tuple[int | bytes, ...] = ()  # what the real connection's socket was set to (sockopts.py)
        self.device: Device | None = None  # by which the SYN came, and answers of ours go back
        self.inlet: Device | None = None  # where the SYN goes on to our listener
        self.isn = 0  # the sequence number of the program's SYN
        self.tos = 0  # the type of service (IPv6: traffic class) of its packets, as the real connection has it
        self.seen = 0  # when it last sent a packet, ns since the epoch
