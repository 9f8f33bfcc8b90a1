"""Connections of Unix sockets: written by a tap, replayed, and shown by path in every output."""

import json
import pathlib

import pytest

import hark
from hark.cli import main
from hark.decode import limits
from hark.recording import pcapng
from hark.recording.blocks import UNIX, Note
from hark.recording.plaintext import Plaintext
from hark.wire import unixsocket

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%s"
MS = 1_000_000
START = 1_795_262_565 * 1000 * MS
DOCKER, ABSTRACT = "/run/docker.sock", "@my app"
URL = "http+unix://%2Frun%2Fdocker.sock/v1.41/info"


def recorded(path: pathlib.Path, *servers: str, inside: str = "") -> str:
    """A request to each of these sockets, one after the other on a connection each; the last of them is not answered."""
    with open(path, "wb") as file:
        file.write(pcapng.header())
        plaintext = Plaintext(inside, 1 if inside else 0, file.write)
        for number, server in enumerate(servers):
            at = START + number * 100 * MS
            stream = plaintext.open("", server, at, 42)
            stream.data(0, b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n", at + MS)
            if server != servers[-1] or len(servers) == 1:
                stream.data(1, OK % b"%02d" % number, at + 2 * MS)
            stream.end(1, at + 3 * MS)
            stream.end(0, at + 4 * MS)
    return str(path)


def told(capfd: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    assert main(["read", "--json", *words]) in (0, 1)
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_url_and_entry(tmp_path: pathlib.Path, capfd) -> None:
    path = recorded(tmp_path / "x.pcapng", DOCKER)
    (one,) = told(capfd, path)
    assert one["request"]["url"] == URL and one["response"]["content"]["text"] == "00"
    assert (one["serverIPAddress"], one["_serverPort"], "_notes" in one) == (DOCKER, 0, False)
    (exchange,) = hark.read(path).exchanges
    assert exchange.request.url == URL


def test_abstract_names_and_tls(tmp_path: pathlib.Path, capfd) -> None:
    (one,) = told(capfd, recorded(tmp_path / "x.pcapng", ABSTRACT, inside="uprobe"))
    assert one["request"]["url"] == "https+unix://%40my%20app/v1.41/info"
    assert one["_tls"]["opened_by"] == "uprobe" and one["serverIPAddress"] == ABSTRACT


def test_each_connection_has_its_own_socket(tmp_path: pathlib.Path, capfd) -> None:
    servers = [DOCKER, ABSTRACT, "/run/b", DOCKER, "/run/c"]
    found = told(capfd, recorded(tmp_path / "x.pcapng", *servers))
    assert [one["serverIPAddress"] for one in found] == servers
    assert [one["response"]["content"].get("text") for one in found[:-1]] == ["00", "01", "02", "03"]


@pytest.mark.parametrize(
    ("filters", "count"),
    [(["--host", DOCKER], 1), (["--host", "/run/*"], 1), (["--host", ABSTRACT], 1), (["--host", "docker"], 0)],
    ids=str,
)
def test_filters(tmp_path: pathlib.Path, capfd, filters: list[str], count: int) -> None:
    path = recorded(tmp_path / "x.pcapng", DOCKER, ABSTRACT, "/var/other")
    assert len(told(capfd, *filters, path)) == count


@pytest.mark.parametrize("kind", ["pcapng", "har", "jsonl"])
def test_written_anew_it_is_the_same(tmp_path: pathlib.Path, capfd, kind: str) -> None:
    path = recorded(tmp_path / "x.pcapng", DOCKER, ABSTRACT, DOCKER, "/var/other")
    before = told(capfd, "--host", DOCKER, "--grep", "^02$", path)
    assert main(["read", "-q", "--host", DOCKER, "--grep", "^02$", "-o", str(tmp_path / f"y.{kind}"), path]) in (0, 1)
    (after,) = told(capfd, str(tmp_path / f"y.{kind}"))
    for name in ("request", "response", "serverIPAddress", "_serverPort", "timings"):
        assert after[name] == before[0][name], name


def test_lines_and_commands(tmp_path: pathlib.Path, capfd) -> None:
    path = recorded(tmp_path / "x.pcapng", DOCKER, ABSTRACT, "/var/other")
    assert main(["read", path]) == 0
    lines = capfd.readouterr().out
    assert f"GET {URL} 200" in lines and "/var/other:0" not in lines
    assert main(["read", "--curl", path]) == 0
    commands = capfd.readouterr().out.splitlines()
    assert "--unix-socket /run/docker.sock" in commands[0] and "http://localhost/v1.41/info" in commands[0]
    assert "-H 'Host: docker'" in commands[0]
    assert "--abstract-unix-socket 'my app'" in commands[1]


def test_a_connection_that_failed(tmp_path: pathlib.Path, capfd) -> None:
    """Nothing came: its entry has the path, and no port."""
    with open(tmp_path / "x.pcapng", "wb") as file:
        file.write(pcapng.header())
        stream = Plaintext("", 0, file.write).open("", DOCKER, START, 42)
        stream.data(0, b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" + bytes(58), START + MS)
        stream.reset(1, START + 2 * MS)
    (one,) = told(capfd, str(tmp_path / "x.pcapng"))
    assert one["request"]["url"] == "https+unix://%2Frun%2Fdocker.sock/"
    assert one["_failure"]["host"] == DOCKER and one["_failure"]["port"] == 0
    assert main(["read", str(tmp_path / "x.pcapng")]) == 0
    shown = capfd.readouterr().out
    assert DOCKER in shown and f"{DOCKER}:0" not in shown


def test_one_end_alone_is_none(tmp_path: pathlib.Path) -> None:
    with open(tmp_path / "x.pcapng", "wb") as file, pytest.raises(TypeError):
        Plaintext("", 0, file.write).open((bytes(4), 1), DOCKER, START)


@pytest.mark.parametrize("path", ["", "/a\x1b[31m\nb", "/" + "a" * 5000], ids=["none", "terminal", "long"])
def test_a_note_of_a_hostile_file(tmp_path: pathlib.Path, capfd, path: str) -> None:
    """A path that no kernel gives is shown harmlessly; fields that are missing, too."""
    with open(tmp_path / "x.pcapng", "wb") as file:
        stream = Plaintext("", 0, lambda raw: file.write(raw.replace(b"/run/docker.sock", b"")))
        file.write(pcapng.header())
        raw: list[bytes] = []
        Plaintext("", 0, raw.append).open("", DOCKER, START)
        ends = raw[0][24 : 24 + 36]
        file.write(pcapng.note(Note(START, ends, UNIX, (("server", path),) if path else ())))
        stream = Plaintext("", 0, lambda raw: None if b"client" in raw else file.write(raw)).open("", DOCKER, START)
        stream.data(0, b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n", START + MS)
        stream.data(1, OK % b"ok", START + 2 * MS)
    (one,) = told(capfd, str(tmp_path / "x.pcapng"))
    assert len(one["serverIPAddress"]) <= limits.SOCKET_PATH * 4 and one["serverIPAddress"].isprintable()
    assert one["request"]["url"].startswith("http+unix://") and "\x1b" not in one["request"]["url"]


def test_forms_of_urls() -> None:
    for path in (DOCKER, ABSTRACT, "/a%2F b/ü"):
        origin = unixsocket.origin("http", path)
        assert unixsocket.socket_of(f"{origin}/x?y=+unix://") == (path, "http://localhost/x?y=+unix://")
        assert unixsocket.is_socket(path)
    for url in ("http://h.test/+unix://x", "https://h.test/", "/x", ""):
        assert unixsocket.socket_of(url) == ("", url)
    assert not any(map(unixsocket.is_socket, ("192.0.2.1", "::1", "h.test", "")))
