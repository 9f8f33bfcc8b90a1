"""Key sources: what they add to the environment, how a key log is followed."""

import os
import pathlib

from hark.keys import keylogfile, node, openssl
from hark.tap import kernel

LINE = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"


def test_whole_lines_as_they_come(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys"
    path.touch()
    follower = keylogfile.Follower(os.open(path, os.O_RDWR), kernel.inotify)
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
    follower = keylogfile.Follower(fd, kernel.inotify, release=kernel.punch)
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
    assert keylogfile.user_file({}) == "" and keylogfile.user_file({"SSLKEYLOGFILE": "/k"}) == "/k"
