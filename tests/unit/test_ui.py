"""The terminal browser, driven by Textual's own pilot: what is on the screen after which key."""

import asyncio
import io
import json
import pathlib
from collections.abc import Awaitable, Callable

import pytest

from hark.frontends.ui.app import Browser
from hark.frontends.ui.listing import Listing
from hark.frontends.ui.rows import Rows
from hark.pipeline.pipeline import Pipeline, replay
from hark.pipeline.save import save
from hark.recording.reader import merge, read
from hark.views.feed import Feed

pytestmark = pytest.mark.slow

HERE = pathlib.Path(__file__).parent.parent.parent / "recordings"
NAMES = ("curl-h2-tls13", "curl-h1-tls12", "node-http2", "failures", "multipart", "websocket", "events", "curl-gzip")


def feed(*names: str) -> list[bytes]:
    """The feed's lines of some recordings."""
    out: list[bytes] = []
    files = [io.BytesIO((HERE / f"{name}.pcapng").read_bytes()) for name in names]
    replay(merge([read(file, "x") for file in files]), Pipeline([Feed(out.append)], 1 << 20))
    return b"".join(out).splitlines(keepends=True)


def screen(app: Browser) -> str:
    """The text on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def drive(
    script: Callable[[Browser, object], Awaitable[None]],
    lines: list[bytes] | None = None,
    size: tuple[int, int] = (150, 40),
) -> None:
    """Run a browser and a script on it."""

    async def run() -> None:
        app = Browser(iter(feed(*NAMES) if lines is None else lines), save, "hark read x")
        async with app.run_test(size=size) as pilot:
            for _ in range(100):
                await pilot.pause(0.02)
                if "ended" in screen(app):
                    break
            await script(app, pilot)

    asyncio.run(run())


def test_list_details_and_tabs() -> None:
    async def script(app, pilot) -> None:
        text = screen(app)
        assert "hark read x · 10 exchanges, 3 failures · ended" in text
        assert "200 POST    https://six.test:8443/hello" in text and "503 GET     https://site.test:8443/fail" in text
        assert "failed DNS     nosuch.invalid: NXDOMAIN" in text and "curl[16963]" in text
        await pilot.press("home", "down", "down", "enter")
        await pilot.pause()
        assert "POST https://six.test:8443/hello HTTP/1.1" in screen(app) and "Content-Length: 7" in screen(app)
        for key, word in (
            ("2", "hello"),
            ("3", "a=b&c=d"),
            ("4", "━"),
            ("5", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
            ("1", "nginx/1.22.1"),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert word in screen(app), (key, screen(app))
        await pilot.press("down", "2")
        await pilot.pause()
        assert "hello" in screen(app) and "POST https://six.test:8443/hello HTTP/1.1" not in screen(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "curl[16963]" in screen(app)

    drive(script)


@pytest.mark.parametrize(
    "typed, count",
    [("status:4xx,5xx", 1), ("host:site.test", 8), ("host:site.test method:get json", 1), ("process:node", 3), ("POST", 2), ("type:json", 1), ("status:oops", 13), ("nowhere", 0)],
)  # fmt: skip
def test_the_filter_acts_as_it_is_typed(typed: str, count: int) -> None:
    async def script(app, pilot) -> None:
        await pilot.press("slash", *typed)
        await pilot.pause()
        assert len(app.rows.shown) == count, screen(app)
        await pilot.press("enter")
        assert app.query_one(Listing).has_focus

    drive(script)


@pytest.mark.parametrize(
    "width, heads",
    [(60, ["time"]), (80, ["type", "time", "process"]), (120, ["type", "size", "time", "process"])],
)
def test_columns_have_names_and_are_there_where_the_width_allows(width: int, heads: list[str]) -> None:
    async def script(app, pilot) -> None:
        lines = screen(app).splitlines()
        head = next(line for line in lines if " URL " in line)
        assert head.split() == ["status", "method", "URL", *heads], head
        row = next(line for line in lines if "/item.json" in line and "200 GET" in line)
        assert ("curl[" in row) == ("process" in heads) and (" json " in row) == ("type" in heads), row
        assert head.index("method") == row.index("GET"), (head, row)
        if "process" in heads:
            assert head.index("process") == row.index("curl["), (head, row)
        assert " 1-5 tabs" in screen(app)

    drive(script, size=(width, 30))


def test_copy_and_save(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def script(app, pilot) -> None:
        await pilot.press("slash", *"item.json", "enter", "c")
        await pilot.pause()
        assert app.clipboard == "curl -H 'user-agent: curl/7.88.1' https://site.test:8443/item.json"
        await pilot.press("s", *"x.har", "enter")
        await pilot.pause()
        assert "saved 1 entry as" in screen(app)
        await pilot.press("slash", "escape", "slash", *["backspace"] * 9, *"nosuch", "enter", "c")
        await pilot.pause()
        assert app.clipboard == "# failed: dns nosuch.invalid NXDOMAIN"
        await pilot.press("s", *"f.jsonl", "enter")
        await pilot.pause()
        (line,) = (tmp_path / "f.jsonl").read_text().splitlines()
        assert json.loads(line)["_failure"]["kind"] == "name-not-found"
        await pilot.press("enter")
        await pilot.pause()
        assert "dns nosuch.invalid NXDOMAIN" in screen(app) and "check the name" in screen(app)
        await pilot.press("s", *"no/x.har", "enter")
        await pilot.pause()
        assert "cannot write" in screen(app)

    drive(script)
    (entry,) = json.loads((tmp_path / "x.har").read_text())["log"]["entries"]
    assert entry["request"]["url"] == "https://site.test:8443/item.json"


def test_following() -> None:
    async def script(app, pilot) -> None:
        listing = app.query_one(Listing)
        assert listing.follow and listing.cursor == 12
        await pilot.press("up", "up")
        assert not listing.follow and listing.cursor == 10
        await pilot.press("end")
        assert listing.follow
        await pilot.press("f")
        assert not listing.follow

    drive(script)


def test_messages_are_shown_by_who_said_them() -> None:
    async def script(app, pilot) -> None:
        await pilot.press("slash", *"ws://", "enter", "enter", "3")
        await pilot.pause()
        assert "hello hello" in screen(app) and "olleh" not in screen(app)
        await pilot.press("2")
        await pilot.pause()
        assert "olleh" in screen(app)

    drive(script, size=(200, 40))


def test_hostile_bytes_are_inert_and_no_markup() -> None:
    """Escapes, markup of the toolkit, and wide characters in every field."""
    evil = "\x1b[2J\x07\x9b[/][bold red]\u202e漢字"
    entry = {"startedDateTime": "2026-11-21T12:00:00Z", "time": 1, "_protocol": "h2", "_trouble": evil, "_process": {"pid": 1, "name": evil, "exe": evil, "cmdline": [evil], "ppid": 0}, "serverIPAddress": evil, "connection": evil,
             "request": {"method": evil, "url": f"http://x/{evil}", "httpVersion": evil, "headers": [{"name": evil, "value": evil}], "cookies": [], "queryString": [], "headersSize": 1, "bodySize": 1, "postData": {"mimeType": evil, "text": evil}},
             "response": {"status": 200, "statusText": evil, "httpVersion": evil, "headers": [{"name": evil, "value": evil}], "cookies": [], "content": {"size": 1, "mimeType": evil, "text": evil}, "redirectURL": "", "headersSize": 1, "bodySize": 1},
             "cache": {}, "timings": {"send": 0, "wait": 0, "receive": 0}}  # fmt: skip

    async def script(app, pilot) -> None:
        for key in ("enter", "1", "2", "3", "4", "5"):
            await pilot.press(key)
            await pilot.pause()
            bad = [
                sign
                for sign in screen(app)
                if (ord(sign) < 32 and sign != "\n") or 0x7F <= ord(sign) < 0xA0 or sign == "\u202e"
            ]
            assert not bad, (key, bad)
        assert "[bold red]" in screen(app)

    drive(script, [json.dumps({"what": "ended", "n": 1, "entry": entry}).encode() + b"\n"])


def test_ten_thousand_rows_are_filtered_without_their_bodies() -> None:
    """Rows keep what a line shows; the entries are in a file."""
    rows = Rows()
    (line,) = [line for line in feed("curl-gzip") if b'"ended"' in line]
    told = json.loads(line)
    for n in range(1, 10_001):
        told["n"] = n
        told["entry"]["request"]["url"] = f"https://example.com/{n}"
        rows.feed(json.dumps(told).encode())
    assert len(rows.shown) == 10_000
    rows.filter("host:example.com 9973")
    (row,) = rows.shown
    assert rows.entry(row)["request"]["url"] == "https://example.com/9973"
