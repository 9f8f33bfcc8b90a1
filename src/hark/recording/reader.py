"""A recording in a file: blocks in order.

What   pcapng (any section, both byte orders) and classic pcap, also compressed by gzip, zstd or lz4, read in large
       pieces and handed on block by block; several recordings merged by time; a growing one followed.
Why    A buffer of its own rather than mmap: standard input and growing files are read the same way, and a file that
       shrinks meanwhile does not raise SIGBUS.
Limits A file that ends in the middle of a block gives a Torn after all that came before. After a block whose length
       is wrong, reading resumes at the next place where a whole and plausible block is found.
"""

import codecs
import heapq
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from hark.errors import HarkError
from hark.recording.blocks import Block, Frame, Torn
from hark.recording.parser import Parser

if TYPE_CHECKING:
    from hark.recording import pcap

_PIECE: Final = 1 << 20  # bytes asked of the file at a time
_BLOCK_USUAL: Final = 1 << 18  # bytes: no packet is larger; a block that claims more at the end of a file may lie


Wait = Callable[[], bool]


class Readable(Protocol):
    """What a recording is read from."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; none at the end."""


def read(file: Readable, name: str, wait: Wait | None = None) -> Iterator[Block]:
    """Every block of the recording in `file`; a memory view in a Frame lives until the next block is asked for.

    wait: called at the end of what is there; True means that more may have come (a file that is followed).
    Raises HarkError where the first bytes are of no format that hark reads."""
    source = _Source(file, wait)
    start = bytes(source.peek(4))
    unpack = _COMPRESSED.get(start) or _COMPRESSED.get(start[:2])
    if unpack is not None:
        source = _Source(_Unpacked(unpack(source)), None)
        start = bytes(source.peek(4))
    if start == b"\x0a\x0d\x0d\x0a":
        yield from _pcapng(source)
        return
    from hark.recording import archive, pcap  # most recordings are pcapng

    if start in pcap.MAGIC:
        yield from _pcap(source, pcap.MAGIC[start])
    elif b"\0" in start and (coding := _wide(bytes(source.peek(64)))) is not None:
        yield from archive.read(_Source(_Transcoded(source, coding), None), name)
    elif bytes(source.peek(64)).lstrip(archive.BLANK)[:1] == b"{":
        yield from archive.read(source, name)
    elif start:
        raise HarkError(
            f"cannot read {name}",
            "it is neither pcapng nor pcap, and no HAR file",
            "hark reads what hark -o, tcpdump -w, dumpcap, Wireshark and browsers write",
        )
    else:
        raise HarkError(f"cannot read {name}", "it is empty")


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins so (4 bytes) is one that is unpacked as it is read."""
    return start in _COMPRESSED or start[:2] in _COMPRESSED


def _wide(start: bytes) -> str | None:
    """The name of the coding of JSON in units of 2 or 4 bytes, with or without a byte order mark."""
    for coding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        mark = "\ufeff".encode(coding)
        text = start.removeprefix(mark)[: len(start) // 4 * 4 - 4].decode(coding, "replace")
        if text.lstrip()[:1] == "{" and not text.startswith("\0"):
            return coding
    return None


def merge(recordings: list[Iterator[Block]]) -> Iterator[Block]:
    """Several recordings as one, by time. A block without a time (secrets) stays in front of what follows it."""
    if len(recordings) == 1:
        return recordings[0]
    return (block for _, block in heapq.merge(*map(_timed, recordings), key=_time))


def _timed(recording: Iterator[Block]) -> Iterator[tuple[int, Block]]:
    now = 0
    for block in recording:
        now = max(now, block.time) if isinstance(block, Frame) else now
        yield now, block


def _time(item: tuple[int, Block]) -> int:
    return item[0]


class _Source:
    """A file as a window that can be looked into before it is consumed."""

    def __init__(self, file: Readable, wait: Wait | None) -> None:
        self._file = file
        self._wait = wait
        self._window = bytearray(2 * _PIECE)
        self._view = memoryview(self._window)
        self._at = 0
        self._end = 0
        self._read_into = getattr(file, "readinto", None)
        self.offset = 0  # of the window's start, from the file's start

    def peek(self, size: int) -> memoryview:
        """The next `size` bytes, fewer only at the end of the file."""
        if self._end - self._at < size:
            self._fill(size)
        return self._view[self._at : min(self._at + size, self._end)]

    def window(self) -> memoryview:
        """All that is there already."""
        return self._view[self._at : self._end]

    def _fill(self, size: int) -> None:
        """Read until `size` bytes are there, or the file is at its end. What was looked at before may be gone."""
        have = self._end - self._at
        if size > len(self._window):
            window = bytearray(size + _PIECE)
            window[:have] = self._view[self._at : self._end]
            self._window, self._view = window, memoryview(window)
        else:
            self._window[:have] = bytes(self._view[self._at : self._end])
        self._at, self._end = 0, have
        while self._end < size:
            count = self._read()
            if not count:
                if self._wait is not None and self._wait():
                    continue
                return
            self._end += count

    def _read(self) -> int:
        """Read once into the free end of the window; how many bytes that were."""
        free = self._view[self._end :]
        if self._read_into is not None:
            return int(self._read_into(free) or 0)
        piece = self._file.read(len(free)) or b""
        free[: len(piece)] = piece
        return len(piece)

    def skip(self, size: int) -> None:
        """Consume bytes that were peeked at."""
        self._at += size
        self.offset += size

    def read(self, size: int = -1, /) -> bytes:
        """Consume up to `size` bytes: what a decompressor reads from."""
        data = bytes(self.peek(_PIECE if size < 0 else min(size, _PIECE)))
        self.skip(len(data))
        return data


class _Unpacked:
    """A decompressor's output. If its input is damaged the recording just ends, and is then reported as torn."""

    def __init__(self, file: Any) -> None:
        import zstandard

        self._file = file
        self._damage = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zstandard.ZstdError)
        self._over = False

    def read(self, size: int, /) -> bytes:
        """The next bytes, none once the input is damaged."""
        if self._over:
            return b""
        try:
            return bytes(self._file.read(size))
        except self._damage:
            self._over = True
            return b""


class _Transcoded:
    """Text in another coding as UTF-8."""

    def __init__(self, source: _Source, coding: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(coding)("replace")
        self._start = True

    def read(self, size: int, /) -> bytes:
        """About a quarter of the bytes asked for, none at the end."""
        while data := self._source.read(max(size // 4, 1)):
            text = self._decoder.decode(data).removeprefix("\ufeff" if self._start else "")
            self._start = False
            if text:
                return text.encode("utf-8", "replace")
        return b""


def _gzip(source: _Source) -> Any:
    import gzip

    return gzip.GzipFile(fileobj=source)  # type: ignore[call-overload]


def _zstd(source: _Source) -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)  # type: ignore[arg-type]


def _lz4(source: _Source) -> Any:
    import lz4.frame

    return lz4.frame.LZ4FrameFile(source)


_COMPRESSED: dict[bytes, Callable[[_Source], Any]] = {
    b"\x1f\x8b": _gzip,
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\x04\x22\x4d\x18": _lz4,
}


def _pcapng(source: _Source) -> Iterator[Block]:
    parser = Parser()
    while True:
        head = source.peek(12)
        if len(head) < 12:
            if len(head):
                yield Torn(source.offset, f"the file ends {len(head)} bytes into a block")
            return
        size = parser.size(head, 0)
        data = source.peek(size)
        whole = size and len(data) == size
        if not whole and size <= _BLOCK_USUAL and size:
            yield Torn(source.offset, f"the file ends {len(data)} bytes into a block of {size}")
            if not _find(source, parser.find_last):  # unless it does not, and the block's length is what is wrong
                return
            continue
        if not whole or not parser.sound(data, 0, size):
            yield Torn(source.offset, "a block whose length cannot be")
            if not _find(source, parser.find):
                return
            continue
        taken = 0
        data = source.window()  # every block in it that is whole
        there = len(data)
        while True:
            try:
                value = parser.parse(data, taken, size)
            except struct.error:
                value = Torn(0, "a block too short for its kind")
            if value is not None:
                yield Torn(source.offset + taken, value.what) if type(value) is Torn else value
            taken += size
            yield from parser.frames(data, taken)
            taken = parser.at
            size = parser.size(data, taken) if there - taken >= 12 else 0
            if not size or there - taken < size or not parser.sound(data, taken, size):
                break
        source.skip(taken)


def _find(source: _Source, look: Callable[[memoryview], int]) -> bool:
    """Go to the next place where `look` finds something; False where the file ends first."""
    source.skip(1)
    while True:
        view = source.peek(_PIECE)
        at = look(view)
        if at >= 0:
            source.skip(at)
            return True
        if len(view) < _PIECE:
            source.skip(len(view))
            return False
        source.skip(_PIECE - 2 * _BLOCK_USUAL)  # one may begin here that ends after the window


def _pcap(source: _Source, form: "pcap.Format") -> Iterator[Block]:
    from hark.recording import pcap

    head = source.peek(pcap.HEADER + form.extra)
    if len(head) < pcap.HEADER + form.extra:
        yield Torn(0, "the file ends within its header")
        return
    headers = pcap.Headers(form, head)
    source.skip(pcap.HEADER + form.extra)
    source.peek(headers.head)  # what is there already shows the layout of packets
    headers.learn(source.window())
    size = headers.head
    while True:
        head = source.peek(size)
        if len(head) < size:
            if len(head):
                yield Torn(source.offset, f"the file ends {len(head)} bytes into a packet header")
            return
        seconds, fraction, caught, whole = headers.fields(head, 0)
        if not headers.usual(seconds, fraction, caught, whole) and not headers.believed(
            source.peek(headers.reach(caught))
        ):
            yield Torn(source.offset, f"a packet of {caught} bytes at second {seconds} cannot be")
            if not _find(source, headers.find):
                return
            continue
        data = source.peek(size + caught)
        if len(data) < size + caught:
            yield Torn(source.offset, f"the file ends {len(data)} bytes into a packet of {size + caught}")
            if caught <= _BLOCK_USUAL or not _find(source, headers.find):
                return
            continue
        yield Frame(headers.time(seconds, fraction), headers.link, data[size:], 0, max(whole, caught))
        source.skip(size + caught)
