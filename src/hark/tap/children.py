"""Further processes of the capture process: an interceptor, a scanner, whatever a tap or key source does not do itself.

What   Each is started once, watched by a pidfd in the loop, and ended with the capture: by close(), or by the kernel
       when the capture process is killed. One that dies before is recorded as a loss, with what that means and what
       helps; it is not started again.
"""

import os
import signal
from collections.abc import Callable, Iterable

from hark.system import child
from hark.system.child import Child
from hark.tap.loop import IN, Loop

Report = Callable[[str, int, str], None]  # as Recorder.loss: what was lost, how much of it, why


class Children:
    """The processes, and their deaths. say: for a body that raises."""

    def __init__(self, loop: Loop, report: Report, say: Callable[[str], None]) -> None:
        self._loop = loop
        self._report = report
        self._say = say
        self._running: dict[int, Child] = {}  # by pidfd

    def start(
        self, name: str, body: Callable[[], int | None], keep: Iterable[int], effect: str, remedy: str = ""
    ) -> int:
        """Run `body` in a process that has no descriptors but 0 to 2 and those to `keep`; its pid. `body` may call
        os.execv. effect, remedy: what its death means, a clause, and what helps. Raises OSError where there can be no
        process more."""
        pid = child.start(name, body, self._say, keep=keep, tied=True)
        try:
            watch = os.pidfd_open(pid)
        except OSError:  # no descriptor is left: what cannot be watched is not left running
            _kill(pid)
            raise
        self._running[watch] = Child(name, pid, effect, remedy)
        self._loop.add(watch, IN, lambda event: self._ended(watch))
        return pid

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [one.pid for one in self._running.values()]

    def _ended(self, watch: int) -> None:
        one = self._forget(watch)
        how = child.death(os.waitpid(one.pid, 0)[1]) or "has ended"
        self._report("process", 1, one.line(how))

    def _forget(self, watch: int) -> Child:
        self._loop.remove(watch)
        os.close(watch)
        return self._running.pop(watch)

    def close(self) -> None:
        """End those that still run: that is no loss."""
        for watch in list(self._running):
            _kill(self._forget(watch).pid)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
