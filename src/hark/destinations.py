"""Where things are written: the files of -o and the descriptors of --json=FD, opened before anything runs.

What   The kind of a file is its extension, or what follows a colon: trace.har, fifo:jsonl, -:html. All names are
       understood first, then all are opened and locked, and only then emptied: a refusal empties no file.
Why    A lock (flock) of each file, for two harks that write the same one would tear it. It ends with its process.
Limits A HAR is kept valid by being written over its own end, which takes a file. In a pipe it is valid at its end.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from hark.errors import HarkError, UsageError
from hark.flags import KINDS, PACKETS
from hark.options import Options
from hark.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.views.schema import Schema

_STANDARD: Final = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}
_BY_NUMBER: Final = ("/dev/fd/", "/proc/self/fd/")
COMMANDS: Final = "the command's"
BROWSERS: Final = "the browser's"


def say(text: str) -> None:
    """A line of hark's own, to stderr."""
    with contextlib.suppress(OSError):  # there is nowhere to report it
        os.write(2, text.encode("utf-8", "backslashreplace") + b"\n")


def fill_streams(mode: int) -> None:
    """Where hark was started with a standard stream closed, keep its number from being given to a file of ours. mode:
    of what stands there instead (os.O_RDONLY: writing fails, as it would). What hark runs still finds it closed."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", mode | os.O_CLOEXEC)


class Target:
    """What one -o or --json=FD asks for."""

    __slots__ = ("fd", "kind", "name", "path")

    def __init__(self, name: str, path: str, fd: int, kind: str) -> None:
        self.name = name  # as it was given
        self.path = path  # of a file, where fd is -1
        self.fd = fd
        self.kind = kind  # one of KINDS


class Outputs:
    """What is written: by kind."""

    def __init__(self) -> None:
        self.files: dict[str, list[Output]] = {kind: [] for kind in KINDS}
        self.schema: Schema | None = None  # what names the fields of gRPC messages
        self.standard = False  # whether one of them is standard output, which then is for nothing else
        self.fds: set[int] = set()  # what is open for them

    def close(self) -> None:
        """In a process that does not write them: let go, so that locks end and readers of pipes see the end."""
        for fd in self.fds:
            os.close(fd)

    @property
    def recordings(self) -> list[Output]:
        """Those of packets."""
        return self.files[PACKETS]

    @property
    def structured(self) -> bool:
        """Whether there are any of exchanges."""
        return any(files for kind, files in self.files.items() if kind != PACKETS)


def targets(options: Options) -> list[Target]:
    """What -o and --json=FD ask for. Raises UsageError."""
    made = [_target(name) for name in options.outputs]
    return made + [Target(f"descriptor {fd}", "", fd, "jsonl") for fd in options.descriptors]


def _target(name: str) -> Target:
    path, colon, last = name.rpartition(":")
    kind = last.lower() if colon and path and last.lower() in KINDS else ""
    path = path if kind else name
    fd = _STANDARD.get(path, -1)
    for prefix in _BY_NUMBER:
        number = path.removeprefix(prefix)
        if number != path and number.isascii() and number.isdecimal():
            fd = int(number)
    kind = kind or os.path.splitext(path)[1][1:].lower() or ("jsonl" if fd == 1 else "")
    if kind not in KINDS:
        why = f"{kind!r} is not a file type that hark writes" if kind else "its name does not say the file type"
        known = ", ".join(f".{one}" for one in KINDS)
        raise UsageError(f"cannot write {name or repr(name)}", why, f"{known}, or {name or 'NAME'}:har and so on")
    return Target(name, path, fd, kind)


def check_packets(options: Options, why: str) -> None:
    """Refuse -o x.pcapng where there are no packets. Raises UsageError."""
    for target in targets(options):
        if target.kind == PACKETS:
            raise UsageError(f"cannot write {target.name}", why, "hark COMMAND and hark read of packets write .pcapng")


def open_outputs(options: Options, complain: Callable[[str], None], stdout: str = "", selects: bool = False) -> Outputs:
    """Open all that is asked for; files are private to the user. stdout: whose standard output is, if not hark's.
    selects: packets are filtered too. Raises HarkError."""
    asked = targets(options)
    outputs = Outputs()
    outputs.standard = check_standard_output(options, stdout)
    outputs.schema = schema_of(options)  # what cannot be read is said before a file is emptied
    opened = _open_all(asked)
    outputs.fds.update(fd for _, fd, _ in opened)
    for target, fd, regular in opened:
        if target.fd == 1:
            output = standard_output(buffered=target.kind == PACKETS)
        else:
            output = Output(fd, target.name, complain, target.kind == PACKETS, regular)
        outputs.files[target.kind].append(output)
    for _, fd, regular in opened:
        if regular:
            os.ftruncate(fd, 0)
            os.fchmod(fd, 0o600)  # secrets inside: also where the file was there before
    left = "not redacted" if options.redact else "not filtered" if options.filters and not selects else ""
    if outputs.recordings and left:
        names = ", ".join(target.name for target in asked if target.kind == PACKETS)
        complain(f"hark: {names} is {left}: it holds the packets and the secrets as they were")
    return outputs


def check_standard_output(options: Options, owner: str) -> bool:
    """Whether an output is standard output. owner: whose that is, if not hark's. Raises UsageError."""
    names = [target.name for target in targets(options) if target.fd == 1]
    if not names:
        return False
    if owner:
        raise UsageError(f"cannot write {names[0]}", f"standard output is {owner}", "-o FILE, or --json=FD")
    if len(names) > 1 or options.json or options.curl:
        other = names[1] if len(names) > 1 else "--json" if options.json else "--curl"
        raise UsageError(f"cannot write {names[0]}", f"standard output is taken by {other}", "-o FILE")
    return True


def _open_all(asked: list[Target]) -> list[tuple[Target, int, bool]]:
    """Descriptors with whether they are files of our own, locked and not yet emptied. Raises HarkError."""
    opened: list[tuple[Target, int, bool]] = []
    known: dict[tuple[int, int], str] = {}  # files by device and inode
    try:
        for target in asked:
            if target.fd >= 0:
                opened.append((target, _given(target), False))
                continue
            fd = _create(target)
            found = os.fstat(fd)
            regular = stat.S_ISREG(found.st_mode)
            opened.append((target, fd, regular))
            if regular:
                first = known.setdefault((found.st_dev, found.st_ino), target.name)
                if len(known) < sum(file for _, _, file in opened):
                    raise UsageError(f"cannot write {target.name}", f"{first} is the same file", "another name")
                _lock(fd, target.name)
    except HarkError:
        for target, fd, _ in opened:
            if fd != target.fd:
                os.close(fd)
        raise
    return opened


def _create(target: Target) -> int:
    try:
        return os.open(target.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HarkError(f"cannot write {target.name}", error.strerror or "") from error


def _given(target: Target) -> int:
    """A descriptor that hark was started with. It is for hark alone, unless it is one of the standard ones."""
    try:
        if target.fd <= 2:
            return os.dup(target.fd)
        os.set_inheritable(target.fd, False)
    except OSError as error:
        raise HarkError(f"cannot write {target.name}", error.strerror or "") from error
    return target.fd


def _lock(fd: int, name: str) -> None:
    """Nobody else writes this file as long as we or our children do."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HarkError(f"cannot write {name}", "another hark is writing it", "another name") from None
    except OSError:
        pass  # a file system without locks: nobody can be kept out


def schema_of(options: Options) -> Schema | None:
    """What names the fields of gRPC messages, where something was given that does."""
    if not options.protos:
        return None
    from hark.views.schema import Schema

    return Schema(options.protos)


def standard_output(buffered: bool = False) -> Output:
    """Standard output, where it is hark's: where that cannot be written any more, there is nothing left to do. Then
    write() raises BrokenPipeError where nobody reads any more, else HarkError."""

    def stop(text: str) -> None:
        if isinstance(output.error, BrokenPipeError):
            raise output.error
        raise HarkError("cannot write to the output", (output.error and output.error.strerror) or "")

    output = Output(1, "the output", stop, buffered)
    return output
