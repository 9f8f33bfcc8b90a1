"""Starts the program, waits for it, passes signals on: hark's first process.

What   fork, namespace, exec; then a loop over signals that ends with the program's status.
Why    The program stays in hark's process group and session, so that the terminal, job control and ^C work as
       without hark. A signal that the kernel sent to the whole group (^C) has reached the program already; one that
       was sent to hark alone is passed on: siginfo distinguishes them. The hangup of a terminal is the exception:
       the kernel sends it to the leader of the session alone, which hark may be.
Limits PR_SET_PDEATHSIG ends the program when hark is killed -9; the capture process ends its children.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Mapping, Sequence

from hark.errors import HarkError, NotExecutable, NotFound
from hark.system import kernel
from hark.tap.namespace import idmap, setup
from hark.tap.tun.network import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.tap.place import Place
    from hark.tap.source import KeySource

_SI_KERNEL: Final = 0x80
FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGWINCH,
    signal.SIGCONT,
)
WATCHED: Final = frozenset({*FORWARDED, signal.SIGCHLD})
_HANGUP: Final = (signal.SIGHUP, signal.SIGCONT)  # what the leader of a session gets when its terminal is gone
_MOST_FILES: Final = 253  # descriptors in one message (unix(7), SCM_MAX_FD)
_SHELL: Final = " \t\n|&;<>$`*?~"  # what a shell would take apart, or put something else in the place of


def find(command: str, path: str | None) -> str:
    """The file that the command names, as a shell would find it. Raises HarkError."""
    for directory in [""] if "/" in command else (path or "").split(":"):
        file = os.path.join(directory or ".", command) if "/" not in command else command
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    if os.path.exists(command) and "/" in command:
        why = "it is a directory" if os.path.isdir(command) else "it is not executable"
        raise NotExecutable(f"cannot run {command}", why)
    why = "no such file" if "/" in command else "no such command in PATH"
    raise NotFound(f"cannot run {command or repr(command)}", why, _meant(command))


def _meant(command: str) -> str:
    """What a word that names no file was probably meant to be."""
    name, equals, _ = command.partition("=")
    if equals and name.isidentifier():
        return f"a variable for a command: hark env {_quote(command)} COMMAND"
    if any(mark in command for mark in _SHELL):
        return f"a command line is for a shell: hark sh -c {_quote(command)}"
    return ""


def _quote(word: str) -> str:
    """As one word for a shell. (The module shlex costs 4 ms of every start.)"""
    return "'" + word.replace("'", "'\"'\"'") + "'"


class Child:
    """The program on its way to its exec."""

    def __init__(
        self, pid: int, link: socket.socket, files: dict[str, int], failed: dict[str, str], network: Network
    ) -> None:
        self.pid = pid
        self.files = files  # descriptors of what was made in it, by name; -1: could not be had
        self.failed = failed  # key sources that could not be built, by name: why
        self.network = network  # the host's, which the namespace mirrors
        self._link = link

    def go(self) -> None:
        """Let it exec."""
        self._link.send(b"g")

    def gone(self) -> None:
        """Wait until it has become the program. Raises HarkError where that fails."""
        failure = self._link.recv(4096)
        self._link.close()
        if failure:
            number = int(failure)
            raise NotExecutable("cannot run the command", os.strerror(number), _exec_remedy(number))

    def release(self) -> None:
        """In another child of hark: let go of what only the first process may hold."""
        self._link.close()

    def abandon(self) -> None:
        """It is not to become the program: end it, and what was made in it."""
        self._link.close()
        os.waitpid(self.pid, 0)
        for fd in self.files.values():
            if fd >= 0:
                os.close(fd)


def _exec_remedy(number: int) -> str:
    return "is it built for this machine?" if number == errno.ENOEXEC else ""


class Preparing:
    """A child that builds the namespace and what the key sources need. Whoever waits has something else to do first."""

    def __init__(self, pid: int, link: socket.socket, host: setup.Host, mapping: idmap.Mapping | None) -> None:
        self._pid = pid
        self._link = link
        self._host = host
        self._mapping = mapping

    def ready(self) -> Child:
        """Wait until it is ready to become the program. Raises HarkError where it cannot be."""
        said, files = receive(self._link)
        if self._mapping is not None:
            self._mapping.end()
        if not said.startswith(b"+"):
            os.waitpid(self._pid, 0)
            what, why, remedy = (said.decode(errors="replace").split("\0") + ["", "", ""])[:3]
            raise HarkError(what or "cannot start", why, remedy)
        failed = dict(line.split("\0") for line in said.decode().splitlines()[1:])
        return Child(self._pid, self._link, files, failed, self._host.network)

    def release(self) -> None:
        """In another child of hark: let go of what only the first process may hold."""
        self._link.close()
        if self._mapping is not None:
            self._mapping.release()


def prepare(
    file: str, argv: Sequence[str], host: setup.Host, mapping: idmap.Mapping | None, keys: Sequence[KeySource]
) -> Preparing:
    """Fork a child that is to become the program."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    owner = mapping.holder() if mapping is not None else 0
    if mapping is not None and not owner:
        mapping.end()
        mapping = None
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become(theirs, file, argv, host, owner, mapping, keys, parent)
    theirs.close()
    return Preparing(pid, ours, host, mapping)


def send(link: socket.socket, files: Mapping[str, int], failed: Mapping[str, str] | None = None) -> None:
    """Hand over descriptors by name; -1: there is none. failed: key sources that could not be built, by name: why."""
    names = " ".join(name if fd >= 0 else f"-{name}" for name, fd in files.items())
    numbers = array.array("i", [fd for fd in files.values() if fd >= 0])
    said = "\n".join(("+" + names, *(f"{name}\0{why}" for name, why in (failed or {}).items())))
    link.sendmsg([said.encode(errors="backslashreplace")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])


def receive(link: socket.socket) -> tuple[bytes, dict[str, int]]:
    """(what was sent, the descriptors by name): of `send`, or a message that does not begin with "+", or nothing where
    the other end is gone."""
    said, ancillary = link.recvmsg(4096, socket.CMSG_SPACE(4 * _MOST_FILES))[:2]
    numbers = array.array("i")
    for _, _, payload in ancillary:
        numbers.frombytes(payload[: len(payload) - len(payload) % 4])
    files = iter(numbers)
    names = said[1:].decode().partition("\n")[0].split() if said.startswith(b"+") else []
    return said, {name.lstrip("-"): -1 if name[0] == "-" else next(files) for name in names}


def _become(
    link: socket.socket,
    file: str,
    argv: Sequence[str],
    host: setup.Host,
    owner: int,
    mapping: idmap.Mapping | None,
    keys: Sequence[KeySource],
    parent: int,
) -> None:
    """In the child: build, hand over, wait, exec. Never returns."""

    def mapped() -> bool:
        return mapping is not None and mapping.wait()

    variables = dict(os.environ)
    try:
        try:
            place, files = setup.build(host, owner, mapped)
            failed = _build(keys, place, files, variables)
        except HarkError as error:
            link.send("\0".join((error.what, error.why, error.remedy)).encode())
            os._exit(1)
        except OSError as error:
            link.send("\0".join(("cannot set up the namespace", _reason(error), "`hark doctor` says more")).encode())
            os._exit(1)
        send(link, files, failed)
        for fd in files.values():
            if fd >= 0:
                os.close(fd)
        if link.recv(1) != b"g":
            os._exit(1)
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # hark was killed before the line above could matter
        _restore_signals()
        link.send(str(_exec(file, argv, variables)).encode())
    finally:
        os._exit(NotExecutable.status)


def _exec(file: str, argv: Sequence[str], variables: Mapping[str, str]) -> int:
    """Become the program; the errno where that fails."""
    try:
        os.execve(file, list(argv), variables)
    except OSError as error:
        if error.errno == errno.ENOEXEC and _is_text(file):  # a script without #!: what execvp and shells do
            os.execve("/bin/sh", ["/bin/sh", file, *argv[1:]], variables)
        return error.errno or 0


def _reason(error: OSError) -> str:
    return f"{error.strerror} ({error.filename})" if error.filename else str(error)


def _build(keys: Sequence[KeySource], place: Place, files: dict[str, int], variables: dict[str, str]) -> dict[str, str]:
    """In the child: what the key sources need, added to `files` and `variables`. Sources that cannot be had, by name:
    why."""
    failed = {}
    for source in keys:
        try:
            files |= source.build(place)
            variables |= source.environment(variables, place)
        except OSError as error:
            failed[source.name] = " ".join(_reason(error).split())
    return failed


def _is_text(file: str) -> bool:
    """Whether a shell would take the file for a script: no NUL in its first line."""
    with open(file, "rb") as script:
        start = script.read(256)
    return not start.startswith(b"\x7fELF") and b"\0" not in start.partition(b"\n")[0]


_original_mask: set[int] = set()


def hold_signals() -> None:
    """Block what `wait` wants to see, so that nothing is lost before it."""
    _original_mask.update(signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED))


def _restore_signals() -> None:
    """Give the program the signals as hark was given them: Python ignores two that others do not."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _original_mask)


class Waiter:
    """Waits for the program, passes signals on, and notices when another child of hark ends."""

    def __init__(self, program: int, others: Mapping[int, str]) -> None:
        self._program = program
        self._others = dict(others)
        self.status: int | None = None  # the program's, as a shell reports it
        self.signal = 0  # the signal that ended it
        self.hung_up = False  # whether the terminal is gone, and hark is not to outlive it
        self._leader = os.getsid(0) == os.getpid()
        ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        # Blocked signals reach sigtimedwait also where hark was started with them ignored (nohup, `trap "" INT`).
        self._ending = [number for number in ending if signal.getsignal(number) is not signal.SIG_IGN]

    def step(self, seconds: float) -> list[tuple[str, int]]:
        """Wait for one signal at most `seconds`; the ("name", status) of other children that ended, and ("^C", n)
        when an interrupt came after the program had ended."""
        if self.status is not None and not self._others:
            return []
        info = signal.sigtimedwait(WATCHED, seconds)
        told: list[tuple[str, int]] = []
        if info is not None and info.si_signo != signal.SIGCHLD:
            if self.status is not None:
                if info.si_signo in self._ending:
                    told.append(("^C", info.si_signo))
            elif info.si_code != _SI_KERNEL or (self._leader and info.si_signo in _HANGUP):
                self.hung_up |= info.si_signo == signal.SIGHUP and signal.SIGHUP in self._ending
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._program, info.si_signo)
        return told + self._reap()

    def _reap(self) -> list[tuple[str, int]]:
        told: list[tuple[str, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return told
            if not pid:
                return told
            if os.WIFSTOPPED(status):
                if pid == self._program and os.WSTOPSIG(status) != signal.SIGTSTP:
                    os.kill(os.getpid(), signal.SIGSTOP)  # as the shell expects of a job
            elif pid == self._program:
                self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
                self.status = 128 + self.signal if self.signal else os.waitstatus_to_exitcode(status)
            elif pid in self._others:
                told.append((self._others.pop(pid), status))
