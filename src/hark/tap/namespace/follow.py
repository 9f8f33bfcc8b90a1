"""Keeps the namespace's addresses, routes and rules those of the host while the program runs.

What   The kernel reports changes; when they have settled, the host is read again and the difference applied.
Why    A laptop changes its network under a program that runs for days; what the program can reach changes with it.
How    hark made the namespace's user namespace, and so has every capability over it; the netlink socket through
       which it works was opened inside.
Limits An interface that comes later has no device of its own: its addresses and routes go to the first one. Changes
       are looked at SETTLE seconds after the first of them.
"""

from __future__ import annotations

import os
import socket

from hark.system.netlink import GETLINK, Route, attributes
from hark.tap.loop import IN, Loop
from hark.tap.namespace import host, mirror
from hark.tap.tun.network import Network
from hark.tap.tun.tun import Tun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SETTLE: Final = 0.2  # s: a new connection to a network is some ten messages
# RTMGRP_: addresses, routes and rules of IPv4 and IPv6
_GROUPS: Final = 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000


class Follower:
    """Follows the host's network. `inside` is a netlink socket of the namespace."""

    def __init__(self, loop: Loop, tun: Tun, network: Network, inside: int) -> None:
        self._tun = tun
        self._network = network
        self._route = Route(socket.socket(fileno=inside))
        self._changes = Route.open(_GROUPS)
        self._changes.setblocking(False)
        self._loop = loop
        self._waits = False
        loop.add(self._changes.fileno(), IN, self._changed)

    def _changed(self, event: int) -> None:
        try:
            while self._changes.recv(1 << 16):
                pass
        except BlockingIOError:
            pass  # all of them are read
        except OSError:
            pass  # some were lost for want of room: the look sees what came of them
        if not self._waits:
            self._waits = True
            self._loop.later(SETTLE, self._look)

    def _look(self) -> None:
        self._waits = False
        try:
            new = host.look(os.getuid())
            if new != self._network:
                self._follow(new)
        except OSError as error:
            self._tun.rec.loss("network", 1, f"the host's network has changed and could not be read: {error.strerror}")

    def _follow(self, new: Network) -> None:
        inside = {}
        for body in self._route.dump(GETLINK, bytes(16)):
            name = attributes(body, 16)[3].rstrip(b"\0").decode(errors="surrogateescape")
            inside[name] = int.from_bytes(body[4:8], "little")
        indexes = {device.index: inside[device.name] for device in self._tun.devices if device.name in inside}
        mirror.update(self._route, self._network, new, inside[self._tun.devices[0].name], indexes)
        self._network = new
        self._tun.moved(new)
