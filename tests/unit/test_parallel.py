"""Large recordings told by several processes: the same to the byte as by one, also where they have to give way to one."""

import json
import pathlib
import random
import subprocess
import sys

import pytest

from frames import segment
from h2pair import early_answer
from hark.commands import read as reading
from hark.decode.events import Side
from hark.pipeline import parallel
from hark.pipeline.pipeline import Pipeline, replay
from hark.recording import pcapng
from hark.recording.blocks import RAW, Block, Frame, Secrets
from hark.recording.reader import read
from hark.views.entries import Entries, JsonLines

pytestmark = pytest.mark.slow
SOAK = pytest.mark.soak
RECORDINGS = pathlib.Path(__file__).parent.parent.parent / "recordings"


def alone(blocks: list[Block]) -> bytes:
    pieces: list[bytes] = []
    replay(blocks, Pipeline([Entries([JsonLines(pieces.append)])], 1 << 20))
    return b"".join(pieces)


def at_once(blocks: list[Block], workers: int) -> tuple[bytes, parallel.Result]:
    pieces: list[bytes] = []
    view = Entries([JsonLines(pieces.append)])
    result = parallel.read(lambda: iter(blocks), 1 << 20, [view], workers)
    assert view.skip == b"".join(pieces).count(b"\n")  # what one process would leave out, had it to begin again
    return b"".join(pieces), result


def conversations(flows: int, exchanges: int, seed: int) -> list[Block]:
    """Plain exchanges on connections that take turns by chance, some without an end."""
    dice = random.Random(seed)
    made: list[Block] = []
    at = {}
    for n in range(flows * exchanges):
        port = 2000 + dice.randrange(flows)
        if port not in at:
            first = n << 12  # another number for each connection on the same ports
            made += [segment(n, True, first, b"", 0x02, port), segment(n, False, first, b"", 0x12, port, first + 1)]
            at[port] = [first + 1, first + 1]
        ask = f"GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"
        made.append(segment(n, True, at[port][0], ask, port=port, ack=at[port][1]))
        at[port][0] += len(ask)
        if dice.random() < 0.9:
            made.append(segment(n, False, at[port][1], answer, port=port, ack=at[port][0]))
            at[port][1] += len(answer)
        if dice.random() < 0.05:
            made.append(segment(n, True, at[port][0], b"", 0x11, port, at[port][1]))
            made.append(segment(n, False, at[port][1], b"", 0x11, port, at[port][0] + 1))
            del at[port]
    return made


@pytest.mark.parametrize(
    ("workers", "seeds"), [(2, 1), (3, 1), pytest.param(2, 7, marks=SOAK), pytest.param(3, 7, marks=SOAK)]
)
def test_the_same_to_the_byte(workers: int, seeds: int) -> None:
    for seed in range(seeds):
        blocks = conversations(20, 200, seed)
        told, result = at_once(blocks, workers)
        assert result.done and result.sound and told == alone(blocks)


def early(start: int) -> list[Block]:
    """Exchanges over HTTP/2 that are answered before their requests are whole."""
    blocks: list[Block] = []
    for n in range(40):
        port, time, at = 3000 + n, start + n * 40_000_000, [1, 1]
        blocks += [segment(time, True, 0, b"", 0x02, port), segment(time, False, 0, b"", 0x12, port, 1)]
        for side, data in early_answer(n % 3 == 0):
            blocks.append(segment(time + 1, side == Side.CLIENT, at[side], data, port=port, ack=at[1 - side]))
            at[side] += len(data)
    return blocks


def test_what_ends_by_itself_ends_at_the_same_place() -> None:
    """Exchanges that were answered early are over when nothing more has come for a while: at a frame of whatever
    connection, also one of another share."""
    blocks = early(0)
    for workers in (2, 3):
        told, result = at_once(blocks, workers)
        assert result.done and told == alone(blocks) and told.count(b"\n") == 40


def recorded(name: str) -> list[Block]:
    with open(RECORDINGS / f"{name}.pcapng", "rb") as file:
        return [b._replace(data=memoryview(bytes(b.data))) if isinstance(b, Frame) else b for b in read(file, name)]


@pytest.mark.parametrize("secrets", ["as recorded", "first", "last"])
def test_recordings(secrets: str) -> None:
    """Real ones, one behind the other: what depends on each other stops the workers, and what was told until then is the
    beginning of what one process tells."""
    for path in sorted(RECORDINGS.glob("*.pcapng")):
        blocks = recorded(path.stem)
        keys = [block for block in blocks if isinstance(block, Secrets)]
        others = [block for block in blocks if not isinstance(block, Secrets)]
        blocks = {"as recorded": blocks, "first": keys + others, "last": others + keys}[secrets]
        told, result = at_once(blocks, 2)
        whole = alone(blocks)
        assert whole.startswith(told) and (told == whole or not result.done), path.stem
        # "failures" has a name that was not found, which a request of another share might have made up for
        assert result.done == (path.stem not in ("dns-over-https", "dns-over-tls", "go-h3", "failures")), path.stem


def test_what_is_not_independent_is_told_by_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much, then a look-up over HTTPS: the command's output is that of one process, no line twice, none missing."""
    blocks = [*conversations(20, 500, 1), *recorded("dns-over-https"), *conversations(20, 500, 2)]
    path = tmp_path / "large.pcapng"
    path.write_bytes(pcapng.header() + b"".join(map(pcapng.encode, blocks)))
    assert path.stat().st_size > reading._LARGE
    command = [sys.executable, "-m", "hark", "read", "--json", str(path)]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    alone_too = subprocess.run(["taskset", "-c", "0", *command], capture_output=True)
    assert done.stdout == alone_too.stdout and done.stdout.count(b"\n") > 15000


def test_a_torn_one_and_a_reader_that_leaves(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "large.pcapng"
    path.write_bytes(pcapng.header() + b"".join(map(pcapng.encode, conversations(20, 1000, 1)))[:-5])
    assert path.stat().st_size > reading._LARGE
    command = f"{sys.executable} -m hark read --json {path}"
    done = subprocess.run(command.split(), capture_output=True)
    assert done.returncode == 1 and done.stdout.count(b"\n") > 15000
    left = subprocess.run(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True
    )
    assert left.returncode == 141 and left.stdout.count("\n") == 1 and "Traceback" not in left.stderr


def attempts(count: int, seed: int, names: bool = True) -> list[Block]:
    """Connections that are refused, never answered, or come about, of a few processes, and names; some made up for by
    another one in time, some too late; exchanges in between."""
    dice = random.Random(seed)
    made: list[Block] = []
    time = 1_000_000_000
    for n in range(count):
        time += dice.choice((1_000_000, 50_000_000, 400_000_000, 1_500_000_000))
        port, pid = 4000 + n, dice.choice((7, 11))
        made.append(segment(time, True, 0, b"", 0x02, port)._replace(pid=pid))
        what = dice.random()
        if what < 0.5:
            made.append(segment(time + 1000, False, 0, b"", 0x14, port, 1))
        elif what < 0.9:
            made.append(segment(time + 1000, False, 0, b"", 0x12, port, 1))
            if dice.random() < 0.7 or not names:
                ask, answer = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n"
                made.append(segment(time + 2000, True, 1, ask, port=port, ack=1))
                made.append(segment(time + 3000, False, 1, answer, port=port, ack=1 + len(ask)))
        if names and dice.random() < 0.3:
            made += look_up(time + 5000, n, pid, dice.choice(("a.test", "b.test")), dice.choice((0, 3)))
    return made


def look_up(time: int, ident: int, pid: int, name: str, rcode: int) -> list[Block]:
    """A question by UDP and its answer."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    told = bytes((192, 0, 2, 1)) if not rcode else b""
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + told if told else b""
    asked = ident.to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\0" + question
    came = ident.to_bytes(2, "big") + bytes((0x81, 0x80 | rcode, 0, 1, 0, bool(told), 0, 0, 0, 0)) + question + answer
    return [datagram(time, True, asked, pid), datagram(time + 1000, False, came, 0)]


def datagram(time: int, client: bool, payload: bytes, pid: int) -> Frame:
    ends, ports = (bytes((192, 0, 2, 9)), bytes((192, 0, 2, 53))), ((5353).to_bytes(2, "big"), (53).to_bytes(2, "big"))
    ends, ports = (ends, ports) if client else (ends[::-1], ports[::-1])
    udp = b"".join(ports) + (8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload
    head = b"\x45\0" + (20 + len(udp)).to_bytes(2, "big") + b"\0\0\0\0\x40\x11\0\0" + b"".join(ends)
    return Frame(time, RAW, memoryview(head + udp), pid, 20 + len(udp))


@pytest.mark.parametrize(
    ("workers", "names"),
    [(3, False), (2, True), pytest.param(2, False, marks=SOAK), pytest.param(3, True, marks=SOAK)],
)
def test_failures_are_told_at_the_same_places(workers: int, names: bool) -> None:
    """Whether a failed attempt was made up for depends on connections of other shares; where it depends on their
    requests too, the workers stop in front of it."""
    kinds: set[str] = set()
    ended = 0
    for seed in range(8):
        blocks = attempts(120, seed, names)
        if seed % 2:  # with exchanges that end by themselves at the same frames
            blocks += early(blocks[-1].time - 4_000_000_000)  # type: ignore[union-attr]
            blocks.sort(key=lambda block: block.time)  # type: ignore[union-attr]
        told, result = at_once(blocks, workers)
        whole = alone(blocks)
        assert whole.startswith(told)
        assert (told == whole) if result.done else names
        ended += result.done
        kinds |= {json.loads(line).get("_failure", {}).get("kind", "") for line in whole.splitlines()}
    assert kinds >= {"", "refused", "no-answer"} and ("name-not-found" in kinds) == names == (ended == 0)


def test_live_and_replay_have_the_same_order() -> None:
    """Live, rest() tells what is due as time goes by; replay tells it at the next frame: in one order."""
    for seed in range(6):
        blocks = attempts(60, seed)
        blocks += early(blocks[-1].time - 4_000_000_000)  # type: ignore[union-attr]
        blocks.sort(key=lambda block: block.time)  # type: ignore[union-attr]
        pieces: list[bytes] = []
        pipeline = Pipeline([Entries([JsonLines(pieces.append)])], 1 << 20)
        now = 0
        for block in blocks:
            assert isinstance(block, Frame)
            while now + 50_000_000 < block.time:
                now = max(now + 50_000_000, block.time - 3_000_000_000)
                pipeline.rest(now)
            pipeline.feed(block)
        pipeline.end()
        assert b"".join(pieces) == alone(blocks)
