"""JSON lines: one HAR entry a line, written as its exchange ends.

May hold: formatting and writing. May not hold: the schema (entry.py).
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from hark.model.book import Change, Ended
from hark.views.entry import entry

if TYPE_CHECKING:
    from hark.views.schema import Schema

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class JsonLines:
    """Gives each line to `write`, whole; `write` flushes."""

    def __init__(self, write: Callable[[bytes], None], schema: "Schema | None" = None) -> None:
        self._write = write
        self._schema = schema

    def change(self, change: Change) -> None:
        """Write an exchange that ended."""
        if isinstance(change, Ended):
            line = _encode(entry(change.exchange, self._schema))
            self._write(line.encode("utf-8", "backslashreplace") + b"\n")

    def tick(self, now: int) -> None:
        """Nothing waits."""

    def end(self) -> None:
        """Nothing waits."""
