"""Key logs beside a recording: what is read, what a person is warned of."""

import pathlib

import pytest

from hark.errors import HarkError
from hark.pipeline.keyfiles import key_logs

LINE = f"CLIENT_TRAFFIC_SECRET_0 {'ab' * 32} {'cd' * 48}\n"


def test_a_file_without_keys_is_warned_of_and_read_all_the_same(tmp_path: pathlib.Path) -> None:
    keys, other = tmp_path / "keys.log", tmp_path / "notes.txt"
    keys.write_text(LINE)
    other.write_text("no keys here\n")
    warnings: list[str] = []
    blocks = key_logs([str(keys), str(other)], warnings.append)
    assert [block.text.decode() for block in blocks] == [LINE, "no keys here\n"]
    assert warnings == [f"{other} holds no line of a TLS key log: it decrypts nothing"]


def test_one_that_cannot_be_read_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(HarkError, match=r"cannot read .*: No such file or directory"):
        key_logs([str(tmp_path / "none")], print)
