"""The program's start and end: found, prepared, waited for; signals passed on as the kernel would have sent them."""

import errno
import os
import pathlib
import signal
import socket
from collections.abc import Mapping

import pytest

from alone import alone
from hark.errors import HarkError, NotExecutable, NotFound
from hark.tap import launch
from hark.tap.launch import Waiter
from hark.tap.namespace import setup
from hark.tap.place import Place
from hark.tap.source import KeySource
from world import until

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("program", "text"):
        (tmp_path / name).write_text("echo from a script: $1\n")
    (tmp_path / "program").chmod(0o755)
    (tmp_path / "directory").mkdir()
    return tmp_path


def test_a_command_is_found_as_by_a_shell(folder: pathlib.Path) -> None:
    path = f"/nowhere:{folder}"
    assert launch.find("program", path) == f"{folder}/program"
    assert launch.find(f"{folder}/program", None) == f"{folder}/program"
    for command, error, said in (
        ("missing", NotFound, "cannot run missing: no such command in PATH"),
        ("text", NotFound, "cannot run text: no such command in PATH"),
        ("directory", NotFound, "cannot run directory: no such command in PATH"),
        ("", NotFound, "cannot run '': no such command in PATH"),
        (f"{folder}/missing", NotFound, f"cannot run {folder}/missing: no such file"),
        (f"{folder}/text", NotExecutable, f"cannot run {folder}/text: it is not executable"),
        (f"{folder}/directory", NotExecutable, f"cannot run {folder}/directory: it is a directory"),
    ):
        with pytest.raises(error) as raised:
            launch.find(command, path)
        assert str(raised.value) == said


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("NAME=1", "a variable for a command: hark env 'NAME=1' COMMAND"),
        ("curl x | jq", "a command line is for a shell: hark sh -c 'curl x | jq'"),
        ("it's a command", "a command line is for a shell: hark sh -c 'it'\"'\"'s a command'"),
        ("1=2", ""),
    ],
)
def test_what_was_probably_meant(word: str, remedy: str) -> None:
    with pytest.raises(NotFound) as raised:
        launch.find(word, "/nowhere")
    assert raised.value.remedy == remedy


class Source:
    """A key source that can be had or not."""

    name = "source"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def build(self, place: Place) -> dict[str, int]:
        if self._error is not None:
            raise self._error
        return {"pipe": os.memfd_create("x"), "none": -1}

    def environment(self, base: Mapping[str, str], place: Place) -> dict[str, str]:
        return {"FROM_SOURCE": "here"}

    def missing(self, files: Mapping[str, int]) -> str:
        return ""

    def open(self, files: Mapping[str, int]) -> None:
        return None


def prepared(file: str, *words: str, source: KeySource | None = None) -> launch.Child:
    private = os.environ["PRIVATE"]
    return launch.prepare(file, [file, *words], setup.look(private), None, [source or Source()]).ready()


def outcome(child: launch.Child) -> int:
    child.go()
    child.gone()
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])


@pytest.fixture(autouse=True)
def private(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE", str(tmp_path_factory.mktemp("private")))


@alone
def test_the_program_has_the_environment_and_ids_and_we_the_descriptors() -> None:
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    script = 'echo "$FROM_SOURCE $(id -u) $(readlink /proc/self/ns/net)"; exit 23'
    child = prepared("/bin/sh", "-c", script)
    assert child.files["none"] == -1
    assert child.files["pipe"] >= 0
    inside = os.readlink(f"/proc/self/fd/{child.files['network']}")
    assert inside != os.readlink("/proc/self/ns/net")
    assert outcome(child) == 23
    assert os.read(reader, 1000).decode().split() == ["here", str(os.getuid()), inside]


@alone
def test_a_source_that_cannot_be_had_is_left_out() -> None:
    child = prepared("/bin/sh", "-c", 'exit "${FROM_SOURCE:-7}"', source=Source(OSError(errno.EACCES, "no")))
    assert "pipe" not in child.files
    assert outcome(child) == 7


@alone
def test_why_it_cannot_be_prepared_is_told_here() -> None:
    with pytest.raises(HarkError) as raised:
        prepared("/bin/true", source=Source(HarkError("cannot x", "why", "remedy")))
    assert (raised.value.what, raised.value.why, raised.value.remedy) == ("cannot x", "why", "remedy")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # nothing is left of it


def test_a_script_without_a_first_line_is_for_the_shell(folder: pathlib.Path) -> None:
    (folder / "data").write_bytes(b"\x7fELF" + bytes(100))
    (folder / "data").chmod(0o755)

    @alone
    def inside() -> None:
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        assert outcome(prepared(str(folder / "program"), "word")) == 0
        assert os.read(reader, 1000) == b"from a script: word\n"
        child = prepared(str(folder / "data"))
        child.go()
        with pytest.raises(NotExecutable) as raised:
            child.gone()
        assert raised.value.remedy == "is it built for this machine?"

    inside()


@alone
def test_a_child_that_is_not_let_go_ends_with_us() -> None:
    child = prepared("/bin/sleep", "60")
    child.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) == 1


def forked(body: object) -> int:
    """A child that begins as the program would, with the signals as they were before hark held them."""
    pid = os.fork()
    if not pid:
        try:
            launch._restore_signals()
            body()  # type: ignore[operator]
        finally:
            os._exit(99)
    return pid


def steps(waiter: Waiter, done: object) -> list[tuple[str, int]]:
    """What the waiter says until `done`."""
    said: list[tuple[str, int]] = []

    def over() -> bool:
        said.extend(waiter.step(0.1))
        return done()  # type: ignore[operator,no-any-return]

    until(over)
    return said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
@alone
def test_a_signal_for_hark_alone_is_passed_on(number: signal.Signals) -> None:
    launch.hold_signals()
    program = forked(signal.pause)
    os.kill(os.getpid(), number)
    waiter = Waiter(program, {})
    assert steps(waiter, lambda: waiter.status is not None) == []
    assert (waiter.status, waiter.signal) == (128 + number, number)
    assert waiter.hung_up == (number == signal.SIGHUP)
    assert waiter.step(60) == []  # there is nobody left to wait for


@alone
def test_a_signal_of_the_kernel_s_has_reached_the_program_already() -> None:
    """^C goes to the whole group of a terminal; here, an alarm to this process."""
    launch.hold_signals()
    reader, writer = os.pipe()

    def program() -> None:
        signal.signal(signal.SIGALRM, lambda *_: os.write(writer, b"alarm"))
        os.read(wait, 1)
        os._exit(23)

    wait, stop = os.pipe()
    pid = forked(program)
    waiter = Waiter(pid, {})
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    until(lambda: signal.SIGALRM in signal.sigpending())
    assert waiter.step(1) == []
    os.write(stop, b".")
    steps(waiter, lambda: waiter.status is not None)
    assert waiter.status == 23
    os.close(writer)
    assert os.read(reader, 100) == b""


@alone
def test_others_that_end_are_reported_with_their_status() -> None:
    launch.hold_signals()
    other, program = forked(lambda: os._exit(5)), forked(lambda: os._exit(6))
    waiter = Waiter(program, {other: "capture process"})
    said = steps(waiter, lambda: waiter.status is not None)
    said += waiter.step(0) if not said else []
    until(lambda: said or said.extend(waiter.step(0.1)) or said)
    assert said == [("capture process", 5 << 8)]
    assert waiter.status == 6


@alone
def test_an_interrupt_after_the_program_has_ended_is_for_hark() -> None:
    launch.hold_signals()
    program, other = forked(lambda: os._exit(0)), forked(signal.pause)
    waiter = Waiter(program, {other: "capture process"})
    steps(waiter, lambda: waiter.status is not None)
    for number in (signal.SIGUSR1, signal.SIGINT):
        os.kill(os.getpid(), number)
        said = steps(waiter, lambda number=number: number not in signal.sigpending())
        assert said == ([("^C", signal.SIGINT)] if number == signal.SIGINT else [])
    os.kill(other, signal.SIGKILL)


@alone
def test_a_program_that_stops_stops_hark_too() -> None:
    """Its shell then sees a job that is stopped, and continues both."""
    launch.hold_signals()
    hark = os.fork()
    if not hark:
        program = forked(lambda: os.kill(os.getpid(), signal.SIGSTOP) or os._exit(7))
        waiter = Waiter(program, {})
        while waiter.status is None:
            waiter.step(1)
        os._exit(waiter.status)
    _, status = os.waitpid(hark, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    (program,) = map(int, pathlib.Path(f"/proc/{hark}/task/{hark}/children").read_text().split())
    for pid in (hark, program):
        os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(hark, 0)[1]) == 7


@alone
def test_links_of_a_child_are_closed_on_exec() -> None:
    """The program has the descriptors that hark was given, and no other."""
    ours = {int(name) for name in os.listdir("/proc/self/fd")}
    kept = [fd for fd in ours if _open(fd) and os.get_inheritable(fd)]
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    assert outcome(prepared("/bin/ls", "/proc/self/fd")) == 0
    seen = {int(name) for name in os.read(reader, 1000).split()}
    assert len(seen - {*kept, 0, 1, 2}) == 1  # that of the folder which ls reads


def _open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_a_socket_pair_is_what_ties_them() -> None:
    """A first process that is killed closes its end: the child that waits for its word ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = launch.Child(0, ours, {}, {}, setup.look("").network)
    child.go()
    assert theirs.recv(10) == b"g"
    theirs.send(str(errno.ENOEXEC).encode())
    with pytest.raises(NotExecutable, match="cannot run the command"):
        child.gone()
    theirs.close()
