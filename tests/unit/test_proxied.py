"""What may stand in front of HTTP: SOCKS, the PROXY protocol; and DNS on a stream."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allways import CLOSED, C, S, all_ways, play
from hark.decode.channel import Channel
from hark.decode.context import Context
from hark.decode.events import Dns, Proxied

GET = (C, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
OK = (S, b"HTTP/1.1 204 No\r\n\r\n")
HTTP = ["speaks http/1.1", "1 > GET / HTTP/1.1 {Host: h}", "1 > end", "1 < 204 No HTTP/1.1", "1 < end"]


def channel() -> Channel:
    return Channel(Context(), 1)


FRONTS = {
    "SOCKS5 without authentication": ([(C, b"\5\1\0"), (S, b"\5\0"), (C, b"\5\1\0\3\6h.test\0\x50"), (S, b"\5\0\0\1" + bytes(6))], "socks5"),
    "SOCKS5 with a password": (
        [(C, b"\5\2\0\2"), (S, b"\5\2"), (C, b"\1\4user\4pass"), (S, b"\1\0"), (C, b"\5\1\0\1" + bytes(6)), (S, b"\5\0\0\4" + bytes(18))],
        "socks5",
    ),
    "SOCKS4": ([(C, b"\4\1\0\x50\xc0\0\2\1me\0"), (S, b"\0\x5a" + bytes(6))], "socks4"),
    "SOCKS4a": ([(C, b"\4\1\0\x50\0\0\0\1\0h.test\0"), (S, b"\0\x5a" + bytes(6))], "socks4"),
    "PROXY 1": ([(C, b"PROXY TCP4 192.0.2.7 192.0.2.10 5000 80\r\n" + GET[1]), OK], "proxy"),
    "PROXY 1, unknown": ([(C, b"PROXY UNKNOWN\r\n" + GET[1]), OK], "proxy"),
    "PROXY 2": ([(C, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc0\0\2\x0a\x13\x88\0\x50" + GET[1]), OK], "proxy"),
    "PROXY 2, local": ([(C, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0" + GET[1]), OK], "proxy"),
}  # fmt: skip


@pytest.mark.parametrize("name", FRONTS)
def test_what_is_behind_it_is_told(name: str) -> None:
    script, protocol = FRONTS[name]
    if protocol != "proxy":
        script = [*script, GET, OK]
    heard = play(channel, script)
    assert heard == [f"speaks {protocol}", *HTTP]


@pytest.mark.parametrize("name", FRONTS)
def test_all_ways(name: str) -> None:
    script, protocol = FRONTS[name]
    assert all_ways(channel, script if protocol == "proxy" else [*script, GET, OK])[1:] == HTTP


def test_proxied_ends() -> None:
    events = channel().feed(C, FRONTS["PROXY 2"][0][0][1], 1)
    assert next(e for e in events if isinstance(e, Proxied)) == Proxied(1, 1, ("192.0.2.7", 5000), ("192.0.2.10", 80))


def question(ident: int, name: bytes) -> bytes:
    labels = b"".join(bytes([len(part)]) + part for part in name.split(b"."))
    body = struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    return struct.pack("!H", len(body)) + body


def reply(asked: bytes, address: bytes) -> bytes:
    body = bytearray(asked[2:]) + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + address
    body[2:4], body[6:8] = b"\x81\x80", b"\0\1"
    return struct.pack("!H", len(body)) + bytes(body)


def test_dns_on_a_stream() -> None:
    one, two = question(1, b"one.test"), question(2, b"two.test")
    layer = channel()
    events = [
        *layer.feed(C, one + two, 5),
        *layer.feed(S, reply(two, b"\xc0\0\2\2"), 7),
        *layer.close(CLOSED._replace(time=9)),
    ]
    assert [e for e in events if isinstance(e, Dns)] == [
        Dns(7, 5, "two.test", "A", "NOERROR", ("192.0.2.2",), 0, 1),
        Dns(9, 5, "one.test", "A", "", (), 0, 1),
    ]


def test_dns_on_a_stream_all_ways() -> None:
    def heard(pieces: list[bytes]) -> list[object]:
        layer, events = channel(), []
        for piece in pieces:
            events += layer.feed(C, piece, 5)
        events += layer.feed(S, reply(one, b"\xc0\0\2\2"), 7)
        return [e for e in events if isinstance(e, Dns)]

    one = question(1, b"one.test")
    whole = heard([one])
    assert len(whole) == 1
    for seam in range(1, len(one)):
        assert heard([one[:seam], one[seam:]]) == whole
    assert heard([one[at : at + 1] for at in range(len(one))]) == whole


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FRONTS)), st.data())
def test_mutilated_fronts_never_raise(name: str, data: st.DataObject) -> None:
    script = [*FRONTS[name][0], GET, OK]
    index = data.draw(st.integers(0, len(script) - 1))
    side, raw = script[index]
    at = data.draw(st.integers(0, len(raw)))
    script[index] = (side, raw[:at] + data.draw(st.binary(max_size=6)) + raw[at + data.draw(st.integers(0, 4)) :])
    play(channel, script)


def test_layers_without_an_end_are_passed_over() -> None:
    """PROXY headers inside each other, far more than anybody means; and HTTP/2 agreed on in the last of them."""
    front = b"PROXY UNKNOWN\r\n"
    heard = play(channel, [(C, front * 200 + GET[1])])
    assert heard[-1] == "speaks something else" and len(heard) < 30
    assert Channel(Context(), 1, 99).expect("h2", 1)[0].name == ""
