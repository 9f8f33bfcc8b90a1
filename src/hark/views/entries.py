"""Structured output: an entry is made once, as its exchange ends or its connection fails, and given as JSON to every
file that wants it.

May hold: the view that makes entries, what a sink is, JSON lines. May not hold: the schema (entry.py), other formats.
A kind of file for -o is a module with `sink(file, version)`, and its line in viewtable.py.
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
    """The value of what `encode` made."""
    return orjson.loads(line)


# What JSON leaves as it is and a terminal acts on, in UTF-8: DEL, C1 controls, the characters that reorder text.
_ACTS = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]",
)


def inert(data: bytes) -> bytes:
    """JSON that means the same, without anything that a terminal would act on."""
    return _ACTS.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), data)


class File(Protocol):
    """Where a sink writes."""

    seekable: bool  # whether put() may be called: a regular file of hark's own

    def write(self, data: bytes) -> None:
        """Append."""

    def put(self, data: bytes, offset: int, else_: bytes) -> None:
        """Write over the file from `offset` on, or `else_` where there is no room."""


class Sink(Protocol):
    """A file of entries."""

    def add(self, entry: bytes) -> None:
        """One more, as JSON."""

    def flush(self) -> None:
        """Write what was gathered."""

    def end(self) -> int:
        """Nothing more will come. The verdict, as of a view."""


class Entries(Independent):
    """Gives every exchange that ended, and every failure, to its sinks."""

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
        """An entry for all."""
        for sink in self._sinks:
            sink.add(piece)

    def tick(self, now: int) -> None:
        """Write what was gathered."""
        for sink in self._sinks:
            sink.flush()

    def end(self) -> int:
        """Write what was gathered, and the end; the highest of the sinks' verdicts."""
        return max([sink.end() for sink in self._sinks], default=0)


class JsonLines:
    """Gives lines to `write`, whole, when asked to or when there are many."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, entry: bytes) -> None:
        """One more line."""
        self._lines += (entry, b"\n")
        self._size += len(entry)
        if self._size > _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if self._lines:
            lines, self._lines, self._size = self._lines, [], 0
            self._write(b"".join(lines))

    def end(self) -> int:
        """Write what was gathered."""
        self.flush()
        return 0


def sink(file: File, version: str) -> Sink:
    """-o x.jsonl."""
    return JsonLines(file.write)


def view(screen: Screen) -> Entries:
    """--json."""
    write = screen.write
    return Entries([JsonLines((lambda data: write(inert(data))) if screen.terminal else write)], screen.schema)
