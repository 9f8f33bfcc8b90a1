"""Those who look at a running hark: they get what was, then what comes, and the run waits for none of them."""

import json
import os
import signal
import socket

import pytest

from alone import alone
from frames import segment
from hark.commands import watch
from hark.decode.decoder import Decoder
from hark.errors import HarkError
from hark.frontends import watchers
from hark.frontends.watchers import Watchers
from hark.model.book import Book
from hark.model.changes import Change, Ended
from hark.options import Options
from world import until

PID = 4711


def changes(count: int, body: int = 10) -> list[Change]:
    """What is fed of that many exchanges, each on a connection of its own."""
    decoder, book = Decoder(), Book(1 << 20)
    found: list[Change] = []
    for number in range(count):
        request = b"GET /%d HTTP/1.1\r\nHost: h.test\r\n\r\n" % number
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % body + b"x" * body
        for frame in (
            segment(1, True, 0, b"", 2, 1000 + number, 0),
            segment(2, False, 0, b"", 18, 1000 + number),
            segment(3, True, 1, request, 24, 1000 + number),
            *(
                segment(4, False, 1 + at, answer[at : at + 30_000], 24, 1000 + number)
                for at in range(0, len(answer), 30_000)
            ),
        ):
            found += book.feed(decoder.feed(frame))
    return found


def urls(lines: list[dict]) -> list[str]:
    return [line["entry"]["request"]["url"].rpartition("/")[2] for line in lines if line["what"] == "ended"]


class Watching:
    """Somebody who looks: the lines that came so far."""

    def __init__(self, pid: int = PID) -> None:
        link = watchers.connect(pid)
        assert link is not None
        self.link = link
        self.link.setblocking(False)
        self._data = b""

    def lines(self) -> list[dict]:
        try:
            while data := self.link.recv(1 << 20):
                self._data += data
        except BlockingIOError:
            pass
        return [json.loads(line) for line in self._data.splitlines(keepends=True) if line.endswith(b"\n")]


@alone
def test_who_comes_late_gets_what_was_and_then_what_comes() -> None:
    run = Watchers(PID, None)
    assert watchers.running() == [PID]
    every = changes(4)
    for change in every[: len(every) // 2]:
        run.change(change)
    assert not run.needs()
    watching = Watching()
    run.tick(0)
    assert run.needs()
    for change in every[len(every) // 2 :]:
        run.change(change)
    run.tick(0)
    assert urls(watching.lines()) == ["0", "1", "2", "3"]
    run.end()
    assert watching.lines()[-1] == {"what": "end"}
    assert watching.link.recv(1) == b""
    assert watchers.running() == []
    assert watchers.connect(PID) is None


@alone
def test_what_was_is_bounded_in_number_and_size() -> None:
    run = Watchers(PID, None)
    for change in changes(230):
        run.change(change)
    first = Watching()
    run.tick(0)
    run.tick(0)
    assert urls(first.lines()) == [str(number) for number in range(30, 230)]
    run.end()
    run = Watchers(PID, None)
    for change in changes(7, 500_000):
        run.change(change)
    second = Watching()
    run.tick(0)
    until(lambda: run.tick(0) or len(urls(second.lines())) == 4)  # 2 MiB of bodies
    assert urls(second.lines()) == ["3", "4", "5", "6"]


@alone
def test_who_does_not_read_is_let_go_and_the_others_are_not() -> None:
    watchers._BACKLOG = 1 << 20
    run = Watchers(PID, None)
    deaf, good = Watching(), Watching()
    run.tick(0)
    run.tick(0)
    (ended,) = [change for change in changes(1, 300_000) if isinstance(change, Ended)]
    for number in range(7):
        run.change(ended)
        until(lambda number=number: run.tick(0) or len(urls(good.lines())) == number + 1)
    assert len(run._watchers) == 1
    assert len(urls(deaf.lines())) < 7


@alone
def test_a_name_that_is_taken_stops_nothing() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as taken:
        taken.bind(watchers.address(PID))
        run = Watchers(PID, None)
        for change in changes(1):
            run.change(change)
        run.tick(0)
        assert not run.needs()
        run.end()
        assert watchers.connect(PID) is None


@alone
def test_another_user_is_not_let_in() -> None:
    if os.getuid():
        return  # only root can become another user
    run = Watchers(PID, None)
    pid = os.fork()
    if not pid:
        os.setuid(65534)
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.connect(f"\0hark/0/{PID}")
        os._exit(23 if link.recv(1) == b"" else 1)
    until(lambda: run.tick(0) or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    assert not run.needs()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 23


# -- hark watch ------------------------------------------------------------------------------------------------------


@alone
def test_the_only_one_or_the_one_that_is_named_is_watched() -> None:
    run = Watchers(PID, None)
    link, pid = watch.attach(None)
    assert pid == PID
    link.close()
    other = Watchers(os.getpid(), None)
    for chosen in (PID, os.getpid()):
        link, pid = watch.attach(chosen)
        assert pid == chosen
        link.close()
    with pytest.raises(HarkError) as raised:
        watch.attach(None)
    assert raised.value.what == "which hark?"
    assert str(PID) in raised.value.remedy
    assert f"{os.getpid()} (" in raised.value.remedy  # with its command line
    with pytest.raises(HarkError, match="cannot watch 99"):
        watch.attach(99)
    run.end()
    other.end()


@alone
def test_one_that_is_not_there_yet_is_waited_for() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(writer, 2)
        _, found = watch.attach(None)
        os._exit(23 if found == PID else 1)
    assert os.read(reader, 100) == b"hark: waiting for a hark to be started (^C ends)\n"
    run = Watchers(PID, None)
    until(lambda: run.tick(0) or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 23


def test_lines_come_whole_and_nothing_is_said_of_what_is_not_there() -> None:
    ours, theirs = socket.socketpair()
    lines = watch.lines(ours)
    theirs.sendall(b'{"what":"a"}\n{"wh')
    assert next(lines) == {"what": "a"}
    assert next(lines) is None  # nothing more at the moment
    assert next(lines) is None
    theirs.sendall(b'at":"b"}\n')
    assert next(lines) == {"what": "b"}
    assert next(lines) is None
    theirs.close()
    assert list(lines) == []


@pytest.mark.parametrize("how", ["ends", "is killed"])
@alone
def test_whether_the_other_hark_said_that_it_ends(how: str) -> None:
    """What it has shown is printed either way; that there may have been more is said."""
    (out, theirs), (err, said) = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(theirs, 1)
        os.dup2(said, 2)
        until(lambda: watchers.running())
        os._exit(watch.watch(PID, Options()))
    os.close(theirs)
    os.close(said)
    other = os.fork()
    if not other:
        run = Watchers(PID, None)
        until(lambda: run.tick(0) or run.needs())
        for change in changes(1):
            run.change(change)
        if how == "ends":
            run.end()
        else:
            run.tick(0)
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    with open(out) as shown, open(err) as complaints:
        assert "http://h.test/0" in shown.read()
        assert ("ended early" in complaints.read()) == (how == "is killed")
    assert os.waitpid(pid, 0)[1] == 0
    os.waitpid(other, 0)
