"""The event loop of the capture process: epoll, a table of handlers, and timers.

Why    asyncio costs 30 ms of import and several microseconds an event; every microsecond here is latency that the
       program sees.
Fails  A handler that raises ends what it was added for, through its `failed`, and nothing else. Without one the
       exception leaves the loop.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

IN: Final = select.EPOLLIN
OUT: Final = select.EPOLLOUT
ERR: Final = select.EPOLLERR
HUP: Final = select.EPOLLHUP
URGENT: Final = select.EPOLLPRI
Handler = Callable[[int], None]
Failed = Callable[[Exception], None]


class Loop:
    """Descriptors, what they wait for, and whom to call with the events that came; timers."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._failed: dict[int, Failed] = {}
        self._timers: list[tuple[float, int, Callable[[], None], Failed | None]] = []
        self._numbers = itertools.count()  # of timers: equal times keep their order

    def add(self, fd: int, mask: int, handler: Handler, failed: Failed | None = None) -> None:
        """Watch a descriptor. `failed` is called with what the handler raises."""
        self._poll.register(fd, mask)
        self._handlers[fd] = handler
        if failed is not None:
            self._failed[fd] = failed

    def change(self, fd: int, mask: int) -> None:
        """Wait for something else on it."""
        self._poll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._failed.pop(fd, None)
            self._poll.unregister(fd)

    def later(self, seconds: float, call: Callable[[], None], failed: Failed | None = None) -> None:
        """Call `call` once, `seconds` from now. `failed` is called with what it raises."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), call, failed))

    def once(self, seconds: float) -> int:
        """Wait at most `seconds`, call every handler that has something and every timer that is due; how many
        descriptors had something."""
        timers = self._timers
        if timers and (until := timers[0][0] - time.monotonic()) < seconds:
            seconds = until if until > 0 else 0.0
        events = self._poll.poll(seconds, 256)
        handlers = self._handlers
        for fd, event in events:
            handler = handlers.get(fd)  # gone when an earlier handler of this round closed it
            if handler is not None:
                try:
                    handler(event)
                except Exception as error:
                    failed = self._failed.get(fd)
                    if failed is None:
                        raise
                    failed(error)
        if timers and timers[0][0] <= time.monotonic():
            self._due()
        return len(events)

    def _due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, call, failed = heapq.heappop(self._timers)
            try:
                call()
            except Exception as error:
                if failed is None:
                    raise
                failed(error)
