"""The program and all that came from it: whoever lives in its network namespace.

Why    A namespace is left by nobody by accident: daemons, orphans and set-id children are found, by one look at /proc,
       without a subreaper (which would change whom orphans see as their parent).
Limits Processes that made a network namespace of their own are not seen; they have no network through hark either.
"""

import contextlib
import os
import signal
from collections.abc import Iterable


class Tree:
    """Whoever lives in one network namespace; `network` is what /proc/PID/ns/net says of it. own: the pids of processes
    of hark's that are in it."""

    def __init__(self, network: str, own: Iterable[int] = ()) -> None:
        self.network = network
        self._own = frozenset(own)

    def members(self) -> list[int]:
        """Their pids now, without hark's own."""
        return [pid for pid in members(self.network) if pid not in self._own]

    def end(self) -> bool:
        """Send SIGKILL to all of them but hark's own; whether there was anyone."""
        pids = self.members()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # ended by itself, or not the user's to end
                os.kill(pid, signal.SIGKILL)
        return bool(pids)


def members(network: str) -> list[int]:
    """The pids in the namespace now; `network` is what /proc/PID/ns/net links to, e.g. "net:[4026532000]"."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.readlink(f"/proc/{name}/ns/net") == network:
                    found.append(int(name))
            except OSError:
                continue  # it has ended, or is somebody else's
    return found
