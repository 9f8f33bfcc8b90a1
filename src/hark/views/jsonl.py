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


def encode(value: object) -> bytes:
    """Compact JSON in UTF-8. Text that is not Unicode (a process may have any bytes for its name) is escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        import json

        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


class JsonLines:
    """Gives each line to `write`, whole; `write` flushes."""

    def __init__(self, write: Callable[[bytes], None], schema: "Schema | None" = None) -> None:
        self._write = write
        self._schema = schema

    def change(self, change: Change) -> None:
        """Write an exchange that ended."""
        if isinstance(change, Ended):
            self._write(encode(entry(change.exchange, self._schema)) + b"\n")

    def tick(self, now: int) -> None:
        """Nothing waits."""

    def end(self) -> None:
        """Nothing waits."""
