"""JSON lines: one HAR entry a line, written as its exchange ends.

May hold: formatting and writing. May not hold: the schema (entry.py).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from hark.model.book import Change, Ended
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


class JsonLines:
    """Gives lines to `write`, whole, at every tick, or when there are many. The first `told` lines are left out."""

    def __init__(self, write: Callable[[bytes], None], schema: "Schema | None" = None, told: int = 0) -> None:
        self._write = write
        self._told = told
        self._lines: list[bytes] = []
        self._size = 0
        self._schema = schema

    def change(self, change: Change) -> None:
        """Write an exchange that ended."""
        if type(change) is Ended:
            if self._told:
                self._told -= 1
                return
            self._lines += (encode(entry(change.exchange, self._schema)), b"\n")
            self._size += len(self._lines[-2])
            if self._size > _BATCH:
                self._flush()

    def tick(self, now: int) -> None:
        """Write what was gathered."""
        if self._lines:
            self._flush()

    def end(self) -> None:
        """Write what was gathered."""
        self._flush()

    def _flush(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            self._write(b"".join(lines))
