"""The browser's beginning and end: the process that feeds it, and the command beside it."""

import json
import os
import pty
import signal
import sys
import time

import pytest

from hark.commands import ui
from hark.errors import HarkError
from hark.frontends.ui.listing import _right
from hark.frontends.ui.start import in_another_process, lines_of, need_terminal
from world import until


def test_lines_of_another_process_and_its_status() -> None:
    def body(feed: int) -> int:
        os.write(feed, b'{"a":1}\n{"b":')
        os.write(feed, b"2}\nnot whole")
        return 23

    lines, pid = in_another_process(body)
    assert list(lines) == [b'{"a":1}\n', b'{"b":2}\n']
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 23


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (HarkError("cannot x", "why"), "cannot x: why"),
        (ValueError("a fault"), "hark failed; please report this: ValueError('a fault')"),
    ],
)
def test_what_went_wrong_there_is_shown_here(error: Exception, text: str) -> None:
    """The terminal is the browser's: nothing else may be written to it."""

    def body(feed: int) -> int:
        raise error

    lines, pid = in_another_process(body)
    assert [json.loads(line) for line in lines] == [{"what": "told", "text": text}]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_the_process_that_feeds_ends_with_the_browser() -> None:
    reader, writer = os.pipe()
    browser = os.fork()
    if not browser:
        _, pid = in_another_process(lambda feed: time.sleep(60) or 0)
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.waitpid(browser, 0)
    pid = int(os.read(reader, 100))
    until(lambda: not os.path.exists(f"/proc/{pid}") or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def test_lines_that_come_slowly() -> None:
    reader, writer = os.pipe()
    lines = lines_of(reader)
    for number in range(3):
        os.write(writer, b"%d\n" % number)
        assert next(lines) == b"%d\n" % number
    os.close(writer)
    assert list(lines) == []


def test_a_terminal_is_needed_on_both_sides() -> None:
    with open(os.devnull) as nothing:
        pid, terminal = pty.fork()
        if not pid:
            try:
                need_terminal()
                os.dup2(nothing.fileno(), 0)
                need_terminal()
            except HarkError as error:
                os.write(1, str(error).encode())
            os._exit(7 if not os.isatty(0) else 8)
        said = os.read(terminal, 1000).decode()
        assert said.startswith("cannot show the browser: standard input and output are no terminal")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        os.close(terminal)


def child(body: str) -> int:
    pid = os.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", body])
    return pid


def test_the_status_of_the_command_beside_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = child("raise SystemExit(23)")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ui._end(pid) == 23
    assert ui._end(child("import time; time.sleep(60)")) == 128 + signal.SIGTERM


def test_a_command_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "_PATIENCE", 0.1)
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    body = f"import os, signal, time; signal.signal(15, signal.SIG_IGN); os.write({writer}, b'.'); time.sleep(60)"
    pid = child(body)
    assert os.read(reader, 1) == b"."
    assert ui._end(pid) == 128 + signal.SIGKILL


def test_columns_by_the_width_of_the_list() -> None:
    """What gives way first: size, then process, then type; the time stays."""
    heads = [_right(width, None).split() for width in (120, 99, 75, 40)]
    assert heads == [["type", "size", "time", "process"], ["type", "time", "process"], ["type", "time"], ["time"]]
