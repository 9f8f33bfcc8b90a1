"""DevTools: a real Chromium's own frontend shows what a real program exchanges, and no web page can read it."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from servers import asgi, shop
from world import World, is_read, program
from world import until as wait_until

ROOT = pathlib.Path(__file__).parent.parent.parent
ROWS = "deep('.network-log-grid tr.data-grid-data-grid-node').map(r => [...r.children].map(text).join('|'))"
PAGE = "text(document.body)"
Steps = dict[str, list]


def rows(count: int) -> list:
    """Until the Network panel has so many rows, none of which waits (but for sockets); gives them."""
    waits = "r.includes('Pending') && !r.includes('websocket')"
    return ["wait", f"(rows => rows.length >= {count} && !rows.some(r => {waits}) && rows)({ROWS})"]


def row(name: str) -> list:
    """Choose the first row with this text."""
    return ["js", f"press(deep('.network-log-grid td').find(r => text(r).includes({name!r})))"]


def tab(name: str) -> list:
    """Open a tab, once it is there."""
    return ["wait", f"(found => found && (press(found), true))(deep('[role=tab]').find(t => text(t) == {name!r}))"]


def until(word: str) -> list:
    """Until the page says this; gives all that it says."""
    return ["wait", f"(t => t.includes({word!r}) && t)({PAGE})"]


class Shown:
    """hark with its DevTools server, as long as the test looks."""

    def __init__(self, world: World, *command: str, **env: str) -> None:
        self.world = world
        self.said = world.dir / "home" / "devtools.err"
        with open(self.said, "wb") as err:
            self.running = world.popen(
                ["hark", *command], stderr=err, stdout=subprocess.DEVNULL, start_new_session=True, env=env
            )
        url = re.compile(r"devtools://\S+127\.0\.0\.1:(\d+)/devtools/page/(\w+)\S+")
        wait_until(lambda: url.search(self.said.read_text()), 20, self.said.read_text)
        found = url.search(self.said.read_text())
        assert found is not None
        self.url, self.port, self.key = found[0], int(found[1]), found[2]

    def drive(self, steps: Steps, *options: str, **env: str) -> dict:
        """Chromium's results, by the names of the steps."""
        script = json.dumps(list(steps.values())).encode()
        driver = str(self.world.dir / "frontend.py")
        run = self.world.run(
            sys.executable, driver, input=script, timeout=150, CHROMIUM_OPTIONS=json.dumps(options), **env
        )
        assert run.status == 0, run.err[-3000:] + self.said.read_text()
        return dict(zip(steps, json.loads(run.out), strict=True))

    def end(self) -> None:
        """^C, as a person does: to all of the group; once for the program, once for what is served behind its end."""
        for _ in range(20):
            if self.running.poll() is not None:
                return
            os.killpg(self.running.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.running.wait(1)
        raise AssertionError("hark does not end")


@pytest.fixture(scope="module")
def driven(world):
    """The world with the driver in it."""
    (world.dir / "frontend.py").write_text((ROOT / "tests" / "frontend.py").read_text())
    return world


@pytest.fixture
def show(driven):
    """Start hark with DevTools; it is ended behind the test."""
    started = []

    def start(*command: str, **env: str) -> Shown:
        started.append(Shown(driven, *command, **env))
        return started[-1]

    yield start
    for one in started:
        one.end()


PROGRAM = (
    "curl -s --cacert $CA https://site.test:8443/item.json https://site.test:8443/fail; "
    "curl -s --cacert $CA -d '{\"order\": 23}' -H 'Content-Type: application/json' -H 'Cookie: a=b' https://six.test:8443/hello; "
    "curl -s http://192.0.2.10:81/; curl -s http://192.0.2.10:8080/moved; sleep 30"
)


def test_the_network_panel_shows_a_run_live(show) -> None:
    """Rows, a response body, a request's payload and cookies, headers as on the wire, timing and TLS, read out of the
    frontend's page while the program still runs."""
    shown = show("--devtools", "sh", "-c", PROGRAM)
    told = shown.drive(
        {
            "go": ["go", shown.url],
            "rows": rows(5),
            "choose": row("item.json"),
            "tab 1": tab("Response"),
            "body": ["wait", "deep('.cm-content').map(text).join()"],
            "tab 2": tab("Headers"),
            "headers": until(":authority"),
            "tab 3": tab("Timing"),
            "timing": until("Waiting for server"),
            "choose 2": row("hello"),
            "tab 4": tab("Payload"),
            "payload": until("order"),
            "tab 5": tab("Cookies"),
            "cookies": until("Request cookies"),
            "tab 6": tab("Security"),
            "origin": ["wait", "(found => found && (press(found), true))(deep('li').find(t => text(t).includes('https://site.test:8443')))"],
            "security": until("TLS 1.3"),
        }
    )  # fmt: skip
    lines = [line.replace("\u00a0", " ") for line in told["rows"]]
    assert len(lines) == 5, lines
    assert re.match(r"item\.jsonsite\.test\|200OK\|fetch\|curl\[\d+\]", lines[0]), lines
    assert lines[1].startswith("failsite.test|503"), lines
    assert any("(failed)" in line and "refused" in line for line in lines), lines
    assert any(line.startswith("moved192.0.2.10|302") for line in lines), lines
    assert told["body"] == '{"item": [1, 2, 3]}'
    assert "Provisional headers" not in told["headers"] and "application/json" in told["headers"]
    assert "192.0.2.10:8443" in told["headers"]
    assert "Session" in told["cookies"]
    for word in ("DNS lookup", "Initial connection", "SSL", "Request sent", "Content download"):
        assert word in told["timing"], word
    assert "order" in told["payload"] and "23" in told["payload"]
    assert "TLS_AES_256_GCM_SHA384" in told["security"] and "localhost" in told["security"]


SOCKET = """
import asyncio
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
async def talk(socket):
    async for message in socket: await socket.send(message[::-1])
async def main():
    async with serve(talk, "127.0.0.1", 7064):
        async with connect("ws://127.0.0.1:7064/chat") as socket:
            await socket.send("spoken"); await socket.recv()
            await asyncio.sleep(30)
asyncio.run(main())
"""


def test_messages_of_sockets_and_event_streams(show, driven) -> None:
    """Messages that are said are there while the socket is open; events of a stream too."""
    asgi(driven)
    (driven.dir / "home" / "talking.py").write_text(SOCKET)
    program = f"curl -s --cacert $CA https://site.test:7073/events; exec {sys.executable} talking.py"
    shown = show("--devtools", "sh", "-c", program)
    told = shown.drive(
        {
            "go": ["go", shown.url],
            "rows": rows(2),
            "choose": row("events"),
            "tab 1": tab("EventStream"),
            "events": until("number 2"),
            "choose 2": row("chat"),
            "tab 2": tab("Messages"),
            "messages": until("nekops"),
        }
    )
    assert any(line.startswith("chat127.0.0.1|101") for line in told["rows"]), told["rows"]
    assert "tick" in told["events"] and "number 0" in told["events"]
    assert "spoken" in told["messages"]


def test_history_search_and_several_frontends(show, driven) -> None:
    """A recording is shown by two frontends one behind the other and by chrome://inspect's list; a search finds text in
    a body; a reload gets everything again."""
    program = "curl -s --cacert $CA https://site.test:8443/page.html 'https://site.test:8443/hello?[1-5]'"
    assert driven.run("hark", "-o", "seen.pcapng", "-q", "sh", "-c", program).status == 0
    shown = show("read", "--devtools", "seen.pcapng")
    steps = {
        "go": ["go", shown.url],
        "rows": rows(6),
        "reload": ["go", shown.url],
        "gone": ["wait", "document.readyState == 'complete'"],
        "again": rows(6),
        "inspect": ["go", "chrome://inspect/#devices"],  # looks at port 9229 by itself
        "listed": until("hark read seen.pcapng"),
    }
    first, second = shown.drive(steps), shown.drive({key: steps[key] for key in ("go", "rows")})
    assert len(first["again"]) == 6 == len(second["rows"])
    listed = driven.run("curl", "-s", f"http://127.0.0.1:{shown.port}/json/list")
    (target,) = json.loads(listed.out)
    assert target["type"] == "node" and target["webSocketDebuggerUrl"].endswith(shown.key)
    version = driven.run("curl", "-s", f"http://localhost:{shown.port}/json/version")
    assert json.loads(version.out)["Protocol-Version"] == "1.3"
    found = driven.run(sys.executable, "-c", ASK, f"ws://127.0.0.1:{shown.port}/devtools/page/{shown.key}")
    assert json.loads(found.out) == [{"lineNumber": 0, "lineContent": "<html>" + "<p>hark</p>" * 500}], found.err


ASK = program("devtools_two_frontends.py")

# -- who may not look ------------------------------------------------------------------------------------------------

EVIL = """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/html"); self.end_headers(); self.wfile.write(b"<title>evil</title>")
http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), H).serve_forever()
"""
READ = "fetch({!r}, {{mode: {!r}}}).then(r => r.text()).then(t => 'read ' + t, e => 'refused')"
OPEN = "new Promise(done => {{ const s = new WebSocket({!r}); s.onopen = () => done('open'); s.onerror = () => done('refused'); }})"


def test_no_page_can_read_it(show, driven) -> None:
    """A hostile page in a real Chromium: it knows the port, even the path, and has a name that leads to us. The same
    name, by the same browser, reaches a server that does not look: so it is Host and Origin that keep it out."""
    driven.start([sys.executable, "-c", EVIL, "7065"])
    driven.wait_for("127.0.0.1", 7065)
    run = driven.run("hark", "-q", "-o", "evil.pcapng", "curl", "-s", "http://192.0.2.10:8080/hello")
    assert run.status == 0
    shown = show("read", "--devtools", "evil.pcapng")
    here, rebound = f"127.0.0.1:{shown.port}", f"evil.test:{shown.port}"
    path = f"/devtools/page/{shown.key}"
    told = shown.drive(
        {
            "go": ["go", "http://evil.test:7065/"],
            "there": ["wait", "document.title == 'evil'"],
            "fetch": ["js", READ.format(f"http://{here}/json/list", "cors")],
            "no-cors": ["js", READ.format(f"http://{here}/json/list", "no-cors")],
            "fetch by name": ["js", READ.format(f"http://{rebound}/json/list", "cors")],
            "socket": ["js", OPEN.format(f"ws://{here}{path}")],
            "socket by name": ["js", OPEN.format(f"ws://{rebound}{path}")],
            "rebound": ["go", f"http://{rebound}/json/list"],
            "came": ["wait", f"document.readyState == 'complete' && location.host == {rebound!r} && {PAGE}"],
            "socket, same origin": ["js", OPEN.format(f"ws://{rebound}{path}")],
            "control": ["go", "http://evil.test:7065/x"],
            "reached": ["wait", "location.pathname == '/x' && document.title"],
        },
        "--host-resolver-rules=MAP evil.test 127.0.0.1",
    )
    for step in ("fetch", "fetch by name", "socket", "socket by name", "socket, same origin"):
        assert told[step] == "refused", (step, told[step])
    assert told["no-cors"] in ("refused", "read "), told["no-cors"]  # opaque: nothing of it is seen
    assert "Host is not this server's" in told["came"] and shown.key not in told["came"]
    assert told["reached"] == "evil"


@pytest.mark.parametrize(
    "header, status",
    [
        ("Host: evil.test", b"403"),
        ("Host: 127.0.0.1.evil.test:1", b"403"),
        ("Origin: http://evil.test", b"403"),
        ("Origin: null", b"403"),
        ("Origin: devtools://devtools", b"403"),  # for the socket alone
        ("Sec-Fetch-Site: cross-site", b"403"),
        ("X: y", b"200"),
    ],
)
def test_who_is_answered(show, driven, header: str, status: bytes) -> None:
    driven.run("hark", "-q", "-o", "who.har", "curl", "-s", "http://192.0.2.10:8080/hello")
    shown = show("read", "--devtools", "who.har")
    run = driven.run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, f"http://127.0.0.1:{shown.port}/json/list"
    )
    assert run.out == status
    wrong = driven.run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{shown.port}/devtools/page/{'0' * 32}"
    )
    assert wrong.out == b"404"


def test_hark_ends_with_its_own(show, driven) -> None:
    """The program's status stays its own; kill -9 of hark's first process ends the server too."""
    shown = show("--devtools", "sh", "-c", "exit 7")
    wait_until(lambda: "DevTools is served until" in shown.said.read_text())
    shown.running.send_signal(signal.SIGINT)
    assert shown.running.wait(10) == 7
    shown = show("--devtools", "sleep", "30")
    shown.running.kill()
    shown.running.wait()
    wait_until(lambda: driven.run("curl", "-s", f"http://127.0.0.1:{shown.port}/json/version").status)


def test_a_har_opens_in_a_browsers_devtools(show, driven) -> None:
    """hark's HAR, imported by the frontend's own button, in a Network panel that shows nothing else."""
    home = driven.dir / "home"
    program = "curl -s --cacert $CA https://site.test:8443/item.json; curl -s http://192.0.2.10:8080/fail"
    assert driven.run("hark", "-q", "-o", "import.har", "sh", "-c", program).status == 0
    shown = show("read", "-q", "--devtools", "--host", "nowhere.test", "import.har")
    told = shown.drive(
        {
            "go": ["go", shown.url],
            "there": ["wait", "deep('input[type=file]').length > 0"],
            "give": ["file", "deep('input[type=file]')[0]", str(home / "import.har")],
            "rows": rows(2),
            "choose": row("item.json"),
            "tab": tab("Response"),
            "body": ["wait", "deep('.cm-content').map(text).join()"],
        }
    )
    assert [line[:4] for line in told["rows"]] == ["item", "fail"] and told["body"] == '{"item": [1, 2, 3]}'


def test_a_recording_is_followed_and_grpc_is_readable(show, driven) -> None:
    """--follow: what is appended comes; calls of gRPC are shown as JSON, by the names of --proto."""
    assert driven.run("hark", "-q", "-o", "grow.pcapng", *shop(driven)).status == 0
    whole = (driven.dir / "home" / "grow.pcapng").read_bytes()
    growing = driven.dir / "home" / "growing.pcapng"
    growing.write_bytes(whole[: len(whole) // 2])
    shown = show("read", "-q", "--follow", "--devtools", "--proto", "shop.proto", "growing.pcapng")
    wait_until(lambda: is_read(growing))
    with open(growing, "ab") as file:
        file.write(whole[len(whole) // 2 :])
    told = shown.drive(
        {
            "go": ["go", shown.url],
            "rows": rows(3),
            "choose": row("Buy"),
            "tab 1": tab("Payload"),
            "asked": until("count"),
            "tab 2": tab("Response"),
            "answered": ["wait", "(t => t.includes('thanks') && t)(deep('.cm-content').map(text).join())"],
        }
    )
    assert "total" in told["answered"] and "a1" in told["asked"]


@pytest.mark.parametrize("count", [1009, pytest.param(10007, marks=pytest.mark.soak)])
def test_many_exchanges(show, driven, count: int) -> None:
    """A frontend that connects to many exchanges has them all, and its first rows at once."""
    (driven.dir / "home" / "many.py").write_text(MANY.replace("COUNT", str(count)))
    entries = driven.run(sys.executable, "many.py")
    assert entries.status == 0, entries.err
    shown = show("read", "-q", "--devtools", "many.har")
    told = shown.drive(
        {
            "go": ["go", shown.url],
            "first": rows(5),
            "all": until(f"{count} requests"),
            "end": ["js", "(s => { s.scrollTop = s.scrollHeight })(deep('.network-log-grid .data-container')[0])"],
            "last": ["wait", f"(rows => rows.some(r => r.startsWith('item{count - 1}')) && rows)({ROWS})"],
            "choose": row(f"item{count - 1}"),
            "tab": tab("Response"),
            "body": ["wait", f"(t => t.includes('{count - 1}') && t)(deep('.cm-content').map(text).join())"],
        }
    )
    assert told["body"] == f'{{"item": {count - 1}}}'


MANY = """
import json
import os
def entry(n):
    body = json.dumps({"item": n})
    return {"startedDateTime": f"2026-11-21T12:{n // 600 % 60:02d}:{n // 10 % 60:02d}.{n % 10}00Z", "time": 5.0,
      "request": {"method": "GET", "url": f"https://example.com/item{n}", "httpVersion": "HTTP/2", "cookies": [], "headers": [{"name": "accept", "value": "*/*"}], "queryString": [], "headersSize": 60, "bodySize": 0},
      "response": {"status": 200, "statusText": "", "httpVersion": "HTTP/2", "cookies": [], "headers": [{"name": "content-type", "value": "application/json"}],
                   "content": {"size": len(body), "mimeType": "application/json", "text": body}, "redirectURL": "", "headersSize": 90, "bodySize": len(body)},
      "cache": {}, "timings": {"send": 0.1, "wait": 4.5, "receive": 0.4}, "serverIPAddress": "192.0.2.10", "connection": "7"}
with open("many.har", "w") as out: json.dump({"log": {"version": "1.2", "creator": {"name": "test", "version": "1"}, "entries": [entry(n) for n in range(COUNT)]}}, out)
"""


def test_a_window_opens_and_closing_it_ends_hark(show, driven) -> None:
    """With a display: a real window of a real Chromium, a profile of its own, the frontend that it carries."""
    driven.start(["Xvfb", ":77", "-screen", "0", "1400x900x24", "-nolisten", "unix", "-listen", "tcp", "-ac"])
    driven.wait_for("127.0.0.1", 6077)
    assert driven.run("hark", "-q", "-o", "window.pcapng", "curl", "-s", "http://192.0.2.10:8080/hello").status == 0
    shown = show("read", "-q", "--devtools", "window.pcapng", DISPLAY="127.0.0.1:77")
    assert "DevTools opens in chromium" in shown.said.read_text()
    script = f"pid=$(pgrep -o -f -- '--app=http.*devtools/page/{shown.key}') && tr '\\0' '\\n' </proc/$pid/cmdline | sed -n 's/--remote-debugging-port=//p'; echo $pid"
    words: list[bytes] = []

    def opened() -> bool:
        words[:] = driven.run("sh", "-c", script).out.split()
        if len(words) != 2:
            return False
        return driven.run("curl", "-s", f"http://127.0.0.1:{int(words[0])}/json/list").status == 0

    wait_until(opened, 20, shown.said.read_text)
    told = shown.drive({"rows": rows(1)}, CHROMIUM_ATTACH=words[0].decode())
    assert told["rows"][0].startswith("hello192.0.2.10|200")
    os.kill(int(words[1]), signal.SIGTERM)  # as closing the window does
    assert shown.running.wait(15) == 0
