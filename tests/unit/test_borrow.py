"""Sockets of other processes, borrowed for a moment."""

import os
import socket
import struct
import threading

import pytest

from hark.tap.tun import borrow
from hark.tap.tun.borrow import Borrower, give_back
from hark.tap.tun.owners import NOBODY, Owner
from world import until


def ours(sock: socket.socket, pid: int = 0) -> Owner:
    return Owner(pid or os.getpid(), sock.fileno(), os.fstat(sock.fileno()).st_ino)


@pytest.mark.parametrize("six", [False, True])
def test_it_is_the_same_socket(six: bool) -> None:
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET) as sock:
        pid = os.fork()
        if not pid:
            threading.Event().wait(60)
            os._exit(0)
        borrowed = Borrower().borrow(ours(sock, pid), six)
        assert borrowed is not None
        assert borrowed.family == sock.family
        borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        give_back(borrowed)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_what_is_not_there_any_more_is_not_borrowed() -> None:
    borrower = Borrower()
    with socket.socket() as sock:
        owner = ours(sock)
        assert borrower.borrow(NOBODY, False) is None
        assert borrower.borrow(owner._replace(fd=-1), False) is None
        count = len(os.listdir("/proc/self/fd"))
        assert borrower.borrow(owner._replace(inode=owner.inode + 1), False) is None  # the number is another file's
        assert len(os.listdir("/proc/self/fd")) == count + 1  # the process's own pidfd
        gone = os.fork()
        if not gone:
            os._exit(0)
        os.waitpid(gone, 0)
        assert borrower.borrow(owner._replace(pid=gone), False) is None
        assert not borrower.refused
    assert borrower.borrow(owner, False) is None  # closed
    assert not borrower.refused
    with socket.socket() as sock:  # and others are still to be had
        again = borrower.borrow(ours(sock), False)
        assert again is not None
        give_back(again)


def test_pidfds_are_kept_for_a_bounded_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borrow, "_KNOWN", 2)
    borrower, children = Borrower(), []
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket() as sock:
        for _ in range(5):
            pid = os.fork()
            if not pid:
                threading.Event().wait(60)
                os._exit(0)
            children.append(pid)
            borrowed = borrower.borrow(ours(sock, pid), False)
            assert borrowed is not None
            give_back(borrowed)
        assert len(os.listdir("/proc/self/fd")) <= before + 1 + 2
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_giving_back_does_not_wait_for_what_the_program_waits_for() -> None:
    """close() with SO_LINGER waits until the peer has all bytes; here it reads none. It is closed all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other = listener.accept()[0]
    one.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            one.send(bytes(1 << 16))
    one.setblocking(True)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    borrowed = Borrower().borrow(ours(one), False)
    assert borrowed is not None
    number = borrowed.fileno()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    fd = one.detach()
    os.dup2(os.open(os.devnull, os.O_RDONLY), fd)  # the program has closed its own: ours is the last one
    done = threading.Event()

    def give() -> None:
        give_back(borrowed)
        done.set()

    threading.Thread(target=give, daemon=True).start()
    assert done.wait(10)  # far below the 30 s of the option
    other.close()  # a reset: the last bytes are wanted no more
    until(lambda: not _is_socket(number))


def _is_socket(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:
        return False
