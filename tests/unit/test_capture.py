"""The capture loop: when it ends, what it records of key sources, whom it ends."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence

import pytest

from hark.recording.blocks import Block, Loss, Secrets
from hark.recording.ring import Reader, Ring, Writer
from hark.tap.capture import Capture
from hark.tap.place import Place
from world import until

LINE = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"


class Quiet:
    """A tap to which nothing comes, and which says what was asked of it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.is_settled = True

    def pause(self) -> float:
        return 0.01

    def idle(self) -> None:
        self.said.append("idle")

    def tick(self, now: float) -> None:
        pass

    def resume(self) -> None:
        self.said.append("resume")

    def settled(self) -> bool:
        return self.is_settled

    def finish(self) -> None:
        self.said.append("finish")


class Children:
    """The observed processes: children of this one."""

    def __init__(self, count: int = 0) -> None:
        self.running = [subprocess.Popen(["sleep", "60"]) for _ in range(count)]

    def members(self) -> list[int]:
        return [child.pid for child in self.running if child.poll() is None]

    def end(self) -> bool:
        pids = self.members()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return bool(pids)


class Pipe:
    """A key source: what is written to it are its lines; "fail" makes it raise."""

    def __init__(self, name: str, at_once: Exception | None = None, there: bool = True) -> None:
        self.name = name
        self._at_once, self._there = at_once, there
        self.end, self.writer = os.pipe()

    def build(self, place: Place) -> dict[str, int]:
        return {}

    def environment(self, base: Mapping[str, str], place: Place) -> dict[str, str]:
        return {}

    def missing(self, files: Mapping[str, int]) -> str:
        return ""

    def open(self, files: Mapping[str, int]) -> "Pipe | None":
        if self._at_once is not None:
            raise self._at_once
        return self if self._there else None

    def fileno(self) -> int:
        return self.end

    def read(self) -> list[Secrets]:
        os.set_blocking(self.end, False)
        try:
            text = os.read(self.end, 1000)
        except BlockingIOError:
            return []
        if text == b"fail":
            raise ValueError("a fault")
        return [Secrets(text, 1, self.name)]


class Running:
    """A capture in a thread, with both ends of what ties it to the rest."""

    def __init__(self, keys: Sequence[Pipe] = (), observed: Children | None = None, tap: Quiet | None = None) -> None:
        self.ring = Ring()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.tap, self.observed = tap or Quiet(), observed or Children()
        self.capture = Capture(Writer(self.ring), self.ring.wake_writer, theirs, self.observed, keys, {})
        self._thread = threading.Thread(target=self.capture.run, args=(self.tap,))
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def blocks(self) -> list[Block]:
        until(lambda: self.over)
        assert Reader(self.ring).closed
        return [block for block, _ in Reader(self.ring).blocks()]


def test_it_ends_when_the_program_and_its_tree_have() -> None:
    observed = Children(1)
    running = Running(observed=observed)
    running.control.send(b"x")
    until(lambda: running.tap.said.count("idle") > 5)
    assert not running.over
    observed.end()
    running.blocks()
    assert running.tap.said[-1] == "finish"


def test_it_ends_only_when_nothing_is_on_its_way() -> None:
    tap = Quiet()
    tap.is_settled = False
    running = Running(tap=tap)
    running.control.send(b"x")
    until(lambda: tap.said.count("idle") > 5)
    assert not running.over
    tap.is_settled = True
    running.blocks()


@pytest.mark.parametrize("how", ["is killed", "says so"])
def test_the_tree_ends_with_hark_s_first_process(how: str) -> None:
    observed = Children(2)
    running = Running(observed=observed)
    if how == "says so":
        running.control.send(b"k")
        running.blocks()
    else:
        running.control.close()
        running.blocks()
    assert observed.members() == []


def test_it_goes_on_when_hark_was_told_to_detach() -> None:
    observed = Children(1)
    running = Running(observed=observed)
    running.control.send(b"d")
    running.control.close()
    until(lambda: running.tap.said.count("idle") > 5)
    assert observed.members()
    assert not running.over
    observed.end()
    running.blocks()


def test_secrets_are_recorded_also_the_last() -> None:
    keys = Pipe("keys")
    os.write(keys.writer, LINE)
    running = Running([keys])
    until(lambda: not _pending(keys.end))
    os.write(keys.writer, LINE * 2)
    running.control.send(b"x")
    secrets = [block for block in running.blocks() if isinstance(block, Secrets)]
    assert b"".join(block.text for block in secrets) == LINE * 3
    assert {block.source for block in secrets} == {"keys"}


def _pending(fd: int) -> bool:
    import select

    return bool(select.select([fd], [], [], 0)[0])


def test_a_source_that_fails_is_recorded_and_the_others_go_on() -> None:
    sources = [
        Pipe("no descriptor", OSError(24, "Too many open files")),
        Pipe("a mistake", TypeError("wrong")),
        Pipe("nothing here", there=False),
        Pipe("fails later"),
        Pipe("good"),
    ]
    running = Running(sources)
    os.write(sources[3].writer, b"fail")
    os.write(sources[4].writer, LINE)
    until(lambda: not _pending(sources[3].end) and not _pending(sources[4].end))
    os.write(sources[3].writer, LINE)  # nobody listens any more
    running.control.send(b"x")
    blocks = running.blocks()
    assert [block.why for block in blocks if isinstance(block, Loss)] == [
        "no descriptor: Too many open files",
        "a mistake: TypeError: wrong",
        "fails later: ValueError: a fault",
    ]
    assert [block.source for block in blocks if isinstance(block, Secrets)] == ["good"]


def test_room_in_the_ring_is_told_to_the_tap() -> None:
    running = Running()
    os.eventfd_write(running.ring.wake_writer, 1)
    until(lambda: "resume" in running.tap.said)
    running.control.send(b"x")
    running.blocks()


def test_a_fault_of_the_tap_s_is_not_swallowed() -> None:
    class Broken(Quiet):
        def tick(self, now: float) -> None:
            raise ValueError("a fault")

    ring = Ring()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with pytest.raises(ValueError, match="a fault"):
        Capture(Writer(ring), ring.wake_writer, theirs, Children(), [], {}).run(Broken())
    ours.close()
