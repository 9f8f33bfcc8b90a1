"""Faults: servers that die, certificates that are no good, programs and harks that are killed, disks that are full."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from world import plain as plain_text
from world import until

DYING = """
import socket
l = socket.create_server(("192.0.2.10", 7020))
while True:
    c, _ = l.accept(); c.recv(4096)
    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1000\\r\\n\\r\\nhalf of it"); c.close()
"""


def test_server_dies_in_the_middle_of_a_body(world) -> None:
    world.start([sys.executable, "-c", DYING])
    world.wait_for("192.0.2.10", 7020)
    plain = world.run("curl", "-sS", "http://192.0.2.10:7020/")
    run = world.hark("curl", "-sS", "http://192.0.2.10:7020/")
    assert (run.status, run.out) == (plain.status, plain.out) == (18, b"half of it")
    assert run.told == ["GET http://192.0.2.10:7020/ 200 http/1.1 curl"]
    assert plain_text(run.entries[0]["_trouble"]) == "the server closed after TIME, in the middle of the body"
    assert run.entries[0]["response"]["content"]["text"] == "half of it"


def test_expired_certificate_is_the_programs_own_error(world) -> None:
    command = ["curl", "-sS", "--cacert", str(world.dir / "expired.pem"), "https://localhost:8444/"]
    plain, run = world.run(*command), world.hark(*command)
    assert run.status == plain.status == 60
    assert plain.err.strip() in run.err
    assert "certificate_expired" in run.err and run.entries == []


def test_untrusted_certificate_is_the_programs_own_error(world) -> None:
    run = world.hark("curl", "-sS", "https://localhost:8443/")
    assert run.status == 60 and "unknown_ca" in run.err


def test_no_agent_no_secrets_is_told(world) -> None:
    """What stays closed is told with host, bytes, process, library, why and what would open it."""
    static = world.dir / "home" / "noagent.py"
    static.write_text(
        "import os, sys\n"
        "import ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "env = [b'PATH=/usr/bin:/bin', b'HOME=/']\n"
        "argv = [b'curl', b'-s', b'--cacert', os.environ['CA'].encode(), b'https://site.test:8443/hello']\n"
        "A = (ctypes.c_char_p * (len(argv) + 1))(*argv, None); E = (ctypes.c_char_p * (len(env) + 1))(*env, None)\n"
        "libc.syscall(59 if os.uname().machine == 'x86_64' else 221, b'/usr/bin/curl', A, E)\n"
    )
    run = world.hark(sys.executable, str(static))  # a bare system call: nothing of ours is carried along
    assert run.out == b"hello\n" and run.entries == []
    closed = next(line for line in run.err.splitlines() if line.startswith("tls "))
    assert (
        closed.startswith("tls site.test:8443 not decrypted, ")
        and "TLS 1.3" in closed
        and "curl[" in closed
        and "OpenSSL" in closed
    )
    assert "no secrets for it came; " in run.err
    assert "1 connection not decrypted" in run.err


def test_program_killed_in_the_middle(world) -> None:
    run = world.sh(
        "curl -s --limit-rate 10k --cacert $CA https://site.test:8443/page.html >/dev/null & sleep 0.3; kill -9 $!; exit 0"
    )
    assert run.status == 0
    assert len(run.entries) == 1 and run.entries[0]["request"]["url"] == "https://site.test:8443/page.html"


def test_disk_full_on_o_leaves_the_program_alone(world) -> None:
    """/dev/full takes nothing: one line, the program's output and status are untouched, the rest is told."""
    link = world.dir / "home" / "full.pcapng"
    link.unlink(missing_ok=True)
    link.symlink_to("/dev/full")
    run = world.run("hark", "-o", "full.pcapng", "curl", "-s", "http://192.0.2.10:8080/hello")
    assert (run.status, run.out) == (0, b"hello\n")
    assert "hark: cannot write full.pcapng any more: No space left on device; the rest is not in it" in run.err
    assert "GET http://192.0.2.10:8080/hello 200" in run.err
    run = world.run("hark", "-o", "/nowhere/x.pcapng", "true")
    assert (run.status, run.err) == (1, "hark: cannot write /nowhere/x.pcapng: No such file or directory\n")


def _namespaces() -> set[str]:
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add(os.readlink(entry / "ns" / "net"))
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.soak] if number >= 7 else []) for number in range(23)]
)
def test_kill_9_at_random_moments(world, number: int) -> None:
    """Any hark process, any moment: no process, namespace or secret is left, the recording opens and replays."""
    dice = random.Random(number)
    path = world.dir / "home" / f"killed{number}.pcapng"
    before = _namespaces()
    logs = set((world.dir / "home").glob("keylog*"))  # of other tests
    script = "for i in 1 2 3 4 5 6 7 8 9; do curl -s --cacert $CA https://site.test:8443/hello?$i; done; sleep 0.4"
    started = world.popen(
        ["hark", "-o", str(path), "sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    time.sleep(0.06 + dice.random() * 0.5)  # any moment
    mine = [int(line.split()[0]) for line in world.processes()]
    victim = dice.choice(mine) if mine else started.pid
    who = "hark" if victim == started.pid else "helper"
    os.kill(victim, signal.SIGKILL)
    started.wait(20)

    def left() -> list[object]:
        pids = subprocess.run(["pgrep", "-f", f"killed{number}.pcapng"], capture_output=True).stdout.split()
        return [*world.processes(), *pids, *(_namespaces() - before)]

    until(lambda: not left(), 10, lambda: (who, left()))
    assert set((world.dir / "home").glob("keylog*")) == logs
    if path.exists() and path.stat().st_size:
        replay = world.run("hark", "read", "--json", str(path))
        assert replay.status in (0, 1) and "Traceback" not in replay.err, replay.err
        for line in replay.out.splitlines():
            entry = json.loads(line)
            if "_failure" in entry:  # a look-up or a connection that was cut before its request
                assert entry["_failure"]["host"] == "site.test", entry
            elif entry["request"]["url"] or not entry.get("_trouble"):
                # Else an answer without its request, marked. Why is not known: that only one direction's secrets were
                # recorded would explain it, yet no cut of a file has one (tests/unit/test_cut_recordings.py), nor of
                # what the capture process writes, as a client has its own secret before it asks.
                assert entry["request"]["url"].startswith("https://site.test:8443/hello?"), entry
        seen = world.run("tshark", "-r", str(path), "-c", "5")
        assert seen.status in (0, 2), seen.err  # 2: the last block is torn, the ones before it are read
    path.unlink(missing_ok=True)


def test_a_killed_decoder_leaves_the_program_alone(world) -> None:
    """The program goes on to its own end, six rings of traffic later; one line says that nothing more is told."""
    up = world.dir / "home" / "up"
    up.unlink(missing_ok=True)
    started = world.popen(
        ["hark", "sh", "-c", "touch up; sleep 0.6; head -c 200000000 /dev/zero | curl -s -T - http://192.0.2.10:8080/upload; exit 3"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    def helpers() -> list[int]:
        return sorted(int(line.split()[0]) for line in world.processes() if int(line.split()[0]) != started.pid)

    until(lambda: up.exists() and len(helpers()) == 2)
    decoder = helpers()[-1]
    os.kill(decoder, signal.SIGKILL)
    out, err = started.communicate(timeout=20)
    assert (out, started.returncode) == (b"taken\n", 3)
    assert b"hark: the decoder process was killed by signal 9: nothing more is shown; sh runs on" in err


def test_hostile_bytes_are_inert_on_a_terminal(world) -> None:
    """Control bytes in URLs, headers and bodies reach neither a terminal nor a JSON reader raw."""
    server = (
        "import socket\nl = socket.create_server(('192.0.2.10', 7021))\nwhile True:\n c, _ = l.accept(); c.recv(4096)\n"
        " c.sendall(b'HTTP/1.1 200 \\x1b]0;owned\\x07\\r\\nX-Evil: \\x1b[2J\\xe2\\x80\\xae\\r\\nContent-Length: 5\\r\\n\\r\\n\\x1b[31m')\n"
        " c.close()"
    )
    world.start([sys.executable, "-c", server])
    world.wait_for("192.0.2.10", 7021)
    client = (
        "import socket; s = socket.create_connection(('192.0.2.10', 7021)); "
        "s.sendall(b'GET /\\x1b[5n HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n'); s.recv(4096)"
    )
    run = world.run("hark", "-vv", sys.executable, "-c", client)
    assert "\x1b" not in run.err and "\x07" not in run.err and "\u202e" not in run.err
    assert "\\x1b[2J\\u202e" in run.err and "\\x1b[31m" in run.err
