"""Real connects for the program's: whose address they have, what was decided about them, and what they end with."""

import contextlib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from alone import ADDRESS4, ADDRESS6, alone
from alone import ip as alone_ip
from hark.tap.tun.connections import Connections
from hark.tap.tun.decisions import PASS, Action, Address, Decision, Decisions
from hark.wire import ip
from live import Live, python

pytestmark = pytest.mark.slow

PORT = 7200
RESET = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def server(answer: bytes = b"", address: str = ADDRESS4, reset: bool = False) -> Iterator[list[tuple[str, int]]]:
    """Answers and closes; whom it saw."""
    seen: list[tuple[str, int]] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                link, name = listener.accept()
                seen.append(name[:2])
                with link:
                    link.recv(100)
                    link.sendall(answer)
                    if reset:
                        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    else:
                        while link.recv(100):
                            pass

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, PORT), family=family) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield seen


class Refusing(Decisions):
    """Refuses a destination, and notes what it is asked."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked: list[tuple[str, int]] = []
        self.first: list[bytes] = []

    def connect(self, client: Address, server: Address, pid: int) -> Decision:
        self.asked.append((ip.text(server[0]), server[1]))
        return Decision(Action.REFUSE, "not today") if server[1] == self._port else PASS

    datagram_refused = False

    def datagram(self, client: Address, server: Address, data: memoryview, pid: int) -> Decision:
        self.asked.append((ip.text(server[0]), server[1]))
        return Decision(Action.REFUSE) if server[1] == self._port else PASS

    def first_bytes(self, client: Address, server: Address, data: memoryview, pid: int) -> Decision:
        self.first.append(bytes(data))
        return PASS


@pytest.mark.parametrize("address", [ADDRESS4, ADDRESS6])
@alone
def test_the_server_sees_the_program_s_own_address_and_port(address: str) -> None:
    family = "AF_INET6" if ":" in address else "AF_INET"
    script = (
        f"import socket; s = socket.socket(socket.{family}); s.bind(({address!r}, 7201)); "
        f"s.connect(({address!r}, {PORT})); s.send(b'x'); print(s.recv(9), s.getsockname()[:2]); "
        "s.shutdown(1)"
    )
    with server(b"answer", address) as seen:
        live = Live([sys.executable, "-c", script]).run()
    assert (live.out, live.losses) == (f"b'answer' ({address!r}, 7201)\n", [])
    assert seen == [(address, 7201)]
    assert isinstance(live.tap._tcp, Connections)
    assert live.tap._tcp.settled()


@alone
def test_what_is_refused_is_refused_as_by_a_host_and_never_tried() -> None:
    decisions = Refusing(PORT)
    with server() as seen:
        live = Live(python("network.py", "tcp", ADDRESS4, str(PORT)), decisions=decisions).run()
    assert (live.out, live.losses, seen) == ("ECONNREFUSED\n", [], [])
    assert decisions.asked == [(ADDRESS4, PORT)]


@alone
def test_a_datagram_that_is_refused_is_not_sent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ADDRESS4, PORT))
        live = Live(python("network.py", "udp", ADDRESS4, str(PORT)), decisions=Refusing(PORT)).run()
        assert (live.out, live.losses) == ("ECONNREFUSED\n" * 3, [])
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(100)


@alone
def test_the_first_bytes_are_shown_before_they_are_sent() -> None:
    decisions = Refusing(0)
    with server(b"answer"):
        live = Live(python("network.py", "tcp", ADDRESS4, str(PORT)), decisions=decisions).run()
    assert live.out.startswith("answer ")
    assert decisions.first == [b"question"]


@alone
def test_a_reset_after_the_answer_reaches_the_program_after_the_answer() -> None:
    script = (
        f"import socket; s = socket.create_connection(({ADDRESS4!r}, {PORT})); s.send(b'x'); got = b''\n"
        "try:\n while True: got += s.recv(1 << 16) or exit(f'clean end after {len(got)}')\n"
        "except ConnectionResetError: print('reset after', len(got))"
    )
    with server(b"a" * 50_000, reset=True):
        live = Live([sys.executable, "-c", script]).run()
    assert (live.out, live.losses) == ("reset after 50000\n", [])


def forbidden(kind: str, network: str, target: str) -> None:
    """A route of the host's that forbids: what connect() says of it under hark is what it says without."""
    if kind:
        alone_ip("route", "add", kind, network)
    command = python("network.py", "tcp", target, "80")
    without = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    live = Live(command).run()
    assert live.packets(ip.TCP)  # the attempt was seen
    assert (live.out, live.losses) == (without, [])


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("kind", ["unreachable", ""])
@alone
def test_an_unreachable_network_is_the_host_s_own_answer(kind: str, six: bool) -> None:
    forbidden(kind, *(("2001:db8:2::/48", "2001:db8:2::1") if six else ("198.51.100.0/24", "198.51.100.1")))


@alone
def test_a_network_that_is_prohibited() -> None:
    forbidden("prohibit", "2001:db8:2::/48", "2001:db8:2::1")


@pytest.mark.xfail(strict=True, reason="Limits: `connect()` to a network that a route of the host's")
@pytest.mark.parametrize(
    "route",
    [
        ("prohibit", "198.51.100.0/24", "198.51.100.1"),
        ("blackhole", "198.51.100.0/24", "198.51.100.1"),
        ("blackhole", "2001:db8:2::/48", "2001:db8:2::1"),
    ],
    ids=str,
)
def test_errors_of_routes_that_no_packet_can_bring(route: tuple[str, str, str]) -> None:
    """EACCES for IPv4, EINVAL: no ICMP message has the kernel report them."""
    alone(forbidden)(*route)


@alone
def test_many_at_once() -> None:
    script = (
        "import socket, threading\n"
        f"def one(n):\n s = socket.create_connection(({ADDRESS4!r}, {PORT})); s.send(b'x'); good.append(s.recv(9)); s.close()\n"
        "good = []; all = [threading.Thread(target=one, args=(n,)) for n in range(101)]\n"
        "[t.start() for t in all]; [t.join() for t in all]; print(good.count(b'answer'))"
    )
    with server(b"answer") as seen:
        live = Live([sys.executable, "-c", script]).run()
    assert (live.out, live.losses, len(seen)) == ("101\n", [], 101)
