"""`hark ui COMMAND`: a command beside the terminal browser."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable

from hark.destinations import BROWSERS, check_standard_output
from hark.frontends.ui.start import browse, in_another_process, need_terminal
from hark.options import Options
from hark.pipeline.build import filter_of, title_of
from hark.pipeline.save import save

_PATIENCE = 5.0  # s that a command has to end when the browser is left


def ui(options: Options, command: Callable[[Options], int]) -> int:
    """`hark ui COMMAND`: run it beside the browser, which has the terminal; the command's own output is shown by a key,
    and printed when the person leaves. command: runs it (`hark COMMAND`). Its exit status. Raises HarkError."""
    check_standard_output(options, BROWSERS)
    filter_of(options)  # what cannot be understood is said on the terminal, not in the browser
    need_terminal()
    options.ui, options.quiet = False, True
    with tempfile.TemporaryFile(prefix="hark-") as output:

        def body(feed: int) -> int:
            os.setsid()  # the terminal is the browser's
            nothing = os.open(os.devnull, os.O_RDONLY)
            for fd, stream in ((nothing, 0), (output.fileno(), 1), (output.fileno(), 2)):
                os.dup2(fd, stream)
            options.feed = feed
            return command(options)

        lines, pid = in_another_process(body)
        try:
            browse(lines, save, title_of(options), output.fileno())
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
