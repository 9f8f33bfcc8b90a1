"""HTTP/1 as transcripts: C and S speak, and this is what was heard."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allways import C, S, all_ways, play
from hark.decode.channel import Opaque
from hark.decode.http1 import Http1
from hark.decode.layer import Upgrade


def layer() -> Http1:
    return Http1(1, lambda upgrade, time: (Opaque(), ()))


GET = (C, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")

TRANSCRIPTS = {
    "length": (
        [GET, (S, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")],
        ["1 > GET /a HTTP/1.1 {Host: h}", "1 > end", "1 < 200 OK HTTP/1.1 {Content-Length: 2}", "1 < body b'hi'", "1 < end"],
    ),
    "chunked with trailers": (
        [
            (C, b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA \r\n0123456789\r\n0\r\nT: v\r\n\r\n"),
            (S, b"HTTP/1.1 200 \r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ],
        [
            "1 > POST /c HTTP/1.1 {Transfer-Encoding: chunked}", "1 > body b'abc0123456789'", "1 > end {T: v}",
            "1 < 200 HTTP/1.1 {Transfer-Encoding: gzip, chunked}", "1 < end",
        ],
    ),
    "pipelining, HEAD, 204, 304": (
        [
            (C, b"HEAD /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\n"
                b"HTTP/1.1 304 M\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        ],
        [
            "1 > HEAD /1 HTTP/1.1", "1 > end", "2 > GET /2 HTTP/1.1", "2 > end", "3 > GET /3 HTTP/1.1", "3 > end",
            "4 > GET /4 HTTP/1.1", "4 > end",
            "1 < 200 OK HTTP/1.1 {Content-Length: 9}", "1 < end", "2 < 204 N HTTP/1.1 {Content-Length: 5}", "2 < end",
            "3 < 304 M HTTP/1.1 {Content-Length: 7}", "3 < end",
            "4 < 200 OK HTTP/1.1 {Content-Length: 1}", "4 < body b'x'", "4 < end",
        ],
    ),
    "Expect: 100-continue and 103": (
        [
            (C, b"PUT /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"),
            (S, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n"),
            (C, b"abc"),
            (S, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        ],
        [
            "1 > PUT /p HTTP/1.1 {Expect: 100-continue, Content-Length: 3}", "1 < interim 100 Continue HTTP/1.1",
            "1 < interim 103 Early Hints HTTP/1.1 {Link: </s>}", "1 > body b'abc'", "1 > end",
            "1 < 201 Created HTTP/1.1 {Content-Length: 0}", "1 < end",
        ],
    ),
    "close-delimited, HTTP/1.0": (
        [(C, b"GET / HTTP/1.0\r\n\r\n"), (S, b"HTTP/1.0 200 OK\r\n\r\nall of it"), (S, b"")],
        ["1 > GET / HTTP/1.0", "1 > end", "1 < 200 OK HTTP/1.0", "1 < body b'all of it'", "1 < end"],
    ),
    "upgrade: what follows is not HTTP": (
        [
            (C, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
            (S, b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n\x81\x01a"),
            (C, b"GET / HTTP/1.1\r\n\r\n"),
        ],
        ["1 > GET /ws HTTP/1.1 {Upgrade: websocket}", "1 > end", "1 < 101 S HTTP/1.1 {Upgrade: websocket}"],
    ),
    "upgrade refused: pipelined requests go on": (
        [
            (C, b"GET /1 HTTP/1.1\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
            (S, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"),
        ],
        [
            "1 > GET /1 HTTP/1.1 {Upgrade: h2c}", "1 > end", "1 < 200 OK HTTP/1.1 {Content-Length: 1}",
            "2 > GET /2 HTTP/1.1", "2 > end", "1 < body b'a'", "1 < end",
            "2 < 200 OK HTTP/1.1 {Content-Length: 1}", "2 < body b'b'", "2 < end",
        ],
    ),
    "CONNECT": (
        [(C, b"CONNECT h:443 HTTP/1.1\r\n\r\n"), (S, b"HTTP/1.1 200 OK\r\n\r\n"), (C, b"\x16\x03\x01")],
        ["1 > CONNECT h:443 HTTP/1.1", "1 > end", "1 < 200 OK HTTP/1.1", "1 < end"],
    ),
    "dies in the body": (
        [GET, (S, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), (S, b"")],
        [
            "1 > GET /a HTTP/1.1 {Host: h}", "1 > end", "1 < 200 OK HTTP/1.1 {Content-Length: 9}", "1 < body b'half'",
            "1 aborted: server fin",
        ],
    ),
    "no answer": ([GET], ["1 > GET /a HTTP/1.1 {Host: h}", "1 > end", "1 aborted: server fin"]),
    "bare LF, folded header, leading empty line": (
        [(C, b"\r\nGET / HTTP/1.1\nA: b\n  c\nD:e\n\n"), (S, b"HTTP/1.1 200\nContent-Length:0\n\n")],
        ["1 > GET / HTTP/1.1 {A: b c, D: e}", "1 > end", "1 < 200 HTTP/1.1 {Content-Length: 0}", "1 < end"],
    ),
    "a lying Content-Length": (
        [(C, b"POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\nxx")],
        [
            "1 > POST / HTTP/1.1 {Content-Length: 1, 2}",
            "trouble broken-http: a Content-Length cannot be read, by the client", "1 > body b'xx'",
            "1 aborted: server fin",
        ],
    ),
    "binary noise from the server": (
        [GET, (S, b"\x00\x01\x02\r\n\r\n")],
        [
            "1 > GET /a HTTP/1.1 {Host: h}", "1 > end",
            "trouble broken-http: a status line cannot be read, by the server", "1 aborted: a status line cannot be read",
        ],
    ),
    "a bad chunk": (
        [GET, (S, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")],
        [
            "1 > GET /a HTTP/1.1 {Host: h}", "1 > end", "1 < 200 OK HTTP/1.1 {Transfer-Encoding: chunked}",
            "trouble broken-http: a chunk size cannot be read, by the server", "1 aborted: a chunk size cannot be read",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    script, heard = TRANSCRIPTS[name]
    assert all_ways(layer, script) == heard


def test_a_hole_in_a_body_of_known_length_is_told_and_passed_over() -> None:
    heard = layer()
    heard.feed(C, GET[1], 1)
    heard.feed(S, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", 2)
    events = [*heard.lost(S, 5, 3), *heard.feed(S, b"xyzHTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n", 4)]
    from allways import render

    assert render(events)[:3] == [
        "trouble lost-body: 5 bytes of a body were not captured",
        "1 < body b'xyz'",
        "1 < end",
    ]


def test_upgrade_tells_its_token() -> None:
    seen: list[Upgrade] = []

    def upgrade(what: Upgrade, time: int) -> tuple[Opaque, tuple[()]]:
        seen.append(what)
        return Opaque(), ()

    script = [(C, b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"), (S, b"HTTP/1.1 101 x\r\nUpgrade: H2C\r\n\r\n")]
    play(lambda: Http1(1, upgrade), script)
    assert [what.token for what in seen] == ["h2c"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([C, S]), st.binary(min_size=1, max_size=200)), max_size=8))
def test_noise_never_raises(script: list[tuple[object, bytes]]) -> None:
    play(layer, script)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutilated_conversations_never_raise(data: st.DataObject) -> None:
    script = list(TRANSCRIPTS[data.draw(st.sampled_from(sorted(TRANSCRIPTS)))][0])
    index = data.draw(st.integers(0, len(script) - 1))
    side, raw = script[index]
    at = data.draw(st.integers(0, len(raw)))
    script[index] = (side, raw[:at] + data.draw(st.binary(max_size=5)) + raw[at + data.draw(st.integers(0, 3)) :])
    play(layer, script)
