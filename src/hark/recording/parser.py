"""Reads pcapng blocks out of a buffer (draft-ietf-opsawg-pcapng).

What   One parser for all that hark reads: whole blocks to values, and the next sound block after damage.
Why    It works over any buffer with an offset, so the ring and files share it; it knows both byte orders and every
       timestamp resolution because other tools' files are read too.
Limits A block over MAX_BLOCK is treated as damage: no packet is that large, but a corrupt length may be.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from hark.recording.blocks import Block, Frame, Interface, Loss, Names, Note, Process, Secrets, Torn
from hark.recording.pcapng import (
    COMMENT,
    CUSTOM,
    DSB,
    EPB,
    EPB_HEAD,
    IDB,
    ISB,
    LOSS,
    NOTE,
    NRB,
    OPT_PROCESS,
    PB,
    PLAINTEXT,
    PROCESS_ENTRY,
    SHB,
    SPB,
    TLS_KEYLOG,
    WIRESHARK_PEN,
)
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_BLOCK: Final = 64 << 20  # bytes
_EPB_LEAST: Final = EPB_HEAD + 4  # bytes of a packet block without a packet
_NOTE_BYTES: Final = 1 << 16  # of text in a note: more is none of hark's

_new = tuple.__new__  # of a named tuple, in half the time that its class takes


class Parser:
    """Reads blocks out of a buffer; keeps the state of a section: byte order, interfaces."""

    def __init__(self) -> None:
        self.at = 0
        self._order = "<"
        # (link type, ticks per second or 0 for ns, offset in s, how plaintext on it was had)
        self._links: list[tuple[int, int, int, str]] = []
        self._section("<")

    def _section(self, order: str) -> None:
        self._order = order
        self._links.clear()
        self._one = struct.Struct(order + "I").unpack_from
        self._two = struct.Struct(order + "II").unpack_from
        kinds = (struct.pack(order + "I", kind) for kind in (SHB, IDB, ISB, EPB, DSB, CUSTOM))
        self._marks = re.compile(b"|".join(map(re.escape, kinds)))
        self._head = struct.Struct(order + "IIIIIII").unpack_from
        self._packet = struct.Struct(order + "IIIII").unpack_from
        self._hh = struct.Struct(order + "HH").unpack_from

    def size(self, data: memoryview, at: int) -> int:
        """Bytes in the block at the offset `at`, after which 12 are there at least; 0 where no block can begin."""
        kind, size = self._two(data, at)
        if kind == SHB:
            order = "<" if data[at + 8] == 0x4D else ">"
            size = struct.unpack_from(order + "I", data, at + 4)[0]
        return size if 12 <= size <= MAX_BLOCK and not size & 3 else 0

    def sound(self, data: memoryview, at: int, size: int) -> bool:
        """Whether the whole block at `at` ends with its length once more, as every block must."""
        if self._one(data, at)[0] == SHB:
            order = "<" if data[at + 8] == 0x4D else ">"
            return bool(struct.unpack_from(order + "I", data, at + size - 4)[0] == size)
        return bool(self._one(data, at + size - 4)[0] == size)

    def find(self, data: memoryview) -> int:
        """The offset of the first whole block of a usual kind; -1 where there is none."""
        for match in self._marks.finditer(data):
            if self._after(data, match.start()):
                return match.start()
        return -1

    def find_last(self, data: memoryview) -> int:
        """The same, of those from which whole blocks lead to the very end of the data."""
        tried: set[int] = set()
        for match in self._marks.finditer(data):
            at = match.start()
            while at < len(data) and at not in tried and (after := self._after(data, at)):
                tried.add(at)
                at = after
            if at == len(data):
                return match.start()
            tried.add(at)
        return -1

    def _after(self, data: memoryview, at: int) -> int:
        """The offset after the whole block at `at`; 0 if there is none."""
        size = self.size(data, at) if at + 12 <= len(data) else 0
        return at + size if size and at + size <= len(data) and self.sound(data, at, size) else 0

    def frames(self, data: memoryview, at: int) -> Iterator[Frame]:
        """The frames of the packet blocks from `at` on, up to another block or one that is not whole or cannot be,
        where `at` of this object then is: what size(), sound() and parse() say of most of a recording, in one step."""
        head, one, links, there = self._head, self._one, self._links, len(data)
        while there - at >= _EPB_LEAST:
            kind, size, face, high, low, caught, whole = head(data, at)
            end = at + size - 4  # of the options
            start = at + EPB_HEAD
            options = start + caught + (-caught & 3)
            if kind != EPB or end < options or end + 4 > there or size & 3 or size > MAX_BLOCK or face >= len(links):
                break
            if one(data, end)[0] != size:
                break
            link, ticks, offset, inside = links[face]
            time = high << 32 | low
            if ticks:
                time = time * 1_000_000_000 // ticks + offset
            pid = self._pid(data, options, end) if options < end else 0
            # 0 means "not seen" further on
            yield _new(Frame, (time or 1, link, data[start : start + caught], pid, whole, inside))
            at += size
        self.at = at

    def parse(self, data: memoryview, at: int, size: int) -> Block | None:
        """The value of the whole block of `size` bytes at `at`; None for a block that hark does not use. Raises
        struct.error where it is too short for its kind."""
        kind = self._two(data, at)[0]
        if kind == EPB:
            return self._enhanced(data, at, size)
        if kind == SHB:
            magic = bytes(data[at + 8 : at + 12])
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                return Torn(at, "section header with an unknown byte order")
            self._section("<" if magic[0] == 0x4D else ">")
            return None
        reader = _READERS.get(kind)
        return reader(self, data, at, size) if reader else None

    def _enhanced(self, data: memoryview, at: int, size: int) -> Block:
        if size < 32:
            return Torn(at, "packet block too short")
        face, high, low, caught, whole = self._packet(data, at + 8)
        start = at + EPB_HEAD
        end = start + caught
        if end > at + size - 4:
            return Torn(at, "packet longer than its block")
        if face >= len(self._links):
            return Torn(at, f"packet of interface {face}, which was not described")
        link, ticks, offset, inside = self._links[face]
        time = high << 32 | low
        if ticks:
            time = time * 1_000_000_000 // ticks + offset
        pid = 0
        options = end + (-caught & 3)
        if options < at + size - 4:
            pid = self._pid(data, options, at + size - 4)
        return Frame(time or 1, link, data[start:end], pid, whole, inside)  # 0 means "not seen" further on

    def _pid(self, data: memoryview, at: int, end: int) -> int:
        for code, start, length in self._options(data, at, end):
            if code == OPT_PROCESS and length >= 4:
                return int(struct.unpack_from(self._order + "I", data, start)[0])
        return 0

    def _options(self, data: memoryview, at: int, end: int) -> list[tuple[int, int, int]]:
        found = []
        while at + 4 <= end:
            code, length = self._hh(data, at)
            if not code or at + 4 + length > end:
                break
            found.append((code, at + 4, length))
            at += 4 + length + (-length & 3)
        return found

    def _interface(self, data: memoryview, at: int, size: int) -> Block | None:
        link = self._hh(data, at + 8)[0]
        ticks, offset, inside = 1_000_000, 0, ""
        for code, start, length in self._options(data, at + 16, at + size - 4):
            if code == 9 and length == 1:
                exponent = data[start]
                ticks = 1 << (exponent & 0x7F) if exponent & 0x80 else 10 ** (exponent & 0x7F)
            elif code == 14 and length == 8:
                offset = int(struct.unpack_from(self._order + "q", data, start)[0]) * 1_000_000_000
            elif code == 2 and bytes(data[start : start + len(PLAINTEXT)]) == PLAINTEXT.encode():
                inside = bytes(data[start + len(PLAINTEXT) : start + min(length, 80)]).decode(errors="replace")
        self._links.append((link, 0 if ticks == 1_000_000_000 and not offset else ticks, offset, inside))
        return Interface(len(self._links) - 1, inside) if inside else None

    def _old_packet(self, data: memoryview, at: int, size: int) -> Block | None:
        if size < 32:
            return Torn(at, "packet block too short")
        face = self._hh(data, at + 8)[0]
        _, high, low, caught, whole = self._packet(data, at + 8)
        if at + EPB_HEAD + caught > at + size - 4 or face >= len(self._links):
            return Torn(at, "packet longer than its block")
        link, ticks, offset, _ = self._links[face]
        time = high << 32 | low
        if ticks:
            time = time * 1_000_000_000 // ticks + offset
        return Frame(time or 1, link, data[at + EPB_HEAD : at + EPB_HEAD + caught], 0, whole)

    def _simple(self, data: memoryview, at: int, size: int) -> Block | None:
        if not self._links or size < 16:
            return Torn(at, "simple packet before its interface")
        whole = struct.unpack_from(self._order + "I", data, at + 8)[0]
        caught = min(whole, size - 16)
        return Frame(1, self._links[0][0], data[at + 12 : at + 12 + caught], 0, whole)

    def _secrets(self, data: memoryview, at: int, size: int) -> Block | None:
        kind, length = self._two(data, at + 8) if size >= 20 else (0, 0)
        if kind != TLS_KEYLOG:
            return None
        if 20 + length > size:
            return Torn(at, "secrets longer than their block")
        pid, source = 0, ""
        for code, start, count in self._options(data, at + 16 + length + (-length & 3), at + size - 4):
            words = bytes(data[start : start + count]).decode("utf-8", "replace").split(" ")
            if code == COMMENT and len(words) == 3 and words[0] == "hark" and words[1][4:].isdigit():
                pid, source = int(words[1][4:]), words[2].removeprefix("source=")
        return Secrets(bytes(data[at + 16 : at + 16 + length]), pid, source)

    def _custom(self, data: memoryview, at: int, size: int) -> Block | None:
        if size < 24:
            return None
        pen, entry, pid = struct.unpack_from(self._order + "III", data, at + 8)
        if pen != WIRESHARK_PEN or entry != PROCESS_ENTRY:
            return None
        found = {c: bytes(data[s : s + n]) for c, s, n in self._options(data, at + 20, at + size - 4)}

        def text(code: int) -> str:
            return found.get(code, b"").decode(errors="surrogateescape")

        def number(code: int, width: str, default: int) -> int:
            raw = found.get(code, b"")
            return int(struct.unpack(self._order + width, raw)[0]) if len(raw) == struct.calcsize(width) else default

        time, tls = _process_comment(found.get(COMMENT, b""))
        line = text(4)
        words = tuple(line.split("\0")) if line else ()
        start = number(9, "Q", 0)
        return Process(time or start, pid, text(2), text(3), words, number(5, "I", 0), number(6, "i", -1), start, tls)

    def _names(self, data: memoryview, at: int, size: int) -> Block | None:
        found = []
        for kind, start, length in self._options(data, at + 8, at + size - 4):
            width = {1: 4, 2: 16}.get(kind, 0)
            body = bytes(data[start : start + length])
            if width and len(body) > width:
                name = body[width:].split(b"\0")[0].decode("utf-8", "replace")
                found.append((ip.text(body[:width]), name))
        return Names(tuple(found)) if found else None

    def _loss(self, data: memoryview, at: int, size: int) -> Block | None:
        import json

        time, length = struct.unpack_from("<QI", data, at + 8) if size >= 24 else (0, 0)
        try:
            told = json.loads(bytes(data[at + 20 : at + 20 + length]))
            return Loss(time, str(told["what"]), int(told["amount"]), str(told["why"]))
        except (ValueError, KeyError, TypeError, OverflowError):
            return Torn(at, "a loss note that cannot be read")

    def _note(self, data: memoryview, at: int, size: int) -> Block | None:
        import json

        time, width, length = struct.unpack_from("<QII", data, at + 8) if size >= 28 else (0, 0, 0)
        start = at + 24
        if width not in (12, 36) or length > _NOTE_BYTES or start + width + length > at + size - 4:
            return Torn(at, "a note on a connection that cannot be read")
        try:
            found = json.loads(bytes(data[start + width : start + width + length]))
            fields = tuple((str(name), str(value)) for name, value in found["fields"].items())
            return Note(time, bytes(data[start : start + width]), str(found["kind"]), fields)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Torn(at, "a note on a connection that cannot be read")


def _process_comment(raw: bytes) -> tuple[int, tuple[str, ...]]:
    import json

    try:
        told = json.loads(raw)
        return int(told["time"]), tuple(str(name) for name in told["tls"])
    except (ValueError, KeyError, TypeError, OverflowError):  # the last: an infinite number
        return 0, ()


_READERS: dict[int, Callable[[Parser, memoryview, int, int], Block | None]] = {
    IDB: Parser._interface,
    PB: Parser._old_packet,
    SPB: Parser._simple,
    NRB: Parser._names,
    DSB: Parser._secrets,
    CUSTOM: Parser._custom,
    LOSS: Parser._loss,
    NOTE: Parser._note,
}
