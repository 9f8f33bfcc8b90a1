"""`hark ui` and --ui: the terminal browser in front of a recording or of a running hark.

What   The browser needs the terminal and the main thread; what feeds it is another process (a reading) or another hark.
"""

import contextlib
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from hark.destinations import BROWSERS, check_packets, check_standard_output, open_outputs
from hark.errors import HarkError
from hark.options import Options
from hark.showing import choice, title_of
from hark.system import kernel

_PATIENCE = 5.0  # s that a command has to end when the browser is left
Save = Callable[[str, list[dict[str, Any]]], None]


def browse(lines: Iterator[bytes], title: str, output: int = -1) -> None:
    """Show a feed until the person leaves; output: a file that grows, to be looked into. Raises HarkError."""
    _need_terminal()
    from hark.views.ui.app import Browser

    gc.set_threshold(50_000, 50, 1000)  # rows live as long as we do: looking through them again costs a key its 50 ms
    Browser(lines, save, title, output).run()


def _need_terminal() -> None:
    if not (os.isatty(0) and os.isatty(1)):
        raise HarkError("cannot show the browser", "standard input and output are no terminal", "hark read FILE")


def run(options: Options) -> int:
    """`hark ui COMMAND`: run it beside the browser, which has the terminal; the command's own output is shown by a key,
    and printed when the person leaves. Its exit status. Raises HarkError."""
    check_standard_output(options, BROWSERS)
    choice(options)  # what cannot be understood is said on the terminal, not in the browser
    _need_terminal()
    options.ui, options.quiet = False, True
    with tempfile.TemporaryFile(prefix="hark-") as output:

        def body(feed: int) -> int:
            from hark.session import run

            os.setsid()  # the terminal is the browser's
            nothing = os.open(os.devnull, os.O_RDONLY)
            for fd, stream in ((nothing, 0), (output.fileno(), 1), (output.fileno(), 2)):
                os.dup2(fd, stream)
            options.feed = feed
            return run(options)

        lines, pid = in_another_process(body)
        try:
            browse(lines, title_of(options), output.fileno())
        finally:
            status = _end(pid)
            output.seek(0)
            sys.stdout.flush()
            shutil.copyfileobj(output, sys.stdout.buffer)
        return status


def _end(pid: int) -> int:
    """End a hark that runs a command, if it still does; the status that it gives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)  # which it passes on
    deadline = time.monotonic() + _PATIENCE
    while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.02)
    if not ended[0]:
        os.kill(pid, signal.SIGKILL)
        ended = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(ended[1])
    return 128 - status if status < 0 else status


def save(name: str, entries: list[dict[str, Any]]) -> None:
    """Write entries as a file by the kind that its name says. Raises HarkError."""
    from hark.model.archive import Shelf
    from hark.model.changes import Ended, Failed
    from hark.model.failed_entry import failure, is_failure
    from hark.showing import file_views

    options = Options()
    options.outputs = [name]
    complaints: list[str] = []
    check_packets(options, "what is shown is exchanges, not packets")
    outputs = open_outputs(options, complaints.append, BROWSERS)
    shelf = Shelf()
    try:
        for view in file_views(options, outputs, None):
            for entry in entries:
                view.change(Failed(failure(entry)) if is_failure(entry) else Ended(shelf.exchange(entry)))
            view.end()
    finally:
        outputs.close()
    if complaints:
        raise HarkError(complaints[0])


def in_another_process(body: Callable[[int], int | None]) -> tuple[Iterator[bytes], int]:
    """The lines that `body`, in a process of its own, feeds to the descriptor that it is given; and that process."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read)
            kernel.die_with_parent(signal.SIGTERM)
            status = body(write) or 0
        except BaseException as error:  # the terminal is the browser's: it shows what went wrong
            text = str(error) if isinstance(error, HarkError) else f"hark failed; please report this: {error!r}"
            os.write(write, json.dumps({"what": "told", "text": text}).encode() + b"\n")
        finally:
            os._exit(status)
    os.close(write)
    return lines_of(read), pid


def lines_of(fd: int) -> Iterator[bytes]:
    """The whole lines that come by a descriptor."""
    with open(fd, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
