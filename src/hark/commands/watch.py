"""`hark watch`: another hark's exchanges, live, in any view.

What   Finds the running hark, takes its feed, and shows it by the same views as a run or a reading.
Why    A full-screen program has its terminal for itself: hark -q runs it, and this shows what it does.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from hark.destinations import BROWSERS, Outputs, check_packets, fill_streams, open_outputs, say
from hark.errors import HarkError
from hark.frontends import watchers
from hark.frontends.devtools.start import start, wait_for
from hark.options import Options
from hark.pipeline.build import build_views, filter_of
from hark.views.entries import decode
from hark.views.feed import Changes, whole_lines
from hark.views.view import end_all, safe

_LOOK = 0.2  # s between looks for a hark that is not there yet


def watch(pid: int | None, options: Options) -> int:
    """Show what the hark with this process id captures, or the only one there is; the exit status. Raises HarkError."""
    fill_streams(os.O_RDONLY)
    check_packets(options, "a running hark hands over exchanges, not packets")
    filter_of(options)  # what cannot be understood is said before hark waits
    outputs = open_outputs(options, say, BROWSERS if options.ui else "")
    link, pid = attach(pid)
    if options.ui:
        return _browse(link, pid, options, outputs)
    server = start(options, f"hark {pid}", outputs) if options.devtools else None
    whole, verdict = _show(link, options, outputs, [server.feed] if server is not None else [])
    if not whole:
        say("hark: the hark that was watched has ended early; what it captured last may be missing")
    if server is not None:
        os.close(server.feed)
        outputs.close()
        wait_for(server)
    return verdict


def _browse(link: socket.socket, pid: int, options: Options, outputs: Outputs) -> int:
    """In the terminal browser, behind the filters and the redaction that are asked for here."""
    from hark.frontends.ui.start import browse, in_another_process
    from hark.pipeline.save import save

    options.quiet = True
    lines, shower = in_another_process(lambda feed: not _show(link, options, outputs, [feed])[0])
    link.close()
    try:
        browse(lines, save, f"hark {pid}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(shower, signal.SIGTERM)
        os.waitpid(shower, 0)
    return 0


def _show(link: socket.socket, options: Options, outputs: Outputs, feeds: list[int]) -> tuple[bool, int]:
    """Show what comes until it ends: (whether the other hark said that it ends, the views' verdict)."""
    views = build_views(options, outputs, 2 if outputs.standard else 1, feeds)
    changes = Changes()
    sound = False
    try:
        for line in lines(link):
            if line is None:
                for view in views:
                    view.tick(time.time_ns())
                continue
            sound = line["what"] == "end"
            change = changes.change(line)
            if change is not None:
                for view in views:
                    view.change(change)
    except KeyboardInterrupt:
        sound = True
    return sound, end_all(views)


def attach(pid: int | None) -> tuple[socket.socket, int]:
    """A feed of a running hark, and which one it is. Waits for one where there is none. Raises HarkError."""
    said = False
    while True:
        found = watchers.running()
        if pid is None and len(found) > 1:
            raise HarkError("which hark?", "there are several", f"hark watch PID: {', '.join(map(_described, found))}")
        if pid is not None and pid not in found:
            raise HarkError(f"cannot watch {pid}", "no running hark of yours has this process id", "hark watch")
        chosen = pid if pid is not None else next(iter(found), None)
        link = watchers.connect(chosen) if chosen is not None else None
        if link is not None and chosen is not None:
            return link, chosen
        if not said:
            said = True
            say("hark: waiting for a hark to be started (^C ends)")
        time.sleep(_LOOK)


def _described(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return str(pid)
    at = next((at for at, word in enumerate(words) if os.path.basename(word) == "hark"), 0)
    if "--redact" in words:  # it was asked not to show secrets
        from hark.views.redaction.entry import Redaction

        words = Redaction(os.urandom(16)).words(words)
    return safe(f"{pid} ({' '.join(words[at:]).strip()[:60]})")


def lines(link: socket.socket) -> Iterator[dict[str, Any] | None]:
    """The feed's lines, and None whenever nothing more is there at the moment."""
    link.settimeout(0.1)
    buffer = bytearray()
    while True:
        try:
            data = link.recv(1 << 18)
        except TimeoutError:
            yield None
            continue
        except ConnectionError:
            return
        if not data:
            return
        buffer += data
        for line in whole_lines(buffer):
            yield decode(line)
        yield None
