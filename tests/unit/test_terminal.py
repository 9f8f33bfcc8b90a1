"""Lines on a terminal: what gives way to their width, what a body shows, how cut JSON is laid out, a connection's line."""

import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hark.decode.events import Dns
from hark.model.book import Book
from hark.model.changes import Ended, Failed
from hark.model.imported import EntryReader
from hark.views.excerpt import ROWS, screenful
from hark.views.fitting import columns, fit, least
from hark.views.indent import indented
from hark.views.terminal import Terminal
from hark.views.view import pretty
from hark.views.waterfall import Waterfall
from scripted import FIN, C, S, Told

ROOT = pathlib.Path(__file__).parent.parent.parent
URL = "http://localhost:8080/api/v1/items?sort=updated_at"


def entry(url: str = URL, text: str = "hello", kind: str = "text/plain", **more: Any) -> dict[str, Any]:
    asked = {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": []}
    answer = {"status": 404, "httpVersion": "HTTP/1.1", "headers": [{"name": "content-type", "value": kind}],
              "content": {"size": len(text), "mimeType": kind, "text": text}, "bodySize": len(text)}  # fmt: skip
    timings = {"blocked": -1, "dns": 1, "connect": 4, "ssl": -1, "send": 0, "wait": 10, "receive": 5}
    made = {"startedDateTime": "2026-11-21T12:00:00Z", "time": 20, "request": asked, "response": answer, "timings": timings,
            "serverIPAddress": "192.0.2.10", "connection": "1", "_process": {"pid": 2323, "name": "python3.11", "exe": "/x", "cmdline": [], "ppid": 1}}  # fmt: skip
    return made | more


def lines(view: Callable[..., Any], *entries: dict[str, Any], **options: Any) -> list[str]:
    """What a view writes of the exchanges of some entries."""
    out: list[bytes] = []
    made = view(out.append, **options)
    reader = EntryReader()
    for one in entries:
        made.change(Ended(reader.exchange(one)))
    made.tick(0)
    made.end()
    return b"".join(out).decode().splitlines()


# -- what gives way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, room, fitted",
    [
        (f"GET {URL}", 60, f"GET {URL}"),
        (f"GET {URL}", 53, "GET localhost:8080/api/v1/items?sort=updated_at"),
        (f"GET {URL}", 46, "GET …calhost:8080/api/v1/items?sort=updated_at"),
        (f"GET {URL}", 34, "GET …/api/v1/items?sort=updated_at"),
        (f"GET {URL}", 30, "GET …/api/v1/items?so…dated_at"),
        ("GET https://api.example.com/", 20, "GET api.example.com"),
        ("GET https://api.example.com/", 15, "GET …xample.com"),
        ("GET https://api.example.com?q=1", 19, "GET …xample.com?q=1"),
        ("CONNECT api.example.com:443", 20, "CONNECT …ple.com:443"),
        ("connect [2001:db8::10]:8443", 20, "connect …8::10]:8443"),
        ("tls site.test:8443 (192.0.2.10)", 20, "tls site.test….2.10)"),
        ("GET https://例え.テスト/パス/長い", 20, "GET …スト/パス/長い"),
    ],
)
def test_what_of_a_url_gives_way(text: str, room: int, fitted: str) -> None:
    assert columns(fit(text, room)) <= room
    assert fit(text, room) == fitted


_HOST = st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){0,3}(:[0-9]{2,5})?", fullmatch=True)
_PATH = st.from_regex(r"(/[a-zé長]{1,30}){1,5}(\?[a-z=&]{1,30})?", fullmatch=True)


@given(_HOST, _PATH, st.integers(10, 120))
def test_the_path_is_shown_before_the_host_and_the_host_before_the_scheme(host: str, path: str, room: int) -> None:
    text = f"GET https://{host}{path}"
    fitted = fit(text, room)
    assert columns(fitted) <= room
    if columns(fitted) < columns(text):
        assert "https" not in fitted
    if room >= least(text):
        assert fitted.endswith(path)
    if columns(f"GET {host}{path}") <= room:
        assert f"{host}{path}" in fitted


@pytest.mark.parametrize("width", [40, 60, 80, 100, 132])
@pytest.mark.parametrize(
    "trouble", ["", "the server closed after 1.2 s, in the middle of the body, which is a long reason"]
)
def test_status_and_reason_do_not_push_the_path_out(width: int, trouble: str) -> None:
    """At every width; where a reason leaves no room it has a line of its own, and nothing is padded."""
    path = "/api/v1/items?sort=updated_at"
    found = lines(Terminal, entry(**({"_trouble": trouble} if trouble else {})), width=width)
    assert " 404 " in found[0] and not found[0].endswith(" ") and "  " not in found[0]
    if width >= 80:
        assert path in found[0] and columns(found[0]) <= width
    else:
        assert "/api" in found[0] and "d_at" in found[0]
    assert (trouble in found[0]) != (found[1] == f"  {trouble}") or not trouble


def test_without_a_width_nothing_is_cut() -> None:
    long = f"https://{'a' * 60}.test/{'b' * 400}"
    assert lines(Terminal, entry(long), width=0)[0].startswith(f"GET {long} 404 ")
    assert f"GET {long} 404 |" in lines(Waterfall, entry(long), width=0)[1]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_waterfall_keeps_paths(width: int) -> None:
    found = lines(Waterfall, entry(), entry("http://localhost:8080/other"), width=width)
    assert all(columns(line) <= width for line in found[:3])
    row = next(line for line in found if "/api/" in line)
    assert ("items?sort=updated_at" in row) == (width >= 80) and "404 |" in row
    assert any("/other " in line for line in found)


def test_a_terminal_of_no_columns_cuts_nothing() -> None:
    """A terminal that says that it has 0 columns, as some CI has it; and one of 80 columns."""
    code = (
        "import fcntl, os, pty, struct, sys, termios\n"
        "pid, fd = pty.fork()\n"
        "if not pid:\n"
        "    sys.stdin.readline()\n"
        "    os.execv(sys.executable, [sys.executable, '-m', 'hark', 'read', sys.argv[1]])\n"
        "fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 0, int(sys.argv[2]), 0, 0))\n"
        "os.write(fd, b'go\\n')\n"
        "try:\n"
        "    while data := os.read(fd, 65536): os.write(1, data)\n"
        "except OSError: pass\n"
    )
    for width, cut in (("0", False), ("50", True)):
        done = subprocess.run([sys.executable, "-c", code, str(ROOT / "recordings/curl-h2-tls13.pcapng"), width], capture_output=True)  # fmt: skip
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode())
        assert ("https://site.test:8443/" in text) != cut and "200" in text, text + done.stderr.decode()


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, kind",
    [
        ("x" * 1_000_000, "text/plain"),
        ("word\n" * 100_000, "text/plain"),
        (json.dumps([{"n": n} for n in range(50_000)]), "application/json"),
        (json.dumps([{"n": n} for n in range(50_000)])[:500_000], "application/json"),
    ],
)
@pytest.mark.parametrize("width", [0, 80, 200])
def test_a_body_takes_a_screen_and_the_rest_is_counted(text: str, kind: str, width: int) -> None:
    found = lines(Terminal, entry(text=text, kind=kind), verbosity=2, width=width)
    assert sum(map(len, found)) < (ROWS + 10) * (width or 120) and len(found) < ROWS + 12
    (rest,) = [line for line in found if line.startswith("< … ")]
    assert "more" in rest and "in all" in rest and "-o FILE.har" in rest


def test_a_body_that_was_not_kept_says_how_to_keep_it() -> None:
    one = entry(text="x" * 100)
    one["response"] |= {"bodySize": 34_000_001}
    one["response"]["content"]["comment"] = "only the first 100 of 34000001 bytes were kept"
    found = lines(Terminal, one, verbosity=2)
    assert "< … the rest was not kept; 34 MB in all (-o FILE.har --max-body 35M keeps them)" in found


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=700), max_size=120),
    st.integers(0, 200),
)
def test_a_screenful(text: list[str], width: int) -> None:
    kept, rest = screenful(text, width)
    rows = sum(max(-(-len(line) // (width or 120)), 1) for line in kept)
    assert rows <= ROWS and bool(rest) == (kept != text)


# -- cut JSON ----------------------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON.filter(lambda value: isinstance(value, dict | list)), st.booleans(), st.data())
def test_cut_json_is_laid_out_as_far_as_it_goes(value: Any, spaced: bool, data: st.DataObject) -> None:
    """Cut anywhere: the layout of what is there is the beginning of the layout of the whole."""
    whole = json.dumps(value, ensure_ascii=False, separators=None if spaced else (",", ":"))
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    laid = json.dumps(value, indent=2, ensure_ascii=False)
    found = indented(cut)
    assert found is not None and laid.startswith(found.rstrip()), (cut, found)


@pytest.mark.parametrize("text", ["", "[INFO] started", "{name}", "[1] note", '{"a": 1}\n{"b": 2', "[" * 5000, '{"a"} x', "{'a': 1", '["a" "b"', "]", '{"a": tru}'])  # fmt: skip
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    assert pretty(text, "") == text and pretty(text, "application/json") == text


def test_json_cut_by_what_is_kept_is_laid_out() -> None:
    text = json.dumps({"items": [{"n": n} for n in range(9)]})[:40]
    found = lines(Terminal, entry(text=text, kind="application/json"), verbosity=2)
    assert '<   "items": [' in found and '<       "n": 0' in found


# -- a connection's line -----------------------------------------------------------------------------------------------


def test_a_connection_is_described_once_with_its_first_request() -> None:
    tls = {"version": "TLS 1.3", "cipher": "TLS_AES_128_GCM_SHA256", "sni": "example.com", "alpn": "h2",
           "certificate": {"subject": "CN=example.com", "notAfter": "2027-01-01T00:00:00Z"}}  # fmt: skip
    first = entry("https://example.com/", _tls=tls)
    first["timings"] |= {"ssl": 2}
    second = entry("https://example.com/again", _tls=tls)
    second["timings"] |= {"dns": -1, "connect": -1, "ssl": -1}
    found = [line for line in lines(Terminal, first, second, verbosity=1) if line.startswith("* ")]
    assert found == [
        "* 192.0.2.10:443 (example.com), TLS 1.3 TLS_AES_128_GCM_SHA256 h2, certificate CN=example.com until 2027-01-01, "
        "dns 1.0 ms, connect 2.0 ms, tls 2.0 ms, wait 10 ms, receive 5.0 ms"
    ]
    assert not [line for line in lines(Terminal, first) if line.startswith("* ")]


def told(name: str) -> list[str]:
    done = subprocess.run([sys.executable, "-m", "hark", "read", "-v", str(ROOT / f"recordings/{name}.pcapng")], capture_output=True)  # fmt: skip
    return [line for line in done.stdout.decode().splitlines() if line.startswith("* ")]


def test_proxies_stand_in_a_connections_line() -> None:
    (socks,) = told("socks5-tls")
    assert socks.startswith("* proxy 192.0.2.10:7074 to site.test, TLS 1.3 ")
    (forwarded,) = told("proxy-protocol")
    assert "for 198.18.104.1:48502 to 192.0.2.10:7072 by the PROXY protocol" in forwarded


# -- words -------------------------------------------------------------------------------------------------------------

_BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "sent, begin, trouble",
    [
        (b"", False, "its request was not captured"),
        (b"", True, "no request was seen for it"),
        (b"garbage\r\n\r\n", True, "this is no request line: garbage"),
        (b"\0\1\2\r\n\r\n", True, "this is no request line: \0\1\2"),
        (b'{"a": 1}\n', True, 'this is no request line: {"a": 1}'),
    ],
)
def test_a_request_is_called_uncaptured_only_where_it_is(sent: bytes, begin: bool, trouble: str) -> None:
    steps = [(0, C, sent)] if sent else []
    (exchange,) = Told().play([*steps, (1, S, _BAD), (2, S, FIN), (3, C, FIN)], begin=begin).end().exchanges
    assert exchange.trouble == trouble


@pytest.mark.parametrize("count, sent", [(1, "1 byte was sent"), (2, "2 bytes were sent")])
def test_one_is_no_plural(count: int, sent: str) -> None:
    (failure,) = Told().play([(0, C, b"GET"[:count]), (5, C, FIN), (6, S, FIN)]).end().failures
    assert failure.why.endswith(f", without a request, {sent}")


def test_a_rejected_certificate_names_host_and_address() -> None:
    done = subprocess.run([sys.executable, "-m", "hark", "read", str(ROOT / "recordings/failures.pcapng")], capture_output=True)  # fmt: skip
    text = done.stdout.decode()
    assert "tls localhost:8444 the client rejected the certificate: certificate_expired" in text
    assert "  certificate CN=localhost (self-signed, expired 2020-01-21), shown by 127.0.0.1; let the client" in text


@pytest.mark.parametrize("name", ["localhost", "localhost.lan", "x.localhost"])
def test_localhost_is_resolved_whatever_a_name_server_says(name: str) -> None:
    """`getent hosts localhost` asks, is told that there is no such name, and gives 127.0.0.1."""
    book = Book(0)
    changes = book.feed([Dns(2, 1, name, kind, "NXDOMAIN", (), 23) for kind in ("A", "AAAA")])
    assert not [change for change in (*changes, *book.end()) if isinstance(change, Failed)]
