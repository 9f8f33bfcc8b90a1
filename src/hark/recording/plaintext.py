"""Plaintext of TLS connections as frames: for taps that have what programs read and wrote, and no packets.

What   Each connection is a TCP conversation of made-up packets with the connection's own ends, on an interface of its
       own whose name says how the plaintext was had. What was missed is a jump of the sequence number.
Why    Everything that reads packets reads it: the decoder with its holes and ends, Wireshark, tshark.
Unix   A connection of a Unix socket has made-up ends too, of the discard prefix 100::/64 (RFC 6666), and a note before
       its first packet says which paths they stand for.
Limits The ciphertext of the same connection must not be recorded: it has the same ends.
"""

from __future__ import annotations

from collections.abc import Callable

from hark.recording import pcapng
from hark.recording.blocks import UNIX, Interface, Note
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PIECE: Final = 65000  # bytes in one packet: an IPv4 packet has 65,535 at most
_MASK: Final = 0xFFFFFFFF
_DISCARD: Final = b"\1" + bytes(7)  # the first half of addresses that nobody has
_HTTP: Final = 80  # a port by which Wireshark, too, expects HTTP
_PORTS: Final = 1 << 15  # made-up ports of clients, from this number on
_Packed = tuple[bytes, int]
End = _Packed | str  # a packed address and a port, or a Unix socket: its path, "@NAME" if abstract, "" if none


class Plaintext:
    """An interface. inside: how its plaintext is had, of TLS connections; "" for connections that are not encrypted.
    number: of interfaces before it in the recording, 0 for those that are not encrypted: they have none of their own.
    write: takes encoded blocks."""

    def __init__(self, inside: str, number: int, write: Callable[[bytes], None]) -> None:
        self._number = number
        self._write = write
        self._sockets = 0  # connections of Unix sockets so far
        if inside:
            write(pcapng.interface(Interface(number, inside)))

    def open(self, client: End, server: End, time: int, pid: int = 0, begins: bool = True) -> Stream:
        """A connection; time in ns since the epoch. begins: it begins here; otherwise it was there before. Raises
        TypeError where one end is a Unix socket and the other is not."""
        if isinstance(client, str) and isinstance(server, str):
            ends = self._made_up()
            self._write(pcapng.note(Note(time, _key(*ends), UNIX, (("client", client), ("server", server)))))
        elif isinstance(client, str) or isinstance(server, str):
            raise TypeError("one end is a Unix socket and the other is not")
        else:
            ends = client, server
        return Stream(*ends, time, begins, lambda when, packet: self._frame(when, packet, pid))

    def _made_up(self) -> tuple[_Packed, _Packed]:
        """Ends that no other connection of this interface has, for 2^79 of them."""
        self._sockets += 1
        number = self._number << 32 | self._sockets // _PORTS
        client = _DISCARD + number.to_bytes(8, "big"), _PORTS + self._sockets % _PORTS
        return client, (_DISCARD + bytes(8), _HTTP)

    def _frame(self, time: int, packet: bytes, pid: int) -> None:
        self._write(pcapng.frame(time, packet, pid, interface=self._number))


def _key(client: _Packed, server: _Packed) -> bytes:
    """Ends as a note has them."""
    return client[0] + server[0] + client[1].to_bytes(2, "big") + server[1].to_bytes(2, "big")


class Stream:
    """One connection. Sides are 0 for the client, 1 for the server."""

    def __init__(
        self, client: _Packed, server: _Packed, time: int, begins: bool, frame: Callable[[int, bytes], None]
    ) -> None:
        self._ends = (client, server)
        self._frame = frame
        self._next = [0, 0]  # sequence numbers
        if begins:
            self._packet(0, time, ip.SYN)
            self._next[0] = 1
            self._packet(1, time, ip.SYN | ip.ACK)
        self._next = [1, 1]

    def data(self, side: int, data: bytes, time: int) -> None:
        """A side has sent these bytes; time in ns since the epoch, as of the others."""
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            self._packet(side, time, ip.PSH | ip.ACK, piece)
            self._next[side] = (self._next[side] + len(piece)) & _MASK

    def lost(self, side: int, size: int) -> None:
        """A side has sent `size` bytes that were missed."""
        self._next[side] = (self._next[side] + size) & _MASK

    def end(self, side: int, time: int) -> None:
        """A side will send no more."""
        self._packet(side, time, ip.FIN | ip.ACK)
        self._next[side] = (self._next[side] + 1) & _MASK

    def reset(self, side: int, time: int) -> None:
        """A side has given the connection up."""
        self._packet(side, time, ip.RST | ip.ACK)

    def _packet(self, side: int, time: int, flags: int, data: bytes = b"") -> None:
        source, target = self._ends[side], self._ends[1 - side]
        self._frame(time, ip.tcp_packet(source, target, self._next[side], self._next[1 - side], flags, data))
