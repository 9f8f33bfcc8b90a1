"""The TUN device: every packet that the program sends or gets passes here once.

What   A packet is read straight into the ring, rewritten by the NAT plane and written back; what the program sees is
       what is recorded. What the NAT plane does not know goes to `slow`.
Why    One thread, no queue between capture and relay: nothing to overtake, 20 microseconds a packet.
Stall  When the ring is full (the view is 32 MiB behind) the TUN is left unread until there is room: TCP in the
       namespace then slows the program down, and no byte is lost.
"""

import os
import time
from collections.abc import Callable

from hark.recording import pcapng
from hark.recording.ring import Writer
from hark.tap.loop import IN, Handler, Loop
from hark.tap.namespace import setup
from hark.tap.namespace.nat import Flow, Turn, rewrite
from hark.tap.recorder import Recorder
from hark.wire import ip

BATCH = 64  # packets read before the other descriptors get their turn
VNET = 10  # bytes of the virtio header in front of every TUN packet


class Tun:
    """The device. `slow` takes a packet that is no part of a known TCP connection; `local_end` is called for a FIN or
    RST of a connection inside the namespace, with its flow, the flags, and whether it goes to the client."""

    def __init__(self, fd: int, loop: Loop, rec: Recorder, writer: Writer, turns: dict[bytes, Turn]) -> None:
        self._fd = fd
        self._loop = loop
        self._writer = writer
        self._turns = turns
        self._watched: list[int] = []
        self.rec = rec
        self.vnet = bytearray(VNET)  # the virtio header of the packet that was read last
        self.stalled = False
        self.slow: Callable[[bytes], None] = lambda data: None
        self.local_end: Callable[[Flow, int, bool], None] = lambda flow, flags, inward: None
        self.watch(fd, self._on_packets)

    def watch(self, fd: int, handler: Handler) -> None:
        """Watch a descriptor whose packets go into the ring: left alone while that is full."""
        self._watched.append(fd)
        self._loop.add(fd, IN, handler)

    def room(self) -> bool:
        """Whether the ring takes a packet; where it does not, reading stops until `resume`."""
        if self.rec.catch_up() and self._writer.room():
            return True
        self.stalled = True
        for fd in self._watched:
            self._loop.change(fd, 0)
        return False

    def resume(self) -> None:
        """Read on, where reading had stopped and there is room again."""
        if self.stalled and self.rec.catch_up() and self._writer.room():
            self.stalled = False
            for fd in self._watched:
                self._loop.change(fd, IN)

    def inject(self, packet: bytes, vnet: bytes = bytes(VNET)) -> None:
        """Hand the program a packet."""
        try:
            os.writev(self._fd, (vnet, packet))
        except OSError as error:
            self.rec.loss("packet", 1, f"writing to the TUN: {error.strerror}")

    def answer(self, packet: bytes) -> None:
        """Record a packet of our making and hand it to the program."""
        self.rec.frame(packet)
        self.inject(packet)

    def _on_packets(self, event: int) -> None:
        """The hot path. Offsets are those of an IPv4 header without options, or of an IPv6 header without
        extensions, with TCP behind it; all else takes the slow path."""
        writer, vnet, tun = self._writer, self.vnet, self._fd
        data, turns = writer.data, self._turns
        for _ in range(BATCH):
            if not self.rec.catch_up() or not writer.room():
                self.room()
                return
            at = writer.at
            start = at + pcapng.EPB_HEAD
            try:
                size = os.readv(tun, (vnet, data[start : start + 65536])) - VNET
            except BlockingIOError:
                return
            first = data[start]
            if first == 0x45 and data[start + 9] == ip.TCP:
                head, low, high = 20, 12, 24
            elif first >> 4 == 6 and data[start + 6] == ip.TCP:
                head, low, high = 40, 8, 44
            else:
                self.slow(bytes(data[start : start + size]))
                continue
            turn = turns.get(bytes(data[start + low : start + high]))
            flags = data[start + head + 13]
            if turn is None or flags & 0x12 == ip.SYN:
                self.slow(bytes(data[start : start + size]))
                continue
            if not turn.ends:
                parts: tuple[bytearray | memoryview, ...] = (vnet, data[start : start + size])
            elif turn.inward:
                rewrite(
                    data, start, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum
                )
                parts = (vnet, data[start : start + size])
            else:
                top = head + 20
                copy = bytearray(data[start : start + top])
                rewrite(copy, 0, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum)
                parts = (vnet, copy, data[start + top : start + size])
            try:
                os.writev(tun, parts)
            except OSError as error:
                self.rec.loss("packet", 1, f"writing to the TUN: {error.strerror}")
                continue
            writer.commit(pcapng.end_frame(data, at, size, time.time_ns(), 0))
            if flags & (ip.FIN | ip.RST) and turn.flow.local:
                self.local_end(turn.flow, flags, turn.inward)


def router(target: bytes) -> bytes:
    """The address from which our ICMP errors about a target come."""
    return (setup.HERE6 if len(target) == 16 else setup.HERE4)[:-1] + b"\xfe"
