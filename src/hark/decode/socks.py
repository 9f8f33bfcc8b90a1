"""SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): the handshake before a tunnel.

What   Reads the handshake as far as needed to find where the tunnel begins; then a channel takes over, which detects
       the tunnel's protocol.
Limits The handshake's own sizes: a few hundred bytes. After what cannot be a handshake the connection is not decoded.
"""

from collections.abc import Callable, Sequence
from typing import Final

from hark.decode.endings import Ending, How
from hark.decode.events import Event, Side
from hark.decode.layer import Data, Layer

_MORE: Final = -1  # a message is not complete
_NO_AUTH: Final = 0
_PASSWORD: Final = 2
_MESSAGE_MAX: Final = 1024  # bytes of a message, more than any of the formats allows


class Socks(Layer):
    """A connection to a SOCKS proxy. make_inside: creates the layer for the tunnel."""

    def __init__(self, version: int, make_inside: Callable[[], Layer]) -> None:
        self._make_inside = make_inside
        self._inside: Layer | None = None
        self._buffers = [b"", b""]
        # Messages that are still to come from each side, in order; the tunnel begins after the last ones. Each function
        # returns a message's size in bytes, or _MORE, and raises ValueError if it cannot be one.
        self._steps: list[list[Callable[[bytes], int]]] = (
            [[_request4], [lambda data: 8 if len(data) >= 8 else _MORE]]
            if version == 4
            else [[_greeting], [self._method]]
        )
        self._broken = False

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        if self._inside is not None:
            return self._inside.feed(side, data, time)
        if self._broken:
            return ()
        self._buffers[side] += bytes(data)
        self._advance(side)
        if self._steps[0] or self._steps[1] or self._broken:
            return ()
        self._inside = self._make_inside()
        out: list[Event] = []
        for sender in (Side.CLIENT, Side.SERVER):
            if self._buffers[sender]:
                out.extend(self._inside.feed(sender, self._buffers[sender], time))
        return out

    def _advance(self, side: Side) -> None:
        steps = self._steps[side]
        while steps:
            try:
                size = steps[0](self._buffers[side])
            except ValueError:
                self._broken = True
                return
            if size == _MORE:
                self._broken = len(self._buffers[side]) > _MESSAGE_MAX
                return
            self._buffers[side] = self._buffers[side][size:]
            steps.pop(0)

    def _method(self, data: bytes) -> int:
        """The server's choice of method, which decides which messages follow (RFC 1928 §3)."""
        if len(data) < 2:
            return _MORE
        if data[0] != 5 or data[1] not in (_NO_AUTH, _PASSWORD):
            raise ValueError("a method that is not decoded")
        client, server = self._steps
        if data[1] == _PASSWORD:
            client.append(_password)
            server.append(lambda answer: 2 if len(answer) >= 2 else _MORE)
        client.append(_address5)
        server.append(_address5)
        self._advance(Side.CLIENT)
        return 2

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes of `side` are missing."""
        if self._inside is not None:
            return self._inside.lost(side, size, time)
        self._broken = True
        return ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` has ended its direction."""
        return self._inside.end(side, how, time) if self._inside is not None else ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        return self._inside.close(ending) if self._inside is not None else ()


def _greeting(data: bytes) -> int:
    """Version and methods (RFC 1928 §3)."""
    return 2 + data[1] if len(data) >= 2 and len(data) >= 2 + data[1] else _MORE


def _password(data: bytes) -> int:
    """Version, user name, password (RFC 1929 §2)."""
    if len(data) < 2:
        return _MORE
    user = 2 + data[1]
    return user + 1 + data[user] if len(data) > user and len(data) >= user + 1 + data[user] else _MORE


def _address5(data: bytes) -> int:
    """A request or a reply: version, command or status, reserved, address, port (RFC 1928 §4, §6)."""
    if len(data) < 5:
        return _MORE
    sizes = {1: 4, 3: 1 + data[4], 4: 16}
    if data[0] != 5 or data[3] not in sizes:
        raise ValueError("no address")
    size = 4 + sizes[data[3]] + 2
    return size if len(data) >= size else _MORE


def _request4(data: bytes) -> int:
    """Version, command, port, address, user; with an address of 0.0.0.x also the host's name (SOCKS 4a)."""
    end = data.find(b"\0", 8)
    if end < 0:
        return _MORE
    if data[4:7] == b"\0\0\0" and data[7]:
        end = data.find(b"\0", end + 1)
    return end + 1 if end >= 0 else _MORE
