"""The relay over socket pairs: bytes, half-closes, resets and urgent data, each as it would have been without it."""

import contextlib
import errno
import socket
import struct
import time

import pytest

from hark.tap.loop import Loop
from hark.tap.tun import relay as relays
from hark.tap.tun.relay import Relay

RESET = struct.pack("ii", 1, 0)


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected TCP pair on 127.0.0.1; the first is the one that connected."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for sock in (one, other):  # small and fixed, so that a test fills them soon
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 << 10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 << 10)
    return one, other


class Setup:
    """A program and a server with a relay between them, and the loop that drives it."""

    def __init__(self) -> None:
        self.program, near = pair()
        far, self.server = pair()
        near.setblocking(False)
        far.setblocking(False)
        self.near, self.far = near, far
        self.loop = Loop()
        self.done: list[Relay] = []
        self.expired: list[int] = []
        self.crashed: list[Exception] = []
        self.relay = Relay(
            self.loop,
            near,
            far,
            self.done.append,
            lambda relay, number: self.expired.append(number),
            self.crashed.append,
        )

    def end(self, name: str) -> tuple[socket.socket, socket.socket]:
        """(the named side, the other side)."""
        return (self.program, self.server) if name == "program" else (self.server, self.program)

    def turn(self, seconds: float = 0.02) -> None:
        """Run the loop until it has been quiet for `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.loop.once(0.002):
                until = time.monotonic() + seconds

    def fill(self, sock: socket.socket, limit: int = 1 << 30) -> int:
        """Send from `sock` until nothing more is taken; how much."""
        sock.setblocking(False)
        sent, idle = 0, 0
        while sent < limit and idle < 5:
            try:
                sent += sock.send(pattern(sent, min(65536, limit - sent)))
                idle = 0
            except BlockingIOError:
                idle += 1
            self.turn(0.003)
        return sent

    def read(self, sock: socket.socket, pause: float = 0.0) -> tuple[bytes, str]:
        """All that `sock` gets, and how it ended: "" for a clean end, else the error's name."""
        sock.setblocking(False)
        got = bytearray()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self.loop.once(0.001)
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                continue
            except OSError as error:
                return bytes(got), errno.errorcode[error.errno or 0]
            if not data:
                return bytes(got), ""
            got += data
            if pause:
                time.sleep(pause)
        return bytes(got), "no end"

    def close(self) -> None:
        for sock in (self.program, self.server, self.near, self.far):
            sock.close()


def pattern(start: int, size: int) -> bytes:
    """`size` bytes of an endless pattern from `start` on."""
    unit = b"".join(n.to_bytes(4, "big") for n in range(1 << 14))
    at = start % len(unit)
    return (unit[at:] + unit * (size // len(unit) + 1))[:size]


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relays, "LINGER", 0.4)
    made = Setup()
    yield made
    made.close()
    assert not made.crashed


def kill(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


BOTH = pytest.mark.parametrize("side", ["server", "program"])


@BOTH
def test_a_reset_with_bytes_in_flight_comes_after_the_bytes(setup: Setup, side: str) -> None:
    """All buffers are full when the one side resets: the other reads what was on its way, then the reset."""
    resetting, other = setup.end(side)
    sent = setup.fill(resetting)
    kill(resetting)
    setup.turn()
    assert setup.relay.doomed
    assert not setup.relay.closed
    got, how = setup.read(other)
    assert how == "ECONNRESET"
    assert len(got) > 64 << 10
    assert got == pattern(0, len(got))
    assert len(got) <= sent
    assert setup.relay.closed
    assert setup.done == [setup.relay]


@BOTH
def test_small_data_before_a_reset_is_all_read(setup: Setup, side: str) -> None:
    """What the kernel of the other side would have had, it has."""
    resetting, other = setup.end(side)
    resetting.sendall(b"last words")
    kill(resetting)
    assert setup.read(other) == (b"last words", "ECONNRESET")


@BOTH
def test_a_reset_of_an_idle_connection(setup: Setup, side: str) -> None:
    resetting, other = setup.end(side)
    kill(resetting)
    assert setup.read(other) == (b"", "ECONNRESET")
    assert setup.relay.closed


@pytest.mark.slow
@BOTH
def test_a_reset_with_full_buffers_in_both_directions(setup: Setup, side: str) -> None:
    """Neither reads; one resets: the other's own bytes are dropped, what was sent to it is not."""
    resetting, other = setup.end(side)
    setup.fill(other)
    setup.fill(resetting)
    kill(resetting)
    setup.turn()
    got, how = setup.read(other)
    assert how == "ECONNRESET"
    assert got == pattern(0, len(got)) != b""


@BOTH
def test_closing_with_unread_data_is_a_reset(setup: Setup, side: str) -> None:
    """A process that is killed with unread data resets its connection."""
    closing, other = setup.end(side)
    other.sendall(b"never read")
    setup.turn()
    closing.close()
    assert setup.read(other) == (b"", "ECONNRESET")


@BOTH
def test_the_answer_before_a_reset_is_read_though_sending_met_the_reset_first(setup: Setup, side: str) -> None:
    """One side answers in the middle of what it is sent and resets: the relay meets the reset as it sends."""
    resetting, other = setup.end(side)
    setup.fill(other)
    resetting.sendall(b"413 too much")
    kill(resetting)  # unread data: a reset, behind the answer
    assert setup.read(other) == (b"413 too much", "ECONNRESET")


@pytest.mark.slow
@BOTH
def test_a_reset_waits_for_a_slow_reader_and_not_for_ever(setup: Setup, side: str) -> None:
    """A side that does not read is reset after LINGER; what its own kernel had stays readable."""
    resetting, other = setup.end(side)
    setup.fill(resetting)
    kill(resetting)
    started = time.monotonic()
    while not setup.relay.closed and time.monotonic() < started + 5:
        setup.loop.once(0.05)
    assert relays.LINGER * 0.9 < time.monotonic() - started < relays.LINGER + 1
    got, how = setup.read(other)
    assert how == "ECONNRESET"
    assert got == pattern(0, len(got)) != b""


@BOTH
def test_the_sides_are_both_gone_while_a_reset_waits(setup: Setup, side: str) -> None:
    resetting, other = setup.end(side)
    setup.fill(resetting)
    kill(resetting)
    setup.turn()
    assert not setup.relay.closed
    kill(other)
    setup.turn()
    assert setup.relay.closed


@BOTH
def test_half_close_and_an_answer_far_larger_than_the_buffers(setup: Setup, side: str) -> None:
    """One side says all it has to say, the other answers at length and ends; nobody's end is taken for a failure, and
    the loop does not spin on it."""
    first, second = setup.end(side)
    first.sendall(b"question")
    first.shutdown(socket.SHUT_WR)
    assert setup.read(second) == (b"question", "")
    sent = setup.fill(second)
    second.close()
    setup.turn()
    assert not setup.relay.closed
    assert setup.loop.once(0) + setup.loop.once(0) == 0
    got, how = setup.read(first)
    assert (len(got), how) == (sent, "")
    assert got == pattern(0, sent)
    setup.turn()
    assert setup.relay.closed


@BOTH
def test_the_end_before_a_failure_is_seen_as_the_end(setup: Setup, side: str) -> None:
    """A side that had ended, and resets what is sent to it afterwards: an end, as the kernel has it."""
    ending, other = setup.end(side)
    ending.sendall(b"bye")
    ending.close()
    setup.turn()
    with contextlib.suppress(OSError):
        other.send(b"more")
        setup.turn()
        other.send(b"and more")
    setup.turn()
    assert setup.read(other) == (b"bye", "")
    setup.turn()
    assert setup.relay.closed


@BOTH
def test_urgent_data_keeps_its_place(setup: Setup, side: str) -> None:
    """The urgent byte is out of band, between what was sent before and after it."""
    first, second = setup.end(side)
    first.sendall(b"before")
    first.send(b"!", socket.MSG_OOB)
    setup.turn()
    first.sendall(b"after")
    setup.turn()
    assert second.recv(100) == b"before"
    assert second.recv(1, socket.MSG_OOB) == b"!"
    assert second.recv(100) == b"after"


@BOTH
def test_urgent_data_behind_full_buffers(setup: Setup, side: str) -> None:
    """It waits its turn, without a loop that spins, and is not lost."""
    first, second = setup.end(side)
    sent = setup.fill(first)
    with contextlib.suppress(BlockingIOError):
        first.send(b"!", socket.MSG_OOB)
    setup.turn()
    assert setup.loop.once(0) + setup.loop.once(0) == 0
    first.setblocking(True)
    second.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    got = bytearray()
    second.setblocking(False)
    deadline = time.monotonic() + 5
    while len(got) < sent and time.monotonic() < deadline:
        setup.loop.once(0.001)
        with contextlib.suppress(BlockingIOError):
            got += second.recv(65536)
    assert got[:sent] == pattern(0, sent)


@BOTH
def test_a_slow_reader_gets_all_and_slows_the_sender(setup: Setup, side: str) -> None:
    sender, reader = setup.end(side)
    sent = setup.fill(sender)
    assert sent < 64 << 20, "nothing held the sender back"
    sender.close()
    got, how = setup.read(reader, 0.0005)
    assert (len(got), how) == (sent, "")


def test_a_failure_that_is_no_reset_is_given_to_the_owner(setup: Setup) -> None:
    """The server's connection timed out: who knows the program's socket may tell it so."""
    setup.relay.fail(setup.relay.server, errno.ETIMEDOUT)
    setup.turn()
    assert setup.expired == [errno.ETIMEDOUT]
    assert setup.relay.closed


def test_what_the_program_sent_is_not_settled_until_the_server_has_it(setup: Setup) -> None:
    """hark may not end before."""
    setup.fill(setup.program)
    setup.program.close()
    setup.turn()
    assert not setup.relay.settled()
    setup.read(setup.server)
    until = time.monotonic() + 3  # the last acknowledgement may be delayed
    while not setup.relay.settled() and time.monotonic() < until:
        setup.turn()
    assert setup.relay.settled()


def test_a_reset_by_the_program_is_not_settled_until_the_server_has_it(setup: Setup) -> None:
    setup.fill(setup.program)
    kill(setup.program)
    setup.turn()
    assert not setup.relay.settled()
    setup.read(setup.server)
    until = time.monotonic() + 3  # the last acknowledgement may be delayed
    while not setup.relay.settled() and time.monotonic() < until:
        setup.turn()
    assert setup.relay.settled()


def test_a_fault_in_one_relay_ends_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two connections in one loop: the code of the one raises, both its sides are reset, the other goes on."""
    one, two = Setup(), Setup()
    two.relay.program.leave()
    two.relay.server.leave()
    two.loop = two.relay.loop = one.loop
    two.relay.program.watch()
    two.relay.server.watch()

    def bad(self: relays.End, relay: Relay = one.relay, read=relays.End._read) -> None:
        if self.relay is relay:
            raise ValueError("a fault")
        read(self)

    monkeypatch.setattr(relays.End, "_read", bad)
    one.program.sendall(b"x")
    two.program.sendall(b"y")
    one.turn()
    assert [str(error) for error in one.crashed] == ["a fault"]
    assert one.relay.closed
    assert one.read(one.program)[1] == "ECONNRESET"
    assert two.server.recv(10) == b"y"
    one.close()
    two.close()


def test_timers_run_in_order_and_alone() -> None:
    """A timer that fails is reported to its owner; those behind it run."""
    loop, seen = Loop(), []

    def bad() -> None:
        raise ValueError("a fault")

    loop.later(0.02, lambda: seen.append("second"))
    loop.later(0.01, lambda: seen.append("first"))
    loop.later(0.015, bad, lambda error: seen.append(str(error)))
    until = time.monotonic() + 1
    while len(seen) < 3 and time.monotonic() < until:
        loop.once(0.5)
    assert seen == ["first", "a fault", "second"]


@pytest.mark.parametrize("may", [True, False])
def test_the_first_bytes_are_asked_about_once(setup: Setup, may: bool) -> None:
    asked = []

    def first(data: memoryview) -> bool:
        asked.append(bytes(data))
        return may

    assert not setup.relay.program.first
    setup.relay.program.first = first
    setup.program.sendall(b"one")
    setup.turn()
    if may:
        setup.program.sendall(b"two")
        setup.turn()
        assert setup.server.recv(100) == b"onetwo"
    else:
        for sock in (setup.program, setup.server):
            with pytest.raises(ConnectionResetError):
                sock.recv(100)
    assert asked == [b"one"]
