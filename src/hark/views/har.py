"""HAR 1.2 files that are valid JSON at any time.

What   Each batch of entries overwrites the end of the document and appends the end again, in one call.
Why    A HAR file is one JSON document. With appending alone it would be invalid until the end, and after kill -9.
Limits A process that is killed inside the call leaves a part of the batch. A batch is one entry, or several up to
       BATCH, so that the call takes microseconds; hark reads such a file up to the torn entry. What cannot be
       overwritten (a pipe) is a valid HAR file only at the end.
"""

from collections.abc import Callable

from hark.views.entries import File, Sink, encode
from hark.views.entry import SCHEMA

_BATCH = 1 << 16  # bytes
_TAIL = b"\n]}}\n"


def head(version: str) -> bytes:
    """The document before the first entry."""
    log = {"version": "1.2", "creator": {"name": "hark", "version": version}, "_schema": SCHEMA, "pages": []}
    return b'{"log":' + encode(log)[:-1] + b',"entries":['


class Har:
    """A sink. put(data, offset, else_) overwrites the file from `offset` on; with else_ if the disk is full."""

    def __init__(self, put: Callable[[bytes, int, bytes], None], version: str) -> None:
        self._put = put
        self._waiting: list[bytes] = []
        self._size = 0
        start = head(version)
        put(start + _TAIL, 0, b"")
        self._at = len(start)
        self._first = True

    def add(self, entry: bytes) -> None:
        """Take an entry."""
        if self._waiting and self._size + len(entry) > _BATCH:
            self.flush()
        self._waiting.append(entry)
        self._size += len(entry)

    def flush(self) -> None:
        """Write the batch."""
        if not self._waiting:
            return
        text = b",\n".join(self._waiting)
        text = b"\n" + text if self._first else b",\n" + text
        self._first = False
        self._waiting.clear()
        self._size = 0
        self._put(text + _TAIL, self._at, _TAIL)
        self._at += len(text)

    def end(self) -> int:
        """Write the batch."""
        self.flush()
        return 0


class HarStream:
    """A sink for what can only be appended to, such as a pipe."""

    def __init__(self, write: Callable[[bytes], None], version: str) -> None:
        self._write = write
        self._waiting = [head(version)]
        self._between = b"\n"

    def add(self, entry: bytes) -> None:
        """Take an entry."""
        self._waiting += (self._between, entry)
        self._between = b",\n"

    def flush(self) -> None:
        """Write the batch."""
        if self._waiting:
            text = b"".join(self._waiting)
            self._waiting.clear()
            self._write(text)

    def end(self) -> int:
        """Write the rest, and the end of the document."""
        self._waiting.append(_TAIL)
        self.flush()
        return 0


def sink(file: File, version: str) -> Sink:
    """-o x.har."""
    return Har(file.put, version) if file.seekable else HarStream(file.write, version)
