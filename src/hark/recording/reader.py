"""A recording in a file: blocks in order.

What   pcapng (any section, both byte orders) and classic pcap, read in large pieces and handed on block by block.
Why    A buffer of its own rather than mmap: standard input and growing files are read the same way, and a file that
       shrinks under us is no SIGBUS.
Limits A file that ends in the middle of a block is told as Torn; what stood before is told in full. A block whose
       length lies ends the reading, for nothing after it can be found.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from hark.errors import HarkError
from hark.recording import pcapng
from hark.recording.blocks import Block, Frame, Torn

_PIECE = 1 << 20  # bytes asked of the file at a time
_PCAP_MAGIC = {  # byte order and nanoseconds per tick
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_PCAP_PACKET_MAX = 1 << 24


def read(file: BinaryIO, name: str) -> Iterator[Block]:
    """Every block of the recording in `file`; a memory view in a Frame lives until the next block is asked for.

    Raises HarkError where the first bytes are of no format that hark reads."""
    source = _Source(file)
    start = bytes(source.peek(4))
    if start == b"\x0a\x0d\x0d\x0a":
        yield from _pcapng(source)
    elif start in _PCAP_MAGIC:
        yield from _pcap(source, *_PCAP_MAGIC[start])
    elif start:
        raise HarkError(
            f"cannot read {name}",
            "it is neither pcapng nor pcap",
            "hark reads what hark -o, tcpdump -w, dumpcap and Wireshark write",
        )
    else:
        raise HarkError(f"cannot read {name}", "it is empty")


class _Source:
    """A file as a window that can be looked into before it is consumed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self.offset = 0  # of the window's start, from the file's start

    def peek(self, size: int) -> memoryview:
        """The next `size` bytes, fewer only at the end of the file."""
        have = len(self._buffer) - self._at
        if have < size:
            pieces = [self._buffer[self._at :]]
            while have < size:
                piece = self._file.read(max(_PIECE, size - have))
                if not piece:
                    break
                pieces.append(piece)
                have += len(piece)
            self._buffer, self._at = b"".join(pieces), 0
        return memoryview(self._buffer)[self._at : self._at + size]

    def skip(self, size: int) -> None:
        """Consume bytes that were peeked at."""
        self._at += size
        self.offset += size


def _pcapng(source: _Source) -> Iterator[Block]:
    parser = pcapng.Parser()
    while True:
        head = source.peek(12)
        if len(head) < 12:
            if len(head):
                yield Torn(source.offset, f"the file ends {len(head)} bytes into a block")
            return
        size = parser.size(head, 0)
        if not size:
            yield Torn(source.offset, "a block whose length cannot be")
            return
        data = source.peek(size)
        if len(data) < size:
            yield Torn(source.offset, f"the file ends {len(data)} bytes into a block of {size}")
            return
        try:
            value = parser.parse(data, 0, size)
        except struct.error:
            value = Torn(0, "a block too short for its kind")
        if isinstance(value, Torn):
            value = Torn(source.offset, value.what)
        if value is not None:
            yield value
        source.skip(size)


def _pcap(source: _Source, order: str, tick: int) -> Iterator[Block]:
    head = source.peek(24)
    if len(head) < 24:
        yield Torn(0, "the file ends within its header")
        return
    link = struct.unpack_from(order + "I", head, 20)[0] & 0xFFFF
    source.skip(24)
    packet = struct.Struct(order + "IIII")
    while True:
        head = source.peek(16)
        if len(head) < 16:
            if len(head):
                yield Torn(source.offset, f"the file ends {len(head)} bytes into a packet header")
            return
        seconds, fraction, caught, whole = packet.unpack(head)
        if caught > _PCAP_PACKET_MAX:
            yield Torn(source.offset, f"a packet of {caught} bytes cannot be")
            return
        data = source.peek(16 + caught)
        if len(data) < 16 + caught:
            yield Torn(source.offset, f"the file ends {len(data)} bytes into a packet of {16 + caught}")
            return
        yield Frame(seconds * 1_000_000_000 + fraction * tick, link, data[16:], 0, whole)
        source.skip(16 + caught)
