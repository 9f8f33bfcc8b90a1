"""The agent's files as ld.so finds them by $LIB: a link for programs of its kind, an empty object for others."""

import os
import pathlib
import struct
import subprocess

import pytest

from hark.keys import preload

AGENT = "/somewhere/agent.so"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    preload.fill(str(tmp_path), AGENT)
    return tmp_path


def test_programs_of_this_machine_s_kind_get_the_agent(place: pathlib.Path) -> None:
    machine = os.uname().machine
    for directory in (f"lib/{machine}-linux-gnu", "lib64"):
        assert os.readlink(place / directory / preload.NAME) == AGENT


def test_others_get_an_object_that_does_nothing(place: pathlib.Path) -> None:
    others = (("lib/i386-linux-gnu", 3), ("lib32", 3), ("libx32", 62))
    for directory, machine in others if os.uname().machine == "x86_64" else ():
        data = (place / directory / preload.NAME).read_bytes()
        assert (place / directory / preload.NAME).stat().st_mode & 0o444 == 0o444
        assert data[:7] == b"\x7fELF\x01\x01\x01"  # 32-bit, little-endian
        kind, found = struct.unpack_from("<HH", data, 16)
        assert (kind, found) == (3, machine)


@pytest.mark.parametrize("machine", [3, 62])
def test_readelf_has_nothing_to_complain_about(machine: int, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "object.so"
    file.write_bytes(preload.nothing(machine))
    shown = subprocess.run(
        ["readelf", "-hldsW", file], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    assert shown.stderr == ""
    assert "DYN (Shared object file)" in shown.stdout
    assert "NEEDED" not in shown.stdout
    (stack,) = [line for line in shown.stdout.splitlines() if "GNU_STACK" in line]
    assert " RW " in stack  # not executable


def test_a_folder_that_cannot_be_written_to_is_an_error() -> None:
    with pytest.raises(OSError, match="/proc"):
        preload.fill("/proc/nowhere", AGENT)
