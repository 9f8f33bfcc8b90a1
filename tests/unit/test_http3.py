"""HTTP/3 frames by hand, for what aioquic does not say: GOAWAY, pushes, unknown frames, extended CONNECT, all ways."""

import pytest

from allways import CLOSED, NO_UPGRADE, C, S, render
from hark.decode.channel import Channel
from hark.decode.context import Context
from hark.decode.events import Event, Side
from hark.decode.http3 import Http3

Turn = tuple[Side, int, bytes, bool]


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + (0x4000 | len(payload)).to_bytes(2, "big") + payload


def request(path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    pseudo = ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h.test"), (b":path", path))
    return frame(1, b"\0\0" + b"".join(_line(n, v) for n, v in (*pseudo, *more)))


def response(status: bytes, *more: tuple[bytes, bytes]) -> bytes:
    return frame(1, b"\0\0" + b"".join(_line(n, v) for n, v in ((b":status", status), *more)))


def _line(name: bytes, value: bytes) -> bytes:
    size = bytes([0x20 | len(name)]) if len(name) < 7 else bytes([0x27, len(name) - 7])
    return size + name + bytes([len(value)]) + value


def told(turns: list[Turn], layer: Http3 | None = None) -> list[str]:
    layer = layer or Http3(1, NO_UPGRADE)
    events: list[Event] = []
    for time, (side, stream, data, fin) in enumerate(turns, 1):
        events += layer.feed(side, stream, data, fin, time)
    return render([*events, *layer.close(CLOSED)])


TALK: list[Turn] = [
    (C, 2, b"\0" + frame(4, b"\x01\0"), False),
    (
        C,
        0,
        request(b"/a", (b"x", b"y"))
        + frame(0x21, b"grease")
        + frame(0, b"ask")
        + frame(1, b"\0\0" + _line(b"t", b"1")),
        True,
    ),
    (S, 3, b"\0" + frame(4, b""), False),
    (S, 0, response(b"103") + response(b"200") + frame(0, b"ans") + frame(0, b"wer"), False),
    (S, 0, b"", True),
]
HEARD = [
    "0 > GET /a HTTP/3 https://h.test {x: y}",
    "0 > body b'ask'",
    "0 > end {t: 1}",
    "0 < interim 103 HTTP/3",
    "0 < 200 HTTP/3",
    "0 < body b'answer'",
    "0 < end",
]


def test_all_ways() -> None:
    assert told(TALK) == HEARD
    for index, (side, stream, data, fin) in enumerate(TALK):
        for seam in range(1, len(data)):
            parts = [(side, stream, data[:seam], False), (side, stream, data[seam:], fin)]
            assert told([*TALK[:index], *parts, *TALK[index + 1 :]]) == HEARD, (index, seam)
        bytewise = [(side, stream, data[at : at + 1], False) for at in range(len(data))] + [(side, stream, b"", fin)]
        assert told([*TALK[:index], *bytewise, *TALK[index + 1 :]]) == HEARD


def test_goaway() -> None:
    turns: list[Turn] = [(C, n, request(b"/%d" % n), True) for n in (0, 4, 8)]
    turns += [(S, 3, b"\0" + frame(4, b"") + frame(7, b"\4"), False), (S, 0, response(b"204"), True)]
    lines = told(turns)
    assert lines[6:] == [
        "4 aborted: server goaway (it has not taken it)",
        "8 aborted: server goaway (it has not taken it)",
        "0 < 204 HTTP/3",
        "0 < end",
    ]


def test_pushes_are_told_and_passed_over() -> None:
    promise = frame(5, b"\0" + b"\0\0" + _line(b":method", b"GET") + _line(b":path", b"/pushed"))
    turns: list[Turn] = [
        (C, 0, request(b"/"), True),
        (S, 0, promise + response(b"200"), True),
        (S, 15, b"\1\0" + response(b"200") + frame(0, b"pushed"), True),
    ]
    assert told(turns)[2:] == [
        "trouble push: the server pushes /pushed, which is not followed",
        "0 < 200 HTTP/3",
        "0 < end",
    ]


def test_extended_connect_carries_a_websocket() -> None:
    pseudo = (
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"https"),
        (b":authority", b"h.test"),
        (b":path", b"/chat"),
    )
    ask = frame(1, b"\0\0" + b"".join(_line(n, v) for n, v in pseudo))
    layer = Http3(1, Channel(Context(), 1).upgrade_stream)
    turns: list[Turn] = [
        (C, 0, ask, False),
        (S, 0, response(b"200"), False),
        (C, 0, frame(0, b"\x81\x82\0\0\0\0hi"), False),
        (S, 0, frame(0, b"\x81\x02ho\x88\0"), False),
        (C, 0, frame(0, b"\x88\x80\0\0\0\0"), True),
        (S, 0, b"", True),
    ]
    assert told(turns, layer) == [
        "0 > CONNECT /chat HTTP/3 https://h.test",
        "0 < 200 HTTP/3",
        "0 > text 2 hi",
        "0 < text 2 ho",
        "0 < close 0 0",
        "0 > close 0 0",
        "0 > end",
        "0 < end",
    ]


def test_connect_opens_a_connection_of_its_own() -> None:
    pseudo = ((b":method", b"CONNECT"), (b":authority", b"far.test:80"))
    ask = frame(1, b"\0\0" + b"".join(_line(n, v) for n, v in pseudo))
    layer = Http3(1, Channel(Context(), 1).upgrade_stream)
    turns: list[Turn] = [
        (C, 0, ask, False),
        (S, 0, response(b"200"), False),
        (C, 0, frame(0, b"GET /in HTTP/1.1\r\nHost: far.test\r\n\r\n"), False),
        (S, 0, frame(0, b"HTTP/1.1 204 No\r\n\r\n"), False),
        (C, 0, b"", True),
        (S, 0, b"", True),
    ]
    assert told(turns, layer)[-4:] == [
        "1 > GET /in HTTP/1.1 {Host: far.test}",
        "1 > end",
        "1 < 204 No HTTP/1.1",
        "1 < end",
    ]


@pytest.mark.parametrize("payload", [b"\xff", b"\0\0\xff\xff\xff\xff\xff\xff\xff", b"\x05\0\x80"])
def test_headers_that_cannot_be_read(payload: bytes) -> None:
    lines = told([(C, 0, frame(1, payload), True), (C, 4, request(b"/next"), True)])
    assert "4 > GET /next HTTP/3 https://h.test" in lines
