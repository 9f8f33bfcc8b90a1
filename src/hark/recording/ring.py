"""The live recording: pcapng blocks in a ring of shared, anonymous memory.

What   One writer (the capture process), one reader (the decoder process), one unnamed memory file. The first page
       holds the counters: bytes written, bytes read, whether the writer has closed, whether the reader waits.
Why    Packets are read from the devices straight into the ring, so recording costs no copy; and because the memory
       has no name, nothing is left over however the processes end.
Order  The writer stores a block, then the counter; the reader loads the counter, then the block. x86 and arm64
       keep an aligned 8 byte store whole, and an item of a memoryview of words is stored by one (struct.pack_into
       would clear its bytes first, which the other side could see). Python's own calls between the two are full
       barriers in practice, and a reader that misses a wake-up looks again after its time-out.
Limits A block never wraps: where it would, the rest of the ring is skipped with a filler word. A full ring makes
       `room` false: the capture process then lets the program wait. Only in this way can a view slow it down.
Not    multiprocessing.shared_memory (a name in /dev/shm outlives kill -9), a pipe (64 KiB, two copies).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import struct
from collections.abc import Iterator

from hark.recording import pcapng
from hark.recording.blocks import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SIZE: Final = 32 << 20  # bytes: half of what hark may take in all
MAX_PACKET: Final = 65536 + 64  # bytes in the largest packet with its link header
_PAGE: Final = 4096
# Offsets of the counters: a cache line each
_WRITTEN: Final = 0
_READ: Final = 64
_CLOSED: Final = 128
_WAITING: Final = 192
_DEAF: Final = 256
# The same in words
_W: Final = _WRITTEN // 8
_R: Final = _READ // 8
# What the reader waits for
_FOR_MUCH: Final = 1
_FOR_ANY: Final = 2
_MUCH: Final = 1 << 19  # bytes: worth waking a dozing reader for; less waits for its own next look
_TOLD: Final = 1 << 18  # bytes read after which the writer may have their room
_U32: Final = struct.Struct("<I").unpack_from
_FILLER: Final = 0xFFFFFFFF  # block type that no block has: skip to the ring's start
_RESERVE: Final = MAX_PACKET + pcapng.EPB_HEAD + pcapng.EPB_TAIL_MAX + 16


class Ring:
    """The shared memory and the two wake-up descriptors; made before the fork, used by both sides."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        fd = os.memfd_create("hark-recording", os.MFD_CLOEXEC)
        os.ftruncate(fd, _PAGE + size)
        self._map = mmap.mmap(fd, _PAGE + size)
        os.close(fd)
        self.head = memoryview(self._map)[:_PAGE]
        self.words = self.head.cast("Q")
        self.data = memoryview(self._map)[_PAGE:]
        self.wake_reader = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.wake_writer = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def leave(self) -> None:
        """Say that nobody reads any more, so that the writer need not wait: the reader at its end, or whoever sees that
        it was killed."""
        self.head[_DEAF] = 1
        with contextlib.suppress(BlockingIOError):  # it is awake
            os.eventfd_write(self.wake_writer, 1)


class Writer:
    """The capture process's end. `at` is where the next block may be built in `data`; `commit` makes it visible."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._head = ring.head
        self._words = ring.words
        self.data = ring.data
        self._size = ring.size
        self._written = 0
        self._seen = 0  # the reader's counter when last looked at
        self._due = 0  # wake a waiting reader when this many bytes are written
        self.at = 0

    def room(self, need: int = _RESERVE) -> bool:
        """Whether `need` bytes can be built at `at`, skipping to the ring's start if they do not fit before its end."""
        if self.at + need > self._size:
            if self._written + self._size - self.at + need - self._seen > self._size and not self._look(
                self._size - self.at + need
            ):
                return False
            _put_filler(self.data, self.at)
            self._advance(self._size - self.at)
        return self._written + need - self._seen <= self._size or self._look(need)

    def _look(self, need: int) -> bool:
        self._seen = self._words[_R]
        if self._written + need - self._seen <= self._size:
            return True
        if self._head[_DEAF]:
            # Nobody reads any more: write on, over what nobody will see.
            self._seen = self._written
            return True
        self._wake()
        return False

    def commit(self, size: int) -> None:
        """Make the `size` bytes built at `at` visible to the reader."""
        self._advance(size)
        waiting = self._head[_WAITING]
        if waiting and (waiting == _FOR_ANY or self._written >= self._due):
            self._due = self._written + _MUCH
            self._head[_WAITING] = 0
            self._wake()

    def _advance(self, size: int) -> None:
        self.at += size
        if self.at >= self._size - 8:
            self._written += self._size - self.at
            self.at = 0
        self._written += size
        self._words[_W] = self._written

    def write(self, raw: bytes) -> bool:
        """Append one encoded block; False where there is no room now."""
        if not self.room(len(raw) + 16):
            return False
        self.data[self.at : self.at + len(raw)] = raw
        self.commit(len(raw))
        return True

    def flush(self) -> None:
        """Wake the reader now."""
        self._wake()

    def _wake(self) -> None:
        try:
            os.eventfd_write(self._ring.wake_reader, 1)
        except BlockingIOError:
            pass  # the counter is full: it is awake

    def close(self) -> None:
        """Nothing more will come."""
        self._head[_CLOSED] = 1
        self._wake()


def _put_filler(data: memoryview, at: int) -> None:
    if at + 4 <= len(data):
        struct.pack_into("<I", data, at, _FILLER)


class Reader:
    """The decoder process's end: blocks in order, each valid until the next is asked for."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._head = ring.head
        self._words = ring.words
        self._data = ring.data
        self._read = 0
        self._told = 0
        from hark.recording.parser import Parser  # the writer's side does not need it

        self._parser = Parser()
        self._poll = select.poll()
        self._poll.register(ring.wake_reader, select.POLLIN)

    @property
    def closed(self) -> bool:
        """Whether the writer has closed: nothing more will come."""
        return bool(self._head[_CLOSED])

    def behind(self) -> int:
        """Bytes written and not yet read."""
        return self._words[_W] - self._read

    def wait(self, seconds: float, for_any: bool) -> None:
        """Sleep until something was written, the writer closed, or `seconds` are over. for_any: for a single block;
        otherwise only for _MUCH bytes."""
        self._head[_WAITING] = _FOR_ANY if for_any else _FOR_MUCH
        self._poll.poll(seconds * 1000)
        self._head[_WAITING] = 0
        try:
            os.eventfd_read(self._ring.wake_reader)
        except BlockingIOError:
            pass  # the time was over

    def blocks(self, most: int = 1 << 62) -> Iterator[tuple[Block, memoryview]]:
        """Blocks that are there now, each with its raw bytes; at most about `most` bytes of them. Raises ValueError
        where no block can begin: what the writer has written is never that."""
        written = min(self._words[_W], self._read + most)
        data, size, parser = self._data, self._ring.size, self._parser
        while self._read < written:
            at = self._read % size
            end = min(at + written - self._read, size)
            for frame in parser.frames(data[:end], at):  # most blocks: a quarter faster than one by one
                length = _U32(data, at + 4)[0]
                yield frame, data[at : at + length]
                at += length
                self._advance(length)
            if at == end:
                continue
            if at >= size - 8 or _is_filler(data, at):
                self._advance(size - at)
                continue
            length = parser.size(data, at)
            if not length:
                raise ValueError(f"the shared recording is damaged at {self._read}")
            value = parser.parse(data, at, length)
            if value is not None:
                yield value, data[at : at + length]
            self._advance(length)
        self._tell()

    def _advance(self, size: int) -> None:
        """`size` bytes have been read."""
        self._read += size
        if self._read - self._told > _TOLD:
            self._tell()

    def _tell(self) -> None:
        """Give the room that was read back to the writer, and wake it in case it waits for it."""
        self._told = self._read
        self._words[_R] = self._read
        try:
            os.eventfd_write(self._ring.wake_writer, 1)
        except BlockingIOError:
            pass


def _is_filler(data: memoryview, at: int) -> bool:
    return bytes(data[at : at + 4]) == b"\xff\xff\xff\xff"
