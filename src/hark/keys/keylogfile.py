"""SSLKEYLOGFILE: key logs that programs write by themselves, followed as they grow.

What   Follower reads one open file from an offset on. The tree's private file lies on a tmpfs that only the tree's
       mount namespace has. UserFile follows the path that the user named, whatever becomes of it: not there yet, made
       later with its folder, replaced, rotated.
Why    curl, GnuTLS, NSS, CPython, Chromium and Firefox write it; one variable serves them all.
Never  creates, opens for reading or truncates what is not a regular file: a pipe's bytes belong to its reader, a
       device or terminal may react to being opened. Then only sources that need no file are left; `finding` says so.
Limits Only whole lines are passed on, of the user's file only those that have the form of a key log line. A file that
       shrinks is read again from its start. A relative path is followed where hark was started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Mapping

from hark.errors import Finding
from hark.record import Record
from hark.system import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.recording.blocks import Secrets
    from hark.system.program import Answer, Program
    from hark.tap.place import Place

VARIABLE: Final = "SSLKEYLOGFILE"
_PIECE: Final = 1 << 20
_KEPT: Final = 8 << 20  # bytes read that may lie in the private file before their memory is given back
_MODIFIED: Final = 0x2  # IN_MODIFY
_NAMES: Final = 0x100 | 0x80 | 0x4 | 0x400 | 0x800  # IN_CREATE, IN_MOVED_TO, IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF
_LINE: Final = rb"(?m)^[A-Z][A-Z0-9_]+ [0-9A-Fa-f]+ [0-9A-Fa-f]+[^\n]*\n"
_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_PRIVATE: Final = "keylog"  # in the private directory; hook.cjs has the same name


class PrivateLog:
    """The key source of programs that write the variable's file by themselves: a file in the private directory."""

    name = "private key log"

    def __init__(self, private: str) -> None:
        """private: the private directory, as Place has it where there is one."""
        self._path = f"{private}/{_PRIVATE}"

    def build(self, place: Place) -> dict[str, int]:
        """The file. Raises OSError."""
        if place.refused is not None:
            raise place.refused
        made = os.open(f"{place.private}/{_PRIVATE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o622)
        os.fchmod(made, 0o622)  # others in the tree may add a line, not read one
        return {"keylog": made}

    def environment(self, base: Mapping[str, str], place: Place) -> dict[str, str]:
        """The variable, unless the user has set it."""
        return {VARIABLE: f"{place.private}/{_PRIVATE}"} if place.private and not base.get(VARIABLE) else {}

    def finding(self, files: Mapping[str, int] | None = None) -> Finding:
        """Whether there is a private directory, and the file in it."""
        if files is None or files.get("keylog", -1) >= 0:
            return Finding(self.name)
        return Finding(self.name, "no private file system here", "", "GnuTLS programs and Node are not decrypted")

    def covers(self, program: Program) -> Answer:
        """Where the variable names it, and something that writes key logs is there."""
        return _written(self.name, program, lambda value: value == self._path)

    def open(self, files: Mapping[str, int]) -> Follower | None:
        """The file's reader."""
        fd = files.get("keylog", -1)
        return Follower(fd, Watch(*kernel.notifier()), release=kernel.punch) if fd >= 0 else None


class UserLog:
    """The key source of the file that the user has set the variable to."""

    name = VARIABLE

    def __init__(self, named: Named) -> None:
        self._named = named

    def build(self, place: Place) -> dict[str, int]:
        """Nothing: the programs make and write it."""
        return {}

    def environment(self, base: Mapping[str, str], place: Place) -> dict[str, str]:
        """As the user has set it."""
        return {}

    def finding(self, files: Mapping[str, int] | None = None) -> Finding | None:
        """Whether it can be followed; None where no name is to be followed."""
        path, known, why = self._named
        if why:
            why += "; secrets that are written there alone are missed"
            return Finding(self.name, why, "", f"{self.name} is not followed")
        return Finding(self.name) if path or known is not None else None

    def covers(self, program: Program) -> Answer | None:
        """The same, of any other file that is followed."""
        from hark.system.program import no

        path, known, why = self._named
        if why:
            return no(f"{VARIABLE} is not followed: {why}")
        return _written(self.name, program, bool) if path or known is not None else None

    def open(self, files: Mapping[str, int]) -> UserFile | None:
        """The file's follower."""
        path, known, _ = self._named
        return UserFile(path, known, Watch(*kernel.notifier())) if path or known is not None else None


# What writes the variable's file by itself, by the beginning of a library's name, and by the program's name.
_WRITING: Final = ("libgnutls.so", "_ssl.cpython")
_WRITERS: Final = ("curl", "chrome", "chromium", "msedge", "firefox", "firefox-esr", "firefox-bin")


def _written(source: str, program: Program, is_ours: Callable[[str], bool]) -> Answer:
    """Whether a process writes keys to a file. is_ours: of the variable's value."""
    from hark.system.program import Answer, Can, no, unknown

    if program.environment is None:
        return unknown("its environment cannot be read")
    if not is_ours(program.environment.get(VARIABLE, "")):
        return no(f"{VARIABLE} was unset or changed")
    if program.name in _WRITERS or program.has(*_WRITING):
        return Answer(Can.YES, source)
    if program.static:
        return no("it is not known to write a key log")
    return unknown("nothing in it is known to write a key log")


class Watch:
    """A descriptor that becomes readable when something may have changed; `add` watches one more path for the events
    of an inotify mask. Where the kernel has no more watches to give, the descriptor is a clock's."""

    __slots__ = ("add", "fd")

    def __init__(self, fd: int, add: Callable[[str, int], None]) -> None:
        self.fd = fd
        self.add = add


class Follower:
    """Reads what is appended to an open key log. release(fd, n) gives the storage of the first n bytes back: for the
    private file, which lies in memory."""

    def __init__(self, fd: int, watch: Watch, at: int = 0, release: Callable[[int, int], None] | None = None) -> None:
        self._fd = fd
        self._release = release
        self._released = 0
        self._at = at
        self._torn = b""
        self._watch = watch
        watch.add(f"/proc/self/fd/{fd}", _MODIFIED)

    def fileno(self) -> int:
        """What to wait on."""
        return self._watch.fd

    def read(self) -> list[Secrets]:
        """What has come since: one item at most."""
        drain(self._watch.fd)
        return self.appended()

    def appended(self) -> list[Secrets]:
        """What was appended since the last read."""
        size = os.fstat(self._fd).st_size
        if size < self._at:
            self._at, self._torn = 0, b""
        pieces = [self._torn]
        # Never past the size: files of /proc and /sys call themselves regular, have none, and may block who reads.
        while self._at < size and (piece := os.pread(self._fd, min(_PIECE, size - self._at), self._at)):
            self._at += len(piece)
            pieces.append(piece)
        text = b"".join(pieces)
        if self._release is not None and self._at - self._released > _KEPT:
            self._release(self._fd, self._at)
            self._released = self._at
        end = text.rfind(b"\n") + 1
        self._torn = text[end:][-_PIECE:]
        if not end:
            return []
        from hark.recording.blocks import Secrets  # not needed before the program runs

        return [Secrets(text[:end], 0, VARIABLE)]

    def close(self) -> None:
        """Close the file; the watch ends with it."""
        os.close(self._fd)


class UserFile:
    """Follows the key log that the user named. `known`: the descriptor and size that it had before the program began,
    where it was there and may be read. Without a path that file alone is followed."""

    def __init__(self, path: str, known: tuple[int, int] | None, watch: Watch) -> None:
        self._path = path
        self._watch = watch
        self._follower: Follower | None = None
        self._identity = (0, 0)
        if known is not None:
            self._follow(*known)
        if path:
            self._watch_names()

    def fileno(self) -> int:
        """What to wait on."""
        return self._watch.fd

    def read(self) -> list[Secrets]:
        """What has come since, of the file that had the name and of the one that has it now."""
        drain(self._watch.fd)
        found = self._lines()
        if self._follower is None and self._path:
            self._watch_names()  # before the look: what is made in between is seen by the one or the other
        if self._replaced():
            if self._follower is not None:
                self._follower.close()
                self._follower = None
            opened = _open_regular(self._path)
            if opened is not None:
                self._follow(opened, 0)
            self._watch_names()
            found += self._lines()
        return found

    def _follow(self, fd: int, at: int) -> None:
        info = os.fstat(fd)
        self._identity = (info.st_dev, info.st_ino)
        self._follower = Follower(fd, self._watch, at)

    def _lines(self) -> list[Secrets]:
        if self._follower is None:
            return []
        import re  # a program that names no key log does not wait for it

        lines = [found._replace(text=b"".join(re.findall(_LINE, found.text))) for found in self._follower.appended()]
        return [found for found in lines if found.text]

    def _replaced(self) -> bool:
        """Whether another file has the name now than the one that is read."""
        if not self._path:
            return False
        try:
            info = os.stat(self._path)
        except OSError:
            return False  # none has: what is read may still be written to
        return self._follower is None or (info.st_dev, info.st_ino) != self._identity

    def _watch_names(self) -> None:
        """Watch the folder in which the file may be created; if that does not exist either, the nearest that does. The
        same for the target of a symbolic link."""
        for folder in {self._path, os.path.realpath(self._path)}:
            while folder != "/":
                folder = os.path.dirname(folder)
                try:
                    self._watch.add(folder, _NAMES)
                    break
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG):
                        raise


def drain(fd: int) -> None:
    """Read away the events: only that there were some matters."""
    with contextlib.suppress(BlockingIOError):
        while len(os.read(fd, 65536)) > 32768:
            pass


class Named(Record):
    """What the user's variable names, before the program runs."""

    path: str  # absolute; "" where no name is to be followed
    known: tuple[int, int] | None = None  # descriptor and size, where it is a file that can be read
    finding: str = ""  # why its lines cannot be followed; "" where they can, or where programs cannot write it either


def named(value: str) -> Named:
    """Look at what SSLKEYLOGFILE is set to, without any effect on it; "" counts as not set."""
    if not value:
        return Named("")
    try:
        path = os.path.abspath(value)
    except OSError:  # the working directory is gone
        return Named("")
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return Named(path)  # not there yet
    try:
        info = os.fstat(handle)
        if stat.S_ISDIR(info.st_mode):
            return Named("")  # no program can write there
        for is_kind, kind in _KINDS:
            if is_kind(info.st_mode):
                return Named("", None, f"it is {kind}, whose reader has its bytes")
        try:
            known = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC), info.st_size
            return Named("" if _by_descriptor(path) else path, known)
        except OSError as error:
            why = f"it cannot be read: {error.strerror}"
            return Named("", None, why if os.access(path, os.W_OK) else "")
    finally:
        os.close(handle)


def _by_descriptor(path: str) -> bool:
    """Whether the name is one of a descriptor (/dev/stderr, /dev/fd/7): another file's in another process."""
    for _ in range(40):  # as many links as the kernel follows
        if os.path.realpath(os.path.dirname(path)).startswith("/proc/"):
            return True
        if not os.path.islink(path):
            return False
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return False


def _open_regular(path: str) -> int | None:
    """A descriptor of the file if it is a regular one that may be read. Nothing else is opened."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # not to be read by this user
    finally:
        os.close(handle)
