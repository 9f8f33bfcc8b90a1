"""Views that export: filters, grep, redaction, curl commands, the summary, the waterfall, the page. As transcripts where
text is told."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from hark.decode.endings import Phase
from hark.errors import HarkError
from hark.model.changes import Change, Ended, Failed
from hark.model.failure import Failure, FailureKind
from hark.model.imported import EntryReader, ImportedExchange
from hark.views.curl import command
from hark.views.filters import Filtered, failed, parse
from hark.views.grep import Grep
from hark.views.har import Har
from hark.views.page import Page
from hark.views.redaction.entry import Redaction
from hark.views.summary import Summary
from hark.views.view import View
from hark.views.waterfall import Waterfall

T = "2026-11-21T12:00:{:06.3f}Z"


def entry(url: str = "https://example.com/a", at: float = 0, **more: Any) -> dict:
    """An entry; what is not given is usual."""
    asked = {
        "method": "GET",
        "url": url,
        "httpVersion": "HTTP/2",
        "cookies": [],
        "headers": [],
        "queryString": [],
        "headersSize": 50,
        "bodySize": 0,
    }
    status = more.pop("status", 200)
    text = more.pop("text", "hello")
    kind = more.pop("kind", "text/plain")
    answer = {"status": status, "statusText": "", "httpVersion": "HTTP/2", "cookies": [], "headers": [{"name": "content-type", "value": kind}],
              "content": {"size": len(text), "mimeType": kind, "text": text}, "redirectURL": "", "headersSize": 60, "bodySize": len(text)}  # fmt: skip
    timings = {"blocked": -1, "dns": 1, "connect": 4, "ssl": 2, "send": 0, "wait": 10, "receive": 5}
    made = {"startedDateTime": T.format(at), "time": more.pop("time", 20), "request": asked, "response": answer, "cache": {}, "timings": timings,
            "serverIPAddress": "192.0.2.10", "connection": "1", "_protocol": "h2", "_process": {"pid": 23, "name": "curl", "exe": "/usr/bin/curl", "cmdline": ["curl", url], "ppid": 1}}  # fmt: skip
    for name, value in more.items():
        part, _, key = name.partition("_")
        if part == "request":
            asked[key] = value
        elif part == "response":
            answer[key] = value
        else:
            made[name] = value
    return made


def exchange(url: str = "https://example.com/a", **more: Any) -> ImportedExchange:
    return EntryReader().exchange(entry(url, **more))


POST = {
    "request_method": "POST",
    "request_bodySize": 9,
    "request_postData": {"mimeType": "application/json", "text": '{"a": 23}'},
}
ALL = {
    "home": exchange("https://example.com/"),
    "api": exchange("https://api.example.com:8443/v1/items?key=1", kind="application/json", text='{"item": 5}\nline two', **POST),
    "missing": exchange("http://other.test/none", status=404, kind="text/html"),
    "broken": exchange("http://other.test/error", status=503, time=700),
    "image": exchange("https://cdn.other.test/pic.png", kind="image/png", text="x" * 3_000_000),
    "cut": exchange("https://example.com/cut", _trouble="reset by server"),
    "node": exchange("http://[2001:db8::1]:8080/x", _process={"pid": 99, "name": "node", "exe": "/opt/node/bin/node", "cmdline": [], "ppid": 1}),
}  # fmt: skip


@pytest.mark.parametrize(
    "filters, names",
    [
        ({"host": ["example.com"]}, "home api cut"),
        ({"host": ["api.example.com:8443"]}, "api"),
        ({"host": ["*.test"]}, "missing broken image"),
        ({"host": ["!other.test"]}, "home api cut node"),
        ({"host": ["example.com,!api.example.com"]}, "home cut"),
        ({"host": ["2001:db8::1"]}, "node"),
        ({"host": ["EXAMPLE.com"]}, "home api cut"),
        ({"host": ["xample.com"]}, ""),
        ({"path": ["/v1/"]}, "api"),
        ({"path": ["items"]}, "api"),
        ({"path": ["*.png"]}, "image"),
        ({"path": ["/"]}, "home api missing broken image cut node"),
        ({"method": ["post"]}, "api"),
        ({"method": ["!GET"]}, "api"),
        ({"status": ["4xx,5xx"]}, "missing broken"),
        ({"status": [">=500"]}, "broken"),
        ({"status": ["400-499", "503"]}, "missing broken"),
        ({"status": ["!200"]}, "missing broken"),
        ({"type": ["json"]}, "api"),
        ({"type": ["image/*"]}, "image"),
        ({"process": ["node"]}, "node"),
        ({"process": ["99"]}, "node"),
        ({"process": ["/opt/*"]}, "node"),
        ({"slower": ["500ms"]}, "broken"),
        ({"slower": ["0.5s"]}, "broken"),
        ({"larger": ["1MB"]}, "image"),
        ({"failed": []}, "missing broken cut"),
        ({"grep": ["item.*5"]}, "api"),
        ({"grep": ['"a": 23']}, "api"),
        ({"grep": ["^content-type: image"]}, "image"),
        ({"host": ["other.test"], "status": ["5xx"], "slower": ["1"]}, "broken"),
    ],
    ids=str,
)
def test_filters(filters: dict, names: str) -> None:
    chosen = parse(filters)
    assert chosen is not None
    assert " ".join(name for name, one in ALL.items() if chosen.matches(one)) == names


@pytest.mark.parametrize(
    "filters, said",
    [
        ({"status": ["teapot"]}, "--status teapot is not a status"),
        ({"slower": ["soon"]}, "--slower soon is not a duration"),
        ({"larger": ["1 parsec"]}, "--larger 1 parsec is not a size"),
        ({"slower": ["1s", "2s"]}, "--slower 1s,2s is not a duration"),
        ({"larger": ["1MB,2MB"]}, "--larger 1MB,2MB is not a size"),
        ({"grep": ["("]}, "--grep ( is not a regular expression"),
    ],
)
def test_a_filter_that_is_none_gets_one_line(filters: dict, said: str) -> None:
    with pytest.raises(HarkError, match=re.escape(said)):
        parse(filters)


class Kept(View):
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Change] = []

    def change(self, change: Change) -> None:
        self.told.append(change)


@pytest.mark.parametrize(
    "filters, count", [({"host": ["example.com"]}, 1), ({"host": ["other.test"]}, 0), ({"failed": []}, 1), ({"method": ["GET"]}, 0), ({"process": ["curl"]}, 1)]
)  # fmt: skip
def test_failures_are_filtered_by_what_they_have(filters: dict, count: int) -> None:
    view, chosen = Kept(), parse(filters)
    assert chosen is not None
    connection = ALL["home"].connection
    failure = Failure(
        FailureKind.REFUSED, Phase.CONNECT, 0, 0, "refused", connection.process, connection.pid, connection
    )
    Filtered(chosen, [view]).change(Failed(failure))
    assert len(view.told) == count


def test_what_failed_is() -> None:
    grpc = exchange(_grpc={"messages": [], "status": 5}, response__trailers=[{"name": "grpc-status", "value": "5"}])
    assert [name for name, one in ALL.items() if failed(one)] == ["missing", "broken", "cut"] and failed(grpc)


def test_grep_tells_the_line_in_context() -> None:
    found = list(Grep(["tw.", "example"]).matches(ALL["api"]))
    assert [(m.where, m.line[m.start : m.end]) for m in found] == [("url", "example"), ("response body", "two")]
    assert found[1].line == "line two"
    (long,) = Grep(["needle"]).matches(exchange(text="x" * 500 + "needle" + "y" * 500))
    assert long.line == "…" + "x" * 60 + "needle" + "y" * 60 + "…" and long.line[long.start : long.end] == "needle"


# -- redaction ---------------------------------------------------------------------------------------------------------

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SECRETS = ["hunter2hunter2", "s3ss10n-cookie-value", "t0ken-in-the-url", "p4ssw0rd-in-json", "f0rm-secret-value", "b3arer-t0ken-value", "usr:pwd-in-url", JWT]  # fmt: skip
SECRET = entry(
    f"https://usr:pwd-in-url@example.com/cb?access_token=t0ken-in-the-url&page=2&next=https%3A%2F%2Fx#id_token={JWT}",
    request_headers=[
        {"name": "Authorization", "value": "Bearer b3arer-t0ken-value"}, {"name": "cookie", "value": "sid=s3ss10n-cookie-value; theme=dark"},
        {"name": "proxy-authorization", "value": "Basic YWxhZGRpbjpodW50ZXIyaHVudGVyMg=="}, {"name": "X-Api-Key", "value": "t0ken-in-the-url"}, {"name": "accept", "value": "*/*"},
        {"name": "referer", "value": "https://example.com/?token=t0ken-in-the-url"},
    ],
    request_cookies=[{"name": "sid", "value": "s3ss10n-cookie-value"}],
    request_queryString=[{"name": "access_token", "value": "t0ken-in-the-url"}, {"name": "page", "value": "2"}],
    request_postData={"mimeType": "application/x-www-form-urlencoded", "text": "user=me&client_secret=f0rm-secret-value", "params": [{"name": "client_secret", "value": "f0rm-secret-value"}]},
    response_headers=[{"name": "Set-Cookie", "value": "sid=s3ss10n-cookie-value; Path=/; HttpOnly"}, {"name": "location", "value": "/x?code=t0ken-in-the-url"}],
    text=json.dumps({"password": "p4ssw0rd-in-json", "name": "visible", "nested": {"refresh_token": "b3arer-t0ken-value"}, "jwt in text": f"see {JWT}"}),
    _process={"pid": 1, "name": "curl", "exe": "curl", "cmdline": ["curl", "-H", "Authorization: Bearer b3arer-t0ken-value", "-u", "aladdin:hunter2hunter2", "--cookie", "sid=s3ss10n-cookie-value", "https://example.com/cb?access_token=t0ken-in-the-url", "--password=hunter2hunter2"], "ppid": 0},
    _webSocketMessages=[{"type": "send", "time": 1, "opcode": 1, "data": '{"token": "t0ken-in-the-url"}'}],
)  # fmt: skip


def test_no_secret_is_left_and_equal_ones_still_match() -> None:
    before = json.dumps(SECRET)
    redaction = Redaction(b"salt")
    done, mark = redaction.entry(SECRET), redaction.mark
    text = json.dumps(done)
    assert before == json.dumps(SECRET), "the one given stays as it is"
    for secret in SECRETS:
        assert secret not in text, secret
    headers = {pair["name"]: pair["value"] for pair in done["request"]["headers"]}
    same = mark("s3ss10n-cookie-value")
    assert re.fullmatch("redacted-[0-9a-f]{8}", same)
    assert headers["cookie"] == f"sid={same}; theme={mark('dark')}" and done["request"]["cookies"] == [
        {"name": "sid", "value": same}
    ]
    assert done["response"]["headers"][0]["value"] == f"sid={same}; Path=/; HttpOnly"
    assert headers["Authorization"] == f"Bearer {mark('b3arer-t0ken-value')}" and headers["accept"] == "*/*"
    assert headers["X-Api-Key"] == mark("t0ken-in-the-url") == headers["referer"].rpartition("=")[2]
    assert "page=2" in done["request"]["url"] and "visible" in done["response"]["content"]["text"]
    assert done["request"]["postData"]["text"] == f"user=me&client_secret={mark('f0rm-secret-value')}"
    assert json.loads(done["response"]["content"]["text"])["nested"]["refresh_token"] == mark("b3arer-t0ken-value")
    assert done["_process"]["cmdline"][2] == f"Authorization: Bearer {mark('b3arer-t0ken-value')}"


def test_redacting_twice_is_redacting_once() -> None:
    once = Redaction(b"salt").entry(SECRET)
    assert Redaction(b"another").entry(once) == once == Redaction(b"salt").entry(once)


@pytest.mark.parametrize("text", ["state of the token ring", "monkey=banana", "passwords are hard", "keyboard", "https://example.com/secretary?monkey=1", '{"tokens_used": 12}'])  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redaction(b"salt").entry(entry(text=text))["response"]["content"]["text"] == text


# -- curl --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more, line",
    [
        ({}, "curl -H Accept: -H User-Agent: https://example.com/a"),
        ({"request_headers": [{"name": "accept", "value": "*/*"}, {"name": "user-agent", "value": "it's me"}]}, """curl -H 'user-agent: it'"'"'s me' https://example.com/a"""),
        ({"request_method": "DELETE", "request_headers": [{"name": "x-empty", "value": ""}]}, "curl -X DELETE -H 'x-empty;' -H Accept: -H User-Agent: https://example.com/a"),
        (POST, """curl -H Accept: -H User-Agent: -H Content-Type: --data-raw '{"a": 23}' https://example.com/a"""),
        ({**POST, "request_method": "PUT", "request_postData": {"mimeType": "x", "text": "AP8K", "_encoding": "base64"}}, "printf %b '\\0000\\0377\\0012' | curl -X PUT -H Accept: -H User-Agent: -H Content-Type: --data-binary @- https://example.com/a"),
        ({"request_method": "HEAD", "request_httpVersion": "HTTP/1.1"}, "curl --http1.1 --head -H Accept: -H User-Agent: https://example.com/a"),
        ({"url": "http://example.com/[1-3]/../x"}, "curl --http2-prior-knowledge -H Accept: -H User-Agent: --globoff --path-as-is 'http://example.com/[1-3]/../x'"),
        ({"url": "https://example.com/$(id)`id`;'\"\n"}, """curl -H Accept: -H User-Agent: 'https://example.com/$(id)`id`;'"'"'"\n'"""),
        ({"request_method": "CONNECT", "url": "a:443"}, "# CONNECT a:443: a tunnel; what was asked inside of it stands by itself"),
    ],
)  # fmt: skip
def test_curl(more: dict, line: str) -> None:
    assert command(exchange(**more)) == line


# -- at the end --------------------------------------------------------------------------------------------------------


def shown(view: Any, out: list[bytes], exchanges: list[ImportedExchange]) -> str:
    for one in exchanges:
        view.change(Ended(one))
    view.tick(0)
    view.end()
    return b"".join(out).decode()


def test_summary() -> None:
    reader = EntryReader()
    plan = [
        ("https://a.test/", 0, 200), ("https://a.test/x", 1, 503), ("https://a.test/x", 2, 503), ("https://a.test/x", 3, 200),
        ("https://b.test/old", 4, 302), ("https://b.test/new", 5, 200), ("https://b.test/new", 30, 200),
    ]  # fmt: skip
    made = []
    for number, (url, at, status) in enumerate(plan):
        one = entry(url, at, status=status, connection=str(min(number, 5)), time=20 + number)
        if status == 302:
            one["response"]["headers"] = [{"name": "location", "value": "/new\x1b[2J"}]
        made.append(reader.exchange(one))
    out: list[bytes] = []
    assert shown(Summary(out.append), out, made) == (
        """\
7 exchanges with 2 hosts: 4 2xx, 1 3xx, 2 5xx
  host    exchanges  errors  sent  received   mean  connections
  a.test          4       2   0 B      20 B  20 ms            4
  b.test          3       0   0 B      15 B  24 ms            2
slowest:
  25 ms  GET https://b.test/new
  24 ms  GET https://b.test/new
  23 ms  GET https://b.test/old
  22 ms  GET https://a.test/x
  21 ms  GET https://a.test/x
  20 ms  GET https://a.test/x
  19 ms  GET https://a.test/
errors (2):
  2 x  503 GET https://a.test/x
redirects (1):
  1 x  302 GET https://b.test/old -> /new\\x1b[2J
retries (2):
  2 x  GET https://a.test/x
duplicate requests (5):
  3 x  GET https://a.test/x
  2 x  GET https://b.test/new
connections not reused (4):
  4 x  a.test
"""
    )


def test_waterfall() -> None:
    out: list[bytes] = []
    made = [exchange(f"https://a.test/{n}", at=n * 0.01) for n in range(3)]
    assert shown(Waterfall(out.append), out, made) == (
        """\
                          0                                                          40 ms
GET https://a.test/0 200 |DCCCTTTTwwwwwwwwwwwwwwwwrrrrrrrr                                | 20 ms
GET https://a.test/1 200 |                DCCCTTTTwwwwwwwwwwwwwwwwrrrrrrrr                | 20 ms
GET https://a.test/2 200 |                                DCCCTTTTwwwwwwwwwwwwwwwwrrrrrrrr| 20 ms
D dns C connect T tls s send w wait r receive
"""
    )


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_har_is_whole_at_every_moment() -> None:
    file = bytearray()
    seen = []

    def put(data: bytes, at: int, else_: bytes) -> None:
        file[at:] = data
        seen.append(len(json.loads(file)["log"]["entries"]))

    har = Har(put, "1")
    for number in range(7):
        har.add(json.dumps({"n": number}).encode())
        if number % 2:
            har.flush()
    har.end()
    assert seen == [0, 2, 4, 6, 7]


def test_a_har_on_a_full_disk_stays_whole(tmp_path: Any) -> None:
    """/dev/full takes nothing; a file-size limit takes a part."""
    script = (
        "import json, resource, signal, sys; from hark.output import Output; from hark.views.har import Har; import os;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000));"
        "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT); har = Har(Output(fd, 'x.har', print).put, '1')\n"
        "for n in range(100): har.add(json.dumps({'n': n, 'text': 'x' * 300}).encode()); har.flush()"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "x.har"], capture_output=True, text=True)
    assert done.stdout.count("cannot write x.har any more") == 1, done.stderr
    assert 10 < len(json.loads((tmp_path / "x.har").read_text())["log"]["entries"]) < 20


def test_a_page_cannot_be_left_by_its_data() -> None:
    out: list[bytes] = []
    page = Page(out.append)
    page.add(json.dumps({"text": "</script><script>alert(1)</script><!--"}).encode())
    page.end()
    text = b"".join(out).decode()
    assert text.count("</script>") == 2 and text.count("alert(1)") == 1 and "<!--" not in text.partition("</script>")[2]
    data = re.search(r'class="entry">(.*)</script>', text)
    assert data and json.loads(data[1])["text"] == "</script><script>alert(1)</script><!--"


def test_feed_makes_the_same_changes_again() -> None:
    """Everything of a recording through the lines of a feed: a terminal behind it tells the same as one before it."""
    import io
    import pathlib

    from hark.pipeline.pipeline import Pipeline, replay
    from hark.recording.reader import merge, read
    from hark.views.feed import Changes, Feed
    from hark.views.terminal import Terminal

    before: list[bytes] = []
    behind: list[bytes] = []
    lines: list[bytes] = []
    recordings = sorted((pathlib.Path(__file__).parent.parent.parent / "recordings").glob("*.pcapng"))
    blocks = merge([read(io.BytesIO(path.read_bytes()), path.name) for path in recordings])
    replay(blocks, Pipeline([Terminal(before.append), Feed(lines.append)], 1 << 20))
    changes, terminal = Changes(), Terminal(behind.append)
    for line in b"".join(lines).splitlines():
        change = changes.change(json.loads(line))
        if change is not None:
            terminal.change(change)
    terminal.end()

    def without_times(text: bytes) -> str:
        return re.sub(r"\d+(\.\d)? (ms|s)\b", "TIME", text.decode())

    assert without_times(b"".join(behind)) == without_times(b"".join(before))


def test_redacted_talks_are_redacted_as_they_are_said() -> None:
    from hark.decode.events import Message, Side
    from hark.model.changes import MessageSeen, Upgraded
    from hark.views.redact import Redacted

    view = Kept()
    redacted, mark = Redacted([view], b"salt"), Redaction(b"salt").mark
    socket = exchange("wss://example.com/s?token=t0ken-in-the-url", _webSocketMessages=[])
    redacted.change(Upgraded(socket))
    redacted.change(MessageSeen(socket, Message(1, 1, Side.CLIENT, 1, "text", b'{"password": "p4ssw0rd-in-json"}', 32)))
    spoke = view.told[1]
    assert (
        isinstance(spoke, MessageSeen)
        and spoke.message.data == f'{{"password": "{mark("p4ssw0rd-in-json")}"}}'.encode()
    )
    assert spoke.exchange.url == f"wss://example.com/s?token={mark('t0ken-in-the-url')}"
