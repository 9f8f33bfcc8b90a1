"""QUIC, as far as hark can tell it today: that it is there, between whom, and how much of it.

What   Flows of datagrams that begin with a QUIC long header of a known version (RFC 9000 §17.2, RFC 9369 §3.1).
Why    Nothing that a program does may pass in silence: HTTP/3 that is not decoded is told as closed.
Limits QUIC_FLOWS at a time; past that the oldest is told and forgotten.
"""

from collections.abc import Callable

from hark.decode import limits
from hark.decode.events import Closed, Event, Opened, Sealed

_VERSIONS = {b"\0\0\0\1": "QUIC v1", b"\x6b\x33\x43\xcf": "QUIC v2"}
WHY = "HTTP/3 is not decoded yet"

End = tuple[str, int]


class _Flow:
    __slots__ = ("client", "number", "received", "sent", "version")

    def __init__(self, number: int, client: End, version: str) -> None:
        self.number = number
        self.client = client
        self.version = version
        self.sent = 0
        self.received = 0


class Flows:
    """Feed it every datagram that is not something else. `number` gives the next connection's number."""

    def __init__(self, number: Callable[[], int]) -> None:
        self._number = number
        self._flows: dict[tuple[End, End], _Flow] = {}

    def feed(self, source: End, target: End, data: memoryview, time: int, pid: int) -> list[Event]:
        """One datagram's payload."""
        out: list[Event] = []
        key = (min(source, target), max(source, target))
        flow = self._flows.get(key)
        if flow is None:
            version = _VERSIONS.get(bytes(data[1:5])) if len(data) >= 1200 and data[0] & 0xC0 == 0xC0 else None
            if version is None:
                return out  # RFC 9000 §14.1: a client's first datagram has 1200 bytes at least
            flow = self._flows[key] = _Flow(self._number(), source, version)
            out.append(Opened(flow.number, time, source, target, pid))
            if len(self._flows) > limits.QUIC_FLOWS:
                out += self._tell(next(iter(self._flows)), time)
        if source == flow.client:
            flow.sent += len(data)
        else:
            flow.received += len(data)
        return out

    def finish(self, time: int) -> list[Event]:
        """Nothing more will come: tell them all."""
        out: list[Event] = []
        for key in list(self._flows):
            out += self._tell(key, time)
        return out

    def _tell(self, key: tuple[End, End], time: int) -> list[Event]:
        flow = self._flows.pop(key)
        size = flow.sent + flow.received
        return [
            Sealed(flow.number, time, "", flow.version, size, WHY),
            Closed(flow.number, time, "closed", flow.sent, flow.received),
        ]
