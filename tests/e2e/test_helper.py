"""The helper in the namespaces, which a plan may ask for (tests/programs/insidehelper.py)."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from world import until


def helped(world, *command: str) -> list[str]:
    """hark with the helper and the command."""
    shutil.copy(pathlib.Path(__file__).parent.parent / "programs" / "insidehelper.py", world.dir / "insidehelper.py")
    return [sys.executable, str(world.dir / "insidehelper.py"), *command]


def of_helped(world) -> dict[int, str]:
    """hark's processes of such a run by pid, with the namespace of the network that each is in."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().split(b"\0")
                if os.fsencode(world.dir / "insidehelper.py") in line[:2]:
                    found[int(entry.name)] = os.readlink(entry / "ns/net")
    return found


FETCH = "until curl -s http://127.0.0.1/; do sleep 0.05; done"


def test_the_helper_makes_sockets_inside_and_is_not_waited_for(world) -> None:
    run = world.run(*helped(world, "-o", "inside.jsonl", "sh", "-c", FETCH))
    assert (run.status, run.out) == (0, b"from inside\n"), run.err
    told = [json.loads(line) for line in (world.dir / "home" / "inside.jsonl").read_text().splitlines()]
    assert [one["request"]["url"] for one in told if "_failure" not in one] == ["http://127.0.0.1/"]
    until(lambda: not of_helped(world))


def _started(world, tmp_path):
    """A run that has the helper; its processes, and which of them the helper is: the one in the program's network."""
    hark = world.popen(
        helped(world, "sh", "-c", f"{FETCH}; exec sleep 1000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert hark.stdout.readline() == b"from inside\n"
    processes = of_helped(world)
    outside = processes[max(processes, key=lambda pid: list(processes.values()).count(processes[pid]))]
    (helper,) = [pid for pid, network in processes.items() if network != outside]
    return hark, processes, helper


@pytest.mark.parametrize("victim", ["first", "capture", "decoder", "all"])
def test_the_helper_ends_with_hark(world, tmp_path, victim: str) -> None:
    """kill -9 of any of its processes, and of all of them at once, leaves none."""
    hark, processes, helper = _started(world, tmp_path)
    first, capture, decoder = sorted(pid for pid in processes if pid != helper)
    for pid in {"first": [first], "capture": [capture], "decoder": [decoder], "all": processes}[victim]:
        os.kill(pid, signal.SIGKILL)
    if victim == "decoder":
        os.kill(first, signal.SIGTERM)
    hark.communicate(timeout=20)
    until(lambda: not of_helped(world))


def test_the_helpers_death_is_one_line_and_the_program_goes_on(world, tmp_path) -> None:
    hark, processes, helper = _started(world, tmp_path)
    os.kill(helper, signal.SIGKILL)
    line = hark.stderr.readline()
    while b"namespace helper" not in line:
        line = hark.stderr.readline()
    assert line == b"hark: the namespace helper was killed by signal 9: port 80 is served no more; sh runs on\n"
    assert set(of_helped(world)) == set(processes) - {helper}  # it is not started again
    os.kill(min(pid for pid in processes if pid != helper), signal.SIGTERM)
    hark.communicate(timeout=20)
    until(lambda: not of_helped(world))
