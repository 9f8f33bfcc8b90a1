"""The program is sacred: what it sees, says and returns is what it would be without hark."""

import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from servers import GO
from world import plain, until


def test_exit_status_is_the_programs(world) -> None:
    assert world.hark("sh", "-c", "exit 7").status == 7
    assert world.hark("true").status == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_death_by_signal_is_128_plus_n(world, number: signal.Signals) -> None:
    assert world.sh(f"kill -{number.value} $$").status == 128 + number


def test_what_cannot_be_run_is_one_line(world) -> None:
    run = world.hark("no-such-command")
    assert (run.status, run.err) == (127, "hark: cannot run no-such-command: no such command in PATH\n")
    run = world.hark("/etc/passwd")
    assert (run.status, run.err) == (126, "hark: cannot run /etc/passwd: it is not executable\n")
    (world.dir / "home" / "junk").write_bytes(b"\x7fELFjunk")
    (world.dir / "home" / "junk").chmod(0o755)
    run = world.hark("./junk")
    assert run.status == 126 and run.err.count("\n") == 1 and "cannot run" in run.err


def test_scripts_without_a_first_line_run_as_in_a_shell(world) -> None:
    script = world.dir / "home" / "bare"
    script.write_text("echo bare $1\n")
    script.chmod(0o755)
    assert world.hark("./bare", "x").out == b"bare x\n"


def test_environment_identity_and_streams_are_its_own(world) -> None:
    script = "id -u; id -g; pwd; cat; echo to-stderr >&2; echo $FOO; ls /proc/self/fd | tr '\\n' ' '"
    bare = world.run("sh", "-c", script, input=b"stdin\n", FOO="bar")
    heard = world.sh(script, input=b"stdin\n", FOO="bar")
    assert heard.out == bare.out
    assert heard.err == "to-stderr\nhark: no exchanges\n"


def test_environment_has_three_more_variables_and_no_others(world) -> None:
    bare = set(world.run("env").out.decode().splitlines())
    heard = set(world.hark("env").out.decode().splitlines())
    assert bare - heard == set()
    assert sorted(line.split("=")[0] for line in heard - bare) == ["LD_PRELOAD", "NODE_OPTIONS", "SSLKEYLOGFILE"]


def test_signals_dispositions_and_mask_are_as_without_hark(world) -> None:
    script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"
    assert world.sh(script).out == world.run("sh", "-c", script).out


def test_open_descriptors_and_limits_are_inherited(world) -> None:
    assert world.run("sh", "-c", "exec 7<$DIR/cert.pem; hark -q head -c 10 /dev/fd/7").out == b"-----BEGIN"
    assert world.hark("sh", "-c", "ulimit -n").out == world.run("sh", "-c", "ulimit -n").out


def test_signals_to_hark_reach_the_program(world) -> None:
    ready = 'trap "echo got; exit 5" USR1; echo ready; while :; do sleep 0.05; done'
    started = world.popen(["hark", "-q", "sh", "-c", ready], stdout=subprocess.PIPE)
    assert started.stdout.readline() == b"ready\n"
    os.kill(started.pid, signal.SIGUSR1)  # setpriv and ip exec into hark: the pid is hark's own
    assert started.stdout.read() == b"got\n"
    assert started.wait(10) == 5


def test_a_terminal_stays_the_programs(world) -> None:
    """On a tty: the program sees it, job control works, ^C ends the program and hark tells its status."""
    master, slave = pty.openpty()
    script = 'tty; trap "echo interrupted; exit 9" INT; echo ready; while :; do sleep 0.05; done'
    prefix = world.prefix
    started = subprocess.Popen(
        [*prefix, "hark", "sh", "-c", script],
        stdin=slave, stdout=slave, stderr=slave, env=world.env(), start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(slave, 0x540E, 0),
    )  # fmt: skip
    os.close(slave)
    said = b""
    sent = False
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                said += os.read(master, 4096)
            except OSError:
                break
        if b"ready" in said and not sent:
            os.write(master, b"\x03")
            sent = True
        if started.poll() is not None and not select.select([master], [], [], 0.1)[0]:
            break
    os.close(master)
    assert started.wait(5) == 9, said
    assert b"/dev/pts/" in said and b"interrupted" in said and b"hark: no exchanges" in said


def test_stopping_and_continuing(world) -> None:
    """A program that stops itself stops hark too, as a job; SIGCONT brings both back."""
    started = world.popen(["hark", "-q", "sh", "-c", "kill -STOP $$; exit 3"])
    stat = pathlib.Path(f"/proc/{started.pid}/stat")
    until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T")
    os.kill(started.pid, signal.SIGCONT)
    assert started.wait(10) == 3


def test_hark_stays_until_the_tree_is_gone(world) -> None:
    """A daemonised orphan is heard; hark ends when it has ended."""
    script = "setsid sh -c 'sleep 1.5; curl -s http://192.0.2.10:8080/hello >$DIR/home/late' >/dev/null 2>&1 & exit 4"
    begun = time.monotonic()
    run = world.sh(script)
    assert run.status == 4
    assert time.monotonic() - begun > 1.4
    assert run.told == ["GET http://192.0.2.10:8080/hello 200 http/1.1 curl"]
    assert "hark: sh has ended; waiting for what it left running: " in run.err


def test_detach_returns_when_the_program_ends(world) -> None:
    """--detach: hark returns at once, the orphan keeps its network and is heard."""
    told = world.dir / "home" / "detached.jsonl"
    go = world.dir / "home" / "detached.go"
    go.unlink(missing_ok=True)
    orphan = f"until [ -e {go} ]; do sleep 0.05; done; curl -s http://192.0.2.10:8080/hello"
    script = f"setsid sh -c '{orphan}' >/dev/null 2>&1 & exit 4"
    done = subprocess.run(
        [*world.prefix, "hark", "-q", "-o", str(told), "--detach", "sh", "-c", script],
        env=world.env(),
        cwd=world.dir,
        timeout=30,  # were the orphan waited for, it would be for ever
    )
    assert done.returncode == 4
    assert told.read_text() == ""
    go.touch()
    until(told.read_text)
    assert '"url":"http://192.0.2.10:8080/hello"' in told.read_text()


def test_interrupts_end_what_was_left_running(world) -> None:
    """After the program's end the first ^C ends its orphans; nothing hangs."""
    started = world.popen(["hark", "sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & exit 6"], stderr=subprocess.PIPE)
    line = started.stderr.readline()
    assert b"waiting for what it left running: sleep[" in line
    os.kill(started.pid, signal.SIGINT)
    assert started.wait(5) == 6


def test_options_and_command_lines(world) -> None:
    """hark's options before the command, the command's after it; `hark --`, `hark run`."""
    assert world.run("hark", "-q", "echo", "-v", "--json").out == b"-v --json\n"
    assert world.run("hark", "-q", "--", "echo", "read").out == b"read\n"
    assert world.run("hark", "run", "-q", "echo", "x").out == b"x\n"
    help_text = world.run("hark", "--help").out.decode()
    assert len(help_text.splitlines()) <= 40 and max(map(len, help_text.splitlines())) <= 80
    assert world.run("hark", "--version").out.startswith(b"hark ")
    run = world.run("hark", "--no-such-option", "true")
    assert (run.status, run.err.count("\n")) == (2, 1)
    assert world.run("hark", "-q", "sh", "-c", "exit 3").status == 3
    run = world.run("hark", "-o", "x.txt", "true")
    assert (run.status, run.err) == (
        2,
        "hark: cannot write x.txt: 'txt' is not a file type that hark writes "
        "(.pcapng, .jsonl, .har, .html, or x.txt:har and so on)\n",
    )


def test_json_on_stderr_leaves_stdout_alone(world) -> None:
    import json

    run = world.run("hark", "--json", "curl", "-s", "http://192.0.2.10:8080/item.json")
    assert run.out == b'{"item": [1, 2, 3]}\n'
    entry = json.loads(run.err)
    assert entry["response"]["content"] == {
        "size": 20, "mimeType": "application/json", "text": '{"item": [1, 2, 3]}\n',
    }  # fmt: skip
    assert entry["_process"]["cmdline"] == ["curl", "-s", "http://192.0.2.10:8080/item.json"]


def test_quiet_says_nothing(world) -> None:
    assert world.run("hark", "-q", "curl", "-s", "http://192.0.2.10:8080/hello").err == ""


def test_waiting_is_told(world) -> None:
    """A request without an answer gets a line after a moment, and another when it is answered."""
    slow = (
        "import http.server, time\nclass H(http.server.BaseHTTPRequestHandler):\n"
        " def do_GET(self): time.sleep(1.6); self.send_response(200); self.end_headers(); self.wfile.write(b'late')\n"
        " def log_message(self, *a): pass\n"
        "http.server.HTTPServer(('192.0.2.10', 7040), H).serve_forever()"
    )
    world.start([sys.executable, "-c", slow])
    world.wait_for("192.0.2.10", 7040)
    run = world.hark("curl", "-s", "http://192.0.2.10:7040/slow")
    lines = [plain(line) for line in run.err.splitlines()]
    assert lines[0] == "GET http://192.0.2.10:7040/slow waiting curl[PID]"
    assert lines[1].startswith("GET http://192.0.2.10:7040/slow 200 ")


def test_lines_fit_the_terminal_and_are_coloured_only_there(world) -> None:
    """On a terminal of 80 columns: colour, and no line is longer; NO_COLOR is heeded."""
    import re

    url = "http://192.0.2.10:8080/hello?" + "x" * 150
    for colours in ({}, {"NO_COLOR": "1"}):
        script = f"stty cols 80; hark curl -s '{url}'"
        run = world.run("script", "-qec", script, "/dev/null", **colours)
        lines = run.out.decode().splitlines()
        told = next(line for line in lines if line.startswith("GET"))
        assert ("\x1b[" in told) == (not colours)
        bare = re.sub(r"\x1b\[\d+m", "", told)
        assert len(bare) <= 80 and "…" in bare and " 200 " in bare and "curl[" in bare


def test_closed_streams_stay_closed_and_nothing_lands_elsewhere(world) -> None:
    run = world.run("sh", "-c", "hark -o closed.jsonl curl -s http://192.0.2.10:8080/hello 2>&- <&-")
    assert (run.status, run.out) == (0, b"hello\n")
    assert (world.dir / "home" / "closed.jsonl").read_text().startswith('{"startedDateTime"')
    assert (world.dir / "home" / "closed.jsonl").read_text().count("\n") == 1


def test_static_and_foreign_tls_is_told_by_name(world) -> None:
    """A Go program: not opened yet, but told with the library that was found in it."""
    run = world.hark(GO, "fetch", "https://site.test:8443/hello", SSL_CERT_FILE=str(world.dir / "cert.pem"))
    assert run.status == 0, run.err
    assert "tls site.test:8443 not decrypted, " in run.err and "(Go crypto/tls) " in run.err and " talk[" in run.err
    assert "set tls.Config.KeyLogWriter" in run.err


_LOST = pytest.mark.xfail(reason="Limits: What a program adds to its user keyring", strict=True)


@pytest.mark.parametrize("tap", [[], pytest.param(["hark", "-q"], marks=_LOST)], ids=["untapped", "hark"])
def test_a_key_that_a_program_adds_stays(world, tap: list[str]) -> None:
    name = f"hark-added-{os.getpid()}-{len(tap)}"
    assert world.run(*tap, "keyctl", "add", "user", name, "a secret", "@u").status == 0
    found = world.run("keyctl", "search", "@u", "user", name)
    assert found.status == 0, found.err
    world.run("keyctl", "unlink", found.out.decode().strip(), "@u")
