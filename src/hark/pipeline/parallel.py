"""Telling a large recording as JSON on several processors at once.

What   Each worker reads the whole recording and follows its share of the TCP connections (decode/decoder.py); the first
       process puts their lines together in the order in which one process would have written them.
Why    Decoding is bound by the interpreter, which uses one processor. Connections are nearly always independent: only
       their numbers and the order of lines are common, and both follow from what every worker sees.
How    A line's place is (number of the block, number of the connection). Workers tell how far they are; what is before
       the slowest is final and written. Every worker sees how all connections are opened, so each knows which failed
       attempts of its share were made up for by one that came about (model/attempts.py).
Whole  Sometimes connections are not independent: names looked up inside TLS lead to other connections, QUIC, tunnels
       inside streams, too much ciphertext without keys, failures for which a request of another share may make up. The
       worker that meets such a thing stops there; the recording is then told by one process, less the lines that are
       written already. The output is the same to the byte.
Limits AHEAD blocks between the fastest worker and the slowest.
"""

import contextlib
import fcntl
import gc
import marshal
import os
import select
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hark.decode.decoder import Decoder
from hark.model.attempts import order_of
from hark.model.book import Book, Order
from hark.model.changes import Change, Ended, Failed
from hark.model.failure import Failure
from hark.recording.blocks import Block, Frame, Torn
from hark.views.entries import encode
from hark.views.entry import entry

if TYPE_CHECKING:
    from hark.views.schema import Schema

AHEAD = 1 << 18  # blocks
_BATCH = 1 << 10  # blocks between two messages of a worker
_PIPE = 1 << 20  # bytes
_END = 1 << 50  # the place of what is told at the end

Line = tuple[float, Any, bytes]  # block; connection, or the order of what was due before it; text
Open = Callable[[], Iterator[Block]]


class Result:
    """How it went: whether all is told; if so, whether the recording was sound; how many lines were written."""

    def __init__(self) -> None:
        self.done = True
        self.sound = True
        self.lines = 0


def tell(
    start: Open,
    keep: int,
    schema: "Schema | None",
    write: Callable[[bytes], None],
    workers: int,
    with_failures: bool = True,
) -> Result:
    """Tell the recording that `start` opens."""
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
            _Worker((number, workers), theirs, keep, schema, with_failures).run(start)
        os.close(theirs)
        pipes[ours] = number
        pids.append(pid)
    try:
        return _merge(pipes, write)
    finally:
        import signal

        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # it is over, or nobody needs it any more
            os.waitpid(pid, 0)


class _Worker:
    """One share."""

    def __init__(
        self, share: tuple[int, int], pipe: int, keep: int, schema: "Schema | None", with_failures: bool
    ) -> None:
        self._decoder = Decoder(share)
        self._book = Book(keep)
        self._failures = with_failures
        self._share = share
        self._pipe = pipe
        self._schema = schema
        self._lines: list[Line] = []

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
                    self._keep(index - 0.5, [change], order)  # before whatever this block brings
                if book.joined:
                    self._send("whole", index - 0.5)
                    return
            events = decoder.feed(block)
            if events:
                self._keep(index, book.feed(events))
                if decoder.indivisible or book.joined:
                    self._send("whole", index)
                    return
            sound = sound and type(block) is not Torn
            if not index % _BATCH:
                self._send("at", index + 1)
        self._keep(_END, book.feed(decoder.finish()))
        for change in book.end():
            if type(change) is Failed:
                self._keep(_END + 0.5, [change], order_of(change.failure))
        if book.joined:
            self._send("whole", _END)
            return
        self._send("sound" if sound else "torn", _END + 1)

    def _keep(self, index: float, changes: Sequence[Change], order: Order | None = None) -> None:
        """The lines of what is told at a place; order: which one it is there, else the connection's number says so."""
        for change in changes:
            if type(change) is Ended:
                exchange = change.exchange
                line = encode(entry(exchange, self._schema)) + b"\n"
                self._lines.append((index, order or exchange.connection.number, line))
            elif type(change) is Failed and (failure := self._ours(change.failure)) is not None:
                from hark.views import failures  # most recordings have none

                number = failure.connection.number if failure.connection is not None else 0
                self._lines.append((index, order or number, encode(failures.entry(failure)) + b"\n"))

    def _ours(self, failure: Failure) -> Failure | None:
        """The failure, where it is this worker's to tell."""
        number = failure.connection.number if failure.connection is not None else 0
        return failure if self._failures and number % self._share[1] == self._share[0] else None

    def _send(self, what: str, index: float) -> None:
        """Everything before `index` is told by this worker; of what is told after it nothing may be used."""
        lines = [line for line in self._lines if line[0] < index] if what == "whole" else self._lines
        message = marshal.dumps((what, index, lines))
        self._lines = []
        view = memoryview(len(message).to_bytes(8, "big") + message)
        while view:
            view = view[os.write(self._pipe, view) :]


def _merge(pipes: dict[int, int], write: Callable[[bytes], None]) -> Result:
    """Write lines as they become final."""
    result = Result()
    buffers = {pipe: bytearray() for pipe in pipes}
    at = dict.fromkeys(pipes, 0)
    lines: list[Line] = []
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
                lines += more
                stopped = stopped or what == "whole"
                result.sound = result.sound and what != "torn"
        final = min(at.values())
        lines.sort(key=_place)  # nearly sorted already, which this sort likes
        ready = 0
        while ready < len(lines) and lines[ready][0] < final:
            ready += 1
        if ready:
            write(b"".join(line[2] for line in lines[:ready]))
            result.lines += ready
            del lines[:ready]
    result.done = not stopped
    return result


def _place(line: Line) -> tuple[float, Any]:
    return line[0], line[1]


def _messages(buffer: bytearray) -> Iterator[tuple[str, int, list[Line]]]:
    """Take the whole messages off the front."""
    while len(buffer) >= 8 and len(buffer) >= 8 + (size := int.from_bytes(buffer[:8], "big")):
        message = marshal.loads(buffer[8 : 8 + size])
        del buffer[: 8 + size]
        yield message
