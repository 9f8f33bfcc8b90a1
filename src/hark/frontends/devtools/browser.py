"""A window of the user's own Chromium with its DevTools frontend, where there is a display.

What   The browser is started with a profile of its own and shows the frontend that it carries; it is an application
       window, which closes as any window does.
Why    A frontend of the browser's own version needs nothing to be installed, and its protocol is the one it expects.
       A link cannot lead to devtools://, and a command line argument is ignored: only http is opened so.
Limits No Chromium or no display: then the URL is to be pasted, or chrome://inspect opened.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable

from hark.frontends.devtools.address import page

_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "brave-browser",
    "microsoft-edge",
)


class Browser:
    """A browser that was started for the purpose."""

    def __init__(self, command: list[str], origin: str) -> None:
        self.command = command
        self.origin = origin  # what its frontend says it comes from
        self._running: subprocess.Popen[bytes] | None = None

    def open(self, before: Callable[[], None]) -> None:
        """Start it; `before` runs in the new process."""
        with contextlib.suppress(OSError):  # it is not there any more: the URL was printed
            self._running = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=before,
            )

    def close(self) -> None:
        """End it, if it is still there."""
        if self._running is not None and self._running.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running.wait(5)


def find(port: int, key: str, environment: dict[str, str]) -> Browser | None:
    """A browser that can show the frontend of the server on `port`; None where there is none, or no display."""
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return None
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        debug = probe.getsockname()[1]
    cache = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", "/tmp"), ".cache")
    origin = f"http://127.0.0.1:{debug}"
    command = [
        program,
        f"--user-data-dir={os.path.join(cache, 'hark', 'browser')}",
        f"--remote-debugging-port={debug}",
        "--no-first-run",
        "--no-default-browser-check",
        f"--app={origin}/devtools/{page(port, key)}",
    ]
    if os.getuid() == 0:
        command.append("--no-sandbox")  # it refuses to run as root otherwise
    return Browser(command, origin)
