"""Whether the namespace tap works here, each "no" with its reason and the command that changes it.

What   Every step is tried for real in a child, in the order in which a run needs it; the last one is all that a run
       does before the program starts, what its key sources need included.
Why    A table of known distributions would be wrong on the next one; the kernel's own answer is not.
"""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from hark.errors import Finding, HarkError
from hark.system.netlink import Route
from hark.tap import launch
from hark.tap.namespace import idmap, mirror, setup
from hark.tap.source import KeySource
from hark.tap.tun import udp
from hark.tap.tun.network import LOOPBACK_INDEX

_APPARMOR: Final = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_CLONE: Final = "/proc/sys/kernel/unprivileged_userns_clone"
_MOST: Final = "/proc/sys/user/max_user_namespaces"


class Probe(NamedTuple):
    """What was found, and what the key sources got: `files` and `failed` as of launch.Child, None where the tap cannot
    be set up."""

    findings: list[Finding]
    files: dict[str, int] | None
    failed: dict[str, str]


def probe(private: str, keys: Sequence[KeySource]) -> Probe:
    """Try everything, also what `keys` need. private: as of setup.look()."""
    found = [_user_namespaces(), _tun_device()]
    files: dict[str, int] | None = None
    failed: dict[str, str] = {}
    why = ""
    try:
        child = launch.prepare("/", (), setup.look(private), None, keys).ready()
        files, failed = child.files, child.failed
        child.abandon()
    except HarkError as error:
        why = f"{error.what}: {error.why}" if error.why else error.what
    found.append(Finding("the whole tap", why, "fix what is listed above first" if why else ""))
    return Probe([*found, _six(), _ping(), _rootless()], files, failed)


def _six() -> Finding:
    name, effect = "the host's ::1", "servers on the host's ::1 are reached only through 127.0.0.1"
    why = _attempt(_redirect)
    return Finding(name, why, "sudo modprobe -a sch_ingress cls_u32 act_mirred", effect) if why else Finding(name)


def _ping() -> Finding:
    name, fix = "ping through hark", "sudo sysctl net.ipv4.ping_group_range='0 2147483647'"
    if udp.ping_allowed():
        return Finding(name)
    return Finding(name, "this user may not open ping sockets", fix, "ping gets no answers")


def _rootless() -> Finding:
    """Whether podman and others that map ranges of ids work under hark: as without it, by newuidmap."""
    name, effect = "rootless containers", "they do not start under hark"
    if os.getuid() == 0 or idmap.ranges(os.getuid()).usable:
        return Finding(name)
    if not all(map(idmap.mapper, idmap.MAPPERS)):
        return Finding(name, "newuidmap and newgidmap are not installed", "sudo apt install uidmap", effect)
    fix = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
    return Finding(name, "this user has no ranges in /etc/subuid and /etc/subgid", fix, effect)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _attempt(action: Callable[[], None]) -> str:
    """Run an action in a child; "" or the reason why it failed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            action()
            status = 0
        except OSError as error:
            os.write(writer, (error.strerror or str(error)).encode())
        except HarkError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    status = os.waitpid(pid, 0)[1]
    if not status:
        return ""
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return said or "failed"


def _user_namespaces() -> Finding:
    name = "network and mount namespaces"
    if os.getuid() != 0:
        name = "user, network and mount namespaces"

    def enter() -> None:
        setup.enter(setup.look(""))()
        Route().up(LOOPBACK_INDEX)

    why = _attempt(enter)
    return Finding(name, why, _namespace_fix()) if why else Finding(name)


def _namespace_fix() -> str:
    """What most likely forbids it. The order is the one in which the kernel would."""
    if _read(_CLONE) == "0":
        return "sudo sysctl kernel.unprivileged_userns_clone=1"
    if _read(_MOST) == "0":
        return "sudo sysctl user.max_user_namespaces=15000"
    if _read(_APPARMOR) == "1":
        return "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    if _contained():
        return "run the container with --security-opt seccomp=unconfined --cap-add SYS_ADMIN --device /dev/net/tun"
    return "this kernel may be built without namespaces (CONFIG_USER_NS, CONFIG_NET_NS)"


def _contained() -> bool:
    return (
        os.path.exists("/.dockerenv")
        or os.path.exists("/run/.containerenv")
        or "Seccomp:\t2" in _read("/proc/self/status")
    )


def _tun_device() -> Finding:
    name = "/dev/net/tun"
    if not os.path.exists(name):
        fix = "sudo modprobe tun; sudo mkdir -p /dev/net && sudo mknod -m 0666 /dev/net/tun c 10 200"
        contained = "run the container with --device /dev/net/tun"
        return Finding(name, "it is not there", contained if _contained() else fix)
    try:
        os.close(os.open(name, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError:
        return Finding(name, "this user may not open it", "sudo chmod 0666 /dev/net/tun")
    except OSError as error:
        return Finding(name, error.strerror or str(error), "sudo modprobe tun")
    return Finding(name)


def _redirect() -> None:
    """Whether what leaves by lo can be redirected. Raises OSError."""
    setup.enter(setup.look(""))()
    route = Route()
    route.up(LOOPBACK_INDEX)
    route.redirect(LOOPBACK_INDEX, LOOPBACK_INDEX, mirror.LEAVES_LO)
