"""A HAR 1.2 file that is whole at every moment.

What   The file ends in what closes it. Each batch of entries is written over that end, with the end behind it, in one
       call: whoever opens the file, whenever, finds valid JSON.
Why    A HAR is one JSON document, so appending alone would leave it open until the last moment, which kill -9 takes.
Limits The kernel writes in pieces of a page or more, and a process that is killed within the call leaves what was
       written: a batch is one entry or as many as fit into BATCH, so that it is over in microseconds. hark reads such a
       file up to the entry that is torn. What cannot be written over (a pipe) is a HAR once it has ended.
"""

from collections.abc import Callable

from hark.views.entries import File, Sink, encode
from hark.views.entry import SCHEMA

_BATCH = 1 << 16  # bytes
_TAIL = b"\n]}}\n"


def head(version: str) -> bytes:
    """What stands before the entries."""
    log = {"version": "1.2", "creator": {"name": "hark", "version": version}, "_schema": SCHEMA, "pages": []}
    return b'{"log":' + encode(log)[:-1] + b',"entries":['


class Har:
    """A sink. put(data, offset, else_) writes over the file from there on, or else_ where there is no room."""

    def __init__(self, put: Callable[[bytes, int, bytes], None], version: str) -> None:
        self._put = put
        self._waiting: list[bytes] = []
        self._size = 0
        start = head(version)
        put(start + _TAIL, 0, b"")
        self._at = len(start)
        self._first = True

    def add(self, entry: bytes) -> None:
        """One more entry."""
        if self._waiting and self._size + len(entry) > _BATCH:
            self.flush()
        self._waiting.append(entry)
        self._size += len(entry)

    def flush(self) -> None:
        """Write what was gathered."""
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
        """Write what was gathered."""
        self.flush()
        return 0


class HarStream:
    """A sink for what can only be appended to, such as a pipe."""

    def __init__(self, write: Callable[[bytes], None], version: str) -> None:
        self._write = write
        self._waiting = [head(version)]
        self._between = b"\n"

    def add(self, entry: bytes) -> None:
        """One more entry."""
        self._waiting += (self._between, entry)
        self._between = b",\n"

    def flush(self) -> None:
        """Write what was gathered."""
        if self._waiting:
            text = b"".join(self._waiting)
            self._waiting.clear()
            self._write(text)

    def end(self) -> int:
        """Write what is left, and what closes the document."""
        self._waiting.append(_TAIL)
        self.flush()
        return 0


def sink(file: File, version: str) -> Sink:
    """-o x.har."""
    return Har(file.put, version) if file.seekable else HarStream(file.write, version)
