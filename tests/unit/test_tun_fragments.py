"""IP packets that a program has cut come out whole, in whatever order their fragments come."""

import itertools

import pytest

from hark.tap.tun.fragments import Fragments
from hark.wire import ip

SRC, DST = b"\n\0\0\1", b"\n\0\0\2"
PARTS = [(0, b"a" * 16, True), (16, b"b" * 8, True), (24, b"c" * 5, False)]


def feed(fragments: Fragments, part: tuple[int, bytes, bool], ident: int) -> bytes | None:
    offset, body, more = part
    packet = ip.Packet(4, ip.UDP, SRC, DST, 0, len(body), (ident, offset, more))
    return fragments.feed(packet, memoryview(body))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_order(order: tuple[int, ...]) -> None:
    fragments = Fragments()
    found = [feed(fragments, PARTS[number], 7) for number in order]
    assert found[:2] == [None, None]
    whole = found[2]
    assert whole is not None and whole[-29:] == b"a" * 16 + b"b" * 8 + b"c" * 5 and whole[12:20] == SRC + DST


def test_packets_that_never_come_whole_are_dropped() -> None:
    fragments = Fragments()
    for ident in range(Fragments.MOST + 1):
        feed(fragments, PARTS[0], ident)
    assert [feed(fragments, part, 0) for part in PARTS[1:]] == [None, None]  # the first one's beginning is gone
    assert feed(fragments, PARTS[1], Fragments.MOST) is None
    assert feed(fragments, PARTS[2], Fragments.MOST) is not None
