"""Key sources: what they add to the environment, how a key log is followed."""

import os
import pathlib
import select
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.keys import keylogfile, node, openssl
from hark.system import kernel

LINE = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"


def watch() -> keylogfile.Watch:
    return keylogfile.Watch(*kernel.notifier())


SHARED = watch()  # of many examples


def test_whole_lines_as_they_come(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys"
    path.touch()
    follower = keylogfile.Follower(os.open(path, os.O_RDWR), watch())
    assert follower.read() == []
    with open(path, "ab", buffering=0) as file:
        file.write(LINE + LINE[:30])
        assert follower.read() == [(LINE, 0, "SSLKEYLOGFILE")]
        file.write(LINE[30:])
        assert follower.read() == [(LINE, 0, "SSLKEYLOGFILE")]
    path.write_bytes(LINE)  # shorter than before: it was begun anew
    assert follower.read() == [(LINE, 0, "SSLKEYLOGFILE")]


def test_what_was_read_is_given_back() -> None:
    """A key log that grows for days takes no more memory than KEPT; every line is still read once."""
    fd = os.memfd_create("keys")
    follower = keylogfile.Follower(fd, watch(), release=kernel.punch)
    piece = LINE * 5000
    count = 0
    for _ in range(37):
        os.write(fd, piece)
        count += sum(text.count(b"\n") for text, _, _ in follower.read())
        assert os.fstat(fd).st_blocks * 512 < 12 << 20
    assert count == 37 * 5000


def test_what_the_user_has_stays_behind_ours() -> None:
    assert openssl.preload({"LD_PRELOAD": "a.so"}, "/x/$LIB/hark.so") == {"LD_PRELOAD": "/x/$LIB/hark.so:a.so"}
    assert openssl.preload({}, "/x/hark.so") == {"LD_PRELOAD": "/x/hark.so"}
    assert openssl.preload({}, "/with space/hark.so") == {}
    assert node.require({"NODE_OPTIONS": "-x"}, "/h.cjs") == {"NODE_OPTIONS": "--require=/h.cjs -x"}
    assert node.require({}, "/a b/h.cjs") == {"NODE_OPTIONS": '--require="/a b/h.cjs"'}


def user_file(path: pathlib.Path | str) -> keylogfile.UserFile:
    found = keylogfile.named(str(path))
    return keylogfile.UserFile(found.path, found.known, watch())


def woken(source: keylogfile.UserFile) -> bool:
    """Whether the loop would read it now."""
    return bool(select.select([source.fileno()], [], [], 2)[0])


NEW = [(LINE, 0, "SSLKEYLOGFILE")]


def test_the_users_file_is_followed_from_its_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(LINE)
    source = user_file(path)
    assert source.read() == []
    with open(path, "ab", buffering=0) as file:
        file.write(LINE)
        assert woken(source) and source.read() == NEW


@pytest.mark.parametrize("folder", ["", "a", "a/b/c"])
def test_a_file_that_the_program_makes_is_followed_and_never_made(tmp_path: pathlib.Path, folder: str) -> None:
    """Also where its folder is made first, one or several deep."""
    path = tmp_path / folder / "keys"
    source = user_file(path)
    assert source.read() == [] and not path.exists()
    for parent in [*reversed(path.parents), None]:
        if parent is not None and not parent.exists():
            parent.mkdir()
            assert woken(source) and source.read() == []
    path.write_bytes(LINE)
    assert woken(source) and source.read() == NEW


def test_a_file_that_is_replaced_is_followed_to_the_next(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys"
    path.touch()
    source = user_file(path)
    with open(path, "ab", buffering=0) as old:
        path.rename(tmp_path / "keys.1")
        old.write(LINE)
        path.write_bytes(LINE * 2)
        assert woken(source)
        assert source.read() == [*NEW, (LINE * 2, 0, "SSLKEYLOGFILE")]


def test_a_link_to_a_file_that_is_not_there_yet(tmp_path: pathlib.Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "keys")
    source = user_file(tmp_path / "link")
    (tmp_path / "there" / "keys").write_bytes(LINE)
    assert woken(source) and source.read() == NEW


def test_only_lines_of_a_key_log_are_taken_from_the_users_file(tmp_path: pathlib.Path) -> None:
    """SSLKEYLOGFILE=/dev/stderr 2>log: the rest of that file is not for the recording."""
    path = tmp_path / "log"
    path.touch()
    source = user_file(path)
    path.write_bytes(b"error: no\n" + LINE + b"# a comment\npassword 1234 5678x\n")
    assert source.read() == NEW


def test_what_is_named_by_a_descriptor_is_followed_by_that_alone(tmp_path: pathlib.Path) -> None:
    with open(tmp_path / "log", "wb", buffering=0) as log:
        for name in (f"/dev/fd/{log.fileno()}", f"/proc/self/fd/{log.fileno()}"):
            found = keylogfile.named(name)
            assert found.path == "" and found.known is not None and not found.finding
        (tmp_path / "link").symlink_to(f"/dev/fd/{log.fileno()}")
        source = user_file(tmp_path / "link")
        log.write(LINE)
        assert source.read() == NEW


def test_what_is_no_regular_file_is_not_opened(tmp_path: pathlib.Path) -> None:
    """A pipe that hark opened would let a writer in who has no reader."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "link").symlink_to(fifo)
    for path in (fifo, tmp_path / "link"):
        assert keylogfile.named(str(path)) == ("", None, "it is a pipe, whose reader has its bytes")
    source = keylogfile.UserFile(str(fifo), None, watch())  # it was made when the program ran already
    assert source.read() == []
    with pytest.raises(OSError, match="No such device or address"):
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)  # still nobody reads
    for path in ("/dev/null", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/zero"):
        assert keylogfile.named(path)[:2] == ("", None)
        assert keylogfile.named(path).finding == "it is a device, whose reader has its bytes"
    assert keylogfile.named(str(tmp_path)) == ("", None, "")
    reader, writer = os.pipe()
    assert keylogfile.named(f"/dev/fd/{writer}").finding == "it is a pipe, whose reader has its bytes"
    os.close(reader)
    os.close(writer)


@settings(max_examples=100)
@given(st.binary(max_size=40).filter(lambda name: b"\0" not in name))
def test_any_name_can_be_looked_at(name: bytes) -> None:
    """What is no UTF-8, too long, below a file, in a loop: never an error, nothing is made."""
    before = set(os.listdir("."))
    for value in (os.fsdecode(name), os.fsdecode(b"/etc/passwd/" + name), os.fsdecode(name * 200)):
        found = keylogfile.named(value)
        if found.known is None:
            assert keylogfile.UserFile(found.path, None, SHARED).read() == []
        else:
            os.close(found.known[0])
    assert set(os.listdir(".")) == before


def test_without_inotify_a_clock_wakes_the_reader(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys"
    path.touch()
    clock = kernel._clock(0.01)
    source = keylogfile.UserFile(str(path), None, keylogfile.Watch(clock, lambda path, mask: None))
    assert woken(source) and source.read() == []
    path.write_bytes(LINE)
    assert woken(source) and source.read() == NEW
    os.close(clock)


QUEUE = """
import socket
from hark.keys import openssl
from hark.tap.place import Place

openssl.Agent("/agent").build(Place(""))
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
sender.setblocking(False)
sender.connect(b"\\0hark-keys")
count = 0
try:
    while True:
        sender.send(b"line")
        count += 1
except BlockingIOError:
    print(count, open("/proc/sys/net/unix/max_dgram_qlen").read())
"""


def test_the_agents_lines_have_a_long_queue_and_the_programs_sockets_the_usual_one() -> None:
    """In a network namespace of its own, as the child is."""
    private = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-Un", "--map-current-user", "--keep-caps"]
    with open("/proc/sys/net/unix/max_dgram_qlen") as setting:
        usual = int(setting.read())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = f"echo {usual + 1} >/proc/sys/net/unix/max_dgram_qlen; exec {sys.executable} -c '{QUEUE}'"
    done = subprocess.run([*private, "sh", "-c", script], env=environment, capture_output=True)
    assert [int(word) for word in done.stdout.split()] == [4097, usual + 1], done
