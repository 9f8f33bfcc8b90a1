"""Decoding a large recording on several processors at once.

What   Each worker reads the whole recording and follows its share of the TCP connections (decode/decoder.py). It has
       the whole chain of views; what these render is written by the first process, in the order in which one process
       would have written it.
When   Every view that writes is `Independent` (views/view.py): what it writes for a change follows from that alone.
Why    Decoding is bound by the interpreter, which uses one processor. Connections are nearly always independent: only
       their numbers and the order of changes are common, and both follow from what every worker sees.
How    A piece's place is (number of the block, number of the connection). Workers report how far they are; what is
       before the slowest is final and written. Every worker sees how all connections are opened, so each knows which
       failed attempts of its share were made up for by one that came about (model/attempts.py).
Whole  Sometimes connections are not independent: names looked up inside TLS lead to other connections, QUIC, tunnels
       inside streams, too much ciphertext without keys, failures for which a request of another share may make up. The
       worker that meets such a thing stops there; the recording is then decoded by one process, less the pieces that
       are written already. The output is the same to the byte.
Limits AHEAD blocks between the fastest worker and the slowest.
"""

import contextlib
import fcntl
import gc
import marshal
import os
import select
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

from hark.decode.decoder import Decoder
from hark.model.attempts import order_of
from hark.model.book import Book, Order
from hark.model.changes import Change, Ended, Failed
from hark.recording.blocks import Block, Frame, Torn
from hark.views.view import Independent, Needs, View, end_all, needs_of

AHEAD = 1 << 18  # blocks
_BATCH = 1 << 10  # blocks between two messages of a worker
_PIPE = 1 << 20  # bytes
_END = 1 << 50  # the place of what comes at the end

# (block; connection, or the order of what was due before it; number of the view; what it rendered)
Piece = tuple[float, Any, int, bytes]
Open = Callable[[], Iterator[Block]]


class Result:
    """How it went."""

    def __init__(self) -> None:
        self.done = True  # whether all is decoded; else one process has to begin again, with the same views
        self.sound = True  # where all is: whether the recording was whole
        self.verdict = 0  # where all is: that of the views


def independent(views: Sequence[View]) -> list[Independent]:
    """The views that write, where each of them can be rendered in several processes; else none."""
    leaves = [leaf for view in views for leaf in view.leaves()]
    fitting = [leaf for leaf in leaves if isinstance(leaf, Independent)]
    return fitting if len(fitting) == len(leaves) else []


def read(start: Open, keep: int, views: Sequence[View], workers: int) -> Result:
    """Decode the recording that `start` opens, for views of which all are independent. keep: bytes of each body. Raises
    RuntimeError where a worker has failed."""
    leaves = independent(views)
    pipes: dict[int, int] = {}
    pids = []
    gc.freeze()  # what is loaded stays in pages that all of them share
    for number in range(workers):
        ours, theirs = os.pipe()
        with contextlib.suppress(OSError):  # a smaller one does too
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, _PIPE)
        pid = os.fork()
        if not pid:
            for other in (ours, *pipes):
                os.close(other)
            _Worker((number, workers), theirs, keep, views).run(start)
        os.close(theirs)
        pipes[ours] = number
        pids.append(pid)
    try:
        result = _merge(pipes, leaves)
    finally:
        import signal

        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # it is over, or nobody needs it any more
            os.waitpid(pid, 0)
    if result.done:
        result.verdict = end_all(views)
    return result


class _Worker:
    """One share."""

    def __init__(self, share: tuple[int, int], pipe: int, keep: int, views: Sequence[View]) -> None:
        self._decoder = Decoder(share)
        self._book = Book(keep if Needs.BODIES in needs_of(views) else 0)
        self._share = share
        self._pipe = pipe
        self._views = views
        self._pieces: list[Piece] = []
        self._place: tuple[float, Any] = (0, 0)
        for number, leaf in enumerate(independent(views)):
            leaf.deliver = partial(self._collect, number)

    def _collect(self, leaf: int, piece: bytes) -> None:
        self._pieces.append((*self._place, leaf, piece))

    def run(self, start: Open) -> NoReturn:
        """To the end; the process ends with it."""
        status = 1
        try:
            self._run(start)
            status = 0
        except BrokenPipeError:
            status = 0  # nobody wants to know any more
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)

    def _run(self, start: Open) -> None:
        decoder, book = self._decoder, self._book
        sound = True
        for index, block in enumerate(start()):
            if (book.due or book.attempts.held) and type(block) is Frame:
                for order, change in book.settled(block.time):
                    self._show(index - 0.5, [change], order)  # before whatever this block brings
                if book.cross_linked:
                    self._send("whole", index - 0.5)
                    return
            events = decoder.feed(block)
            if events:
                self._show(index, book.feed(events))
                if decoder.indivisible or book.cross_linked:
                    self._send("whole", index)
                    return
            sound = sound and type(block) is not Torn
            if not index % _BATCH:
                self._send("at", index + 1)
        self._show(_END, book.feed(decoder.finish()))
        for change in book.end():
            if type(change) is Failed:
                self._show(_END + 0.5, [change], order_of(change.failure))
        if book.cross_linked:
            self._send("whole", _END)
            return
        self._send("sound" if sound else "torn", _END + 1)

    def _show(self, index: float, changes: Sequence[Change], order: Order | None = None) -> None:
        """What is rendered at a place; order: which one it is there, else the connection's number says so."""
        for change in changes:
            if type(change) is Ended:
                number = change.exchange.connection.number
            elif type(change) is Failed:
                number = change.failure.connection.number if change.failure.connection is not None else 0
                if number % self._share[1] != self._share[0]:
                    continue  # it is another worker's
            else:
                continue
            self._place = index, order or number
            for view in self._views:
                view.change(change)

    def _send(self, what: str, index: float) -> None:
        """Everything before `index` is rendered by this worker; of what comes after it nothing may be used."""
        pieces = [piece for piece in self._pieces if piece[0] < index] if what == "whole" else self._pieces
        message = marshal.dumps((what, index, pieces))
        self._pieces = []
        view = memoryview(len(message).to_bytes(8, "big") + message)
        while view:
            view = view[os.write(self._pipe, view) :]


def _merge(pipes: dict[int, int], leaves: Sequence[Independent]) -> Result:
    """Write pieces as they become final. What is written is left out by the views, if they are shown all once more."""
    result = Result()
    buffers = {pipe: bytearray() for pipe in pipes}
    at = dict.fromkeys(pipes, 0)
    pieces: list[Piece] = []
    stopped = False
    while not all(place > _END for place in at.values()) and not stopped:
        slowest = min(at.values())
        wanted = [pipe for pipe, place in at.items() if place <= min(slowest + AHEAD, _END)]
        for pipe in select.select(wanted, [], [])[0]:
            data = os.read(pipe, 1 << 20)
            if not data:
                raise RuntimeError("a worker has failed")
            buffers[pipe] += data
            for what, index, more in _messages(buffers[pipe]):
                at[pipe] = index
                pieces += more
                stopped = stopped or what == "whole"
                result.sound = result.sound and what != "torn"
        _write(pieces, min(at.values()), leaves)
    result.done = not stopped
    return result


def _write(pieces: list[Piece], final: float, leaves: Sequence[Independent]) -> None:
    """Take those before `final` and write them in order."""
    pieces.sort(key=_place)  # nearly sorted already, which this sort likes
    ready = 0
    while ready < len(pieces) and pieces[ready][0] < final:
        _, _, number, piece = pieces[ready]
        leaves[number].put(piece)
        leaves[number].skip += 1
        ready += 1
    if ready:
        del pieces[:ready]
        for leaf in leaves:
            leaf.tick(0)


def _place(piece: Piece) -> tuple[float, Any]:
    return piece[0], piece[1]


def _messages(buffer: bytearray) -> Iterator[tuple[str, int, list[Piece]]]:
    """Take the whole messages off the front."""
    while len(buffer) >= 8 and len(buffer) >= 8 + (size := int.from_bytes(buffer[:8], "big")):
        message = marshal.loads(buffer[8 : 8 + size])
        del buffer[: 8 + size]
        yield message
