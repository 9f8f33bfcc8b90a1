"""Where secrets come from when SSLKEYLOGFILE is the user's, and when a source of them fails."""

import json
import os
import pathlib
import shlex
import shutil
import sys

import pytest

CLIENTS = (
    "curl -s --cacert $CA https://site.test:8443/hello; wget -qO- --ca-certificate=$CA https://site.test:8443/hello"
)
NOTE = "hark: SSLKEYLOGFILE is not followed: {}; secrets that are written there alone are missed\n"


@pytest.fixture
def folder(world):
    """An empty folder of the user's."""
    world.run("sh", "-c", "rm -rf keys.d; mkdir keys.d")
    return world.dir / "home" / "keys.d"


@pytest.mark.parametrize("name", ["keys", "sub/keys", "link", "../keys.d/keys"])
def test_a_file_of_the_users_opens_what_has_no_other_way(world, folder, name: str) -> None:
    """A program with a TLS library of its own that only writes the file: here openssl s_client -keylogfile, started
    without the agent. The file is not there when hark starts."""
    world.run("sh", "-c", "cd keys.d; ln -s target link")
    client = (
        "printf 'GET /hello HTTP/1.0\\r\\n\\r\\n' | env LD_PRELOAD=libc.so.6 "
        "openssl s_client -quiet -ign_eof -keylogfile $SSLKEYLOGFILE -connect site.test:8443 2>/dev/null | tail -1"
    )
    script = f"mkdir -p keys.d/sub; {client}"
    run = world.sh(script, SSLKEYLOGFILE=f"keys.d/{name}")
    assert run.out == b"hello\n" and run.told == ["GET https://site.test:8443/hello 200 http/1.0 openssl"], run.err


def test_a_pipe_is_left_to_its_reader_and_said_once(world, folder) -> None:
    os.mkfifo(folder / "fifo", 0o666)
    os.chmod(folder / "fifo", 0o666)
    script = f"exec 8<>keys.d/fifo; {CLIENTS}"
    run = world.hark("bash", "-c", script, SSLKEYLOGFILE=str(folder / "fifo"))
    assert run.out == b"hello\nhello\n"
    assert run.err.startswith(NOTE.format("it is a pipe, whose reader has its bytes"))
    assert run.err.count("SSLKEYLOGFILE is not followed") == 1 and "Traceback" not in run.err
    assert run.told[0] == "GET https://site.test:8443/hello 200 h2 curl"


@pytest.mark.xfail(reason="Limits: An `SSLKEYLOGFILE` of your own that is a pipe", strict=True)
def test_gnutls_is_opened_though_its_key_log_is_a_pipe(world, folder) -> None:
    os.mkfifo(folder / "fifo", 0o666)
    os.chmod(folder / "fifo", 0o666)
    run = world.hark("bash", "-c", f"exec 8<>keys.d/fifo; {CLIENTS}", SSLKEYLOGFILE=str(folder / "fifo"))
    assert len(run.told) == 2


def test_a_file_that_may_not_be_read_is_said(world, folder) -> None:
    (folder / "keys").touch()
    os.chmod(folder / "keys", 0o222)
    run = world.sh(CLIENTS, SSLKEYLOGFILE=str(folder / "keys"))
    assert run.err.startswith(NOTE.format("it cannot be read: Permission denied"))


@pytest.mark.parametrize("value", ["/dev/null", "/nowhere/keys", "/etc", ""])
def test_quiet_says_nothing_of_it(world, value: str) -> None:
    assert world.run("hark", "-q", "true", SSLKEYLOGFILE=value).err == ""


def _limited(world, limit: str):
    """hark where the user's inotify is used up: limits of a user namespace."""
    inside = f"echo 0 >/proc/sys/user/{limit}; exec hark -o told.jsonl sh -c {shlex.quote(CLIENTS)}"
    (world.dir / "home" / "told.jsonl").unlink(missing_ok=True)
    run = world.run("unshare", "-Ur", "sh", "-c", inside)
    return run, (world.dir / "home" / "told.jsonl").read_text().count('"status":200')


def test_a_source_that_cannot_be_made_is_missed_alone(world) -> None:
    run, opened = _limited(world, "max_inotify_watches")
    assert (run.status, run.out) == (0, b"hello\nhello\n"), run.err
    lost = "1 source of TLS secrets lost: private key log: No space left on device"
    assert run.err.count(lost) == 1 and "Traceback" not in run.err, run.err
    assert opened >= 1


def test_without_inotify_instances_all_is_opened(world) -> None:
    run, opened = _limited(world, "max_inotify_instances")
    assert (run.status, run.out, opened) == (0, b"hello\nhello\n", 2), run.err


def test_a_new_key_source_is_one_file_and_one_line(world) -> None:
    """tests/programs/toysource.py is both: what a program writes to it alone is decrypted, and has its name."""
    shutil.copy(pathlib.Path(__file__).parent.parent / "programs" / "toysource.py", world.dir / "toysource.py")
    client = (
        "printf 'GET /hello HTTP/1.0\\r\\n\\r\\n' | env LD_PRELOAD=libc.so.6 "
        "openssl s_client -quiet -ign_eof -keylogfile $TOY_KEYS -connect site.test:8443 2>/dev/null | tail -1"
    )
    run = world.run(sys.executable, str(world.dir / "toysource.py"), "-o", "toy.jsonl", "sh", "-c", client)
    assert run.out == b"hello\n", run.err
    (entry,) = map(json.loads, (world.dir / "home" / "toy.jsonl").read_text().splitlines())
    assert entry["request"]["url"] == "https://site.test:8443/hello" and entry["_tls"]["opened_by"] == "toy"


def test_a_source_that_cannot_be_built_is_named_with_the_reason(world) -> None:
    """The program runs, and the line at the start has what the child was refused."""
    shutil.copy(pathlib.Path(__file__).parent.parent / "programs" / "toysource.py", world.dir / "toysource.py")
    run = world.run(sys.executable, str(world.dir / "toysource.py"), "echo", "hello", TOY_FOLDER="/nowhere")
    assert (run.status, run.out) == (0, b"hello\n")
    line, last = run.err.splitlines()
    assert last == "hark: no exchanges"
    start = "hark: toys are not decrypted: its file could not be made: No such file or directory ("
    assert line.startswith(start) and line.endswith("/nowhere/toy)"), line
