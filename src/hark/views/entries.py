"""Structured output: each exchange and failure becomes an entry once, which is written as JSON to several files.

May hold: the view that makes entries, the interface of sinks, JSON lines. May not hold: the schema (entry.py), other
formats. A kind of file for -o is a module with `sink(file, version)`, and its line in viewtable.py.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from hark.model.changes import Ended, Failed
from hark.views.entry import entry
from hark.views.view import Independent, Needs, Screen

if TYPE_CHECKING:
    from hark.views.schema import Schema


_BATCH = 1 << 18  # bytes of lines after which they are written


def encode(value: object) -> bytes:
    """Compact JSON in UTF-8. Text that is not Unicode (a process may have any bytes for its name) is escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        import json

        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def decode(line: bytes) -> Any:
    """The value of JSON that `encode` made."""
    return orjson.loads(line)


# Characters that JSON does not escape and a terminal interprets, in UTF-8: DEL, C1 controls, those that reorder text.
_ACTS = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]",
)


def inert(data: bytes) -> bytes:
    """Equivalent JSON without characters that a terminal would interpret."""
    return _ACTS.sub(lambda match: b"\\u%04x" % ord(match[0].decode()), data)


class File(Protocol):
    """Where a sink writes."""

    seekable: bool  # whether put() may be called: a regular file of hark's own

    def write(self, data: bytes) -> None:
        """Append."""

    def put(self, data: bytes, offset: int, else_: bytes) -> None:
        """Overwrite the file from `offset` on; with `else_` if the disk is full."""


class Sink(Protocol):
    """A file of entries."""

    def add(self, entry: bytes) -> None:
        """Take an entry, as JSON."""

    def flush(self) -> None:
        """Write the batch."""

    def end(self) -> int:
        """The recording is over. The verdict, like that of a view."""


class Entries(Independent):
    """Passes the entries of exchanges and failures to sinks."""

    def __init__(self, sinks: Sequence[Sink], schema: "Schema | None" = None) -> None:
        super().__init__()
        self._sinks = sinks
        self._schema = schema

    def needs(self) -> Needs:
        """Bodies are part of an entry."""
        return Needs.BODIES

    def render(self, change: Ended | Failed) -> bytes:
        """The entry, as JSON."""
        if isinstance(change, Ended):
            return encode(entry(change.exchange, self._schema))
        from hark.views import failures  # most recordings have none

        return encode(failures.entry(change.failure))

    def put(self, piece: bytes) -> None:
        """Pass the entry to the sinks."""
        for sink in self._sinks:
            sink.add(piece)

    def tick(self, now: int) -> None:
        """Write the batch."""
        for sink in self._sinks:
            sink.flush()

    def end(self) -> int:
        """End the sinks; the highest of their verdicts."""
        return max([sink.end() for sink in self._sinks], default=0)


class JsonLines:
    """Writes one line per entry: complete lines, in batches."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, entry: bytes) -> None:
        """Take a line."""
        self._lines += (entry, b"\n")
        self._size += len(entry)
        if self._size > _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the batch."""
        if self._lines:
            lines, self._lines, self._size = self._lines, [], 0
            self._write(b"".join(lines))

    def end(self) -> int:
        """Write the batch."""
        self.flush()
        return 0


def sink(file: File, version: str) -> Sink:
    """-o x.jsonl."""
    return JsonLines(file.write)


def view(screen: Screen) -> Entries:
    """--json."""
    write = screen.write
    return Entries([JsonLines((lambda data: write(inert(data))) if screen.terminal else write)], screen.schema)
