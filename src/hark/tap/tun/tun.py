"""The devices: every packet that the program sends or gets passes here once.

What   A packet is read straight into the ring, rewritten by the NAT plane and written back; what the program sees is
       what is recorded. What the NAT plane does not know goes to `slow`.
Why    One thread, no queue between capture and relay: nothing to overtake, 20 microseconds a packet.
Device Each of the host's interfaces has a device of its own in the namespace. What came from one goes back through it:
       sockets may be bound to an interface, and link-local addresses belong to one.
Stall  When the ring is full (the decoder is 32 MiB behind) the devices are left unread until there is room: TCP in the
       namespace then slows the program down, and no byte is lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial

from hark.recording import pcapng
from hark.tap.loop import IN, Handler, Loop
from hark.tap.tun.device import Device
from hark.tap.tun.flows import Flow
from hark.tap.tun.nat import Turn, rewrite
from hark.tap.tun.network import HERE4, HERE6, LOOPBACK_INDEX, Link, Network, links
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.tap.recorder import Recorder

BATCH: Final = 64  # packets read before the other descriptors get their turn
QUIET: Final = 500_000_000  # ns: a keep-alive probe comes after seconds without a packet (probes.py)
VNET: Final = 10  # bytes of the virtio header in front of every packet
LOOPBACK6: Final = bytes(15) + b"\1"
_LO_ETHER: Final = bytes(12)  # the Ethernet addresses of a packet that was redirected from lo (mirror.py)
Buffer = bytes | bytearray | memoryview


class Tun:
    """The devices together. `slow` takes a packet that is not part of a known TCP connection; `ended` is called for a
    FIN or RST, with its flow, the flags, and whether it goes to the client; `notice` for a packet of the program that
    has another type of service than the one before, or came after a quiet time: whether it is not to go on."""

    def __init__(
        self,
        files: Mapping[str, int],
        network: Network,
        loop: Loop,
        rec: Recorder,
        turns: dict[bytes, Turn],
    ) -> None:
        self._loop = loop
        self._writer = rec.writer
        self._turns = turns
        self._watched: list[int] = []
        self._own = network.own()
        self._broadcast = network.broadcasts()
        self.rec = rec
        self.vnet = bytearray(VNET)  # the virtio header of the packet that was read last
        self.stalled = False
        self.slow: Callable[[bytes], None] = lambda data: None
        self.ended: Callable[[Flow, int, bool], None] = lambda flow, flags, inward: None
        self.notice: Callable[[Flow, int, bytes], bool] = lambda flow, tos, packet: False
        self.devices = [
            Device(files[f"device{number}"], number, link, bool(link.mac))
            for number, link in enumerate(links(network))
            if files[f"device{number}"] >= 0
        ]
        for device in self.devices:
            self.watch(device.fd, self._reader(device))
        lo = Link(LOOPBACK_INDEX, "lo", bytes(6))
        self.lo = Device(files["loopback"], 0, lo, True) if files["loopback"] >= 0 else None
        self.device = self.devices[0]  # by which answers to the packet that was read last go back

    def moved(self, network: Network) -> None:
        """The host's addresses are others now."""
        self._own, self._broadcast = network.own(), network.broadcasts()

    def is_own(self, address: bytes) -> bool:
        """Whether it is an address of the host itself, so that a process of the tree may listen there."""
        return (address[0] == 127 and len(address) == 4) or address in self._own

    def is_broadcast(self, address: bytes) -> bool:
        """Whether it is the broadcast address of one of the host's networks."""
        return address in self._broadcast

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

    def inject(self, packet: bytes, vnet: bytes | bytearray = bytes(VNET), device: Device | None = None) -> None:
        """Hand the program a packet, by the device that the last one came from where none is named."""
        try:
            (device or self.device).write(vnet, packet)
        except OSError as error:
            self.rec.loss("packet", 1, f"writing to the TUN: {error.strerror}")

    def answer(self, packet: bytes, device: Device | None = None) -> None:
        """Record a packet of our making and hand it to the program."""
        self.rec.frame(packet)
        self.inject(packet, device=device)

    def _reader(self, device: Device) -> Handler:
        return partial(self._on_packets, device)

    def _take(self, data: bytes, device: Device) -> None:
        """The slow path. What was to leave by lo is answered there: for ::1 or from it, or of a socket bound to lo."""
        six = data[0] >> 4 == 6 and (data[24:40] == LOOPBACK6 or data[8:24] == LOOPBACK6)
        by_lo = six or device.scratch.startswith(_LO_ETHER)
        self.device = self.lo if by_lo and self.lo is not None else device
        try:
            self.slow(data)
        except Exception as error:  # a failure that concerns one packet concerns no other
            what = f"{type(error).__name__}: {error}"
            self.rec.loss("packet", 1, f"a fault in hark, please report it: {what}")

    def _on_packets(self, device: Device, event: int) -> None:
        """The hot path. Offsets are those of an IPv4 header without options, or of an IPv6 header without
        extensions, followed by TCP; all else takes the slow path."""
        writer, vnet, fd, scratch, before = self._writer, self.vnet, device.fd, device.scratch, VNET + len(device.four)
        data, turns, catch_up, room, now_ns = writer.data, self._turns, self.rec.catch_up, writer.room, time.time_ns
        for _ in range(BATCH):
            if not catch_up() or not room():
                self.room()
                return
            at = writer.at
            start = at + pcapng.EPB_HEAD
            try:
                size = os.readv(fd, (vnet, scratch, data[start : start + 65536])) - before
            except BlockingIOError:
                return
            now, first = now_ns(), data[start]
            if first == 0x45 and data[start + 9] == ip.TCP:
                head, low, high, ether = 20, 12, 24, device.four
            elif first >> 4 == 6 and data[start + 6] == ip.TCP:
                head, low, high, ether = 40, 8, 44, device.six
            else:
                self._take(bytes(data[start : start + size]), device)
                continue
            turn = turns.get(bytes(data[start + low : start + high]))
            flags = data[start + head + 13]
            if turn is None or flags & 0x12 == ip.SYN:
                self._take(bytes(data[start : start + size]), device)
                continue
            out = fd
            if turn.lo is not None:
                out, ether = turn.lo.fd, turn.lo.four if head == 20 else turn.lo.six
            if not turn.ends:
                parts: tuple[Buffer, ...] = (vnet, ether, data[start : start + size])
            elif turn.inward:
                rewrite(
                    data, start, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum
                )
                parts = (vnet, ether, data[start : start + size])
            else:
                flow = turn.flow
                tos = data[start + 1] if head == 20 else (first << 4 | data[start + 1] >> 4) & 0xFF
                if (tos != flow.tos or now - flow.seen > QUIET) and self.notice(
                    flow, tos, bytes(data[start : start + size])
                ):
                    flow.seen = now
                    writer.commit(pcapng.end_frame(data, at, size, now, 0))
                    continue
                flow.seen = now
                top = head + 20
                copy = bytearray(data[start : start + top])
                rewrite(copy, 0, head, low, high, turn.ends, turn.ip_sum, vnet[0] & 1, turn.partial_sum, turn.whole_sum)
                parts = (vnet, ether, copy, data[start + top : start + size])
            try:
                os.writev(out, parts)
            except OSError as error:
                self.rec.loss("packet", 1, f"writing to the TUN: {error.strerror}")
                continue
            writer.commit(pcapng.end_frame(data, at, size, now, 0))
            if flags & (ip.FIN | ip.RST):
                self.ended(turn.flow, flags, turn.inward)


def router(target: bytes) -> bytes:
    """The address from which our ICMP errors about a target come."""
    return (HERE6 if len(target) == 16 else HERE4)[:-1] + b"\xfe"
