"""What is not followed is counted and named; names, exported PDUs, multipart bodies."""

import io
import struct

import pytest

from allways import C, S, play
from frames import segment
from hark.decode.channel import Channel
from hark.decode.context import Context
from hark.decode.decoder import Decoder
from hark.decode.events import PassedOver, RequestHead, ResponseHead
from hark.model.book import Book
from hark.model.changes import Ended
from hark.recording import pcapng
from hark.recording.blocks import Frame, Names
from hark.recording.reader import read
from hark.views.multipart import form_data
from hark.views.terminal import Terminal

OTHERS = {
    "ssh": [(S, b"SSH-2.0-OpenSSH_9.2\r\n")],
    "smtp": [(S, b"220 mail.test ESMTP Postfix\r\n"), (C, b"EHLO me\r\n"), (S, b"250 STARTTLS\r\n"), (C, b"STARTTLS\r\n"), (S, b"220 go\r\n"), (C, b"\x16\x03\x01")],
    "imap": [(S, b"* OK ready\r\n")],
    "redis": [(C, b"*1\r\n$4\r\nPING\r\n")],
    "postgres": [(C, b"\0\0\0\x08\x04\xd2\x16\x2f"), (S, b"S"), (C, b"\x16\x03\x01")],
    "mqtt": [(C, b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04abcd")],
    "something else": [(C, b"\xff\xfe\xfd\xfc")],
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_named_and_left_alone(name: str) -> None:
    """STARTTLS too: what follows is not HTTP, and nothing is told of it."""
    assert play(lambda: Channel(Context(), 1), OTHERS[name]) == [f"speaks {name}"]


def test_frames_that_are_not_followed_are_counted() -> None:
    decoder = Decoder()
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    ospf = b"\x45\0\0\x1c" + bytes(5) + b"\x59" + bytes(18)
    for link, data in ((1, arp), (1, arp), (101, ospf), (147, b"x"), (101, b"\x45")):
        decoder.feed(Frame(1, link, memoryview(data), 0, len(data)))
    told = {event.what: event.frames for event in decoder.finish() if isinstance(event, PassedOver)}
    assert told == {"ARP": 2, "IP protocol 89": 1, "link type 147": 1, "IP that cannot be read": 1}


def test_names_that_the_recording_has() -> None:
    """A name resolution block gives a host where no header does."""
    names = Names((("10.0.0.2", "named.test"), ("2001:db8::1", "six.test")))
    request = segment(1, True, 1, b"GET /x HTTP/1.0\r\n\r\n")
    answer = segment(2, False, 1, b"HTTP/1.0 204 No\r\n\r\n")
    data = pcapng.header() + b"".join(pcapng.encode(block) for block in (names, request, answer))
    decoder, book, blocks, urls = Decoder(), Book(0), [], []
    for block in read(io.BytesIO(data), "x"):
        blocks.append(block)
        urls += [change.exchange.url for change in book.feed(decoder.feed(block)) if isinstance(change, Ended)]
    assert names in blocks and urls == ["http://named.test:443/x"]


def pdu(name: bytes, client: bool, payload: bytes) -> bytes:
    ends = [(b"\x0a\0\0\1", 5000), (b"\x0a\0\0\2", 80)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    tags = ((12, name), (20, source), (21, target), (25, struct.pack("!I", sport)), (26, struct.pack("!I", dport)))
    return b"".join(struct.pack("!HH", tag, len(value)) + value for tag, value in tags) + bytes(4) + payload


def test_exported_pdus() -> None:
    decoder, events = Decoder(), []
    for time, (client, payload) in enumerate(
        ((True, b"GET /pdu HTTP/1.1\r\nHost: h\r\n\r\n"), (False, b"HTTP/1.1 204 No\r\n\r\n")), 1
    ):
        data = pdu(b"http\0", client, payload)
        events += decoder.feed(Frame(time, 252, memoryview(data), 0, len(data)))
    assert [e.target for e in events if isinstance(e, RequestHead)] == ["/pdu"]
    assert [e.status for e in events if isinstance(e, ResponseHead)] == [204]


def test_multipart_forms() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n--B\r\nContent-Disposition: form-data; name="f"; '
        b'filename="x.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\0\r\n--B--\r\n'
    )
    assert form_data(body, 'multipart/form-data; boundary="B"') == [
        {"name": "a", "value": "one"},
        {"name": "f", "fileName": "x.png", "_size": 7, "contentType": "image/png"},
    ]
    assert form_data(body[: body.index(b"one") + 2], "multipart/form-data; boundary=B") == [
        {"name": "a", "value": "on"}
    ]
    assert form_data(body, "multipart/form-data") == []


@pytest.mark.parametrize("verbosity, line", [
    (0, "hark: not decoded: 12 frames of link type 147\n"),
    (1, "hark: not decoded: 12 frames of link type 147, 3 frames of ARP\n"),
])  # fmt: skip
def test_what_may_hold_http_and_is_not_followed_is_said_always(verbosity: int, line: str) -> None:
    decoder, book, out = Decoder(), Book(0), []
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    for link, data in [(147, b"x")] * 12 + [(1, arp)] * 3:
        decoder.feed(Frame(1, link, memoryview(data), 0, len(data)))
    view = Terminal(out.append, verbosity)
    for change in book.feed(decoder.finish()):
        view.change(change)
    view.end()
    text = "".join(one.decode() if isinstance(one, bytes) else one for one in out)
    assert text == line + "hark: no exchanges\n"
