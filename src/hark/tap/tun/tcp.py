"""What becomes of each TCP packet that belongs to no flow in progress: connection attempts, and unknown packets.

May hold: the states of flows and what leads from one to the other. May not hold: a socket call, a clock; what is to be
done outside goes through `Outside` (outside.py, connections.py).

SYN    A connection attempt is held until the real connect is decided: connected, then the SYN goes on to our
       listener; refused, a reset; unreachable, the ICMP error; timed out, silence. So connect() fails as it would.

       Held --connected--> Released --accepted--> Relayed --closed--> Over
        |---refused, unreachable--> Over
        |---timed out--> Silent
       Local: both ends are in the namespace; packets are handed straight back.
"""

import errno

from hark.tap.tun.decisions import Action, Decisions
from hark.tap.tun.device import Device
from hark.tap.tun.flows import Address, Flow, Held, Local, Over, Released, Silent
from hark.tap.tun.nat import Nat, ends
from hark.tap.tun.network import HERE4, HERE6, LISTEN_PORT
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.tap.tun.outside import Outside


class Tcp:
    """The namespace's TCP flows."""

    def __init__(self, nat: Nat, outside: "Outside", decisions: Decisions) -> None:
        self._nat = nat
        self._outside = outside
        self._decisions = decisions
        self.expiring: dict[bytes, None] = {}  # flows by key whose packets are let fall

    def ended(self, flow: Flow, flags: int, inward: bool) -> None:
        """A FIN or RST of a flow has passed. One inside the namespace is forgotten after its reset or second FIN; one
        that our listener has not accepted yet ends with the program's reset: it gave up before the SYN was let go."""
        state = flow.state
        if isinstance(state, Local):
            state.fins |= 2 if inward else 1
            if flags & ip.RST or state.fins == 3:
                self._outside.forget(flow)
        elif isinstance(state, Released) and flags & ip.RST and not inward:
            self._abandon(flow)
            self._outside.forget(flow)

    def packet(self, packet: ip.Packet, data: bytes) -> None:
        """Take a TCP packet that is not part of a flow in progress: a SYN, or one that belongs to no flow."""
        segment = ip.tcp(data, packet.start, packet.end)
        if segment is None:
            return
        client, server = (packet.src, segment.sport), (packet.dst, segment.dport)
        key = ends(client, server)
        if segment.flags & (ip.SYN | ip.ACK) != ip.SYN:
            self._stranger(client, server, segment, data, key)
            return
        self.expiring.pop(key, None)
        turn = self._nat.turns.get(key)
        if turn is not None:
            if turn.flow.isn == segment.seq and self._again(turn.flow, data):
                return
            self._abandon(turn.flow)
            self._nat.close(turn.flow)
        self._syn(client, server, segment.seq, data)

    def _stranger(self, client: Address, server: Address, segment: ip.Segment, data: bytes, key: bytes) -> None:
        if segment.sport == LISTEN_PORT and client[0] in (HERE4, HERE6):
            return  # our own listener's last words about a flow that is closed
        self._outside.record(data)
        if not segment.flags & ip.RST and key not in self.expiring:
            # A flow of which we know nothing: answered as by a host that has crashed and come back.
            self._refuse(client, server, segment.ack, segment.seq, None)

    def _again(self, flow: Flow, data: bytes) -> bool:
        """A SYN was sent again; whether that has been seen to."""
        state = flow.state
        if isinstance(state, Released):
            self._outside.record(data, flow.owner.pid)
            self._outside.forward(flow, state.syn, state.vnet)
        elif isinstance(state, Held | Silent):
            self._outside.record(data, flow.owner.pid)  # the answer is still out
        else:
            return False
        return True

    def _abandon(self, flow: Flow) -> None:
        """The program has given up: end its real connection."""
        state, flow.state = flow.state, Over()
        self._outside.abandon(state)

    def _syn(self, client: Address, server: Address, isn: int, data: bytes) -> None:
        came = self._outside.look(client, server, data)
        self._outside.record(data, came.owner.pid)
        flow = self._nat.open(client, server, came.local, came.way, came.peers)
        flow.owner, flow.device, flow.inlet = came.owner, came.device, came.inlet
        flow.isn, flow.seen, flow.tos = isn, came.now, came.tos
        if came.local:
            self._outside.hand(data, came.vnet)
            return
        held = flow.state = Held(data, came.vnet)
        if self._decisions.connect(client, server, came.owner.pid).action is Action.REFUSE:
            self.decided(flow, held, errno.ECONNREFUSED)
        else:
            self._outside.connect(flow, held, came.settings)

    def decided(self, flow: Flow, held: Held, number: int) -> None:
        """The real connect has met errno `number`; 0: it is connected, by the socket in `held`. ECONNRESET: it was, and
        was reset at once: the program connects, and then is reset."""
        if flow.state is not held:
            return  # the program has given up meanwhile
        if number in (0, errno.ECONNRESET):
            released = flow.state = Released(held, None if number else held.sock)
            self._outside.forward(flow, released.syn, released.vnet)
        elif number == errno.ETIMEDOUT:
            flow.state = Silent()
        else:
            flow.state = Over()
            self._nat.close(flow)
            name = errno.errorcode.get(number, "")
            if name in ip.UNREACHABLE and number != errno.ECONNREFUSED:
                self._outside.unreachable(flow.server[0], held.syn, name, flow.device)
            else:
                self._refuse(flow.client, flow.server, 0, flow.isn + 1, flow.device)

    def accepted(self, peer: Address) -> tuple[Flow, Released] | None:
        """The flow whose connection our listener has accepted from `peer`; None where it has ended meanwhile."""
        flow = self._nat.accepted(peer)
        return (flow, flow.state) if flow is not None and isinstance(flow.state, Released) else None

    def _refuse(self, client: Address, server: Address, seq: int, ack: int, device: Device | None) -> None:
        packet = ip.rst_packet(server[0], client[0], server[1], client[1], seq, ack & 0xFFFFFFFF)
        self._outside.answer(packet, device)
