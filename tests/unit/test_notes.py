"""Notes on connections: of the one that is there, else of the next with these ends; in every entry; replayed."""

import struct

import pytest

from frames import segment
from hark.decode import limits
from hark.recording import pcapng
from hark.recording.blocks import Note, Torn
from hark.recording.parser import Parser
from hark.views.entry import entry
from hark.views.failures import entry as failed_entry
from hark.wire import ip
from scripted import FIN, GET, MS, START, C, S, Told

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ENDS = b"\x0a\0\0\x01\x0a\0\0\x02" + struct.pack("!HH", 5000, 443)
SOURCE = {"address": "192.0.2.1", "port": "6000", "kind": "source"}


def note(kind: str = "source", ends: bytes = ENDS) -> Note:
    return Note(START, ends, kind, (("address", "192.0.2.1"), ("port", "6000")))


@pytest.mark.parametrize("when", ["before the SYN", "in the connection"])
def test_a_note_is_of_the_connection_with_these_ends(when: str) -> None:
    told = Told()
    if when == "before the SYN":
        told.take(told.decoder.feed(note()))
    told.play([])
    if when == "in the connection":
        told.take(told.decoder.feed(note()))
    told.play([(1, C, GET), (2, S, OK)], begin=False)
    assert entry(told.exchanges[0])["_notes"] == [SOURCE]


def test_another_connection_has_no_part_in_it() -> None:
    told = Told()
    told.take(told.decoder.feed(note()))
    told.play([(1, C, GET), (2, S, OK)], port=5001)
    assert "_notes" not in entry(told.exchanges[0])


def test_the_same_ports_again_are_another_connection() -> None:
    told = Told().play([(1, C, GET), (2, S, OK), (3, C, FIN), (4, S, FIN)])
    told.take(told.decoder.feed(note()))
    later = START + 60_000 * MS
    for flags, client, seq, ack, data in (
        (ip.SYN, True, 90_000, 0, b""),
        (ip.SYN | ip.ACK, False, 70_000, 90_001, b""),
        (0x18, True, 90_001, 70_001, GET),
        (0x18, False, 70_001, 90_001 + len(GET), OK),
    ):
        told.take(told.decoder.feed(segment(later, client, seq, data, flags, 5000, ack)))
    first, second = told.exchanges
    assert "_notes" not in entry(first) and entry(second)["_notes"] == [SOURCE]


def test_a_failed_connection_has_its_notes() -> None:
    told = Told()
    told.take(told.decoder.feed(note()))
    told.take(told.decoder.feed(segment(START, True, 0, b"", ip.SYN, 5000, 0)))
    told.take(told.decoder.feed(segment(START + MS, False, 0, b"", ip.RST | ip.ACK, 5000, 1)))
    told.end()
    assert failed_entry(told.failures[0])["_notes"] == [SOURCE]


def test_notes_are_bounded() -> None:
    told = Told()
    for port in range(limits.NOTES + 50):
        for _ in range(limits.NOTES_EACH + 5):
            told.take(told.decoder.feed(note(ends=ENDS[:8] + struct.pack("!HH", port, 443))))
    told.play([(1, C, GET), (2, S, OK)], port=1060)
    assert len(entry(told.exchanges[0])["_notes"]) == limits.NOTES_EACH
    told.play([(1, C, GET), (2, S, OK)], port=3)  # the oldest are forgotten
    assert "_notes" not in entry(told.exchanges[1])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        struct.pack("<QII", 1, 12, 5) + bytes(12) + b"[1,2]" + bytes(3),
        struct.pack("<QII", 1, 13, 2) + bytes(13) + b"{}" + bytes(1),
        struct.pack("<QII", 1, 12, 1 << 31) + bytes(12),
        struct.pack("<QII", 1, 12, 26) + bytes(12) + b'{"kind":"x","fields":[1,2]}'[:26] + bytes(2),
    ],
)
def test_a_note_that_lies_is_said_to(body: bytes) -> None:
    raw = memoryview(pcapng.block(pcapng.NOTE, body))
    parser = Parser()
    header = memoryview(pcapng.header())
    parser.parse(header, 0, parser.size(header, 0))
    assert parser.parse(raw, 0, len(raw)) == Torn(0, "a note on a connection that cannot be read")
