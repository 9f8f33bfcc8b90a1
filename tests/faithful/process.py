"""The process itself: how it is started, what it is linked to, whose its files are, which signals reach it."""

import contextlib
import functools
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from faithful import Case, made_by_root
from world import program, until

HELLO = '#include <stdio.h>\nint main(int argc, char **argv) { puts(argc > 1 ? argv[1] : "hello"); return argc - 1; }\n'


LEAK = "#include <stdlib.h>\nint main() { volatile char *p = malloc(3); p[3] = 1; return p[3]; }\n"
STARTS = "#include <unistd.h>\nint main(int argc, char **argv) { return argc > 1 ? execv(argv[1], argv + 1) : 1; }\n"
OWNER = """#include <stdio.h>
#include <sys/stat.h>
int main() { struct stat s; if (stat("/etc/passwd", &s)) return 1; printf("%d\\n", (int)s.st_uid); return 0; }
"""


@contextlib.contextmanager
def _key(world: Any) -> Iterator[None]:
    """A key in the user's keyring."""
    world.run("keyctl", "add", "user", "hark-test", "a secret", "@u")
    yield
    world.run("sh", "-c", "keyctl unlink $(keyctl search @u user hark-test) @u")


@contextlib.contextmanager
def _compiled(flags: tuple[str, ...], source: str, world: Any) -> Iterator[dict[str, str]]:
    """A C program, built once a world: PROGRAM names it."""
    name = f"c-{abs(hash((flags, source))):x}"
    program = world.dir / "home" / name
    if not program.exists():
        program.with_suffix(".c").write_text(source)
        command = ["gcc", *flags, "-o", str(program), str(program.with_suffix(".c"))]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
    yield {"PROGRAM": str(program)}


def _built(name: str, *flags: str, source: str = HELLO, script: str = "$PROGRAM; $PROGRAM x", limit: str = "") -> Case:
    around = functools.partial(_compiled, flags, source)
    return Case(name, ["sh", "-c", script], made_by_root(around) if limit else around, limit=limit)


@contextlib.contextmanager
def _abstract_server(world: Any) -> Iterator[None]:
    """A program of the host that listens on an abstract Unix socket, and says who called and what it was handed."""
    server = world.start([sys.executable, "-c", ABSTRACT])
    until(lambda: "@hark-test-stream" in pathlib.Path(f"/proc/{server.pid}/net/unix").read_text())
    yield
    server.kill()
    server.wait()


ABSTRACT = program("abstract_servers.py")
# D-Bus and X11 clients do this: SO_PEERCRED must be the client's own, descriptors must pass.
ABSTRACT_CLIENT = program("abstract_client.py")

# Files of root, of other users and groups, by every call there is.
OWNERS = program("owners.py")


@contextlib.contextmanager
def _ssh_config(world: Any) -> Iterator[dict[str, str]]:
    """A configuration that includes a file of root's, which ssh checks; and one of somebody else's, which it refuses."""
    home = world.dir / "home"
    for name, owner in (("root", 0), ("bin", 2)):
        path = pathlib.Path(f"/etc/hark-test-{os.getpid()}-{name}.conf")
        path.write_text("Host some.test\n  Port 2222\n")
        if world.root:
            os.chown(path, owner, owner)
        (home / f"ssh-{name}").write_text(f"Include {path}\n")
    yield {}
    for name in ("root", "bin"):
        os.unlink(f"/etc/hark-test-{os.getpid()}-{name}.conf")


GROUP = program("groups.py")


@contextlib.contextmanager
def _further_group(world: Any) -> Iterator[None]:
    """An empty home, and a user with more groups than one."""
    assert len(world.run("id", "-G").out.split()) > 1, "tools/setup.sh gives the user a second group"
    home = world.dir / "home"
    for name in ("shared", "again", "there"):
        world.run("rm", "-rf", str(home / name))
    yield


@contextlib.contextmanager
def _podman(world: Any) -> Iterator[dict[str, str]]:
    """A place for podman's state. It leaves a process behind, which holds the user namespace for the next podman."""
    run = str(world.dir / "home" / "podman")
    world.run("mkdir", "-p", run)
    yield {"XDG_RUNTIME_DIR": run}
    world.run("podman", "system", "migrate", XDG_RUNTIME_DIR=run)


PODMAN = (
    "podman unshare sh -c 'cd; id -u; cat /proc/self/uid_map /proc/self/gid_map; touch f; chown 1:2 f; stat -c %u:%g f; rm f'; "
    "podman unshare id -g; podman info --format '{{.Host.Security.Rootless}} {{.Host.IDMappings.UIDMap}}'"
)


def _python(name: str, program: str, **more: Any) -> Case:
    return Case(name, program, **more)


def _sh(name: str, script: str, **more: Any) -> Case:
    return Case(name, ["sh", "-c", script], **more)


MAPPED = (
    "unshare -U sh -c 'until read -r a b c </proc/self/uid_map && read -r d e f </proc/self/gid_map; do sleep 0.02; done; "
    'id -u; cat /proc/self/uid_map\' & p=$!; until [ "$(readlink /proc/$p/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; '
    "do sleep 0.02; done; newuidmap $p 0 $(id -u) 1 1 100000 1000 && newgidmap $p 0 $(id -g) 1 1 100000 1000; s=$?; wait; echo $s"
)
PRELOADS = "LD_PRELOAD=$(ls /usr/lib/*/libjemalloc.so.2 | head -1) python3 -c 'print(sum(range(9)))'"

CASES = [
    _built("address-sanitizer", "-fsanitize=address"),
    _built("address-sanitizer-inside", "-fsanitize=address", "-static-libasan"),
    _built("address-sanitizer-finds", "-fsanitize=address", source=LEAK, script="$PROGRAM 2>&1 | grep -c ERROR"),
    _built("address-sanitizer-from-go-like-exec", "-fsanitize=address", script="env -i $PROGRAM; setsid -w $PROGRAM"),
    _built("thread-sanitizer", "-fsanitize=thread"),
    _built("undefined-behaviour-sanitizer", "-fsanitize=undefined"),
    _built("leak-sanitizer", "-fsanitize=leak"),
    _built("32-bit", "-m32"),
    _built("32-bit-static", "-m32", "-static"),
    _built("32-bit-starts-64-bit", "-m32", source=STARTS, script="$PROGRAM /bin/echo x"),
    _built("static", "-static"),
    _built("static-pie", "-static-pie"),
    _built("owner-in-a-static-program", "-static", source=OWNER, limit="Statically linked programs"),
    _built("owner-by-the-C-library", source=OWNER),
    _sh("own-preload", PRELOADS),
    _sh("own-preload-that-is-not-there", "LD_PRELOAD=/nowhere.so true 2>&1"),
    _sh("line-buffered", "stdbuf -oL echo x"),
    _sh("fakeroot", "cd; fakeroot sh -c 'id -u; touch f; chown 12:13 f; stat -c %u:%g f /etc/passwd'"),
    _sh("faketime", "faketime '2001-02-03 04:05:06' date +%Y"),
    _python("owners-of-files", OWNERS),
    _sh("owners-in-a-listing", "ls -ld /etc /etc/passwd /etc/shadow /tmp /var/mail; ls -l /usr/bin | head -50"),
    _sh(
        "owners-by-stat", "stat -c '%u %g %U %G %n' /etc/passwd /etc/shadow / /tmp /proc/1 /dev/null; stat -Lc %u /bin"
    ),
    _sh(
        "owners-by-find",
        "find /etc -maxdepth 1 -user root | wc -l; find /etc -maxdepth 1 -nouser -o -user nobody | wc -l",
    ),
    _sh("owners-in-an-archive", "tar -cf - -C /etc passwd hostname | tar -tvf - | cut -d' ' -f2"),
    _sh(
        "owners-in-a-namespace-of-its-own",
        "unshare -r stat -c %u /etc/passwd; unshare -r ls -ld /etc; unshare -rn stat -c %u /",
    ),
    _sh("test-owner", "for f in /etc/passwd . /tmp; do [ -O $f ]; echo $?; [ -G $f ]; echo $?; done"),
    _sh("groups", "id; id -G; groups"),
    Case("files-of-a-further-group", GROUP, made_by_root(_further_group)),
    Case(
        "sg",
        ["sh", "-c", "sg $(id -Gn | cut -d' ' -f2) 'id -g'"],
        made_by_root(_further_group),
        limit="Set-user-ID and set-group-ID programs",
    ),
    Case(
        "ssh",
        [
            "sh",
            "-c",
            "cd; ssh -F ssh-root -G some.test | grep -i '^port'; ssh -F ssh-bin -G some.test 2>&1 | tail -1 | cut -c1-20",
        ],
        made_by_root(_ssh_config),
    ),
    Case("abstract-sockets", ABSTRACT_CLIENT, _abstract_server),
    Case("podman", ["sh", "-c", f"exec 2>/dev/null; {PODMAN}; podman system migrate"], made_by_root(_podman)),
    Case(
        "podman-leaves-a-process",
        ["sh", "-c", "podman unshare id -u 2>/dev/null"],
        made_by_root(_podman),
        timeout=5,
        limit="podman leaves a process behind",
        soak=True,
    ),
    Case("map-of-ids", ["bash", "-c", MAPPED], made_by_root()),
    _sh("newuidmap-refuses", "newuidmap $$ 0 0 1 2>&1 | cut -d: -f1; newuidmap 2>&1 | head -1"),
    _sh("root-of-a-namespace", "unshare -r id -u; unshare -r cat /proc/self/uid_map; unshare -rmn true; echo $?"),
    _sh("bubblewrap", "bwrap --dev-bind / / --unshare-user id -u; bwrap --dev-bind / / sh -c 'echo $((1+1))'"),
    _sh("user-keyring", "keyctl print $(keyctl search @u user hark-test)", around=_key),
    _sh(
        "closed-streams",
        'exec 0<&- 1>&- 2>&-; python3 -c \'import os; print(os.open("/", 0), file=open(os.environ["HOME"]+"/n", "w"))\'; exec 1>$HOME/m; cat $HOME/n',
    ),
]
