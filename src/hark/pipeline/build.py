"""The chain of views: what a person chose, made of the modules that viewtable.py names.

What   The same for a run, a reading, and whoever watches: filters, then redaction, then the views that write. Each of
       them says what it needs (views/view.py); the pipeline gives that and no more.
Why    Apart from commands/run.py and commands/read.py: both need it, and neither what the other is for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from importlib import import_module

from hark.destinations import Outputs, standard_output
from hark.options import Options
from hark.output import Output
from hark.viewtable import EXPORTS, LINES, REPORTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.views.filters import Filter, Tally
    from hark.views.schema import Schema
    from hark.views.view import Screen, View


_SALT = 16  # bytes: nobody tries them all to guess what a mark stands for


def build_views(
    options: Options, outputs: Outputs, fd: int, feeds: Sequence[int] = (), more: Sequence[View] = ()
) -> list[View]:
    """The views that the options ask for, writing to `fd` and to the outputs. feeds: descriptors of processes that show
    what they are fed. more: views that are made elsewhere; filters and redaction apply to them too."""
    chosen = filter_of(options)
    tally = None
    if chosen is not None:
        from hark.views.filters import Tally

        tally = Tally()
    views = [*_shown(options, fd, outputs.schema, chosen, tally), *file_views(options, outputs), *more]
    if feeds:
        from hark.views.feed import Feed

        views += [Feed(Output(feed, "the view", lambda text: None).write, outputs.schema) for feed in feeds]
    if options.redact and views:
        views = [redacted(views, outputs.schema)]
    if chosen is not None:
        from hark.views.filters import Filtered

        views = [Filtered(chosen, views, tally)]
    if not options.failures:
        from hark.views.filters import WithoutFailures

        views = [WithoutFailures(views)]
    return views


def filter_of(options: Options) -> Filter | None:
    """The filters, ready for use. Raises HarkError where one cannot be understood."""
    if not options.filters:
        return None
    from hark.views.filters import parse

    return parse(options.filters)


def file_views(options: Options, outputs: Outputs) -> list[View]:
    """What writes the -o files of exchanges."""
    if not outputs.structured:
        return []
    from hark import __version__
    from hark.views.entries import Entries

    views: list[View] = []
    for hidden in (False, True):
        sinks = [
            import_module(f"hark.views.{export.module}").sink(file, __version__)
            for kind, export in EXPORTS.items()
            if (export.redacted and options.redact is None) == hidden
            for file in outputs.files[kind]
        ]
        if sinks:
            entries = Entries(sinks, outputs.schema)
            views.append(redacted([entries], outputs.schema) if hidden else entries)
    return views


def title_of(options: Options) -> str:
    """What a window says of a run: its command line, without secrets where they are to be hidden."""
    words = options.command
    if options.redact:
        from hark.views.redaction.entry import Redaction

        words = Redaction(os.urandom(_SALT)).words(words)
    return f"hark {' '.join(words)}"


def redacted(views: Sequence[View], schema: Schema | None) -> View:
    """The views behind redaction. Equal secrets have equal marks in all of them; in another run they differ."""
    from hark.views.redact import Redacted

    return Redacted(views, os.urandom(_SALT), schema)


def _shown(options: Options, fd: int, schema: Schema | None, chosen: Filter | None, tally: Tally | None) -> list[View]:
    """What a person reads, or a program at the other end of a pipe: while it happens, and at the end."""
    from hark.views.view import Screen

    lines = Screen((standard_output() if fd == 1 else Output(fd, "the terminal", lambda text: None)).write)
    lines.terminal = os.isatty(fd)
    lines.color = lines.terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    if lines.terminal:
        with contextlib.suppress(OSError):
            columns = os.get_terminal_size(fd).columns
            lines.width = columns and max(columns, 40)  # 0: not known
    lines.verbosity, lines.schema, lines.tally = options.verbosity, schema, tally
    lines.grep = chosen.grep if chosen is not None else None
    lines.stamp = stamps(options) if options.time else None
    option = next(name for name in LINES if not name or getattr(options, name))
    views = [] if options.quiet else [_view(LINES[option], lines)]
    if fd == 1 and option:  # a program reads that, and wants nothing else among it
        lines.write, lines.color = Output(2, "the terminal", lambda text: None).write, False
    return views + [_view(module, lines) for name, module in REPORTS.items() if getattr(options, name)]


def _view(module: str, screen: Screen) -> View:
    made: View = import_module(f"hark.views.{module}").view(screen)
    return made


def stamps(options: Options) -> Callable[[int], str]:
    """What a line begins with: the local time of day of a time in ns, or the seconds since the run began."""
    from time import localtime, strftime

    def since(ns: int) -> str:
        options.started = options.started or ns
        return f"{(ns - options.started) / 1e9:9.3f}"

    def of_day(ns: int) -> str:
        try:
            return f"{strftime('%H:%M:%S', localtime(ns // 1_000_000_000))}.{ns // 1_000_000 % 1000:03}"
        except (OSError, OverflowError, ValueError):  # no year of a calendar: a file may hold any number
            return f"{ns / 1e9:.3f}"

    return since if options.time == "start" else of_day
