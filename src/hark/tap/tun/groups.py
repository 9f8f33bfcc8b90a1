"""Multicast and broadcast that comes in: joined on the host where the program has joined inside.

What   The kernel's lists of memberships (/proc/net/igmp and igmp6 of the namespace) and of UDP sockets say which groups
       are listened to on which ports. For each such pair there is a socket on the host, bound to the group's address.
       They are looked at when a membership report leaves the namespace, and before a datagram is sent to a group.
       After a broadcast, the answers that come by broadcast to its source port are taken as well.
Why    A membership belongs to an interface: the report does not say which socket asked for it.
Echo   What the program sends to a group comes back on the host as well as inside: the copy of the host's is dropped.
Limits MOST sockets. What was sent is remembered for RECENT datagrams.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable

from hark.system.netlink import Diag
from hark.tap.loop import IN, Loop
from hark.tap.tun import udp
from hark.tap.tun.device import Device
from hark.tap.tun.flows import Address
from hark.tap.tun.tun import BATCH, Tun
from hark.wire import ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MOST: Final = 64  # sockets: groups times ports
RECENT: Final = 64  # datagrams to groups whose copy is expected
_ALL_HOSTS: Final = (b"\xe0\0\0\1", bytes.fromhex("ff020000000000000000000000000001"))

Place = tuple[int, bytes, int]  # device number, group, port


class Groups:
    """The groups and broadcasts that the program listens to. `files` are the kernel's lists."""

    def __init__(self, tun: Tun, loop: Loop, diag: Diag, files: list[int]) -> None:
        self._tun = tun
        self._loop = loop
        self._diag = diag
        self._files = files
        self._heard: dict[Place, udp.Heard] = {}
        self._refused: set[Place] = set()  # asked for once, e.g. a port that another program of the host has
        self._sent: deque[tuple[int, bytes]] = deque(maxlen=RECENT)  # source port, payload

    def asked(self, client: Address, server: Address, payload: bytes, device: Device) -> None:
        """The program sends a datagram to a group or by broadcast."""
        self._sent.append((client[1], payload))
        if udp.is_group(server[0]):
            self.changed()
            return
        self._listen((device.number, server[0], client[1]), time.monotonic())

    def changed(self) -> None:
        """Look at the memberships, and join and leave on the host what the program has inside."""
        groups = self._memberships()
        wanted = {(number, group, port) for number, group in groups for port in self._ports(group)} if groups else set()
        for place in [place for place in self._heard if udp.is_group(place[1]) and place not in wanted]:
            self._end(place)
        self._refused &= wanted
        for place in sorted(wanted)[:MOST]:
            self._listen(place, 0.0)

    def sweep(self, now: float) -> None:
        """Give up broadcasts that nobody asked for lately; `now` is time.monotonic()."""
        for place, heard in list(self._heard.items()):
            if not udp.is_group(place[1]) and now - heard.used > udp.IDLE:
                self._end(place)

    def _memberships(self) -> set[tuple[int, bytes]]:
        """(device number, group)."""
        indexes = {os.fsencode(device.name): device.number for device in self._tun.devices}
        found = set()
        for fd in self._files:
            device = b""
            for line in os.pread(fd, 1 << 16, 0).splitlines():
                words = line.split()
                if len(words) >= 5 and len(words[2]) == 32:  # igmp6: index, device, group, …
                    device, group = words[1], bytes.fromhex(words[2].decode())
                elif line[:1] != b"\t" and len(words) > 2:  # igmp: index, device, …; then its groups
                    device = words[1].rstrip(b":")
                    continue
                elif words and len(words[0]) == 8:
                    group = bytes.fromhex(words[0].decode())[::-1]
                else:
                    continue
                if device in indexes and group not in _ALL_HOSTS and group[:13] != _SOLICITED and group[:2] != _NODE:
                    found.add((indexes[device], group))
        return found

    def _ports(self, group: bytes) -> list[int]:
        """The ports on which sockets of the program would take what is sent to the group."""
        any_address = (bytes(4), bytes(16))
        return [port for address, port in self._diag.udp_sockets() if address in any_address or address == group]

    def _listen(self, place: Place, now: float) -> None:
        heard = self._heard.get(place)
        if heard is None:
            if len(self._heard) >= MOST or place in self._refused:
                return
            device = next(device for device in self._tun.devices if device.number == place[0])
            try:
                heard = udp.Heard(place[1:], device)
            except OSError as error:
                self._refused.add(place)
                self._tun.rec.loss("datagram", 1, f"listening to {udp.host_address(place[1])}: {error.strerror}")
                return
            self._heard[place] = heard
            self._loop.add(heard.fileno(), IN, self._reader(place, heard))
        heard.used = now

    def _reader(self, place: Place, heard: udp.Heard) -> Callable[[int], None]:
        def ready(event: int) -> None:
            try:
                for _ in range(BATCH):
                    if self._tun.stalled:
                        return
                    source, data, ttl = heard.receive()
                    if self._tun.is_own(source[0]) and (source[1], data) in self._sent:
                        self._sent.remove((source[1], data))  # our own, which the kernel inside has looped already
                        continue
                    group, port = heard.address
                    self._tun.answer(ip.udp_packet(source[0], group, source[1], port, data, ttl), heard.device)
            except BlockingIOError:
                return
            except OSError as error:
                self._tun.rec.loss("datagram", 1, f"{error.strerror}")
                self._end(place)

        return ready

    def _end(self, place: Place) -> None:
        heard = self._heard.pop(place)
        self._loop.remove(heard.fileno())
        heard.close()


_NODE: Final = b"\xff\1"  # groups that do not leave the node
_SOLICITED: Final = bytes.fromhex("ff0200000000000000000001ff")  # of neighbour discovery (RFC 4291 §2.7.1)
