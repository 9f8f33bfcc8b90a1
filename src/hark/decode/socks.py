"""SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): the handshake in front of a tunnel.

What   Reads what client and server agree on as far as it takes to know where the tunnel begins; then what is inside
       takes over, a channel whose protocol is found out anew.
Limits The handshake's own sizes: a few hundred bytes. What cannot be one ends the telling.
"""

from collections.abc import Callable, Sequence
from typing import Final

from hark.decode.endings import Ending, How
from hark.decode.events import Event, Side
from hark.decode.layer import Layer

_MORE: Final = -1
_NO_AUTH: Final = 0
_PASSWORD: Final = 2


class Socks:
    """A connection to a SOCKS proxy. `inside` makes the layer for the tunnel."""

    def __init__(self, version: int, inside: Callable[[], Layer]) -> None:
        self._make = inside
        self._inside: Layer | None = None
        self._buffers = [b"", b""]
        # What is still to come from each side, in its order; the tunnel begins when both are done.
        self._steps: list[list[Callable[[bytes], int]]] = (
            [[_request4], [lambda data: 8 if len(data) >= 8 else _MORE]]
            if version == 4
            else [[_greeting], [self._method]]
        )
        self._broken = False

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        if self._inside is not None:
            return self._inside.feed(side, data, time)
        if self._broken:
            return ()
        self._buffers[side] += bytes(data)
        self._advance(side)
        if self._steps[0] or self._steps[1] or self._broken:
            return ()
        self._inside = self._make()
        out: list[Event] = []
        for who in (Side.CLIENT, Side.SERVER):
            if self._buffers[who]:
                out.extend(self._inside.feed(who, self._buffers[who], time))
        return out

    def _advance(self, side: Side) -> None:
        steps = self._steps[side]
        while steps:
            try:
                taken = steps[0](self._buffers[side])
            except ValueError:
                self._broken = True
                return
            if taken == _MORE:
                self._broken = len(self._buffers[side]) > 1024
                return
            self._buffers[side] = self._buffers[side][taken:]
            steps.pop(0)

    def _method(self, data: bytes) -> int:
        """The server's choice of method, which says what is still to come (RFC 1928 §3)."""
        if len(data) < 2:
            return _MORE
        if data[0] != 5 or data[1] not in (_NO_AUTH, _PASSWORD):
            raise ValueError("a method that is not followed")
        client, server = self._steps
        if data[1] == _PASSWORD:
            client.append(_password)
            server.append(lambda answer: 2 if len(answer) >= 2 else _MORE)
        client.append(_address5)
        server.append(_address5)
        self._advance(Side.CLIENT)
        return 2

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes by `side` are missing."""
        if self._inside is not None:
            return self._inside.lost(side, size, time)
        self._broken = True
        return ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more."""
        return self._inside.end(side, how, time) if self._inside is not None else ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        return self._inside.close(ending) if self._inside is not None else ()


def _greeting(data: bytes) -> int:
    return 2 + data[1] if len(data) >= 2 and len(data) >= 2 + data[1] else _MORE


def _password(data: bytes) -> int:
    """RFC 1929 §2: version, user name, password."""
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
    """Version, command, port, address, user; with an address of 0.0.0.x the host's name too (SOCKS 4a)."""
    end = data.find(b"\0", 8)
    if end < 0:
        return _MORE
    if data[4:7] == b"\0\0\0" and data[7]:
        end = data.find(b"\0", end + 1)
    return end + 1 if end >= 0 else _MORE
