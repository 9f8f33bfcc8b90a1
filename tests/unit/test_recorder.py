"""Blocks into the ring: in order, queued while there is no room, and counted where the queue is full too."""

import threading

import pytest

from hark.recording.blocks import Block, Frame, Loss, Secrets
from hark.recording.ring import Reader, Ring, Writer
from hark.tap import recorder
from hark.tap.recorder import Recorder
from world import until

SIZE = 1 << 16  # bytes of the ring


def secrets(number: int) -> Secrets:
    """A block of its own, of 4 KiB: the ring has room for some fifteen."""
    return Secrets(b"%04096d\n" % number, 7, "openssl")


def numbers(blocks: list[Block]) -> list[int]:
    return [int(block.text) for block in blocks if isinstance(block, Secrets)]


def drain(reader: Reader) -> list[Block]:
    found = []
    for block, _ in reader.blocks():
        found.append(block._replace(data=bytes(block.data)) if isinstance(block, Frame) else block)
    return found


@pytest.fixture
def ring() -> Ring:
    return Ring(SIZE)


def test_frames_blocks_and_losses_in_the_order_in_which_they_came(ring: Ring) -> None:
    rec = Recorder(Writer(ring))
    rec.frame(b"E packet", 23)
    rec.block(secrets(1))
    rec.loss("datagram", 2, "no reason")
    frame, secret, loss = drain(Reader(ring))[-3:]
    assert isinstance(frame, Frame) and (frame.data, frame.pid) == (b"E packet", 23)
    assert secret == secrets(1)
    assert isinstance(loss, Loss) and (loss.what, loss.amount, loss.why) == ("datagram", 2, "no reason")


def test_what_finds_no_room_waits_and_keeps_its_place(ring: Ring) -> None:
    rec, reader = Recorder(Writer(ring)), Reader(ring)
    for number in range(50):
        rec.block(secrets(number))
    assert not rec.catch_up()
    found = numbers(drain(reader))
    rec.block(secrets(50))  # there is room, but others were before it
    while not rec.catch_up():
        found += numbers(drain(reader))
    rec.block(secrets(51))
    found += numbers(drain(reader))
    assert found == list(range(52))


def test_a_full_queue_drops_the_newest_and_says_how_many(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE", 3)
    rec, reader = Recorder(Writer(ring)), Reader(ring)
    for number in range(50):
        rec.block(secrets(number))
    blocks = []
    while not rec.catch_up():
        blocks += drain(reader)
    blocks += drain(reader)
    kept = numbers(blocks)
    assert kept == list(range(len(kept)))
    (loss,) = [block for block in blocks if isinstance(block, Loss)]
    assert loss.what == "blocks"
    assert len(kept) + loss.amount == 50


def test_close_waits_for_the_reader_to_make_room(ring: Ring) -> None:
    rec, reader = Recorder(Writer(ring)), Reader(ring)
    for number in range(50):
        rec.block(secrets(number))
    closing = threading.Thread(target=rec.close)
    closing.start()
    found: list[int] = []

    def ended() -> bool:
        found.extend(numbers(drain(reader)))
        return not closing.is_alive()

    until(ended)
    found += numbers(drain(reader))
    assert found == list(range(50))
    assert reader.closed
