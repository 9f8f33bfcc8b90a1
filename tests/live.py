"""The namespace tap around a real program, without the processes of a run: the test is the capture process. To be used
in a test that is @alone."""

import os
import pathlib
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence

from hark.recording.blocks import Block, Frame, Loss, Process
from hark.recording.ring import Reader, Ring, Writer
from hark.tap import launch
from hark.tap.capture import Capture
from hark.tap.namespace import setup
from hark.tap.namespace.tap import NamespaceTap
from hark.tap.source import KeySource
from hark.tap.tree import Tree
from hark.tap.tun.decisions import Decisions
from hark.wire import ip


class Live:
    """A program whose traffic is captured. `blocks` are those recorded when it has ended, `out` what it printed."""

    def __init__(self, command: Sequence[str], keys: Sequence[KeySource] = (), decisions: Decisions | None = None):
        private = tempfile.mkdtemp(prefix="hark-test-")
        out, theirs = os.pipe()
        kept = os.dup(1)
        os.dup2(theirs, 1)
        self.host = setup.look(private)
        preparing = launch.prepare(launch.find(command[0], os.environ["PATH"]), command, self.host, None, keys)
        os.dup2(kept, 1)
        for fd in (kept, theirs):
            os.close(fd)
        self._out = open(out, "rb")
        self.child = preparing.ready()
        self.ring = Ring()
        self._control, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.network = os.readlink(f"/proc/self/fd/{self.child.files['network']}")
        files = self.child.files
        self.capture = Capture(Writer(self.ring), self.ring.wake_writer, ours, Tree(self.network), keys, files)
        self.tap = NamespaceTap(files, self.child.network, self.capture.loop, self.capture.recorder, decisions)
        self.out = ""
        self.status = -1
        self.blocks: list[Block] = []

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> "Live":
        """Let the program run to its end; `meanwhile` runs in a thread."""
        self.child.go()

        def wait() -> None:
            self.child.gone()
            meanwhile()
            self.out = self._out.read().decode()
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.child.pid, 0)[1])
            self._control.send(b"x")

        waiting = threading.Thread(target=wait)
        waiting.start()
        self.capture.run(self.tap)
        waiting.join()
        for block, _ in Reader(self.ring).blocks():
            self.blocks.append(block._replace(data=bytes(block.data)) if isinstance(block, Frame) else block)
        return self

    @property
    def losses(self) -> list[str]:
        return [f"{block.what}: {block.why}" for block in self.blocks if isinstance(block, Loss)]

    @property
    def processes(self) -> dict[int, Process]:
        return {block.pid: block for block in self.blocks if isinstance(block, Process)}

    def packets(self, proto: int) -> list[tuple[ip.Packet, bytes, int]]:
        """Those of a protocol: parsed, their payload of IP, and the pid that was recorded with them."""
        found = []
        for block in self.blocks:
            if isinstance(block, Frame):
                packet = ip.parse(block.data)
                if packet is not None and packet.proto == proto:
                    found.append((packet, bytes(block.data[packet.start : packet.end]), block.pid))
        return found


def python(program: str, *words: str) -> list[str]:
    """The command that runs a program of tests/programs."""
    import sys

    return [sys.executable, str(pathlib.Path(__file__).parent / "programs" / program), *words]
