"""The interface of views, and helpers that they share: safe text, short numbers.

What   A `View` declares what it needs, gets changes, and may end with a verdict. Filters and redaction are views that
       pass changes on to others (`Passing`). A view that renders each change by itself is `Independent`.
May hold: the interface and pure helpers. May not hold: a view that shows something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Flag, auto

from hark.model.changes import Ended, Failed
from hark.model.spans import duration as duration
from hark.wire import unixsocket, urls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.model.changes import Change
    from hark.model.exchange import Exchange
    from hark.recording.blocks import Process
    from hark.views.filters import Tally
    from hark.views.grep import Grep
    from hark.views.schema import Schema


class Needs(Flag):
    """What a view needs. Data that no view needs is neither kept nor made."""

    NOTHING = 0
    BODIES = auto()  # the bytes of bodies, up to --max-body; else only their number
    STEPS = auto()  # every step of an exchange (Answered), not only its beginning and end


class View:
    """Shows changes. The methods here do nothing."""

    def needs(self) -> Needs:
        """What it needs. That may grow while it runs."""
        return Needs.NOTHING

    def change(self, change: Change) -> None:
        """Handle a change."""

    def tick(self, now: int) -> None:
        """Called a few times a second in live runs, to let views flush. now: ns since the epoch."""

    def end(self) -> int:
        """The recording is over. The verdict: 0, or the exit status with which hark should end because of what this
        view has seen."""
        return 0

    def leaves(self) -> Iterator[View]:
        """The views that write output: this one, or those that it passes changes to."""
        yield self


class Independent(View):
    """A view whose output for a change depends on that change alone: several processes may render, one writes."""

    skip = 0  # changes that have been written already

    def __init__(self) -> None:
        self.deliver = self.put  # takes each piece; replaced in a process that renders for another one

    def change(self, change: Change) -> None:
        """Render and write an exchange that ended, or a failure."""
        if type(change) is Ended or type(change) is Failed:
            if self.skip:
                self.skip -= 1
            else:
                self.deliver(self.render(change))

    def render(self, change: Ended | Failed) -> bytes:
        """The output for this change."""
        raise NotImplementedError

    def put(self, piece: bytes) -> None:
        """Write a rendered piece, now or at the next tick. Called in the order of changes."""
        raise NotImplementedError


class Passing(View):
    """A view that passes changes on to others, after its own handling."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views

    def needs(self) -> Needs:
        """What the other views need."""
        return needs_of(self._views)

    def leaves(self) -> Iterator[View]:
        """Those of the other views."""
        for view in self._views:
            yield from view.leaves()

    def _pass(self, change: Change) -> None:
        for view in self._views:
            view.change(change)

    def tick(self, now: int) -> None:
        """Pass it on."""
        for view in self._views:
            view.tick(now)

    def end(self) -> int:
        """Pass it on."""
        return end_all(self._views)


def needs_of(views: Iterable[View]) -> Needs:
    """What these views need together."""
    needs = Needs.NOTHING
    for view in views:
        needs |= view.needs()
    return needs


def end_all(views: Iterable[View]) -> int:
    """End these views; the highest of their verdicts."""
    return max([view.end() for view in views], default=0)


class Screen:
    """The settings of a view on the screen."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.terminal = False  # whether it is one, which interprets control characters
        self.color = False
        self.width = 0  # columns; 0: not known, and nothing is cut
        self.verbosity = 0  # 0 lines, 1 headers too, 2 bodies too
        self.schema: Schema | None = None  # names the fields of gRPC messages
        self.grep: Grep | None = None  # the search of --grep
        self.tally: Tally | None = None  # numbers before filtering
        self.stamp: Callable[[int], str] | None = None  # makes the time at the beginning of a line, from ns


# C0 and C1 controls, DEL, and the characters that change the order of text (Unicode's bidirectional controls).
_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))},
    **{code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)},  # bytes that were not UTF-8
    0x09: "\t",
}


def safe(text: str) -> str:
    """The text, with all characters that a terminal would interpret written out."""
    return text if text.isascii() and text.isprintable() else text.translate(_CONTROLS)


def size(count: int) -> str:
    """Bytes, short: 0 B, 999 B, 1.2 kB, 34 MB (powers of 1000, as browsers do)."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{value:.0f} PB"


def who(process: Process | None, pid: int) -> str:
    """A process as "name[pid]"."""
    if process is not None:
        return named(process.name, process.pid)
    return named("", pid) if pid else ""


def named(name: str, pid: int) -> str:
    """A process by name and id: "name[pid]"."""
    return f"{name}[{pid}]"


def plural(count: int, name: str, names: str = "") -> str:
    """A count with its noun: "1 host", "3 hosts", "2 entries"."""
    return f"{count} {name if count == 1 else names or f'{name}s'}"


def host(exchange: Exchange) -> str:
    """The host of the URL, with its port if the URL has one."""
    _, authority, rest = urls.split(exchange.url)
    return authority or rest.partition("/")[0].partition("?")[0] or exchange.connection.server[0]


def address(host: str, port: int) -> str:
    """An address, or a host, with its port: "[::1]:443"; of a Unix socket its path."""
    if unixsocket.is_socket(host):
        return host
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def request_line(exchange: Exchange) -> str:
    """A request in one line."""
    method = exchange.request.method if exchange.request is not None else "?"
    return f"{method} {exchange.url or exchange.connection.server[0]}"


def pretty(text: str, mime: str) -> str:
    """Indented JSON, even if it is incomplete; other text unchanged, without a byte order mark."""
    text = text.removeprefix("\ufeff")
    if "json" in mime.lower() or text[:1] in ("{", "["):
        import json

        try:
            return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except RecursionError:
            return text
        except ValueError:
            from hark.views.indent import indented

            return indented(text) or text
    return text


def hexdump(data: bytes) -> list[str]:
    """Lines of sixteen bytes: offset, hex, printable characters."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' ', 1).ljust(47)}  {characters}")
    return lines
