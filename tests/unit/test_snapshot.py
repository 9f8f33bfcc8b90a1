"""Packets of which only the first bytes were captured: what there is of a request and its answer is told, marked."""

import io

import pytest

from frames import segment
from hark.decode.decoder import Decoder
from hark.model.book import Book
from hark.model.changes import Ended, Failed
from hark.pipeline.pipeline import _normal
from hark.recording import pcapng
from hark.recording.blocks import Frame
from hark.recording.reader import read
from hark.views.entry import entry

ASK = b"GET /a/path?with=query HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nX-Long: " + b"x" * 300 + b"\r\n\r\n"
ANSWER = (
    b"HTTP/1.1 404 Not Found\r\nServer: s\r\nContent-Type: text/plain\r\nX-Long: "
    + b"y" * 300
    + b"\r\nContent-Length: 3000\r\n\r\n"
)
IP_AND_TCP = 40


def conversation(ask: bytes = ASK, answer: bytes = ANSWER + b"z" * 3000, turns: int = 2) -> list[Frame]:
    frames = [segment(0, True, 0, b"", 0x02), segment(0, False, 0, b"", 0x12, ack=1)]
    at = [1, 1]
    for _ in range(turns):
        for client, data in ((True, ask), (False, answer)):
            for start in range(0, len(data), 1000):
                piece = data[start : start + 1000]
                frames.append(segment(len(frames), client, at[not client], piece, ack=at[client]))
                at[not client] += len(piece)
    return [
        *frames,
        segment(90, True, at[0], b"", 0x11, ack=at[1]),
        segment(91, False, at[1], b"", 0x11, ack=at[0] + 1),
    ]


def told(frames: list[Frame], snaplen: int) -> tuple[list[dict], list[Failed]]:
    decoder, book, changes = Decoder(), Book(1 << 20), []
    for frame in frames:
        cut = frame._replace(data=memoryview(bytes(frame.data[:snaplen])), size=len(frame.data))
        changes += book.feed(decoder.feed(cut))
    changes += [*book.feed(decoder.finish()), *book.end()]
    made = [entry(change.exchange) for change in changes if isinstance(change, Ended)]
    return made, [change for change in changes if isinstance(change, Failed)]


@pytest.mark.parametrize("snaplen", [*range(40 + 6, 200, 5), 256, 400, 500, 600, 1040])
def test_method_url_and_status_as_far_as_captured(snaplen: int) -> None:
    made, failed = told(conversation(), snaplen)
    assert not failed and len(made) == 2
    for one in made:
        first = ASK[: snaplen - IP_AND_TCP].split(b"\r\n")[0].decode()
        assert one["request"]["method"] == "GET"
        target = one["request"]["url"].partition("//")[2].partition("/")[2]
        assert first.split(" ")[1] == f"/{target}"
        status = 404 if snaplen >= IP_AND_TCP + 12 else 0
        assert one["response"]["status"] == status
        assert ("not captured" in one.get("_trouble", "")) == (snaplen < 1040)
        if snaplen >= 500:
            assert one["response"]["content"]["mimeType"] == "text/plain"


def test_headers_that_were_captured_whole_are_told() -> None:
    made, _ = told(conversation(), IP_AND_TCP + 60)
    assert [h["name"] for h in made[0]["request"]["headers"]] == ["Host", "Accept"]
    assert made[0]["request"]["url"] == "http://a.test/a/path?with=query"
    assert [h["name"] for h in made[0]["response"]["headers"]] == ["Server"]


def test_requests_one_after_the_other_are_paired_rightly() -> None:
    frames, at = [segment(0, True, 0, b"", 0x02), segment(0, False, 0, b"", 0x12, ack=1)], [1, 1]
    for n in range(10):
        ask = (
            f"POST /{n} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500\r\nCookie: {'c' * 100}\r\n\r\n".encode()
            + b"p" * 500
        )
        answer = f"HTTP/1.1 {200 + n} OK\r\nX: {'y' * 100}\r\nContent-Length: 500\r\n\r\n".encode() + b"z" * 500
        for client, data in ((True, ask), (False, answer)):
            frames.append(segment(len(frames), client, at[not client], data, ack=at[client]))
            at[not client] += len(data)
    for snaplen in (70, 96, 128, 200, 300, 600):
        made, failed = told(frames, snaplen)
        pairs = [(one["request"]["url"].rpartition("/")[2], one["response"]["status"]) for one in made]
        assert pairs == [(str(n), 200 + n) for n in range(10)] and not failed, snaplen


def test_a_body_until_the_end() -> None:
    made, failed = told(conversation(answer=b"HTTP/1.0 200 OK\r\n\r\n" + b"z" * 3000, turns=1), 300)
    assert made[0]["response"]["status"] == 200 and "not captured" in made[0]["_trouble"] and not failed


def test_what_is_written_anew_says_what_the_packets_had() -> None:
    raw = pcapng.header() + b"".join(pcapng.frame(f.time, f.data[:90], 0, len(f.data)) for f in conversation())
    frames = [b._replace(data=memoryview(bytes(b.data))) for b in read(io.BytesIO(raw), "x") if isinstance(b, Frame)]
    assert [(len(f.data), f.size) for f in frames] == [(min(f.size, 90), f.size) for f in conversation()]
    item, again = _normal(Frame(1, 1, memoryview(bytes(12) + b"\x08\0" + bytes(50)), 0, 114), {})
    assert isinstance(item, Frame) and (len(item.data), item.size) == (50, 100)
    assert [b.size for b in read(io.BytesIO(pcapng.header() + bytes(again)), "x") if isinstance(b, Frame)] == [100]
