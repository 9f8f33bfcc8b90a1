"""A test in namespaces of its own: the network of the machine, its processes and mounts stay as they are.

@alone runs the test in a forked child, in a network and mount namespace (and, but for root, a user namespace) that are
gone with it. Its network is lo, and eth0 with 192.0.2.10/24 and 2001:db8:1::10/64: a TAP, whose packets nobody reads but
a test that plays another host (`wire`).
"""

import functools
import os
import signal
import socket
import struct
import subprocess
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from hark.system import kernel
from hark.system.netlink import CREATE, EXCL, NEWADDR, Route, attribute
from hark.tap.namespace import idmap, mirror
from hark.tap.tun.network import Link

ADDRESS4, ADDRESS6 = "192.0.2.10", "2001:db8:1::10"
MAC = bytes.fromhex("020000000a0a")
INDEX = 7  # eth0's
wire: list[int] = []  # eth0's other end: a virtio header of 10 bytes, an Ethernet one of 14, the packet
_CAP_NET_ADMIN = 12
_SECONDS = 60  # that a test may take
_MOST = 60_000  # bytes of a traceback: what a pipe takes at once


def alone(test: Callable[..., None]) -> Callable[..., None]:
    """The test, run in namespaces of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                signal.alarm(_SECONDS)
                _enter()
                test(*args, **named)
                status = 0
            except BaseException:
                os.write(writer, traceback.format_exc().encode()[-_MOST:])
            finally:
                os._exit(status)
        os.close(writer)
        status = os.waitpid(pid, 0)[1]
        with open(reader, "rb", buffering=0) as said:
            text = (said.read(_MOST) or b"").decode()
        if status:
            pytest.fail(text or f"the test's process ended with status {status:#x}", pytrace=False)

    return run


def _enter() -> None:
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | (kernel.CLONE_NEWUSER if uid else 0))
    if uid:
        idmap.map_self(uid, gid)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    route = Route()
    route.up(1)
    wire.append(mirror.open_device(Link(INDEX, "eth0", MAC)))
    route.up(INDEX, mac=MAC)
    for family, text, prefix in ((socket.AF_INET, ADDRESS4, 24), (socket.AF_INET6, ADDRESS6, 64)):
        address(route, family, text, prefix)
    route.close()


def address(route: Route, family: int, text: str, prefix: int, index: int = INDEX, message: int = NEWADDR) -> None:
    """Give an interface an address, or take it (DELADDR)."""
    packed = socket.inet_pton(family, text)
    nodad = 2 if family == socket.AF_INET6 else 0
    body = struct.pack("=BBBBi", family, prefix, nodad, 0, index) + attribute(2, packed) + attribute(1, packed)
    route.call(message, CREATE | EXCL if message == NEWADDR else 0, body, f"address {text}")


def ip(*words: str) -> None:
    """The `ip` command, with the power over this namespace that an exec would take from an ordinary user."""
    subprocess.run(["ip", *words], check=True, preexec_fn=lambda: kernel.keep_capabilities(_CAP_NET_ADMIN))
