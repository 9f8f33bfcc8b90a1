"""What is told where: files opened and views made, by what a person chose.

What   The same for a run, a reading, and whoever looks on. Views stand behind filters and redaction, which are views.
Why    Apart from commands/run.py and commands/read.py: both need it, and neither what the other is for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from hark.destinations import Outputs, standard_output
from hark.options import Options
from hark.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.frontends.watchers import Watchers
    from hark.pipeline.pipeline import Pipeline
    from hark.views.filters import Choice, Tally
    from hark.views.grep import Grep
    from hark.views.schema import Schema
    from hark.views.view import View


_SALT = 16  # bytes: nobody tries them all to guess what a mark stands for


def build_pipeline(
    options: Options, outputs: Outputs, fd: int, told: int = 0, feeds: Sequence[int] = (), watched: int = 0
) -> Pipeline:
    """A pipeline with the views of build_views(). watched: the process that `hark watch` finds it by, if any."""
    from hark.pipeline.pipeline import Pipeline

    watchers: Watchers | None = None
    if watched:
        from hark.frontends.watchers import Watchers

        watchers = Watchers(watched, outputs.schema)
    views, keep = build_views(options, outputs, fd, told, feeds, watchers)
    return Pipeline(views, keep, outputs.recordings, bool(feeds), watchers)


def build_views(
    options: Options,
    outputs: Outputs,
    fd: int,
    told: int = 0,
    feeds: Sequence[int] = (),
    watchers: Watchers | None = None,
) -> tuple[list[View], int]:
    """The views that the options ask for, telling on `fd`, and how many bytes of a body they want. The first `told`
    lines of JSON are told already. feeds: descriptors of processes that show what they are fed. watchers: others who
    watch the run; redaction applies to them, the run's filters do not, for they have their own."""
    schema = outputs.schema
    screen = standard_output() if fd == 1 else Output(fd, "the terminal", lambda text: None)
    chosen = choice(options)
    grep = chosen.grep if chosen is not None else None
    tally: Tally | None = None
    if chosen is not None:
        from hark.views.filters import Tally

        tally = Tally()
    views = [*_screens(options, fd, screen, schema, told, grep, tally), *file_views(options, outputs, schema)]
    if feeds:
        from hark.views.feed import Feed

        views += [Feed(Output(feed, "the view", lambda text: None).write, schema) for feed in feeds]
    keep = options.keep if _bodies(options, outputs) or feeds else 0
    unfiltered: list[View] = []
    if watchers is not None:
        (views if chosen is None and options.failures else unfiltered).append(watchers)
    if options.redact:
        salt = os.urandom(_SALT)
        views, unfiltered = ([redacted(group, schema, salt)] if group else [] for group in (views, unfiltered))
    if chosen is not None:
        from hark.views.filters import Chosen

        views = [Chosen(chosen, views, tally)]
    if not options.failures:
        from hark.views.filters import WithoutFailures

        views = [WithoutFailures(views)]
    return [*views, *unfiltered], keep


def choice(options: Options) -> Choice | None:
    """The filters, ready for use. Raises HarkError where one cannot be understood."""
    if not options.filters:
        return None
    from hark.views.filters import choice as build

    return build(options.filters)


def _bodies(options: Options, outputs: Outputs) -> bool:
    """Whether anything needs more of bodies than their size."""
    asked = options.json or options.verbosity > 1 or options.curl or options.summary or "grep" in options.filters
    return asked or outputs.structured


def file_views(options: Options, outputs: Outputs, schema: Schema | None) -> list[View]:
    """What writes the -o files of exchanges."""
    if not outputs.structured:
        return []
    from hark import __version__
    from hark.views.entries import Entries, JsonLines, Sink

    sinks: list[Sink] = [JsonLines(output.write) for output in outputs.files["jsonl"]]
    if outputs.files["har"] or outputs.streamed:
        from hark.views.har import Har, HarStream

        sinks += [Har(output.put, __version__) for output in outputs.files["har"]]
        sinks += [HarStream(output.write, __version__) for output in outputs.streamed]
    views: list[View] = [Entries(sinks, schema)] if sinks else []
    if outputs.files["html"]:
        from hark.views.page import Page

        pages = Entries([Page(output.write) for output in outputs.files["html"]], schema)
        views.append(redacted([pages], schema) if options.redact is None else pages)
    return views


def title_of(options: Options) -> str:
    """What a window says of a run: its command line, without secrets where they are to be hidden."""
    words = options.command
    if options.redact:
        from hark.views.redaction.entry import Redaction

        words = Redaction(os.urandom(_SALT)).words(words)
    return f"hark {' '.join(words)}"


def redacted(views: Sequence[View], schema: Schema | None, salt: bytes = b"") -> View:
    """The views behind redaction. Equal secrets have equal marks where the salt is the same; without one, a random
    salt is made."""
    from hark.views.redact import Redacted

    return Redacted(views, salt or os.urandom(_SALT), schema)


def _screens(
    options: Options,
    fd: int,
    screen: Output,
    schema: Schema | None,
    told: int,
    grep: Grep | None,
    tally: Tally | None,
) -> list[View]:
    """What tells a person, or a program behind a pipe."""
    views: list[View] = []
    tty = os.isatty(fd)
    color = tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = 0
    if tty:
        with contextlib.suppress(OSError):
            columns = os.get_terminal_size(fd).columns
            width = columns and max(columns, 40)  # 0: not known, and nothing is cut
    if options.curl and not options.quiet:
        from hark.views.curl import Commands

        views.append(Commands(screen.write))
    elif options.json and not options.quiet:
        from hark.views.entries import Entries, JsonLines, inert

        write = (lambda data: screen.write(inert(data))) if tty else screen.write
        views.append(Entries([JsonLines(write)], schema, told))
    elif not options.quiet:
        from hark.views.terminal import Terminal

        stamp = stamps(options) if options.time else None
        views.append(Terminal(screen.write, options.verbosity, color, width, schema, grep, tally, stamp))
    machine = fd == 1 and (options.json or options.curl)  # whoever reads that wants nothing else among it
    tables = Output(2, "the terminal", lambda text: None) if machine else screen
    if options.waterfall:
        from hark.views.waterfall import Waterfall

        views.append(Waterfall(tables.write, color and not machine, width))
    if options.summary:
        from hark.views.summary import Summary

        views.append(Summary(tables.write, tally))
    return views


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
