"""`hark watch`: another terminal looks at a running hark; the program is neither slowed nor changed."""

import json
import signal
import subprocess
import sys

import pytest

from world import ADDRESS4, can_be_watched, sockets_for_watch, until

LOOP = "for i in $(seq 23); do curl -s http://192.0.2.10:8080/hello?$i >/dev/null; sleep 0.1; done"


def start(world, *command: str) -> subprocess.Popen:
    return world.popen(["hark", "-q", *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def test_every_view_of_a_running_hark(world) -> None:
    """Lines, JSON, filters and files: what is told is what the run itself tells, also what was before."""
    home = world.dir / "home"
    (home / "own.jsonl").unlink(missing_ok=True)
    running = start(world, "-o", "own.jsonl", "sh", "-c", LOOP)
    until(lambda: (home / "own.jsonl").exists() and (home / "own.jsonl").read_text().count("\n") > 3)
    lines = world.popen(
        ["hark", "watch", "-o", "w.har", "-o", "w.jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    told = world.popen(
        ["hark", "watch", "--json", "--path", "/hello?7"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = lines.communicate(timeout=30)
    only, _ = told.communicate(timeout=30)
    assert running.wait(20) == 0 and lines.returncode == told.returncode == 0, err
    urls = [f"http://{ADDRESS4}:8080/hello?{n}" for n in range(1, 24)]
    assert [line.split()[1] for line in out.decode().splitlines() if line.startswith("GET")] == urls
    assert out.decode().endswith(f"hark: 23 exchanges with {ADDRESS4}:8080\n")
    assert [json.loads(line)["request"]["url"] for line in only.splitlines()] == [urls[6]]
    own = [json.loads(line) for line in (home / "own.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in (home / "w.jsonl").read_text().splitlines()] == own
    assert json.loads((home / "w.har").read_text())["log"]["entries"] == own


def test_which_one(world) -> None:
    """None: it waits for one. Several: it asks which. One that is not there: one line."""
    waiting = world.popen(["hark", "watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"waiting for a hark" in waiting.stderr.readline()
    first = start(world, "sh", "-c", "curl -s http://192.0.2.10:8080/hello; sleep 2")
    out, _ = waiting.communicate(timeout=20)
    assert b"GET http://192.0.2.10:8080/hello 200" in out
    assert first.wait(20) == 0
    program = world.run("hark", "watch", "-n", "1"), world.run("hark", "watch", "curl")
    assert "hark run watch curl" in program[1].err and [run.status for run in program] == [2, 2]
    two = [start(world, "sleep", "3") for _ in range(2)]
    until(lambda: all(map(can_be_watched, two)))
    which = world.run("hark", "watch")
    assert which.status == 1 and "which hark?" in which.err and "sleep 3" in which.err and which.err.count("\n") == 1
    assert world.run("hark", "watch", "1").err.count("no running hark of yours") == 1
    chosen = world.popen(["hark", "watch", str(two[0].pid)], stdout=subprocess.PIPE)
    assert b"no exchanges" in chosen.communicate(timeout=20)[0]
    for one in two:
        one.wait(20)


def test_a_looker_that_stops_or_dies_harms_nobody(world) -> None:
    """One is stopped and takes nothing, one is killed: the program's run is told whole."""
    go = world.dir / "home" / "go"
    go.unlink(missing_ok=True)
    script = "until [ -e go ]; do sleep 0.05; done; curl -s 'http://192.0.2.10:8080/page.html?[1-2003]' >/dev/null"
    running = start(world, "-o", "own.jsonl", "sh", "-c", script)
    until(lambda: can_be_watched(running))
    stopped, killed = (
        world.popen(["hark", "watch"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)
    )
    until(lambda: sockets_for_watch(running) == 3)  # it listens, and two watch
    stopped.send_signal(signal.SIGSTOP)
    killed.kill()
    go.touch()
    assert running.wait(30) == 0
    assert (world.dir / "home" / "own.jsonl").read_text().count("\n") == 2003
    stopped.kill()
    stopped.wait()
    killed.wait()


def test_another_user_cannot_look(world) -> None:
    """The socket answers its own user; who else connects is let go without a word."""
    if not world.root:
        pytest.skip("only root can be another user")
    running = start(world, "sh", "-c", "curl -s http://192.0.2.10:8080/hello; sleep 2")
    until(lambda: can_be_watched(running))
    probe = (
        "import re, socket; name = re.findall(r'@(hark/\\d+/\\d+)', open('/proc/net/unix').read())[0];"
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0' + name); s.settimeout(3); print(len(s.recv(100)))"
    )
    enter = world.prefix[: world.prefix.index("setpriv")]
    told = subprocess.run(
        [*enter, "setpriv", "--reuid", "nobody", "--clear-groups", sys.executable, "-c", probe],
        capture_output=True,
        text=True,
    )
    assert told.stdout == "0\n", told.stderr
    running.wait(20)
