"""What is told where: files opened and views made, by what a person chose.

What   The same for a run, a reading, and whoever looks on. Views stand behind filters and redaction, which are views.
Why    Apart from session.py and reading.py: both need it, and neither what the other is for.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hark.errors import HarkError
from hark.options import Options
from hark.output import Output

if TYPE_CHECKING:
    from hark.lookers import Lookers
    from hark.teller import Teller
    from hark.views.choose import Choice, Tally
    from hark.views.grep import Grep
    from hark.views.schema import Schema
    from hark.views.view import View


def say(text: str) -> None:
    """A line of hark's own, to stderr."""
    with contextlib.suppress(OSError):  # nobody can be told that stderr is gone
        os.write(2, text.encode("utf-8", "backslashreplace") + b"\n")


_SALT = 16  # bytes: nobody tries them all to guess what a mark stands for

# -- outputs ---------------------------------------------------------------------------------------------------------

KINDS = (".pcapng", ".jsonl", ".har", ".html")


class Outputs:
    """Where things are told, opened before anything runs: the files by their kind."""

    def __init__(self) -> None:
        self.files: dict[str, list[Output]] = {kind: [] for kind in KINDS}
        self.schema: Schema | None = None  # what names the fields of gRPC messages

    @property
    def recordings(self) -> list[Output]:
        """Those of packets."""
        return self.files[".pcapng"]

    @property
    def structured(self) -> bool:
        """Whether there are any of exchanges."""
        return any(files for kind, files in self.files.items() if kind != ".pcapng")


def open_outputs(options: Options, complain: Callable[[str], None], selects: bool = False) -> Outputs:
    """Open every -o file, private to the user. selects: packets are filtered too. Raises HarkError."""
    outputs = Outputs()
    outputs.schema = schema_of(options)  # what cannot be read is said before a file is emptied
    for name in options.outputs:
        kind = os.path.splitext(name)[1]
        if kind not in KINDS:
            known = ", ".join(f"x{one}" for one in KINDS)
            raise HarkError(f"cannot write {name}", f"unknown kind {kind!r}" if kind else "no kind", known)
        try:
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            regular = stat.S_ISREG(os.fstat(fd).st_mode)
            if regular:
                os.fchmod(fd, 0o600)  # secrets inside: also where the file was there before
        except OSError as error:
            raise HarkError(f"cannot write {name}", error.strerror or "") from error
        if kind == ".har" and not regular:
            raise HarkError(f"cannot write {name}", "a HAR is written over its own end: it must be a file", "x.jsonl")
        outputs.files[kind].append(Output(fd, name, complain, buffered=kind == ".pcapng"))
    left = "not redacted" if options.redact else "not filtered" if options.filters and not selects else ""
    if outputs.recordings and left:
        names = ", ".join(name for name in options.outputs if name.endswith(".pcapng"))
        complain(f"hark: {names} is {left}: it holds the packets and the secrets as they were")
    return outputs


def build_teller(
    options: Options, outputs: Outputs, fd: int, told: int = 0, feeds: Sequence[int] = (), watched: int = 0
) -> Teller:
    """A teller with the views of build_views(). watched: the process that `hark watch` finds it by, if any."""
    from hark.teller import Teller

    lookers: Lookers | None = None
    if watched:
        from hark.lookers import Lookers

        lookers = Lookers(watched, outputs.schema)
    views, keep = build_views(options, outputs, fd, told, feeds, lookers)
    return Teller(views, keep, outputs.recordings, bool(feeds), lookers)


def build_views(
    options: Options,
    outputs: Outputs,
    fd: int,
    told: int = 0,
    feeds: Sequence[int] = (),
    lookers: Lookers | None = None,
) -> tuple[list[View], int]:
    """The views that the options ask for, telling on `fd`, and how many bytes of a body they want. The first `told`
    lines of JSON are told already. feeds: descriptors of processes that show what they are fed. lookers: others who
    watch the run; redaction applies to them, the run's filters do not, for they have their own."""
    schema = outputs.schema
    screen = standard_output() if fd == 1 else Output(fd, "the terminal", lambda text: None)
    chosen = choice(options)
    grep = chosen.grep if chosen is not None else None
    tally: Tally | None = None
    if chosen is not None:
        from hark.views.choose import Tally

        tally = Tally()
    views = [*_screens(options, fd, screen, schema, told, grep, tally), *file_views(options, outputs, schema)]
    if feeds:
        from hark.views.feed import Feed

        views += [Feed(Output(feed, "the view", lambda text: None).write, schema) for feed in feeds]
    keep = options.keep if _bodies(options, outputs) or feeds else 0
    unfiltered: list[View] = []
    if lookers is not None:
        (views if chosen is None and options.failures else unfiltered).append(lookers)
    if options.redact:
        salt = os.urandom(_SALT)
        views, unfiltered = ([redacted(group, schema, salt)] if group else [] for group in (views, unfiltered))
    if chosen is not None:
        from hark.views.choose import Chosen

        views = [Chosen(chosen, views, tally)]
    if not options.failures:
        from hark.views.choose import WithoutFailures

        views = [WithoutFailures(views)]
    return [*views, *unfiltered], keep


def choice(options: Options) -> Choice | None:
    """The filters, ready for use. Raises HarkError where one cannot be understood."""
    if not options.filters:
        return None
    from hark.views.choose import choice as build

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

    sinks: list[Sink] = [JsonLines(output.write) for output in outputs.files[".jsonl"]]
    if outputs.files[".har"]:
        from hark.views.har import Har

        sinks += [Har(output.put, __version__) for output in outputs.files[".har"]]
    views: list[View] = [Entries(sinks, schema)] if sinks else []
    if outputs.files[".html"]:
        from hark.views.page import Page

        pages = Entries([Page(output.write) for output in outputs.files[".html"]], schema)
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
            width = max(os.get_terminal_size(fd).columns, 40)
    if options.curl and not options.quiet:
        from hark.views.curl import Commands

        views.append(Commands(screen.write))
    elif options.json and not options.quiet:
        from hark.views.entries import Entries, JsonLines, inert

        write = (lambda data: screen.write(inert(data))) if tty else screen.write
        views.append(Entries([JsonLines(write)], schema, told))
    elif not options.quiet:
        from hark.views.terminal import Terminal

        views.append(Terminal(screen.write, options.verbosity, color, width, schema, grep, tally))
    machine = fd == 1 and (options.json or options.curl)  # whoever reads that wants nothing else among it
    tables = Output(2, "the terminal", lambda text: None) if machine else screen
    if options.waterfall:
        from hark.views.waterfall import Waterfall

        views.append(Waterfall(tables.write, color and not machine, width))
    if options.summary:
        from hark.views.summary import Summary

        views.append(Summary(tables.write, tally))
    return views


def schema_of(options: Options) -> Schema | None:
    """What names the fields of gRPC messages, where something was given that does."""
    if not options.protos:
        return None
    from hark.views.schema import Schema

    return Schema(options.protos)


def standard_output() -> Output:
    """What `hark read` tells on: where that cannot be written any more, there is nothing left to do. Then write()
    raises BrokenPipeError where nobody reads any more, else HarkError."""

    def stop(text: str) -> None:
        if isinstance(output.error, BrokenPipeError):
            raise output.error
        raise HarkError("cannot write to the output", (output.error and output.error.strerror) or "")

    output = Output(1, "the output", stop)
    return output
