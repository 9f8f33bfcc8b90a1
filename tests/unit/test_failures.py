"""One value for whatever did not become an exchange, and every view that shows it: each kind in each."""

import io
import json
import pathlib
import re
from typing import Any

import jsonschema
import pytest
from haralyzer import HarParser

from hark import api
from hark.decode.endings import Ending, How, Phase
from hark.decode.events import Dns, Side, TlsFacts
from hark.frontends.devtools import events
from hark.frontends.devtools.history import History
from hark.frontends.ui import details
from hark.frontends.ui.rows import Rows
from hark.model.changes import Change, Ended, Failed
from hark.model.exchange import Connection
from hark.model.failed_entry import failure as read_back
from hark.model.failed_entry import is_failure
from hark.model.failure import Failure, FailureKind
from hark.pipeline.pipeline import Pipeline, replay
from hark.recording.blocks import Process
from hark.recording.reader import read
from hark.views import failures
from hark.views.advice import remedy
from hark.views.curl import Commands
from hark.views.entries import Entries, JsonLines
from hark.views.feed import Changes, Feed
from hark.views.filters import Filtered, Tally, WithoutFailures, parse
from hark.views.har import Har
from hark.views.page import Page
from hark.views.redact import Redacted
from hark.views.summary import Summary
from hark.views.terminal import Terminal
from hark.views.view import Needs, View, safe
from hark.views.waterfall import Waterfall

ROOT = pathlib.Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "tests" / "har.schema.json").read_text())
T = 1_795_600_000_123_456_789
MS = 1_000_000
PROCESS = Process(T, 4711, "client", "/usr/bin/client", ("client", "--token=s3cr3t-t0ken-xyz", "https://api.test/"), 1)
IN_TLS = (
    FailureKind.NOT_TLS, FailureKind.TLS_SILENT, FailureKind.CERTIFICATE_REJECTED, FailureKind.TLS_FAILED,
    FailureKind.ENCRYPTED,
)  # fmt: skip
NAMES = (FailureKind.NAME_NOT_FOUND, FailureKind.NAME_NO_ANSWER)


def made(
    kind: FailureKind, host: str = "api.test", address: str = "192.0.2.7", port: int = 8443, **more: Any
) -> Failure:
    """A failure of a kind, as the decoder's half makes it."""
    phase = (
        Phase.NAME if kind in NAMES else Phase.TLS if kind in IN_TLS
        else Phase.IDLE if kind in (FailureKind.CLOSED_BEFORE_REQUEST, FailureKind.RESET) else Phase.CONNECT
    )  # fmt: skip
    end = T + 250 * MS + 777
    if kind in NAMES:
        answer = Dns(end, T, host, "A", "NXDOMAIN" if kind is FailureKind.NAME_NOT_FOUND else "", (), 4711)
        return Failure(kind, phase, T, end, "NXDOMAIN", PROCESS, 4711, None, answer, Ending(None, How.SILENCE, end))
    connection = Connection(7, T, ("192.0.2.1", 40000), (address, port), 4711, PROCESS)
    connection.name = host
    if phase is not Phase.CONNECT:
        connection.established = T + 20 * MS
    if kind in IN_TLS:
        connection.tls = TlsFacts(7, T, T + 21 * MS, 0, "TLS 1.3", "", host, "", False, "", b"")
    if kind is FailureKind.ENCRYPTED:
        more = {"size": 12345, "version": "TLSv1.3", **more}
    ending = Ending(Side.SERVER, How.ALERT if kind in IN_TLS else How.RST, end, "bad_certificate")
    why = f"the server ended it: {kind.value}"
    told = Failure(
        kind, phase, T, end, why, PROCESS, 4711, connection, None, ending, "certificate CN=api.test, expired"
    )
    return told._replace(**more)


ALL = {kind.value: made(kind) for kind in FailureKind}
ODD = {
    "v6": made(FailureKind.REFUSED, host="2001:db8::1", address="2001:db8::1"),
    "port 80": made(FailureKind.REFUSED, port=80),
    "port 443": made(FailureKind.NO_ANSWER, port=443),
    "quic": made(FailureKind.ENCRYPTED, version="QUIC v1"),
    "no process": made(FailureKind.ENCRYPTED, process=None, pid=0),
    "pid only": made(FailureKind.REFUSED, process=None),
    "no ending": made(FailureKind.RESET, ending=None),
    "hostile name": made(FailureKind.NAME_NOT_FOUND, host='a/?#@"<\x1b[2J\x00é .test'),
    "backwards": made(FailureKind.REFUSED, time=T - 5),
    "libraries": made(FailureKind.ENCRYPTED, process=PROCESS._replace(tls=("Go crypto/tls",))),
}
EVERY = {**ALL, **ODD}


def through(view_of: Any, *told: Failure) -> str:
    """What a view that writes says of failures."""
    out: list[bytes] = []
    view = view_of(out.append)
    for one in told:
        view.change(Failed(one))
    view.tick(0)
    view.end()
    return b"".join(out).decode()


@pytest.mark.parametrize("name", EVERY)
def test_an_entry_is_har_and_comes_back(name: str) -> None:
    """Valid by HAR's schema, read by haralyzer, its phases add up, and read back it is the same in every view."""
    one = EVERY[name]
    entry = failures.entry(one)
    har = {"log": {"version": "1.2", "creator": {"name": "hark", "version": "1"}, "pages": [], "entries": [entry]}}
    jsonschema.validate(har, SCHEMA)
    (page,) = HarParser(har).har_data["entries"]
    assert (page["response"]["status"], bool(page["response"]["_error"])) == (0, True)
    facts = entry["_failure"]
    assert (facts["kind"], facts["host"], facts["port"]) == (one.kind.value, one.host, one.port)
    assert abs(facts["seconds"] - one.seconds) < 2e-6 and abs(facts["seconds"] * 1000 - entry["time"]) < 1e-6
    spent = [value for phase, value in entry["timings"].items() if phase != "ssl" and value > 0]
    assert abs(sum(spent) - entry["time"]) < 0.01
    assert entry["timings"]["ssl"] <= max(entry["timings"]["connect"], 0)
    assert re.fullmatch(r"https?://(\[[0-9a-f:]+\]|[\w.%-]+)(:\d+)?/", entry["request"]["url"]), entry["request"]["url"]
    again = read_back(json.loads(json.dumps(entry)))
    assert failures.entry(again) == entry
    assert (again.kind, again.phase, again.host, again.port, again.why, again.seen, again.size, again.version, again.pid) == (
        one.kind, one.phase, one.host, one.port, one.why, one.seen, one.size, one.version, one.pid
    )  # fmt: skip
    assert (
        again.ending is None if one.ending is None else again.ending is not None and again.ending[:2] == one.ending[:2]
    )
    for view in (Terminal, Summary, Waterfall, Commands):
        assert through(view, again) == through(view, one), view
    assert remedy(again) == facts["remedy"]


@pytest.mark.parametrize("name", EVERY)
def test_every_view_has_it(name: str) -> None:
    """What, why, how long, who and what would advice, in each place where a person looks; nothing acts on a terminal."""
    one = EVERY[name]
    line, advice = failures.line(one), remedy(one)
    told = through(Terminal, one)
    assert failures.what(one).split("\x1b")[0] in told and one.why in told
    assert ("250 ms" in told) == (name != "backwards")
    assert advice in told and "\x1b" not in told and "\0" not in told
    assert one.process is None or "client[4711]" in told
    assert one.seen in told
    summary = through(Summary, one)
    assert (
        "no exchanges, 1 " in summary
        and ("not decrypted (1)" if name in ("encrypted", "quic", "no process", "libraries") else "failed (1)")
        in summary
    )
    assert through(Commands, one).startswith("# failed: ") and through(Commands, one).count("\n") == 1
    assert through(Waterfall, one).count("\n") == 3 and " --- |" in through(Waterfall, one)
    page = through(lambda write: Entries([Page(write)]), one)
    assert f'"kind":"{one.kind.value}"' in page.rpartition('class="entry">')[2]
    feed = through(Feed, one).splitlines()[0]
    change = Changes().change(json.loads(feed))
    assert isinstance(change, Failed) and failures.line(change.failure) == line
    rows = Rows()
    assert rows.feed(feed.encode())
    (row,) = rows.all
    entry = rows.entry(row)
    assert row.status == "failed" and row.over and entry is not None and entry["_failure"]["kind"] == one.kind.value
    for show in (details.headers, details.response_body, details.request_body, details.timing, details.connection):
        assert "\x1b" not in show(entry).plain
    assert advice in details.headers(entry).plain
    frames: list[bytes] = []
    history = History(lambda record, data: frames.append(data))
    history.feed(json.loads(feed), feed.encode())
    sent = b"".join(frames).decode("utf-8", "replace")
    assert json.dumps(advice)[1:-1] in sent and "Network.loadingFailed" in sent and len(history.records) == 1
    ((_, request), (_, extra), (_, failed)) = events.failed("x", entry)
    assert extra["headers"]["(remedy)"] == advice and failed["errorText"] == line
    assert abs(failed["timestamp"] - request["timestamp"] - entry["time"] / 1000) < 1e-6
    recording = api.Recording()
    recording.take(Failed(one))
    (value,) = recording.failures
    assert str(value) == safe(line) and value.remedy == advice and value.kind == one.kind.value
    assert (value.host, value.port, value.seen, value.size) == (one.host, one.port, one.seen, one.size)
    assert advice in repr(recording) and safe(line) in repr(recording)
    assert one.process is None or (value.process is not None and value.process.name == "client")
    with pytest.raises(AttributeError):
        value.kind = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", EVERY)
def test_redaction_reaches_it(name: str) -> None:
    """A failure goes through redaction as an exchange does: by its entry."""
    out: list[bytes] = []
    view = Redacted([Entries([JsonLines(out.append)]), Feed(out.append)], b"salt")
    view.change(Failed(EVERY[name]))
    view.end()
    told = b"".join(out).decode()
    assert "s3cr3t-t0ken-xyz" not in told
    assert ("--token=redacted-" in told) == (EVERY[name].process is not None)
    assert json.loads(told.splitlines()[0])["_failure"]["kind"] == EVERY[name].kind.value


class Kept(View):
    """Keeps changes."""

    def __init__(self) -> None:
        self.told: list[Change] = []

    def change(self, change: Change) -> None:
        self.told.append(change)

    def needs(self) -> Needs:
        return Needs.BODIES


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "filters, fits", [
        ({"host": ["test", "2001:db8::1"]}, True), ({"host": ["other.test"]}, False), ({"process": ["client", "4711"]}, True),
        ({"process": ["curl"]}, False), ({"failed": []}, True), ({"path": ["/"]}, False), ({"method": ["GET"]}, False),
        ({"method": ["!POST"]}, False), ({"status": ["0"]}, False), ({"type": ["x-unknown"]}, False), ({"grep": ["."]}, False),
        ({"slower": ["1ms"]}, False), ({"failed": [], "host": ["test", "2001:db8::1"]}, True),
    ]
)  # fmt: skip
def test_filters_by_what_it_has(name: str, filters: dict[str, list[str]], fits: bool) -> None:
    """Host, process and --failed apply, to a failure as seen and as read from an archive alike; what asks for something
    that only an exchange has does not fit."""
    one = EVERY[name]
    chosen = parse(filters)
    assert chosen is not None
    fits = fits and not ("process" in filters and one.process is None and not one.pid)
    for each in (one, read_back(json.loads(json.dumps(failures.entry(one))))):
        kept, tally = Kept(), Tally()
        Filtered(chosen, [kept], tally).change(Failed(each))
        assert bool(kept.told) == fits
        assert (tally.exchanges, tally.failures) == (0, 1)


def test_filters_by_host_and_port() -> None:
    for word in ("api.test:8443", "192.0.2.7", "192.0.2.7:8443", "*.test", "test"):
        chosen = parse({"host": [word]})
        assert chosen is not None and chosen.matches_other(Failed(ALL["refused"])), word


def test_no_failures_leaves_them_out() -> None:
    kept = Kept()
    view = WithoutFailures([kept])
    for one in ALL.values():
        view.change(Failed(one))
    assert not kept.told


def test_advice_is_given_once_a_program() -> None:
    """Five connections of one program, two of another: the remedy stands twice."""
    other = made(FailureKind.ENCRYPTED, process=PROCESS._replace(name="other", exe="/usr/bin/other"))
    told = through(Terminal, *[ALL["encrypted"]] * 5, other, other, ALL["refused"])
    assert told.count(remedy(other)) == 2 and told.count("not decrypted, 12 kB") == 7
    assert told.count("nothing listens there") == 1
    assert told.endswith("hark: no exchanges, 1 failed connection (refused), 7 connections not decrypted\n")


def test_counts_by_kind() -> None:
    counts = failures.Counts()
    assert counts.clauses() == []
    for name in ("refused", "refused", "reset", "name-not-found", "encrypted", "encrypted"):
        counts.add(ALL[name].kind)
    assert counts.clauses() == [
        "3 failed connections (2 refused, 1 reset)", "1 name not found", "2 connections not decrypted"
    ]  # fmt: skip
    counts.add(FailureKind.NAME_NOT_FOUND)
    assert "2 names not found" in counts.clauses() and len(counts) == 7


@pytest.mark.parametrize(
    "exchanges, shown, failed, failed_shown, words", [
        (0, 0, 0, 0, ""), (1, 0, 0, 0, "0 of 1 exchange match"), (3, 0, 1, 1, "0 of 3 exchanges match"), (3, 2, 0, 0, "2 of 3 exchanges match"),
        (3, 3, 0, 0, ""), (0, 0, 2, 0, "no exchanges, 0 of 2 failures match"), (0, 0, 2, 1, ""),
    ]
)  # fmt: skip
def test_what_a_filter_left_over(exchanges: int, shown: int, failed: int, failed_shown: int, words: str) -> None:
    tally = Tally()
    tally.exchanges, tally.failures = exchanges, failed
    assert tally.of(shown, failed_shown) == words


# -- archives --------------------------------------------------------------------------------------------------------


def har_of(told: list[Change]) -> bytes:
    file = bytearray()

    def put(data: bytes, at: int, else_: bytes) -> None:
        file[at:] = data

    view = Entries([Har(put, "1")])
    for change in told:
        view.change(change)
    view.end()
    return bytes(file)


def changes_of(data: bytes, name: str) -> list[Change]:
    kept = Kept()
    replay(read(io.BytesIO(data), name), Pipeline([kept], 1 << 20))
    return kept.told


def test_a_har_read_is_the_same_again_in_every_view() -> None:
    """Failures among exchanges, out of a recording and by hand: HAR, read, HAR gives the same bytes, so does what a
    terminal says."""
    told = changes_of((ROOT / "recordings" / "curl-h1-tls12.pcapng").read_bytes(), "x.pcapng")
    told = [change for change in told if isinstance(change, Ended | Failed)]
    told += [Failed(one) for one in EVERY.values()]
    assert any(isinstance(change, Ended) for change in told)
    har = har_of(told)
    jsonschema.validate(json.loads(har), SCHEMA)
    assert json.loads(har)["log"]["_schema"] == 2
    again = changes_of(har, "x.har")
    assert [type(change) for change in again] == [type(change) for change in told]
    assert har_of(again) == har
    lines = "".join(json.dumps(entry) + "\n" for entry in json.loads(har)["log"]["entries"]).encode()
    assert har_of(changes_of(lines, "x.jsonl")) == har


def chrome(**more: Any) -> dict[str, Any]:
    """A request that failed, as Chrome exports it."""
    empty = {"cookies": [], "headers": [], "headersSize": -1, "bodySize": -1}
    return {
        "startedDateTime": "2026-11-21T12:00:00.123Z", "time": 3.5, "cache": {}, "serverIPAddress": "", "connection": "",
        "request": {"method": "GET", "url": "http://127.0.0.1:81/x", "httpVersion": "", "queryString": [], **empty},
        "response": {"status": 0, "statusText": "", "httpVersion": "", "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "_transferSize": 0, "_error": "net::ERR_CONNECTION_REFUSED", **empty},
        "timings": {"blocked": 1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 0, "receive": 0, "_blocked_queueing": 0.4},
        **more,
    }  # fmt: skip


HOSTILE = [
    {"kind": "refused"}, {"kind": "refused", "phase": "nowhere"}, {"kind": "of the future", "phase": "connect"}, {}, [], "x", None, 7,
    {"kind": ["refused"], "phase": {}}, {"kind": {"a": 1}, "phase": "connect"},
]  # fmt: skip


@pytest.mark.parametrize("facts", HOSTILE, ids=str)
def test_what_is_no_failure_of_ours_is_an_exchange(facts: Any) -> None:
    """Chrome's failed requests, and marks that nobody here knows, are exchanges without a response."""
    assert not is_failure(chrome()) and not is_failure(chrome(_failure=facts))
    (told,) = changes_of(json.dumps(chrome(_failure=facts)).encode(), "x.jsonl")
    assert isinstance(told, Ended) and told.exchange.trouble == "net::ERR_CONNECTION_REFUSED"


WRONG: list[Any] = [None, True, -5, 1e300, "text", [], [1, "a"], {}, {"a": 1}, "\x1b[2J\ud800"]


@pytest.mark.parametrize(
    "field", [*failures.entry(ALL["encrypted"])["_failure"], "rcode", "type", "libraries", "detail"]
)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_facts_of_any_type_do_no_harm(field: str, value: Any) -> None:
    """What an archive says is text of anybody: no view fails for a value of another type."""
    entry = chrome(
        _failure={"kind": "encrypted", "phase": "tls", field: value} | ({} if field != "kind" else {"phase": "tls"})
    )
    (change,) = changes_of(json.dumps(entry).encode(), "x.jsonl")
    assert isinstance(change, Ended) == (field in ("kind", "phase"))
    feed: list[bytes] = []
    for view in (Terminal(feed.append), Summary(feed.append), Waterfall(feed.append), Commands(feed.append)):
        view.change(change)
        view.end()
    assert b"\x1b" not in b"".join(feed)
    feed.clear()
    writer = Feed(feed.append)
    writer.change(change)
    writer.tick(0)
    rows = Rows()
    for line in b"".join(feed).splitlines():
        assert rows.feed(line)
        told = rows.entry(rows.all[-1])
        assert told is not None
        details.headers(told)
        History(lambda record, data: None).feed(json.loads(line), line)
    api.Recording().take(change)


def test_what_is_written_already_is_left_out() -> None:
    """Failures count like exchanges."""
    out: list[bytes] = []
    view = Entries([JsonLines(out.append)])
    view.skip = 2
    for one in list(ALL.values())[:3]:
        view.change(Failed(one))
    view.end()
    assert b"".join(out).count(b"\n") == 1 and view.skip == 0
