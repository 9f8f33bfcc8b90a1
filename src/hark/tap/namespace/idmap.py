"""Which user and group ids exist in the namespace: the user's own, and the ranges that /etc/subuid gives.

What   Every id that can be mapped is mapped onto itself, so that numbers mean what they mean outside.
Why    The user alone may map nothing but its own id. newuidmap and newgidmap (package uidmap) have the privilege to map
       the ranges that the administrator gave to the user, which rootless containers need.
Limits No one else's id can be mapped, root's neither: that takes privilege over it. Ranges that come from a directory
       service (subid: in nsswitch.conf) are not looked up.
"""

from __future__ import annotations

import contextlib
import os

from hark.record import Record
from hark.system import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAPPERS: Final = ("newuidmap", "newgidmap")
_PLACES: Final = ("/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin", "/run/wrappers/bin")
_MOST: Final = 100  # ranges of one user; the kernel takes 340 lines
_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7
Range = tuple[int, int]  # the first id, and how many


class Ranges(Record):
    """What the user may map besides its own ids."""

    uids: tuple[Range, ...] = ()
    gids: tuple[Range, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether newuidmap is worth being run."""
        return bool(self.uids and self.gids)


def mapper(name: str) -> str:
    """The path of newuidmap or newgidmap; "" where it is not installed."""
    return next((path for place in _PLACES if os.access(path := f"{place}/{name}", os.X_OK)), "")


def ranges(uid: int) -> Ranges:
    """The user's ranges; none for root, who needs no map, and where they could not be mapped."""
    if uid == 0 or not all(map(mapper, MAPPERS)):
        return Ranges()
    names = {str(uid)}
    files = [_lines("/etc/subuid"), _lines("/etc/subgid")]
    if not all(files):
        return Ranges()
    import pwd

    try:
        names.add(pwd.getpwuid(uid).pw_name)
    except KeyError:
        pass  # a user without a name, as in containers: by number then
    return Ranges(*(_of(lines, names) for lines in files))


def _lines(path: str) -> list[str]:
    try:
        with open(path, errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []  # nobody has ranges here


def _of(lines: list[str], names: set[str]) -> tuple[Range, ...]:
    """The ranges of whoever goes by one of the names (subuid(5))."""
    found = []
    for line in lines:
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in names and fields[1].isdecimal() and fields[2].isdecimal():
            found.append((int(fields[1]), int(fields[2])))
    return tuple(found[:_MOST])


def map_self(uid: int, gid: int) -> None:
    """In a new user namespace: map the own ids, as far as nobody has from outside. Raises OSError."""
    for kind, number in (("uid", uid), ("gid", gid)):
        with open(f"/proc/self/{kind}_map") as file:
            if file.read():
                continue
        if kind == "gid":
            _write("/proc/self/setgroups", "deny")
        _write(f"/proc/self/{kind}_map", f"{number} {number} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


class Mapping:
    """A user namespace for the tree whose ids newuidmap and newgidmap map, which takes as long as much of the start: so
    it is begun first and waited for last, and two processes see to it. One has the namespace until another process has
    entered it, the other runs the mappers and ends with them."""

    def __init__(self, uid: int, gid: int, allowed: Ranges) -> None:
        alive, self._living = os.pipe()  # the namespace goes when nobody holds `_living`
        self._ready, is_ready = os.pipe()  # who has the namespace
        self._over, busy = os.pipe()  # closed at the other end when the mappers have ended
        self._runner = os.fork()
        if self._runner == 0:
            try:
                for fd in (self._living, self._ready, self._over):
                    os.close(fd)
                holder = _hold(alive, busy, is_ready)
                if holder:
                    os.write(is_ready, str(holder).encode())
                    _map(holder, uid, gid, allowed, busy)
            finally:
                os._exit(0)
        for fd in (alive, is_ready, busy):
            os.close(fd)

    def holder(self) -> int:
        """The id of a process that has the namespace, which may be entered before ids are mapped; 0: there is none."""
        return int(os.read(self._ready, 16) or 0)

    def wait(self) -> bool:
        """In a process that has entered the namespace, with a copy of this: wait until the mappers have ended; whether
        all ids are mapped."""
        os.read(self._over, 1)
        self.release()
        for kind in ("uid", "gid"):
            with open(f"/proc/self/{kind}_map") as file:
                if not file.read():
                    return False
        return True

    def end(self) -> None:
        """The namespace has processes of its own now, or is not needed."""
        self.release()
        os.waitpid(self._runner, 0)

    def release(self) -> None:
        """In a process that has a copy of this and does not wait."""
        for fd in (self._living, self._ready, self._over):
            os.close(fd)


def _hold(alive: int, busy: int, is_ready: int) -> int:
    """Fork a process that has a new user namespace until `alive` is closed at the other end; 0: there can be none."""
    there, is_there = os.pipe()
    holder = os.fork()
    if holder == 0:
        try:
            for fd in (busy, is_ready, there):
                os.close(fd)
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(is_there, b"+")
            os.close(is_there)
            os.read(alive, 1)
        finally:
            os._exit(0)
    os.close(is_there)
    return holder if os.read(there, 1) else 0


def _map(holder: int, uid: int, gid: int, allowed: Ranges, busy: int) -> None:
    """Run the mappers for the namespace of `holder`. busy: a descriptor that each of them keeps open."""
    streams: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, busy, 1),  # where neither of them writes
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_RDWR, 0),
    ]
    for name, own, more in (("newuidmap", uid, allowed.uids), ("newgidmap", gid, allowed.gids)):
        words = [name, str(holder), *(str(n) for n in (own, own, 1))]
        for first, count in more:
            words += [str(first), str(first), str(count)]
        with contextlib.suppress(OSError):  # it is not to be run here: then nothing is mapped
            os.posix_spawn(mapper(name), words, {}, file_actions=streams)


def begin() -> Mapping | None:
    """Begin to map the user's ids; None where there are none to map, as for root, or nothing could map them."""
    uid = os.getuid()
    allowed = ranges(uid)
    return Mapping(uid, os.getgid(), allowed) if allowed.usable else None


def run_inside(pid: int, program: str, words: list[str]) -> tuple[int, bytes]:
    """Run newuidmap or newgidmap in the user namespace of process `pid`, with the privilege that its file would give it
    outside; its status and output. The kernel takes a map only from the namespace above the one that is mapped,
    so it must run there; all that it checks it checks itself."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            kernel.enter_user_namespace(pid)
            kernel.keep_capabilities(_CAP_SETUID, _CAP_SETGID)
            os.execve(program, words, {})
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text
