"""IEEE 802.11 frames: where LLC begins in one that is not encrypted, after the headers that capturing adds.

May hold: the parsing of these headers. May not hold: decryption; aggregated frames (of an A-MSDU the first is decoded).
"""

from typing import Final

_RAW: Final = 105
_PRISM: Final = 119
_RADIOTAP: Final = 127
_AVS: Final = 163
_PPI: Final = 192
_PADDED: Final = 0x20  # radiotap's flag: the 802.11 header is padded to 4 bytes
_AVS_MAGIC: Final = 0x80211000


def llc(data: memoryview, link: int) -> int:
    """The offset of LLC; -1 if the frame carries no data, or is encrypted."""
    at, padded = _frame(data, link)
    if at < 0 or at + 24 > len(data) or _kind(data, at) != "data":
        return -1
    first, flags = data[at], data[at + 1]
    start = at
    at += 30 if flags & 3 == 3 else 24  # four addresses where both bits are set: between access points
    if first & 0x80:  # QoS
        block = at < len(data) and data[at] & 0x80
        at += 6 if flags & 0x80 else 2
        if padded:
            at += -(at - start) % 4
        return at + 14 if block else at
    return at + (-(at - start) % 4 if padded else 0)


def name(data: memoryview, link: int) -> str:
    """The kind of a frame without IP."""
    at, _ = _frame(data, link)
    return f"802.11 {_kind(data, at)}" if at >= 0 and at + 2 <= len(data) else "802.11 that cannot be read"


def _kind(data: memoryview, at: int) -> str:
    """ "data" for a frame whose payload can be decoded, else its kind."""
    if data[at] & 0x0C != 0x08 or data[at] & 0x40:
        return "management"  # or control, or without data
    return "encrypted" if data[at + 1] & 0x40 else "data"


def _frame(data: memoryview, link: int) -> tuple[int, bool]:
    """(the offset of the 802.11 header, whether that is padded)."""
    if link == _RAW:
        return 0, False
    if len(data) < 8:
        return -1, False
    if link == _RADIOTAP:
        return _radiotap(data)
    if link == _PPI:  # its length, and the link type of what follows
        size, inside = data[2] | data[3] << 8, int.from_bytes(data[4:8], "little")
        return (size, False) if inside == _RAW else (-1, False)
    magic, size = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    if link == _AVS or magic & 0xFFFFF000 == _AVS_MAGIC:
        return size, False
    length = int.from_bytes(data[4:8], "little")
    return (length if length <= len(data) else size if size <= len(data) else 144), False


def _radiotap(data: memoryview) -> tuple[int, bool]:
    size = data[2] | data[3] << 8
    if data[0] or size > len(data):
        return -1, False
    present = int.from_bytes(data[4:8], "little")
    at = 8
    more = present
    while more >> 31 and at + 4 <= size:  # further words of presence bits
        more = int.from_bytes(data[at : at + 4], "little")
        at += 4
    if present & 1:  # the time, before the flags, aligned to 8
        at = (at + 7 & ~7) + 8
    return size, bool(present & 2 and at < size and data[at] & _PADDED)
