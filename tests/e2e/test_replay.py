"""The replay law: `hark read` of a live run's recording prints the same JSON, byte for byte."""

import signal
import subprocess
import sys

import lz4.frame
import pytest

from world import is_read, until

RUNS = {
    "curl": "curl -s --parallel --cacert $CA 'https://site.test:8443/hello?[1-7]' http://192.0.2.10:8080/item.json",
    "several": "for i in 1 2 3; do curl -s --cacert $CA https://site.test:8443/hello?$i & wget -qO- http://localhost:8080/hello & done; wait",
    "failures": "curl -s http://192.0.2.10:81/; curl -s https://localhost:8443/; curl -s http://nosuch.invalid/; true",
    "node": "NODE_EXTRA_CA_CERTS=$CA node -e 'fetch(\"https://site.test:8443/hello\").then(r => r.text())'",
    "cut short": "timeout -s KILL 0.5 curl -s --limit-rate 1k http://192.0.2.10:8080/page.html; true",
    "late keys": "{python} late.py",
}


# curl by a bare system call, so without the agent and with a key log of its own, which comes to hark a second later.
LATE = """
import ctypes, os, time
ours, own = os.environ["SSLKEYLOGFILE"], os.path.abspath("own.keys")
env = [b"PATH=/usr/bin:/bin", b"SSLKEYLOGFILE=" + own.encode()]
argv = [b"curl", b"-s", b"--cacert", os.environ["CA"].encode(), b"https://site.test:8443/hello"]
if os.fork() == 0:
    A = (ctypes.c_char_p * 6)(*argv, None); E = (ctypes.c_char_p * 3)(*env, None)
    ctypes.CDLL(None).syscall(59 if os.uname().machine == "x86_64" else 221, b"/usr/bin/curl", A, E)
os.wait()
time.sleep(1)
with open(own) as keys, open(ours, "a") as log: log.write(keys.read())
os.unlink(own)
"""


@pytest.mark.parametrize("name", RUNS)
def test_replay(world, name: str) -> None:
    script = RUNS[name].replace("{python}", sys.executable)
    (world.dir / "home" / "late.py").write_text(LATE)
    # Not --json: curl --parallel writes its progress to the same stderr, and not always a line of it.
    live = world.run("hark", "-o", "replay.jsonl", "-o", "replay.pcapng", "sh", "-c", script)
    lines = (world.dir / "home" / "replay.jsonl").read_bytes()
    assert lines or name == "failures", live.err
    replay = world.run("hark", "read", "--json", "replay.pcapng")
    assert replay.out == lines
    assert replay.status == 0


def test_keys_beside_a_capture(world) -> None:
    """A capture without secrets and a key log beside it tell what the two together hold."""
    from hark.recording import pcapng
    from hark.recording.blocks import Secrets
    from hark.recording.reader import read

    assert (
        world.run(
            "hark",
            "-o",
            "both.pcapng",
            "curl",
            "-s",
            "--cacert",
            str(world.dir / "cert.pem"),
            "https://site.test:8443/hello",
        ).status
        == 0
    )
    home = world.dir / "home"
    frames, keys = [pcapng.header()], []
    with open(home / "both.pcapng", "rb") as file:
        for block in read(file, "both"):
            (keys if isinstance(block, Secrets) else frames).append(
                block.text if isinstance(block, Secrets) else pcapng.encode(block)
            )
    (home / "bare.pcapng").write_bytes(b"".join(frames))
    (home / "beside.keys").write_bytes(b"".join(keys))
    closed = world.run("hark", "read", "bare.pcapng")
    assert b"tls site.test:8443 not decrypted" in closed.out and b"no exchanges" in closed.out
    opened = world.run("hark", "read", "--keys", "beside.keys", "bare.pcapng")
    assert b"GET https://site.test:8443/hello 200" in opened.out


def test_bad_input_is_one_line(world) -> None:
    for command, said in (
        (["nowhere.pcapng"], "hark: cannot read nowhere.pcapng: No such file or directory\n"),
        (
            ["/bin/true"],
            "hark: cannot read /bin/true: it is neither pcapng nor pcap, and no HAR file (hark reads what hark -o, tcpdump -w, dumpcap, Wireshark and browsers write)\n",
        ),
        (["--keys", "nowhere", "x.pcapng"], "hark: cannot read nowhere: No such file or directory\n"),
    ):
        run = world.run("hark", "read", *command)
        assert (run.status, run.err) == (1, said)
    assert world.run("hark", "read").status == 2


def test_compressed_and_merged(world) -> None:
    """gzip, zstd and lz4 tell what the plain file tells, torn ones what is left; two files are one by time."""
    home = world.dir / "home"
    trust = ["--cacert", str(world.dir / "cert.pem")]
    for number in (1, 2):
        url = f"https://site.test:8443/hello?{number}"
        assert world.run("hark", "-o", f"part{number}.pcapng", "curl", "-s", *trust, url).status == 0
    plain = world.run("hark", "read", "--json", "part1.pcapng").out
    for pack in ("gzip -k", "zstd -q -k"):
        assert world.run("sh", "-c", f"{pack} part1.pcapng").status == 0
    (home / "part1.pcapng.lz4").write_bytes(lz4.frame.compress((home / "part1.pcapng").read_bytes()))
    for suffix in ("gz", "zst", "lz4"):
        raw = (home / f"part1.pcapng.{suffix}").read_bytes()
        assert world.run("hark", "read", "--json", f"part1.pcapng.{suffix}").out == plain
        assert world.run("hark", "read", "--json", "-", input=raw).out == plain
        (home / f"torn.{suffix}").write_bytes(raw[: len(raw) // 2])
        torn = world.run("hark", "read", f"torn.{suffix}")
        assert torn.status == 1 and "Traceback" not in torn.err
    merged = world.run("hark", "read", "part2.pcapng", "part1.pcapng").out.decode()
    assert [line.split()[1][-1] for line in merged.splitlines() if line.startswith("GET")] == ["1", "2"]


def test_a_growing_file_is_followed(world) -> None:
    home = world.dir / "home"
    assert world.run("hark", "-o", "whole.pcapng", "curl", "-s", "http://192.0.2.10:8080/hello").status == 0
    whole = (home / "whole.pcapng").read_bytes()
    growing = home / "growing.pcapng"
    growing.write_bytes(whole[: len(whole) // 2 + 1])
    reader = world.popen(["hark", "read", "--follow", "growing.pcapng"], stdout=subprocess.PIPE)
    until(lambda: is_read(growing))
    with open(growing, "ab") as file:
        file.write(whole[len(whole) // 2 + 1 :])
    assert reader.stdout.readline().startswith(b"GET http://192.0.2.10:8080/hello 200")
    reader.send_signal(signal.SIGINT)
    assert b"hark: 1 exchange" in reader.stdout.read()
    assert reader.wait(5) == 0
