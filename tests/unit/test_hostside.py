"""What the preloaded agent asks: answered for the tree's own user namespace, and to nobody else."""

import errno
import mmap
import os
import pathlib
import socket
import struct
import tempfile
from collections.abc import Callable

import pytest

from alone import alone
from hark.system import kernel
from hark.tap import place as places
from hark.tap.loop import Loop
from hark.tap.namespace.hostside import HostSide

MASK = (1 << 64) - 1
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
ID = struct.Struct("=II")


class Side:
    """The host's side in this process, which asks as well."""

    def __init__(self, space: int | None = None, root: bool = False, table: bool = True) -> None:
        """space: the number of the tree's user namespace, this process's by default."""
        self.loop = Loop()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        listener.bind(f"\0hark-test-{os.getpid()}-{id(self)}")
        listener.listen()
        self._name = listener.getsockname()
        self._table = os.memfd_create("owners")
        os.ftruncate(self._table, places.OWNERS_BYTES)
        here = os.stat("/proc/self/ns/user").st_ino if space is None else space
        os.pwrite(self._table, struct.pack("=Q", here), 0)
        HostSide(self.loop, listener.detach(), self._table if table else -1, root)

    def ask(self, question: bytes, *files: int) -> tuple[bytes, list[int]]:
        """The answer, and what came with it; nothing where there is none."""
        with self.connect() as link:
            self.send(link, question, files)
            self.loop.once(1)
            answer, given, _, _ = socket.recv_fds(link, 4096, 4)
            return answer, given

    def connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.settimeout(5)
        link.connect(self._name)
        return link

    @staticmethod
    def send(link: socket.socket, question: bytes, files: tuple[int, ...] = ()) -> None:
        socket.send_fds(link, [question], files)

    def owner_in_table(self, info: os.stat_result) -> tuple[int, int] | None:
        """What an agent finds in the table, without asking (host.c)."""
        with mmap.mmap(self._table, places.OWNERS_BYTES) as words:
            slot = (info.st_ino * 0x9E3779B97F4A7C15 & MASK) >> 40
            at = places.OWNERS_HEADER + slot % places.OWNERS * places.OWNERS_ENTRY * 8
            dev, ino, changed, owner, check = struct.unpack_from("=5Q", words, at)
        if (dev, ino, changed) != (info.st_dev, info.st_ino, info.st_ctime_ns & MASK) or check != (
            dev ^ ino ^ changed ^ owner
        ):
            return None
        return owner & 0xFFFFFFFF, owner >> 32


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    made = tmp_path / "file"
    made.write_text("x")
    return made


def opened(path: pathlib.Path) -> int:
    return os.open(path, os.O_RDONLY)


def test_the_owner_of_a_file_and_the_table(file: pathlib.Path) -> None:
    side, info = Side(), file.stat()
    assert side.owner_in_table(info) is None
    answer, given = side.ask(b"o", opened(file))
    dev, ino, changed, owner, check = struct.unpack("=5Q", answer)
    assert (dev, ino, changed) == (info.st_dev, info.st_ino, info.st_ctime_ns)
    assert (owner & 0xFFFFFFFF, owner >> 32) == (info.st_uid, info.st_gid)
    assert check == dev ^ ino ^ changed ^ owner
    assert given == []
    assert side.owner_in_table(info) == (info.st_uid, info.st_gid)


def test_of_a_folder_in_which_more_is_asked_for_all_is_found(tmp_path: pathlib.Path) -> None:
    """ls of a large folder: after a few questions the rest is in the table."""
    files = [tmp_path / f"file{number}" for number in range(100)]
    for path in files:
        path.write_text("x")
    side, asked = Side(), 0
    for path in files:
        if side.owner_in_table(path.stat()) is None:
            asked += 1
            side.ask(b"o", opened(path))
    assert asked < 15


def test_a_unix_socket_of_the_host(file: pathlib.Path) -> None:
    answer, (fd,) = Side().ask(b"s" + struct.pack("=ii", socket.SOCK_DGRAM, 0))
    assert answer == b"+"
    with socket.socket(fileno=fd) as made:
        assert (made.family, made.type) == (socket.AF_UNIX, socket.SOCK_DGRAM)


@alone
def test_a_group_is_given_to_a_file() -> None:
    """The user's own, which it may set by hand; where that is refused, the answer is the kernel's errno."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hark-test-"))
    (folder / "file").write_text("x")
    side, own = Side(), ID.pack(0xFFFFFFFF, os.getgid())
    assert side.ask(b"c" + own, opened(folder / "file")) == (struct.pack("=i", 0), [])
    kernel.mount(str(folder), str(folder), "", MS_BIND)
    kernel.mount("", str(folder), "", MS_BIND | MS_REMOUNT | MS_RDONLY)
    assert side.ask(b"c" + own, opened(folder / "file")) == (struct.pack("=i", errno.EROFS), [])


def test_the_user_s_groups() -> None:
    answer, _ = Side().ask(b"g")
    assert struct.unpack(f"={len(answer) // 4}I", answer) == tuple(os.getgroups())


@pytest.mark.parametrize(
    "question", [b"?", b"m", b"mcat\0x\0", b"m/bin/sh\0", b"mnewuidmap\0fd:x\0", b"o", b"sx", b"c"]
)
def test_what_is_no_question_has_no_answer(question: bytes) -> None:
    """And the capture goes on: the next question is answered. Any program may ask anything here."""
    side = Side()
    assert side.ask(question)[0] in (b"", b"\1")
    assert side.ask(b"s" + struct.pack("=ii", socket.SOCK_STREAM, 0))[0] == b"+"


REFUSED: dict[str, tuple[Callable[[], Side], bytes]] = {
    "another user namespace": (lambda: Side(space=1), b"ogcm"),
    "no table": (lambda: Side(table=False), b"ogcm"),
    "hark runs as root": (lambda: Side(root=True), b"gcm"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_whom_nothing_is_done_for(why: str, file: pathlib.Path) -> None:
    make, kinds = REFUSED[why]
    side, before = make(), file.stat()
    for kind in kinds:
        assert side.ask(bytes([kind]) + ID.pack(0xFFFFFFFF, 12345), opened(file)) == (b"", [])
    assert file.stat() == before
    assert side.ask(b"s" + struct.pack("=ii", socket.SOCK_STREAM, 0))[0] == b"+"  # which everybody may have


def test_a_question_that_comes_later_is_answered_then(file: pathlib.Path) -> None:
    side = Side()
    with side.connect() as link, side.connect() as gone:
        side.loop.once(1)  # it has connected and said nothing
        gone.close()
        side.loop.once(1)
        side.send(link, b"g")
        side.loop.once(1)
        assert link.recv(4096) == struct.pack(f"={len(os.getgroups())}I", *os.getgroups())
