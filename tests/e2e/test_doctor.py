"""`hark doctor` and what `hark COMMAND` says where it cannot work."""

import os
import subprocess
import sys

import pytest


def test_all_is_well_here(world) -> None:
    run = world.run("hark", "doctor")
    assert run.status == 0, run.out
    assert run.out.decode().splitlines() == [
        f"ok       {name}"
        for name in (
            "user, network and mount namespaces",
            "/dev/net/tun",
            "the whole tap",
            "the host's ::1",
            "ping through hark",
            "rootless containers",
            "preloaded agent (OpenSSL)",
            "private key log",
            "Node hook",
        )
    ] + ["hark COMMAND works here."]


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="takes /dev/net/tun away, which only root may")


def hidden(world, setup: str, *command: str):
    """Run in a mount namespace in which root has changed something first."""
    inner = ["setpriv", "--reuid", "harktest", "--regid", "harktest", "--init-groups", *command]
    return subprocess.run(
        ["ip", "netns", "exec", world.name, "unshare", "-m", "sh", "-c", f'{setup}; exec "$@"', "sh", *inner],
        env=world.env(), cwd=world.dir / "home", capture_output=True, text=True,
    )  # fmt: skip


@needs_root
def test_without_the_device(world) -> None:
    away = "mount -t tmpfs none /dev/net"
    run = hidden(world, away, "hark", "true")
    assert (run.returncode, run.stderr) == (
        1,
        "hark: cannot open /dev/net/tun: No such file or directory "
        "(sudo mkdir -p /dev/net && sudo mknod -m 0666 /dev/net/tun c 10 200)\n",
    )
    run = hidden(world, away, "hark", "doctor")
    assert run.returncode == 1 and "NO       /dev/net/tun: it is not there\n         fix: " in run.stdout


@needs_root
def test_without_permission(world) -> None:
    away = "mount -t tmpfs none /dev/net; mknod -m 0600 /dev/net/tun c 10 200"
    run = hidden(world, away, "hark", "true")
    assert run.stderr == "hark: cannot open /dev/net/tun: Permission denied (sudo chmod 0666 /dev/net/tun)\n"
    run = hidden(world, away, "hark", "doctor")
    assert (
        "NO       /dev/net/tun: this user may not open it\n         fix: sudo chmod 0666 /dev/net/tun\n" in run.stdout
    )


def test_without_namespaces(world) -> None:
    """A seccomp filter refuses unshare, as a container's does: one line, and doctor names the fix."""
    refuse = (
        "import ctypes, os, struct, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "class P(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('f', ctypes.c_void_p)]\n"
        "nr = 272 if os.uname().machine == 'x86_64' else 97\n"
        "f = b''.join(struct.pack('HBBI', *i) for i in "
        "((0x20, 0, 0, 0), (0x15, 0, 1, nr), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)))\n"
        "b = ctypes.create_string_buffer(f)\n"
        "assert libc.prctl(38, 1, 0, 0, 0) == 0\n"
        "assert libc.prctl(22, 2, ctypes.byref(P(4, ctypes.cast(b, ctypes.c_void_p)))) == 0\n"
        "os.execvp(sys.argv[1], sys.argv[1:])\n"
    )
    run = world.run(sys.executable, "-c", refuse, "hark", "true")
    assert (run.status, run.err) == (
        1,
        "hark: cannot make a network namespace: Operation not permitted "
        "(`hark doctor` says what forbids it and the command that allows it)\n",
    )
    run = world.run(sys.executable, "-c", refuse, "hark", "doctor")
    assert run.status == 1
    assert "mount namespaces: cannot make a network namespace: Operation not permitted" in run.out.decode()
    assert "fix: run the container with --security-opt seccomp=unconfined" in run.out.decode()
    assert "hark COMMAND does not work here yet; hark read FILE does." in run.out.decode()


def test_what_a_run_does_without_is_limited(world) -> None:
    """A key log that cannot be followed: hark works, and doctor and the start of a run say the same of it."""
    os.mkfifo(world.dir / "home" / "pipe")
    os.chmod(world.dir / "home" / "pipe", 0o666)
    said = (
        "SSLKEYLOGFILE is not followed: it is a pipe, whose reader has its bytes; secrets that are written there alone"
    )
    run = world.run("hark", "true", SSLKEYLOGFILE="pipe")
    assert (run.status, run.err.splitlines()) == (0, [f"hark: {said} are missed", "hark: no exchanges"])
    run = world.run("hark", "doctor", SSLKEYLOGFILE="pipe")
    assert run.status == 0 and f"limited  SSLKEYLOGFILE: {said} are missed" in run.out.decode().splitlines()
