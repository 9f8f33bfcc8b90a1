"""Telling recordings, and what that has in common with telling a live run: outputs, views, the teller made of both.

What   `hark read`: files are opened, merged, and told to the end; or followed as they grow.
Why    Apart from session.py, which starts programs: reading must not pay for what running takes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from hark.errors import HarkError
from hark.options import Options
from hark.output import Output

if TYPE_CHECKING:
    from hark.devtools import DevTools
    from hark.recording.blocks import Block
    from hark.recording.reader import Readable
    from hark.selecting import Flows
    from hark.teller import Teller
    from hark.views.choose import Choice
    from hark.views.schema import Schema
    from hark.views.view import View

_LARGE = 2 << 20  # bytes of recordings from which on several processors are put to work
_SAMPLE, _FRAME_LARGE = 300, 8000  # blocks looked at, bytes of a frame on average past which it is not worth it
_WORKERS_MOST = 8  # each reads all of it
_POLL = 0.1  # s between looks at a file that grows


def say(text: str) -> None:
    """A line of hark's own, to stderr."""
    with contextlib.suppress(OSError):  # nobody can be told that stderr is gone
        os.write(2, text.encode("utf-8", "backslashreplace") + b"\n")


# -- outputs ---------------------------------------------------------------------------------------------------------

KINDS = (".pcapng", ".jsonl", ".har", ".html")


class Outputs:
    """Where things are told, opened before anything runs: the files by their kind."""

    def __init__(self) -> None:
        self.files: dict[str, list[Output]] = {kind: [] for kind in KINDS}

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


def build_teller(options: Options, outputs: Outputs, fd: int, told: int = 0, feeds: Sequence[int] = ()) -> Teller:
    """A teller with the views of build_views()."""
    from hark.teller import Teller

    views, keep = build_views(options, outputs, fd, told, feeds)
    return Teller(views, keep, outputs.recordings, bool(feeds))


def build_views(
    options: Options, outputs: Outputs, fd: int, told: int = 0, feeds: Sequence[int] = ()
) -> tuple[list[View], int]:
    """The views that the options ask for, telling on `fd`, and how many bytes of a body they want. The first `told`
    lines of JSON are told already. feeds: descriptors of processes that show what they are fed."""
    schema = _schema(options)
    screen = _standard_output() if fd == 1 else Output(fd, "the terminal", lambda text: None)
    views = [*_screens(options, fd, screen, schema, told), *file_views(options, outputs, schema)]
    if feeds:
        from hark.views.feed import Feed

        views += [Feed(Output(feed, "the view", lambda text: None).write, schema) for feed in feeds]
    keep = options.keep if _bodies(options, outputs) or feeds else 0
    if options.redact:
        from hark.views.redact import Redacted

        views = [Redacted(views)]
    chosen = choice(options)
    if chosen is not None:
        from hark.views.choose import Chosen

        views = [Chosen(chosen, views)]
    return views, keep


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
        from hark.views.redact import Redacted

        pages = Entries([Page(output.write) for output in outputs.files[".html"]], schema)
        views.append(Redacted([pages]) if options.redact is None else pages)
    return views


def _screens(options: Options, fd: int, screen: Output, schema: Schema | None, told: int) -> list[View]:
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

        chosen = choice(options)
        grep = chosen.grep if chosen is not None else None
        views.append(Terminal(screen.write, options.verbosity, color, width, schema, grep))
    machine = fd == 1 and (options.json or options.curl)  # whoever reads that wants nothing else among it
    tables = Output(2, "the terminal", lambda text: None) if machine else screen
    if options.waterfall:
        from hark.views.waterfall import Waterfall

        views.append(Waterfall(tables.write, color and not machine, width))
    if options.summary:
        from hark.views.summary import Summary

        views.append(Summary(tables.write))
    return views


def _schema(options: Options) -> Schema | None:
    """What names the fields of gRPC messages, where something was given that does."""
    if not options.protos:
        return None
    from hark.views.schema import Schema

    return Schema(options.protos)


def _standard_output() -> Output:
    """What `hark read` tells on: where that cannot be written any more, there is nothing left to do. Then write()
    raises BrokenPipeError where nobody reads any more, else HarkError."""

    def stop(text: str) -> None:
        if isinstance(output.error, BrokenPipeError):
            raise output.error
        raise HarkError("cannot write to the output", (output.error and output.error.strerror) or "")

    output = Output(1, "the output", stop)
    return output


def read(paths: list[str], options: Options) -> int:
    """Tell recordings, merged by time; the exit status: 0, or 1 where one was not whole. Raises HarkError."""
    choice(options)  # what cannot be understood is told before anything is opened
    secrets = _secrets(options)
    told = 0
    if _plain_json(options) and _are_large(paths):
        done, sound, told = _read_at_once(paths, secrets, options)
        if done:
            return 0 if sound else 1
    with contextlib.ExitStack() as stack:
        files = _open_all(paths, stack)
        outputs = open_outputs(options, say, _can_select(paths, options))
        title = f"hark read {' '.join(map(os.path.basename, paths))}"
        if options.ui:
            return _browse(files, paths, secrets, options, outputs, title)
        server = serve_devtools(options, title) if options.devtools else None
        whole = _tell(files, paths, secrets, options, outputs, told, [server.feed] if server is not None else [])
        if server is not None:
            os.close(server.feed)
            wait_for(server)
        return 0 if whole else 1


def _tell(
    files: list[Readable],
    paths: list[str],
    secrets: list[Block],
    options: Options,
    outputs: Outputs,
    told: int,
    feeds: list[int],
) -> bool:
    """Tell open recordings; whether they were whole."""
    from itertools import chain

    from hark.recording import reader
    from hark.teller import replay

    flows = _flows(paths, secrets, options) if outputs.recordings and _can_select(paths, options) else None
    teller = build_teller(options, outputs, 1, told, feeds)
    wait = _follower(teller) if options.follow else None
    recordings = [reader.read(file, path, wait) for file, path in zip(files, paths, strict=True)]
    return replay(chain(secrets, reader.merge(recordings)), teller, flows)


def _can_select(paths: list[str], options: Options) -> bool:
    """Whether the recordings can be read twice: once to know which packets belong to what is chosen."""
    return not options.follow and all(os.path.isfile(path) for path in paths)


def _flows(paths: list[str], secrets: list[Block], options: Options) -> Flows | None:
    """The connections that the filters choose, where there are filters."""
    chosen = choice(options)
    if chosen is None:
        return None
    from itertools import chain

    from hark.recording import reader
    from hark.selecting import Flows
    from hark.teller import Teller, replay
    from hark.views.choose import Chosen

    found = Flows()
    with contextlib.ExitStack() as stack:
        files = _open_all(paths, stack)
        recordings = [reader.read(file, path) for file, path in zip(files, paths, strict=True)]
        keep = options.keep if "grep" in options.filters else 0
        replay(chain(secrets, reader.merge(recordings)), Teller([Chosen(chosen, [found])], keep))
    return found


def _browse(
    files: list[Readable], paths: list[str], secrets: list[Block], options: Options, outputs: Outputs, title: str
) -> int:
    """Tell open recordings in the terminal browser."""
    from hark.browsing import browse, of_reading

    options.quiet = True
    lines, pid = of_reading(lambda feed: _tell(files, paths, secrets, options, outputs, 0, [feed]))
    try:
        browse(lines, title)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    return 0


def _secrets(options: Options) -> list[Block]:
    """What the files beside the recordings hold."""
    from hark.recording.blocks import Secrets

    secrets: list[Block] = [Secrets(_contents(name), 0, "key log") for name in options.keys]
    for name in options.private_keys:
        text = _contents(name)
        if b"-----BEGIN " not in text[:4096]:
            raise HarkError(
                f"cannot use {name}", "it is no private key in PEM", "openssl pkey -in FILE converts others"
            )
        secrets.append(Secrets(text[text.index(b"-----BEGIN ") :], 0, "private key"))
    return secrets


def serve_devtools(options: Options, title: str) -> DevTools:
    """Start the DevTools server; it waits for somebody to look."""
    from hark.devtools import start

    return start(options, title, patient=True)


def wait_for(server: DevTools) -> None:
    """Until nobody looks any more; a ^C ends it."""

    def stop(number: int, frame: object) -> None:
        server.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    os.waitpid(server.pid, 0)


def _plain_json(options: Options) -> bool:
    """Whether JSON lines of everything are all that is wanted."""
    tables = options.summary or options.waterfall or options.curl
    more = (
        options.quiet
        or os.isatty(1)
        or options.outputs
        or options.follow
        or options.devtools
        or options.filters
        or options.redact
    )
    return options.json and not (tables or more)


def _open_all(paths: list[str], stack: contextlib.ExitStack) -> list[Readable]:
    files: list[Readable] = []
    for path in paths:
        try:
            files.append(stack.enter_context(open(0 if path == "-" else path, "rb", buffering=0)))
        except OSError as error:
            raise HarkError(f"cannot read {path}", error.strerror or "") from error
    return files


def _are_large(paths: list[str]) -> bool:
    """Whether the recordings are files that several processes may read, and worth it."""
    try:
        found = [os.stat(path) for path in paths if path != "-"]
    except OSError:
        return False  # which is told when they are opened
    regular = len(found) == len(paths) and all(stat.S_ISREG(one.st_mode) for one in found)
    return regular and sum(one.st_size for one in found) >= _LARGE and _processors() > 1


def _processors() -> int:
    return min(len(os.sched_getaffinity(0)), _WORKERS_MOST)


def _read_at_once(paths: list[str], secrets: list[Block], options: Options) -> tuple[bool, bool, int]:
    """Tell as JSON on several processors: (whether all was told, whether the recordings were sound, lines told)."""
    from itertools import islice

    from hark import parallel
    from hark.recording import reader
    from hark.recording.blocks import Entry, Frame

    def start() -> Iterator[Block]:
        with contextlib.ExitStack() as stack:
            yield from secrets
            files = _open_all(paths, stack)
            yield from reader.merge([reader.read(file, path) for file, path in zip(files, paths, strict=True)])

    frames, size = 0, 0
    for block in islice(start(), _SAMPLE):  # what is no recording at all is told here, once
        if isinstance(block, Frame):
            frames, size = frames + 1, size + len(block.data)
        elif isinstance(block, Entry):
            return False, True, 0  # what is read is exchanges already
    if size > frames * _FRAME_LARGE:
        return False, True, 0  # a few large transfers, which are bound by memory, not by the interpreter
    schema = _schema(options)
    result = parallel.tell(start, options.keep, schema, _standard_output().write, _processors())
    return result.done, result.sound, result.lines


def _contents(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise HarkError(f"cannot read {name}", error.strerror or "") from error


def _follower(teller: Teller) -> Callable[[], bool]:
    """What to do at the end of a file that grows: show what is known, wait a moment; a ^C ends it."""
    over = False

    def stop(number: int, frame: object) -> None:
        nonlocal over
        over = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)

    def wait() -> bool:
        teller.tick(time.time_ns())
        time.sleep(_POLL)
        return not over

    return wait
