"""Telling recordings, and what that has in common with telling a live run: outputs, views, the teller made of both.

What   `hark read`: files are opened, merged, and told to the end; or followed as they grow.
Why    Apart from session.py, which starts programs: reading must not pay for what running takes.
"""

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hark.errors import HarkError
from hark.options import Options
from hark.output import Output

if TYPE_CHECKING:
    from hark.teller import Teller
    from hark.views.view import View

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


def build_teller(options: Options, outputs: Outputs, fd: int) -> "Teller":
    """The views that the options ask for, telling on `fd`."""
    from hark.teller import Teller

    views: list[View] = []
    schema = None
    if options.protos:
        from hark.views.schema import Schema

        schema = Schema(options.protos)
    keep = 0
    screen = Output(fd, "the terminal", lambda text: None)
    if options.json or outputs.lines:
        from hark.views.jsonl import JsonLines

        keep = options.keep
        views += [JsonLines(output.write, schema) for output in outputs.lines]
        if options.json and not options.quiet:
            views.append(JsonLines(screen.write, schema))
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


def read(paths: list[str], options: Options) -> int:
    """Tell recordings, merged by time; the exit status: 0, or 1 where one was not whole. Raises HarkError."""
    from hark.recording import reader
    from hark.recording.blocks import Block, Secrets
    from hark.teller import replay

    secrets: list[Block] = []
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
        files: list[reader.Readable] = []
        for path in paths:
            try:
                files.append(stack.enter_context(open(0 if path == "-" else path, "rb", buffering=0)))
            except OSError as error:
                raise HarkError(f"cannot read {path}", error.strerror or "") from error
        outputs = open_outputs(options.outputs, say)
        teller = build_teller(options, outputs, 1)
        wait = _follower(teller) if options.follow else None
        for block in secrets:
            teller.tell(block)
        recordings = [reader.read(file, path, wait) for file, path in zip(files, paths, strict=True)]
        return 0 if replay(reader.merge(recordings), teller) else 1


def _contents(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise HarkError(f"cannot read {name}", error.strerror or "") from error


def _follower(teller: "Teller") -> Callable[[], bool]:
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
