"""Which process made a connection: socket, inode, /proc/PID/fd.

What   sock_diag gives the inode of the socket that owns a pair of addresses; the process is the one with a
       descriptor on it. Asked at the SYN, while the connection is being made, so that the answer is of that moment.
Why    A connection of a process that ends at once must still be shown with its name.
Limits A process's descriptors are guessed first (sockets are made in rising order) and listed only when that fails,
       for listing 10,000 descriptors at each of 10,000 connections would take minutes.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from hark.record import Record
from hark.recording.blocks import Process
from hark.system.netlink import TCP_LISTEN, Diag, Settings
from hark.tap import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_GUESSES: Final = 4  # descriptors tried next to the one that the process's last socket had
_RECENT: Final = 64  # descriptors of a process's sockets remembered
_OLDEST: Final = 8  # of them tried: who keeps some connections at a time uses their descriptors by turns
_TURNING: Final = 3  # processes, the last ones, of which they are tried
_FRESH: Final = 3_000_000  # ns in which a process of the same executable is taken for what it was: an exec takes longer
_KNOWN: Final = 1024  # processes remembered
_EXES: Final = 256  # executables whose TLS stack is remembered
_SCAN_BYTES: Final = 192 << 20  # of an executable searched for a TLS stack linked into it
_SCAN_PIECE: Final = 1 << 20  # bytes searched at a time: under a millisecond
_SMALL: Final = 1 << 20  # bytes: no executable this small has a TLS stack linked in
_SCANS: Final = 64  # executables waiting to be searched

_LOOKS: Final = 8  # times that a process is looked at again, a connection each, while no TLS library is found in it
_LAST_SECONDS: Final = 0.3  # for the searches that are left when the program has ended

_LIBRARIES: Final = (  # what bring a TLS of their own into a process that may have a shared one beside it come first
    ("/cygrpc.", "gRPC (BoringSSL)"),
    ("/aioquic/_buffer.", "aioquic"),
    ("libssl.so", "OpenSSL"),
    ("libgnutls.so", "GnuTLS"),
    ("libssl3.so", "NSS"),
    ("libnss3.so", "NSS"),
    ("libmbedtls.so", "mbed TLS"),
    ("libwolfssl.so", "wolfSSL"),
    ("libboringssl", "BoringSSL"),
    ("libjvm.so", "Java"),
    ("_rust.abi3.so", ""),
)
_MARKS: Final = (
    (b"\xff Go buildinf:", "Go crypto/tls"),
    (b"BoringSSL", "BoringSSL (static)"),
    (b"rustls", "rustls"),
    (b"OpenSSL 3.", "OpenSSL (static)"),
    (b"OpenSSL 1.1.", "OpenSSL (static)"),
    (b"wolfSSL", "wolfSSL (static)"),
    (b"Mbed TLS", "mbed TLS (static)"),
)

Address = tuple[bytes, int]


class Owner(Record):
    """Where a socket is to be found."""

    pid: int  # 0: unknown
    fd: int  # the process's descriptor
    inode: int


NOBODY: Final = Owner(0, -1, 0)


class Owners:
    """Finds and describes the processes of one network namespace."""

    def __init__(self, diag: Diag, network: str, tell: Callable[[Process], None]) -> None:
        self._diag = diag
        self._network = network  # what /proc/PID/ns/net links to, e.g. "net:[4026532000]"
        self._tell = tell
        self._last: OrderedDict[int, _Sockets] = OrderedDict()  # by pid, the one that was found last at the end
        self._recorded: OrderedDict[int, tuple[str, ...]] = OrderedDict()  # pid -> what was recorded of it
        self._bare: dict[int, int] = {}  # pid -> looks left, of processes in which no TLS library was found yet
        self._exes: OrderedDict[tuple[int, int], tuple[str, ...]] = OrderedDict()
        self.scans: deque[_Scan] = deque()  # work for `idle`
        self._latest = Process(0, 0, "")
        self._fresh = (0, "")  # the process that was looked at last, and its executable
        self._described = 0  # when, ns since the epoch
        self._boot = _boot_time()

    def listens(self, proto: int, local: Address, remote: Address, index: int = 0) -> bool:
        """Whether something in the namespace would take a packet from `remote` to `local` on interface `index`."""
        found = self._diag.find(proto, local, remote, index)
        return found is not None and (proto != 6 or found[0] == TCP_LISTEN)

    def find(self, proto: int, local: Address, remote: Address, now: int, index: int = 0) -> int:
        """The pid that owns the socket at `local`, recorded if it is new; 0 if it cannot be found. proto: 6 or 17; now:
        ns since the epoch; index: of the interface by which its packets leave, 0 where that does not matter."""
        found = self._diag.find(proto, local, remote, index)
        return self._owner(found[1] if found else 0, now).pid

    def socket(
        self, local: Address, remote: Address, now: int, index: int = 0, own: bool = False
    ) -> tuple[Owner, Settings | None, bool]:
        """Like `find` for TCP, with the socket's descriptor and what it has been set to; its packets leave by the
        interface of that index. now: ns since the epoch. With `own`, `remote` is an address of the host: the last is
        then `listens`'s result of a packet from `local` to it, asked with the same question."""
        found, listens = self._diag.settings(6, local, remote, index, own)
        return self._owner(found.inode if found else 0, now), found, listens

    def again(self, inode: int) -> Owner:
        """Who has a socket now that was known by its inode."""
        pid = self._holder(f"socket:[{inode}]")
        return Owner(pid, self._descriptor(pid), inode)

    def _owner(self, inode: int, now: int) -> Owner:
        pid = self._holder(f"socket:[{inode}]") if inode else 0
        if not pid:
            return Owner(0, -1, inode)
        self._describe(pid, now)
        return Owner(pid, self._descriptor(pid), inode)

    def _descriptor(self, pid: int) -> int:
        sockets = self._last.get(pid)
        return sockets.last if sockets is not None else -1

    def _holder(self, target: str) -> int:
        for rank, (pid, sockets) in enumerate(reversed(self._last.items())):
            for fd in sockets.guesses(rank < _TURNING):
                if _link(f"/proc/{pid}/fd/{fd}") == target:
                    self._remember(pid, fd)
                    return pid
            if len(self._last) > 16:
                break
        for pid in list(reversed(self._last)):
            if self._search(pid, target):
                return pid
        for pid in tree.members(self._network):
            if pid not in self._last and self._search(pid, target):
                return pid
        return 0

    def _search(self, pid: int, target: str) -> bool:
        try:
            descriptors = sorted(map(int, os.listdir(f"/proc/{pid}/fd")), reverse=True)
        except OSError:
            self._last.pop(pid, None)
            return False
        for fd in descriptors:
            if _link(f"/proc/{pid}/fd/{fd}") == target:
                self._remember(pid, fd)
                self._last[pid].missed()
                return True
        return False

    def _remember(self, pid: int, fd: int) -> None:
        if pid not in self._last:
            self._last[pid] = _Sockets()
        self._last[pid].found(fd)
        self._last.move_to_end(pid)
        if len(self._last) > _KNOWN:
            self._last.popitem(last=False)

    def _describe(self, pid: int, now: int) -> None:
        """Record the process where it is new, or is not what it was (exec)."""
        exe = _link(f"/proc/{pid}/exe")
        if self._fresh == (pid, exe) and now - self._described < _FRESH:
            return
        self._fresh, self._described = (pid, exe), now
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                stat = file.read()
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read()
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return  # it ended between two looks: the pid is kept, its name cannot be had
        name = stat[stat.index(b"(") + 1 : stat.rindex(b")")].decode(errors="surrogateescape")
        rest = stat[stat.rindex(b")") + 2 :].split()
        words = tuple(word.decode(errors="surrogateescape") for word in line.split(b"\0")[:-1])
        identity = (name, exe, *words)
        known = self._recorded.get(pid) == identity
        if known and not self._bare.get(pid):
            return
        self._recorded[pid] = identity
        if len(self._recorded) > _KNOWN:
            self._bare.pop(self._recorded.popitem(last=False)[0], None)
        start = self._boot + int(rest[19]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        process = Process(now, pid, name, exe, words, int(rest[1]), uid, start)
        self._latest = process
        stacks = self._stacks(pid)
        if stacks:
            self._bare.pop(pid, None)
        else:  # it may load one later, as an interpreter does
            self._bare[pid] = self._bare[pid] - 1 if known else _LOOKS
        if stacks or not known:
            self._tell(process._replace(tls=stacks))

    def _stacks(self, pid: int) -> tuple[str, ...]:
        """The TLS libraries mapped into the process, else those linked into its executable."""
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
                maps = file.read()
        except OSError:
            return ()
        found = dict.fromkeys(label for mark, label in _LIBRARIES if label and mark in maps)
        return tuple(found) or self._linked(pid)

    def _linked(self, pid: int) -> tuple[str, ...]:
        """What is known to be linked into the executable; where nothing is known yet, `idle` will look."""
        try:
            fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ()
        info = os.fstat(fd)
        key = (info.st_dev, info.st_ino)
        known = self._exes.get(key)
        searched = any(scan.key == key and scan.process.pid == pid for scan in self.scans)
        if known is None and info.st_size > _SMALL and len(self.scans) < _SCANS and not searched:
            self.scans.append(_Scan(fd, key, self._latest))
        else:
            os.close(fd)
        return known or ()

    def idle(self) -> None:
        """Search a piece of an executable for a TLS stack linked into it: work for when nothing else is to do."""
        scan = self.scans[0]
        known = self._exes.get(scan.key)  # another process of the same program was first
        label = scan.step() if known is None else "".join(known)
        if label is None:
            return
        self.scans.popleft()
        self._searched(scan, label)

    def last(self) -> None:
        """The program has ended, perhaps before there was time to search it: do it now, as far as that is quick."""
        until = time.monotonic() + _LAST_SECONDS
        while self.scans and time.monotonic() < until:
            self.idle()
        for scan in self.scans:
            self._searched(scan, scan.best())
        self.scans.clear()

    def _searched(self, scan: _Scan, label: str) -> None:
        self._exes[scan.key] = (label,) if label else ()
        if len(self._exes) > _EXES:
            self._exes.popitem(last=False)
        if label:
            self._bare.pop(scan.process.pid, None)
            self._tell(scan.process._replace(tls=(label,)))


class _Sockets:
    """The descriptors that a process's sockets had."""

    def __init__(self) -> None:
        self.last = -1
        self._recent: OrderedDict[int, None] = OrderedDict()  # the one that was found last at the end
        self._tried: tuple[int, ...] = ()
        self._turning = False  # the last one was an older one's

    def guesses(self, turning: bool) -> tuple[int, ...]:
        """What the next one's may be, the likeliest first. `turning`: also older ones."""
        near = tuple(range(self.last, self.last + _GUESSES))
        self._tried = tuple(itertools.islice(self._recent, _OLDEST)) if turning and len(self._recent) > 1 else ()
        return self._tried + near if self._turning else near + self._tried

    def found(self, fd: int) -> None:
        """A socket has this one."""
        self._turning = fd in self._recent and fd != self.last
        self.last = fd
        self._recent[fd] = None
        self._recent.move_to_end(fd)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def missed(self) -> None:
        """The guesses were wrong: they make room for others."""
        for fd in self._tried:
            if fd != self.last:
                self._recent.pop(fd, None)
        self._tried = ()


class _Scan:
    """The search of one executable, a piece at a time."""

    def __init__(self, fd: int, key: tuple[int, int], process: Process) -> None:
        self._file = open(fd, "rb", buffering=0)
        self._tail = b""
        self._read = 0
        self._found = len(_MARKS)  # the first mark that was found; one program's text may name another's library
        self.key = key
        self.process = process

    def step(self) -> str | None:
        """The label found, "" when there is none, None while there is more to read."""
        piece = self._file.read(_SCAN_PIECE)
        data = self._tail + piece
        for index, (mark, _) in enumerate(_MARKS[: self._found]):
            if mark in data:
                self._found = index
                break
        self._tail = piece[-32:]
        self._read += len(piece)
        if piece and self._read < _SCAN_BYTES and self._found:
            return None
        return self.best()

    def best(self) -> str:
        """The label of what was found up to here, and the end of the search."""
        self._file.close()
        return _MARKS[self._found][1] if self._found < len(_MARKS) else ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _boot_time() -> int:
    """When the system started, ns since the epoch."""
    with open("/proc/stat") as file:
        for line in file:
            if line.startswith("btime "):
                return int(line.split()[1]) * 1_000_000_000
    return 0
