"""Which ids the namespace has: what /etc/subuid and /etc/subgid give, and the user's own."""

import os
import pathlib

import pytest

from hark.system import kernel
from hark.tap.namespace import idmap
from hark.tap.namespace.idmap import Ranges
from world import until


@pytest.fixture
def tables(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder in the place of /etc and of where newuidmap is; both programs are there."""
    for name in idmap.MAPPERS:
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho $0 $* >&2; exit 3\n")
        program.chmod(0o755)
    monkeypatch.setattr(idmap, "_PLACES", (str(tmp_path),))
    lines = idmap._lines
    monkeypatch.setattr(idmap, "_lines", lambda path: lines(str(tmp_path / os.path.basename(path))))
    return tmp_path


def test_ranges_by_number_and_by_name(tables: pathlib.Path) -> None:
    (tables / "subuid").write_text("nobody:100000:65536\n65534:300000:10\nother:1:2\n# a comment\nnobody:x:1\n\n")
    (tables / "subgid").write_text("nobody:200000:7\n")
    assert idmap.ranges(65534) == Ranges(((100000, 65536), (300000, 10)), ((200000, 7),))
    assert idmap.ranges(65534).usable
    assert not idmap.ranges(12345).usable  # a user without a name and ranges


def test_no_ranges_where_they_could_not_be_mapped(tables: pathlib.Path) -> None:
    (tables / "subuid").write_text("65534:100000:65536\n")
    assert idmap.ranges(65534) == Ranges()  # no /etc/subgid
    (tables / "subgid").write_text("65534:100000:65536\n")
    assert idmap.ranges(65534).usable
    assert idmap.ranges(0) == Ranges()  # root needs none
    assert os.getuid() or idmap.begin() is None
    (tables / "newgidmap").unlink()
    assert idmap.mapper("newgidmap") == ""
    assert idmap.mapper("newuidmap") == str(tables / "newuidmap")
    assert idmap.ranges(65534) == Ranges()


def test_a_hundred_ranges_at_most(tables: pathlib.Path) -> None:
    for name in ("subuid", "subgid"):
        (tables / name).write_text("".join(f"65534:{n}000000:10\n" for n in range(1, 200)))
    assert len(idmap.ranges(65534).uids) == 100


@pytest.mark.slow
def test_a_mapping_that_is_refused_is_not_done(tables: pathlib.Path) -> None:
    """The mappers here end with 3, as those that find something wrong do. The namespace goes with its last process."""
    mapping = idmap.Mapping(os.getuid(), os.getgid(), Ranges(((100000, 10),), ((100000, 10),)))
    holder = mapping.holder()
    assert holder > 0
    space = os.readlink(f"/proc/{holder}/ns/user")
    assert space != os.readlink("/proc/self/ns/user")
    entered = os.fork()
    if not entered:
        kernel.enter_user_namespace(holder)
        os._exit(23 if not mapping.wait() and os.readlink("/proc/self/ns/user") == space else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(entered, 0)[1]) == 23
    mapping.end()
    until(lambda: not os.path.exists(f"/proc/{holder}/ns/user"))


@pytest.mark.slow
def test_a_mapping_that_is_not_waited_for_is_let_go(tables: pathlib.Path) -> None:
    mapping = idmap.Mapping(os.getuid(), os.getgid(), Ranges(((100000, 10),), ((100000, 10),)))
    holder, before = mapping.holder(), len(os.listdir("/proc/self/fd"))
    mapping.end()
    assert len(os.listdir("/proc/self/fd")) == before - 3
    until(lambda: not os.path.exists(f"/proc/{holder}/ns/user"))


def test_the_own_ids_are_mapped_onto_themselves() -> None:
    uid, gid = os.getuid(), os.getgid()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER)
            idmap.map_self(uid, gid)
            idmap.map_self(uid, gid)  # somebody has mapped them already: nothing is done
            maps = [pathlib.Path(f"/proc/self/{name}_map").read_text().split() for name in ("uid", "gid")]
            os.write(writer, repr((maps, os.getuid(), os.getgid())).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with open(reader) as said:
        expected = ([[str(uid), str(uid), "1"], [str(gid), str(gid), "1"]], uid, gid)
        assert said.read() == repr(expected)


def test_a_program_in_a_user_namespace_gives_its_status_and_output(tables: pathlib.Path) -> None:
    """With the two capabilities that maps need, and no others."""
    (tables / "newuidmap").write_text(
        "#!/bin/sh\ngrep -h -e CapEff -e CapAmb /proc/self/status; echo $1 >&2; exit 23\n"
    )
    uid, gid = os.getuid(), os.getgid()
    ready, is_ready = os.pipe()
    wait, stop = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(stop)
            kernel.unshare(kernel.CLONE_NEWUSER)
            idmap.map_self(uid, gid)
            os.write(is_ready, b".")
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(is_ready)
    assert os.read(ready, 1) == b"."
    status, text = idmap.run_inside(pid, str(tables / "newuidmap"), ["newuidmap", "word"])
    os.close(stop)
    os.waitpid(pid, 0)
    assert status == 23
    words = text.split()
    assert words[-1] == b"word"
    only = b"00000000000000c0"  # CAP_SETGID, CAP_SETUID
    assert words[3] == only
    assert uid == 0 or words[1] == only  # the exec of a user 0 gives it all of them
