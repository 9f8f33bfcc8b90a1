"""A file that is being written: buffered or not, slow, full, or written over."""

import errno
import os
import pathlib
import threading

from hark.output import Output

FULL = os.open("/dev/full", os.O_WRONLY)


def opened(path: pathlib.Path, said: list[str], buffered: bool = False) -> Output:
    return Output(os.open(path, os.O_RDWR | os.O_CREAT), path.name, said.append, buffered)


def test_a_buffered_one_is_written_at_a_flush_or_when_there_is_much(tmp_path: pathlib.Path) -> None:
    path, said = tmp_path / "x", []
    output = opened(path, said, buffered=True)
    output.write(b"a")
    output.write(memoryview(b"b"))
    assert path.read_bytes() == b""
    output.flush()
    assert path.read_bytes() == b"ab"
    output.write(b"c")
    output.write(b"d" * (1 << 16))  # in its order, though it is much
    assert path.read_bytes() == b"abc" + b"d" * (1 << 16)
    output.write(b"e" * (1 << 16))
    assert path.stat().st_size == 3 + (2 << 16)
    assert not said


def test_one_that_is_not_buffered_is_written_at_once(tmp_path: pathlib.Path) -> None:
    path, said = tmp_path / "x", []
    opened(path, said).write(b"now")
    assert path.read_bytes() == b"now"


def test_a_full_disk_is_said_once(tmp_path: pathlib.Path) -> None:
    said: list[str] = []
    output = Output(FULL, "full.har", said.append)
    for _ in range(3):
        output.write(b"x")
        output.put(b"x", 0, b"")
    assert output.failed
    assert output.error is not None and output.error.errno == errno.ENOSPC
    assert said == ["hark: cannot write full.har any more: No space left on device; the rest is not in it"]


def test_written_over_from_an_offset_on(tmp_path: pathlib.Path) -> None:
    path, said = tmp_path / "x", []
    output = opened(path, said)
    output.write(b"[one]")
    output.put(b", two]", 4, b"]")
    assert path.read_bytes() == b"[one, two]"
    assert not said


def test_what_cannot_be_written_over_leaves_a_file_that_is_whole(tmp_path: pathlib.Path) -> None:
    """The limit of a file's size stands for a full disk: what was there before stays, and its end is put back."""
    import resource
    import signal

    path, said = tmp_path / "x", []
    output = opened(path, said)
    output.write(b"[" + b"1" * 100 + b"]")
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        output.put(b", " + b"2" * 5000 + b"]", 101, b"]")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert path.read_bytes() == b"[" + b"1" * 100 + b"]"
    assert output.failed
    assert said == ["hark: cannot write x any more: File too large; the rest is not in it"]
    output.write(b"more")
    assert path.read_bytes().endswith(b"1]")


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = bytes(range(256)) * 4096
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(reader, 10_000))

    reading = threading.Thread(target=read)
    said: list[str] = []
    reading.start()
    Output(writer, "pipe", said.append).write(data)
    reading.join()
    assert got == data
    assert not said
    os.close(reader)
    Output(writer, "pipe", said.append).write(data)
    assert said == ["hark: cannot write pipe any more: Broken pipe; the rest is not in it"]
    os.close(writer)
