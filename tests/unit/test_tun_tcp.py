"""What becomes of connection attempts, as transcripts: what the program sends, what the real connect meets, and what
is then done, in order."""

import errno

import pytest

from hark.tap.tun.decisions import PASS, Action, Decision, Decisions
from hark.tap.tun.device import Device
from hark.tap.tun.flows import Address, Arrival, Flow, Held, Local, Over, Released, Silent, State
from hark.tap.tun.nat import Nat
from hark.tap.tun.network import HERE4, HERE6, LISTEN_PORT, Link
from hark.tap.tun.owners import Owner
from hark.tap.tun.tcp import Tcp
from hark.wire import ip

DEVICE = Device(-1, 0, Link(0, "eth0", bytes(6)), True)
CLIENT: Address = (ip.packed("192.0.2.7"), 40000)
SERVER: Address = (ip.packed("198.51.100.1"), 443)


class Script:
    """The world around, which writes down what is asked of it."""

    def __init__(self, decisions: Decisions | None = None) -> None:
        self.nat = Nat(HERE4, HERE6, LISTEN_PORT)
        self.tcp = Tcp(self.nat, self, decisions or Decisions())
        self.done: list[str] = []
        self.attempt: tuple[Flow, Held] | None = None
        self.local = False

    # -- what tcp.py asks for

    def look(self, client: Address, server: Address, data: bytes) -> Arrival:
        return Arrival(Owner(42, 3, 7), None, self.local, DEVICE, DEVICE, None, b"\xc6\x12\x68\0", bytes(10), 0, 1)

    def record(self, data: bytes, pid: int = 0) -> None:
        self.done.append(f"record {shown(data)} of {pid}")

    def hand(self, data: bytes, vnet: bytes) -> None:
        self.done.append(f"hand back {shown(data)}")

    def forward(self, flow: Flow, packet: bytes, vnet: bytes) -> None:
        self.done.append(f"forward {shown(packet)}")

    def answer(self, packet: bytes, device: Device | None) -> None:
        self.done.append(f"answer {shown(packet)}")

    def unreachable(self, target: bytes, packet: bytes, name: str, device: Device | None) -> None:
        self.done.append(f"answer {name} to {shown(packet)}")

    def connect(self, flow: Flow, held: Held, settings: object) -> None:
        self.attempt = (flow, held)
        self.done.append(f"connect {ip.text(flow.server[0])}:{flow.server[1]}")

    def abandon(self, state: State) -> None:
        self.done.append(f"abandon {type(state).__name__}")

    def forget(self, flow: Flow) -> None:
        self.done.append("forget")

    # -- the script

    def sends(self, flags: int, seq: int = 1000, ack: int = 0, client: Address = CLIENT) -> list[str]:
        """A packet of the program; what is done about it."""
        data = packet(client, SERVER, flags, seq, ack)
        parsed = ip.parse(data)
        assert parsed is not None
        self.done = []
        self.tcp.packet(parsed, data)
        return self.done

    def meets(self, number: int) -> list[str]:
        """The real connect ends with that errno; what is done about it."""
        assert self.attempt is not None
        self.done = []
        self.tcp.decided(*self.attempt, number)
        return self.done

    def state(self) -> type[State]:
        assert self.attempt is not None
        return type(self.attempt[0].state)


def packet(client: Address, server: Address, flags: int, seq: int, ack: int = 0) -> bytes:
    made = bytearray(ip.rst_packet(client[0], server[0], client[1], server[1], seq, ack))
    made[(20 if len(client[0]) == 4 else 40) + 13] = flags
    return bytes(made)


def shown(data: bytes) -> str:
    """A packet in two words: its flags and, where it has one, what it acknowledges."""
    parsed = ip.parse(data)
    assert parsed is not None
    segment = ip.tcp(data, parsed.start, parsed.end)
    assert segment is not None
    names = [name for name, bit in (("SYN", ip.SYN), ("RST", ip.RST), ("FIN", ip.FIN)) if segment.flags & bit]
    return f"{'+'.join(names) or 'data'}{f'/{segment.ack}' if segment.flags & ip.ACK else ''}"


SYN = ["record SYN of 42", "connect 198.51.100.1:443"]


def test_connected() -> None:
    script = Script()
    assert script.sends(ip.SYN) == SYN
    assert script.state() is Held
    assert script.meets(0) == ["forward SYN"]
    assert script.state() is Released


def test_refused_is_a_reset_that_acknowledges_the_syn() -> None:
    script = Script()
    script.sends(ip.SYN, seq=1000)
    assert script.meets(errno.ECONNREFUSED) == ["answer RST/1001"]
    assert script.state() is Over and not script.nat.turns


@pytest.mark.parametrize("name", sorted(set(ip.UNREACHABLE) - {"ECONNREFUSED"}))
def test_unreachable_is_the_icmp_error(name: str) -> None:
    script = Script()
    script.sends(ip.SYN)
    assert script.meets(getattr(errno, name)) == [f"answer {name} to SYN"]
    assert script.state() is Over and not script.nat.turns


def test_an_errno_that_no_packet_can_say_is_a_refusal() -> None:
    script = Script()
    script.sends(ip.SYN)
    assert script.meets(errno.EMFILE) == ["answer RST/1001"]


def test_silence_is_silence_however_often_it_is_asked() -> None:
    script = Script()
    script.sends(ip.SYN)
    assert script.sends(ip.SYN) == ["record SYN of 42"]  # the answer is still out
    assert script.meets(errno.ETIMEDOUT) == []
    assert script.state() is Silent
    assert script.sends(ip.SYN) == ["record SYN of 42"]


def test_a_repeated_syn_goes_on_when_the_first_has_gone_on() -> None:
    script = Script()
    script.sends(ip.SYN)
    script.meets(0)
    assert script.sends(ip.SYN) == ["record SYN of 42", "forward SYN"]


def test_the_same_ends_again_are_another_connection() -> None:
    """Another sequence number: the program has given the first one up, which is ended outside."""
    script = Script()
    script.sends(ip.SYN, seq=1000)
    first = script.attempt
    assert script.sends(ip.SYN, seq=5000) == ["abandon Held", *SYN]
    assert first is not None
    script.done = []
    script.tcp.decided(*first, 0)  # what the first connect meets is nobody's any more
    assert script.done == []
    assert script.meets(errno.ECONNREFUSED) == ["answer RST/5001"]


def test_a_reset_before_we_accept_ends_the_real_connection() -> None:
    script = Script()
    script.sends(ip.SYN)
    script.meets(0)
    assert script.attempt is not None
    script.done = []
    script.tcp.ended(script.attempt[0], ip.RST, False)
    assert script.done == ["abandon Released", "forget"]
    assert script.tcp.accepted(script.attempt[0].peer) is None


def test_connected_and_reset_at_once() -> None:
    """The program connects, and finds nobody behind it."""
    script = Script()
    script.sends(ip.SYN)
    assert script.meets(errno.ECONNRESET) == ["forward SYN"]
    assert script.attempt is not None
    found = script.tcp.accepted(script.attempt[0].peer)
    assert found is not None and found[1].server is None


def test_a_stranger_is_reset_and_a_strangers_reset_is_not() -> None:
    script = Script()
    assert script.sends(ip.ACK, seq=7, ack=77) == ["record data/77 of 0", "answer RST/7"]
    assert script.sends(ip.RST) == ["record RST of 0"]


def test_our_listeners_last_words_are_nobodys() -> None:
    script = Script()
    assert script.sends(ip.ACK, client=(HERE4, LISTEN_PORT)) == []


def test_packets_of_a_connection_that_is_timing_out_are_let_fall() -> None:
    script = Script()
    script.sends(ip.SYN)
    script.meets(0)
    assert script.attempt is not None
    flow = script.attempt[0]
    script.nat.close(flow)
    script.tcp.expiring[flow.key] = None
    assert script.sends(ip.ACK, ack=5) == ["record data/5 of 0"]
    script.sends(ip.SYN, seq=9)  # a new connection of the same ends is none of it
    assert not script.tcp.expiring


def test_both_ends_in_the_namespace_are_handed_straight_back() -> None:
    script = Script()
    script.local = True
    assert script.sends(ip.SYN) == ["record SYN of 42", "hand back SYN"]
    (flow,) = {id(turn.flow): turn.flow for turn in script.nat.turns.values()}.values()
    assert type(flow.state) is Local
    script.done = []
    script.tcp.ended(flow, ip.FIN, False)
    assert script.done == []  # half-closed
    script.tcp.ended(flow, ip.FIN, True)
    assert script.done == ["forget"]


class RefusesHttps(Decisions):
    """Port 443 is closed."""

    def connect(self, client: Address, server: Address, pid: int) -> Decision:
        return Decision(Action.REFUSE, "no https") if server[1] == 443 and pid == 42 else PASS


def test_a_decision_refuses_as_a_host_would_and_without_a_packet_outside() -> None:
    script = Script(RefusesHttps())
    assert script.sends(ip.SYN) == ["record SYN of 42", "answer RST/1001"]
    assert not script.nat.turns
