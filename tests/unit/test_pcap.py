"""The classic pcap format as makers write it: clocks that jump, units and lengths that are not as promised, other layouts,
damage. tshark is the referee where it reads the file."""

import io
import itertools
import pathlib
import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import segment
from hark.decode.decoder import Decoder
from hark.errors import HarkError
from hark.model.book import Book
from hark.model.changes import Ended
from hark.recording import pcap, pcapng
from hark.recording.blocks import Frame, Torn
from hark.recording.reader import read
from hark.views.entry import entry
from hark.views.waterfall import Waterfall

NOW = 1_700_000_000
PAYLOADS = [bytes([n]) * (20 + 7 * n) for n in range(1, 8)]


def head(magic: int = 0xA1B2C3D4, order: str = "<", version: tuple[int, int] = (2, 4), snaplen: int = 262144) -> bytes:
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, 101)


def record(
    data: bytes,
    seconds: int = NOW,
    fraction: int = 7,
    caught: int = -1,
    whole: int = -1,
    order: str = "<",
    more: bytes = b"",
) -> bytes:
    caught = len(data) if caught < 0 else caught
    return struct.pack(order + "IIII", seconds, fraction, caught, len(data) if whole < 0 else whole) + more + data


def back(raw: bytes) -> tuple[list[tuple[int, bytes, int]], list[Torn]]:
    """(time, bytes, size) of each frame; what was torn."""
    frames, torn = [], []
    for block in read(io.BytesIO(raw), "x"):
        if isinstance(block, Frame):
            frames.append((block.time, bytes(block.data), block.size))
        else:
            torn.append(block)
    return frames, torn


DAY = 86_400
CLOCKS = {
    "steady": [NOW + n for n in range(7)],
    "set back by a year": [NOW, NOW + 1, NOW - 365 * DAY, NOW - 365 * DAY + 1, NOW, NOW, NOW],
    "1970 first, then set": [0, 1, 2, NOW, NOW + 1, NOW + 2, NOW + 3],
    "merged months": [NOW + n * 40 * DAY for n in range(7)],
    "falling": [NOW - n * 40 * DAY for n in range(7)],
    "to and fro": [NOW, 5, NOW, 5, NOW, 5, NOW],
    "the last second of 32 bits": [NOW, 2**32 - 1, 2**32 - 1, 0, 0, 1, NOW],
}


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("order", "<>")
def test_a_clock_that_jumps_loses_nothing(name: str, order: str) -> None:
    raw = head(order=order) + b"".join(record(d, s, order=order) for d, s in zip(PAYLOADS, CLOCKS[name], strict=True))
    frames, torn = back(raw)
    assert frames == [(s * 10**9 + 7000, d, len(d)) for d, s in zip(PAYLOADS, CLOCKS[name], strict=True)]
    assert not torn


def test_nanoseconds_in_a_file_of_microseconds() -> None:
    fractions = [500, 999_999_999, 250_000_000, 7, 1_000_000, 3, 4]
    frames, torn = back(head() + b"".join(record(d, NOW, f) for d, f in zip(PAYLOADS, fractions, strict=True)))
    assert [time for time, _, _ in frames] == [NOW * 10**9 + f for f in fractions] and not torn


@pytest.mark.parametrize("fraction", [1_000_000_000, 2**32 - 1])
def test_a_fraction_that_is_none(fraction: int) -> None:
    """More than a second: the packet is not known by it, so what stands there is damage, and the rest is found."""
    parts = [record(d, NOW + n) for n, d in enumerate(PAYLOADS)]
    parts[3] = record(PAYLOADS[3], NOW, fraction)
    frames, torn = back(head() + b"".join(parts))
    assert [data for _, data, _ in frames] == PAYLOADS[:3] + PAYLOADS[4:] and len(torn) == 1


@pytest.mark.parametrize("whole", [0, 1, 19])
def test_an_original_length_below_the_captured_one(whole: int) -> None:
    frames, torn = back(head() + b"".join(record(d, whole=whole) for d in PAYLOADS))
    assert [(data, size) for _, data, size in frames] == [(d, len(d)) for d in PAYLOADS] and not torn


def test_a_snapshot() -> None:
    frames, torn = back(head(snaplen=10) + b"".join(record(d[:10], whole=len(d)) for d in PAYLOADS))
    assert [(data, size) for _, data, size in frames] == [(d[:10], len(d)) for d in PAYLOADS] and not torn


@pytest.mark.parametrize("snaplen", [0, 1, 65535, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("version", [(2, 4), (2, 5), (3, 0), (0, 0), (65535, 65535)])
def test_what_the_header_says_of_itself_is_not_relied_on(snaplen: int, version: tuple[int, int]) -> None:
    frames, torn = back(head(snaplen=snaplen, version=version) + b"".join(map(record, PAYLOADS)))
    assert [data for _, data, _ in frames] == PAYLOADS and not torn


def test_records_without_a_byte() -> None:
    frames, torn = back(head() + record(b"") + record(b"abc") + record(b"", whole=60) + record(b"") + record(b"d"))
    assert [(data, size) for _, data, size in frames] == [(b"", 0), (b"abc", 3), (b"", 60), (b"", 0), (b"d", 1)]
    assert not torn and back(head()) == ([], [])


LAYOUTS = {  # magic, bytes behind the usual packet header, of the file's header, ns a tick
    "usual": (0xA1B2C3D4, b"", b"", 1000),
    "nanoseconds": (0xA1B23C4D, b"", b"", 1),
    "modified": (0xA1B2CD34, b"\2\0\0\0\0\x08\4\0", b"", 1000),
    "modified, with the processors": (0xA1B2CD34, b"\2\0\0\0\0\x08\4\0\1\0\0\0", b"", 1000),
    "modified by its magic alone": (0xA1B2CD34, b"", b"", 1000),
    "modified without its magic": (0xA1B2C3D4, b"\2\0\0\0\0\x08\4\0", b"", 1000),
    "Nokia": (0xA1B2C3D4, b"\1\2\3\4", b"", 1000),
    "IXIA": (0x1C0001AC, b"", b"\0\1\0\0", 1),
    "IXIA, in software": (0x1C0001AB, b"", b"\0\1\0\0", 1),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("count", [2, 7])
def test_layouts(name: str, order: str, count: int) -> None:
    magic, more, extra, tick = LAYOUTS[name]
    parts = [record(d, NOW + n, order=order, more=more) for n, d in enumerate(PAYLOADS[:count])]
    frames, torn = back(head(magic, order) + extra + b"".join(parts))
    assert frames == [((NOW + n) * 10**9 + 7 * tick, d, len(d)) for n, d in enumerate(PAYLOADS[:count])]
    assert not torn


@pytest.mark.parametrize("version", [(2, 1), (2, 2), (2, 3)])
def test_before_version_2_4_the_lengths_are_the_other_way_round(version: tuple[int, int]) -> None:
    parts = [struct.pack("<IIII", NOW, 7, len(d) + 50, len(d)) + d for d in PAYLOADS]
    frames, torn = back(head(version=version) + b"".join(parts))
    assert [(data, size) for _, data, size in frames] == [(d, len(d) + 50) for d in PAYLOADS] and not torn


@pytest.mark.parametrize("clock", ["steady", "to and fro"])
def test_cut_at_every_byte(clock: str) -> None:
    parts = [record(d, s) for d, s in zip(PAYLOADS, CLOCKS[clock], strict=True)]
    raw = head() + b"".join(parts)
    ends = [24, *(24 + size for size in itertools.accumulate(map(len, parts)))]
    for cut in range(24, len(raw) + 1):
        frames, torn = back(raw[:cut])
        whole = sum(end <= cut for end in ends) - 1
        assert len(frames) in (whole, whole + (cut not in ends and clock != "steady")), cut
        assert [data for _, data, _ in frames[:whole]] == PAYLOADS[:whole]
        assert len(torn) == (cut not in ends), cut


def test_zeros_in_the_middle_are_passed_over() -> None:
    parts = [record(d, NOW + n) for n, d in enumerate(PAYLOADS)]
    for zeros in (16, 17, 4096, 3_000_000):
        frames, torn = back(head() + b"".join(parts[:3]) + bytes(zeros) + b"".join(parts[3:]))
        assert [data for _, data, _ in frames] == PAYLOADS and len(torn) == 1


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34, 0x1C0001AC]), st.sampled_from("<>")
)
def test_anything_behind_a_magic_number_is_survived(noise: bytes, magic: int, order: str) -> None:
    back(struct.pack(order + "I", magic) + noise)
    back(head(magic, order) + noise + b"".join(record(d, order=order) for d in PAYLOADS))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 999_999), st.binary(max_size=80)), min_size=1, max_size=12
    )
)
def test_any_times_are_read(packets: list[tuple[int, int, bytes]]) -> None:
    packets = [(s or 1, f, d) for s, f, d in packets]
    frames, torn = back(head() + b"".join(record(d, s, f) for s, f, d in packets))
    assert [(time, data) for time, data, _ in frames] == [(s * 10**9 + f * 1000, d) for s, f, d in packets] and not torn


NOT_CAPTURES = {
    "empty": (b"", "it is empty"),
    "text": (b"GET / HTTP/1.1\r\n", "neither pcapng nor pcap"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "neither pcapng nor pcap"),
    "program": (b"\x7fELF" + bytes(50), "neither pcapng nor pcap"),
    "snoop": (b"snoop\0\0\0\0\0\0\2\0\0\0\4", "neither pcapng nor pcap"),
    "JSON": (b'{"a": 1}', "neither a HAR file nor exchanges"),
    "a list": (b"[1, 2]", "neither pcapng nor pcap"),
    "zeros": (bytes(100), "neither pcapng nor pcap"),
    "three bytes": (b"\xd4\xc3\xb2", "neither pcapng nor pcap"),
    "gzip of text": (__import__("gzip").compress(b"hello"), "neither pcapng nor pcap"),
    "gzip of nothing": (__import__("gzip").compress(b""), "it is empty"),
    "a torn gzip": (b"\x1f\x8b", "it is empty"),
}


@pytest.mark.parametrize("name", NOT_CAPTURES)
def test_what_is_no_capture_is_one_clear_line(name: str) -> None:
    raw, why = NOT_CAPTURES[name]
    with pytest.raises(HarkError) as error:
        back(raw)
    assert why in error.value.why


TSHARK = shutil.which("tshark")


@pytest.mark.slow
@pytest.mark.skipif(TSHARK is None, reason="tshark is the referee")
@pytest.mark.parametrize("case", [*CLOCKS, "usual", "nanoseconds", "modified", "odd lengths"])
def test_tshark_sees_the_same_packets(case: str, tmp_path: pathlib.Path) -> None:
    magic, more, _, _ = LAYOUTS.get(case, LAYOUTS["usual"])
    whole = 5 if case == "odd lengths" else -1
    times = CLOCKS.get(case, CLOCKS["steady"])
    raw = head(magic) + b"".join(record(d, s, whole=whole, more=more) for d, s in zip(PAYLOADS, times, strict=True))
    path = tmp_path / "x.pcap"
    path.write_bytes(raw)
    command = [str(TSHARK), "-r", str(path), "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.cap_len"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ours = [f"{time // 10**9}.{time % 10**9:09d}\t{len(data)}" for time, data, _ in back(raw)[0]]
    assert told.splitlines() == ours


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
def test_no_time_span_is_negative_whatever_the_clock_did(seconds: list[int]) -> None:
    """A conversation whose packets say any times: what is told of it has no phase below "not known"."""
    decoder, book, shown, changes = Decoder(), Book(1 << 16), Waterfall(lambda out: None), []
    talk = [segment(0, True, 0, b"", 0x02), segment(0, False, 0, b"", 0x12, ack=1)]
    for n in range(2):
        talk.append(segment(0, True, 1 + 18 * n, b"GET / HTTP/1.0\r\n\r\n", ack=1 + 40 * n))
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        talk.append(segment(0, False, 1 + 40 * n, answer, ack=1 + 18 * (n + 1)))
    for second, frame in zip(seconds, talk, strict=True):
        changes += book.feed(decoder.feed(frame._replace(time=second * 10**9 or 1)))
    changes += [*book.feed(decoder.finish()), *book.end()]
    found = [change.exchange for change in changes if isinstance(change, Ended)]
    assert len(found) == 2
    for exchange in found:
        told = entry(exchange)
        assert told["time"] >= 0 and all(span >= -1 for span in told["timings"].values())
        shown.change(Ended(exchange))
    shown.end()


def test_a_conversation_at_the_epoch_itself_is_told() -> None:
    """No clock at all: classic packets at 0, and blocks of pcapng that have no time."""
    talk = [
        segment(0, True, 1, b"GET / HTTP/1.0\r\n\r\n"),
        segment(0, False, 1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ack=19),
    ]
    classic = head() + b"".join(record(bytes(f.data), 0, 0) for f in talk)
    blocks = b""
    for data in (bytes(f.data) for f in talk):
        size = 16 + (len(data) + 3 & ~3)
        blocks += struct.pack("<III", 3, size, len(data)) + data + bytes(-len(data) % 4) + struct.pack("<I", size)
    for raw in (classic, pcapng.header() + blocks):
        decoder, book, changes = Decoder(), Book(0), []
        for block in read(io.BytesIO(raw), "x"):
            changes += book.feed(decoder.feed(block))
        assert [type(change) for change in changes].count(Ended) == 1


def test_every_magic_number_in_both_byte_orders() -> None:
    """Each of them is a format, and no other file begins so."""
    assert len(pcap.MAGIC) == 12
    for magic, form in pcap.MAGIC.items():
        assert struct.unpack(form.order + "I", magic)[0] in (
            0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34, 0xA1B234CD, 0x1C0001AC, 0x1C0001AB,
        )  # fmt: skip
        link = pcap.Headers(form, magic + struct.pack(form.order + "HHiIII", 2, 4, 0, 0, 65535, 0xF0000065)).link
        assert link == 101  # the upper bits are no part of the link type
    assert pcapng.header()[:4] not in pcap.MAGIC
