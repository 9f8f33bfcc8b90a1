"""Structured output: an entry is made once, as its exchange ends or its connection fails, and given as JSON to every
file that wants it.

May hold: the view that makes entries, what a sink is, JSON lines. May not hold: the schema (entry.py), other formats.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from hark.model.changes import Change, Ended, Failed
from hark.views.entry import entry

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


class Sink(Protocol):
    """A file of entries."""

    def add(self, entry: bytes) -> None:
        """One more, as JSON."""

    def flush(self) -> None:
        """Write what was gathered."""

    def end(self) -> None:
        """Nothing more will come."""


class Entries:
    """Gives every exchange that ended, and every failure, to its sinks; the first `told` ones are left out."""

    def __init__(self, sinks: Sequence[Sink], schema: "Schema | None" = None, told: int = 0) -> None:
        self._sinks = sinks
        self._schema = schema
        self._told = told

    def change(self, change: Change) -> None:
        """Pass on what has an entry."""
        if type(change) is Ended:
            if not self._told:
                line = encode(entry(change.exchange, self._schema))
                for sink in self._sinks:
                    sink.add(line)
                return
        elif type(change) is Failed:
            if not self._told:
                from hark.views import failures  # most recordings have none

                line = encode(failures.entry(change.failure))
                for sink in self._sinks:
                    sink.add(line)
                return
        else:
            return
        self._told -= 1

    def tick(self, now: int) -> None:
        """Write what was gathered."""
        for sink in self._sinks:
            sink.flush()

    def end(self) -> None:
        """Write what was gathered, and the end."""
        for sink in self._sinks:
            sink.end()


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

    end = flush
