"""The one loop of the tapper: TUN packets, relayed connections, datagrams, key sources, the end of the program.

What   Makes the parts, and calls each when its descriptors have something: tun.py, tcp.py, datagrams.py.
Why    One thread, one epoll, no queue between capture and relay: nothing to overtake.
End    When the program has exited and its tree is gone, bytes on their way out are let out, then the loop ends. When
       hark's first process is gone, killed, the tree is ended too: its network lives here.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from hark.recording.ring import Writer
from hark.tap import tree
from hark.tap.loop import IN, Loop
from hark.tap.namespace import mirror, setup, udp
from hark.tap.namespace.datagrams import Datagrams
from hark.tap.namespace.follow import Follower
from hark.tap.namespace.groups import Groups
from hark.tap.namespace.host import Network
from hark.tap.namespace.hostside import HostSide
from hark.tap.namespace.nat import Nat
from hark.tap.namespace.netlink import Diag
from hark.tap.namespace.owners import Owners
from hark.tap.namespace.tcp import Tcp
from hark.tap.namespace.tun import BATCH, Tun
from hark.tap.recorder import Recorder
from hark.wire import ip

_LOOK_MAX = 0.3  # s between looks whether what the program left running has ended
_DRAIN = 3.0  # s without any event after which the end waits for nobody
_IGMP = 2
_KILL, _DETACH, _EXITED = b"kdx"


class KeySource(Protocol):
    """What the pump needs of a key source: something to wait for, and key log lines with who gave them."""

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def read(self) -> list[tuple[bytes, int, str]]:
        """(lines, pid or 0, the source's name) of all that has come."""


class Pump:
    """Runs the namespace's traffic. `files` are setup.ends' descriptors, `network` what stands in it; `control` is the
    socket to hark's first process."""

    def __init__(
        self,
        files: dict[str, int],
        network: Network,
        writer: Writer,
        wake: int,
        control: socket.socket,
        keys: Sequence[tuple[str, Callable[[], KeySource]]],
    ) -> None:
        self._wake = wake
        self._rec = Recorder(writer)
        self._loop = Loop()
        nat = Nat(mirror.HERE4, mirror.HERE6, setup.LISTEN_PORT)
        self._network = os.readlink(f"/proc/self/fd/{files['network']}")
        diag = Diag(socket.socket(fileno=files["diag"]))
        self._owners = Owners(diag, self._network, self._rec.process)
        self._control = control
        self._keys: dict[str, KeySource] = {}
        self._tun = Tun(files, network, self._loop, self._rec, writer, nat.turns)
        listeners = [files[name] for name in ("listener4", "listener6") if files[name] >= 0]
        self._tcp = Tcp(self._tun, self._loop, self._owners, nat, listeners)
        self._follower = Follower(self._loop, self._tun, network, files["route"])
        lists = [files[name] for name in ("igmp", "igmp6") if files[name] >= 0]
        groups = Groups(self._tun, self._loop, diag, lists)
        self._datagrams = Datagrams(self._tun, self._loop, self._owners, groups)
        self._fragments = udp.Fragments()
        self._tun.slow, self._tun.ended, self._tun.notice = self._slow, self._tcp.ended, self._tcp.notice
        self._exited = False  # the program has
        self._detached = False
        self._killed = False
        self._swept = 0.0
        self._patience = 0.01  # s between looks whether the tree is gone
        self._look = 0.0  # when to look again
        self._loop.add(wake, IN, self._on_room)
        self._loop.add(control.fileno(), IN, self._on_control)
        self._lo = socket.socket(fileno=files["heard"]) if files["heard"] >= 0 else None
        if self._lo is not None:
            self._tun.watch(files["heard"], self._on_lo)
        self._host = HostSide(self._loop, files["host"], files["owners"], os.getuid() == 0)
        for name, make in keys:
            self._add_source(name, make)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the tree is gone."""
        quiet_since = time.monotonic()
        while True:
            wait = self._patience if self._exited else 0.0 if self._owners.curious else 1.0
            if self._loop.once(wait):
                quiet_since = time.monotonic()
            elif self._owners.curious:
                self._owners.idle()
            now = time.monotonic()
            self._tcp.tick(now)
            self._follower.tick(now)
            if now - self._swept > 5:
                self._swept = now
                self._datagrams.sweep(now)
            if self._exited and self._over(now - quiet_since):
                break
        for name in list(self._keys):
            self._read_keys(name)
        self._owners.last()
        self._rec.close()

    def _over(self, quiet: float) -> bool:
        """Whether the tree is gone and nothing is on its way out any more."""
        now = time.monotonic()
        if now < self._look:
            return False
        if tree.members(self._network):
            if self._killed:
                tree.end(self._network)
            else:  # orphans may live for days: look less and less often
                self._patience = min(self._patience * 1.2, _LOOK_MAX)
            self._look = now + self._patience
            return False
        if self._killed:
            return True
        return (self._tcp.settled() and quiet > 0.005) or quiet > _DRAIN

    def _on_control(self, event: int) -> None:
        try:
            said = self._control.recv(1)
        except OSError:
            said = b""
        if said == bytes([_EXITED]):
            self._exited = True
        elif said == bytes([_DETACH]):
            self._detached = True
        elif said == bytes([_KILL]) or (not said and not self._detached):
            self._killed = self._exited = True
            tree.end(self._network)
        if not said:
            self._exited = True
            self._loop.remove(self._control.fileno())

    # -- key sources -------------------------------------------------------------------------------------------------

    def _add_source(self, name: str, make: Callable[[], KeySource]) -> None:
        """One more key source. The traffic goes on without one that fails, now or later, which is recorded."""
        try:
            source = make()
            self._loop.add(source.fileno(), IN, lambda event: self._read_keys(name))
        except Exception as error:
            self._source_failed(name, error)
        else:
            self._keys[name] = source

    def _read_keys(self, name: str) -> None:
        source = self._keys[name]
        try:
            found = source.read()
        except Exception as error:
            del self._keys[name]
            self._loop.remove(source.fileno())
            self._source_failed(name, error)
            return
        for text, pid, origin in found:
            self._rec.secrets(text, pid, origin)

    def _source_failed(self, name: str, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        self._rec.loss("source of TLS secrets", 1, f"{name}: {why}")

    # -- packets -----------------------------------------------------------------------------------------------------

    def _on_room(self, event: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        self._tun.resume()

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
        """Packets between processes of the tree that the kernel keeps on lo (::1): heard, not carried."""
        assert self._lo is not None
        for _ in range(BATCH):
            if not self._tun.room():
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
            self._rec.frame(data, pid)
