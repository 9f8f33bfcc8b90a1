"""The recording: blocks there and back, hostile input, the ring between two processes, the order that opens."""

import io
import os
import pathlib
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import segment
from hark.errors import HarkError
from hark.recording import blocks, parser, pcapng
from hark.recording.blocks import Frame, Loss, Note, Process, Secrets, Torn
from hark.recording.order import HOLD_TIME, Order
from hark.recording.reader import read
from hark.recording.ring import Reader, Ring, Writer

VALUES = [
    Secrets(b"CLIENT_RANDOM 00 11\n", 42, "openssl"),
    Process(5, 7, "na me", "/bin/x", ("x", "", "ü\udcff"), 1, 1001, 3, ("OpenSSL",)),
    Loss(9, "packet", 3, "because"),
    Note(9, bytes(12), "source", (("address", "192.0.2.1"), ("port", "4"))),
    Note(9, bytes(36), "", ()),
]


def back(raw: bytes) -> list[object]:
    """All blocks of a file, frames with their data copied."""
    found: list[object] = []
    for block in read(io.BytesIO(raw), "x"):
        found.append(block._replace(data=bytes(block.data)) if isinstance(block, Frame) else block)
    return found


def test_there_and_back() -> None:
    raw = pcapng.header() + b"".join(map(pcapng.encode, VALUES))
    raw += pcapng.frame(1795262565_610929483, b"E" + bytes(20), 77) + pcapng.frame(1, b"12345")
    frames = [
        Frame(1795262565_610929483, blocks.RAW, b"E" + bytes(20), 77, 21),
        Frame(1, blocks.RAW, b"12345", 0, 5),
    ]
    assert back(raw) == [*VALUES, *frames]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("resolution, ticks", [(None, 10**6), (6, 10**6), (9, 10**9), (3, 1000), (0x80 | 10, 1024)])
def test_byte_orders_and_timestamp_resolutions(order: str, resolution: int | None, ticks: int) -> None:
    def block(kind: int, body: bytes) -> bytes:
        return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))

    option = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0) if resolution is not None else b""
    stamp = 5 * ticks + ticks // 4
    raw = block(pcapng.SHB, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    raw += block(pcapng.IDB, struct.pack(order + "HHI", blocks.ETHERNET, 0, 0) + option)
    raw += block(pcapng.EPB, struct.pack(order + "IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, 4, 9) + b"abcd")
    assert back(raw) == [Frame(5_250_000_000, blocks.ETHERNET, b"abcd", 0, 9)]
    assert back(raw + raw) == back(raw) * 2  # sections one behind the other


@pytest.mark.parametrize("magic, tick", [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
@pytest.mark.parametrize("order", "<>")
def test_classic_pcap(order: str, magic: int, tick: int) -> None:
    raw = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1) + struct.pack(order + "IIII", 3, 7, 2, 2) + b"hi"
    assert back(raw) == [Frame(3_000_000_000 + 7 * tick, 1, b"hi", 0, 2)]


def test_not_a_recording_is_one_clear_error() -> None:
    with pytest.raises(HarkError, match="cannot read x: it is neither pcapng nor pcap"):
        back(b"GET / HTTP/1.1\r\n")
    with pytest.raises(HarkError, match="cannot read x: it is empty"):
        back(b"")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutilated_files_never_raise(data: st.DataObject) -> None:
    raw = pcapng.header() + b"".join(map(pcapng.encode, VALUES)) + pcapng.frame(1, b"12345", 5)
    at = data.draw(st.integers(12, len(raw)))
    raw = raw[:at] + data.draw(st.binary(max_size=12)) + raw[at + data.draw(st.integers(0, 12)) :]
    back(raw)


def test_ring_between_two_processes() -> None:
    """A writer that laps the ring many times; the reader sees every block, in order, whole."""
    ring = Ring(1 << 20)
    pid = os.fork()
    if pid == 0:
        writer = Writer(ring)
        assert writer.write(pcapng.header())
        for number in range(3001):
            raw = pcapng.frame(number + 1, number.to_bytes(4, "big") * (number % 701), number)
            while not writer.write(raw):
                os.read(ring.wake_writer, 8) if select(ring.wake_writer) else None
        writer.close()
        os._exit(0)
    reader, seen = Reader(ring), 0
    while True:
        closed = reader.closed
        for block, raw in reader.blocks():
            assert isinstance(block, Frame)
            assert (block.time, block.pid) == (seen + 1, seen)
            assert bytes(block.data) == seen.to_bytes(4, "big") * (seen % 701)
            assert len(raw) % 4 == 0
            seen += 1
        if closed and not reader.behind():
            break
        reader.wait(0.05, False)
    assert os.waitpid(pid, 0)[1] == 0
    assert seen == 3001


def select(fd: int) -> bool:
    import select as module

    return bool(module.select([fd], [], [], 0.2)[0])


def test_the_counters_never_go_back() -> None:
    """Each is one store: the other process sees the old number or the new one, never a part of it."""
    ring = Ring(1 << 20)
    pid = os.fork()
    if pid == 0:
        writer = Writer(ring)
        ring.leave()  # it writes on as fast as it can
        for _ in range(400_000):
            writer.commit(0x101)
        writer.close()
        os._exit(0)
    reader, before = Reader(ring), 0
    while not reader.closed:
        now = reader.behind()
        assert now >= before
        before = now
    os.waitpid(pid, 0)
    assert reader.behind() >= 200_000 * 0x101


@pytest.mark.parametrize("most", [1, 100, 5000, 1 << 62])
def test_the_ring_gives_whole_blocks_of_all_kinds_in_their_order(most: int) -> None:
    """Wherever `most` cuts, and wherever the ring ends."""
    ring = Ring(1 << 16)
    writer, reader, seen = Writer(ring), Reader(ring), []
    assert writer.write(pcapng.header())
    made = [Frame(n + 1, blocks.RAW, memoryview(bytes([n % 251]) * (n * 37 % 900)), n, n * 37 % 900) if n % 3
            else Secrets(b"line %d\n" % n, n, "openssl") for n in range(1000)]  # fmt: skip
    for value in made:
        while not writer.write(raw := pcapng.encode(value)):
            seen += [(kept(block), bytes(data)) for block, data in reader.blocks(most)]
    while reader.behind():
        seen += [(kept(block), bytes(data)) for block, data in reader.blocks(most)]
    assert seen == [(kept(value), pcapng.encode(value)) for value in made]
    assert raw == pcapng.encode(made[-1])


def kept(block: object) -> object:
    """A block that outlives the next one."""
    return block._replace(data=bytes(block.data)) if isinstance(block, Frame) else block


def test_a_damaged_ring_is_no_endless_loop() -> None:
    ring = Ring(1 << 16)
    writer, reader = Writer(ring), Reader(ring)
    assert writer.write(pcapng.header())
    assert writer.write(pcapng.frame(1, b"packet"))
    list(reader.blocks())
    at = writer.at
    assert writer.write(pcapng.frame(2, b"packet"))
    ring.data[at + 4 : at + 8] = bytes(4)
    with pytest.raises(ValueError, match=f"damaged at {at}"):
        list(reader.blocks())


def test_a_deaf_reader_does_not_stop_the_writer() -> None:
    ring = Ring(1 << 20)
    writer = Writer(ring)
    raw = pcapng.frame(1, bytes(60000))
    while writer.write(raw):
        pass
    ring.leave()
    assert all(writer.write(raw) for _ in range(100))


# -- the order that opens ----------------------------------------------------------------------------------------------


RANDOM = bytes(range(32))
CLIENT_HELLO = b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" + RANDOM + bytes(30)
SERVER_HELLO = b"\x16\x03\x03\x00\x40\x02\x00\x00\x3c\x03\x03" + bytes(64)
KEYS = "".join(
    f"{label} {RANDOM.hex()} {'00' * 32}\n" for label in ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")
)


def order_of(items: list[object], end: bool = True) -> list[str]:
    """The names of the blocks in the order in which they are let go."""
    order, names = Order(), []
    for item in items:
        raw = pcapng.encode(item)
        for block, copy in order.feed(item, raw):
            names.append(str(block.time) if isinstance(block, Frame) else "keys")
            assert bytes(copy) == pcapng.encode(block)
    if end:
        names += [str(block.time) for block, _ in order.end()]
    return names


def test_frames_wait_for_their_secrets() -> None:
    talk = [
        segment(1, True, 1, CLIENT_HELLO),
        segment(2, False, 1, SERVER_HELLO),
        segment(3, True, 100, b"\x17\x03\x03"),
    ]
    other = segment(4, True, 1, b"GET / HTTP/1.1\r\n\r\n" + bytes(40), port=6000)
    keys = Secrets(KEYS.encode())
    assert order_of([*talk, other, keys]) == ["1", "4", "keys", "2", "3"]
    assert order_of([keys, *talk, other]) == ["keys", "1", "2", "3", "4"]
    assert order_of([*talk, other]) == ["1", "4", "2", "3"]
    late = segment(3 + HOLD_TIME, True, 1, b"x", port=6000)
    assert order_of([*talk, late], end=False) == ["1", str(3 + HOLD_TIME), "2", "3"]


def test_torn_is_told_with_its_place() -> None:
    raw = pcapng.header() + pcapng.frame(1, b"12345")
    assert back(raw[:-3])[-1] == Torn(len(pcapng.header()), "the file ends 37 bytes into a block of 40")


@pytest.mark.parametrize("lie", [0, 5, 40, 0x20000, 0x7FFFFFFC])
def test_behind_a_block_that_lies_the_rest_is_found(lie: int) -> None:
    frames = [pcapng.frame(n, bytes([n]) * 100, n) for n in range(1, 6)]
    bad = bytearray(frames[2])
    bad[4:8] = lie.to_bytes(4, "little")
    raw = pcapng.header() + b"".join([*frames[:2], bytes(bad), *frames[3:]])
    found = back(raw)
    assert [block.pid for block in found if isinstance(block, Frame)] == [1, 2, 4, 5]
    place = len(pcapng.header()) + 2 * len(frames[0])
    assert [block for block in found if isinstance(block, Torn)] == [
        Torn(place, "a block whose length cannot be")
    ] or lie == 0x20000


@pytest.mark.parametrize("lie", [3, 0xFFFF0000, 300_000])
def test_behind_a_packet_that_lies_the_rest_is_found(lie: int) -> None:
    packets = [struct.pack("<IIII", 1_700_000_000 + n, 7, 100, 100) + bytes([n]) * 100 for n in range(6)]
    bad = bytearray(packets[2])
    bad[8:12] = lie.to_bytes(4, "little")
    raw = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join([*packets[:2], bytes(bad), *packets[3:]])
    found = back(raw)
    assert [block.data[0] for block in found if isinstance(block, Frame) and len(block.data) == 100] == [0, 1, 3, 4, 5]
    assert any(isinstance(block, Torn) for block in found)


def test_bytes_inserted_between_blocks_are_skipped() -> None:
    frames = [pcapng.frame(n, bytes([n]) * 100, n) for n in range(1, 4)]
    found = back(pcapng.header() + frames[0] + b"garbage" + frames[1] + frames[2])
    assert [block.pid for block in found if isinstance(block, Frame)] == [1, 2, 3]


def test_a_recording_is_written_anew(tmp_path: pathlib.Path) -> None:
    """`hark read -o x.pcapng`: from Ethernet and a key log beside it to raw IP with the secrets inside, in the order in
    which tshark opens it; what is told of both is the same."""
    source = pathlib.Path(__file__).parent.parent.parent / "recordings" / "curl-h2-tls13.pcapng"
    packets, keys = b"", b""
    for block in read(io.BytesIO(source.read_bytes()), "x"):
        if isinstance(block, Secrets):
            keys += block.text
        elif isinstance(block, Frame):
            data = bytes(12) + b"\x08\x00" + bytes(block.data)
            packets += struct.pack("<IIII", *divmod(block.time, 10**9), len(data), len(data)) + data
    (tmp_path / "x.pcap").write_bytes(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1) + packets)
    (tmp_path / "x.keys").write_bytes(keys)

    def hark(*words: str) -> bytes:
        done = subprocess.run([sys.executable, "-m", "hark", "read", *words], cwd=tmp_path, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
        return done.stdout

    told = hark("--keys", "x.keys", "-o", "y.pcapng", "--json", "x.pcap")
    assert told.count(b"\n") == 2 and hark("--json", "y.pcapng") == told
    seen = subprocess.run(
        ["tshark", "-r", "y.pcapng", "-Y", "http2.headers.method", "-T", "fields", "-e", "http2.headers.path"],
        cwd=tmp_path, capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert seen.split() == [b"/hello", b"/item.json"]


def test_numbers_that_are_none_in_notes_are_not_believed() -> None:
    """Found by fuzzing: JSON knows infinite numbers."""
    for text in (b'{"time": 1e999, "tls": []}', b'{"time": NaN, "tls": []}', b'{"time": -Infinity, "tls": 3}'):
        assert parser._process_comment(text) == (0, ())
