"""The classic pcap format: packet headers of one file, of any program.

What   Both byte orders, micro- and nanoseconds; the modified format of a patched libpcap (24 or 28 bytes a packet
       header), Nokia's (20 bytes), IXIA's (a longer file header), AIX's, and files before version 2.4, whose two
       lengths are the other way round. Which it is is tried on the first packets.
Why    The file header says little: programs share a magic number. The proof of a layout is that header follows header.
Time   proves nothing: clocks jump, and makers write nanoseconds into files that promise microseconds. A header that is
       odd is accepted if another one follows its packet.
"""

import re
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

PACKET_MAX: Final = 1 << 24  # bytes; libpcap's own limit is lower
HEADER: Final = 24  # bytes of the file's header, without IXIA's length
_NEAR: Final = 86_400 * 30  # s; packets of one file are seldom further apart
_SIZE_USUAL: Final = 1 << 18  # bytes: libpcap's largest snapshot
_TRIED: Final = 4  # headers that must follow each other for a layout to be believed
_LOOKED_AT: Final = 1000  # packets at the file's start whose fractions show the unit


Fields = Callable[[memoryview | bytes, int], tuple[int, int, int, int]]


class Format(NamedTuple):
    """What a magic number promises."""

    order: str  # of bytes, as struct has it
    tick: int  # ns
    heads: tuple[int, ...]  # sizes of a packet header, the likeliest first
    extra: int = 0  # bytes after the file's header


_US: Final = 1000
_NS: Final = 1
_NUMBERS: dict[int, tuple[int, tuple[int, ...], int]] = {
    0xA1B2C3D4: (_US, (16, 20, 24, 28), 0),
    0xA1B23C4D: (_NS, (16,), 0),
    0xA1B2CD34: (_US, (24, 28, 16), 0),
    0xA1B234CD: (_US, (16, 24, 28), 0),
    0x1C0001AC: (_NS, (16,), 4),  # IXIA, hardware
    0x1C0001AB: (_NS, (16,), 4),  # IXIA, software
}
MAGIC: Final = {
    number.to_bytes(4, name): Format("<" if name == "little" else ">", *rest)
    for number, rest in _NUMBERS.items()
    for name in ("little", "big")
}


class Headers:
    """The packet headers of one file. link: the link type; head: the size of a packet header."""

    def __init__(self, form: Format, header: bytes | memoryview) -> None:
        major, minor, self.link = struct.unpack_from(form.order + "4xHH12xI", header)
        self.link &= 0xFFFF
        self.head = form.heads[0]
        self._form = form
        self._read: Fields = struct.Struct(form.order + "IIII").unpack_from
        self._tick = form.tick
        self._orders = (True, False) if major == 2 and minor <= 3 else (False,)  # of the two lengths
        self.fields: Fields = self._read  # seconds, fraction, captured and original length of a header
        self._lay(form.heads[0], self._orders[0])
        self._seconds = 0  # of the last one
        if (major, minor) == (2, 2):  # AIX: its link types are the interface's (RFC 1213 ifType)
            self.link = {6: 1, 24: 0}.get(self.link, self.link)

    def learn(self, view: memoryview) -> None:
        """See from the first packets how headers are laid out, and whether fractions are what they should be."""
        for head in self._form.heads:
            for swapped in self._orders:
                self._lay(head, swapped)
                if self._chain(view, 0, _TRIED, torn=head == self._form.heads[0]):
                    self._unit(view)
                    return
        self._lay(self._form.heads[0], self._orders[0])
        self._unit(view)

    def _lay(self, head: int, swapped: bool) -> None:
        self.head = head
        self.fields = self._turned if swapped else self._read

    def _unit(self, view: memoryview) -> None:
        at = 0
        for _ in range(_LOOKED_AT):
            if at + self.head > len(view):
                return
            _, fraction, caught, _ = self.fields(view, at)
            if 1_000_000 <= fraction < 1_000_000_000:
                self._tick = _NS
                return
            at += self.head + caught

    def _turned(self, view: memoryview | bytes, at: int) -> tuple[int, int, int, int]:
        seconds, fraction, whole, caught = self._read(view, at)
        return seconds, fraction, caught, whole

    def time(self, seconds: int, fraction: int) -> int:
        """ns since the epoch; 0 means "not seen" further on, so that the epoch itself becomes 1."""
        if fraction >= 1_000_000 and self._tick == _US:
            self._tick = _NS  # and so it is from here on
        return seconds * 1_000_000_000 + (fraction * self._tick if fraction < 1_000_000_000 else 0) or 1

    def usual(self, seconds: int, fraction: int, caught: int, whole: int) -> bool:
        """Whether a header with these fields is as they usually are."""
        if (
            (not self._seconds or abs(seconds - self._seconds) < _NEAR)
            and fraction < 1_000_000_000
            and caught <= PACKET_MAX
            and (caught <= whole or not whole)
        ):
            self._seconds = seconds
            return True
        return False

    def believed(self, view: memoryview) -> bool:
        """Whether an odd header at the view's start is one: others follow. The view should have `reach` bytes."""
        good = self._chain(view, 0, 2)
        if good:
            self._seconds = self.fields(view, 0)[0]
        return good

    def reach(self, caught: int) -> int:
        """Bytes to look at for a header that is odd."""
        return 2 * self.head + min(caught, PACKET_MAX)

    def _chain(self, view: memoryview | bytes, at: int, count: int, torn: bool = False) -> bool:
        """Whether `count` headers, or all up to the end, follow each other; torn: the end may be within the last. A
        header of zeros is none."""
        for index in range(count):
            if at + self.head > len(view):
                return index > 0 and (torn or at <= len(view))
            seconds, fraction, caught, whole = self.fields(view, at)
            if caught > PACKET_MAX or whole > PACKET_MAX or fraction >= 1_000_000_000:
                return False
            if not (seconds or fraction or caught or whole):
                return False
            if caught > _SIZE_USUAL or (index and whole > 64 * _SIZE_USUAL):
                return False
            at += self.head + caught
        return True

    def find(self, view: memoryview) -> int:
        """The offset of a usual header whose packet is followed by another one or by the end; -1 for none."""
        data, day = bytes(view), self._seconds >> 16
        mark = re.escape(day.to_bytes(2, "little" if self._form.order == "<" else "big"))
        length = rb"..[\x00-\x7f]\x00" if self._form.order == "<" else rb"\x00[\x00-\x7f].."
        if self._form.order == "<":
            look = rb"(?=..%b...[\x00-\x3b]%b)(?!\0{16})" % (mark, length)
        else:
            look = rb"(?=%b..[\x00-\x3b]...%b)(?!\0{16})" % (mark, length)
        for found in re.finditer(look, data, re.S):
            begin = found.start()
            if begin + self.head <= len(data) and self.usual(*self.fields(data, begin)):
                after = begin + self.head + self.fields(data, begin)[2]
                if after == len(data) or (after + self.head <= len(data) and self.usual(*self.fields(data, after))):
                    return begin
        return -1
