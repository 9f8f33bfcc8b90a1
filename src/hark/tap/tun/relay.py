"""A relay: bytes between the program's connection (ended by our listener) and the real server.

What   Two sockets and, for each, the bytes that it could not take yet. Half-closes, resets and errors pass through
       as themselves.
Why    Plain recv and send of up to 512 KiB: the kernel's TCP does the rest. When one side cannot take more, the other
       is not read, so that back-pressure reaches the sender as it would have.
Reset  When one side's connection has failed, what it sent before goes to the other side first, then the reset: a
       kernel gives its program what has arrived before it reports the reset. What the other side still sends is
       dropped: nobody takes it.
Limits One BUFFER of bytes is kept for a side that is slow, no more. A reset waits up to LINGER seconds for the other
       side to take what was sent before it; what the other side's kernel has by then is as much as it would have
       had without hark, as its receive buffer is full.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable

from hark.tap.loop import ERR, HUP, IN, OUT, URGENT, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

BUFFER: Final = 512 << 10
LINGER: Final = 1.0
_YOUNG: Final = 0.005  # s: a program gets out of its connect() before it gets a reset
# s between looks whether the bytes before a reset have been taken
_DRAIN_FIRST: Final = 0.0005
_DRAIN_MAX: Final = 0.02
_SIOCATMARK: Final = 0x8905
_RESET: Final = struct.pack("ii", 1, 0)
_GONE: Final = (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ENOTCONN)
_RESETS: Final = (errno.ECONNRESET, errno.EPIPE)
_READ = IN | URGENT

_buffer = bytearray(BUFFER)
_view = memoryview(_buffer)


class End:
    """One side's socket."""

    __slots__ = ("eof", "first", "mask", "parked", "peer", "pending", "relay", "shut", "sock")

    def __init__(self, sock: socket.socket, relay: Relay) -> None:
        self.sock = sock
        self.relay = relay
        self.peer: End = self
        self.pending: memoryview | None = None  # bytes that this socket has yet to take
        self.eof = False  # its peer will send no more
        self.shut = False  # we will send it no more
        self.mask = _READ
        self.first: Callable[[memoryview], bool] | None = None  # asked about the first bytes: whether they may go on
        self.parked = False  # not watched, as it would report without end that it is shut in both directions

    def ready(self, event: int) -> None:
        """The loop's handler."""
        relay = self.relay
        if event & OUT:
            self._flush()
        if event & URGENT and not relay.doomed and not relay.closed:
            self._urgent()
        if event & IN and not self.eof and not relay.doomed:
            if not relay.closed:
                self._read()
        elif event & (ERR | HUP) and not relay.closed:
            self._broken(event)

    def want(self, mask: int) -> None:
        """Wait for these events; errors are always waited for."""
        if mask == self.mask:
            return
        self.mask = mask
        if self.parked:
            self.parked = False
            self.watch()
        else:
            self.relay.loop.change(self.sock.fileno(), mask)

    def watch(self) -> None:
        """Have the loop watch this end."""
        self.relay.loop.add(self.sock.fileno(), self.mask, self.ready, self.relay.abort)

    def leave(self) -> None:
        """Have the loop watch it no more."""
        self.relay.loop.remove(self.sock.fileno())

    def _read(self) -> None:
        peer = self.peer
        if peer.pending is not None:
            return
        try:
            size = self.sock.recv_into(_buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self.relay.fail(self, error.errno or 0)
            return
        if not size:
            self._ended()
            return
        if self.first is not None:
            first, self.first = self.first, None
            if not first(_view[:size]):
                self.relay.reset()
                return
        try:
            sent = peer.sock.send(_view[:size])
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.relay.fail(peer, error.errno or 0)
            return
        if sent < size:
            peer.hold(_view[sent:size])

    def hold(self, data: memoryview) -> None:
        """Keep what this socket does not take now, and leave its peer unread until it has."""
        self.pending = memoryview(bytes(data))
        self.want(self.mask | OUT)
        self.peer.want(self.peer.mask & ~_READ)

    def _urgent(self) -> None:
        """Pass urgent data on as urgent (RFC 6093: one byte, marked), after what was sent before it."""
        if self.peer.pending is not None:
            return
        if not _at_mark(self.sock):
            self._read()
            if self.relay.closed or self.relay.doomed or self.peer.pending is not None or not _at_mark(self.sock):
                return  # what came before it is still on its way: the event comes again
        try:
            data = self.sock.recv(1, socket.MSG_OOB | socket.MSG_PEEK)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EAGAIN):  # EINVAL: it was taken already; EAGAIN: not here yet
                self.relay.fail(self, error.errno or 0)
            return
        try:
            self.peer.sock.send(data, socket.MSG_OOB)
        except BlockingIOError:
            self.peer.hold(_view[:0])  # no bytes, but a wait for room: the event comes again after it
            return
        except OSError as error:
            self.relay.fail(self.peer, error.errno or 0)
            return
        self.sock.recv(1, socket.MSG_OOB)

    def _ended(self) -> None:
        self.eof = True
        self.want(self.mask & ~_READ)
        if self.peer.pending is None:
            self.peer.shutdown()

    def shutdown(self) -> None:
        """Shut this side down for writing after the other has ended (a half-close); close both when both have."""
        self.shut = True
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in _GONE:
                raise
        if self.eof and self.peer.shut:
            self.relay.close()

    def _flush(self) -> None:
        if self.pending is None:
            self.want(self.mask & ~OUT)
            return
        try:
            sent = self.sock.send(self.pending)
        except BlockingIOError:
            return
        except OSError as error:
            self.relay.fail(self, error.errno or 0)
            return
        self.pending = self.pending[sent:]
        if len(self.pending):
            return
        self.pending = None
        self.want(self.mask & ~OUT)
        if self.relay.doomed:
            self.relay.drain()
        elif self.peer.eof:
            self.shutdown()
        else:
            self.peer.want(self.peer.mask | _READ)

    def _broken(self, event: int) -> None:
        if event & ERR:
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.relay.fail(self, number or errno.ECONNRESET)
        elif self.eof or self.relay.doomed or self.peer.pending is not None:
            self.parked = True  # shut in both directions, and the other side has yet to take what came from here
            self.leave()
        else:
            self._read()

    def unsent(self) -> int:
        """Bytes that the kernel has taken and the other side has not acknowledged."""
        try:
            return int(struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0])
        except OSError:
            return 0


def _at_mark(sock: socket.socket) -> bool:
    """Whether the urgent byte is next (sockatmark)."""
    return bool(struct.unpack("i", fcntl.ioctl(sock, _SIOCATMARK, b"\0\0\0\0"))[0])


def reset(sock: socket.socket) -> None:
    """Close a socket so that its peer gets a reset."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except OSError:
        pass  # already disconnected: close() is all there is to do
    sock.close()


class Relay:
    """Two ends and their common fate.

    `done` is called once, when both sockets are closed. `expired` is called with the errno where the server's
    connection has failed otherwise than by a reset, before the program's side is closed. `crashed` is called with an
    exception that must not be and has ended the relay."""

    __slots__ = (
        "_born", "_broken", "_crashed", "_deadline", "_done", "_error", "_expired", "_pause", "closed", "doomed",
        "loop", "program", "server",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        program: socket.socket,
        server: socket.socket,
        done: Callable[[Relay], None],
        expired: Callable[[Relay, int], None] | None = None,
        crashed: Callable[[Exception], None] | None = None,
    ) -> None:
        self.loop = loop
        self._done = done
        self._expired = expired
        self._crashed = crashed
        self.closed = False
        self._born = time.monotonic()
        # Whether one end has failed, and the other is to be reset when it has taken what was sent before.
        self.doomed = False
        self._broken: End | None = None  # the end whose connection has failed, while the other takes what it had sent
        self._error = 0  # the errno of that
        self._deadline = 0.0  # when the other end's reset is due at the latest
        self._pause = _DRAIN_FIRST
        self.program = End(program, self)
        self.server = End(server, self)
        self.program.peer, self.server.peer = self.server, self.program
        for end in (self.program, self.server):
            end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for end in (self.program, self.server):
            end.watch()

    def close(self) -> None:
        """Close both sides in an orderly way."""
        if self.closed:
            return
        self.closed = True
        for end in (self.program, self.server):
            end.leave()
            end.sock.close()
        self._done(self)

    def fail(self, end: End, number: int) -> None:
        """One side's connection has failed with `number` (an errno): the other is reset, after what is on its way
        to it."""
        if self.closed:
            return
        if self._broken is not None:
            if end is not self._broken:
                self._finish()  # nobody is left to take anything
            return
        end.leave()
        end.pending = None
        if number == errno.EPIPE:
            end.eof = True  # what the kernel calls a reset that came after the end of what was sent
        if end.eof and end.shut:
            end.parked = True  # both directions are complete: the other side has its end, or gets it
            return
        self.doomed, self._broken, self._error = True, end, number
        self._deadline = time.monotonic() + LINGER
        end.peer.want(end.peer.mask & ~_READ)
        self.drain()
        if not self.closed:
            self.loop.later(self._pause, self._wait, self.abort)

    def drain(self) -> None:
        """Give the end that is still open what the other had sent; then, or when it is overdue, reset it."""
        broken = self._broken
        if self.closed or broken is None:
            return
        other = broken.peer
        while other.pending is None:
            try:
                size = broken.sock.recv_into(_buffer)
            except OSError:
                size = 0  # the failure itself, reported once more
            if not size:
                break
            try:
                sent = other.sock.send(_view[:size])
            except BlockingIOError:
                sent = 0
            except OSError:
                self._finish()
                return
            if sent < size:
                other.pending = memoryview(bytes(_view[sent:size]))
                other.want(other.mask | OUT)
        now = time.monotonic()
        taken = other.pending is None and not other.unsent()
        if (taken and now - self._born > _YOUNG) or now >= self._deadline:
            self._finish()

    def _wait(self) -> None:
        """Look again in a while: the kernel does not say when its bytes are acknowledged."""
        if self.closed:
            return
        self.drain()
        if not self.closed:
            self._pause = min(self._pause * 1.5, _DRAIN_MAX)
            self.loop.later(self._pause, self._wait, self.abort)

    def _finish(self) -> None:
        """Reset what is still open."""
        if self.closed:
            return
        self.closed = True
        broken = self._broken
        if broken is not None:
            other = broken.peer
            if broken.eof and not other.shut and other.pending is None and not other.unsent():
                other.shutdown()  # its end came before its failure, and is to be seen before it
            if self._expired is not None and broken is self.server and self._error not in _RESETS:
                self._expired(self, self._error)
        for end in (self.program, self.server):
            end.leave()
            reset(end.sock)
        self._done(self)

    def reset(self) -> None:
        """Reset both sides now."""
        self._finish()

    def abort(self, error: Exception) -> None:
        """The relay's own code has failed: both sides are reset, and nothing else is touched."""
        if self._crashed is not None:
            self._crashed(error)
        self._finish()

    def settled(self) -> bool:
        """Whether nothing that the program sent is still on its way, so that hark may end."""
        if self.closed or self._broken is self.server:
            return True
        if self._broken is self.program:
            return False  # its reset is still to reach the server
        return self.program.eof and self.server.pending is None and not self.server.unsent()
