"""Answers what only a process outside of the namespace can: the host's side of agents/preload/host.c.

What   A listening socket in the namespace; one question a connection, answered at once. Owners of files are also put
       into a table that the tree maps, so that each file is asked for once; of a directory in which one file after the
       other is asked for, more and more are put there beforehand.
Why    The capture process is the user, outside: fstat, socket, chown and newuidmap give it the results that the
       program would have had.
Never  does what the user could not do by hand. Who asks from a user namespace of its own gets no answer; as root, when
       programs of several users may ask, nothing is changed or run.
Limits One thread with the traffic: a question takes 50 microseconds of it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator

from hark.tap.loop import IN, Loop
from hark.tap.namespace import idmap
from hark.tap.place import OWNERS, OWNERS_BYTES, OWNERS_ENTRY, OWNERS_HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_DIRECTORIES: Final = 8  # in which files were asked for last
_AHEAD: Final = 1024  # files of a directory looked at by one question, at most: 4 ms
_QUESTION: Final = 4096
_UCRED: Final = struct.Struct("iII")
_MASK: Final = (1 << 64) - 1
Answer = tuple[bytes, list[int]]  # bytes, and descriptors to send and close


class HostSide:
    """Serves one namespace. table: the file of owners, which begins with the number of the tree's user namespace; -1
    where there is none. root: hark runs as root; then nothing is changed or run for anybody."""

    def __init__(self, loop: Loop, listener: int, table: int, root: bool) -> None:
        self._loop = loop
        self._listener = socket.socket(fileno=listener)
        self._root = root
        self._file = table
        self._table: memoryview | None = None
        self._directories: OrderedDict[str, _Directory] = OrderedDict()
        self._kinds: dict[int, Callable[[bytes, list[int], int], Answer]] = {
            ord("o"): self._owner,
            ord("s"): _socket,
            ord("c"): _chown,
            ord("g"): _groups,
            ord("m"): _map,
        }
        loop.add(listener, IN, self._accept)

    def _accept(self, event: int) -> None:
        with contextlib.suppress(OSError):  # it has gone, or no descriptor is left: the agent does without
            asking, _ = self._listener.accept()
            asking.setblocking(False)
            if not self._answer(asking):
                self._loop.add(asking.fileno(), IN, lambda event: self._later(asking))

    def _later(self, asking: socket.socket) -> None:
        self._loop.remove(asking.fileno())
        self._answer(asking)

    def _answer(self, asking: socket.socket) -> bool:
        """Answer, if the question is there already; whether it was. The connection is closed then."""
        given: list[int] = []
        try:
            question, given, _, _ = socket.recv_fds(asking, _QUESTION, 4, socket.MSG_CMSG_CLOEXEC)
            if question:
                answer, taken = self._reply(asking, question, given)
                try:
                    socket.send_fds(asking, [answer], taken)
                finally:
                    _close(taken)
        except BlockingIOError:
            return False
        except (OSError, ValueError, IndexError, struct.error):
            pass  # no answer: the program keeps the kernel's from inside. Any program may ask anything here.
        finally:
            _close(given)
        asking.close()
        return True

    def _reply(self, asking: socket.socket, question: bytes, given: list[int]) -> Answer:
        pid, uid, _ = _UCRED.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        kind = self._kinds.get(question[0])
        if kind is None:
            return b"", []
        if kind is not _socket and not self._same_space(pid):
            return b"", []
        if kind not in (_socket, self._owner) and (self._root or uid != os.getuid()):
            return b"", []
        return kind(question[1:], given, pid)

    def _same_space(self, pid: int) -> bool:
        """Whether a process is in the tree's user namespace."""
        if self._file < 0:
            return False
        if self._table is None:
            import mmap  # seldom needed: not at every start

            self._table = memoryview(mmap.mmap(self._file, OWNERS_BYTES)).cast("Q")
        return os.stat(f"/proc/{pid}/ns/user").st_ino == self._table[0]

    def _owner(self, question: bytes, given: list[int], pid: int) -> Answer:
        words = self._put(os.fstat(given[0]))
        folder = os.path.dirname(os.readlink(f"/proc/self/fd/{given[0]}"))
        asked = self._directories.pop(folder, None) or _Directory(folder)
        for info in asked.more():
            self._put(info)
        self._directories[folder] = asked
        if len(self._directories) > _DIRECTORIES:
            self._directories.popitem(last=False)
        return struct.pack("=5Q", *words), []

    def _put(self, info: os.stat_result) -> tuple[int, int, int, int, int]:
        """An entry of the table, as host.c reads it."""
        changed, owner = info.st_ctime_ns & _MASK, info.st_uid | info.st_gid << 32
        check = info.st_dev ^ info.st_ino ^ changed ^ owner
        at = OWNERS_HEADER // 8 + ((info.st_ino * 0x9E3779B97F4A7C15 & _MASK) >> 40) % OWNERS * OWNERS_ENTRY
        table = self._table
        if table is not None:
            table[at + 4] = ~check & _MASK  # whoever reads it now sees that it is none
            table[at], table[at + 1], table[at + 2], table[at + 3] = info.st_dev, info.st_ino, changed, owner
            table[at + 4] = check
        return info.st_dev, info.st_ino, changed, owner, check


class _Directory:
    """A directory in which files are asked for: at each question twice as many of its files are looked at."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._entries: Iterator[os.DirEntry[str]] | None = None
        self._count = 8  # files that the next question looks at; the first looks at none

    def more(self) -> Iterator[os.stat_result]:
        """Look at some more files."""
        if self._entries is None:
            self._entries = iter(())
            return
        if self._count == 8:
            with contextlib.suppress(OSError):  # it may be read by nobody, or be of the program's mount namespace
                self._entries = os.scandir(self._path)
        self._count = min(self._count * 2, _AHEAD)
        for entry, _ in zip(self._entries, range(self._count), strict=False):
            with contextlib.suppress(OSError):  # gone in the meantime
                if not entry.is_dir(follow_symlinks=False):  # which may be a mount whose server does not answer
                    yield entry.stat(follow_symlinks=False)


def _socket(question: bytes, given: list[int], pid: int) -> Answer:
    """A Unix socket of the host's network namespace. The program itself binds or connects it, so it is its own to its
    peer (SO_PEERCRED)."""
    kind, proto = struct.unpack("=ii", question)
    made = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC, proto)
    return b"+", [made.detach()]


def _chown(question: bytes, given: list[int], pid: int) -> Answer:
    """Give a file the owner or group that the program asked for; the errno, 0 where it is done."""
    uid, gid = (-1 if number == 0xFFFFFFFF else number for number in struct.unpack("=II", question))
    try:
        os.chown(f"/proc/self/fd/{given[0]}", uid, gid)
    except OSError as error:
        return struct.pack("=i", error.errno or 0), []
    return struct.pack("=i", 0), []


def _groups(question: bytes, given: list[int], pid: int) -> Answer:
    groups = os.getgroups()
    return struct.pack(f"={len(groups)}I", *groups), []


def _map(question: bytes, given: list[int], pid: int) -> Answer:
    """Run newuidmap or newgidmap as the process of the tree that was started as it: its status and output."""
    words = [os.fsdecode(word) for word in question.split(b"\0")[:-1]]
    name = os.path.basename(words[0]) if words else ""
    program = idmap.mapper(name) if name in idmap.MAPPERS else ""
    if not program:
        return b"", []
    if len(words) > 1 and words[1].startswith("fd:"):  # a descriptor of /proc/PID, which the asker holds
        words[1] = os.path.basename(os.readlink(f"/proc/{pid}/fd/{int(words[1][3:])}"))
    status, text = idmap.run_inside(pid, program, [name, *words[1:]])
    return bytes([status & 0xFF]) + text[: _QUESTION - 1], []


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)
