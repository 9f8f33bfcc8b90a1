"""A pcapng of what filters choose: the same exchanges, nothing of others, and Wireshark opens it."""

import json
import pathlib
import subprocess
import sys

import pytest

from conformance import missed
from hark.decode.decoder import Decoder
from hark.model.book import Book
from hark.model.changes import Ended
from hark.pipeline.select import Flows
from hark.recording.blocks import Block, Frame, Names, Process, Secrets
from hark.recording.reader import read

HERE = pathlib.Path(__file__).parent.parent.parent / "recordings"
# Where names are looked up inside TLS, the look-up is another connection's: it is chosen or not by itself.
ALL = [path for path in sorted(HERE.glob("*.pcapng")) if not path.stem.startswith("dns-over-")]
HARK = [sys.executable, "-m", "hark", "read"]


def entries(*options: object) -> list[dict]:
    """What is told, without the connections' numbers, which count what is there."""
    done = subprocess.run([*HARK, "--json", *map(str, options)], capture_output=True, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    for entry in told:
        del entry["connection"]
    return told


@pytest.mark.slow
@pytest.mark.parametrize(
    "filters",
    [["--host", "site.test"], ["--host", "six.test"], ["--host", "192.0.2.10:7076"], ["--process", "openssl"], ["--path", "/page.html"], ["--host", "[::1]"]],
    ids=" ".join,
)  # fmt: skip
def test_a_part_of_everything(filters: list[str], tmp_path: pathlib.Path) -> None:
    part = tmp_path / "part.pcapng"
    done = subprocess.run([*HARK, "-q", *filters, "-o", part, *ALL], capture_output=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    wanted = entries(*filters, *ALL)
    assert wanted and entries(*filters, part) == wanted
    connections = {(entry["serverIPAddress"], entry["_process"] and entry["_process"]["pid"]) for entry in wanted}
    told = entries(part)
    assert all(
        (entry["serverIPAddress"], entry["_process"] and entry["_process"]["pid"]) in connections for entry in told
    )
    assert missed(part, told) == {}
    secrets = {
        line.split()[1]
        for line in part.read_bytes().split(b"\n")
        if line[:7] in (b"CLIENT_", b"SERVER_") and len(line.split()) > 1
    }
    assert len(secrets) <= len(wanted)


@pytest.mark.slow
def test_nothing_chosen_is_an_empty_recording(tmp_path: pathlib.Path) -> None:
    part = tmp_path / "part.pcapng"
    subprocess.run([*HARK, "-q", "--host", "nowhere.test", "-o", part, *ALL], check=True)
    assert entries(part) == [] and b"CLIENT_" not in part.read_bytes()


@pytest.mark.slow
def test_where_it_cannot_be_done_it_is_said(tmp_path: pathlib.Path) -> None:
    """Standard input is read once."""
    part = tmp_path / "part.pcapng"
    done = subprocess.run(
        [*HARK, "-q", "--host", "six.test", "-o", part, "-"], stdin=open(ALL[0], "rb"), capture_output=True
    )
    assert b"part.pcapng is not filtered" in done.stderr


def learned(path: pathlib.Path, keep: bool) -> list[tuple[Block, int]]:
    """Each block of a recording with how much is written of it, if its exchanges are chosen or not."""
    decoder, book, flows = Decoder(), Book(1000), Flows()
    with open(path, "rb") as file:
        for block in read(file, "x"):
            for change in book.feed(decoder.feed(block)):
                if isinstance(change, Ended) and keep:
                    flows.change(change)
    flows.end()
    with open(path, "rb") as file:
        return [(block, len(flows.choose(block, b"raw")[1])) for block in read(file, "x")]


@pytest.mark.parametrize("keep", [True, False])
def test_blocks_of_what_is_chosen(keep: bool) -> None:
    """Frames, secrets and processes of a connection: all of them or none; its name too."""
    blocks = learned(HERE / "curl-h2-tls13.pcapng", keep)
    for kind in (Frame, Secrets, Process):
        found = [size for block, size in blocks if isinstance(block, kind)]
        assert found, kind
        assert any(found) == keep, kind
    flows = Flows()
    names = Names((("192.0.2.1", "one.test"), ("192.0.2.2", "two.test")))
    assert flows.choose(names, b"raw") == (names, b"")
    flows._addresses.add("192.0.2.2")
    written = flows.choose(names, b"raw")[1]
    assert b"two.test" in bytes(written)
    assert b"one.test" not in bytes(written)
