"""The namespace's traffic: a real program reaches real servers as it would have without hark, and all is recorded."""

import contextlib
import pathlib
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from alone import ADDRESS4, ADDRESS6, alone
from hark.tap.tun.plane import Plane
from hark.wire import ip
from live import Live, python

PROGRAM = pathlib.Path(python("network.py")[1]).name
SLOW = [pytest.param(address, marks=pytest.mark.slow) for address in ("::1", ADDRESS4)]
HERE = pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS6, *SLOW])


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def tcp_server(address: str) -> Iterator[int]:
    """Answers everything that it is sent, in capitals, at the end of it; its port."""

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                link, _ = server.accept()
                with link, link.makefile("rb") as asked:
                    link.sendall(asked.read().upper())

    with socket.create_server((address, 0), family=family(address)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@contextlib.contextmanager
def udp_server(address: str) -> Iterator[int]:
    """Answers each datagram, in capitals."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                data, name = server.recvfrom(65535)
                server.sendto(data.upper(), name)

    with socket.socket(family(address), socket.SOCK_DGRAM) as server:
        server.bind((address, 0))
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def unused(address: str, kind: int) -> int:
    with socket.socket(family(address), kind) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def payload_of(segment: bytes) -> bytes:
    return segment[(segment[12] >> 4) * 4 :]


@HERE
@alone
def test_a_tcp_server_of_the_host(address: str) -> None:
    with tcp_server(address) as port:
        live = Live(python("network.py", "tcp", address, str(port))).run()
    assert (live.out, live.status, live.losses) == (f"QUESTION {address}\n", 0, [])
    assert isinstance(live.tap, Plane)
    packets = live.packets(ip.TCP)
    sent = [payload_of(data) for packet, data, _ in packets if int.from_bytes(data[2:4], "big") == port]
    received = [payload_of(data) for packet, data, _ in packets if int.from_bytes(data[:2], "big") == port]
    assert (b"".join(sent), b"".join(received)) == (b"question", b"QUESTION")
    (pid,) = {pid for _, _, pid in packets if pid}
    assert pid == live.child.pid
    assert PROGRAM in live.processes[pid].cmdline[1]
    for packet, data, _ in packets:  # as the program sees them: no address of hark's own
        assert {ip.text(packet.src), ip.text(packet.dst)} == {address}
        assert port in (int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big"))


@HERE
@alone
def test_nobody_listens(address: str) -> None:
    port = unused(address, socket.SOCK_STREAM)
    live = Live(python("network.py", "tcp", address, str(port))).run()
    assert (live.out, live.status, live.losses) == ("ECONNREFUSED\n", 0, [])
    flags = [data[13] for _, data, _ in live.packets(ip.TCP)]
    assert flags[0] & ip.SYN
    assert flags[-1] & ip.RST


@HERE
@alone
def test_a_server_of_the_tree_itself(address: str) -> None:
    port = unused(address, socket.SOCK_STREAM)
    live = Live(python("network.py", "local", address, str(port))).run()
    assert (live.out, live.status, live.losses) == ("QUESTION\n", 0, [])
    payloads = [payload_of(data) for _, data, _ in live.packets(ip.TCP)]
    assert [data for data in payloads if data] == [b"question", b"QUESTION"]


@HERE
@alone
def test_a_udp_server_of_the_host(address: str) -> None:
    with udp_server(address) as port:
        live = Live(python("network.py", "udp", address, str(port))).run()
    assert (live.out, live.status, live.losses) == ("QUESTION 0\nQUESTION 1\nQUESTION 2\n", 0, [])
    packets = live.packets(ip.UDP)
    assert [data[8:] for _, data, _ in packets] == [
        word % number for number in range(3) for word in (b"question %d", b"QUESTION %d")
    ]
    assert {pid for _, data, pid in packets if data[8:9] == b"q"} == {live.child.pid}


@HERE
@alone
def test_no_udp_server(address: str) -> None:
    port = unused(address, socket.SOCK_DGRAM)
    live = Live(python("network.py", "udp", address, str(port))).run()
    assert (live.out, live.losses) == ("ECONNREFUSED\nECONNREFUSED\nECONNREFUSED\n", [])
    assert live.packets(ip.ICMPV6 if ":" in address else ip.ICMP)


@alone
def test_what_the_program_left_running_is_captured_to_its_end(tmp_path: pathlib.Path) -> None:
    with tcp_server("127.0.0.1") as port:
        late = " ".join(python("network.py", "tcp", "127.0.0.1", str(port)))
        live = Live(["sh", "-c", f"setsid sh -c 'sleep 0.2; {late} >{tmp_path}/late' >/dev/null 2>&1 & exit 5"]).run()
    assert live.status == 5
    assert (tmp_path / "late").read_text() == "QUESTION 127.0.0.1\n"
    assert b"question" in [payload_of(data) for _, data, _ in live.packets(ip.TCP)]


@alone
def test_a_large_datagram_in_fragments() -> None:
    """One that is larger than the device's MTU comes in fragments; they are put together before it is sent on."""
    script = (
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); "
        f"s.setsockopt(socket.IPPROTO_IP, 10, 0); s.connect(('{ADDRESS4}', int(sys.argv[1]))); "
        "s.send(b'q' * 65500); print(len(s.recv(65535)))"
    )
    with udp_server(ADDRESS4) as port:
        live = Live([sys.executable, "-c", script, str(port)]).run()
    assert (live.out, live.losses) == ("65500\n", [])
