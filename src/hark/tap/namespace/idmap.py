"""Which user and group ids exist in the namespace: the user's own, and the ranges that /etc/subuid gives.

What   Every id that can be mapped is mapped onto itself, so that numbers mean what they mean outside.
Why    The user alone may map nothing but its own id. newuidmap and newgidmap (package uidmap) have the privilege to map
       the ranges that the administrator gave to the user, which rootless containers need.
Limits No one else's id can be mapped, root's neither: that takes privilege over it. Ranges that come from a directory
       service (subid: in nsswitch.conf) are not looked up.
"""

import os
import socket
from typing import NamedTuple

from hark.system import kernel

MAPPERS = ("newuidmap", "newgidmap")
_PLACES = ("/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin", "/run/wrappers/bin")
_MOST = 100  # ranges of one user; the kernel takes 340 lines
_CAP_SETGID, _CAP_SETUID = 6, 7
Range = tuple[int, int]  # the first id, and how many


class Ranges(NamedTuple):
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
    """A user namespace for the tree, and newuidmap and newgidmap at work on its ids. They take as long as all else of
    the start, so a process of its own sees to them meanwhile: it makes a child with the namespace, has its ids mapped,
    and ends it when this process is gone or says so."""

    def __init__(self, uid: int, gid: int) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._link.close()
            _serve(theirs, uid, gid)
        theirs.close()
        self._owner = -1

    def owner(self) -> int:
        """Wait for a process that has the namespace: its id, 0 where the user has no ids to be mapped."""
        if self._owner < 0:
            self._owner = int(self._link.recv(32) or b"0")
        return self._owner

    def done(self) -> bool:
        """Wait for the end; whether all is mapped."""
        return bool(self.owner()) and self._link.recv(1) == b"+"

    def end(self) -> None:
        """The namespace has processes of its own now, or is not needed."""
        self._link.close()


def begin(uid: int, gid: int) -> Mapping | None:
    """Begin to map the user's ids; None for root and where nothing could map them."""
    return Mapping(uid, gid) if uid and all(map(mapper, MAPPERS)) else None


def _serve(link: socket.socket, uid: int, gid: int) -> None:
    """The body of Mapping's process."""
    try:
        allowed = ranges(uid)
        holder, pid = _holder() if allowed.usable else (-1, 0)
        link.send(str(pid).encode())
        if pid:
            link.send(b"+" if _map(pid, uid, gid, allowed) else b"-")
            link.recv(1)  # until nobody holds the other end any more
            os.close(holder)
    finally:
        os._exit(0)


def _holder() -> tuple[int, int]:
    """A process in a user namespace of its own: it ends when the descriptor is closed. Its id is 0 where that is not
    allowed."""
    alive, living = os.pipe()
    ready, is_ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(living)
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(is_ready, b"+")
            os.read(alive, 1)
        finally:
            os._exit(0)
    os.close(is_ready)
    return living, pid if os.read(ready, 1) else 0


def _map(pid: int, uid: int, gid: int, allowed: Ranges) -> bool:
    """Map the own ids and the ranges for another process; whether all of it was done."""
    running: list[int] = []
    good = True
    nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    for name, own, more in (("newuidmap", uid, allowed.uids), ("newgidmap", gid, allowed.gids)):
        words = [name, str(pid), *(str(n) for n in (own, own, 1))]
        for first, count in more:
            words += [str(first), str(first), str(count)]
        try:
            running.append(os.posix_spawn(mapper(name), words, {}, file_actions=nothing))
        except OSError:
            good = False  # it is not to be run here
    return sum(os.waitpid(child, 0)[1] for child in running) == 0 and good


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
