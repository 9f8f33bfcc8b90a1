"""Recordings that were damaged: packets flipped, dropped, swapped, doubled, cut. Nothing may raise, hang or bloat; and
where only whole packets were lost or doubled, what is told as whole must be what was said."""

import io
import json
import random
from collections import Counter

from hark.decode.decoder import Decoder
from hark.model.book import Book
from hark.model.changes import Ended
from hark.recording.blocks import Block, Frame
from hark.recording.reader import read
from hark.views.entry import entry

KINDS = ("drop", "double", "swap", "flip", "cut")
SOUND = KINDS[:2]  # what leaves every packet as it was, and in order


def blocks(path) -> list[Block]:
    """A recording's blocks, to keep."""
    data = io.BytesIO(path.read_bytes())
    return [b._replace(data=memoryview(bytes(b.data))) if isinstance(b, Frame) else b for b in read(data, str(path))]


def mutate(original: list[Block], kinds: tuple[str, ...], dice: random.Random) -> list[Block]:
    """One to three mutations of frames."""
    mutated = list(original)
    for _ in range(dice.randint(1, 3)):
        places = [n for n, block in enumerate(mutated) if isinstance(block, Frame)]
        if not places:
            break
        at = dice.choice(places)
        frame = mutated[at]
        assert isinstance(frame, Frame)
        kind = dice.choice(kinds)
        if kind == "drop":
            del mutated[at]
        elif kind == "double":
            mutated.insert(dice.randint(at, min(at + 5, len(mutated))), frame)
        elif kind == "swap":
            other = dice.choice(places)
            mutated[at], mutated[other] = mutated[other], mutated[at]
        else:
            data = bytearray(frame.data)
            if kind == "cut":
                del data[dice.randrange(len(data)) :]
            else:
                for _ in range(dice.randint(1, 3)):
                    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            mutated[at] = frame._replace(data=memoryview(bytes(data)))
    return mutated


def told(recording: list[Block]) -> Counter[str]:
    """The exchanges that are told as whole, by all that was said in them."""
    decoder, book = Decoder(), Book(1 << 20)
    found: Counter[str] = Counter()
    events = []
    for block in recording:
        events = decoder.feed(block)
        _add(book, events, found)
    _add(book, decoder.finish(), found)
    return found


def _add(book: Book, events, found: Counter[str]) -> None:
    for change in book.feed(events):
        if isinstance(change, Ended):
            made = entry(change.exchange)
            if "_trouble" not in made:
                kept = {"request": made["request"], "response": made["response"]}
                for name in ("_webSocketMessages", "_grpc", "_events"):
                    kept[name] = [dict(m, time=0) for m in made[name]] if isinstance(made.get(name), list) else None
                found[json.dumps(kept, sort_keys=True)] += 1
