"""Processes of hark's own beside the program: real ones, which end, fail, are killed, and are left without a parent."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from hark.system import child
from hark.system.child import Child
from hark.tap.children import Children
from hark.tap.loop import Loop


class Setup:
    """A loop with children in it, and what they and it have said."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.lost: list[tuple[str, int, str]] = []
        read, self.said = os.pipe()
        self.read = open(read, "rb", buffering=0)
        self.children = Children(self.loop, lambda *lost: self.lost.append(lost), self.say)

    def say(self, text: str) -> None:
        os.write(self.said, text.encode() + b"\n")

    def start(self, body: Callable[[], int | None], remedy: str = "") -> int:
        return self.children.start("scanner", body, [self.said], "nothing is scanned any more", remedy)

    def until_lost(self, count: int) -> None:
        end = time.monotonic() + 5
        while len(self.lost) < count:
            assert time.monotonic() < end, self.lost
            self.loop.once(0.1)


@pytest.fixture
def setup() -> Iterator[Setup]:
    made = Setup()
    yield made
    made.children.close()
    made.read.close()
    os.close(made.said)


def sleep() -> None:
    time.sleep(60)


def fail() -> None:
    raise ValueError("no such thing")


def gone(pid: int) -> bool:
    """Whether there is no such process any more, not even a dead one."""
    return not os.path.exists(f"/proc/{pid}")


def test_an_end_that_nobody_asked_for_is_reported_once(setup: Setup) -> None:
    pid = setup.start(lambda: None, "start it by hand")
    setup.until_lost(1)
    assert setup.lost == [("process", 1, "scanner has ended: nothing is scanned any more (start it by hand)")]
    setup.loop.once(0.05)
    assert len(setup.lost) == 1 and setup.children.pids == [] and gone(pid)


def test_one_that_fails_reports_its_fault_and_is_not_started_again(setup: Setup) -> None:
    setup.start(fail)
    setup.until_lost(1)
    assert setup.lost == [("process", 1, "scanner ended with status 255: nothing is scanned any more")]
    said = setup.read.read(65536).decode()
    assert said.startswith("hark: the scanner failed; please report this:\n") and "ValueError: no such thing" in said
    assert setup.children.pids == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_killed_is_reported_and_others_live(setup: Setup, number: int) -> None:
    one, other = setup.start(sleep), setup.start(sleep)
    os.kill(one, number)
    setup.until_lost(1)
    assert setup.lost == [("process", 1, f"scanner was killed by signal {number:d}: nothing is scanned any more")]
    assert setup.children.pids == [other] and gone(one) and not gone(other)


def test_what_is_ended_with_the_capture_is_no_loss(setup: Setup) -> None:
    pids = [setup.start(sleep) for _ in range(3)]
    setup.children.close()
    setup.loop.once(0.05)
    assert setup.lost == [] and setup.children.pids == [] and all(map(gone, pids))


def test_one_that_cannot_be_watched_is_not_left_running(setup: Setup) -> None:
    """No descriptor is free for its pidfd."""
    before = own()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    spare = [os.dup(setup.said) for _ in range(used)]  # every number below the limit is taken
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, limit[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            setup.start(sleep)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        for fd in spare:
            os.close(fd)
    assert setup.children.pids == [] and own() == before


def own() -> set[int]:
    """The children of this process, dead ones too."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
            if int(file.read().rpartition(") ")[2].split()[1]) == os.getpid():
                found.add(int(name))
    return found


def test_it_has_no_descriptors_but_those_that_it_is_to_keep(setup: Setup) -> None:
    """Those of the loop, of sockets and of other children stay the capture process's alone."""

    def body() -> None:
        setup.say(" ".join(sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 200) if there(fd))))

    def there(fd: int) -> bool:
        return os.path.lexists(f"/proc/self/fd/{fd}")

    setup.start(sleep)
    setup.start(body)
    assert setup.read.readline().split() == [os.readlink(f"/proc/self/fd/{setup.said}").encode()]


def test_a_body_may_become_another_program(setup: Setup) -> None:
    setup.start(lambda: os.execv("/bin/sh", ["sh", "-c", "exit 7"]))
    setup.until_lost(1)
    assert setup.lost == [("process", 1, "scanner ended with status 7: nothing is scanned any more")]


ALONE = """
import os, sys, time
from hark.tap.children import Children
from hark.tap.loop import Loop
children = Children(Loop(), print, print)
for _ in range(3):
    children.start("sleeper", lambda: time.sleep(60), [], "")
print(*children.pids, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_none_outlives_who_started_it(number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3 and not any(map(gone, pids))
        parent.send_signal(number)
        parent.wait()
    end = time.monotonic() + 5
    while not all(map(ended, pids)):
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Whether it runs no more: nobody may be there to wait for it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] in "ZX"
    except FileNotFoundError:
        return True


def test_how_a_process_ended() -> None:
    assert child.death(0) == ""
    assert child.death(3 << 8) == "ended with status 3"
    assert child.death(int(signal.SIGTERM)) == "was killed by signal 15"
    one = Child("decoder process", 1, "nothing more is shown; curl runs on")
    assert one.line("was killed by signal 9") == (
        "decoder process was killed by signal 9: nothing more is shown; curl runs on"
    )
