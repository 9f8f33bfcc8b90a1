"""TCP reassembly: any order, twice, overlapping, with holes, around the end of sequence numbers."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hark.decode import limits
from hark.decode.reassembly import Reassembly


def stream(segments: list[tuple[int, bytes]], start: int = 0) -> tuple[bytes, int]:
    """(the bytes given out, bytes lost) for segments at offsets from the start."""
    half = Reassembly()
    half.start((start - 1) & 0xFFFFFFFF)
    out, lost = b"", 0
    for offset, data in segments:
        for piece in half.feed((start + offset) & 0xFFFFFFFF, memoryview(data)):
            out += bytes(piece.data)
            lost += piece.lost
    while pieces := half.skip():
        for piece in pieces:
            out += bytes(piece.data)
            lost += piece.lost
    assert half.total == len(out)
    return out, lost


def test_in_order() -> None:
    assert stream([(0, b"ab"), (2, b"cd")]) == (b"abcd", 0)


def test_retransmitted_and_overlapping_the_first_wins() -> None:
    assert stream([(0, b"abc"), (0, b"XYZ"), (1, b"YYde")]) == (b"abcde", 0)


def test_out_of_order_with_overlap() -> None:
    assert stream([(4, b"ef"), (2, b"cdEF"), (0, b"ab")])[0] == b"abcdef"


def test_a_hole_is_told_by_its_size() -> None:
    assert stream([(0, b"ab"), (7, b"hi")]) == (b"abhi", 5)


def test_around_the_end_of_sequence_numbers() -> None:
    assert stream([(0, b"abcd"), (8, b"ijkl"), (4, b"efgh")], 0xFFFFFFFA) == (b"abcdefghijkl", 0)


def test_keep_alive_probes_change_nothing() -> None:
    assert stream([(0, b"ab"), (1, b"b"), (2, b"cd")]) == (b"abcd", 0)


def test_joined_in_the_middle() -> None:
    half = Reassembly()
    assert bytes(half.feed(1000, memoryview(b"abc"))[0].data) == b"abc"


def test_what_waits_is_bounded() -> None:
    half = Reassembly()
    half.start(0)
    out = 0
    for number in range(3 * limits.REORDER_SEGMENTS):
        out += sum(len(piece.data) for piece in half.feed(10 + 2 * number, memoryview(b"x")))
        assert len(half.waiting) <= limits.REORDER_SEGMENTS + 1
    assert out > 0


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=400), st.integers(0, 2**32 - 1), st.integers())
def test_any_cut_in_any_order_gives_the_stream(data: bytes, start: int, seed: int) -> None:
    dice = random.Random(seed)
    segments = []
    at = 0
    while at < len(data):
        size = dice.randint(1, 50)
        begin = max(0, at - dice.randint(0, 10))
        segments.append((begin, data[begin : at + size]))
        at += size
    segments += dice.sample(segments, len(segments) // 2)
    dice.shuffle(segments)
    assert stream(segments, start) == (data, 0)
