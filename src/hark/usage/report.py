"""`hark --version`, and with -v what a bug report needs: versions, kernel settings, what of hark is there.

May hold: facts about the machine that explain how hark behaves on it. May not hold: what says whose machine it is: no
host name, user name, path, variable but those named here.
"""

import os
import platform
import sys

from hark import __version__

_SETTINGS = (
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "user.max_user_namespaces",
    "user.max_net_namespaces",
    "kernel.yama.ptrace_scope",
    "net.ipv4.ping_group_range",
)
_STREAMS = ("stdin", "stdout", "stderr")


def version(verbose: bool) -> str:
    """The text of `hark --version`."""
    if not verbose:
        return f"hark {__version__}\n"
    facts = [("hark", __version__), *_python(), *_system(), *_parts(), *_terminal()]
    left = max(len(name) for name, _ in facts) + 2
    return "".join(f"{name:{left}}{value}\n" for name, value in facts)


def _python() -> list[tuple[str, str]]:
    import ssl
    from importlib import metadata

    where = "in a virtual environment" if sys.prefix != sys.base_prefix else "of the system"
    found = [("Python", f"{platform.python_version()} ({platform.python_implementation()}, {where})")]
    found.append(("Python's OpenSSL", ssl.OPENSSL_VERSION))
    packages = []
    try:
        requirements = metadata.requires("hark") or ()
    except metadata.PackageNotFoundError:
        return [*found, ("packages", "hark runs from its source, not installed")]
    for requirement in requirements:
        name = requirement.split(";")[0].split(">")[0].strip()
        if "extra ==" not in requirement:
            try:
                packages.append(f"{name} {metadata.version(name)}")
            except metadata.PackageNotFoundError:
                packages.append(f"{name} missing")
    return [*found, ("packages", ", ".join(packages))]


def _system() -> list[tuple[str, str]]:
    known = os.uname()
    found = [("kernel", f"{known.sysname} {known.release} {known.machine}"), ("distribution", _distribution())]
    found.append(("C library", " ".join(platform.libc_ver()) or "unknown"))
    found.append(("user", "root" if os.getuid() == 0 else "not root"))
    for name in _SETTINGS:
        value = _read("/proc/sys/" + name.replace(".", "/"))
        found.append((name, " ".join(value.split()) if value is not None else "not there"))
    seccomp = [line for line in (_read("/proc/self/status") or "").splitlines() if line.startswith("Seccomp:")]
    modes = {"0": "none", "1": "strict", "2": "filter"}
    found.append(("seccomp", modes.get(seccomp[0].split()[1], "?") if seccomp else "unknown"))
    return found


def _distribution() -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in (_read(path) or "").splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip("\"'")
    return "unknown"


def _parts() -> list[tuple[str, str]]:
    from hark.installed import AGENT, HOOK, PRIVATE

    tun = "usable" if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "not usable"
    return [
        ("/dev/net/tun", tun if os.path.exists("/dev/net/tun") else "not there"),
        ("agent for OpenSSL", _present(AGENT)),
        ("hook for Node.js", _present(HOOK)),
        ("key log directory", _present(PRIVATE)),
    ]


def _present(path: str) -> str:
    return "present" if os.path.exists(path) else "missing"


def _terminal() -> list[tuple[str, str]]:
    names = [name for number, name in enumerate(_STREAMS) if _is_terminal(number)]
    found = [("terminal", ", ".join(names) or "none")]
    for number in (2, 1, 0):
        if _is_terminal(number):
            size = os.get_terminal_size(number)
            found.append(("size", f"{size.columns}x{size.lines}"))
            break
    for name in ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL"):
        if name in os.environ:
            value = os.environ[name]
            found.append((name, value[:40] if value.isprintable() else repr(value[:40])))
    return found


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _read(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None
