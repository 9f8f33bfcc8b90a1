"""The system calls that Python 3.11 has no name for.

May hold: thin wrappers that raise OSError. May not hold: policy.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_REC: Final = 16384
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
_PR_SET_PDEATHSIG: Final = 1
_PIDFD_GETFD: Final = 438  # the same number on every architecture

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces whose CLONE_ flags are given for new ones (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount `source` as a file system of a kind (mount(2)); flags: MS_ numbers, data: the kind's own options."""
    args = [os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*args, ctypes.c_ulong(flags), os.fsencode(data)), f"mount {target}")


def user_keyrings() -> list[int]:
    """The serial numbers of this user's keyring and persistent keyring; fewer where the kernel has or allows none."""
    get_id, get_persistent, user, process, own_uid = 0, 22, -4, -2, -1
    found = [_keyctl(get_id, user, 1), _keyctl(get_persistent, own_uid, process)]
    return [number for number in found if number > 0]


def link_keyrings(keyrings: list[int]) -> None:
    """Make keys of these keyrings found in this user namespace's user keyring, which is a new one. What is refused is
    not to be had here."""
    link, user = 8, -4
    for keyring in keyrings:
        _keyctl(link, keyring, user)


def _keyctl(operation: int, first: int, second: int) -> int:
    number = {"x86_64": 250}.get(os.uname().machine, 219)
    long = ctypes.c_long
    return int(_libc.syscall(long(number), long(operation), long(first), long(second), long(0), long(0)))


def setns(fd: int, kind: int) -> None:
    """Join the namespace that a descriptor stands for; kind: its CLONE_ flag."""
    _check(_libc.setns(fd, kind), "setns")


def enter_user_namespace(pid: int) -> None:
    """Join the user namespace of a process (setns): with every capability there, if it is one of this user's."""
    fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, CLONE_NEWUSER)
    finally:
        os.close(fd)


def keep_capabilities(*numbers: int) -> None:
    """Keep some capabilities over an exec, and no others (capset, prctl PR_CAP_AMBIENT)."""
    version_3, cap_ambient, ambient_raise = 0x20080522, 47, 2
    mask = sum(1 << number for number in numbers)
    head = (ctypes.c_uint32 * 2)(version_3, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable; the upper half
    _check(_libc.capset(head, sets), "capset")
    for number in numbers:
        _check(_libc.prctl(cap_ambient, ambient_raise, ctypes.c_ulong(number), 0, 0), "prctl PR_CAP_AMBIENT")


def die_with_parent(signal: int) -> None:
    """Have the kernel send this process `signal` when its parent dies (prctl PR_SET_PDEATHSIG)."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def punch(fd: int, size: int) -> None:
    """Give the storage of a file's first `size` bytes back; its size and offsets stay (fallocate PUNCH_HOLE)."""
    keep_size_punch_hole = 1 | 2
    _check(_libc.fallocate(fd, keep_size_punch_hole, ctypes.c_long(0), ctypes.c_long(size)), "fallocate")


def notifier() -> tuple[int, Callable[[str, int], None]]:
    """A descriptor that becomes readable when something that is watched changes, and what watches one more path for
    the events of an inotify mask. Where the user's inotify instances are used up (128 by default, which editors and
    file managers take), the descriptor is that of a clock, and everything is looked at ten times a second."""
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return _clock(0.1), lambda path, mask: None
    return fd, lambda path, mask: _watch(fd, path, mask)


def _watch(fd: int, path: str, mask: int) -> None:
    _check(_libc.inotify_add_watch(fd, os.fsencode(path), mask), f"inotify_add_watch {path}")


def _clock(seconds: float) -> int:
    """A descriptor that becomes readable again and again (timerfd_create)."""
    clock_monotonic = 1
    fd = _check(_libc.timerfd_create(clock_monotonic, os.O_NONBLOCK | os.O_CLOEXEC), "timerfd_create")
    every = (int(seconds), int(seconds * 1e9) % 1_000_000_000)
    setting = (ctypes.c_long * 4)(*every, *every)
    _check(_libc.timerfd_settime(fd, 0, setting, None), "timerfd_settime")
    return fd


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A descriptor of ours for what another process has as `fd` (pidfd_getfd(2))."""
    return _check(_libc.syscall(_PIDFD_GETFD, pidfd, fd, 0), "pidfd_getfd")
