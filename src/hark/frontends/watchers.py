"""Others who look at a running hark: `hark watch` in another terminal.

What   The decoder process listens on a socket and gives whoever connects a feed of changes (views/feed.py), beginning
       with the last exchanges that it still has.
Why    An abstract socket: it has no file, so nothing is left behind, and the kernel lists it with the user's id and the
       process id in its name. Who connects must be the same user, as the kernel says.
Cost   While nobody looks: the last RECENT exchanges are held, without more of their bodies than was kept anyway.
Limits One who does not take what is sent is let go at BACKLOG: the program never waits for those who watch.
"""

import contextlib
import os
import socket
import struct
from collections import deque

from hark.model.changes import Change, Ended, Failed
from hark.views.view import Needs, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.views.feed import Feed
    from hark.views.schema import Schema

_RECENT, _RECENT_BYTES = 200, 1 << 21
_BACKLOG = 32 << 20  # bytes
_PREFIX = "hark/"
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


def address(pid: int) -> str:
    """The abstract socket of the hark whose first process this is."""
    return f"\0{_PREFIX}{os.getuid()}/{pid}"


def running() -> list[int]:
    """The first processes of this user's running harks."""
    import re

    with open("/proc/net/unix") as table:
        names = re.findall(rf" @{_PREFIX}{os.getuid()}/(\d+)$", table.read(), re.M)
    return sorted({int(name) for name in names})


def connect(pid: int) -> socket.socket | None:
    """A connection to a running hark of this user; None where there is none."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(address(pid))
    except OSError:
        link.close()
        return None
    if not _same_user(link):
        link.close()
        return None
    return link


def _same_user(link: socket.socket) -> bool:
    _, uid, _ = _CREDENTIALS.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return uid in (os.getuid(), 0)


class _Watcher:
    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.queue = bytearray()
        self.gone = False

    def write(self, data: bytes | memoryview) -> None:
        self.queue += data
        self.flush()

    def flush(self) -> None:
        """Send as much as is taken."""
        try:
            while self.queue and not self.gone:
                count = self.link.send(memoryview(self.queue)[: 1 << 18])
                del self.queue[:count]
        except BlockingIOError:
            self.gone = len(self.queue) > _BACKLOG
        except OSError:
            self.gone = True


class Watchers(View):
    """Those who look. `pid` is hark's first process."""

    def __init__(self, pid: int, schema: "Schema | None") -> None:
        self._schema = schema
        self._watchers: list[tuple[_Watcher, Feed]] = []
        self._recent: deque[tuple[Ended | Failed, int]] = deque()
        self._size = 0
        self._listener: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._listener.bind(address(pid))
            self._listener.listen(8)
        except OSError:  # somebody has taken the name: nobody can look, which nothing else depends on
            self._listener.close()
            self._listener = None

    def needs(self) -> Needs:
        """While somebody looks, as much as a feed; before that nothing beside what others need."""
        return Needs.BODIES | Needs.STEPS if self._watchers else Needs.NOTHING

    def change(self, change: Change) -> None:
        """Show it to those who look; keep it for those who will."""
        for _, feed in self._watchers:
            feed.change(change)
        if type(change) is Ended:
            from hark.model.exchange import Exchange  # not before there is one

            exchange = change.exchange
            bodies = (exchange.request_body, exchange.response_body)
            if type(exchange) is Exchange:
                size = 2048 + min(sum(body.size for body in bodies), 2 * exchange.keep)
            else:  # made of an entry, which has the bodies' text once more
                size = 2048 + 2 * sum(len(body.raw) for body in bodies)
            self._remember(change, size)
        elif type(change) is Failed:
            self._remember(change, 2048)

    def _remember(self, change: Ended | Failed, size: int) -> None:
        """Keep it for those who will look; size: bytes that it may take."""
        self._recent.append((change, size))
        self._size += size
        while len(self._recent) > _RECENT or self._size > _RECENT_BYTES:
            self._size -= self._recent.popleft()[1]

    def tick(self, now: int) -> None:
        """Let in who knocks; send."""
        if self._listener is not None:
            with contextlib.suppress(BlockingIOError):
                self._let_in(self._listener.accept()[0])
        if self._watchers:
            for watcher, feed in self._watchers:
                feed.tick(now)
                watcher.flush()
                if watcher.gone:
                    watcher.link.close()
            self._watchers = [pair for pair in self._watchers if not pair[0].gone]

    def _let_in(self, link: socket.socket) -> None:
        if not _same_user(link):
            link.close()
            return
        from hark.views.feed import Feed

        link.setblocking(False)
        watcher = _Watcher(link)
        feed = Feed(watcher.write, self._schema)
        for change, _ in self._recent:
            feed.change(change)
        self._watchers.append((watcher, feed))

    def end(self) -> int:
        """Send the end, as far as it is taken within a second."""
        if self._listener is not None:
            self._listener.close()
        for watcher, feed in self._watchers:
            feed.end()
            watcher.link.settimeout(1.0)
            with contextlib.suppress(OSError):
                watcher.link.sendall(watcher.queue)
            watcher.link.close()
        self._watchers.clear()
        return 0
