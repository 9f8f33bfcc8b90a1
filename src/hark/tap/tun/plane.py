"""All that carries the packets of one network namespace, as a tap for the capture loop.

What   Makes the parts, and calls each when its descriptors have something: tun.py, tcp.py, datagrams.py.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from hark.system.netlink import Diag
from hark.tap.loop import Loop
from hark.tap.recorder import Recorder
from hark.tap.tun.connections import Connections
from hark.tap.tun.datagrams import Datagrams
from hark.tap.tun.decisions import Decisions
from hark.tap.tun.fragments import Fragments
from hark.tap.tun.groups import Groups
from hark.tap.tun.nat import Nat
from hark.tap.tun.network import HERE4, HERE6, LISTEN_PORT, Network
from hark.tap.tun.owners import Owners
from hark.tap.tun.tun import BATCH, Tun
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_SWEEP: Final = 5.0  # s between looks for datagram endpoints that are no longer used
_IGMP: Final = 2


class Plane:
    """Runs the namespace's traffic. `files` are descriptors by name, `network` what is in it."""

    def __init__(
        self,
        files: Mapping[str, int],
        network: Network,
        loop: Loop,
        recorder: Recorder,
        decisions: Decisions,
    ) -> None:
        self._recorder = recorder
        nat = Nat(HERE4, HERE6, LISTEN_PORT)
        diag = Diag(socket.socket(fileno=files["diag"]))
        self._owners = Owners(diag, os.readlink(f"/proc/self/fd/{files['network']}"), recorder.block)
        self.tun = Tun(files, network, loop, recorder, nat.turns)
        listeners = [files[name] for name in ("listener4", "listener6") if files[name] >= 0]
        self._tcp = Connections(self.tun, loop, self._owners, nat, listeners, decisions)
        lists = [files[name] for name in ("igmp", "igmp6") if files[name] >= 0]
        groups = Groups(self.tun, loop, diag, lists)
        self._datagrams = Datagrams(self.tun, loop, self._owners, groups, decisions)
        self._fragments = Fragments()
        self.tun.slow, self.tun.ended, self.tun.notice = self._slow, self._tcp.ended, self._tcp.notice
        self._swept = 0.0
        self._scans = self._owners.scans
        self._lo = socket.socket(fileno=files["heard"]) if files["heard"] >= 0 else None
        if self._lo is not None:
            self.tun.watch(files["heard"], self._on_lo)

    def pause(self) -> float:
        """Seconds that the loop may wait: none while processes are still to be looked at."""
        return 0.0 if self._scans else 1.0

    def idle(self) -> None:
        """Look at one more process."""
        if self._scans:
            self._owners.idle()

    def tick(self, now: float) -> None:
        """Forget what has had its time; `now` is time.monotonic()."""
        self._tcp.tick(now)
        if now - self._swept > _SWEEP:
            self._swept = now
            self._datagrams.sweep(now)

    def resume(self) -> None:
        """Read packets again, where that had stopped for want of room."""
        self.tun.resume()

    def settled(self) -> bool:
        """Whether nothing that the program sent is still on its way."""
        return self._tcp.settled()

    def finish(self) -> None:
        """Record the processes that are still to be looked at."""
        self._owners.last()

    def _slow(self, data: bytes) -> None:
        packet = ip.parse(data)
        if packet is None:
            return
        if packet.fragment is not None:
            whole = self._fragments.feed(packet, memoryview(data))
            packet = ip.parse(whole) if whole else None
            if packet is None or whole is None:
                return
            data = whole
        if packet.proto == ip.TCP:
            self._tcp.packet(packet, data)
        elif packet.proto == ip.UDP:
            self._datagrams.take_udp(packet, data)
        elif packet.proto == _IGMP:
            self._datagrams.take_igmp()
        elif packet.proto in (ip.ICMP, ip.ICMPV6):
            self._datagrams.take_icmp(packet, data)

    def _on_lo(self, event: int) -> None:
        """Packets between processes of the tree that the kernel keeps on lo (::1): recorded, not carried."""
        assert self._lo is not None
        for _ in range(BATCH):
            if not self.tun.room():
                return
            try:
                data = self._lo.recv(65600)
            except BlockingIOError:
                return
            packet = ip.parse(data)
            pid = 0
            if packet is not None and packet.proto == ip.TCP:
                segment = ip.tcp(data, packet.start, packet.end)
                if segment is not None and segment.flags & (ip.SYN | ip.ACK) == ip.SYN:
                    ends_of = (packet.src, segment.sport), (packet.dst, segment.dport)
                    pid = self._owners.find(ip.TCP, *ends_of, time.time_ns())
            self._recorder.frame(data, pid)
