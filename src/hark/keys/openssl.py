"""The preloaded agent's end: secrets of dynamically linked OpenSSL, LibreSSL and BoringSSL.

What   The agent (agents/preload/agent.c) sends each key log line as a datagram to an abstract socket of the network
       namespace; the kernel adds the sender's pid.
Why    No path and no inherited descriptor: it works after chroot, setuid and closefrom, and nothing is on disk.
Limits A sender waits a few milliseconds at most when the queue is full, then drops the line.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping

from hark.errors import Finding
from hark.keys import preload as files_of_agent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.recording.blocks import Secrets
    from hark.system.program import Answer, Program
    from hark.tap.place import Place

_UCRED: Final = struct.Struct("iII")
_LINE: Final = 1024  # bytes; a key log line is 300 at most
_QUEUED: Final = 4096  # lines that wait at most: thousands of handshakes at once
# Abstract: it belongs to the network namespace, so it is reached from a chroot too. agent.c has the same name.
_SOCKET: Final = b"\0hark-keys"


class Agent:
    """The key source. agent: the compiled agent's file; "" where there is none."""

    name = "agent"

    def __init__(self, agent: str) -> None:
        self._agent = agent

    def build(self, place: Place) -> dict[str, int]:
        """The socket for its lines; the agent as ld.so finds it."""
        if not self._agent:
            return {"keys": -1}
        if place.private:
            files_of_agent.fill(place.private, self._agent)
        usual = _queue(_QUEUED)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as lines:
            _queue(usual)  # the programs' own sockets have the host's
            lines.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            lines.bind(_SOCKET)
            return {"keys": lines.detach()}

    def environment(self, base: Mapping[str, str], place: Place) -> dict[str, str]:
        """The variable that loads the agent."""
        if not self._agent:
            return {}  # ld.so would complain in every process of a file that is not there
        return preload(base, f"{place.private}/$LIB/{files_of_agent.NAME}" if place.private else self._agent)

    def finding(self, files: Mapping[str, int] | None = None) -> Finding:
        """Whether it was compiled, and its socket and files could be made."""
        name, effect = "preloaded agent (OpenSSL)", "most OpenSSL programs are not decrypted"
        if not self._agent:
            why = "the preloaded agent was not compiled when hark was installed"
            return Finding(name, why, "sudo apt install gcc libc6-dev && pip install --force-reinstall hark", effect)
        if files is not None and files.get("keys", -1) < 0:
            return Finding(name, "the preloaded agent could not be set up", "", effect)
        return Finding(name)

    def covers(self, program: Program) -> Answer:
        """Where the agent is loaded, and a libssl is."""
        from hark.system.program import Answer, Can, no, unknown

        if not self._agent:
            return no("the preloaded agent was not compiled when hark was installed")
        if not program.mapped:
            return unknown("what is loaded into it cannot be read")
        if program.static:
            return no("it is statically linked: nothing can be preloaded")
        if not program.has(os.path.basename(self._agent)):
            return no("the agent is not loaded: LD_PRELOAD was unset, it is set-id, or it runs longer than hark")
        if not program.has("libssl.so", "libssl-", "libboringssl"):
            return unknown("no libssl is loaded")
        return Answer(Can.YES, self.name)

    def open(self, files: Mapping[str, int]) -> _Lines | None:
        """The lines' reader."""
        return _Lines(files["keys"]) if files.get("keys", -1) >= 0 else None


def _queue(size: int) -> int:
    """Set how many datagrams a Unix socket that is made next in this namespace queues; what it was. 0: as it is."""
    try:
        with open("/proc/sys/net/unix/max_dgram_qlen", "r+") as setting:
            before = int(setting.read())
            if size:
                setting.seek(0)  # the kernel ignores what is written elsewhere
                setting.write(str(size))
            return before
    except OSError:
        return 0  # not to be set here: senders wait sooner


class _Lines:
    """Receives the agents' lines."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def read(self) -> list[Secrets]:
        """All lines that are queued, each with the pid that the kernel reports."""
        from hark.recording.blocks import Secrets  # not needed before the program runs

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
                found.append(Secrets(line.rstrip(b"\n") + b"\n", pid, "openssl"))
        return found


def preload(environment: Mapping[str, str], agent: str) -> dict[str, str]:
    """The variable that loads the agent in front of what the user already preloads. A path that ld.so would split is
    left out: every process would print an error."""
    if not agent or any(mark in agent for mark in " :\n"):
        return {}
    before = environment.get("LD_PRELOAD", "")
    return {"LD_PRELOAD": f"{agent}:{before}" if before else agent}
