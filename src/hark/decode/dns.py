"""DNS questions and answers: over UDP, and over TCP or TLS (RFC 1035 §4.2, RFC 7766, RFC 7858).

What   Matches answers to questions by id and addresses. Each answer is reported, and each question that got none.
Limits QUESTIONS at a time; past it the oldest is forgotten.
"""

from collections.abc import Hashable, Sequence
from typing import Final

from hark.bounded import Bounded
from hark.decode import limits
from hark.decode.endings import Ending
from hark.decode.events import Dns, Event, Side
from hark.decode.layer import Data, Layer
from hark.wire import dns

_NEVER: Final = b"\xff\xff"  # the length of a message that does not come


class Matcher:
    """Questions without an answer, by whatever identifies a question and its answer."""

    def __init__(self) -> None:
        self._questions: Bounded[Hashable, tuple[int, str, str, int, int]] = Bounded(limits.QUESTIONS)

    def question(self, key: Hashable, message: dns.Message, time: int, pid: int, conn: int = 0) -> None:
        """A question. pid: the process that sent it, 0 if unknown; conn: the connection that carries it, 0 for a
        datagram."""
        self._questions.setdefault(key, (time, message.name, _kind(message), pid, conn))

    def answer(self, key: Hashable, message: dns.Message, time: int) -> Sequence[Event]:
        """An answer: its event, if its question was captured."""
        question = self._questions.pop(key, None)
        if question is None:
            return ()
        rcode = dns.RCODES.get(message.rcode, str(message.rcode))
        sent, _, _, pid, conn = question
        return (Dns(time, sent, message.name, _kind(message), rcode, message.addresses, pid, conn),)

    def finish(self, time: int) -> list[Event]:
        """No more answers will come."""
        out: list[Event] = [
            Dns(time, sent, name, kind, "", (), pid, conn) for sent, name, kind, pid, conn in self._questions.values()
        ]
        self._questions.clear()
        return out


class Stream(Layer):
    """DNS over a byte stream: each message after its length."""

    def __init__(self, conn: int) -> None:
        self._conn = conn
        self._matcher = Matcher()
        self._buffers = [b"", b""]

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        out: list[Event] = []
        buffer = self._buffers[side] + bytes(data)
        while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2], "big"):
            size = 2 + int.from_bytes(buffer[:2], "big")
            message = dns.parse(buffer[2:size])
            buffer = buffer[size:]
            if message is None:
                continue
            if side == Side.CLIENT and not message.response:
                self._matcher.question(message.ident, message, time, 0, self._conn)
            elif side == Side.SERVER and message.response:
                out.extend(self._matcher.answer(message.ident, message, time))
        self._buffers[side] = buffer
        return out

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """A gap: it is unknown where the next message begins."""
        self._buffers[side] = _NEVER
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        return self._matcher.finish(ending.time)


def _kind(message: dns.Message) -> str:
    return dns.TYPES.get(message.qtype, str(message.qtype))
