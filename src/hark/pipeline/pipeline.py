"""The decoder process: recorded blocks in, views out. The same code follows a live ring and reads a file.

What   order (live only) -> pcapng file, decoder -> book -> views.
Why    What the file gets is what the decoder is fed, in the same order: a recording replays to the byte.
Limits A file that cannot be written any more (disk full) is reported once and given up; all else goes on.
"""

import select
import time
from collections.abc import Iterable, Sequence

from hark.errors import HarkError
from hark.output import Output
from hark.recording import pcapng
from hark.recording.blocks import RAW, UPPER_PDU, Block, Entry, Frame, Interface, Secrets, Torn
from hark.recording.order import Item, Order
from hark.views.view import Needs, View, end_all, needs_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.decode.decoder import Decoder
    from hark.model.book import Book
    from hark.model.changes import Change
    from hark.pipeline.select import Flows
    from hark.recording.ring import Reader

DOZE = 0.02  # s between looks while there is traffic: a person sees no delay, the program is not disturbed
_DROWSY = 0.5  # s without traffic after which the next block wakes the decoder process at once
_LATE = 1_000_000_000  # ns that a recorded block may take to be decoded: what waits for its secrets waits no longer
_BATCH = 4 << 20  # bytes decoded between two ticks


class Pipeline:
    """Decodes, keeps the book, gives the views what they need. keep: bytes of each body that are kept where a view
    needs bodies."""

    def __init__(self, views: Sequence[View], keep: int, files: Sequence[Output] = ()) -> None:
        self._views = views
        self._files = files
        self._keep = keep
        self._needs = needs_of(views)
        self.verdict = 0  # of the views, once all is over
        self._decoder: Decoder | None = None  # made for the first block: a program without traffic needs none
        self._book: Book | None = None
        for file in files:
            file.write(pcapng.header())

    @property
    def writes(self) -> bool:
        """Whether a recording is written."""
        return bool(self._files)

    def feed(self, block: Block, raw: bytes | memoryview = b"") -> None:
        """One block; raw: what is written of it to the pcapng files."""
        if raw:
            for file in self._files:
                file.write(raw)
        if self._decoder is None or self._book is None:
            from hark.decode.decoder import Decoder
            from hark.model.book import Book

            keep = self._keep if Needs.BODIES in self._needs else 0
            self._decoder, self._book = Decoder(), Book(keep, Needs.STEPS in self._needs)
        if (self._book.due or self._book.attempts.held) and isinstance(block, Frame):
            self._show(self._book.settle(block.time))
        events = self._decoder.feed(block)
        if events:
            self._show(self._book.feed(events))

    def _show(self, changes: "Iterable[Change]") -> None:
        for change in changes:
            for view in self._views:
                view.change(change)

    def rest(self, now: int) -> None:
        """Everything that was recorded up to `now` (ns) has been fed."""
        if self._book is not None:
            self._show(self._book.rest(now))

    def tick(self, now: int) -> None:
        """Let views remind and everything flush."""
        needs = needs_of(self._views) | self._needs  # what is begun is not taken back
        if needs != self._needs:
            self._needs = needs
            if self._book is not None:
                self._book.widen(self._keep)
        for file in self._files:
            file.flush()
        for view in self._views:
            view.tick(now)

    def end(self) -> None:
        """Nothing more will come."""
        if self._decoder is not None and self._book is not None:
            self._show((*self._book.feed(self._decoder.finish()), *self._book.end()))
        for file in self._files:
            file.flush()
        self.verdict = end_all(self._views)


def replay(recording: Iterable[Block], pipeline: Pipeline, flows: "Flows | None" = None) -> bool:
    """Decode a recording; whether it was whole. What is written of it are raw IP frames after their secrets: such a
    file opens decrypted everywhere, whatever the recording was like. flows: what alone is written."""
    order = Order() if pipeline.writes else None
    whole = True
    inside: dict[str, int] = {}  # interfaces for plaintext that are written, by how it was had
    for number, block in enumerate(recording):
        if order is None:
            pipeline.feed(block)
        else:
            normal = _normal(block, inside)
            for item in order.feed(*(normal if flows is None else flows.choose(*normal))):
                pipeline.feed(*item)
        whole = whole and not isinstance(block, Torn)
        if not number & 0xFFF:
            pipeline.tick(0)
    for item in order.end() if order is not None else ():
        pipeline.feed(*item)
    pipeline.end()
    return whole


def _normal(block: Block, inside: dict[str, int]) -> Item:
    """A block as hark records it. A frame without IP in it is decoded and not written."""
    from hark.decode import link

    if isinstance(block, Frame):
        at = 0 if block.link == RAW else link.network(block.data, block.link)
        if at < 0 or block.link == UPPER_PDU:
            return block, b""
        raw = pcapng.frame(block.time, block.data[at:], block.pid, block.size - at, inside.get(block.inside, 0))
        data = memoryview(raw)[pcapng.EPB_HEAD :][: len(block.data) - at]
        return block._replace(link=RAW, data=data, size=max(block.size - at, len(data))), raw
    if isinstance(block, Interface):
        if block.inside in inside:
            return block, b""
        inside[block.inside] = len(inside) + 1
    if isinstance(block, Entry):
        raise HarkError("cannot write a pcapng", "an archive of exchanges holds no packets", "x.har, x.jsonl or x.html")
    if isinstance(block, Secrets) and block.text.startswith(b"-----BEGIN"):
        return block, b""  # a private key is no part of a recording
    return block, pcapng.encode(block)


def follow(reader: "Reader", pipeline: Pipeline, alive: int) -> None:
    """Decode a live recording until its writer closes it or dies; `alive` is a pipe that the writer holds open."""
    order = Order()
    poll = select.poll()
    poll.register(alive, select.POLLIN)
    busy = time.monotonic()

    def feed(items: Iterable[Item]) -> None:
        for block, raw in items:
            pipeline.feed(block, raw)

    while True:
        over = reader.closed or bool(poll.poll(0))
        behind = reader.behind()
        while behind:
            for block, raw in reader.blocks(_BATCH):
                feed(order.feed(block, raw))
            busy = time.monotonic()
            behind = reader.behind()
            if behind:
                pipeline.tick(time.time_ns())
        feed(order.tick(time.time_ns()))
        pipeline.rest(time.time_ns() - _LATE)
        pipeline.tick(time.time_ns())
        if over:
            break
        drowsy = time.monotonic() - busy > _DROWSY
        reader.wait(0.25 if drowsy else DOZE, drowsy)
    feed(order.end())
    pipeline.end()
