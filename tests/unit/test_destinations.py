"""Where outputs go: names and kinds, descriptors, locks, HAR in a pipe."""

import fcntl
import json
import os
import pathlib
import stat

import pytest

from hark.destinations import check_packets, check_standard_output, open_outputs, targets
from hark.errors import HarkError, UsageError
from hark.options import Options
from hark.views.har import HarStream


def options(*names: str, descriptors: tuple[int, ...] = ()) -> Options:
    made = Options()
    made.outputs, made.descriptors = list(names), list(descriptors)
    return made


@pytest.mark.parametrize(
    "name, path, fd, kind",
    [
        ("x.har", "x.har", -1, "har"),
        ("x.HAR", "x.HAR", -1, "har"),
        ("a:b.pcapng", "a:b.pcapng", -1, "pcapng"),
        ("fifo:jsonl", "fifo", -1, "jsonl"),
        ("x.txt:html", "x.txt", -1, "html"),
        ("x.har:jsonl", "x.har", -1, "jsonl"),
        ("a:b:HAR", "a:b", -1, "har"),
        ("-", "-", 1, "jsonl"),
        ("-:har", "-", 1, "har"),
        ("/dev/stdout", "/dev/stdout", 1, "jsonl"),
        ("/dev/stdout:pcapng", "/dev/stdout", 1, "pcapng"),
        ("/dev/stderr:jsonl", "/dev/stderr", 2, "jsonl"),
        ("/dev/fd/63:har", "/dev/fd/63", 63, "har"),
        ("/proc/self/fd/1", "/proc/self/fd/1", 1, "jsonl"),
    ],
)
def test_a_name_tells_its_kind(name: str, path: str, fd: int, kind: str) -> None:
    (target,) = targets(options(name))
    assert (target.name, target.path, target.fd, target.kind) == (name, path, fd, kind)


@pytest.mark.parametrize(
    "name, why",
    [
        ("x.txt", "'txt' is not a file type that hark writes"),
        ("trace", "its name does not say the file type"),
        ("", "its name does not say the file type"),
        (":har", "its name does not say the file type"),
        ("x.har:", "'har:' is not a file type that hark writes"),
        ("/dev/fd/9", "its name does not say the file type"),
        ("/dev/stderr", "its name does not say the file type"),
        ("dir.har/", "its name does not say the file type"),
    ],
)
def test_a_name_without_a_kind(name: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        targets(options(name))
    assert caught.value.why == why and caught.value.status == 2
    assert caught.value.remedy.startswith(".pcapng, .jsonl, .har, .html, or ")


def test_a_refusal_empties_nothing(tmp_path: pathlib.Path) -> None:
    """Neither the files before the wrong one nor those after it."""
    first, last = tmp_path / "a.jsonl", tmp_path / "b.html"
    first.write_text("first")
    last.write_text("last")
    for wrong in (
        "x.txt",
        str(tmp_path / "gone" / "x.har"),
        str(tmp_path / "."),
        f"{tmp_path}/./a.jsonl",
        "/dev/fd/999:har",
    ):
        with pytest.raises(HarkError):
            open_outputs(options(str(first), wrong, str(last)), print)
        assert (first.read_text(), last.read_text()) == ("first", "last")


def test_the_same_file_twice(tmp_path: pathlib.Path) -> None:
    """By whatever name: it would tear itself."""
    (tmp_path / "a.har").touch()
    (tmp_path / "link.har").symlink_to("a.har")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "a.har")
    for other in ("a.har", "./a.har", "link.har", "hard.jsonl", "a.har:jsonl"):
        with pytest.raises(UsageError, match="is the same file"):
            open_outputs(options(f"{tmp_path}/a.har", f"{tmp_path}/{other}"), print)


def test_a_file_that_another_hark_writes(tmp_path: pathlib.Path) -> None:
    """It is refused as it is, until the other one has ended."""
    path = tmp_path / "same.har"
    path.write_text("being written")
    with open(path, "r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(HarkError, match="another hark is writing it") as caught:
            open_outputs(options(str(path)), print)
        assert caught.value.status == 1 and path.read_text() == "being written"
    outputs = open_outputs(options(str(path)), print)
    assert path.read_text() == "" and stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(HarkError, match="another hark is writing it"):
        open_outputs(options(str(path)), print)
    outputs.close()
    open_outputs(options(str(path)), print).close()


def test_descriptors_are_not_the_programs() -> None:
    """What hark was given to write to is inherited by nothing that it runs, but standard streams are."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    outputs = open_outputs(options(f"/dev/fd/{writer}:har", descriptors=(writer, 2)), print)
    assert not os.get_inheritable(writer) and os.get_inheritable(2)
    assert len(outputs.files["jsonl"]) == 2 and [file.seekable for file in outputs.files["har"]] == [False]
    outputs.close()
    os.close(reader)


@pytest.mark.parametrize("name", ["-", "-:har", "/dev/stdout", "/dev/stdout:html", "/dev/fd/1:pcapng"])
def test_standard_output_has_one_use(name: str) -> None:
    for asked in (options(name, "-"), options(name, descriptors=(1,))):
        with pytest.raises(UsageError, match="standard output is taken by"):
            check_standard_output(asked, "")
    for option in ("json", "curl"):
        asked = options(name)
        setattr(asked, option, True)
        with pytest.raises(UsageError, match=f"standard output is taken by --{option}"):
            check_standard_output(asked, "")
    with pytest.raises(UsageError, match=r"standard output is the command's \(-o FILE, or --json=FD\)"):
        check_standard_output(options(name), "the command's")
    assert check_standard_output(options(name), "") and not check_standard_output(options("x.har"), "")


def test_packets_where_there_are_none() -> None:
    for name in ("x.pcapng", "-:pcapng", "/dev/fd/2:pcapng"):
        with pytest.raises(UsageError, match="there are none"):
            check_packets(options("x.har", name), "there are none")
    check_packets(options("x.har", "x.jsonl"), "there are none")


@pytest.mark.parametrize("count", [0, 1, 2, 23])
def test_a_har_in_a_pipe_is_whole_at_its_end(count: int) -> None:
    """However it is flushed on the way."""
    for every in (1, 2, 1000):
        written: list[bytes] = []
        sink = HarStream(written.append, "1")
        for number in range(count):
            sink.add(b'{"n":%d}' % number)
            if not number % every:
                sink.flush()
        sink.end()
        log = json.loads(b"".join(written))["log"]
        assert [entry["n"] for entry in log["entries"]] == list(range(count)) and log["version"] == "1.2"
