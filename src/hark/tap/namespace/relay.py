"""A relay: bytes between the program's connection (ended by our listener) and the real server.

What   Two sockets and, for each, the bytes that it could not take yet. Half-closes, resets and errors pass through
       as themselves.
Why    Plain recv and send of up to 512 KiB: the kernel's TCP does the rest. When one side cannot take more, the other
       is not read, so that back-pressure reaches the sender as it would have.
Limits One BUFFER of bytes is kept for a side that is slow, no more. A reset waits up to LINGER seconds for bytes that
       the kernel has not yet handed over, as they would have been in flight before it.
"""

import errno
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable

from hark.tap.loop import ERR, HUP, IN, OUT, URGENT, Loop

BUFFER = 512 << 10
LINGER = 1.0
_SIOCATMARK = 0x8905
_RESET = struct.pack("ii", 1, 0)
_GONE = (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ENOTCONN)

_buffer = bytearray(BUFFER)
_view = memoryview(_buffer)


class End:
    """One side's socket."""

    __slots__ = ("eof", "mask", "peer", "pending", "relay", "shut", "sock")

    def __init__(self, sock: socket.socket, relay: "Relay") -> None:
        self.sock = sock
        self.relay = relay
        self.peer: End = self
        self.pending: memoryview | None = None  # bytes that this socket has yet to take
        self.eof = False  # its peer will send no more
        self.shut = False  # we will send it no more
        self.mask = IN | URGENT

    def ready(self, event: int) -> None:
        """The loop's handler."""
        if event & OUT:
            self._flush()
        if event & URGENT and not self.relay.closed:
            self._urgent()
        if event & IN and not self.eof and not self.relay.closed:
            self._read()
        elif event & (ERR | HUP) and not self.relay.closed:
            self._broken(event)

    def _want(self, mask: int) -> None:
        if mask != self.mask:
            self.mask = mask
            self.relay.loop.change(self.sock.fileno(), mask)

    def _read(self) -> None:
        peer = self.peer
        try:
            size = self.sock.recv_into(_buffer)
        except BlockingIOError:
            return
        except OSError:
            self.relay.reset(self)
            return
        if not size:
            self._ended()
            return
        try:
            sent = peer.sock.send(_view[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            self.relay.reset(peer)
            return
        if sent < size:
            peer.pending = memoryview(bytes(_view[sent:size]))
            peer._want(peer.mask | OUT)
            self._want(self.mask & ~IN)

    def _urgent(self) -> None:
        """Pass urgent data on as urgent (RFC 6093: one byte, marked), behind what was sent before it."""
        if self.peer.pending is not None:
            return  # what came before it is still on its way: the event comes again
        if not _at_mark(self.sock):
            self._read()
            if self.relay.closed or self.peer.pending is not None or not _at_mark(self.sock):
                return
        try:
            self.peer.sock.send(self.sock.recv(1, socket.MSG_OOB), socket.MSG_OOB)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: it was taken already
                self.relay.reset(self)

    def _ended(self) -> None:
        self.eof = True
        self._want(self.mask & ~IN)
        if self.peer.pending is None:
            self.peer.shutdown()

    def shutdown(self) -> None:
        """Tell this side that the other has ended (a half-close); close all when both have."""
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
            self._want(self.mask & ~OUT)
            return
        try:
            sent = self.sock.send(self.pending)
        except BlockingIOError:
            return
        except OSError:
            self.relay.reset(self)
            return
        self.pending = self.pending[sent:]
        if len(self.pending):
            return
        self.pending = None
        self._want(self.mask & ~OUT)
        if self.peer.eof:
            self.shutdown()
        else:
            self.peer._want(self.peer.mask | IN)

    def _broken(self, event: int) -> None:
        if event & ERR or self.eof:
            self.relay.reset(self)
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


class Relay:
    """Two ends and their common fate. `done` is called once, when both sockets are closed."""

    __slots__ = ("closed", "done", "doomed", "loop", "program", "server")

    def __init__(
        self, loop: Loop, program: socket.socket, server: socket.socket, done: Callable[["Relay"], None]
    ) -> None:
        self.loop = loop
        self.done = done
        self.closed = False
        self.doomed = 0.0  # when a reset that waits for bytes in flight is due at the latest
        self.program = End(program, self)
        self.server = End(server, self)
        self.program.peer, self.server.peer = self.server, self.program
        for end in (self.program, self.server):
            end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            loop.add(end.sock.fileno(), end.mask, end.ready)

    def close(self) -> None:
        """Close both sides in an orderly way."""
        if self.closed:
            return
        self.closed = True
        for end in (self.program, self.server):
            self.loop.remove(end.sock.fileno())
            end.sock.close()
        self.done(self)

    def reset(self, broken: End) -> None:
        """One side is gone: the other is told by a reset, after what is still on its way to it."""
        other = broken.peer
        if self.closed:
            return
        if not self.doomed and (other.pending is not None or other.unsent()):
            self.doomed = time.monotonic() + LINGER
            broken.eof = True
            self.loop.remove(broken.sock.fileno())
            return
        for end in (self.program, self.server):
            try:
                end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                continue  # already disconnected: close() is all there is to do
        self.close()

    def overdue(self, now: float) -> bool:
        """Carry out a reset that was waiting; whether it is done."""
        if self.closed:
            return True
        broken = self.server if self.server.eof and not self.program.eof else self.program
        if now >= self.doomed or (broken.peer.pending is None and not broken.peer.unsent()):
            self.reset(broken)
            return True
        return False

    def settled(self) -> bool:
        """Whether nothing that the program sent is still on its way, so that hark may end."""
        return self.closed or (self.program.eof and self.server.pending is None and not self.server.unsent())
