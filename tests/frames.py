"""Packets made by hand, for tests of what carries them."""

import struct

from hark.recording import blocks
from hark.recording.blocks import Frame


def segment(
    time: int, client: bool, seq: int, payload: bytes, flags: int = 0x18, port: int = 5000, ack: int = 1
) -> Frame:
    """A TCP segment between 10.0.0.1:port and 10.0.0.2:443."""
    ends = [(b"\x0a\0\0\x01", port), (b"\x0a\0\0\x02", 443)]
    (src, sport), (dst, dport) = ends if client else ends[::-1]
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 1000, 0, 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + src + dst
    data = head + tcp
    return Frame(time, blocks.RAW, memoryview(data), 0, len(data))
