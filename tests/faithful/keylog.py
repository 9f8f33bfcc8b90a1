"""SSLKEYLOGFILE as the user may have set it: programs write where they would, readers get what they would."""

import contextlib
import functools
import os
import pathlib
import pwd
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from faithful import Case
from world import USER

# Which lines arrived, and how many of each: what stands behind the labels differs from run to run.
LABELS = "{ cut -d' ' -f1 | grep -v '^#' | sort | uniq -c; }"
CURL = "curl -sS --cacert $CA https://site.test:8443/hello"
WGET = "wget -qO- --ca-certificate=$CA https://site.test:8443/hello"
PYTHON = (
    'python3 -c "import os, ssl, urllib.request as u; '
    "print(u.urlopen('https://site.test:8443/hello', context=ssl.create_default_context(cafile=os.environ['CA'])).read())\""
)
ALL = f"{CURL}; {WGET}; {PYTHON} 2>&1 | tail -1"
# What the folder holds afterwards: names, kinds and permissions.
FOLDER = "find . -printf '%p %y %m\\n' | sort"
FILES = f"find . -type f -size +0 | sort | while read -r f; do echo $f; {LABELS} <$f; done"

Prepare = Callable[[pathlib.Path], str]


@contextlib.contextmanager
def _folder(prepare: Prepare, world: Any) -> Iterator[dict[str, str]]:
    """An empty folder of the user's, and in it what the variable names."""
    folder = world.dir / "home" / "keylogs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    value = prepare(folder)
    if world.root:
        for path in (folder, *folder.rglob("*")):
            if path.name != "of-somebody-else":
                os.lchown(path, *pwd.getpwnam(USER)[2:4])
    yield {"SSLKEYLOGFILE": value}


VARIANTS = frozenset({  # of others that are in the usual suite
    "stderr-is-a-file", "stdout", "link-to-a-descriptor", "full", "zero", "tty-that-is-not-there", "below-a-file",
    "folder-made-later", "no-tls-no-file", "file-with-lines-in-it", "write-only-file",
    "file-of-somebody-else-to-write-only", "relative-upwards", "link-to-a-file", "link-to-itself",
    "name-with-blanks-and-newline", "name-too-long", "empty", "emptied",
})  # fmt: skip


def _case(name: str, script: str, prepare: Prepare) -> Case:
    command = ["sh", "-c", f"cd ../home/keylogs\n{script}"]
    return Case(name, command, functools.partial(_folder, prepare), soak=name in VARIANTS)


def _made(folder: pathlib.Path, make: Callable[[pathlib.Path], Any], name: str = "keys") -> str:
    make(folder / name)
    return str(folder / name)


def _linked(folder: pathlib.Path, target: str) -> str:
    (folder / "link").symlink_to(target)
    return str(folder / "link")


def _mode(folder: pathlib.Path, mode: int, name: str = "keys") -> str:
    path = folder / name
    path.write_text("# mine\n")
    path.chmod(mode)
    return str(path)


def _named(name: bytes) -> Prepare:
    return lambda folder: os.fsdecode(os.fsencode(folder) + b"/" + name)


READ = f'{LABELS} <"$SSLKEYLOGFILE" >labels & exec 8>"$SSLKEYLOGFILE"; %s; exec 8>&-; wait; cat labels'
THEN = f"{ALL}; {FOLDER}; {FILES}"

CASES = [
    _case("pipe-with-name", READ % ALL, lambda f: _made(f, os.mkfifo)),
    _case("link-to-a-pipe", READ % CURL, lambda f: (os.mkfifo(f / "fifo"), _linked(f, "fifo"))[1]),
    _case("pipe-that-nobody-reads", f"timeout 0.5 {WGET}; echo $?; {FOLDER}", lambda f: _made(f, os.mkfifo)),
    _case("pipe-whose-reader-is-late", f"{CURL} & sleep 0.3; {LABELS} <keys; wait", lambda f: _made(f, os.mkfifo)),
    _case("stderr", f"{{ {ALL}; }} 2>&1 >/dev/null | {LABELS}", lambda f: "/dev/stderr"),
    _case("stderr-is-a-file", f"{{ {ALL}; }} 2>log; {LABELS} <log", lambda f: "/dev/stderr"),
    _case("stdout", f"{ALL} | cut -c1-6 | sort | uniq -c", lambda f: "/dev/stdout"),
    _case("descriptor", f"exec 9>>log; {ALL}; {LABELS} <log", lambda f: "/dev/fd/9"),
    _case("link-to-a-descriptor", f"exec 9>>log; {ALL}; {LABELS} <log", lambda f: _linked(f, "/proc/self/fd/9")),
    _case("null", THEN, lambda f: "/dev/null"),
    _case("full", THEN, lambda f: "/dev/full"),
    _case("zero", THEN, lambda f: "/dev/zero"),
    _case("tty-that-is-not-there", THEN, lambda f: "/dev/tty"),
    _case(
        "terminal", f"SSLKEYLOGFILE=/dev/tty script -qec '{CURL}' /dev/null | cut -c1-6 | sort | uniq -c", lambda f: ""
    ),
    _case("directory", THEN, str),
    _case("below-a-file", THEN, lambda f: "/etc/passwd/keys"),
    _case("missing-folder", THEN, lambda f: str(f / "no" / "such" / "keys")),
    _case("folder-made-later", f"mkdir later; {THEN}", lambda f: str(f / "later" / "keys")),
    _case("new-file", f"{FOLDER}; {THEN}", lambda f: str(f / "keys")),
    _case("no-tls-no-file", f"curl -s http://site.test:8080/hello; {FOLDER}", lambda f: str(f / "keys")),
    _case("file-with-lines-in-it", THEN, lambda f: _mode(f, 0o644)),
    _case("read-only-file", THEN, lambda f: _mode(f, 0o400)),
    _case("write-only-file", THEN, lambda f: _mode(f, 0o200)),
    _case("file-of-somebody-else", f"{ALL}; {LABELS} <of-somebody-else", lambda f: _mode(f, 0o666, "of-somebody-else")),
    _case("file-of-somebody-else-to-write-only", f"{ALL}; {FOLDER}", lambda f: _mode(f, 0o622, "of-somebody-else")),
    _case("relative", f"mkdir sub; {CURL}; cd sub; {WGET}; cd ..; {FOLDER}; {FILES}", lambda f: "keys"),
    _case("relative-upwards", f"mkdir -p a/b; cd a/b; {ALL}; cd ../..; {FOLDER}", lambda f: "../keys"),
    _case("link-to-a-file", THEN, lambda f: (_mode(f, 0o600), _linked(f, "keys"))[1]),
    _case("link-to-nothing-yet", THEN, lambda f: _linked(f, "keys")),
    _case("link-to-itself", THEN, lambda f: _linked(f, "link")),
    _case("name-that-is-no-utf-8", THEN, _named(b"k\xff\xfe\x80s")),
    _case("name-with-blanks-and-newline", f"{ALL}; ls -1q; cat k* | {LABELS}", _named(b" k\n s ")),
    _case("name-too-long", THEN, _named(b"k" * 300)),
    _case("empty", f"{CURL}; {FOLDER}", lambda f: ""),
    _case("rotated", f"{CURL}; mv keys keys.1; {WGET}; {FOLDER}; {FILES}", lambda f: str(f / "keys")),
    _case("emptied", f"{CURL}; : >keys; {WGET}; {FILES}", lambda f: str(f / "keys")),
]
