"""Processes of hark's own beside the program: started once, ended with hark, never started again, their death reported.

What   start() forks; the body runs in the child, which reports its own faults and never returns. Whoever waits for it
       asks `line` for the one line that its death is worth.
Ends   By a pipe or socket that the kernel closes, which is the body's to watch; `tied` ones also by the kernel, as soon
       as the process that started them is gone (PR_SET_PDEATHSIG).
Never  restarts anything: what a restarted process would not know of is worse than what is missing, and is not seen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterable

from hark.system import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

FAILED: Final = 255  # the exit status of a process whose body has raised, which it has reported
_STANDARD: Final = 3  # descriptors below it are everybody's


class Child:
    """A process that was started. effect: what its death means for the user, as a clause; remedy: what helps."""

    __slots__ = ("effect", "name", "pid", "remedy")

    def __init__(self, name: str, pid: int, effect: str, remedy: str = "") -> None:
        self.name = name
        self.pid = pid
        self.effect = effect
        self.remedy = remedy

    def line(self, how: str) -> str:
        """Its death in one line. how: a predicate, as of death()."""
        return f"{self.name} {how}: {self.effect}" + (f" ({self.remedy})" if self.remedy else "")


def start(
    name: str,
    body: Callable[[], int | None],
    say: Callable[[str], None],
    drop: Iterable[socket.socket | int] = (),
    keep: Iterable[int] | None = None,
    tied: bool = False,
) -> int:
    """Run `body` in a child; its pid. It ends with the status that the body returns, None for 0, and with FAILED and
    a report where the body raises. drop: what it closes first; keep: descriptors beside 0 to 2 that it does not close,
    None: all."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = FAILED
    try:
        if tied:
            kernel.die_with_parent(signal.SIGKILL)
            if os.getppid() != parent:
                _leave(status)  # it was gone before the line above could matter
        for end in drop:
            if isinstance(end, socket.socket):
                end.close()
            else:
                os.close(end)
        if keep is not None:
            _close_others({*range(_STANDARD), *keep})
        status = body() or 0
    except BaseException:
        import traceback

        say(f"hark: the {name} failed; please report this:\n{traceback.format_exc().rstrip()}")
    finally:
        _leave(status)


def ignore_stops() -> None:
    """In a body, of what may not be stopped together with the program (^Z), because its traffic or output would be."""
    for number in (signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN):
        signal.signal(number, signal.SIG_IGN)


def _leave(status: int) -> NoReturn:
    os._exit(status)


def _close_others(keep: set[int]) -> None:
    """Close every descriptor but these."""
    for fd in {int(name) for name in os.listdir("/proc/self/fd")} - keep:
        with contextlib.suppress(OSError):  # the one by which the directory was read is closed already
            os.close(fd)


def death(status: int) -> str:
    """How a process ended, as a predicate, by its wait status; "" where it ended as it should."""
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)}"
    code = os.waitstatus_to_exitcode(status)
    return f"ended with status {code}" if code else ""
