"""Builds the namespace from inside, in the child that will become the program.

What   User, network and mount namespaces; a TUN with the default route; loopback TCP and UDP steered into it;
       the sockets that the tapper works with, which go to it as descriptors.
Why    Before the exec this child holds every capability over its own namespaces, so ioctls and netlink do all;
       anything exec'd under the user's own uid has none. The program keeps its uid: the map is the identity.
       Root needs no user namespace, and would lose its power over other users' files in one. What the user may map
       besides (/etc/subuid, /etc/subgid: rootless containers) is mapped onto itself too, by newuidmap from outside.
Limits One address family may be missing on a host; the other then works alone. 127.0.0.0/8 crosses the TUN; ::1
       cannot (the kernel drops it on any interface but lo), so lo is heard by a packet socket instead.
Not    running `ip` (what is exec'd has no capability here), pyroute2 (150 ms).
"""

import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import NamedTuple

from hark.errors import HarkError
from hark.tap import kernel
from hark.tap.namespace import idmap, preload
from hark.tap.namespace.hostside import TABLE_BYTES
from hark.tap.namespace.netlink import LOCAL_TABLE, Diag, Route
from hark.wire import ip

TUN_NAME = b"hark0"
# RFC 2544's benchmark network: never routed, and no host address, so that nothing real is shadowed by it.
NET4 = bytes([198, 18, 104, 0])
HERE4 = NET4[:3] + b"\x01"
# The documentation prefix with "hark": counts as global, so that address selection prefers IPv6 as the host would.
HERE6 = bytes.fromhex("20010db86861726b0000000000000001")
# No ephemeral range and no ordinary program uses tcpmux: a bind to 0.0.0.0 does not meet our listener.
LISTEN_PORT = 1
MTU = 65535  # a TUN's largest: no datagram that a program can send needs fragments
QUEUE = 32768  # packets that wait for us; the default of 500 loses some when 10,000 connections speak at once
KEY_SOCKET = b"\0hark-keys"  # abstract: belongs to the network namespace, so it is reached from a chroot too
HOST_SOCKET = b"\0hark-host"
KEYLOG_NAME = "keylog"

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_OFFLOAD_CSUM_TSO4_TSO6 = 1 | 2 | 4
_SIOCGIFINDEX = 0x8933
_LOOPBACK_TABLE = 100
LOOPBACK_INDEX = 1  # lo's in every network namespace
_IGNORE_OUTGOING = 23
_SOL_PACKET = 263

# What the host has set and programs may notice; a namespace starts with the kernel's defaults.
_MIRRORED = ("net/ipv4/ip_unprivileged_port_start", "net/ipv4/ip_local_port_range", "net/core/somaxconn")


class Host(NamedTuple):
    """What the namespace copies from the host, read before entering it."""

    uid: int
    gid: int
    ipv6: bool
    sysctls: tuple[tuple[str, str], ...]
    private: str  # an empty directory of the installed package: the private tmpfs is mounted over it
    agent: str  # the file of the preloaded agent
    ranges: idmap.Ranges  # of ids that the user may map besides
    shared: bool  # whether mounts below / are passed on to other mount namespaces


def look(private: str, agent: str) -> Host:
    """Read the host's side."""
    found = []
    for name in _MIRRORED:
        try:
            with open(f"/proc/sys/{name}") as file:
                found.append((name, file.read()))
        except OSError:
            continue  # this kernel has no such setting: nothing to mirror
    uid, gid = os.getuid(), os.getgid()
    return Host(uid, gid, _host_has_ipv6(), tuple(found), private, agent, idmap.ranges(uid), _root_is_shared())


def _root_is_shared() -> bool:
    """Whether / is a shared mount, as systemd makes it (mount_namespaces(7)); rootless containers look for it."""
    try:
        with open("/proc/self/mountinfo") as file:
            return any(line.split(" ", 5)[4] == "/" and " shared:" in line for line in file)
    except OSError:
        return False


def _host_has_ipv6() -> bool:
    """Whether the host has any IPv6 address but loopback and link-local ones."""
    try:
        with open("/proc/net/if_inet6") as file:
            return any(line.split()[3] in ("00", "40", "80") for line in file)
    except OSError:
        return False


# Descriptors in the order in which they are handed over.
ENDS = ("tun", "listener4", "listener6", "loopback", "keys", "keylog", "diag", "network", "host", "owners")


def build(host: Host, mapped: Callable[[], bool] = lambda: False) -> list[int]:
    """Enter the namespaces and build all that stands in them; the descriptors named by ENDS (-1: not had here).
    mapped: asks whoever is outside to map the host's ranges of ids, and gives whether that was done.

    Raises HarkError with the reason and a remedy."""
    enter(host, mapped)
    tun = _tun()
    _addresses(host, tun)
    _settings(host)
    keylog, owners = _private(host)
    keys = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    keys.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    keys.bind(KEY_SOCKET)
    network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return [
        tun,
        _listener(HERE4),
        _listener(HERE6) if host.ipv6 else -1,
        _loopback(),
        keys.detach(),
        keylog,
        Diag.open().detach(),
        network,
        _host_side(),
        owners,
    ]


def enter(host: Host, mapped: Callable[[], bool] = lambda: False) -> None:
    """Leave the host's namespaces for new ones, keeping the user's own uid; `mapped` as for build(). Raises
    HarkError."""
    root = host.uid == 0
    keyrings = [] if root else kernel.user_keyrings()
    try:
        kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | (0 if root else kernel.CLONE_NEWUSER))
        if not root and not (host.ranges.usable and mapped()):
            idmap.map_self(host.uid, host.gid)
        kernel.link_keyrings(keyrings)
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        if host.shared:  # as the host's: among the tree's own mount namespaces; nothing comes back to the host
            kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SHARED)
    except OSError as error:
        raise HarkError(
            "cannot make a network namespace",
            error.strerror or str(error),
            "`hark doctor` tells what forbids it and the command that allows it",
        ) from error


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _tun() -> int:
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        remedy = {
            errno.ENOENT: "sudo mkdir -p /dev/net && sudo mknod -m 0666 /dev/net/tun c 10 200",
            errno.EACCES: "sudo chmod 0666 /dev/net/tun",
            errno.ENODEV: "sudo modprobe tun",
        }.get(error.errno or 0, "`hark doctor` tells more")
        raise HarkError("cannot open /dev/net/tun", error.strerror or "", remedy) from error
    try:
        request = struct.pack("16sH22x", TUN_NAME, _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR)
        fcntl.ioctl(tun, _TUNSETIFF, request)
        fcntl.ioctl(tun, _TUNSETOFFLOAD, _OFFLOAD_CSUM_TSO4_TSO6)
    except OSError as error:
        raise HarkError(
            "cannot make a TUN device", error.strerror or "", "`hark doctor` tells what forbids it"
        ) from error
    return tun


def _addresses(host: Host, tun: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name = struct.pack("16s16x", TUN_NAME)
        index = struct.unpack_from("i", fcntl.ioctl(control, _SIOCGIFINDEX, name), 16)[0]
    loopback = b"\x7f\0\0\0"
    route = Route()
    route.up(LOOPBACK_INDEX)
    route.up(index, MTU, QUEUE)
    route.address(index, HERE4, 24)
    route.default(index, socket.AF_INET)
    # Loopback through the TUN: the local table goes behind a rule of ours that catches what is sent to 127.0.0.0/8.
    route.default(index, socket.AF_INET, _LOOPBACK_TABLE, b"\x7f\0\0\x01")
    route.rule(10, LOCAL_TABLE)
    for proto in (ip.TCP, ip.UDP):
        route.rule(5, _LOOPBACK_TABLE, loopback, 8, proto, "lo")
    route.delete_rule(0, LOCAL_TABLE)
    if host.ipv6:
        route.address(index, HERE6, 64)
        route.default(index, socket.AF_INET6)
    route.close()


def _settings(host: Host) -> None:
    device = TUN_NAME.decode()
    wanted = [
        (f"net/ipv4/conf/{device}/route_localnet", "1"),
        (f"net/ipv4/conf/{device}/accept_local", "1"),
        (f"net/ipv4/conf/{device}/rp_filter", "0"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/unix/max_dgram_qlen", "4096"),
        ("net/ipv4/ping_group_range", f"{host.gid} {host.gid}" if host.uid else "0 2147483647"),
    ]
    for name, value in (*wanted, *host.sysctls):
        try:
            _write(f"/proc/sys/{name}", value)
        except OSError as error:
            if name.startswith("net/ipv4/conf"):
                raise HarkError(
                    f"cannot set {name} in the namespace",
                    error.strerror or "",
                    "is /proc/sys mounted read-only here, as in a container?",
                ) from error


def _host_side() -> int:
    """Where the preloaded agent asks what only somebody outside can answer (hostside.py)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as listener:
        listener.bind(HOST_SOCKET)
        listener.listen(4096)
        return listener.detach()


def _private(host: Host) -> tuple[int, int]:
    """Mount the private tmpfs, which only this tree can see, and make the key log and the table of files' owners in
    it. -1 where it is refused."""
    path = f"{host.private}/{KEYLOG_NAME}"
    try:
        kernel.mount("hark", host.private, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=256m")
        preload.fill(host.private, host.agent)
        keylog = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o622)
        os.fchmod(keylog, 0o622)  # others in the tree may add a line, not read one
        owners = os.open(f"{host.private}/owners", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.fchmod(owners, 0o644)
        os.ftruncate(owners, TABLE_BYTES)
        os.pwrite(owners, os.stat("/proc/self/ns/user").st_ino.to_bytes(8, sys.byteorder), 0)
    except OSError:
        return -1, -1  # told by the plan: the programs that need the file stay closed
    return keylog, owners


def _listener(address: bytes) -> int:
    family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((socket.inet_ntop(family, address), LISTEN_PORT))
        listener.listen(4096)
        return listener.detach()


def _loopback() -> int:
    """A packet socket on lo: hears what processes of the tree say to each other over ::1."""
    try:
        # Made without a protocol: binding a socket that has one waits 15 ms for the kernel to let go of it.
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0) as packets:
            packets.bind(("lo", 3))
            packets.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
            return packets.detach()
    except OSError:
        return -1  # heard less, told by the plan
