"""Golden recordings: what `hark read` tells of each, to the byte; and the arrival law on all of them.

A recording is made from real programs by recordings/make.py. `pytest tests/test_golden.py --bless` rewrites what is
expected; read the difference before you commit it.
"""

import io
import json
import pathlib
import subprocess
import sys

import pytest

from conformance import missed
from hark.recording import pcapng
from hark.recording.blocks import Secrets
from hark.recording.reader import read

HERE = pathlib.Path(__file__).parent.parent / "recordings"
RECORDINGS = sorted(path.stem for path in HERE.glob("*.pcapng"))


def told(raw: bytes, *options: str) -> bytes:
    """What `hark read` prints of a recording given on standard input."""
    done = subprocess.run([sys.executable, "-m", "hark", "read", *options, "-"], input=raw, capture_output=True)
    assert not done.stderr, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("name", RECORDINGS)
def test_golden(name: str, request: pytest.FixtureRequest) -> None:
    raw = (HERE / f"{name}.pcapng").read_bytes()
    lines = told(raw, "-vv") + b"".join(
        json.dumps(json.loads(line), indent=1, ensure_ascii=False).encode() + b"\n"
        for line in told(raw, "--json").splitlines()
    )
    expected = HERE / f"{name}.expected"
    if request.config.getoption("--bless"):
        expected.write_bytes(lines)
    assert lines == expected.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDINGS)
def test_tshark_finds_nothing_more(name: str) -> None:
    path = HERE / f"{name}.pcapng"
    assert missed(path, [json.loads(line) for line in told(path.read_bytes(), "--json").splitlines()]) == {}


def rearranged(raw: bytes, secrets_first: bool) -> bytes:
    """The recording with all its secrets in front, or behind all else."""
    secrets, others = [], []
    for block in read(io.BytesIO(raw), "golden"):
        (secrets if isinstance(block, Secrets) else others).append(pcapng.encode(block))
    return pcapng.header() + b"".join(secrets + others if secrets_first else others + secrets)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDINGS)
def test_arrival_law(name: str) -> None:
    """Secrets first, as recorded or last: the same exchanges at the end. One thing cannot be the same: where names are
    looked up inside TLS whose secrets come last, the exchange that a look-up led to was told before it was read."""
    raw = (HERE / f"{name}.pcapng").read_bytes()

    def exchanges(data: bytes) -> list[str]:
        entries = [json.loads(line) for line in told(data, "--json").splitlines()]
        for entry in entries if name.startswith("dns-over-") else ():
            del entry["startedDateTime"], entry["time"], entry["timings"]["dns"], entry["timings"]["blocked"]
        return sorted(json.dumps(entry) for entry in entries)

    assert exchanges(rearranged(raw, True)) == exchanges(raw) == exchanges(rearranged(raw, False))


@pytest.mark.parametrize("name", ["curl-h2-tls13", "curl-h1-tls12"])
def test_a_torn_recording_opens(name: str, tmp_path: pathlib.Path) -> None:
    """Cut anywhere, it tells what stands before the cut, one trouble, and exit status 1."""
    raw = (HERE / f"{name}.pcapng").read_bytes()
    for size in (len(raw) - 3, len(raw) // 2 + 1, 500, 30, 3):
        done = subprocess.run([sys.executable, "-m", "hark", "read", "-"], input=raw[:size], capture_output=True)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 1 and "Traceback" not in said
        assert "the file ends" in said or "neither pcapng nor pcap" in said, (size, said)
