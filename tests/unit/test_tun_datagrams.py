"""UDP and ICMP echo of the program: one endpoint for each of its sockets, and what ends one."""

import os
import pathlib
import socket
import subprocess
import threading

import pytest

from alone import ADDRESS4, alone, wire
from alone import ip as alone_ip
from hark.tap.tun import udp
from hark.tap.tun.datagrams import Datagrams
from hark.wire import ip
from live import Live, python

PORT = 7300


def answer_echoes() -> None:
    """Be another host of eth0's network, whatever its address, that answers echo requests."""
    os.set_blocking(wire[0], True)
    while True:
        data = os.read(wire[0], 70000)
        head, packet = data[:24], data[24:]
        parsed = ip.parse(packet)
        if parsed is not None and packet[parsed.start] in (8, 128):
            message = packet[parsed.start + 4 : parsed.end]  # from the identifier on
            os.write(wire[0], bytes(10) + head[10:] + ip.echo_reply(parsed.dst, parsed.src, message, 64, 0))


@pytest.mark.parametrize("address", ["192.0.2.99", "2001:db8:1::99"])
@alone
def test_an_echo_is_answered_and_recorded_as_the_program_s(address: str) -> None:
    """By a ping socket, which the user may open."""
    threading.Thread(target=answer_echoes, daemon=True).start()
    allowed = f"{os.getgid()} {os.getgid()}" if os.getuid() else "0 2147483647"
    pathlib.Path("/proc/sys/net/ipv4/ping_group_range").write_text(allowed)
    live = Live(python("network.py", "ping", address, "7")).run()
    assert (live.out, live.losses) == ("pong 23\n", [])
    packets = live.packets(ip.ICMPV6 if ":" in address else ip.ICMP)
    asked, answered = [data for _, data, _ in packets if data[0] in (8, 0, 128, 129)]
    assert (asked[0], answered[0]) == ((128, 129) if ":" in address else (8, 0))
    assert asked[4:] == answered[4:]  # the program's own identifier, whatever the host's kernel has


@alone
def test_one_port_for_all_peers_as_the_program_has_it() -> None:
    """Two servers see the same port, which is the program's own, and each may answer later."""
    seen: list[int] = []

    def serve(server: socket.socket) -> None:
        data, name = server.recvfrom(100)
        seen.append(name[1])
        server.sendto(data.upper(), name)

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        for number, server in enumerate((one, two)):
            server.bind((ADDRESS4, PORT + number))
            threading.Thread(target=serve, args=(server,), daemon=True).start()
        live = Live(python("network.py", "peers", ADDRESS4, str(PORT))).run()
    assert live.losses == []
    assert live.out.split() == ["TO", "7300", "TO", "7301", str(seen[0])]
    assert len(set(seen)) == 1


@alone
def test_an_endpoint_that_is_idle_ends() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((ADDRESS4, PORT))
        threading.Thread(target=lambda: server.sendto(b"x", server.recvfrom(100)[1]), daemon=True).start()
        script = f"import socket; s = socket.socket(2, 2); s.sendto(b'x', ('{ADDRESS4}', {PORT})); s.recv(9); input()"
        live = Live(["sh", "-c", f'exec "{python("")[0]}" -c "{script}" <&-'])
        datagrams = live.tap._datagrams
        assert isinstance(datagrams, Datagrams)
        live.run()
        (endpoint,) = datagrams._endpoints.values()
        datagrams.sweep(endpoint.used + udp.IDLE)
        assert datagrams._endpoints
        datagrams.sweep(endpoint.used + udp.IDLE + 1)
        assert not datagrams._endpoints
        assert endpoint.sock.fileno() == -1


@alone
def test_a_network_that_is_unreachable_is_said_as_without_hark() -> None:
    alone_ip("route", "add", "unreachable", "198.51.100.0/24")
    command = python("network.py", "udp", "198.51.100.1", "9")
    without = subprocess.run(command, capture_output=True, text=True)
    live = Live(command).run()
    assert (live.out, live.status) == (without.stdout, without.returncode)
