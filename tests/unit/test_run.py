"""A whole run in this process's children: the program's status, what is written, and what is said when something ends too
early."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator

import pytest

from alone import ADDRESS4, alone
from hark.commands.run import run
from hark.errors import HarkError, NotExecutable, NotFound
from hark.options import Options
from world import until

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def server(answers: int = 1) -> Iterator[str]:
    """Answers requests; its URL."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            for _ in range(answers):
                link, _ = listener.accept()
                with link:
                    link.recv(65536)
                    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")

    with socket.create_server((ADDRESS4, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield "http://{}:{}/hello".format(*listener.getsockname())


class Ran:
    """A run in a child of this process: its status, what it said, and the entries of its -o file."""

    def __init__(self, *command: str, **options: object) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hark-test-"))
        made = Options()
        made.command = list(command)
        made.outputs = [str(self.folder / "out.jsonl")]
        for name, value in options.items():
            assert hasattr(made, name)
            setattr(made, name, value)
        streams = {
            fd: os.open(self.folder / name, os.O_WRONLY | os.O_CREAT) for fd, name in ((1, "stdout"), (2, "err"))
        }
        self.pid = os.fork()
        if not self.pid:
            status = 99
            try:
                for fd, file in streams.items():
                    os.dup2(file, fd)
                status = run(made, None)
            except HarkError as error:
                os.write(2, f"hark: {error}\n".encode())
                status = error.status
            finally:
                os._exit(status)

    def end(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def said(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def printed(self) -> str:
        return (self.folder / "stdout").read_text()

    def urls(self) -> list[str]:
        lines = (self.folder / "out.jsonl").read_text().splitlines()
        return [json.loads(line)["request"]["url"] for line in lines]


@alone
def test_the_status_the_output_and_the_requests_of_the_program() -> None:
    with server() as url:
        ran = Ran("sh", "-c", f"curl -s {url}; exit 23")
        assert ran.end() == 23
        assert ran.printed == "hello\n"
        assert ran.urls() == [url]
        assert f"GET {url}" in ran.said


@alone
def test_quiet_means_quiet() -> None:
    with server() as url:
        ran = Ran("curl", "-s", url, quiet=True)
        assert ran.end() == 0
        assert ran.said == ""
        assert ran.urls() == [url]


@alone
def test_a_program_that_a_signal_ends() -> None:
    assert Ran("sh", "-c", "kill -TERM $$", quiet=True).end() == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("command", "error"), [("/nowhere/program", NotFound), ("no-such-program", NotFound), ("/etc", NotExecutable)]
)
@alone
def test_a_program_that_cannot_be_run(command: str, error: type[HarkError]) -> None:
    ran = Ran(command)
    assert ran.end() == error.status
    assert ran.said.startswith(f"hark: cannot run {command}: ")
    assert ran.said.count("\n") == 1
    assert not (ran.folder / "out.jsonl").exists()  # no file is opened before the program is found


@alone
def test_an_exec_that_fails_leaves_nothing_running() -> None:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hark-test-"))
    (folder / "data").write_bytes(b"\x7fELF" + bytes(100))
    (folder / "data").chmod(0o755)
    ran = Ran(str(folder / "data"))
    assert ran.end() == NotExecutable.status
    assert "cannot run the command: Exec format error (is it built for this machine?)" in ran.said
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def network_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def processes() -> list[int]:
    """All but this one that are in its network namespace or one below it."""
    here = os.getpid()
    found = {here}
    while True:
        more = set()
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in found:
                with contextlib.suppress(OSError):
                    stat = pathlib.Path(f"/proc/{name}/stat").read_text()
                    if int(stat.rpartition(")")[2].split()[1]) in found and stat.rpartition(")")[2].split()[0] != "Z":
                        more.add(int(name))
        if not more:
            return sorted(found - {here})
        found |= more


PROGRAM = ["sh", "-c", "echo $$ >$0; exec sleep 60"]


def running() -> tuple[Ran, int, int, int]:
    """A run whose program sleeps; the program, the capture process and the decoder process."""
    mark = pathlib.Path(tempfile.mkdtemp(prefix="hark-test-")) / "pid"
    ran = Ran(*PROGRAM, str(mark))
    until(lambda: mark.exists() and mark.read_text().endswith("\n"))
    program = int(mark.read_text())
    until(lambda: len([pid for pid in processes() if pid not in (ran.pid, program)]) == 2)
    first, second = (pid for pid in processes() if pid not in (ran.pid, program))  # the capture process is forked first
    assert network_of(first) == network_of(second) == network_of(os.getpid()) != network_of(program)
    return ran, program, first, second


@alone
def test_nothing_is_left_when_the_first_process_is_killed() -> None:
    ran, program, capture, decoder = running()
    os.kill(ran.pid, signal.SIGKILL)
    ran.end()
    for pid in (program, capture, decoder):
        until(lambda pid=pid: not network_of(pid))


@alone
def test_a_program_whose_capture_is_killed_is_ended_and_it_is_said() -> None:
    ran, program, capture, decoder = running()
    os.kill(capture, signal.SIGKILL)
    assert ran.end() == 128 + signal.SIGKILL
    assert "hark: the capture process was killed by signal 9: sh has lost its network and is ended" in ran.said
    for pid in (program, decoder):
        until(lambda pid=pid: not network_of(pid))


@alone
def test_a_program_goes_on_when_the_decoder_is_killed() -> None:
    ran, program, capture, decoder = running()
    os.kill(decoder, signal.SIGKILL)
    until(lambda: "hark: the decoder process was killed by signal 9: nothing more is shown; sh runs on" in ran.said)
    assert network_of(program)
    os.kill(program, signal.SIGTERM)
    assert ran.end() == 128 + signal.SIGTERM
    until(lambda: not network_of(capture))


@alone
def test_what_the_program_left_running_is_waited_for_and_ended_by_an_interrupt() -> None:
    ran = Ran("sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & exit 6")
    until(lambda: "hark: sh has ended; waiting for what it left running: sleep[" in ran.said)
    os.kill(ran.pid, signal.SIGINT)
    assert ran.end() == 6
    assert processes() == []


@alone
def test_who_detaches_does_not_wait() -> None:
    mark = pathlib.Path(tempfile.mkdtemp(prefix="hark-test-")) / "pid"
    script = "setsid sh -c 'echo $$ >$0; exec sleep 60' $0 >/dev/null 2>&1 & until [ -s $0 ]; do :; done; exit 6"
    ran = Ran("sh", "-c", script, str(mark), detach=True)
    assert ran.end() == 6
    left = int(mark.read_text())
    assert network_of(left) not in ("", network_of(os.getpid()))
    os.kill(left, signal.SIGKILL)
