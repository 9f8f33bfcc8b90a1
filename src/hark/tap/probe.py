"""What this kernel and this user allow, each "no" with its reason and the command that changes it: `hark doctor`.

What   Every step of the namespace tap is tried for real in a child, in the order in which a run needs it.
Why    A table of known distributions would be wrong on the next one; the kernel's own answer is not.
"""

import os
import signal
from collections.abc import Callable
from typing import NamedTuple

from hark.errors import HarkError
from hark.system.netlink import Route
from hark.tap.namespace import idmap, mirror, setup
from hark.tap.tun import udp
from hark.tap.tun.network import LOOPBACK_INDEX

_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_CLONE = "/proc/sys/kernel/unprivileged_userns_clone"
_MOST = "/proc/sys/user/max_user_namespaces"


class Finding(NamedTuple):
    """One thing that hark needs: whether it is there; if not, why, and the command that fixes it. `vital` ones stop
    `hark COMMAND`, others make it capture or decrypt less."""

    name: str
    good: bool
    why: str = ""
    fix: str = ""
    vital: bool = True


def examine(agent: str, hook: str, private: str) -> list[Finding]:
    """Try everything."""
    found = [_user_namespaces(), _tun_device(), _whole(private)]
    found += [
        Finding(
            "preloaded agent (OpenSSL)",
            os.path.exists(agent),
            "it was not compiled when hark was installed",
            "sudo apt install gcc libc6-dev && pip install --force-reinstall hark",
            False,
        ),
        Finding("Node hook", os.path.exists(hook), "the file is missing", "pip install --force-reinstall hark", False),
        Finding(
            "the host's ::1",
            not (why := _attempt(_redirect)),
            why,
            "sudo modprobe -a sch_ingress cls_u32 act_mirred",
            False,
        ),
        Finding(
            "ping through hark",
            udp.ping_allowed(),
            "this user may not open ping sockets",
            "sudo sysctl net.ipv4.ping_group_range='0 2147483647'",
            False,
        ),
        _rootless(),
    ]
    return found


def _rootless() -> Finding:
    """Whether podman and others that map ranges of ids work under hark: as without it, by newuidmap."""
    name = "rootless containers"
    if os.getuid() == 0 or idmap.ranges(os.getuid()).usable:
        return Finding(name, True)
    if not all(map(idmap.mapper, idmap.MAPPERS)):
        return Finding(name, False, "newuidmap and newgidmap are not installed", "sudo apt install uidmap", False)
    fix = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
    return Finding(name, False, "this user has no ranges in /etc/subuid and /etc/subgid", fix, False)


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
    if not why:
        return Finding(name, True)
    return Finding(name, False, why, _namespace_fix())


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
        return Finding(name, False, "it is not there", "run it with --device /dev/net/tun" if _contained() else fix)
    try:
        os.close(os.open(name, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError:
        return Finding(name, False, "this user may not open it", "sudo chmod 0666 /dev/net/tun")
    except OSError as error:
        return Finding(name, False, error.strerror or "", "sudo modprobe tun")
    return Finding(name, True)


def _redirect() -> None:
    """Whether what leaves by lo can be redirected. Raises OSError."""
    setup.enter(setup.look(""))()
    route = Route()
    route.up(LOOPBACK_INDEX)
    route.redirect(LOOPBACK_INDEX, LOOPBACK_INDEX, mirror.LEAVES_LO)


def _whole(private: str) -> Finding:
    """All of it together, as a run does it."""

    def build() -> None:
        setup.build(setup.look(private))

    why = _attempt(build)
    return Finding("the whole tap", not why, why, "mend what stands above first")


def doctor(say: Callable[[str], None], agent: str, hook: str, private: str) -> int:
    """Print what was found; 0 where `hark COMMAND` works."""
    found = examine(agent, hook, private)
    for finding in found:
        mark = "ok" if finding.good else "NO" if finding.vital else "less"
        say(f"{mark:4}  {finding.name}" + ("" if finding.good else f": {finding.why}"))
        if not finding.good and finding.fix:
            say(f"      fix: {finding.fix}")
    works = all(finding.good for finding in found if finding.vital)
    say("hark COMMAND works here." if works else "hark COMMAND does not work here yet; hark read FILE does.")
    return 0 if works else 1
