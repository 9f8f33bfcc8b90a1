"""pcapng blocks as hark writes them (draft-ietf-opsawg-pcapng): numbers of the format, values to bytes.

What   An encoder for each kind of block. parser.py reads them, and those of other tools.
How    hark's own facts travel in blocks that other readers skip: a process in Wireshark's custom block (PEN 32622,
       entry type 3), a loss and a note on a connection in block types of the local range (high bit set).
"""

from __future__ import annotations

import struct

from hark.recording import blocks
from hark.recording.blocks import Block, Entry, Frame, Interface, Loss, Names, Note, Process, Secrets, Torn
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SHB: Final = 0x0A0D0D0A
IDB: Final = 1
PB: Final = 2
SPB: Final = 3
NRB: Final = 4
ISB: Final = 5
EPB: Final = 6
DSB: Final = 10
CUSTOM: Final = 0xBAD
LOSS: Final = 0x80686B01
NOTE: Final = 0x80686B02
EPB_HEAD: Final = 28  # bytes in front of an enhanced packet block's data
EPB_TAIL_MAX: Final = 3 + 16 + 4 + 4  # padding, the pid option with its end, the length once more

_MAGIC: Final = 0x1A2B3C4D
TLS_KEYLOG: Final = 0x544C534B
WIRESHARK_PEN: Final = 32622
PROCESS_ENTRY: Final = 3
OPT_PROCESS: Final = 8
COMMENT: Final = 1
PLAINTEXT: Final = "hark plaintext "  # how the names of interfaces for plaintext begin

_epb = struct.Struct("<IIIIIII").pack_into
_u32 = struct.Struct("<I").pack_into
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
    return _described(f"{PLAINTEXT}{value.inside}")


def end_frame(buffer: memoryview, at: int, size: int, time: int, pid: int) -> int:
    """Dress `size` bytes of packet, already standing at `at` + EPB_HEAD, as an enhanced packet block.

    The hot path: nothing is copied. Returns the block's whole length in bytes."""
    data_end = at + EPB_HEAD + size
    pad = -size & 3
    if pad:
        buffer[data_end : data_end + pad] = b"\0\0\0"[:pad]
    tail = data_end + pad
    if pid:
        _pid_option(buffer, tail, OPT_PROCESS, 8, pid, pid, 0, 0)
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
    body = struct.pack("<II", TLS_KEYLOG, len(value.text)) + value.text + bytes(-len(value.text) % 4)
    if value.pid or value.source:
        body += option(COMMENT, f"hark pid={value.pid} source={value.source}".encode()) + bytes(4)
    return block(DSB, body)


def process(value: Process) -> bytes:
    """A process as Wireshark's process information block; its comment has the TLS libraries."""
    import json  # 3 ms that a start need not wait for

    body = struct.pack("<III", WIRESHARK_PEN, PROCESS_ENTRY, value.pid)
    body += option(2, value.name.encode(errors="surrogateescape"))
    body += option(3, value.exe.encode(errors="surrogateescape"))
    body += option(4, "\0".join(value.cmdline).encode(errors="surrogateescape"))
    body += option(5, struct.pack("<I", value.ppid)) + option(6, struct.pack("<I", value.uid & 0xFFFFFFFF))
    body += option(9, struct.pack("<Q", value.start))
    comment = json.dumps({"time": value.time, "tls": value.tls})
    return block(CUSTOM, body + option(COMMENT, comment.encode()) + bytes(4))


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
