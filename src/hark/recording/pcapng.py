"""pcapng blocks, bytes to values and back (draft-ietf-opsawg-pcapng).

What   Encoders for the blocks that hark writes, and one parser for all that hark reads.
Why    The parser works over any buffer with an offset, so the ring and files share it; it knows both byte orders
       and every timestamp resolution because other tools' files are read too.
Limits A block over MAX_BLOCK is treated as damage: no packet is that large, but a corrupt length may be.

hark's own facts travel in blocks that other readers skip: a process in Wireshark's custom block (PEN 32622, entry
type 3), a loss in a block type of the local range (high bit set).
"""

import re
import struct
from collections.abc import Callable, Iterator

from hark.recording import blocks
from hark.recording.blocks import Block, Entry, Frame, Interface, Loss, Names, Note, Process, Secrets, Torn
from hark.wire import ip

SHB, IDB, PB, SPB, NRB, ISB, EPB, DSB, CUSTOM = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6, 10, 0xBAD
LOSS = 0x80686B01
NOTE = 0x80686B02
MAX_BLOCK = 64 << 20  # bytes
EPB_HEAD = 28  # bytes in front of an enhanced packet block's data
_EPB_LEAST = EPB_HEAD + 4  # bytes of a packet block without a packet
EPB_TAIL_MAX = 3 + 16 + 4 + 4  # padding, the pid option with its end, the length once more

_MAGIC = 0x1A2B3C4D
_TLS_KEYLOG = 0x544C534B
_WIRESHARK_PEN, _PROCESS_ENTRY = 32622, 3
_OPT_PROCESS = 8
_COMMENT = 1
_PLAINTEXT = "hark plaintext "  # how the names of interfaces for plaintext begin
_NOTE_BYTES = 1 << 16  # of text in a note: more is none of hark's

_epb = struct.Struct("<IIIIIII").pack_into
_u32 = struct.Struct("<I").pack_into
_new = tuple.__new__  # of a named tuple, in half the time that its class takes
_pid_option = struct.Struct("<HHIIHH").pack_into


def block(kind: int, body: bytes) -> bytes:
    """A whole block around `body`, padded to 32 bits."""
    pad = -len(body) % 4
    size = 12 + len(body) + pad
    return struct.pack("<II", kind, size) + body + bytes(pad) + struct.pack("<I", size)


def option(code: int, value: bytes) -> bytes:
    """One option, padded; values longer than the format's 65535 bytes are cut."""
    value = value[:0xFFFF]
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def header() -> bytes:
    """Section header and one interface."""
    section = struct.pack("<IHHq", _MAGIC, 1, 0, -1) + option(4, b"hark") + bytes(4)
    return block(SHB, section) + _described("hark")


def _described(name: str) -> bytes:
    """The description of an interface: LINKTYPE_RAW, nanoseconds, no snap length."""
    return block(IDB, struct.pack("<HHI", blocks.RAW, 0, 0) + option(2, name.encode()) + option(9, b"\x09") + bytes(4))


def interface(value: Interface) -> bytes:
    """The description of an interface for plaintext. It has the number that blocks before it leave."""
    return _described(f"{_PLAINTEXT}{value.inside}")


def end_frame(buffer: memoryview, at: int, size: int, time: int, pid: int) -> int:
    """Dress `size` bytes of packet, already standing at `at` + EPB_HEAD, as an enhanced packet block.

    The hot path: nothing is copied. Returns the block's whole length in bytes."""
    data_end = at + EPB_HEAD + size
    pad = -size & 3
    if pad:
        buffer[data_end : data_end + pad] = b"\0\0\0"[:pad]
    tail = data_end + pad
    if pid:
        _pid_option(buffer, tail, _OPT_PROCESS, 8, pid, pid, 0, 0)
        tail += 16
    total = tail + 4 - at
    _epb(buffer, at, EPB, total, 0, time >> 32, time & 0xFFFFFFFF, size, size)
    _u32(buffer, tail, total)
    return total


def frame(time: int, data: bytes | memoryview, pid: int = 0, whole: int = 0, interface: int = 0) -> bytes:
    """An enhanced packet block; whole: bytes the packet had, where that is more than there are here."""
    size = len(data)
    room = bytearray(EPB_HEAD + size + EPB_TAIL_MAX)
    room[EPB_HEAD : EPB_HEAD + size] = data
    total = end_frame(memoryview(room), 0, size, time, pid)
    if whole > size:
        _u32(room, EPB_HEAD - 4, whole)
    if interface:
        _u32(room, 8, interface)
    return bytes(room[:total])


def secrets(value: Secrets) -> bytes:
    """A decryption secrets block; its comment says where the secrets came from."""
    body = struct.pack("<II", _TLS_KEYLOG, len(value.text)) + value.text + bytes(-len(value.text) % 4)
    if value.pid or value.source:
        body += option(_COMMENT, f"hark pid={value.pid} source={value.source}".encode()) + bytes(4)
    return block(DSB, body)


def process(value: Process) -> bytes:
    """A process as Wireshark's process information block; its comment has the TLS libraries."""
    import json  # 3 ms that a start need not wait for

    body = struct.pack("<III", _WIRESHARK_PEN, _PROCESS_ENTRY, value.pid)
    body += option(2, value.name.encode(errors="surrogateescape"))
    body += option(3, value.exe.encode(errors="surrogateescape"))
    body += option(4, "\0".join(value.cmdline).encode(errors="surrogateescape"))
    body += option(5, struct.pack("<I", value.ppid)) + option(6, struct.pack("<I", value.uid & 0xFFFFFFFF))
    body += option(9, struct.pack("<Q", value.start))
    comment = json.dumps({"time": value.time, "tls": value.tls})
    return block(CUSTOM, body + option(_COMMENT, comment.encode()) + bytes(4))


def loss(value: Loss) -> bytes:
    """A note of something that could not be recorded."""
    import json

    text = json.dumps({"what": value.what, "amount": value.amount, "why": value.why})
    return block(LOSS, struct.pack("<QI", value.time, len(text)) + text.encode())


def note(value: Note) -> bytes:
    """A note on a connection."""
    import json

    text = json.dumps({"kind": value.kind, "fields": dict(value.fields)}).encode()
    return block(NOTE, struct.pack("<QII", value.time, len(value.ends), len(text)) + value.ends + text)


def names(value: Names) -> bytes:
    """A name resolution block."""
    records = b""
    for address, name in value.entries:
        packed = ip.packed(address)
        body = packed + name.encode() + b"\0"
        records += struct.pack("<HH", 1 if len(packed) == 4 else 2, len(body)) + body + bytes(-len(body) % 4)
    return block(NRB, records + bytes(4))


def encode(value: Block) -> bytes:
    """The block of any recorded value, of a Frame one on interface 0. There is none of a Torn, which is not part of a
    recording, and of an Entry, whose packets nobody knows."""
    match value:
        case Frame():
            return frame(value.time, value.data, value.pid)
        case Secrets():
            return secrets(value)
        case Process():
            return process(value)
        case Loss():
            return loss(value)
        case Interface():
            return interface(value)
        case Note():
            return note(value)
        case Names():
            return names(value)
        case Torn() | Entry():
            return b""


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
        """Bytes in the block at `at` (which holds 12 at least); 0 where no block can begin."""
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
        """The value of the whole block at `at`; None for a block that hark does not use."""
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
            if code == _OPT_PROCESS and length >= 4:
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
            elif code == 2 and bytes(data[start : start + len(_PLAINTEXT)]) == _PLAINTEXT.encode():
                inside = bytes(data[start + len(_PLAINTEXT) : start + min(length, 80)]).decode(errors="replace")
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
        if kind != _TLS_KEYLOG:
            return None
        if 20 + length > size:
            return Torn(at, "secrets longer than their block")
        pid, source = 0, ""
        for code, start, count in self._options(data, at + 16 + length + (-length & 3), at + size - 4):
            words = bytes(data[start : start + count]).decode("utf-8", "replace").split(" ")
            if code == _COMMENT and len(words) == 3 and words[0] == "hark" and words[1][4:].isdigit():
                pid, source = int(words[1][4:]), words[2].removeprefix("source=")
        return Secrets(bytes(data[at + 16 : at + 16 + length]), pid, source)

    def _custom(self, data: memoryview, at: int, size: int) -> Block | None:
        if size < 24:
            return None
        pen, entry, pid = struct.unpack_from(self._order + "III", data, at + 8)
        if pen != _WIRESHARK_PEN or entry != _PROCESS_ENTRY:
            return None
        found = {c: bytes(data[s : s + n]) for c, s, n in self._options(data, at + 20, at + size - 4)}

        def text(code: int) -> str:
            return found.get(code, b"").decode(errors="surrogateescape")

        def number(code: int, width: str, default: int) -> int:
            raw = found.get(code, b"")
            return int(struct.unpack(self._order + width, raw)[0]) if len(raw) == struct.calcsize(width) else default

        time, tls = _process_comment(found.get(_COMMENT, b""))
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
