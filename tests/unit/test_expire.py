"""A connection of the program's that times out because its server does: ETIMEDOUT, and nothing else changed."""

import errno
import os
import socket

import pytest

from alone import ADDRESS4, address, alone
from hark.system.netlink import DELADDR, Route
from hark.tap.loop import Loop
from hark.tap.tun.expire import expire
from world import until

OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 71_000),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 73),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 7),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 79),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0),
)


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server((ADDRESS4, 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


@pytest.mark.slow
@alone
def test_the_program_gets_a_time_out_and_its_settings_back() -> None:
    program, server = connected()
    for option in OPTIONS:
        program.setsockopt(*option)
    address(Route(), socket.AF_INET, ADDRESS4, 24, message=DELADDR)  # packets go to a device that answers none
    borrowed = socket.socket(fileno=os.dup(program.fileno()))
    loop, done = Loop(), []
    expire(loop, borrowed, lambda: done.append(True))
    program.setblocking(False)
    with pytest.raises(BlockingIOError):
        program.recv(1)
    until(lambda: loop.once(0.05) or done)
    with pytest.raises(OSError, match="timed out") as raised:
        program.recv(1)
    assert raised.value.errno == errno.ETIMEDOUT
    assert [program.getsockopt(level, name) for level, name, _ in OPTIONS] == [value for _, _, value in OPTIONS]
    assert borrowed.fileno() == -1  # given back
    server.close()


@alone
def test_one_that_is_over_already_is_given_back_at_once() -> None:
    program, server = connected()
    server.close()
    program.close()
    over = socket.socket()
    loop, done = Loop(), []
    expire(loop, over, lambda: done.append(True))
    assert done == [True]
    assert over.fileno() == -1
