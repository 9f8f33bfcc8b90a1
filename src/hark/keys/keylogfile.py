"""SSLKEYLOGFILE: key logs that programs write by themselves, followed as they grow.

What   A file descriptor, an inotify watch, the offset read so far. The tree's private file lies on a tmpfs that only
       the tree's mount namespace has; a file that the user named is left where it is and followed there.
Why    curl, GnuTLS, NSS, CPython, Chromium and Firefox write it; one variable hears them all.
Limits Only whole lines are given on. A file that shrinks is read again from its start.
"""

import os
from collections.abc import Callable

VARIABLE = "SSLKEYLOGFILE"
_PIECE = 1 << 20
_KEPT = 8 << 20  # bytes read that may lie in the private file before their memory is given back


class Follower:
    """Reads what is appended to an open key log. release(fd, n) gives the storage of the first n bytes back: for the
    private file, which lies in memory."""

    def __init__(
        self, fd: int, watch: Callable[[str], int], at: int = 0, release: Callable[[int, int], None] | None = None
    ) -> None:
        self._fd = fd
        self._release = release
        self._released = 0
        self._at = at
        self._torn = b""
        self._inotify = watch(f"/proc/self/fd/{fd}")

    def fileno(self) -> int:
        """The inotify descriptor."""
        return self._inotify

    def read(self) -> list[tuple[bytes, int, str]]:
        """What has come since: one item at most."""
        try:
            os.read(self._inotify, 4096)
        except BlockingIOError:
            pass
        if os.fstat(self._fd).st_size < self._at:
            self._at, self._torn = 0, b""
        pieces = [self._torn]
        while piece := os.pread(self._fd, _PIECE, self._at):
            self._at += len(piece)
            pieces.append(piece)
        text = b"".join(pieces)
        if self._release is not None and self._at - self._released > _KEPT:
            self._release(self._fd, self._at)
            self._released = self._at
        end = text.rfind(b"\n") + 1
        self._torn = text[end:][-_PIECE:]
        return [(text[:end], 0, "SSLKEYLOGFILE")] if end else []


def user_file(environment: dict[str, str]) -> str:
    """The absolute path of the key log that the user already asked for, or ""."""
    return os.path.abspath(environment[VARIABLE]) if environment.get(VARIABLE) else ""


def open_user_file(path: str) -> tuple[int, int] | None:
    """(descriptor, offset of its end) of the user's key log, created if need be as the program would have created
    it; None where that is not possible, and then the program cannot write it either."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    return fd, os.fstat(fd).st_size
