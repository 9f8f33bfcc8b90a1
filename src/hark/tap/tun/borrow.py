"""Borrows a program's socket for a moment: pidfd_getfd(2).

What   A descriptor of ours for the same socket, to read what the program has set, and in `expire` to set something.
Why    sock_diag gives addresses, mark, congestion control and buffers, but no time-outs. hark owns the user namespace
       of the program (or is root), so the kernel lets it, also where Yama forbids ptrace between siblings.
Limits The program's close() in the microseconds in which the socket is borrowed is completed when it is given back.
       Where the kernel or a seccomp filter refuses, nothing is borrowed, and no more is asked for.
"""

from __future__ import annotations

import _thread
import errno
import os
import socket
import struct
from collections import OrderedDict

from hark.system import kernel
from hark.tap.tun.owners import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_KNOWN: Final = 64  # processes whose pidfd is kept


class Borrower:
    """Borrows sockets of the processes of one namespace."""

    def __init__(self) -> None:
        self._pidfds: OrderedDict[int, int] = OrderedDict()
        self.refused = False  # by the kernel, for good

    def borrow(self, owner: Owner, six: bool) -> socket.socket | None:
        """The socket, to be given back at once; None where it is not to be had, or not there any more."""
        if self.refused or not owner.pid or owner.fd < 0:
            return None
        try:
            fd = kernel.pidfd_getfd(self._pidfd(owner.pid), owner.fd)
        except OSError as error:
            self._forget(owner.pid)  # it has ended, or the pid is another's by now
            self.refused = error.errno in (errno.ENOSYS, errno.EPERM)
            return None
        family = socket.AF_INET6 if six else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, 0, fd)
        if os.fstat(fd).st_ino != owner.inode:
            give_back(sock)  # the descriptor is another file's by now
            return None
        return sock

    def _pidfd(self, pid: int) -> int:
        if pid in self._pidfds:
            self._pidfds.move_to_end(pid)
            return self._pidfds[pid]
        if len(self._pidfds) >= _KNOWN:
            os.close(self._pidfds.popitem(last=False)[1])
        self._pidfds[pid] = os.pidfd_open(pid)
        return self._pidfds[pid]

    def _forget(self, pid: int) -> None:
        fd = self._pidfds.pop(pid, None)
        if fd is not None:
            os.close(fd)


def give_back(sock: socket.socket) -> None:
    """Close our descriptor. Where the program has closed its own meanwhile and asked to wait for what is unsent
    (SO_LINGER), that wait must not be ours."""
    try:
        linger, seconds = struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
    except OSError:
        linger = seconds = 0  # no socket of that kind: nothing to wait for
    if linger and seconds:
        _thread.start_new_thread(sock.close, ())
    else:
        sock.close()
