"""Plaintext that a tap has without packets: frames of an interface of its own, decoded as https, by tshark too."""

import json
import pathlib
import subprocess

import pytest

import hark
from hark.cli import main
from hark.recording import pcapng
from hark.recording.plaintext import Plaintext
from hark.wire import ip

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
MS = 1_000_000
START = 1_795_262_565 * 1000 * MS
FOUR = (ip.packed("192.0.2.1"), 40000), (ip.packed("192.0.2.2"), 443)
SIX = (ip.packed("2001:db8::1"), 40000), (ip.packed("2001:db8::2"), 443)
BIG = bytes(200_000)


def recorded(path: pathlib.Path, ends, begins: bool = True, missed: int = 0) -> pathlib.Path:
    """Two exchanges on a connection, of the second response the middle was missed."""
    with open(path, "wb") as file:
        file.write(pcapng.header())
        stream = Plaintext("uprobe", 1, file.write).open(*ends, START, 42, begins)
        stream.data(0, b"GET /one HTTP/1.1\r\nHost: h.test\r\n\r\n", START + MS)
        stream.data(1, OK % (200_000, BIG), START + 2 * MS)
        stream.data(0, b"GET /two HTTP/1.1\r\nHost: h.test\r\n\r\n", START + 3 * MS)
        head = OK % (100, b"")
        stream.data(1, head + bytes(40), START + 4 * MS)
        stream.lost(1, missed)
        stream.data(1, bytes(60 - missed), START + 5 * MS)
        stream.end(1, START + 6 * MS)
        stream.end(0, START + 7 * MS)
    return path


@pytest.mark.parametrize("ends", [FOUR, SIX], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("begins", [True, False])
def test_it_is_decoded_as_https(tmp_path: pathlib.Path, ends, begins: bool) -> None:
    recording = hark.read(recorded(tmp_path / "x.pcapng", ends, begins))
    one, two = recording.exchanges
    assert (one.request.url, two.request.url) == ("https://h.test/one", "https://h.test/two")
    assert one.response.body == BIG and two.response.body == bytes(100)
    assert one.entry["_tls"]["opened_by"] == "uprobe" and not one.entry.get("_trouble")


def test_what_was_missed_is_a_hole(tmp_path: pathlib.Path) -> None:
    recording = hark.read(recorded(tmp_path / "x.pcapng", FOUR, missed=30))
    one, two = recording.exchanges
    assert one.response.body == BIG and two.entry["_trouble"]


def test_written_anew_it_is_the_same(tmp_path: pathlib.Path) -> None:
    """Filtered, too: the interface keeps its name."""
    path = recorded(tmp_path / "x.pcapng", FOUR)
    assert main(["read", "--path", "/two", "-o", str(tmp_path / "y.pcapng"), str(path)]) == 0
    assert main(["read", "-o", str(tmp_path / "y.jsonl"), str(tmp_path / "y.pcapng")]) == 0
    one, two = map(json.loads, (tmp_path / "y.jsonl").read_text().splitlines())
    assert one["_tls"]["opened_by"] == two["_tls"]["opened_by"] == "uprobe"


def test_tshark_reads_it(tmp_path: pathlib.Path) -> None:
    path = recorded(tmp_path / "x.pcapng", FOUR)
    command = ["tshark", "-r", path, "-d", "tcp.port==443,http", "-Y", "http.response", "-T", "fields"]
    command += ["-e", "frame.interface_name", "-e", "http.response.code"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["hark plaintext uprobe\t200"] * 2
