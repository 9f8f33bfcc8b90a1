"""The system calls that Python 3.11 has no name for.

May hold: thin wrappers that raise OSError. May not hold: policy.
"""

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_REC, MS_SLAVE = 2, 4, 16384, 1 << 19
_PR_SET_PDEATHSIG = 1
_PIDFD_GETFD = 438  # the same number on every architecture

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    args = [os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*args, ctypes.c_ulong(flags), os.fsencode(data)), f"mount {target}")


def die_with_parent(signal: int) -> None:
    """Have the kernel send this process `signal` when its parent dies (prctl PR_SET_PDEATHSIG)."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def punch(fd: int, size: int) -> None:
    """Give the storage of a file's first `size` bytes back; its size and offsets stay (fallocate PUNCH_HOLE)."""
    keep_size_punch_hole = 1 | 2
    _check(_libc.fallocate(fd, keep_size_punch_hole, ctypes.c_long(0), ctypes.c_long(size)), "fallocate")


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A descriptor of ours for what another process has as `fd` (pidfd_getfd(2))."""
    return _check(_libc.syscall(_PIDFD_GETFD, pidfd, fd, 0), "pidfd_getfd")


def inotify(path: str) -> int:
    """A descriptor that becomes readable whenever the file at `path` is modified."""
    fd = _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
    try:
        _check(_libc.inotify_add_watch(fd, os.fsencode(path), 2), f"inotify_add_watch {path}")
    except OSError:
        os.close(fd)
        raise
    return fd
