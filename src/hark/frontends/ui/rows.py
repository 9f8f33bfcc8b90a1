"""What the browser's list knows of every exchange, and where the rest of it is.

What   A row has what is shown in a line and what is filtered by; the entry is in a file without a name.
Why    Ten thousand exchanges are filtered at every key; their bodies are looked at one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hark.frontends.spool import Spool
from hark.views.entries import decode
from hark.views.failures import layer, summed_up
from hark.views.filters import fits, parts_of
from hark.views.view import duration, named, safe, size

if TYPE_CHECKING:
    from hark.model.entry import Entry

Json = dict[str, Any]
_WORD = re.compile(r"(host|path|method|status|type|process):(\S*)")


class Row:
    """One exchange, or what should have become one."""

    __slots__ = (
        "bad",
        "kind",
        "method",
        "mime",
        "n",
        "over",
        "place",
        "process",
        "search",
        "shown",
        "size",
        "status",
        "time",
        "url",
    )

    def __init__(self, n: int) -> None:
        self.n = n
        self.method = self.url = self.status = self.kind = self.size = self.time = self.process = self.search = (
            self.mime
        ) = ""
        self.bad = False
        self.over = False
        self.shown = False  # whether it fits the filter
        self.place = (0, 0)


class Rows:
    """All rows, in the order in which they began. Fed with a feed's lines."""

    def __init__(self) -> None:
        self.all: list[Row] = []
        self.shown: list[Row] = []  # those that fit the filter
        self.failures = 0  # rows that are no exchanges
        self.trouble = ""  # the last one of the recording itself
        self._by_n: dict[int, Row] = {}
        self._filter = _Filter("")
        self._spool = Spool()

    def feed(self, line: bytes) -> bool:
        """One line; whether anything shown changed."""
        told = decode(line)
        what = told["what"]
        if what in ("began", "answered", "upgraded", "ended"):
            row = self._by_n.get(told["n"]) or self._new(told["n"])
            _fill(row, told["entry"])
            row.place = self._spool.write(line)
            if what == "ended":
                row.over = True
                del self._by_n[row.n]
        elif what == "failed":
            row = self._new(0)
            self.failures += 1
            _fill_failure(row, told["entry"])
            row.place = self._spool.write(line)
        elif what == "told":
            self.trouble = safe(told["text"])
            return True
        else:
            return False
        if not row.shown and self._filter.of([row]):
            row.shown = True
            self.shown.append(row)
        return True

    def _new(self, n: int) -> Row:
        row = Row(n)
        self.all.append(row)
        if n:
            self._by_n[n] = row
        return row

    def entry(self, row: Row) -> Entry | None:
        """The entry of a row; None where it has none yet."""
        if not row.place[1]:
            return None
        entry: Entry = decode(self._spool.read(row.place))["entry"]
        return entry

    def filter(self, text: str) -> None:
        """Show only the rows that fit: words anywhere in the line, or name:value as the command line's filters. Raises
        HarkError where a value cannot be understood."""
        chosen = _Filter(text)
        for row in self.shown:
            row.shown = False
        self._filter = chosen
        self.shown = chosen.of(self.all)
        for row in self.shown:
            row.shown = True


def _fill(row: Row, entry: Entry) -> None:
    asked, answer = entry["request"], entry["response"]
    row.method, row.url = safe(asked["method"]), safe(asked["url"])
    status = answer["status"]
    trouble = entry.get("_trouble", "")
    row.status = str(status) if status else (trouble and "failed") or "…"
    row.bad = bool(trouble) or status >= 400
    mime = answer["content"]["mimeType"].partition(";")[0].strip().lower()
    row.mime = mime
    row.kind = safe(mime.rpartition("/")[2].removeprefix("x-"))
    row.size = size(answer["bodySize"]) if answer["bodySize"] > 0 else ""
    row.time = duration(int(entry["time"] * 1e6)) if entry["time"] else ""
    row.process = _process(entry)
    row.search = f"{row.method} {row.url} {row.status} {mime} {row.process} {trouble}".lower()


def _process(entry: Entry) -> str:
    process = entry.get("_process")
    return safe(named(process.get("name", ""), process["pid"])) if process and process["pid"] else ""


def _fill_failure(row: Row, entry: Entry) -> None:
    facts = entry["_failure"]
    row.over = row.bad = True
    row.status = "failed"
    row.method, row.url = layer(facts), safe(summed_up(facts))
    row.time = duration(int(entry["time"] * 1e6)) if entry["time"] else ""
    row.process = _process(entry)
    row.search = f"{row.method} {row.url} failed {facts['kind']} {row.process}".lower()


class _Filter:
    """What is typed, ready for use. Raises HarkError."""

    def __init__(self, text: str) -> None:
        named: dict[str, list[str]] = {}
        for name, value in _WORD.findall(text):
            if value:  # else it is still being typed
                named.setdefault(name, []).append(value)
        self._words = _WORD.sub("", text).lower().split()
        self._tests = [(_NAMED[name], fits(name, values)) for name, values in named.items()]

    def of(self, rows: list[Row]) -> list[Row]:
        """Those that fit; words first, for they are quick."""
        for word in self._words:
            rows = [row for row in rows if word in row.search]
        for look, test in self._tests:
            rows = [row for row in rows if test(look(row))]
        return list(rows)


def _hosts(row: Row) -> Sequence[str]:
    host = parts_of(row.url)[0]
    return host, re.sub(r":\d+$", "", host).strip("[]")


_NAMED: dict[str, Callable[[Row], Sequence[str]]] = {
    "host": _hosts,
    "path": lambda row: (parts_of(row.url)[1],),
    "method": lambda row: (row.method,),
    "status": lambda row: (row.status if row.status.isdecimal() else "0",),
    "type": lambda row: (row.mime or "-",),
    "process": lambda row: (row.process, *row.process.rstrip("]").split("[")),
}
