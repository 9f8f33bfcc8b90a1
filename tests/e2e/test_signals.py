"""Hangups and interrupts: what reaches the program, and what ends with the terminal, as without hark."""

import os
import pty
import signal
import subprocess

import pytest

from world import until

HARK = ["hark", "-q"]


def _ends(started: subprocess.Popen, seconds: float = 8) -> int | None:
    """Its status; None where it still runs."""
    try:
        return started.wait(seconds)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()
        return None


def _in_a_terminal(world, command: list[str], **more) -> tuple[subprocess.Popen, int]:
    """Run as the leader of a session whose terminal this is."""
    master, slave = pty.openpty()
    started = subprocess.Popen(
        ["setsid", "-c", *world.prefix, *command],
        stdin=slave, stdout=slave, stderr=slave, env=world.env(), cwd=world.dir / "home", start_new_session=False, **more,
    )  # fmt: skip
    os.close(slave)
    return started, master


def _read_until(master: int, mark: bytes) -> bytes:
    said = b""
    while mark not in said:
        said += os.read(master, 4096)
    return said


def _hang_up(world, prefix: list[str], script: str) -> tuple[int | None, str]:
    """Close the terminal once the program is ready; the status, and what it wrote to a file."""
    out = world.dir / "home" / "hangup"
    out.unlink(missing_ok=True)
    started, master = _in_a_terminal(world, [*prefix, "sh", "-c", script])
    _read_until(master, b"ready")
    os.close(master)
    status = _ends(started)
    return status, out.read_text() if out.exists() else ""


@pytest.mark.parametrize(
    "script",
    [
        "echo ready; exec sleep 30",
        "trap 'echo hangup >>hangup; exit 7' HUP; echo ready; for i in $(seq 300); do sleep 0.1; done",
        "trap '' HUP; echo ready; sleep 1; echo over >>hangup; exit 3",
        "trap 'echo continued >>hangup' CONT; echo ready; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done",
    ],
    ids=["sleeps", "handles-it", "ignores-it", "handles-the-continue"],
)
def test_a_closed_terminal_is_a_hangup_for_the_program(world, script: str) -> None:
    bare, said = _hang_up(world, [], script)
    heard, told = _hang_up(world, HARK, script)
    assert bare is not None
    assert (heard, told) == (128 - bare if bare < 0 else bare, said)


def test_behind_a_shell_too(world) -> None:
    """The shell leads the session; the kernel sends the hangup to the whole group as it ends."""
    status, _ = _hang_up(world, ["sh", "-c", 'hark -q "$@"; exit 0', "-"], "echo ready; exec sleep 30")
    assert status is not None


def test_nohup(world) -> None:
    script = "echo ready >&3; sleep 0.7; echo over >>hangup"
    status, told = _hang_up(
        world, ["bash", "-c", 'exec 3>/dev/tty; exec nohup hark -q "$@" >nohup.out 2>&1', "-"], script
    )
    assert (status, told) == (0, "over\n")


def test_what_outlives_its_terminal_outlives_it_under_hark(world) -> None:
    """A daemon that the program left running is not ended by the hangup that ends hark."""
    late = world.dir / "home" / "late"
    late.unlink(missing_ok=True)
    script = "setsid sh -c 'sleep 2; curl -s http://192.0.2.10:8080/hello >late.new; mv late.new late' >/dev/null 2>&1 & echo ready; exit 0"
    started, master = _in_a_terminal(world, ["hark", "sh", "-c", script])
    _read_until(master, b"waiting for what it left running")
    os.close(master)
    assert _ends(started, 1.0) == 0
    until(late.exists)
    assert late.read_text() == "hello\n"


IGNORED = "trap '' INT; exec \"$@\""


def test_an_ignored_interrupt_stays_ignored(world) -> None:
    """hark started with SIGINT ignored: for the program, and for hark that waits for what it left."""
    script = "setsid sleep 1 >/dev/null 2>&1 & grep SigIgn /proc/self/status; exit 6"
    started = world.popen(
        ["sh", "-c", IGNORED, "-", "hark", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    line = started.stderr.readline()
    assert b"waiting for what it left running" in line or b"no exchanges" in line
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=10)
    assert started.returncode == 6 and int(out.split()[1], 16) & 2 and b"Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_to_hark_ends_the_program_as_it_would(world, number: signal.Signals) -> None:
    started = world.popen([*HARK, "sh", "-c", "echo ready; exec sleep 30"], stdout=subprocess.PIPE)
    assert started.stdout.readline() == b"ready\n"
    started.send_signal(number)
    assert _ends(started) == 128 + number
