"""The preloaded agent's end: secrets of dynamically linked OpenSSL, LibreSSL and BoringSSL.

What   The agent (agents/preload/agent.c) sends each key log line as a datagram to an abstract socket of the network
       namespace; the kernel stamps it with the sender's pid.
Why    No path and no inherited descriptor: it works after chroot, setuid and closefrom, and nothing lies on a disk.
Limits A sender waits a few milliseconds at most when the queue is full, then goes on without.
"""

import socket
import struct

_UCRED = struct.Struct("iII")
_LINE = 1024  # bytes; a key log line is 300 at most


class Agent:
    """Receives the agents' lines."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def read(self) -> list[tuple[bytes, int, str]]:
        """All lines that wait, each with the pid that the kernel vouches for."""
        found = []
        for _ in range(256):
            try:
                line, ancillary, _, _ = self._socket.recvmsg(_LINE, socket.CMSG_SPACE(_UCRED.size))
            except BlockingIOError:
                break
            pid = 0
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(payload) >= _UCRED.size:
                    pid = _UCRED.unpack_from(payload)[0]
            if line:
                found.append((line.rstrip(b"\n") + b"\n", pid, "openssl"))
        return found


def preload(environment: dict[str, str], agent: str) -> dict[str, str]:
    """The variable that loads the agent in front of what the user already preloads. A path that ld.so would split is
    left out: it would be an error message in every process."""
    if not agent or any(mark in agent for mark in " :\n"):
        return {}
    before = environment.get("LD_PRELOAD", "")
    return {"LD_PRELOAD": f"{agent}:{before}" if before else agent}
