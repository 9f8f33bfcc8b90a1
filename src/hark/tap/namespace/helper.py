"""A process that stays in the namespaces with every capability over them, and makes sockets there on request.

What   It joins the user, network and mount namespaces of the child that becomes the program, before the exec. A request
       names family, type, protocol, options, address and backlog; the answer is the socket, by SCM_RIGHTS.
Why    Nobody else can: the program has no capability after its exec, the capture process is outside. It is started
       from outside and not forked in that child, which would make it a child of the program: one that wait() in the
       program returns.
Ends   When the capture process is gone, which has the only other end of its socket; so kill -9 of any process leaves
       nothing.
Cost   None, unless the plan asks for it. A request takes the capture process about 100 us, and PATIENCE at most.
Limits One request at a time. It makes sockets and binds them, and does nothing that could wait.
"""

import contextlib
import errno
import marshal
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from hark.errors import HarkError
from hark.system import kernel
from hark.system.child import ignore_stops, start

PATIENCE: Final = 1.0  # s that a request may take; then the helper is taken for dead
_REQUEST: Final = 8192  # bytes; an address and some options take 200
_ANSWER: Final = struct.Struct("=ii")  # errno, 0 where all is well; the helper's pid
_GONE: Final = "the helper in the namespaces has ended"
_SPACES: Final = (("user", kernel.CLONE_NEWUSER), ("net", kernel.CLONE_NEWNET), ("mnt", kernel.CLONE_NEWNS))
Option = tuple[int, int, int | bytes]  # level, name, value: as setsockopt(2) takes them


class Helper:
    """The helper as its users see it. effect: what is lost with it, for whoever waits for it."""

    name = "namespace helper"

    def __init__(self, pid: int, link: socket.socket, effect: str) -> None:
        self.pid = pid
        self.effect = effect
        self._link = link
        link.settimeout(PATIENCE)

    @classmethod
    def start(cls, pid: int, effect: str, say: Callable[[str], None]) -> "Helper":
        """Start one in the namespaces of process `pid`, which is of this user. Raises HarkError where that is refused.
        Whoever starts it waits for it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        helper = start(cls.name, lambda: _serve(pid, theirs), say, keep=(theirs.fileno(),))
        theirs.close()
        try:
            made = cls(helper, ours, effect)
            made._answer()  # it is there
        except OSError as error:
            ours.close()
            os.waitpid(helper, 0)
            raise HarkError("cannot start the helper in the namespaces", error.strerror or str(error)) from error
        return made

    def socket(
        self,
        family: int,
        kind: int,
        protocol: int = 0,
        options: Sequence[Option] = (),
        address: Any = None,
        backlog: int = -1,
    ) -> socket.socket:
        """A socket of the namespaces, non-blocking. options are set in their order, then it is bound to `address` (as
        socket.bind takes it; None: not bound), then it listens, if backlog is not negative. Raises OSError: the
        kernel's, EINVAL for what is no option or address, EPIPE where the helper is gone, TimeoutError where it does
        not answer, and EPIPE from then on."""
        request = marshal.dumps((int(family), int(kind), protocol, tuple(options), address, backlog))
        if len(request) > _REQUEST:
            raise OSError(errno.EMSGSIZE, "more than a request to the helper may hold")
        if self._link.fileno() < 0:
            raise BrokenPipeError(errno.EPIPE, _GONE)
        self._link.send(request)
        found = self._answer()
        made = socket.socket(fileno=found[0])
        made.setblocking(False)
        return made

    def _answer(self) -> list[int]:
        try:
            data, found, _, _ = socket.recv_fds(self._link, _ANSWER.size, 1, socket.MSG_CMSG_CLOEXEC)
        except TimeoutError:
            self._link.close()  # an answer that comes after all would be taken for the next one
            raise
        if not data:
            raise BrokenPipeError(errno.EPIPE, _GONE)
        number, self.pid = _ANSWER.unpack(data)
        if number:
            raise OSError(number, os.strerror(number))
        return found

    @classmethod
    def attach(cls, link: int, effect: str) -> "Helper":
        """In the process that uses it: by the descriptor that detach() gave to whoever started it."""
        made = cls(0, socket.socket(fileno=link), effect)
        with contextlib.suppress(OSError):  # it has died already, which who started it reports: requests raise EPIPE
            made._link.send(marshal.dumps(None))
            made._answer()
        return made

    def detach(self) -> int:
        """Its socket's descriptor, for the process that is to use it. The helper ends when nobody has that any more."""
        return self._link.detach()


def _serve(pid: int, link: socket.socket) -> None:
    """The helper's body."""
    ignore_stops()
    try:
        _enter(pid)
    except OSError as error:
        _answer(link, error.errno or errno.EPERM)
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody waits for the answer any more
        _answer(link, 0)
        while request := link.recv(_REQUEST):
            _reply(link, marshal.loads(request))  # of this same interpreter: nobody else has the other end


def _reply(link: socket.socket, wanted: Any) -> None:
    """Answer a request; None: who asks wants to know that somebody is there."""
    if wanted is None:
        return _answer(link, 0)
    try:
        made = _make(*wanted)
    except OSError as error:
        return _answer(link, error.errno or errno.EINVAL)
    except (TypeError, ValueError, OverflowError):  # what Python does not take for an address or option
        return _answer(link, errno.EINVAL)
    with made:
        return _answer(link, 0, made.fileno())


def _answer(link: socket.socket, number: int, *descriptors: int) -> None:
    socket.send_fds(link, [_ANSWER.pack(number, os.getpid())], descriptors)


def _enter(pid: int) -> None:
    """Join the namespaces of a process, as far as they are others than this one's (root's tree has no user namespace
    of its own). The user namespace comes first: it gives the capabilities that the others take. Raises OSError."""
    spaces = [(f"/proc/{pid}/ns/{name}", f"/proc/self/ns/{name}", kind) for name, kind in _SPACES]
    others = [
        (os.open(theirs, os.O_RDONLY | os.O_CLOEXEC), kind)
        for theirs, own, kind in spaces
        if os.stat(theirs).st_ino != os.stat(own).st_ino
    ]
    for fd, kind in others:
        kernel.setns(fd, kind)
        os.close(fd)


def _make(
    family: int, kind: int, protocol: int, options: Sequence[Option], address: Any, backlog: int
) -> socket.socket:
    """A socket as it was asked for. Raises OSError."""
    made = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        for level, name, value in options:
            made.setsockopt(level, name, value)
        if address is not None:
            made.bind(address)
        if backlog >= 0:
            made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made
