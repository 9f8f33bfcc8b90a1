"""When each exchange did what, as bars below each other: --waterfall.

What   A row for each exchange and each failure with its phases: D name look-up, C connect, T TLS, s sending, w waiting,
       r receiving; the axis is the run's. On a terminal with colours each phase has one.
Limits ROWS rows are kept, the first ones; how many came after is told.
"""

from collections.abc import Callable
from typing import NamedTuple

from hark.model.changes import Change, Ended, Failed
from hark.model.failure import Failure
from hark.views import failures
from hark.views.fitting import columns, fit, least
from hark.views.view import Screen, View, asked, duration, plural, safe

_ROWS = 2000
_WIDTH, _LEAST = 100, 60  # columns where nothing says how many there are; below which it cannot be drawn
_BAR = 24  # columns of the bars that are left where paths are long
_PHASES = {
    "dns": ("D", "36"),
    "connect": ("C", "33"),
    "tls": ("T", "35"),
    "send": ("s", "34"),
    "wait": ("w", "2"),
    "receive": ("r", "32"),
}


class Row(NamedTuple):
    """One exchange, or failure: what it was, and (phase, from, to) in ns."""

    what: str
    name: str  # what stands for it where that is too long
    status: int
    phases: tuple[tuple[str, int, int], ...]


def failed_phases(failure: Failure) -> tuple[tuple[str, int, int], ...]:
    """The same of a failure; as far as it came, one phase at least."""
    timings, at = failures.entry(failure)["timings"], failure.started
    spans: list[tuple[str, int, int]] = []
    for name in ("dns", "connect", "wait"):
        taken = round(timings.get(name, -1) * 1e6)
        if taken < 0 or (name == "wait" and not taken):
            continue
        secure = max(round(timings.get("ssl", -1) * 1e6), 0) if name == "connect" else 0
        spans.append((name, at, at + taken - secure))
        if secure:
            spans.append(("tls", at + taken - secure, at + taken))
        at += taken
    return tuple(spans) or (("wait", failure.started, failure.time),)


class Waterfall(View):
    """Gathers rows; draws them at the end. width: columns of the screen; 0: nothing is cut."""

    def __init__(self, write: Callable[[bytes], None], color: bool = False, width: int = 0) -> None:
        self._write = write
        self._color = color
        self._width = width
        self._rows: list[Row] = []
        self._more = 0

    def change(self, change: Change) -> None:
        """Keep what is over."""
        if type(change) is Ended:
            exchange = change.exchange
            status = exchange.response.status if exchange.response is not None else 0
            self._keep(asked(exchange), asked(exchange), status, exchange.phases)
        elif type(change) is Failed:
            failure = change.failure
            self._keep(failures.line(failure), failures.what(failure), 0, failed_phases(failure))

    def _keep(self, what: str, name: str, status: int, took: tuple[tuple[str, int, int], ...]) -> None:
        if len(self._rows) >= _ROWS:
            self._more += 1
            return
        self._rows.append(Row(safe(what), safe(name), status, took))

    def end(self) -> int:
        """Draw."""
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
        """One row's bar: every phase has at least what its time is worth, the whole at least one column."""
        names = [""] * room
        for name, start, end in row.phases:
            first = max(min((start - begin) * room // span, room - 1), 0)  # before the beginning, where a clock jumped
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
