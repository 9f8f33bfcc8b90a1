"""Bytes put aside in a file without a name."""

import os
import pathlib

import pytest

from hark.frontends.spool import Spool


def test_each_piece_comes_back_by_its_place() -> None:
    spool = Spool()
    pieces = [b"one", b"", b"x" * 3_000_000, b"four"]
    places = [spool.write(piece) for piece in pieces]
    for piece, place in [*zip(pieces, places, strict=True)][::-1]:
        assert spool.read(place) == piece
    at, size = places[-1]
    assert spool.read((at, size + 10)) == b"four"  # no more than there is


def test_nothing_is_left_in_the_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in $TMPDIR, and has no name there."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    spool = Spool()
    spool.write(b"secret")
    assert list(tmp_path.iterdir()) == []
    here = [os.readlink(entry) for entry in pathlib.Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    assert any(target.startswith(f"{tmp_path}/") for target in here)
    del spool
    here = [os.readlink(entry) for entry in pathlib.Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    assert not any(target.startswith(f"{tmp_path}/") for target in here)
