"""Starts the DevTools server beside a run or a reading, and ends it.

What   A process of its own: it gets the feed by a pipe and serves until nobody looks any more.
Why    Frontends come, go and are slow; neither the decoder process nor the program may wait for them.
Ends   The pipe `guard` is held open by hark's first process alone: when that is gone, however, the server is gone.
"""

import os
import secrets
import signal
import socket

from hark.destinations import Outputs, say
from hark.errors import HarkError
from hark.options import Options
from hark.system import kernel
from hark.system.child import start as fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.frontends.devtools.browser import Browser

_PORT = 9229  # chrome://inspect looks there by itself
_PATIENCE = 3600.0  # s after the end of what is shown that it waits for a first frontend


class DevTools:
    """The running server. feed: where changes are written to, closed when they are over."""

    def __init__(self, pid: int, feed: int, guard: int) -> None:
        self.pid = pid
        self.feed = feed
        self._guard = guard

    def end(self) -> None:
        """Tell it to end now."""
        if self._guard >= 0:
            os.close(self._guard)
            self._guard = -1


def start(options: Options, title: str, outputs: Outputs) -> DevTools:
    """Start it and say where it is. outputs: files that are not the server's. Raises HarkError."""
    listener = _listen()
    port, key = listener.getsockname()[1], secrets.token_hex(16)
    feed, ours = os.pipe()
    guard, held = os.pipe()
    from hark.frontends.devtools.browser import find

    browser = find(port, key, dict(os.environ))
    pid = fork(
        "DevTools server", lambda: _serve(listener, feed, guard, key, title, browser, outputs), say, (ours, held)
    )
    for fd in (feed, guard):
        os.close(fd)
    listener.close()
    from hark.frontends.devtools.address import frontend_url

    if browser is not None:
        say(f"hark: DevTools opens in {os.path.basename(browser.command[0])}; or paste into Chromium's address bar:")
    else:
        say("hark: DevTools: paste this into the address bar of Chromium or Chrome:")
    say(f"  {frontend_url(port, key)}")
    if port == _PORT and not options.quiet:
        say("hark: or open chrome://inspect, which lists hark under Remote Target")
    return DevTools(pid, ours, held)


def _serve(
    listener: socket.socket, feed: int, guard: int, key: str, title: str, browser: "Browser | None", outputs: Outputs
) -> None:
    """The server's body."""
    outputs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # hark's first process decides
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    from hark.frontends.devtools.server import Server

    server = Server(listener, feed, guard, key, title, _PATIENCE, {browser.origin} if browser else set())
    if browser is not None:
        browser.open(lambda: kernel.die_with_parent(signal.SIGTERM))
    try:
        server.run()
    finally:
        if browser is not None:
            browser.close()


def wait_for(server: DevTools) -> None:
    """Until nobody looks any more; a ^C ends it."""

    def stop(number: int, frame: object) -> None:
        server.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    os.waitpid(server.pid, 0)


def _listen() -> socket.socket:
    """On loopback; by number 4, for frontends may connect nowhere else."""
    for port in (_PORT, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
            return listener
        except OSError as error:
            listener.close()
            why = error.strerror or ""
    raise HarkError("cannot serve DevTools", why)
