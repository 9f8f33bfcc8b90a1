"""Files and terminals that hark writes to.

May hold: writing, and what to do when it fails. May not hold: formats.
"""

import contextlib
import os
import select
from collections.abc import Callable


class Output:
    """A file that is being written; one that fails is reported and left alone."""

    def __init__(
        self, fd: int, name: str, complain: Callable[[str], None], buffered: bool = False, seekable: bool = False
    ) -> None:
        self._fd = fd
        self._name = name
        self._complain = complain
        self.seekable = seekable  # whether put() may be called: a regular file of hark's own
        self._limit = 1 << 16 if buffered else 0
        self._pieces: list[bytes] = []
        self._size = 0
        self.failed = False
        self.error: OSError | None = None  # why it failed

    def write(self, data: bytes | memoryview) -> None:
        """Append; a buffered output keeps it until `flush` or until there is much."""
        if self.failed:
            return
        if len(data) >= self._limit and not self._pieces:
            self._put(data)
            return
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size >= self._limit:
            self.flush()

    def put(self, data: bytes, offset: int, else_: bytes) -> None:
        """Write over the file from `offset` on. Where not all of it can be written, `else_` and the end stand there."""
        if self.failed:
            return
        view, at = memoryview(data), offset
        try:
            while view:
                count = os.pwrite(self._fd, view, at)
                view, at = view[count:], at + count
        except OSError as error:
            self.failed, self.error = True, error
            with contextlib.suppress(OSError):  # there was room for it before
                os.ftruncate(self._fd, offset)
                os.pwrite(self._fd, else_, offset)
            self._complain(f"hark: cannot write {self._name} any more: {error.strerror}; the rest is not in it")

    def flush(self) -> None:
        """Write what is kept."""
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self._put(data)

    def _put(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while len(view) and not self.failed:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError as error:
                self.failed, self.error = True, error
                self._complain(f"hark: cannot write {self._name} any more: {error.strerror}; the rest is not in it")
