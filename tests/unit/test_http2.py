"""HTTP/2 as transcripts, made by the h2 library: an encoder that is not ours."""

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allways import CLOSED, NO_UPGRADE, C, S, all_ways, play
from h2pair import REQUEST, Pair, early_answer
from hark.decode.channel import Channel
from hark.decode.context import Context
from hark.decode.events import Opened
from hark.decode.http2 import Http2
from hark.model.book import Book
from hark.model.changes import Ended
from hark.wire import http2


def told(pair: Pair) -> list[str]:
    return all_ways(lambda: Http2(1, NO_UPGRADE), pair.script)


def test_a_request_with_body_and_trailers() -> None:
    pair = Pair()
    pair.client.send_headers(1, [(":method", "POST"), *REQUEST[1:]])
    pair.client.send_data(1, b"question", end_stream=False)
    pair.client.send_headers(1, [("t", "1")], end_stream=True)
    pair.exchange()
    pair.server.send_headers(1, [(":status", "103"), ("link", "</s>")])
    pair.server.send_headers(1, [(":status", "200"), ("c", "d")])
    pair.server.send_data(1, b"ans", pad_length=7)
    pair.server.send_data(1, b"wer", end_stream=True)
    pair.exchange()
    assert told(pair) == [
        "1 > POST /x?y HTTP/2 https://h.test {a: b}",
        "1 > body b'question'",
        "1 > end {t: 1}",
        "1 < interim 103 HTTP/2 {link: </s>}",
        "1 < 200 HTTP/2 {c: d}",
        "1 < body b'answer'",
        "1 < end",
    ]


def test_a_server_that_answers_early() -> None:
    """RFC 9113 §8.1: what was on its way belongs to the request."""
    assert all_ways(lambda: Http2(1, NO_UPGRADE), early_answer(True)) == [
        "1 > POST /x?y HTTP/2 https://h.test {a: b}",
        "1 < 401 HTTP/2",
        "1 < end",
        "1 < wants no more",
        "1 > body b'question'",
        "1 > end",
    ]


@pytest.mark.parametrize("rest, body, over", [(True, b"question", 3), (False, b"", 500_000_003)])
def test_an_exchange_that_was_answered_early_ends(rest: bool, body: bytes, over: int) -> None:
    """With the request's end, or when nothing more has come for a while; before the connection ends."""
    layer, book = Http2(1, NO_UPGRADE), Book(100)
    book.feed([Opened(1, 0, ("::1", 1), ("::2", 2), 0)])
    changes: list[object] = []
    for side, data in early_answer(rest):
        changes += book.feed(layer.feed(side, data, 3))
    for now in (3, 500_000_002, 500_000_003):
        if not any(isinstance(change, Ended) for change in changes):
            changes += book.settle(now)
            assert any(isinstance(change, Ended) for change in changes) == (now >= over), now
    (ended,) = [change for change in changes if isinstance(change, Ended)]
    assert (ended.exchange.request_body.raw, ended.exchange.trouble) == (body, "")
    assert not [change for change in book.feed(layer.close(CLOSED)) if isinstance(change, Ended)]


@pytest.mark.parametrize(
    "length, trouble",
    [("6", ""), ("7", "the client reset the stream after 0.0 ms, in the middle of the body: STREAM_CLOSED")],
)
def test_an_answer_that_is_whole_by_its_length(length: str, trouble: str) -> None:
    """curl resets a stream whose content it has before its end was said: nothing is missing."""
    pair = Pair()
    pair.client.send_headers(1, REQUEST, end_stream=True)
    pair.exchange()
    pair.server.send_headers(1, [(":status", "404"), ("content-length", length)])
    pair.server.send_data(1, b"no way")
    pair.exchange()
    pair.client.reset_stream(1, error_code=5)
    pair.exchange()
    layer, book = Http2(1, NO_UPGRADE), Book(100)
    book.feed([Opened(1, 0, ("::1", 1), ("::2", 2), 0)])
    (ended,) = [c for side, data in pair.script for c in book.feed(layer.feed(side, data, 3)) if isinstance(c, Ended)]
    assert (ended.exchange.trouble, ended.exchange.response_body.raw) == (trouble, b"no way")


def test_interleaved_streams_reset_and_goaway() -> None:
    pair = Pair()
    for stream in (1, 3, 5):
        pair.client.send_headers(stream, REQUEST, end_stream=True)
    pair.exchange()
    pair.server.send_headers(3, [(":status", "404")], end_stream=True)
    pair.server.reset_stream(1, error_code=7)
    pair.exchange()
    pair.server.close_connection(error_code=2, last_stream_id=3, additional_data=b"tired")
    pair.exchange()
    assert told(pair)[-5:] == [
        "3 < 404 HTTP/2",
        "3 < end",
        "1 aborted: server stream-reset (REFUSED_STREAM)",
        "going away: server goaway (INTERNAL_ERROR (tired))",
        "5 aborted: server goaway (INTERNAL_ERROR (tired))",
    ]


def test_large_headers_in_continuation_frames_and_table_size_changes() -> None:
    pair = Pair()
    big = [(f"x-{n}", "v" * 1000) for n in range(50)]
    pair.server.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 65536})
    pair.exchange()
    for stream in (1, 3):
        pair.client.send_headers(stream, REQUEST + big, end_stream=True)
    pair.server.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
    pair.exchange()
    pair.client.send_headers(5, REQUEST + big[:2], end_stream=True)
    pair.exchange()
    lines = play(lambda: Http2(1, NO_UPGRADE), pair.script)
    heads = [line for line in lines if " > GET" in line]
    assert len(heads) == 3 and heads[0][1:] == heads[1][1:] and heads[0].count("x-") == 50 and heads[2].count("x-") == 2


def test_push() -> None:
    pair = Pair()
    pair.client.send_headers(1, REQUEST, end_stream=True)
    pair.exchange()
    pair.server.push_stream(1, 2, [(":method", "GET"), (":path", "/p"), (":scheme", "https"), (":authority", "h.test")])
    pair.server.send_headers(2, [(":status", "200")])
    pair.server.send_data(2, b"pushed", end_stream=True)
    pair.server.send_headers(1, [(":status", "200")], end_stream=True)
    pair.exchange()
    assert told(pair)[2:] == [
        "2 > GET /p HTTP/2 https://h.test",
        "2 > end",
        "2 < 200 HTTP/2",
        "2 < body b'pushed'",
        "2 < end",
        "1 < 200 HTTP/2",
        "1 < end",
    ]


def test_priority_and_padding_on_headers() -> None:
    import hpack

    block = hpack.Encoder().encode([(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "h")])
    payload = b"\x04" + bytes(4) + b"\x10" + block + bytes(4)
    frame = len(payload).to_bytes(3, "big") + bytes([1, 0x01 | 0x04 | 0x08 | 0x20]) + (1).to_bytes(4, "big") + payload
    script = [(C, http2.PREFACE + bytes(9)[:3] + b"\x04\x00" + bytes(4) + frame)]
    assert all_ways(lambda: Http2(1, NO_UPGRADE), script)[:2] == ["1 > GET / HTTP/2 http://h", "1 > end"]


def test_a_broken_header_block_ends_the_telling_not_the_run() -> None:
    frame = (3).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + b"\xff\xff\xff"
    lines = all_ways(lambda: Http2(1, NO_UPGRADE), [(C, http2.PREFACE + frame)])
    assert lines[0].startswith("trouble broken-http2: a header block does not decode")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutilated_conversations_never_raise(data: st.DataObject) -> None:
    pair = Pair()
    pair.client.send_headers(1, REQUEST, end_stream=True)
    pair.exchange()
    pair.server.send_headers(1, [(":status", "200")])
    pair.server.send_data(1, b"abc", end_stream=True)
    pair.exchange()
    script = list(pair.script)
    index = data.draw(st.integers(0, len(script) - 1))
    side, raw = script[index]
    at = data.draw(st.integers(0, len(raw)))
    script[index] = (side, raw[:at] + data.draw(st.binary(max_size=6)) + raw[at + data.draw(st.integers(0, 4)) :])
    play(lambda: Http2(1, NO_UPGRADE), script)  # type: ignore[arg-type]


def test_large_data_frames_are_told_as_they_come() -> None:
    """A frame of 16 MB never has to be kept: its bytes are told as they arrive, its end once."""
    import hpack

    block = hpack.Encoder().encode([(":status", "200")])
    size = (1 << 24) - 1
    layer = Http2(1, NO_UPGRADE)
    layer.feed(C, http2.PREFACE, 1)
    layer.feed(S, len(block).to_bytes(3, "big") + b"\x01\x04" + (1).to_bytes(4, "big") + block, 2)
    told = 0
    events = list(layer.feed(S, size.to_bytes(3, "big") + b"\x00\x01" + (1).to_bytes(4, "big"), 3))
    piece = bytes(16000)
    while told < size:
        events = list(layer.feed(S, piece[: size - told], 4))
        told += sum(len(event.data) for event in events if type(event).__name__ == "BodyData")
    assert told == size and type(events[-1]).__name__ == "MessageEnd"


def test_other_frames_are_bounded() -> None:
    frame = (1 << 21).to_bytes(3, "big") + b"\x01\x04" + (1).to_bytes(4, "big") + bytes(100)
    assert play(lambda: Http2(1, NO_UPGRADE), [(C, http2.PREFACE + frame)]) == [
        "trouble broken-http2: a frame of 2097152 bytes, by the client"
    ]


def test_a_server_that_speaks_first() -> None:
    """Without TLS nothing says that HTTP/2 is agreed on; a server's first frame does."""
    pair = Pair()
    pair.client.send_headers(1, REQUEST, end_stream=True)
    pair.exchange()
    script = sorted(pair.script, key=lambda turn: turn[0] != S)
    assert all_ways(lambda: Channel(Context(), 1), script)[:2] == [
        "speaks h2",
        "1 > GET /x?y HTTP/2 https://h.test {a: b}",
    ]
