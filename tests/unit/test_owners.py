"""Whose a socket is: asked of the real kernel about this process's own sockets."""

import os
import socket
import time
from collections import deque

from hark.recording.blocks import Process
from hark.system.netlink import Diag
from hark.tap.tun.owners import Owners

COUNT = 20
HERE = socket.inet_aton("127.0.0.1")


def owners() -> Owners:
    heard: list[Process] = []
    return Owners(Diag(Diag.open()), os.readlink("/proc/self/ns/net"), heard.append)


def end(name: tuple[str, int]) -> tuple[bytes, int]:
    return socket.inet_aton(name[0]), name[1]


def test_descriptors_used_by_turns() -> None:
    """Connections that are closed and made anew in any order: each has its owner and descriptor, and whether somebody
    listens at the other end is of the other end alone."""
    asked = owners()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        place = server.getsockname()
        held: deque[socket.socket] = deque()
        for number in range(6 * COUNT):
            if len(held) == COUNT:
                if number % 7 == 3:
                    held.rotate(5)
                held.popleft().close()
            made = socket.create_connection(place)
            held.append(made)
            owner, settings, listens = asked.socket(end(made.getsockname()), end(place), time.time_ns(), own=True)
            assert (owner.pid, owner.fd) == (os.getpid(), made.fileno())
            assert settings is not None and settings.inode == owner.inode == os.fstat(made.fileno()).st_ino
            server.accept()[0].close()
            assert not listens  # the other end's own socket was there, which is connected
        for made in held:
            made.close()


def test_one_question_for_owner_and_listener() -> None:
    """A listener is found with the owner's question, also where there is no owner; and no answer is left over."""
    asked = owners()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        place = end(server.getsockname())
        nobody = HERE, bound.getsockname()[1]  # bound, not connected: no socket is found for it
        for _ in range(3):
            owner, settings, listens = asked.socket(nobody, place, time.time_ns(), own=True)
            assert (owner.pid, settings, listens) == (0, None, True)
            assert asked.listens(6, place, nobody)
            assert asked.socket(nobody, nobody, time.time_ns(), own=True)[1:] == (None, False)
            assert not asked.socket(nobody, place, time.time_ns())[2]
