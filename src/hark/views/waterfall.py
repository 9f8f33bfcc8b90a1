"""Exchanges as bars on the time axis of the run: --waterfall.

What   One row per exchange or failure with its phases: D name look-up, C connect, T TLS, s sending, w waiting,
       r receiving. On a terminal with colours each phase has its colour.
Limits The first ROWS rows are drawn; the last line has the number of further ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hark.model.changes import Change, Ended, Failed
from hark.views import failures
from hark.views.fitting import columns, fit, least
from hark.views.view import Screen, View, duration, plural, request_line, safe

if TYPE_CHECKING:
    from hark.model.failure import Failure

_ROWS = 2000
_WIDTH, _LEAST = 100, 60  # columns: if the width is not known; at least
_BAR = 24  # columns that long paths leave to the bars
_PHASES = {
    "dns": ("D", "36"),
    "connect": ("C", "33"),
    "tls": ("T", "35"),
    "send": ("s", "34"),
    "wait": ("w", "2"),
    "receive": ("r", "32"),
}


class Row(NamedTuple):
    """An exchange or a failure. phases: (phase, from, to) in ns since the epoch."""

    what: str
    name: str  # a shorter form of it
    status: int
    phases: tuple[tuple[str, int, int], ...]


def failed_phases(failure: Failure) -> tuple[tuple[str, int, int], ...]:
    """The phases of a failure, as far as it got; at least one."""
    timings, at = failures.entry(failure)["timings"], failure.started
    spans: list[tuple[str, int, int]] = []
    reached = (("dns", timings.get("dns", -1)), ("connect", timings.get("connect", -1)), ("wait", timings["wait"]))
    for name, ms in reached:
        taken = round(ms * 1e6)
        if taken < 0 or (name == "wait" and not taken):
            continue
        secure = max(round(timings.get("ssl", -1) * 1e6), 0) if name == "connect" else 0
        spans.append((name, at, at + taken - secure))
        if secure:
            spans.append(("tls", at + taken - secure, at + taken))
        at += taken
    return tuple(spans) or (("wait", failure.started, failure.time),)


class Waterfall(View):
    """Collects rows; draws them at the end. width: columns of the screen; 0: nothing is cut."""

    def __init__(self, write: Callable[[bytes], None], color: bool = False, width: int = 0) -> None:
        self._write = write
        self._color = color
        self._width = width
        self._rows: list[Row] = []
        self._more = 0

    def change(self, change: Change) -> None:
        """Keep what has ended."""
        if type(change) is Ended:
            exchange = change.exchange
            status = exchange.response.status if exchange.response is not None else 0
            self._keep(request_line(exchange), request_line(exchange), status, exchange.phases)
        elif type(change) is Failed:
            failure = change.failure
            self._keep(failures.line(failure), failures.what(failure), 0, failed_phases(failure))

    def _keep(self, what: str, name: str, status: int, took: tuple[tuple[str, int, int], ...]) -> None:
        if len(self._rows) >= _ROWS:
            self._more += 1
            return
        self._rows.append(Row(safe(what), safe(name), status, took))

    def end(self) -> int:
        """Draw the rows."""
        lines = self._draw() if self._rows else []
        if self._more:
            lines.append(f"and {plural(self._more, 'row')} more")
        self._write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
        return 0

    def _draw(self) -> list[str]:
        rows = sorted(self._rows, key=lambda row: row.phases[0][1])
        begin = min(start for row in rows for _, start, _ in row.phases)
        span = max(max(end for row in rows for _, _, end in row.phases) - begin, 1)
        left = max(columns(row.what) for row in rows)
        if self._width:
            width = max(self._width, _LEAST)
            left = min(left, max(width // 2 - 10, min(max(least(row.name) for row in rows), width - 16 - _BAR)))
            room = width - left - 16
        else:
            room = max(_WIDTH - left - 16, _BAR)
        legend = " ".join(f"{self._paint(name, letter)} {name}" for name, (letter, _) in _PHASES.items())
        lines = [f"{'':{left}}      0{duration(span):>{room - 1}}"]
        for row in rows:
            what = row.what if columns(row.what) <= left else fit(row.name, left)
            what += " " * (left - columns(what))
            taken = duration(row.phases[-1][2] - row.phases[0][1])
            lines.append(f"{what} {row.status or '---'!s:>3} |{self._bar(row, begin, span, room)}| {taken}")
        return [*lines, legend]

    def _bar(self, row: Row, begin: int, span: int, room: int) -> str:
        """A row's bar: each phase in proportion to its time, the bar at least one column."""
        names = [""] * room
        for name, start, end in row.phases:
            first = max(min((start - begin) * room // span, room - 1), 0)  # before 0 if a clock jumped
            last = min(max(-(-(end - begin) * room // span), first + 1), room)
            if end == start and any(names):
                continue
            for at in range(first, last):
                if start < end or not names[at]:
                    names[at] = name
        return "".join(self._paint(name, _PHASES[name][0]) if name else " " for name in names)

    def _paint(self, name: str, text: str) -> str:
        return f"\x1b[{_PHASES[name][1]}m{text}\x1b[0m" if self._color else text


def view(screen: Screen) -> Waterfall:
    """--waterfall."""
    return Waterfall(screen.write, screen.color, screen.width)
