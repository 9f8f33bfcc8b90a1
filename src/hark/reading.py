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
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hark.errors import HarkError
from hark.options import Options
from hark.output import Output

if TYPE_CHECKING:
    from hark.recording.blocks import Block
    from hark.recording.reader import Readable
    from hark.teller import Teller
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


class Outputs:
    """Where things are told, opened before anything runs."""

    def __init__(self) -> None:
        self.recordings: list[Output] = []
        self.lines: list[Output] = []


def open_outputs(names: list[str], complain: Callable[[str], None]) -> Outputs:
    """Open every -o file, private to the user. Raises HarkError."""
    outputs = Outputs()
    for name in names:
        kind = os.path.splitext(name)[1]
        if kind not in (".pcapng", ".jsonl"):
            raise HarkError(
                f"cannot write {name}", f"unknown kind {kind!r}" if kind else "no kind", "x.pcapng or x.jsonl"
            )
        try:
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.fchmod(fd, 0o600)  # secrets inside: also where the file was there before
        except OSError as error:
            raise HarkError(f"cannot write {name}", error.strerror or "") from error
        output = Output(fd, name, complain, buffered=kind == ".pcapng")
        (outputs.recordings if kind == ".pcapng" else outputs.lines).append(output)
    return outputs


def build_teller(options: Options, outputs: Outputs, fd: int, told: int = 0) -> Teller:
    """The views that the options ask for, telling on `fd`; the first `told` lines of JSON are told already."""
    from hark.teller import Teller

    views: list[View] = []
    schema = _schema(options)
    keep = 0
    screen = _standard_output() if fd == 1 else Output(fd, "the terminal", lambda text: None)
    if options.json or outputs.lines:
        from hark.views.jsonl import JsonLines

        keep = options.keep
        views += [JsonLines(output.write, schema) for output in outputs.lines]
        if options.json and not options.quiet:
            views.append(JsonLines(screen.write, schema, told))
    if not options.quiet and not options.json:
        from hark.views.terminal import Terminal

        tty = os.isatty(fd)
        color = tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        width = 0
        if tty:
            with contextlib.suppress(OSError):
                width = max(os.get_terminal_size(fd).columns, 40)
        keep = max(keep, options.keep if options.verbosity > 1 else 0)
        views.append(Terminal(screen.write, options.verbosity, color, width, schema))
    return Teller(views, keep, outputs.recordings)


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
    from itertools import chain

    from hark.recording import reader
    from hark.recording.blocks import Secrets
    from hark.teller import replay

    secrets: list[Block] = []  # of files beside the recordings
    for name in options.keys:
        secrets.append(Secrets(_contents(name), 0, "key log"))
    for name in options.private_keys:
        text = _contents(name)
        if b"-----BEGIN " not in text[:4096]:
            raise HarkError(
                f"cannot use {name}", "it is no private key in PEM", "openssl pkey -in FILE converts others"
            )
        secrets.append(Secrets(text[text.index(b"-----BEGIN ") :], 0, "private key"))
    with contextlib.ExitStack() as stack:
        told = 0
        if options.json and not (options.quiet or options.outputs or options.follow) and _are_large(paths):
            done, sound, told = _read_at_once(paths, secrets, options)
            if done:
                return 0 if sound else 1
        files = _open_all(paths, stack)
        outputs = open_outputs(options.outputs, say)
        teller = build_teller(options, outputs, 1, told)
        wait = _follower(teller) if options.follow else None
        recordings = [reader.read(file, path, wait) for file, path in zip(files, paths, strict=True)]
        return 0 if replay(chain(secrets, reader.merge(recordings)), teller) else 1


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
    from hark.recording.blocks import Frame

    def start() -> Iterator[Block]:
        with contextlib.ExitStack() as stack:
            yield from secrets
            files = _open_all(paths, stack)
            yield from reader.merge([reader.read(file, path) for file, path in zip(files, paths, strict=True)])

    frames, size = 0, 0
    for block in islice(start(), _SAMPLE):  # what is no recording at all is told here, once
        if isinstance(block, Frame):
            frames, size = frames + 1, size + len(block.data)
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
