"""Scripted TCP connections, and what the decoder and the model tell of them."""

from collections.abc import Sequence

from frames import segment
from hark.decode.decoder import Decoder
from hark.decode.events import Side
from hark.model.book import Book
from hark.model.changes import Ended, Failed, PassedOver, Superseded
from hark.model.exchange import Exchange
from hark.model.failure import Failure
from hark.wire import ip

C, S = Side.CLIENT, Side.SERVER
MS = 1_000_000
START = 10_000_000_000
GET = b"GET /x HTTP/1.1\r\nHost: h.test\r\n\r\n"
FIN, RST = ip.FIN, ip.RST
Step = tuple[int, Side, bytes | int]  # ms, by whom, bytes or a flag


class Told:
    """What the decoder and the model tell of connections."""

    def __init__(self) -> None:
        self.decoder, self.book = Decoder(), Book(1000)
        self.exchanges: list[Exchange] = []
        self.failures: list[Failure] = []
        self.superseded: list[Failure] = []
        self.passed: list[PassedOver] = []

    def take(self, events: Sequence[object]) -> None:
        self.changes(self.book.feed(events))  # type: ignore[arg-type]

    def changes(self, changes: Sequence[object]) -> None:
        self.exchanges += [change.exchange for change in changes if isinstance(change, Ended)]
        self.failures += [change.failure for change in changes if isinstance(change, Failed)]
        self.passed += [change for change in changes if isinstance(change, PassedOver)]
        self.superseded += [change.failure for change in changes if isinstance(change, Superseded)]

    def play(self, steps: Sequence[Step], port: int = 5000, begin: bool = True) -> "Told":
        seq = [1, 1]
        if begin:
            self.take(self.decoder.feed(segment(START, True, 0, b"", ip.SYN, port, 0)))
            self.take(self.decoder.feed(segment(START, False, 0, b"", ip.SYN | ip.ACK, port, 1)))
        for at, side, what in steps:
            data, flags = (what, 0x18) if isinstance(what, bytes) else (b"", what | ip.ACK)
            frame = segment(START + at * MS, side == C, seq[side], data, flags, port, seq[1 - side])
            seq[side] += len(data) + (flags & FIN and 1)
            self.take(self.decoder.feed(frame))
        return self

    def end(self) -> "Told":
        self.take(self.decoder.finish())
        self.changes(list(self.book.end()))
        return self
