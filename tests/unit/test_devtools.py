"""The DevTools server: who may speak to it, what it answers, and every event once and in order. The client is the
websockets library's."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from hark.frontends.devtools import browser, commands, server
from hark.frontends.devtools import start as starting
from hark.frontends.devtools.address import frontend_url, page
from hark.frontends.devtools.history import History, Record, frame
from hark.frontends.devtools.server import Server
from world import until

EVENTS = 6  # of an exchange: two of its request, two of its response's head, two of its end
KEY = "0123456789abcdef" * 2
Json = dict[str, Any]


def entry(n: int, text: str = "hello", **response: Any) -> Json:
    """An entry as a feed has it."""
    return {
        "startedDateTime": "2026-01-01T00:00:00.000Z",
        "time": 5.0,
        "request": {
            "method": "POST", "url": f"https://h.test/{n}", "httpVersion": "HTTP/2.0", "headers": [], "cookies": [],
            "queryString": [], "headersSize": -1, "bodySize": 3,
            "postData": {"mimeType": "text/plain", "text": f"to {n}"},
        },
        "response": {
            "status": 200, "statusText": "OK", "httpVersion": "HTTP/2.0", "headers": [], "cookies": [],
            "content": {"size": 5, "mimeType": "text/plain", "text": text}, "redirectURL": "", "headersSize": -1,
            "bodySize": 5, **response,
        },
        "cache": {},
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "send": 1, "wait": 3, "receive": 1, "ssl": -1},
        "serverIPAddress": "192.0.2.1",
        "connection": "1",
        "_protocol": "h2",
        "_tls": {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "sni": "h.test", "alpn": "h2", "opened_by": "x"},
    }  # fmt: skip


def told(what: str, n: int, **more: Any) -> Json:
    return {"what": what, "n": n, "entry": entry(n), **more}


class Served:
    """A server in a thread, its feed, and what connects to it."""

    def __init__(self, wait: float = 0.0) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        feed, self._feed = os.pipe()
        guard, self.guard = os.pipe()
        self.server = Server(listener, feed, guard, KEY, "hark curl", wait, {"http://extra.test"})
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    def feed(self, *lines: Json) -> None:
        os.write(self._feed, b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def end_feed(self) -> None:
        os.close(self._feed)
        self._feed = -1

    def get(self, path: str, **headers: str) -> tuple[int, bytes, str]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        link.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        kind = answer.getheader("Cross-Origin-Resource-Policy") or ""
        with contextlib.closing(link):
            return answer.status, answer.read(), kind

    def frontend(self, key: str = KEY, origin: str | None = "devtools://devtools") -> "Frontend":
        url = f"ws://127.0.0.1:{self.port}/devtools/page/{key}"
        return Frontend(url, origin)

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        if self.guard >= 0:
            os.close(self.guard)
            self.guard = -1
        self._thread.join(10)
        assert self.over


class Frontend:
    """Speaks the protocol."""

    def __init__(self, url: str, origin: str | None = "devtools://devtools") -> None:
        self.link: ClientConnection = connect(url, origin=origin, open_timeout=5).__enter__()  # type: ignore[arg-type]
        self._number = 0
        self.events: list[Json] = []

    def ask(self, method: str, **params: Any) -> Json:
        """The answer; events that come meanwhile are kept."""
        self._number += 1
        self.link.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            came = json.loads(self.link.recv(5))
            if came.get("id") == self._number:
                return came
            self.events.append(came)

    def seen(self, count: int) -> list[str]:
        """Method and request of that many events."""
        while len(self.events) < count:
            self.events.append(json.loads(self.link.recv(5)))
        return [f"{event['method'].partition('.')[2]} {event['params'].get('requestId', '')}" for event in self.events]


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


# -- who may speak ---------------------------------------------------------------------------------------------------


def test_the_target_is_listed_for_who_comes_from_no_page(served: Served) -> None:
    status, body, policy = served.get("/json/list")
    (target,) = json.loads(body)
    assert (status, policy) == (200, "same-origin")
    assert target["title"] == "hark curl"
    assert target["webSocketDebuggerUrl"] == f"ws://127.0.0.1:{served.port}/devtools/page/{KEY}"
    assert target["devtoolsFrontendUrl"] == frontend_url(served.port, KEY)
    assert page(served.port, KEY) in target["devtoolsFrontendUrl"]
    assert json.loads(served.get("/json/version")[1])["Protocol-Version"] == "1.3"
    assert served.get("/json")[1] == body
    assert served.get("/else")[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},  # a name that was made to point here
        {"Origin": "http://evil.test"},
        {"Origin": "devtools://devtools"},  # a page of DevTools has no need of the list
        {"Sec_Fetch_Site": "cross-site"},
    ],
    ids=str,
)
def test_pages_are_kept_out(served: Served, headers: dict[str, str]) -> None:
    status, body, policy = served.get("/json/list", **headers)
    assert (status, policy) == (403, "same-origin")
    assert KEY.encode() not in body


def test_the_protocol_is_for_who_knows_the_path_and_is_no_page(served: Served) -> None:
    for key, origin in (("0" * 32, "devtools://devtools"), (KEY, "http://evil.test")):
        with pytest.raises(InvalidStatus) as raised:
            served.frontend(key, origin)
        assert raised.value.response.status_code in (403, 404)
    for origin in (None, "devtools://devtools", "http://extra.test", f"http://127.0.0.1:{served.port}"):
        assert served.frontend(origin=origin).ask("Network.disable")["result"] == {}


def test_whose_connection_it_is() -> None:
    """By the kernel's table: another user's is refused, an unknown one too."""
    line = "  1: 0100007F:{:04X} 0100007F:{:04X} 01 00000000:00000000 00:00000000 00000000 {:5} 0 7 1 0 20 4 30 10 -1"

    def table(uid: int) -> str:
        return "header\n" + line.format(5555, 9229, uid) + "\n" + line.format(9229, 5555, os.getuid()) + "\n"

    assert server.is_ours(5555, 9229, lambda path: table(os.getuid()))
    assert server.is_ours(5555, 9229, lambda path: table(0))
    assert not server.is_ours(5555, 9229, lambda path: table(54321))
    assert not server.is_ours(5556, 9229, lambda path: table(0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as link:
            assert server.is_ours(link.getsockname()[1], port)
        assert not server.is_ours(1, port)


# -- what is answered ------------------------------------------------------------------------------------------------


def test_every_event_once_and_in_order_whenever_a_frontend_comes(served: Served) -> None:
    early = served.frontend()
    early.ask("Network.enable")
    served.feed(told("began", 1), told("began", 2), told("answered", 2), told("ended", 2))
    # The order of a frontend that was there all the time is the order in which it happened.
    order = early.seen(2 + EVENTS)
    assert order.index(next(one for one in order if one.endswith(".1"))) == 0
    late = served.frontend()
    late.ask("Network.enable")
    served.feed(told("ended", 1))
    of_one = [one for one in early.seen(len(order) + 4) if one.endswith(".1")]
    seen_late = late.seen(len(early.events))
    assert [one for one in seen_late if one.endswith(".1")] == of_one
    assert sorted(seen_late) == sorted(early.seen(len(early.events)))
    again = served.frontend()
    again.ask("Network.enable")
    assert again.seen(len(seen_late)) == [*of_one, *(one for one in seen_late if not one.endswith(".1"))]


def test_bodies_are_given_when_asked_for(served: Served) -> None:
    frontend = served.frontend()
    served.feed(told("ended", 1), {"what": "ended", "n": 2, "entry": entry(2, base64.b64encode(b"\0\1").decode())})
    frontend.ask("Network.enable")
    first, second = dict.fromkeys(one.partition(" ")[2] for one in frontend.seen(2 * EVENTS))
    assert frontend.ask("Network.getResponseBody", requestId=first)["result"] == {
        "body": "hello",
        "base64Encoded": False,
    }
    assert frontend.ask("Network.getRequestPostData", requestId=second)["result"]["postData"] == "to 2"
    found = frontend.ask("Network.searchInResponseBody", requestId=first, query="HEL")["result"]["result"]
    assert found == [{"lineNumber": 0, "lineContent": "hello"}]
    assert "No resource" in frontend.ask("Network.getResponseBody", requestId="hark.99")["error"]["message"]
    served.feed(told("began", 3))
    frontend.seen(len(frontend.events) + 1)
    third = frontend.events[-1]["params"]["requestId"]
    assert frontend.ask("Network.getResponseBody", requestId=third)["error"]["message"] == "it is not over yet"


def test_what_is_no_command_ends_that_frontend_alone(served: Served) -> None:
    good = served.frontend()
    for text in ("[]", "{}", "no json", '{"id": 1, "method": "x", "params": [1]}', "1"):
        bad = served.frontend()
        bad.link.send(text)
        with pytest.raises(ConnectionClosed) as raised:
            bad.link.recv(5)
        assert raised.value.rcvd is not None and raised.value.rcvd.code == 1007
    assert good.ask("Unknown.method")["result"] == {}


def test_a_command_in_fragments_and_of_a_session(served: Served) -> None:
    frontend = served.frontend()
    frontend.link.send(iter(['{"id": 7, "sess', 'ionId": "s", "method"', ': "Schema.getDomains"}']))
    assert json.loads(frontend.link.recv(5)) == {"id": 7, "sessionId": "s", "result": {"domains": []}}


# -- when it ends ----------------------------------------------------------------------------------------------------


def test_it_ends_with_hark_whatever_is_open(served: Served) -> None:
    frontend = served.frontend()
    served.close()
    with pytest.raises(ConnectionClosed):
        frontend.link.recv(5)


def test_it_is_served_after_the_end_until_the_last_one_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_LINGER", 0.0)
    served = Served(wait=60.0)
    frontend = served.frontend()
    served.feed(told("ended", 1))
    served.end_feed()
    time.sleep(0.6)  # longer than it looks whether all is over
    assert frontend.ask("Network.enable")["result"] == {}
    assert frontend.seen(1)
    frontend.link.close()
    until(lambda: served.over)
    served.close()


def test_nobody_came() -> None:
    served = Served(wait=0.0)
    served.end_feed()
    until(lambda: served.over)
    served.close()


# -- parts -----------------------------------------------------------------------------------------------------------


def test_a_message_of_any_size_in_a_frame() -> None:
    for size, head in (
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\0\x7e"),
        (1 << 16, b"\x81\x7f" + (1 << 16).to_bytes(8, "big")),
    ):
        assert frame(b"x" * size) == head + b"x" * size


def test_the_history_of_an_exchange_that_goes_on_is_bounded() -> None:
    news: list[Record] = []
    history = History(lambda record, data: news.append(record))
    history.feed(told("began", 1), b"")
    message = {"kind": "text", "from": "client", "time": 1, "data": "eA=="}
    for _ in range(2000):
        history.feed({"what": "spoke", "n": 1, "message": message}, b"")
    (record,) = history.records
    assert len(record.said) == 1000
    line = json.dumps(told("ended", 1)).encode()
    history.feed(told("ended", 1), line)
    assert record.said == []
    assert record.over
    assert history.replay(record)
    assert history.entry("nowhere") is None


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({"query": "a.b"}, [1]),
        ({"query": "A.B"}, [1]),
        ({"query": "A.B", "caseSensitive": True}, []),
        ({"query": "a.b", "isRegex": True}, [0, 1]),
    ],
)
def test_lines_in_which_something_is_found(params: Json, numbers: list[int]) -> None:
    assert [found["lineNumber"] for found in commands.search("axb\na.b\n", params)] == numbers


def test_what_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(commands.Refused, match="no regular expression"):
        commands.search("x", {"query": "(", "isRegex": True})
    assert len(commands.search("x\n" * 5000, {"query": "x"})) == 1000


def test_a_browser_where_there_is_a_display(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "chromium"
    program.write_text('#!/bin/sh\necho "$@" >$0.said\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    home = {"HOME": str(tmp_path)}
    assert browser.find(9, KEY, home) is None
    found = browser.find(9, KEY, {**home, "DISPLAY": ":0"})
    assert found is not None
    before: list[int] = []
    found.open(lambda: before.append(1))
    said = tmp_path / "chromium.said"
    until(lambda: said.exists() and said.read_text().endswith("\n"))
    words = said.read_text().split()
    assert f"--app={found.origin}/devtools/{page(9, KEY)}" in words
    assert f"--user-data-dir={tmp_path}/.cache/hark/browser" in words
    found.close()
    found.close()
    assert before == []  # it ran in the new process
    program.unlink()
    found.open(lambda: None)  # it is not there any more: nothing happens
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find(9, KEY, {"WAYLAND_DISPLAY": "x"}) is None


def test_a_server_is_started_said_and_ended(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from hark.destinations import open_outputs
    from hark.options import Options

    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    options = Options()
    started = starting.start(options, "hark curl", open_outputs(options, print, ""))
    said = capfd.readouterr().err
    (url,) = [line.strip() for line in said.splitlines() if "devtools://" in line]
    place = url.partition("?ws=")[2].partition("&")[0]
    frontend = Frontend(f"ws://{place}")
    os.write(started.feed, json.dumps(told("ended", 1)).encode() + b"\n")
    frontend.ask("Network.enable")
    assert frontend.seen(1)
    started.end()
    started.end()
    assert os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1]) == 0
    os.close(started.feed)
