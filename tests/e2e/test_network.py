"""connect(), localhost, datagrams, bulk and many: the namespace's network is the host's."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from world import program, until

CONNECT = """
import errno, socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET); s.settimeout(0.8)
try:
    s.connect((sys.argv[1], int(sys.argv[2]))); print("connected")
except socket.timeout:
    print("timed out")
except OSError as e:
    print(errno.errorcode[e.errno])
"""


@pytest.mark.parametrize(
    "host, port",
    [
        ("192.0.2.10", 81),  # refused
        ("127.0.0.1", 81),  # refused on the host's loopback
        ("127.0.0.1", 8080),  # there
        ("2001:db8:1::10", 81),  # refused, IPv6
        ("2001:db8:1::10", 8080),  # there, IPv6
        ("198.51.100.1", 80),  # an "unreachable" route: EHOSTUNREACH
        ("8.8.8.8", 80),  # no route at all: ENETUNREACH
        ("203.0.113.1", 80),  # silence
    ],
)
def test_connect_meets_what_it_would_meet(world, host: str, port: int) -> None:
    plain = world.run(sys.executable, "-c", CONNECT, host, str(port))
    heard = world.run("hark", "-q", sys.executable, "-c", CONNECT, host, str(port))
    assert heard.out == plain.out != b""


def test_connection_failures_are_told(world) -> None:
    run = world.hark("curl", "-s", "http://192.0.2.10:81/")
    assert run.status == 7
    assert re.search(r"^connect 192\.0\.2\.10:81 refused \d+(\.\d)? ms curl\[\d+\]$", run.err, re.M), run.err
    assert "hark: no exchanges, 1 failed connection" in run.err


def test_dns_failure_is_told_and_unchanged(world) -> None:
    run = world.hark("curl", "-sS", "http://nosuch.invalid/")
    assert run.status == 6
    assert "curl: (6) Could not resolve host: nosuch.invalid" in run.err
    assert run.err.count("dns nosuch.invalid ") == 1


def test_dns_time_is_part_of_the_timings(world) -> None:
    run = world.sh("curl -s http://site.test:8080/hello")
    timings = run.entries[0]["timings"]
    assert timings["dns"] > 0 and timings["connect"] > 0 and timings["ssl"] == -1
    assert abs(sum(v for k, v in timings.items() if v > 0 and k != "ssl") - run.entries[0]["time"]) < 0.01


def test_servers_and_clients_within_the_tree(world) -> None:
    """127.0.0.1 (through the TUN) and ::1 (heard on lo), each exchange once, binds to loopback as usual."""
    script = """
    cd $DIR/www
    {python} -m http.server 9001 --bind 127.0.0.1 >/dev/null 2>&1 & a=$!
    {python} -m http.server 9002 --bind ::1 >/dev/null 2>&1 & b=$!
    for i in 1 2 3 4 5 6 7 8 9; do curl -s http://[::1]:9002/item.json >/dev/null && break; sleep 0.2; done
    for i in 1 2 3 4 5 6 7 8 9; do curl -s http://localhost:9001/item.json >/dev/null && break; sleep 0.2; done
    kill $a $b; wait
    """
    run = world.sh(script.format(python=sys.executable))
    six, four = sorted(line for line in run.told if " 200 " in line)
    assert four == "GET http://localhost:9001/item.json 200 http/1.1 curl", run.err
    # Over ::1 nothing holds the SYN while its owner is looked up: a curl that is over by then stays unnamed.
    assert six.removesuffix(" curl").removesuffix(" ?") == "GET http://[::1]:9002/item.json 200 http/1.1", run.err


def test_what_is_bound_to_lo_is_captured(world) -> None:
    """curl --interface binds its socket to the interface: such packets leave by lo, and come back there."""
    urls = ["http://127.0.0.1:8080/hello", "http://192.0.2.10:8080/hello", "http://[::1]:8083/"]
    run = world.hark("curl", "-sg", "--interface", "if!lo", *urls)
    assert (run.status, run.out) == (0, b"hello\nhello\nsix\n"), run.err
    assert run.told == [f"GET {url} 200 http/1.1 curl" for url in urls]
    assert [entry["serverIPAddress"] for entry in run.entries] == ["127.0.0.1", "192.0.2.10", "::1"]


def test_udp_echo_with_big_datagrams_and_errors(world) -> None:
    """Datagrams of every size come back whole from the right sender; a closed port is ECONNREFUSED."""
    server = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('192.0.2.10', 7007))\n"
        "while True:\n d, a = s.recvfrom(65535); s.sendto(d[::-1], a)"
    )
    world.start([sys.executable, "-c", server])
    client = program("datagram_sizes.py")
    assert world.run("hark", "-q", sys.executable, "-c", client).out == b"refused\n"


def test_ping(world) -> None:
    for address in ("192.0.2.10", "2001:db8:1::10"):
        run = world.run("hark", "-q", "ping", "-n", "-c", "3", "-i", "0.05", "-W", "2", address)
        assert run.status == 0, (run.out, run.err)
        assert b"3 received" in run.out


@pytest.mark.parametrize("mebibytes", [127, pytest.param(1024, marks=pytest.mark.soak)])
def test_bulk_both_ways_is_intact(world, mebibytes: int) -> None:
    """Much down and as much up through hark, by hash; over TLS with HTTP/2, plain HTTP upload to a proxying nginx."""
    big = world.dir / "www" / "big"
    digest = hashlib.sha256()
    piece = hashlib.sha256(b"hark").digest() * 32768
    with open(big, "wb") as file:
        for number in range(mebibytes):
            block = number.to_bytes(8, "big") + piece[8:]
            file.write(block)
            digest.update(block)
    try:
        run = world.sh("curl -s --cacert $CA https://site.test:8443/big | sha256sum", timeout=120)
        assert run.out.split()[0].decode() == digest.hexdigest()
        assert run.entries[0]["response"]["bodySize"] == mebibytes << 20
        sink = (
            "import hashlib, http.server\n"
            "class H(http.server.BaseHTTPRequestHandler):\n"
            " protocol_version = 'HTTP/1.1'\n"
            " def do_PUT(self):\n"
            "  h, n = hashlib.sha256(), int(self.headers['Content-Length'])\n"
            "  while n: d = self.rfile.read(min(n, 1 << 20)); h.update(d); n -= len(d)\n"
            "  b = h.hexdigest().encode(); self.send_response(200); self.send_header('Content-Length', str(len(b)))\n"
            "  self.end_headers(); self.wfile.write(b)\n"
            " def log_message(self, *a): pass\n"
            "http.server.HTTPServer(('192.0.2.10', 7010), H).serve_forever()"
        )
        world.start([sys.executable, "-c", sink])
        world.wait_for("192.0.2.10", 7010)
        run = world.sh("curl -s -H Expect: -T $DIR/www/big http://192.0.2.10:7010/up", timeout=120)
        assert run.out.decode() == digest.hexdigest()
        assert run.entries[0]["request"]["bodySize"] == mebibytes << 20
    finally:
        big.unlink()


@pytest.mark.parametrize("count", [1009, pytest.param(10007, marks=pytest.mark.soak)])
def test_many_connections_at_once(world, count: int) -> None:
    """All open together, all answered, all told."""
    client = program("many_connections.py")
    hard = world.run("sh", "-c", "ulimit -Hn").out.strip()
    # hark needs two descriptors a connection: where the hard limit is lower than that, as many as it allows.
    if count > 10000 and hard != b"unlimited" and int(hard) <= 20100:
        count = 9949
    run = world.hark(sys.executable, "-c", client, str(count), timeout=120)
    assert run.out == b"%d\n" % count, run.err[-2000:]
    assert len(run.entries) == count
    assert len({entry["request"]["url"] for entry in run.entries}) == count
    assert {entry["_process"]["name"] for entry in run.entries} == {"python"}


def test_half_close_and_reset(world) -> None:
    """A half-closed client still gets its answer; a reset by the server is a reset at the program, both ways."""
    server = program("half_close_server.py")
    world.start([sys.executable, "-c", server])
    world.wait_for("192.0.2.10", 7011)
    client = """
import socket
s = socket.create_connection(("192.0.2.10", 7011)); s.sendall(b"abc"); s.shutdown(socket.SHUT_WR)
print(s.recv(100), s.recv(100))
s = socket.create_connection(("192.0.2.10", 7011)); s.sendall(b"reset me")
try: print(s.recv(100))
except ConnectionResetError: print("reset")
"""
    run = world.run("hark", "-q", sys.executable, "-c", client)
    assert run.out == b"b'cba' b''\nreset\n", run.err


TRUNCATING = r"""
import socket, struct
HEADS = {"until": b"Connection: close\r\n\r\n", "length": b"Content-Length: 9000000\r\n\r\n",
         "chunked": b"Transfer-Encoding: chunked\r\n\r\n40000\r\n"}
listener = socket.create_server(("192.0.2.10", 7960))
while True:
    s, _ = listener.accept()
    asked = s.recv(4096)
    if asked:
        s.sendall(b"HTTP/1.1 200 OK\r\n" + HEADS[asked.split()[1].decode()[1:]] + b"z" * 200000)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
"""


def test_an_answer_cut_by_a_reset_is_not_whole(world) -> None:
    """A body that a reset cuts is marked, whichever way its length is told, and curl fails as it would."""
    world.start([sys.executable, "-c", TRUNCATING])
    world.wait_for("192.0.2.10", 7960)
    for kind in ("until", "length", "chunked"):
        url = f"http://192.0.2.10:7960/{kind}"
        plain = world.run("curl", "-sS", "-o", "/dev/null", url)
        run = world.hark("-q", "curl", "-sS", "-o", "/dev/null", url)
        assert (run.status, run.err) == (plain.status, plain.err)
        assert run.status == 56
        (entry,) = run.entries
        assert entry["response"]["status"] == 200
        cut = r"the server reset the connection after \d.*, in the middle of the body"
        assert re.fullmatch(cut, entry["_trouble"])


def test_a_connection_given_up_before_it_stood_is_reset(world) -> None:
    """The server takes the connection only after the program has gone: it is told so, and hark does not keep it."""
    server = """
import socket, time
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(("192.0.2.10", 7961)); l.listen(0)
first, _ = l.accept()  # the sign to begin: until it ends, nothing is accepted
first.recv(1)
while True:
    s, _ = l.accept(); s.settimeout(5)
    try: print("end" if not s.recv(10) else "data", flush=True)
    except OSError as error: print(type(error).__name__, flush=True)
"""
    client = program("full_backlog_client.py")
    log = world.dir / "servers.log"
    before = len(log.read_bytes())
    world.start([sys.executable, "-u", "-c", server])
    world.wait_for_bound(7961, "tcp")
    run = world.run("hark", "-q", sys.executable, "-c", client)
    assert run.out == b"timed out\n", run.err
    until(lambda: log.read_bytes()[before:].split()[-1:] == [b"ConnectionResetError"], 10, log.read_text)
    said = log.read_bytes()[before:].split()
    assert set(said[:-1]) == {b"end"}


def test_options_that_only_the_host_sees(world) -> None:
    """Congestion control and buffer of the real connection, set before and after the connect."""
    client = """
import socket, sys, time
for late in (False, True):
    s = socket.socket()
    if late: s.connect(("192.0.2.10", 8080))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 40000)
    if not late: s.connect(("192.0.2.10", 8080))
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    sys.stdin.readline()
    s.close()
"""
    run = world.popen(
        ["hark", "-q", sys.executable, "-c", client], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    for _ in range(2):
        assert run.stdout.readline() == b"ready\n"
        line = ""

        def carried() -> bool:
            nonlocal line
            shown = world.run("ss", "-tinmO", "dst", "192.0.2.10", "dport", "=", ":8080").out.decode()
            (line,) = [line for line in shown.splitlines() if "ESTAB" in line]
            return " reno " in line and ",rb80000," in line

        until(carried, 10, lambda: line)  # noqa: B023
        run.stdin.write(b"go\n")
    assert run.wait(10) == 0


def test_other_protocols_pass_untouched(world) -> None:
    """Redis and WebSocket: the program's answers are right, and no HTTP is made up."""
    world.start(["redis-server", "--port", "6399", "--bind", "192.0.2.10", "--save", "", "--protected-mode", "no"])
    world.wait_for("192.0.2.10", 6399)
    run = world.sh("redis-cli -h 192.0.2.10 -p 6399 set k v; redis-cli -h 192.0.2.10 -p 6399 get k")
    assert (run.out, run.entries) == (b"OK\nv\n", [])
    server = program("websocket_server.py")
    world.start([sys.executable, "-c", server])
    world.wait_for("192.0.2.10", 7012)
    client = """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession() as s:
        async with s.ws_connect("http://192.0.2.10:7012/ws") as w:
            for n in range(5):
                await w.send_str(f"GET / HTTP/1.1 {n}")
                print(await w.receive_str())
asyncio.run(main())
"""
    run = world.hark(sys.executable, "-c", client)
    assert run.out.decode().splitlines() == [f"GET / HTTP/1.1 {n}"[::-1] for n in range(5)]
    assert run.told == ["GET ws://192.0.2.10:7012/ws 101 http/1.1 python"]


def test_nothing_of_ours_is_in_the_way_of_a_bind(world) -> None:
    """A program may bind any port on 0.0.0.0 and ::, low ones as far as the host allows."""
    script = """
import socket
for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for port in (2, 80, 443, 2000, 4000, 8080, 32768, 61000, 65535):
        s = socket.socket(family); s.bind((host, port)); s.listen(); s.close()
print("all")
"""
    assert world.run("hark", "-q", sys.executable, "-c", script).out == b"all\n"


def test_idle_costs_nothing(world) -> None:
    """While the program sleeps, hark's processes use next to no processor time."""
    started = world.popen(["hark", "-q", "sleep", "60"])
    until(lambda: len(world.processes()) == 3)

    def ticks() -> int:
        total = 0
        for line in world.processes():
            with open(f"/proc/{line.split()[0]}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total

    def has_begun() -> bool:
        """Whether nothing was done for a while: all is loaded by now."""
        before = ticks()
        time.sleep(0.3)
        return ticks() == before

    until(has_begun)
    before = ticks()
    time.sleep(1.5)  # the time over which it is measured
    assert ticks() - before <= 5  # hundredths of a second, of 150
    started.terminate()
    assert started.wait(10) == 128 + signal.SIGTERM


def test_loopback_address_of_a_peer_is_loopback(world) -> None:
    """Within the tree a server on 127.0.0.1 sees its client at 127.0.0.1, as without hark."""
    script = """
import socket, threading
l = socket.create_server(("127.0.0.1", 0))
def client():
    s = socket.create_connection(l.getsockname()); s.sendall(b"x"); s.recv(1)
threading.Thread(target=client).start()
c, peer = l.accept(); print(peer[0]); c.close()
"""
    assert world.run("hark", "-q", sys.executable, "-c", script).out == b"127.0.0.1\n"


def test_urgent_data_is_urgent(world) -> None:
    """A byte sent out of band arrives out of band, between what stood around it."""
    server = program("urgent_server.py")
    world.start([sys.executable, "-c", server])
    world.wait_for("192.0.2.10", 7013)
    client = (
        "import socket, time; s = socket.create_connection(('192.0.2.10', 7013)); s.sendall(b'before'); time.sleep(0.1); "
        "s.send(b'!', socket.MSG_OOB); time.sleep(0.1); s.sendall(b'after'); s.shutdown(socket.SHUT_WR); print(s.recv(100).decode())"
    )
    plain = world.run(sys.executable, "-c", client)
    heard = world.run("hark", "-q", sys.executable, "-c", client)
    assert heard.out == plain.out == b"beforeafter|!\n"


def test_a_host_server_on_ipv6_loopback_only_is_reached_by_name(world) -> None:
    """The host's ::1 cannot be had as such; the name falls back to 127.0.0.1, which asks ::1 too."""
    run = world.hark("curl", "-s", "http://localhost:8083/")
    assert (run.out, run.told) == (b"six\n", ["GET http://localhost:8083/ 200 http/1.1 curl"])


def test_hark_under_hark(world) -> None:
    """The inner one hears, the outer one hears it too."""
    run = world.hark("hark", "--json", "curl", "-s", "http://192.0.2.10:8080/hello")
    assert run.out == b"hello\n"
    assert run.err.count('"url":"http://192.0.2.10:8080/hello"') == 1
    assert [line.split()[1] for line in run.told] == ["http://192.0.2.10:8080/hello"]


# What hark advises is what the client does that is decrypted.
ADVISED = 'configuration.secrets_log_file = open(os.environ["SSLKEYLOGFILE"], "a")'


def test_http3_is_told(world) -> None:
    """A real HTTP/3 exchange (aioquic) is told like any other; without its secrets it is told as closed."""
    server = f"""
import asyncio
from aioquic.asyncio import serve, QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
class P(QuicConnectionProtocol):
    http = None
    def quic_event_received(self, event):
        if self.http is None: self.http = H3Connection(self._quic)
        for e in self.http.handle_event(event):
            if isinstance(e, HeadersReceived):
                self.http.send_headers(e.stream_id, [(b":status", b"200")])
                self.http.send_data(e.stream_id, b"h3" * 10000, True); self.transmit()
async def main():
    c = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    c.load_cert_chain("{world.dir}/cert.pem", "{world.dir}/key.pem")
    await serve("192.0.2.10", 7050, configuration=c, create_protocol=P)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    client = program("quic_client.py")
    started = world.start([sys.executable, "-c", server])
    world.wait_for_bound(7050)
    assert started.poll() is None
    run = world.run("hark", "-o", "quic.pcapng", sys.executable, "-c", client, f"configuration = c; {ADVISED}")
    assert run.out == b"20000\n", run.err
    assert "GET https://h/ 200 20 kB" in run.err and " h3 python" in run.err
    replayed = world.run("hark", "read", "quic.pcapng")
    assert "GET https://h/ 200 20 kB" in replayed.out.decode()
    seen = world.run(
        "tshark", "-r", "quic.pcapng", "-Y", "http3.frame_type == 1"
    )  # HEADERS; what is in them it cannot tell
    assert seen.out.count(b"HTTP3") == 2, seen.out
    run = world.hark(sys.executable, "-c", client, "silent")
    assert run.out == b"20000\n", run.err
    assert "quic 192.0.2.10:7050 not decrypted, " in run.err and " QUIC v1" in run.err and "python[" in run.err
    assert "no secrets for it came" in run.err
    (failure,) = [entry["_failure"] for entry in run.failures]
    assert ADVISED in failure["remedy"]


FOLLOW = program("follow_address.py")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change the world's network while programs run in it")
def test_the_namespace_follows_the_host(world) -> None:
    """A program sees an address of the host's come and go."""

    def change(what: str) -> None:
        subprocess.run([*world.prefix[:4], "ip", "addr", what, "192.0.2.77/32", "dev", "lo"], check=True)

    program = world.popen(["hark", "-q", sys.executable, "-c", FOLLOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"ready\n"
    change("add")
    assert program.stdout.readline() == b"True\n"
    change("del")
    out, _ = program.communicate(b"\n", timeout=20)
    assert out == b"False\n"


DECIDED = program("decided_attempts.py")


def test_decisions_at_the_syn_a_datagram_and_the_first_bytes(world) -> None:
    """tests/programs/refusing.py decides; without it all of these pass. The program sees what a host would show it."""
    shutil.copy(pathlib.Path(__file__).parent.parent / "programs" / "refusing.py", world.dir / "refusing.py")
    echo = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('192.0.2.10', 7009))\n"
        "while True: d, a = s.recvfrom(100); s.sendto(d, a)"
    )
    world.start([sys.executable, "-c", echo])
    program = DECIDED
    run = world.run(sys.executable, str(world.dir / "refusing.py"), "-q", sys.executable, "-c", program)
    assert run.out.decode().splitlines() == ["hello", "ECONNREFUSED", "ECONNRESET", "yes ECONNREFUSED"], run.err


def test_a_port_that_is_taken_on_the_host_is_noted(world) -> None:
    """The real connection then has another one, which a server's log shows: the entry says which, also when it is
    replayed."""
    holder = "import socket, time; s = socket.create_server(('192.0.2.10', 45678)); time.sleep(600)"
    world.start([sys.executable, "-c", holder])
    world.wait_for("192.0.2.10", 45678)
    run = world.hark("-o", "n.pcapng", "curl", "-s", "--local-port", "45678", "http://192.0.2.10:8080/hello")
    assert run.out == b"hello\n"
    ((note,),) = [entry["_notes"] for entry in run.entries]
    assert note["kind"] == "source" and note["address"] == "192.0.2.10" and int(note["port"]) != 45678
    again = world.run("hark", "read", "--json", "n.pcapng").out
    assert [json.loads(line) for line in again.splitlines()] == run.entries
    free = world.hark("curl", "-s", "--local-port", "45679", "http://192.0.2.10:8080/hello")
    assert "_notes" not in free.entries[0]
