"""Archives: HAR files of several makers, whole, cut anywhere, torn and hostile; what they tell by every view."""

import io
import json
import pathlib
import subprocess
import sys

import pytest

from hark.errors import HarkError
from hark.model.imported import EntryReader, ImportedExchange
from hark.recording.blocks import Entry, Torn
from hark.recording.reader import read
from hark.wire.isotime import time_ns

HERE = pathlib.Path(__file__).parent.parent.parent / "recordings"

CHROME = {
    "log": {
        "version": "1.2",
        "creator": {"name": "WebInspector", "version": "537.36"},
        "pages": [{"startedDateTime": "2026-11-21T12:00:00.000Z", "id": "page_1", "title": "x", "pageTimings": {"onLoad": 3.5}}],
        "entries": [
            {
                "_connectionId": "8", "_initiator": {"type": "script", "stack": {"callFrames": []}}, "_priority": "High", "_resourceType": "fetch",
                "cache": {}, "connection": "443", "pageref": "page_1", "serverIPAddress": "192.0.2.10", "startedDateTime": "2026-11-21T12:00:00.123Z", "time": 61.5,
                "request": {"method": "POST", "url": "https://example.com/api?q=1", "httpVersion": "h2", "headers": [{"name": ":authority", "value": "example.com"}, {"name": "content-type", "value": "application/json"}],
                            "queryString": [{"name": "q", "value": "1"}], "cookies": [], "headersSize": -1, "bodySize": 9, "postData": {"mimeType": "application/json", "text": '{"a": 23}'}},
                "response": {"status": 201, "statusText": "", "httpVersion": "h2", "headers": [{"name": "content-encoding", "value": "br"}, {"name": "content-type", "value": "application/json"}], "cookies": [],
                             "content": {"size": 11, "mimeType": "application/json", "text": '{"ok": "ja"}'}, "redirectURL": "", "headersSize": -1, "bodySize": -1, "_transferSize": 233, "_error": None},
                "timings": {"blocked": 1.5, "dns": 10, "ssl": 20, "connect": 30, "send": 0.5, "wait": 18.5, "receive": 1.0, "_blocked_queueing": 0.7},
            },
            {
                "startedDateTime": "2026-11-21T13:00:01.000+01:00", "time": 5, "cache": {}, "serverIPAddress": "[2001:db8::1]", "connection": "9", "_resourceType": "websocket",
                "_webSocketMessages": [{"type": "send", "time": 1795262401.5, "opcode": 1, "data": "ping"}, {"type": "receive", "time": 1795262401.6, "opcode": 2, "data": "AAEC"}],
                "request": {"method": "GET", "url": "wss://example.com/socket", "httpVersion": "http/1.1", "headers": [], "queryString": [], "cookies": [], "headersSize": 100, "bodySize": 0},
                "response": {"status": 101, "statusText": "Switching Protocols", "httpVersion": "http/1.1", "headers": [{"name": "Upgrade", "value": "websocket"}], "cookies": [],
                             "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": 80, "bodySize": 0},
                "timings": {"blocked": -1, "dns": -1, "ssl": -1, "connect": -1, "send": 1, "wait": 3, "receive": 1},
            },
            {
                "startedDateTime": "2026-11-21T12:00:02.000Z", "time": 3, "cache": {}, "_resourceType": "image",
                "request": {"method": "GET", "url": "https://down.example/", "httpVersion": "", "headers": [], "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0},
                "response": {"status": 0, "statusText": "", "httpVersion": "", "headers": [], "cookies": [], "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1, "bodySize": -1,
                             "_error": "net::ERR_NAME_NOT_RESOLVED"},
                "timings": {"blocked": 3, "dns": -1, "ssl": -1, "connect": -1, "send": 0, "wait": 0, "receive": 0},
            },
        ],
    }
}  # fmt: skip
FIREFOX = {
    "log": {
        "creator": {"name": "Firefox", "version": "153.0"}, "version": "1.2", "browser": {"name": "Firefox", "version": "153.0"}, "pages": [],
        "entries": [
            {
                "startedDateTime": "2026-11-21T14:00:00.250+02:00", "request": {"bodySize": 0, "method": "GET", "url": "http://example.com:8080/pic", "httpVersion": "HTTP/1.1", "headers": [{"name": "Host", "value": "example.com:8080"}],
                "cookies": [], "queryString": [], "headersSize": 80},
                "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [{"name": "Content-Type", "value": "image/png"}], "cookies": [],
                             "content": {"mimeType": "image/png", "size": 4, "encoding": "base64", "text": "iVBORw=="}, "redirectURL": "", "headersSize": 120, "bodySize": 124},
                "cache": {}, "timings": {"blocked": 0, "dns": 0, "connect": 1, "ssl": 0, "send": 0, "wait": 4, "receive": 0}, "time": 5, "_securityState": "insecure", "serverIPAddress": "192.0.2.11", "connection": "8080",
            }
        ],
    }
}  # fmt: skip
MITMPROXY = {
    "log": {
        "version": "1.2", "creator": {"name": "mitmproxy", "version": "12.1", "comment": ""}, "pages": [],
        "entries": [
            {
                "startedDateTime": "2026-11-21T12:00:00.123456+00:00", "time": 12.5,
                "request": {"method": "GET", "url": "https://example.com/", "httpVersion": "HTTP/2.0", "cookies": [], "headers": [], "queryString": [], "headersSize": 36, "bodySize": 0},
                "response": {"status": 404, "statusText": "", "httpVersion": "HTTP/2.0", "cookies": [], "headers": [], "content": {"size": 5, "compression": 0, "mimeType": "", "text": "nicht"}, "redirectURL": "", "headersSize": 11, "bodySize": 5},
                "cache": {}, "timings": {"connect": 3.0, "ssl": 4.0, "send": 0.5, "receive": 1.0, "wait": 4.0}, "serverIPAddress": "192.0.2.12",
            }
        ],
    }
}  # fmt: skip
HTTPTAP = {
    "log": {
        "version": "1.2", "creator": {"name": "httptap", "version": "0.1"},
        "entries": [
            {
                "startedDateTime": "2026-11-21T12:00:00.5Z", "time": 20,
                "request": {"method": "GET", "url": "https://example.com/list", "httpVersion": "HTTP/1.1", "cookies": None, "headers": [{"name": "Accept", "value": "*/*"}], "queryString": None, "headersSize": 0, "bodySize": 0},
                "response": {"status": 200, "statusText": "200 OK", "httpVersion": "HTTP/1.1", "cookies": None, "headers": None, "content": {"size": 2, "mimeType": "text/plain", "text": "ok"}, "redirectURL": "", "headersSize": 0, "bodySize": 2},
                "cache": {}, "timings": {"send": 0, "wait": 20, "receive": 0},
            }
        ],
    }
}  # fmt: skip
MAKERS = {"chrome": CHROME, "firefox": FIREFOX, "mitmproxy": MITMPROXY, "httptap": HTTPTAP}


def entries(data: bytes) -> list[dict]:
    """What an archive holds; nothing may be torn."""
    found = list(read(io.BytesIO(data), "archive"))
    assert all(isinstance(block, Entry) for block in found), found
    return [block.told for block in found]


def told(data: bytes, *options: str) -> str:
    """What `hark read` says of it."""
    done = subprocess.run([sys.executable, "-m", "hark", "read", *options, "-"], input=data, capture_output=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize(
    "maker, lines",
    [
        ("chrome", ["POST https://example.com/api?q=1 201 json 233 B 50 ms h2",
                    "GET wss://example.com/socket 101 websocket 4.0 ms",
                    "GET wss://example.com/socket closed 1 sent, 1 received 5.0 ms",
                    "GET https://down.example/ net::ERR_NAME_NOT_RESOLVED 3.0 ms"]),
        ("firefox", ["GET http://example.com:8080/pic 200 png 124 B 5.0 ms http/1.1"]),
        ("mitmproxy", ["GET https://example.com/ 404 5 B 12 ms h2"]),
        ("httptap", ["GET https://example.com/list 200 2 B 20 ms http/1.1"]),
    ],
)  # fmt: skip
def test_archives_of_all_makers(maker: str, lines: list[str]) -> None:
    text = told(json.dumps(MAKERS[maker]).encode())
    assert [" ".join(line.split()) for line in text.splitlines()[:-1]] == lines


@pytest.mark.parametrize("maker", MAKERS)
def test_nothing_of_another_maker_is_lost(maker: str) -> None:
    """What is read is written again: everything that was there, and what HAR requires."""
    again = [json.loads(line) for line in told(json.dumps(MAKERS[maker]).encode(), "--json").splitlines()]
    for was, now in zip(MAKERS[maker]["log"]["entries"], again, strict=True):
        for name in was:
            if name not in ("request", "response"):
                assert now[name] == was[name]
        assert {**was["request"], **now["request"]} == now["request"]
        assert now["response"]["content"] == was["response"]["content"]


def test_all_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that comes in pieces of any size has the same entries."""
    from hark.recording import archive

    data = json.dumps(CHROME, indent=1).encode().replace(b"Switching", rb"Swi\"[{\\tching")
    whole = entries(data)
    assert len(whole) == 3
    for step in (1, 2, 3, 7, 64, 1000):
        monkeypatch.setattr(archive, "_STEP", step)
        assert entries(data) == whole, step


def test_an_archive_cut_anywhere_is_told_up_to_there() -> None:
    data = json.dumps(CHROME).encode()
    whole = entries(data)
    for cut in range(1, len(data), 11):
        try:
            found = list(read(io.BytesIO(data[:cut]), "archive"))
        except HarkError:
            assert cut < data.index(b'"entries"') + 12
            continue
        assert [block.told for block in found if isinstance(block, Entry)] == whole[
            : sum(isinstance(b, Entry) for b in found)
        ]
        assert isinstance(found[-1], Torn) or data[cut:].strip(b"}] ") == b""


@pytest.mark.parametrize(
    "text, why",
    [
        (b"{}", "neither a HAR file"), (b'{"log": {}}', "neither a HAR file"), (b'{"a": [1, 2', "neither a HAR file"),
        (b"[1, 2]", "neither pcapng nor pcap"), (b"{", "neither a HAR file"), (b'{"log": {"entries": 7}}', "neither a HAR file"),
    ],
)  # fmt: skip
def test_what_is_no_archive_gets_one_line(text: bytes, why: str) -> None:
    done = subprocess.run([sys.executable, "-m", "hark", "read", "-"], input=text, capture_output=True)
    said = done.stderr.decode()
    assert done.returncode == 1 and why in said and said.count("\n") == 1, said


WRONG = [None, True, -1, 1e400, "x", [], {}, [None], [[]], [{"name": 3, "value": []}], {"a": {}}, "\ud800", "9" * 400]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_hostile_values_are_not_known(wrong: object) -> None:
    """Any value at any place: told as far as it can be, by every view, without a traceback."""

    def spoil(value: object) -> list:
        """Copies with one place each spoiled."""
        if isinstance(value, dict):
            found = [{**value, name: wrong} for name in value]
            return found + [{**value, name: one} for name in value for one in spoil(value[name])]
        if isinstance(value, list):
            return [value[:at] + [one] + value[at + 1 :] for at in range(len(value)) for one in spoil(value[at])]
        return []

    spoiled = [one for entry in CHROME["log"]["entries"][:2] for one in spoil(entry)]
    data = json.dumps({"log": {"entries": spoiled}}).encode()
    for options in (["-vv"], ["--json"], ["--curl"], ["--summary", "--waterfall", "--redact", "--grep", "a"]):
        done = subprocess.run([sys.executable, "-m", "hark", "read", *options, "-"], input=data, capture_output=True)
        assert b"Traceback" not in done.stderr and done.returncode == 0, done.stderr.decode()[-2000:]


@pytest.mark.slow
def test_deep_and_long_values_do_no_harm() -> None:
    for data in (b'{"log": {"entries": [' + b"[" * 100_000, b"{" * 100_000, b'{"log": {"entries": [' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}}"):  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "hark", "read", "-"], input=data, capture_output=True)
        assert b"Traceback" not in done.stderr


def test_the_model_of_an_entry() -> None:
    reader = EntryReader()
    first, socket, failed = (reader.exchange(json.loads(json.dumps(entry))) for entry in CHROME["log"]["entries"])
    assert isinstance(first, ImportedExchange) and first.request.method == "POST" and first.response.status == 201
    assert (first.response_body.raw, first.response_body.size) == (b'{"ok": "ja"}', 233)
    assert first.request_body.decoded("gzip") == (b'{"a": 23}', "")
    assert (
        first.ended - first.began == 50_000_000 and first.connection.established - first.connection.opened == 10_000_000
    )
    assert (
        socket.socket
        and [m.data for m in socket.messages] == [b"ping", b"\0\1\2"]
        and socket.connection.server == ("2001:db8::1", 443)
    )
    assert failed.trouble == "net::ERR_NAME_NOT_RESOLVED" and failed.response is None


@pytest.mark.parametrize(
    "text, ns",
    [
        ("1970-01-01T00:00:00Z", 0), ("2026-11-21T12:02:45.610929Z", 1795262565_610929000), ("2026-11-21T13:02:45.61+01:00", 1795262565_610000000),
        ("2000-02-29T00:00:00.000000000Z", 951782400_000000000), ("2026-11-21T10:02:45-0200", 1795262565_000000000), ("yesterday", 0), ("", 0),
    ],
)  # fmt: skip
def test_times(text: str, ns: int) -> None:
    assert time_ns(text) == ns


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(HERE.glob("*.pcapng")), ids=lambda path: path.stem)
def test_har_and_json_lines_tell_the_same(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A recording, its HAR, its JSON lines, and the HAR of its HAR: the same JSON, to the byte."""
    hark = [sys.executable, "-m", "hark", "read"]
    subprocess.run([*hark, "-q", "-o", "a.har", "-o", "a.jsonl", path], cwd=tmp_path, check=True)
    lines = (tmp_path / "a.jsonl").read_bytes()
    if not lines:
        return
    for name in ("a.har", "a.jsonl"):
        assert subprocess.run([*hark, "--json", name], cwd=tmp_path, capture_output=True, check=True).stdout == lines
    subprocess.run([*hark, "-q", "-o", "b.har", "a.har"], cwd=tmp_path, check=True)
    assert (tmp_path / "b.har").read_bytes() == (tmp_path / "a.har").read_bytes()


@pytest.mark.slow
def test_a_large_archive_is_told_once(tmp_path: pathlib.Path) -> None:
    """Large recordings are told by several processes; an archive is not: its entries are independent of connections."""
    (tmp_path / "large.har").write_text(json.dumps({"log": {"entries": CHROME["log"]["entries"][:1] * 3000}}))
    assert (tmp_path / "large.har").stat().st_size > 2 << 20
    done = subprocess.run([sys.executable, "-m", "hark", "read", "--json", tmp_path / "large.har"], capture_output=True)
    assert done.stdout.count(b"\n") == 3000


def test_what_is_read_is_not_written_over(tmp_path: pathlib.Path) -> None:
    data = json.dumps(CHROME).encode()
    (tmp_path / "x.har").write_bytes(data)
    (tmp_path / "link.har").symlink_to("x.har")
    for name in ("x.har", "./x.har", "link.har"):
        done = subprocess.run(
            [sys.executable, "-m", "hark", "read", "-o", name, "x.har"], cwd=tmp_path, capture_output=True
        )
        assert done.returncode == 1 and b"it is what is read" in done.stderr and done.stderr.count(b"\n") == 1
    assert (tmp_path / "x.har").read_bytes() == data
