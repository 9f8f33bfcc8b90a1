"""Puts secrets before the frames that they decrypt.

What   A filter between the ring and everything that follows. A TCP flow whose server side starts with a TLS
       ServerHello is held from that frame on until its secrets have come, then released after them. So is a QUIC flow
       from the server's first datagram on; which client random is its own cannot be seen here without keys, so the
       next complete set of a connection's secrets releases it.
Why    A TLS 1.3 client has its secrets only after the ServerHello, but Wireshark looks for them when it sees that
       frame. Held here, the file opens decrypted everywhere, and because live output follows this same order, a
       replay of the recording is identical.
Limits HOLD_TIME and HOLD_BYTES: a flow without secrets is delayed by that much and no more. Frames of different flows
       may swap places in the file; each flow keeps its own order and every frame its own time.
Not    rewriting the file afterwards: it has to open after kill -9 too.
"""

from __future__ import annotations

from collections.abc import Iterator

from hark.recording import blocks, pcapng
from hark.recording.blocks import Block, Frame, Secrets
from hark.wire import ip, keylog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

HOLD_TIME: Final = 500_000_000  # ns from the ServerHello; a handshake's keys come within a few ms
HOLD_BYTES: Final = 4 << 20  # of frames held for one flow
_FLOWS: Final = 65536  # flows remembered as decided; the oldest half is forgotten past that
_RANDOMS: Final = 65536  # client randoms whose secrets have come, likewise
_QUIC: Final = (b"\0\0\0\1", b"\x6b\x33\x43\xcf")  # versions 1 and 2
_QUIC_FIRST: Final = 1200  # bytes: what a client's first datagram has at least (RFC 9000 §14.1)
_DONE: Final = None  # a flow about which nothing is left to decide

Item = tuple[Block, memoryview | bytes]
_Key = tuple[bytes, bytes]


class _Flow:
    __slots__ = ("bytes", "client", "held", "random", "since")

    def __init__(self, client: bytes) -> None:
        self.client = client  # the end that sent the SYN or the ClientHello
        self.random = b""
        self.held: list[tuple[Frame, bytes]] = []
        self.bytes = 0
        self.since = 0


class Order:
    """feed() each block with its raw bytes; take them back in an order in which the secrets come first."""

    def __init__(self) -> None:
        self._flows: dict[_Key, _Flow | None] = {}
        self._holding: dict[_Key, _Flow] = {}
        self._opened: dict[bytes, int] = {}  # client random -> which of the needed labels have come
        self._full: list[_Key] = []  # flows that hold more than they may
        self._now = 0

    def feed(self, block: Block, raw: memoryview | bytes) -> Iterator[Item]:
        """Blocks that may be passed on now; `raw` is copied where it is held."""
        if type(block) is Frame:
            self._now = max(self._now, block.time)
            if not self._hold(block, raw):
                yield block, raw
        else:
            yield block, raw
            if type(block) is Secrets:
                yield from self._secrets(block)
        if self._holding:
            yield from self.tick(self._now)

    def tick(self, now: int) -> Iterator[Item]:
        """Release what has been held long enough at the time `now` (ns)."""
        while self._full:
            key = self._full.pop()
            if key in self._holding:
                yield from self._release(key, self._holding[key])
        while self._holding:  # in the order of their ServerHellos: the first is the oldest
            key, flow = next(iter(self._holding.items()))
            if now - flow.since <= HOLD_TIME:
                return
            yield from self._release(key, flow)

    def end(self) -> Iterator[Item]:
        """Release everything: nothing more will come."""
        for key, flow in list(self._holding.items()):
            yield from self._release(key, flow)

    def _release(self, key: _Key, flow: _Flow) -> Iterator[Item]:
        del self._holding[key]
        self._flows[key] = _DONE
        for frame, raw in flow.held:
            view = memoryview(raw)
            start = pcapng.EPB_HEAD
            yield frame._replace(data=view[start : start + len(frame.data)]), view
        flow.held = []

    def _secrets(self, block: Secrets) -> Iterator[Item]:
        complete = False
        for secret in keylog.parse(block.text):
            bit = _NEEDED.get(secret.label, 0)
            if bit:
                has = self._opened[secret.client_random] = self._opened.get(secret.client_random, 0) | bit
                complete = complete or has == 3
        if len(self._opened) > _RANDOMS:
            for random in list(self._opened)[: _RANDOMS // 2]:
                del self._opened[random]
        for key, flow in list(self._holding.items()):
            if self._opened.get(flow.random, 0) & 3 == 3 or (complete and not flow.random):
                yield from self._release(key, flow)

    def _hold(self, frame: Frame, raw: memoryview | bytes) -> bool:
        """Whether this frame has to wait; it is then kept."""
        data = frame.data
        if frame.link != blocks.RAW or len(data) < 40:
            return False
        if data[0] == 0x45:
            start, proto = 20, data[9]
            key = (bytes(data[12:16]) + bytes(data[20:22]), bytes(data[16:20]) + bytes(data[22:24]))
        elif data[0] >> 4 == 6 and len(data) >= 60:
            start, proto = 40, data[6]
            key = (bytes(data[8:24]) + bytes(data[40:42]), bytes(data[24:40]) + bytes(data[42:44]))
        else:
            return False
        if proto == ip.UDP:
            return self._hold_datagram(key, frame, raw, start + 8)
        if proto != ip.TCP:
            return False
        sender = key[0]
        if key[0] > key[1]:
            key = (key[1], key[0])
        flags = data[start + 13]
        if flags & (ip.SYN | ip.ACK) == ip.SYN:
            self._flows.pop(key, None)  # a new connection, perhaps on ports used before
            if key in self._holding:
                return self._keep(key, self._holding[key], frame, raw)
        if key not in self._flows:
            if len(self._flows) > _FLOWS:
                for old in [k for k in self._flows if k not in self._holding][: _FLOWS // 2]:
                    del self._flows[old]
            self._flows[key] = _Flow(sender)
        flow = self._flows[key]
        if flow is _DONE:
            return False
        if flow.since:
            return self._keep(key, flow, frame, raw)
        body = start + (data[start + 12] >> 4) * 4
        if body >= len(data):
            return False
        return self._first_bytes(key, flow, frame, raw, data[body : body + 44], sender)

    def _hold_datagram(self, key: _Key, frame: Frame, raw: memoryview | bytes, start: int) -> bool:
        sender = key[0]
        if key[0] > key[1]:
            key = (key[1], key[0])
        flow = self._flows.get(key)
        if flow is _DONE:
            data = frame.data
            version = bytes(data[start + 1 : start + 5])
            if (
                len(data) - start >= _QUIC_FIRST
                and data[start] & 0xC0 == 0xC0
                and version in _QUIC
                and key not in self._flows
            ):
                self._flows[key] = _Flow(sender)
            return False
        if not flow.since:
            if sender == flow.client:
                return False
            flow.since = frame.time
            self._holding[key] = flow
        return self._keep(key, flow, frame, raw)

    def _first_bytes(
        self, key: _Key, flow: _Flow, frame: Frame, raw: memoryview | bytes, start: memoryview, sender: bytes
    ) -> bool:
        """The first data that an end sends shows whether this is TLS."""
        if start[0] != 0x16 or len(start) < 44 or start[1] != 3:
            self._flows[key] = _DONE
            return False
        if start[5] == 1:
            flow.random = bytes(start[11:43])
            return False
        if start[5] != 2 or not flow.random or self._opened.get(flow.random, 0) & 3 == 3:
            self._flows[key] = _DONE
            return False
        flow.since = frame.time
        self._holding[key] = flow
        return self._keep(key, flow, frame, raw)

    def _keep(self, key: _Key, flow: _Flow, frame: Frame, raw: memoryview | bytes) -> bool:
        flow.held.append((frame, bytes(raw)))
        flow.bytes += len(raw)
        if flow.bytes > HOLD_BYTES:
            self._full.append(key)
        return True


_NEEDED: Final = {"CLIENT_RANDOM": 3, "CLIENT_TRAFFIC_SECRET_0": 1, "SERVER_TRAFFIC_SECRET_0": 2}
