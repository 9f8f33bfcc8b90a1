"""DNS questions and answers: over UDP, and over TCP or TLS (RFC 1035 §4.2, RFC 7766, RFC 7858).

What   Matches answers to questions by id and ends; what is told is the answer, or, at the end, that none came.
Limits QUESTIONS wait at a time; past it the oldest is forgotten.
"""

from collections.abc import Hashable, Sequence

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Dns, Event, Side
from hark.wire import dns


class Matcher:
    """Questions without an answer. pid: the process that asks, where packets say it; conn: the connection, if one."""

    def __init__(self) -> None:
        self._questions: dict[Hashable, tuple[int, str, str, int, int]] = {}

    def question(self, key: Hashable, message: dns.Message, time: int, pid: int, conn: int = 0) -> None:
        """Somebody asks."""
        if len(self._questions) >= limits.QUESTIONS:
            del self._questions[next(iter(self._questions))]
        self._questions.setdefault(key, (time, message.name, _kind(message), pid, conn))

    def answer(self, key: Hashable, message: dns.Message, time: int) -> Sequence[Event]:
        """Somebody answers."""
        asked = self._questions.pop(key, None)
        if asked is None:
            return ()
        rcode = dns.RCODES.get(message.rcode, str(message.rcode))
        return (Dns(time, asked[0], message.name, _kind(message), rcode, message.addresses, asked[3], asked[4]),)

    def finish(self, time: int) -> list[Event]:
        """No answers will come."""
        out: list[Event] = [
            Dns(time, when, name, kind, "", (), pid, conn) for when, name, kind, pid, conn in self._questions.values()
        ]
        self._questions.clear()
        return out


class Stream:
    """DNS over a byte stream: each message behind its length."""

    def __init__(self, conn: int) -> None:
        self._conn = conn
        self._matcher = Matcher()
        self._buffers = [b"", b""]

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
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
        """A hole: where the next message begins is not known any more."""
        self._buffers[side] = b"\xff\xff"
        return ()

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """`side` will send no more."""
        return ()

    def close(self, ending: Ending) -> Sequence[Event]:
        """The connection is over."""
        return self._matcher.finish(ending.time)


def _kind(message: dns.Message) -> str:
    return dns.TYPES.get(message.qtype, str(message.qtype))
