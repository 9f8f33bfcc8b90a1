"""What every view can do, and what they share: making text safe and numbers short.

What   `View` says what it needs, is given changes, and may end with a verdict. Filters and redaction are views in front
       of others (`Passing`). What writes a piece for each change by itself is `Independent`.
May hold: the interface and pure helpers. May not hold: a view that shows something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Flag, auto

from hark.model.changes import Ended, Failed
from hark.model.spans import duration as duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.model.changes import Change
    from hark.model.exchange import Exchange
    from hark.recording.blocks import Process
    from hark.views.filters import Tally
    from hark.views.grep import Grep
    from hark.views.schema import Schema


class Needs(Flag):
    """What a view must be given. What no view needs is not kept, and not made."""

    NOTHING = 0
    BODIES = auto()  # the bytes of bodies, as many as --max-body says; else only how many there were
    STEPS = auto()  # every step of an exchange as it happens (Answered), not only its beginning and its end


class View:
    """Shows changes. What a view leaves out does nothing."""

    def needs(self) -> Needs:
        """What it must be given. It may come to need more while it runs."""
        return Needs.NOTHING

    def change(self, change: Change) -> None:
        """Something happened."""

    def tick(self, now: int) -> None:
        """It is `now` (ns since the epoch): called a few times a second while live, to let views flush and remind."""

    def end(self) -> int:
        """Nothing more will come. The verdict: 0, or the exit status with which hark should end because of what this
        view has seen."""
        return 0

    def leaves(self) -> Iterator[View]:
        """The views that write something: this one, or those that it passes changes to."""
        yield self


class Independent(View):
    """A view whose output for a change follows from that change alone: several processes may render, one writes."""

    skip = 0  # changes that are written already

    def __init__(self) -> None:
        self.deliver = self.put  # what takes each piece: in a process that renders for another one, its collector

    def change(self, change: Change) -> None:
        """Render it and write it, if it is one that is written."""
        if type(change) is Ended or type(change) is Failed:
            if self.skip:
                self.skip -= 1
            else:
                self.deliver(self.render(change))

    def render(self, change: Ended | Failed) -> bytes:
        """What is written for this change."""
        raise NotImplementedError

    def put(self, piece: bytes) -> None:
        """Write what was rendered, now or at the next tick. Called in the order of changes."""
        raise NotImplementedError


class Passing(View):
    """A view in front of others: what it does with a change is its own, all else is passed on."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views

    def needs(self) -> Needs:
        """What those behind it need."""
        return needs_of(self._views)

    def leaves(self) -> Iterator[View]:
        """Those behind it."""
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
    """What a view that a person reads is made with."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.terminal = False  # whether it is one, and acts on control characters
        self.color = False
        self.width = 0  # columns; 0: not known, and nothing is cut
        self.verbosity = 0  # 0 lines, 1 headers too, 2 bodies too
        self.schema: Schema | None = None  # what names the fields of gRPC messages
        self.grep: Grep | None = None  # what --grep looks for
        self.tally: Tally | None = None  # what there was before filters
        self.stamp: Callable[[int], str] | None = None  # what a line begins with, by the time (ns) of what it is about


# C0 and C1 controls, DEL, and the characters that reorder what is around them (Unicode's bidirectional controls).
_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))},
    **{code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)},  # bytes that were not UTF-8
    0x09: "\t",
}


def safe(text: str) -> str:
    """The text with everything that a terminal would act on written out."""
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
        return f"{process.name}[{process.pid}]"
    return f"[{pid}]" if pid else ""


def plural(count: int, name: str, names: str = "") -> str:
    """A count with its noun: "1 host", "3 hosts", "2 entries"."""
    return f"{count} {name if count == 1 else names or f'{name}s'}"


def host(exchange: Exchange) -> str:
    """The host that was asked, with its port where the URL has one."""
    url = exchange.url
    rest = url.partition("://")[2] or url
    return rest.partition("/")[0].partition("?")[0] or exchange.connection.server[0]


def address(host: str, port: int) -> str:
    """An address, or a host, with its port: "[::1]:443"."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def asked(exchange: Exchange) -> str:
    """A request in a line."""
    method = exchange.request.method if exchange.request is not None else "?"
    return f"{method} {exchange.url or exchange.connection.server[0]}"


def pretty(text: str, mime: str) -> str:
    """JSON in lines, also where it ends too early; any other text as it is, without a byte order mark."""
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
    """Sixteen bytes a line: offset, hex, and what of it is printable."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' ', 1).ljust(47)}  {shown}")
    return lines
