"""Keep-alive probes: held until the server has answered one of the real connection's, else never passed on."""

import fcntl
import socket
import struct
import time

import pytest

from alone import alone
from hark.tap.loop import Loop
from hark.tap.tun.flows import Flow, Relayed, Silent
from hark.tap.tun.probes import Probes
from hark.tap.tun.relay import Relay
from hark.wire import ip
from world import until

ENDS = (ip.packed("192.0.2.7"), 40000), (ip.packed("192.0.2.8"), 80)
ISN = 0xFFFFFFF0  # the sequence numbers wrap
QUIET = 0.1  # s, longer than the two clocks may differ: what was acknowledged before counts for nothing


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


class Setup:
    """A relayed flow, what is passed on of it, and the packets of its program."""

    def __init__(self) -> None:
        self.program, near = pair()
        far, self.server = pair()
        near.setblocking(False)
        far.setblocking(False)
        self.far = far
        self.loop = Loop()
        self.relay = Relay(self.loop, near, far, lambda relay: None, lambda relay, number: None, self._crashed)
        self.flow = Flow(*ENDS, ENDS[0], b"", b"", False)
        self.flow.state, self.flow.isn = Relayed(self.relay), ISN
        self.forwarded: list[bytes] = []
        self.probes = Probes(self.loop, lambda flow, packet, vnet: self.forwarded.append(packet))

    @staticmethod
    def _crashed(error: Exception) -> None:
        raise error

    def said(self, size: int) -> None:
        """The program sends that much, and the server reads it."""
        self.program.sendall(bytes(size))
        self.server.setblocking(False)
        got = 0

        def read() -> bool:
            nonlocal got
            self.loop.once(0.01)
            try:
                got += len(self.server.recv(size))
            except BlockingIOError:
                return False
            return got == size

        until(read)

    def packet(self, sent: int, flags: int = ip.ACK, payload: bytes = b"") -> bytes:
        """The program's packet that begins with its byte number `sent`; 0 is its SYN."""
        (client, sport), (server, dport) = ENDS
        seq = (ISN + sent) & 0xFFFFFFFF
        tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, 1, 5 << 4, flags, 1000, 0, 0) + payload
        return ip.ip_header(client, server, ip.TCP, len(tcp)) + tcp

    def take(self, packet: bytes) -> bool:
        return self.probes.take(self.flow, packet, bytes(10))


def test_what_is_no_probe_is_not_held() -> None:
    setup = Setup()
    setup.said(100)
    assert not setup.take(setup.packet(101))  # an ordinary acknowledgement: the next byte
    assert not setup.take(setup.packet(99))  # an old one
    assert not setup.take(setup.packet(100, ip.ACK | ip.FIN))
    assert not setup.take(setup.packet(100, payload=b"xx"))
    setup.flow.state = Silent()
    assert not setup.take(setup.packet(100))
    assert setup.far.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


@pytest.mark.slow
def test_a_probe_goes_on_when_the_server_has_answered_one() -> None:
    setup = Setup()
    setup.said(100)
    time.sleep(QUIET)
    probe = setup.packet(100, payload=b"\0")  # some kernels repeat a byte
    assert setup.take(probe)
    assert setup.far.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert setup.forwarded == []
    assert setup.take(setup.packet(100))  # the next one, if the answer takes so long: held as well, in its place
    until(lambda: setup.loop.once(0.05) == 0 and setup.forwarded)
    assert setup.forwarded == [setup.packet(100)]
    assert not setup.loop.once(0.3)
    assert len(setup.forwarded) == 1


@pytest.mark.slow
@alone
def test_a_probe_is_swallowed_where_the_server_does_not_answer() -> None:
    """lo is down: no packet arrives."""
    setup = Setup()
    setup.said(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 0))  # SIOCSIFFLAGS: not up
    time.sleep(QUIET)
    assert setup.take(setup.packet(100))
    for _ in range(30):
        setup.loop.once(0.05)
    assert setup.forwarded == []
    setup.relay.reset()
    until(lambda: setup.loop.once(0.3) == 0 and not setup.probes._held)
    assert setup.forwarded == []


def test_while_bytes_are_on_their_way_the_answer_is_our_own() -> None:
    """The kernel sends no probes then: retransmissions find out."""
    setup = Setup()
    setup.said(100)
    setup.program.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            setup.program.send(bytes(1 << 20))
            for _ in range(20):
                setup.loop.once(0)
    assert setup.relay.server.pending is not None
    received = struct.unpack_from("=Q", setup.relay.program.sock.getsockopt(socket.IPPROTO_TCP, 11, 136), 128)[0]
    assert not setup.take(setup.packet(received))
