"""HAR files of other makers: whatever they write instead of what HAR 1.2 says, no entry is lost and nothing raises."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import segment
from hark.decode.decoder import Decoder
from hark.model.book import Book
from hark.model.changes import Ended
from hark.model.imported import EntryReader, ImportedExchange
from hark.recording.blocks import Entry
from hark.recording.reader import read
from hark.views.curl import command
from hark.views.entry import entry as entry_of
from hark.views.filters import parse
from hark.views.redaction.entry import Redaction
from hark.wire.isotime import time_ns

NOW = "2026-01-02T03:04:05.678Z"


def made(**more) -> dict:
    """A usual entry with parts replaced: request_x and response_x go there."""
    entry = {
        "startedDateTime": NOW,
        "time": 5,
        "request": {"method": "GET", "url": "https://a.test/x", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [], "queryString": [], "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [], "content": {"size": 2, "mimeType": "text/plain", "text": "ok"}, "redirectURL": "", "headersSize": -1, "bodySize": -1},
        "cache": {},
        "timings": {"send": 0, "wait": 1, "receive": 1},
    }  # fmt: skip
    for name, value in more.items():
        part, _, key = name.partition("_")
        (entry[part] if part in ("request", "response") and key else entry)[key or name] = value
    return entry


def told(entry: dict) -> ImportedExchange:
    """The entry as a HAR of one, read."""
    return read_all(json.dumps({"log": {"version": "1.2", "entries": [entry]}}).encode())[0]


def read_all(raw: bytes) -> list[ImportedExchange]:
    reader, found = EntryReader(), []
    for block in read(io.BytesIO(raw), "x.har"):
        assert isinstance(block, Entry), block
        found.append(reader.exchange(block.told))
    return found


@pytest.mark.parametrize(
    "version",
    [
        "HTTP/2",
        "HTTP/2.0",
        "http/2.0",
        "http/2",
        "h2",
        "H2",
        "h3",
        "HTTP/3",
        "http/3.0",
        "h3-29",
        "HTTP/1.1",
        "http/1.1",
        "",
        "unknown",
        "spdy/3.1",
    ],
)
def test_names_of_headers_in_capitals_are_found(version: str) -> None:
    headers = [{"name": "Content-Type", "value": "application/json"}, {"name": "X-Up", "value": "1"}]
    exchange = told(
        made(
            request_httpVersion=version, response_httpVersion=version, response_headers=headers, request_headers=headers
        )
    )
    assert exchange.response_header("content-type") == "application/json" == exchange.request_header("content-type")
    chosen = parse({"type": ["json"]})
    assert chosen is not None and chosen.matches(exchange)
    assert exchange.response is not None
    wanted = (
        "HTTP/2"
        if "2" in version and "3" not in version
        else "HTTP/3"
        if version[:2].lower() == "h3" or ("/3" in version and version[0] in "hH")
        else version.upper()
    )
    assert exchange.response.version == wanted


@pytest.mark.parametrize(
    "value, text",
    [
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (["a", 1], "a, 1"),
        ({"a": 1}, '{"a": 1}'),
        ("x", "x"),
        (0, "0"),
    ],
)
def test_values_that_are_no_strings(value: object, text: str) -> None:
    exchange = told(
        made(
            response_headers=[{"name": "X-A", "value": value}, {"name": 7, "value": "n"}, {"value": "no name"}, None, 3]
        )
    )
    assert exchange.response_header("x-a") == text and exchange.response_header("7") == "n"


def test_headers_as_an_object() -> None:
    exchange = told(made(response_headers={"X-A": "1", "Set-Cookie": ["a=1", "b=2"], "X-N": 3}))
    assert exchange.response is not None
    assert exchange.response.headers == (
        (b"X-A", b"1"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"X-N", b"3"),
    )


def test_cookies_in_one_value_are_several() -> None:
    exchange = told(made(response_headers=[{"name": "Set-Cookie", "value": "a=1; Path=/\nb=2"}]))
    assert exchange.response is not None
    assert exchange.response.headers == ((b"Set-Cookie", b"a=1; Path=/"), (b"Set-Cookie", b"b=2"))
    assert exchange.entry["response"]["headers"] == [{"name": "Set-Cookie", "value": "a=1; Path=/\nb=2"}]


TEXT = (
    '{"log": {"entries": ['
    + json.dumps(made(response_statusText="MARK"))
    + ', {"request": {"url": "http://b.test/"}}]}}'
)
FILES = {
    "as it should be": TEXT.encode(),
    "with a mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "UTF-16 without a mark, big end first": TEXT.encode("utf-16-be"),
    "UTF-32": TEXT.encode("utf-32"),
    "invalid UTF-8": TEXT.encode().replace(b"MARK", b"M\xff\xfe\xc3RK"),
    "a cut character": TEXT.encode().replace(b"MARK", b"\xe2\x82"),
    "Latin-1": TEXT.encode().replace(b"MARK", b"caf\xe9"),
    "a raw tab": TEXT.encode().replace(b"MARK", b"MA\tRK"),
    "a raw line end": TEXT.encode().replace(b"MARK", b"MA\r\nRK"),
    "control characters": TEXT.encode().replace(b"MARK", bytes(range(1, 32)).replace(b"\n", b"")),
    "NUL": TEXT.encode().replace(b"MARK", b"\0"),
    "an escape of another language": TEXT.encode().replace(b"MARK", rb"\x41\'\a\u12"),
    "a lone surrogate": TEXT.encode().replace(b"MARK", rb"\ud800"),
    "NaN": TEXT.encode().replace(b'"time": 5', b'"time": NaN'),
    "infinity": TEXT.encode().replace(b'"time": 5', b'"time": -Infinity'),
    "a great number": TEXT.encode().replace(b'"time": 5', b'"time": 1' + b"0" * 400),
    "spread out": json.dumps(json.loads(TEXT), indent=8).encode(),
}


@pytest.mark.parametrize("name", FILES)
def test_files_as_makers_write_them(name: str) -> None:
    found = read_all(FILES[name])
    assert [one.url for one in found] == ["https://a.test/x", "http://b.test/"]


TIMES = {
    "2026-01-02T03:04:05.678Z": 678,
    "2026-01-02t03:04:05.678z": 678,
    "2026-01-02 03:04:05.678Z": 678,
    "2026-01-02T03:04:05,678Z": 678,
    "2026-01-02T03:04:05.678": 678,
    "2026-01-02T04:04:05.678+01:00": 678,
    "2026-01-02T04:04:05.678+0100": 678,
    "2026-01-02T04:04:05.678+01": 678,
    "2026-01-02T00:34:05.678-02:30": 678,
    "20260102T030405.678Z": 678,
    "2026-01-02T03:04:05Z": 0,
    "2026-01-02T03:04Z": -5000,
    "2026-01-02": -3 * 3_600_000 - 4 * 60_000 - 5000,
    " 2026-01-02T03:04:05.678123456789Z ": 678.123456,
    "2026-01-02T03:04:05 UTC": 0,
    1767323045678: 678,
    1767323045.678: 678,
}


@pytest.mark.parametrize("text", TIMES)
def test_times(text: object) -> None:
    exchange = told(made(startedDateTime=text))
    begin = time_ns(exchange.entry["startedDateTime"]) / 1e6
    assert begin == pytest.approx(1767323045000 + TIMES[text], abs=0.5)  # type: ignore[index]


@pytest.mark.parametrize(
    "text", ["", "yesterday", "0000-00-00T00:00:00Z", None, True, [], {}, -5, 1e300, "2026-13-45T99:99:99Z"]
)
def test_times_that_are_none(text: object) -> None:
    assert told(made(startedDateTime=text)).ended >= 0


FORM = "application/x-www-form-urlencoded"
POSTS = {
    "text": ({"mimeType": "text/plain", "text": "abc"}, b"abc"),
    "base64": ({"mimeType": "x/y", "text": "AP8=", "encoding": "base64"}, b"\0\xff"),
    "base64 in capitals": ({"mimeType": "x/y", "text": "AP8=", "_encoding": "Base64"}, b"\0\xff"),
    "params alone": (
        {"mimeType": FORM, "params": [{"name": "a", "value": "1"}, {"name": "b", "value": "x y&"}]},
        b"a=1&b=x+y%26",
    ),
    "params as they were sent": ({"mimeType": FORM, "params": [{"name": "a", "value": "x%20y+z"}]}, b"a=x%20y+z"),
    "params as an object": ({"mimeType": FORM, "params": {"a": 1}}, b"a=1"),
    "params and an empty text": ({"mimeType": FORM, "params": [{"name": "a", "value": "1"}], "text": ""}, b"a=1"),
    "both": ({"mimeType": FORM, "params": [{"name": "a", "value": "1"}], "text": "a=1"}, b"a=1"),
    "a text that is JSON": ({"mimeType": "application/json", "text": {"a": [1]}}, b'{"a": [1]}'),
    "no type": ({"text": "abc"}, b"abc"),
    "a string": ("abc", b"abc"),
    "multipart": (
        {"mimeType": "multipart/form-data; boundary=Q", "params": [{"name": "a", "value": "1"}]},
        b'--Q\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--Q--\r\n',
    ),
    "a file": (
        {
            "mimeType": "multipart/form-data; boundary=Q",
            "params": [{"name": "f", "fileName": "x.bin", "contentType": "x/y"}],
        },
        b"",
    ),
    "nothing": ({}, b""),
    "null": (None, b""),
    "a list": ([], b""),
}


@pytest.mark.parametrize("name", POSTS)
def test_bodies_of_requests(name: str) -> None:
    post, body = POSTS[name]
    exchange = told(made(request_method="POST", request_postData=post))
    assert exchange.request_body.raw == body
    assert exchange.request_body.whole == (name != "a file")
    assert ("of the body were kept" in command(exchange)) == (name == "a file")


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.sampled_from([NOW, "base64", "200", "", "-1", "https://x.test:99999/", "\ud800"])),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(["name", "value", "text", "size", "encoding", "mimeType", "params", "status", "headers", "url", "time", "data", "opcode", "type"]), inside, max_size=4),
    max_leaves=8,
)  # fmt: skip
FIELDS = [
    "startedDateTime", "time", "timings", "cache", "serverIPAddress", "connection", "pageref", "_process", "_tls", "_grpc", "_trouble",
    "_webSocketMessages", "_events", "_interim", "_serverPort", "_stream", "_protocol", "request", "response",
    *(f"{part}_{name}" for part in ("request", "response") for name in ("method", "url", "httpVersion", "headers", "cookies", "queryString", "postData", "headersSize", "bodySize", "status", "statusText", "content", "redirectURL", "_error", "_transferSize", "_trailers", "_authority")),
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=5), min_size=1, max_size=3))
def test_no_entry_is_lost_and_nothing_raises(changes: list[dict]) -> None:
    entries = []
    for change in changes:
        whole = {name: value for name, value in change.items() if name not in ("request", "response")}
        entries.append({**made(**whole), **{name: change[name] for name in ("request", "response") if name in change}})
    text = json.dumps({"log": {"entries": entries}}).encode("utf-8", "surrogatepass")
    found = read_all(text)
    assert len(found) == len(entries)
    for exchange in found:
        assert exchange.ended >= exchange.started >= 0 or not exchange.entry["startedDateTime"]
        command(exchange)
        json.dumps(Redaction(b"salt").entry(json.loads(json.dumps(entry_of(exchange)))))


@pytest.mark.parametrize(
    "word", ["example.com", "Example.COM.", "example.com:8443", "example.com.:8443", "*.com", "com."]
)
@pytest.mark.parametrize("host", ["example.com:8443", "Example.COM.:8443", "EXAMPLE.COM:8443"])
def test_a_host_fits_whatever_its_case_and_with_its_last_dot(word: str, host: str) -> None:
    chosen = parse({"host": [word]})
    other = parse({"host": ["example.org."]})
    exchange = told(made(request_url=f"https://{host}/x"))
    assert chosen is not None and other is not None
    assert chosen.matches(exchange) and not other.matches(exchange)


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/3.0", b"HTTP/2.1"])
def test_a_version_that_is_not_the_connections_in_a_capture(version: bytes) -> None:
    """Servers and tools write HTTP/2.0 into a status line of HTTP/1."""
    answer = version + b" 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    decoder, book, changes = Decoder(), Book(1 << 20), []
    for frame in (segment(1, True, 1, b"GET / " + version + b"\r\nHost: a\r\n\r\n"), segment(2, False, 1, answer)):
        changes += book.feed(decoder.feed(frame))
    (exchange,) = [change.exchange for change in changes if isinstance(change, Ended)]
    chosen = parse({"type": ["json"]})
    assert chosen is not None and chosen.matches(exchange)
    assert entry_of(exchange)["response"]["content"]["mimeType"] == "application/json"


@settings(max_examples=100, deadline=None)
@given(st.integers(100_000_000_001, 99_999_999_999_999))
def test_times_in_numbers_are_the_same_times(ms: int) -> None:
    assert time_ns(told(made(startedDateTime=ms)).entry["startedDateTime"]) == ms * 1_000_000


@pytest.mark.parametrize("names", [{}, {"a": 1}, "a.test", None, ["a.test", 7]])
def test_names_of_a_certificate_may_be_anything(names: object) -> None:
    exchange = told(made() | {"_tls": {"certificate": {"subject": "CN=a.test", "names": names}}})
    known = ["a.test", "7"] if isinstance(names, list) else None
    assert exchange.certificate == {"subject": "CN=a.test"} | ({"names": known} if known else {})
