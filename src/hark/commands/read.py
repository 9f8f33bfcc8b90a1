"""`hark read`: recordings are opened, merged, and decoded to the end, or followed as they grow.

What   One process decodes; several do if the recording is large and the views allow it (pipeline/parallel.py). A
       browser or a window is another process.
Why    Apart from commands/run.py, which starts programs: reading must not pay for what running takes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from hark.destinations import (
    BROWSERS,
    Outputs,
    Target,
    fill_streams,
    open_outputs,
    say,
    targets,
)
from hark.errors import HarkError, UsageError
from hark.flags import PACKETS
from hark.options import Options
from hark.pipeline.build import build_views, filter_of

if TYPE_CHECKING:
    from io import FileIO

    from hark.pipeline.pipeline import Pipeline
    from hark.pipeline.select import Flows
    from hark.recording.blocks import Block
    from hark.views.view import View

_LARGE = 2 << 20  # bytes of recordings from which on several processors are put to work
_SAMPLE, _FRAME_LARGE = 300, 8000  # blocks looked at, bytes of a frame on average past which it is not worth it
_WORKERS_MOST = 8  # each reads all of it
_POLL = 0.1  # s between looks at a file that grows


def read(paths: list[str], options: Options) -> int:
    """Show recordings, merged by time; the exit status: 0, the verdict of a view, or 1 where a recording was not whole.
    Raises HarkError."""
    fill_streams(os.O_RDONLY)
    filter_of(options)  # what cannot be understood is reported before anything is opened
    _spare(paths, options)
    secrets = _secrets(options)
    with contextlib.ExitStack() as stack:
        files = _open_all(paths, stack)
        _check_input(files, paths, options)
        outputs = open_outputs(options, say, BROWSERS if options.ui else "", _can_select(paths, options))
        title = f"hark read {' '.join(map(os.path.basename, paths))}"
        if options.ui:
            return _browse(files, paths, secrets, options, outputs, title)
        server = None
        if options.devtools:
            from hark.frontends.devtools.start import start, wait_for

            server = start(options, title, outputs)
        status = _show(files, paths, secrets, options, outputs, [server.feed] if server is not None else [])
        if server is not None:
            os.close(server.feed)
            outputs.close()
            wait_for(server)
        return status


def _show(
    files: list[FileIO], paths: list[str], secrets: list[Block], options: Options, outputs: Outputs, feeds: list[int]
) -> int:
    """Decode open recordings and show them; the exit status."""
    from itertools import chain

    from hark.pipeline.pipeline import Pipeline, replay
    from hark.recording import reader

    views = build_views(options, outputs, 2 if outputs.standard else 1, feeds)
    if not (outputs.recordings or options.follow) and _are_large(paths):
        status = _read_at_once(paths, secrets, options, views)
        if status is not None:
            return status
    flows = _flows(paths, secrets, options) if outputs.recordings and _can_select(paths, options) else None
    pipeline = Pipeline(views, options.keep, outputs.recordings)
    wait = _follower(pipeline) if options.follow else None
    recordings = [reader.read(file, path, wait) for file, path in zip(files, paths, strict=True)]
    if paths == ["-"] and (given := _about_packets(options)):
        recordings = [_packets_only(recordings[0], given)]
    merged = reader.merge(recordings)
    blocks = chain(secrets, _noting(merged, options) if options.time == "start" else merged)
    whole = replay(blocks, pipeline, flows)
    return pipeline.verdict or (0 if whole else 1)


def _noting(recording: Iterator[Block], options: Options) -> Iterator[Block]:
    """The same blocks; the time of the first frame is when it began."""
    from hark.recording.blocks import Frame

    for block in recording:
        if not options.started and isinstance(block, Frame):
            options.started = block.time
        yield block


def _can_select(paths: list[str], options: Options) -> bool:
    """Whether the recordings can be read twice: once to know which packets belong to what is chosen."""
    return not options.follow and all(os.path.isfile(path) for path in paths)


def _flows(paths: list[str], secrets: list[Block], options: Options) -> Flows | None:
    """The connections that the filters choose, where there are filters."""
    chosen = filter_of(options)
    if chosen is None:
        return None
    from itertools import chain

    from hark.pipeline.pipeline import Pipeline, replay
    from hark.pipeline.select import Flows
    from hark.recording import reader
    from hark.views.filters import Filtered, WithoutFailures

    found = Flows()
    views = [Filtered(chosen, [found if options.failures else WithoutFailures([found])])]
    with contextlib.ExitStack() as stack:
        files = _open_all(paths, stack)
        recordings = [reader.read(file, path) for file, path in zip(files, paths, strict=True)]
        replay(chain(secrets, reader.merge(recordings)), Pipeline(views, options.keep))
    return found


def _browse(
    files: list[FileIO], paths: list[str], secrets: list[Block], options: Options, outputs: Outputs, title: str
) -> int:
    """Show open recordings in the terminal browser."""
    from hark.frontends.ui.start import browse, in_another_process
    from hark.pipeline.save import save

    options.quiet = True
    lines, pid = in_another_process(lambda feed: _show(files, paths, secrets, options, outputs, [feed]))
    try:
        browse(lines, save, title)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    return 0


def _secrets(options: Options) -> list[Block]:
    """What the files beside the recordings hold."""
    from hark.pipeline.keyfiles import key_logs
    from hark.recording.blocks import Secrets

    secrets: list[Block] = [*key_logs(options.keys, lambda note: say(f"hark: {note}"))]
    for name in options.private_keys:
        text = _contents(name)
        if b"-----BEGIN " not in text[:4096]:
            raise HarkError(
                f"cannot use {name}", "it is not a private key in PEM", "openssl pkey -in FILE converts others"
            )
        secrets.append(Secrets(text[text.index(b"-----BEGIN ") :], 0, "private key"))
    return secrets


def _spare(paths: list[str], options: Options) -> None:
    """What is read is not written over, nor written to without end. Raises HarkError."""
    read = []
    for path in paths:
        with contextlib.suppress(OSError):  # which is said when it is opened
            read.append(os.fstat(0) if path == "-" else os.stat(path))
    for target in [*targets(options), Target("standard output", "", 1, "")]:
        with contextlib.suppress(OSError):  # there is none yet
            found = os.stat(target.path) if target.fd < 0 else os.fstat(target.fd)
            if stat.S_ISREG(found.st_mode) and any(os.path.samestat(found, one) for one in read):
                raise HarkError(f"cannot write {target.name}", "it is what is read", "another name")


def _check_input(files: list[FileIO], paths: list[str], options: Options) -> None:
    """Refuse what does not apply to this kind of input, as far as it can be looked into. Raises UsageError."""
    from hark.recording import reader

    if options.follow:
        if paths[0] == "-" and not stat.S_ISREG(os.fstat(files[0].fileno()).st_mode):
            raise UsageError("--follow does not apply to a pipe", "it is read until its writer closes it")
        if os.path.isfile(paths[0]) and reader.is_compressed(os.pread(files[0].fileno(), 4, 0)):
            raise UsageError("--follow does not apply to a compressed file", paths[0])
    given = _about_packets(options)
    packets = [target.name for target in targets(options) if target.kind == PACKETS]
    if (given or packets) and all(map(os.path.isfile, paths)):
        archives = [path for path in paths if _is_archive(path)]
        if archives and packets:
            why = f"{archives[0]} holds requests, not packets"
            raise UsageError(f"cannot write {packets[0]}", why, "x.har, x.jsonl")
        if given and len(archives) == len(paths):
            raise _decoded(given, archives[0])


def _about_packets(options: Options) -> str:
    """The first option that was given and only means something for what is decoded from packets, or ""."""
    about = {
        "--keys": options.keys,
        "--private-key": options.private_keys,
        "--proto": options.protos,
        "--max-body": options.keep != Options().keep,
    }
    return next((name for name, value in about.items() if value), "")


def _decoded(option: str, path: str) -> UsageError:
    return UsageError(f"{option} does not apply to {path}", "it holds decoded requests", "it is for pcapng and pcap")


def _packets_only(recording: Iterator[Block], option: str) -> Iterator[Block]:
    """The blocks of standard input, of which only the first tells what they are. Raises UsageError."""
    from hark.recording.blocks import Entry

    for block in recording:
        if isinstance(block, Entry):
            raise _decoded(option, "standard input")
        yield block


def _is_archive(path: str) -> bool:
    """Whether a file holds exchanges, not packets. Raises HarkError."""
    from hark.recording import reader
    from hark.recording.blocks import Entry

    with open(path, "rb", buffering=0) as file:
        return isinstance(next(reader.read(file, path), None), Entry)


def _open_all(paths: list[str], stack: contextlib.ExitStack) -> list[FileIO]:
    files: list[FileIO] = []
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
        return False  # one was moved away in this moment
    regular = len(found) == len(paths) and all(stat.S_ISREG(one.st_mode) for one in found)
    return regular and sum(one.st_size for one in found) >= _LARGE and _processors() > 1


def _processors() -> int:
    return min(len(os.sched_getaffinity(0)), _WORKERS_MOST)


def _read_at_once(paths: list[str], secrets: list[Block], options: Options, views: Sequence[View]) -> int | None:
    """Show recordings on several processors, if the views and the recordings allow it: the exit status; None: one
    processor has to begin again, and the views know what is written already."""
    from itertools import islice

    from hark.pipeline import parallel
    from hark.recording import reader
    from hark.recording.blocks import Entry, Frame

    if not parallel.independent(views):
        return None

    def start() -> Iterator[Block]:
        with contextlib.ExitStack() as stack:
            yield from secrets
            files = _open_all(paths, stack)
            yield from reader.merge([reader.read(file, path) for file, path in zip(files, paths, strict=True)])

    frames, size = 0, 0
    for block in islice(start(), _SAMPLE):  # what is no recording at all is reported here, once
        if isinstance(block, Frame):
            frames, size = frames + 1, size + len(block.data)
        elif isinstance(block, Entry):
            return None  # what is read is exchanges already
    if size > frames * _FRAME_LARGE:
        return None  # a few large transfers, which are bound by memory, not by the interpreter
    result = parallel.read(start, options.keep, views, _processors())
    return (result.verdict or (0 if result.sound else 1)) if result.done else None


def _contents(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise HarkError(f"cannot read {name}", error.strerror or "") from error


def _follower(pipeline: Pipeline) -> Callable[[], bool]:
    """What to do at the end of a file that grows: show what is known, wait a moment; a ^C ends it."""
    over = False

    def stop(number: int, frame: object) -> None:
        nonlocal over
        over = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)

    def wait() -> bool:
        pipeline.tick(time.time_ns())
        time.sleep(_POLL)
        return not over

    return wait
