"""A connection that timed out on the host's side times out at the program, too.

What   The program's packets are dropped, and its kernel, given short time-outs through the borrowed socket, gives up:
       the program gets ETIMEDOUT, not a reset. The time-outs are then restored.
Why    No packet makes a TCP report ETIMEDOUT.
Limits It takes a second: the kernel's shortest keep-alive. Where the socket cannot be borrowed, the program gets a
       reset.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from hark.tap.loop import Loop
from hark.tap.tun.borrow import give_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LOOK: Final = 0.05  # s between looks whether the program's kernel has given up
_LOOKS: Final = 80
_CLOSED: Final = 7  # TCP_CLOSE, the first byte of struct tcp_info
_TCP: Final = socket.IPPROTO_TCP
# After one unanswered probe, a second after it. Set in this order: the switch is last.
_IMPATIENT: Final = (
    (_TCP, socket.TCP_USER_TIMEOUT, 1),
    (_TCP, socket.TCP_KEEPINTVL, 1),
    (_TCP, socket.TCP_KEEPCNT, 1),
    (_TCP, socket.TCP_KEEPIDLE, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
)


def expire(loop: Loop, sock: socket.socket, done: Callable[[], None]) -> None:
    """Have the program's socket, which is borrowed, time out. Its packets must not be answered until `done` is called;
    it is given back then."""
    before = [(level, name, sock.getsockopt(level, name)) for level, name, _ in _IMPATIENT]
    for level, name, value in _IMPATIENT:
        sock.setsockopt(level, name, value)

    def look(left: int) -> None:
        if left and struct.unpack_from("B", sock.getsockopt(_TCP, socket.TCP_INFO, 8))[0] != _CLOSED:
            loop.later(_LOOK, lambda: look(left - 1), failed)
            return
        end()

    def end() -> None:
        for level, name, value in before:
            sock.setsockopt(level, name, value)
        give_back(sock)
        done()

    def failed(error: Exception) -> None:
        give_back(sock)
        done()

    look(_LOOKS)
