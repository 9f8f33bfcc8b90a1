"""The tapper's event loop: epoll and a table of handlers.

Why    asyncio costs 30 ms of import and several microseconds an event; every microsecond here is latency that the
       program sees.
"""

import select
from collections.abc import Callable

IN, OUT, ERR, HUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLHUP
URGENT = select.EPOLLPRI
Handler = Callable[[int], None]


class Loop:
    """Descriptors, what they wait for, and whom to call with the events that came."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._handlers: dict[int, Handler] = {}

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch a descriptor."""
        self._poll.register(fd, mask)
        self._handlers[fd] = handler

    def change(self, fd: int, mask: int) -> None:
        """Wait for something else on it."""
        self._poll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def once(self, seconds: float) -> int:
        """Wait at most `seconds`, call every handler that has something; how many there were."""
        events = self._poll.poll(seconds, 256)
        handlers = self._handlers
        for fd, event in events:
            handler = handlers.get(fd)  # gone when an earlier handler of this round closed it
            if handler is not None:
                handler(event)
        return len(events)
