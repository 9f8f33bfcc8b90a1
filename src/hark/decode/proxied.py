"""The PROXY protocol, versions 1 and 2: a header by which a proxy tells whom it speaks for (HAProxy's specification).

What   Takes the header off the client's first bytes, tells the addresses in it, and hands on what follows.
Limits 107 bytes of a version 1 header, 64 KiB of a version 2 header: the formats' own.
"""

from collections.abc import Sequence
from typing import Final

from hark.decode.events import Event, Proxied, Side
from hark.decode.layer import Layer
from hark.wire import ip

V1: Final = b"PROXY "
V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V1_MAX: Final = 107


def header(data: bytes) -> tuple[int, str, int, str, int] | None:
    """(size, client, its port, server, its port) of the header at the start; a size of 0 where it is not whole, empty
    addresses where it names none; None where there is no header."""
    if V1.startswith(data) or V2.startswith(data):
        return 0, "", 0, "", 0
    if data.startswith(V2):
        if len(data) < 16 or len(data) < 16 + int.from_bytes(data[14:16], "big"):
            return 0, "", 0, "", 0
        size = 16 + int.from_bytes(data[14:16], "big")
        width = {0x11: 4, 0x21: 16}.get(data[13], 0) if data[12] == 0x21 else 0
        if not width or size < 16 + 2 * width + 4:
            return size, "", 0, "", 0
        at = 16 + 2 * width
        ports = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        return size, ip.text(data[16 : 16 + width]), ports[0], ip.text(data[16 + width : at]), ports[1]
    if not data.startswith(V1):
        return None
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        return (0, "", 0, "", 0) if len(data) < _V1_MAX else None
    words = data[:end].decode("ascii", "replace").split(" ")
    if len(words) == 6 and words[1] in ("TCP4", "TCP6") and words[4].isdigit() and words[5].isdigit():
        return end + 2, words[2], int(words[4]), words[3], int(words[5])
    return (end + 2, "", 0, "", 0) if words[1] == "UNKNOWN" else None


class Header:
    """The header, then what is inside."""

    def __init__(self, number: int, inside: Layer) -> None:
        self._number = number
        self._inside = inside
        self._buffer = b""
        self._done = False
        self.lost = inside.lost
        self.end = inside.end
        self.close = inside.close

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        if self._done or side == Side.SERVER:
            return self._inside.feed(side, data, time)
        self._buffer += bytes(data)
        found = header(self._buffer)
        if found is not None and not found[0]:
            return ()
        self._done = True
        size, client, port, server, server_port = found or (0, "", 0, "", 0)
        out: list[Event] = []
        if client:
            out.append(Proxied(self._number, time, (client, port), (server, server_port)))
        rest, self._buffer = self._buffer[size:], b""
        out.extend(self._inside.feed(side, rest, time) if rest else ())
        return out
