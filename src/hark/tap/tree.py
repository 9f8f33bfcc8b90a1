"""The program and all that came from it: whoever lives in its network namespace.

Why    A namespace is left by nobody by accident: daemons, orphans and set-id children are found, by one look at /proc,
       without a subreaper (which would change whom orphans see as their parent).
Limits Processes that made a network namespace of their own are not seen; they have no network through hark either.
"""

import os
import signal


class Tree:
    """Whoever lives in one network namespace; `network` is what /proc/PID/ns/net says of it."""

    def __init__(self, network: str) -> None:
        self.network = network

    def members(self) -> list[int]:
        """Their pids now."""
        return members(self.network)

    def end(self) -> bool:
        """Send SIGKILL to all of them; whether there was anyone."""
        return end(self.network)


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


def end(network: str) -> bool:
    """Send SIGKILL to all of them; whether there was anyone."""
    pids = members(network)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # it has ended by itself, or is not the user's to end
    return bool(pids)
