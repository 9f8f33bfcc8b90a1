"""Builds the namespace from inside, in the child that will become the program.

What   User, network and mount namespaces; in them the host's network on devices of ours (mirror.py); the sockets
       that the capture process works with, which get to it as descriptors.
Why    Before the exec this child holds every capability over its own namespaces, so ioctls and netlink do all;
       anything exec'd under the user's own uid has none. The program keeps its uid: the map is the identity.
       Root needs no user namespace, and would lose its power over other users' files in one. What the user may map
       besides (/etc/subuid, /etc/subgid: rootless containers) is mapped onto itself too, by newuidmap from outside.
Limits One address family may be missing on a host; the other then works alone.
Not    running `ip` (what is exec'd has no capability here), pyroute2 (150 ms).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable

from hark.errors import HarkError
from hark.record import Record
from hark.system import kernel
from hark.system.netlink import Diag, Route
from hark.tap import place as places
from hark.tap.namespace import host as hosts
from hark.tap.namespace import idmap, mirror
from hark.tap.tun.network import HERE4, HERE6, LISTEN_PORT, Network, links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

HOST_SOCKET: Final = b"\0hark-host"

_SOL_PACKET: Final = 263
_SO_MARK: Final = 36
# Packet socket options: a virtio header in front; past the qdisc, and so the redirect
_VNET_HEADER: Final = 15
_BYPASS: Final = 20
_IGNORE_OUTGOING: Final = 23
_IPV6_FREEBIND: Final = 78

# What the host has set and programs may notice; a namespace starts with the kernel's defaults.
_MIRRORED: Final = (
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_default_ttl",
    "net/core/somaxconn",
    "net/unix/max_dgram_qlen",
)


class Host(Record):
    """What the namespace copies from the host, read before entering it."""

    uid: int
    gid: int
    network: Network
    sysctls: tuple[tuple[str, str], ...]
    private: str  # an empty directory of the installed package: the private tmpfs is mounted over it
    shared: bool  # whether mounts below / are passed on to other mount namespaces


def look(private: str) -> Host:
    """Read the host's side."""
    found = []
    for name in _MIRRORED:
        try:
            with open(f"/proc/sys/{name}") as file:
                found.append((name, file.read()))
        except OSError:
            continue  # this kernel has no such setting: nothing to mirror
    uid, gid = os.getuid(), os.getgid()
    return Host(uid, gid, hosts.look(uid), tuple(found), private, _root_is_shared())


def _root_is_shared() -> bool:
    """Whether / is a shared mount, as systemd makes it (mount_namespaces(7)); rootless containers look for it."""
    try:
        with open("/proc/self/mountinfo") as file:
            return any(line.split(" ", 5)[4] == "/" and " shared:" in line for line in file)
    except OSError:
        return False


def build(
    host: Host, owner: int = 0, mapped: Callable[[], bool] = lambda: False
) -> tuple[places.Place, dict[str, int]]:
    """Enter the namespaces and build all that is in them: what key sources may use, and the descriptors that the
    tap works with, by name (-1: not had here). owner: a process whose user namespace it is to be, whose ids are being
    mapped; 0: a new one. mapped: waits for that, and gives whether it was done.

    Raises HarkError with the reason and a remedy."""
    finish = enter(host, owner, mapped)
    _settings(host)
    devices = _devices(host)
    shown = links(host.network)
    crosses = mirror.build(host.network, [(n, link) for n, link in enumerate(shown) if devices[n] >= 0])
    finish()
    _ping(host)
    place = places.make(host.private)
    return place, {
        **{f"device{number}": fd for number, fd in enumerate(devices)},
        "listener4": _listener(HERE4),
        "listener6": _listener(HERE6) if host.network.has_six() else -1,
        "loopback": _loopback() if crosses else -1,
        "heard": -1 if crosses else _heard(),
        "route": Route.open().detach(),
        "igmp": _list("igmp"),
        "igmp6": _list("igmp6"),
        "diag": Diag.open().detach(),
        "network": os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC),
        "host": _host_side(),
        "owners": places.owners(place),
    }


def enter(host: Host, owner: int = 0, mapped: Callable[[], bool] = lambda: False) -> Callable[[], None]:
    """Leave the host's namespaces for new ones, keeping the user's own uid; `owner` and `mapped` as for build(). What
    is returned sees to the ids; it has to be called before anything needs them. Raises HarkError, and so does that."""
    root = host.uid == 0
    keyrings = [] if root else kernel.user_keyrings()
    try:
        if owner:
            kernel.enter_user_namespace(owner)
        own_user = 0 if root or owner else kernel.CLONE_NEWUSER
        kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | own_user)
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        if host.shared:  # as the host's: among the tree's own mount namespaces; nothing comes back to the host
            kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SHARED)
    except OSError as error:
        raise _refused(error) from error

    def finish() -> None:
        try:
            if not root and not mapped():
                idmap.map_self(host.uid, host.gid)
            kernel.link_keyrings(keyrings)
        except OSError as error:
            raise _refused(error) from error

    return finish


def _refused(error: OSError) -> HarkError:
    remedy = "`hark doctor` says what forbids it and the command that allows it"
    return HarkError("cannot make a network namespace", error.strerror or str(error), remedy)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _devices(host: Host) -> list[int]:
    """A device for each interface; -1 for one that cannot be had, which must not be the first."""
    found = []
    for number, link in enumerate(links(host.network)):
        try:
            found.append(mirror.open_device(link))
        except OSError as error:
            if number:
                found.append(-1)  # its routes are left out, too
                continue
            remedy = {
                errno.ENOENT: "sudo mkdir -p /dev/net && sudo mknod -m 0666 /dev/net/tun c 10 200",
                errno.EACCES: "sudo chmod 0666 /dev/net/tun",
                errno.ENODEV: "sudo modprobe tun",
            }.get(error.errno or 0, "`hark doctor` says what forbids it")
            raise HarkError("cannot open /dev/net/tun", error.strerror or "", remedy) from error
    return found


def _settings(host: Host) -> None:
    # Of "all" and "default", for there are no devices yet.
    wanted = [
        ("net/ipv4/conf/all/route_localnet", "1"),
        ("net/ipv4/conf/all/accept_local", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
    ]
    if host.network.has_six():
        wanted += [
            ("net/ipv6/conf/default/addr_gen_mode", "1"),  # no address but those that the host has
            ("net/ipv6/conf/default/accept_ra", "0"),
            ("net/ipv6/conf/default/router_solicitations", "0"),
        ]
    else:
        wanted.append(("net/ipv6/conf/all/disable_ipv6", "1"))
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


def _ping(host: Host) -> None:
    """Let the program send ICMP echo; the kernel takes only groups that are mapped."""
    with contextlib.suppress(OSError):  # without it ping fails, and nothing else
        _write("/proc/sys/net/ipv4/ping_group_range", f"{host.gid} {host.gid}" if host.uid else "0 2147483647")


def _host_side() -> int:
    """Where the preloaded agent asks what only somebody outside can answer (hostside.py)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as listener:
        listener.bind(HOST_SOCKET)
        listener.listen(4096)
        return listener.detach()


def _listener(address: bytes) -> int:
    family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)  # no interface has the address
        listener.bind((socket.inet_ntop(family, address), LISTEN_PORT))
        listener.listen(4096)
        return listener.detach()


def _loopback() -> int:
    """A packet socket on lo, through which packets for ::1, and for sockets bound to lo, are handed to the program."""
    try:
        # Made without a protocol: it receives nothing.
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0) as packets:
            packets.setsockopt(_SOL_PACKET, _VNET_HEADER, 1)
            packets.setsockopt(_SOL_PACKET, _BYPASS, 1)
            packets.setsockopt(socket.SOL_SOCKET, _SO_MARK, mirror.LO_MARK)
            packets.bind(("lo", 0))
            return packets.detach()
    except OSError:
        return -1  # ::1 stays among the processes of the tree


def _list(name: str) -> int:
    """One of the kernel's lists of group memberships in this namespace."""
    try:
        return os.open(f"/proc/self/net/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # a kernel without multicast


def _heard() -> int:
    """A packet socket on lo for kernels that cannot redirect ::1: records what processes of the tree send to each other
    there."""
    try:
        # Made without a protocol: binding a socket that has one waits 15 ms for the kernel to let go of it.
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0) as packets:
            packets.bind(("lo", 3))
            packets.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
            return packets.detach()
    except OSError:
        return -1  # such packets are then not recorded
