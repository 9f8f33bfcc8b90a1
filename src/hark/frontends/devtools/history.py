"""Everything that was heard, for frontends that connect later and for bodies that are asked for.

What   For each exchange its events as WebSocket frames ready to be sent, and its entry; both in a file without a name,
       by offset. What goes on is kept in memory, as little as it is.
Why    A frontend gets the history on connecting, again and again; a body is looked at once or never.
Limits MESSAGES frames of an exchange that goes on are kept, ORIGINS origins with TLS known; the file is bounded by the
       disk alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hark.frontends.devtools import events
from hark.frontends.spool import Spool
from hark.views.entries import decode, encode
from hark.wire.websocket import FIN, TEXT

if TYPE_CHECKING:
    from hark.model.entry import Entry

Json = dict[str, Any]
_MESSAGES = 1000
_ORIGINS = 10_000


def frame(payload: bytes) -> bytes:
    """A text message to a client, in one frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((FIN | TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((FIN | TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((FIN | TEXT, 127)) + size.to_bytes(8, "big") + payload


def frames(told: list[events.Event]) -> bytes:
    """Events as frames."""
    return b"".join(frame(encode({"method": method, "params": params})) for method, params in told)


class Record:
    """An exchange. index: its place in the order in which exchanges began."""

    __slots__ = ("answered", "entry", "index", "over", "place", "said")

    def __init__(self, index: int) -> None:
        self.index = index
        self.answered = False
        self.over = False
        self.said: list[bytes] = []  # frames while it goes on
        self.place = (0, 0)  # of its frames in the file, once it is over
        self.entry = (0, 0)  # of its entry


class History:
    """Takes a feed's lines. tell(record, frames) is called with what is new about a record."""

    def __init__(self, tell: Callable[[Record, bytes], None]) -> None:
        self._tell = tell
        self._spool = Spool()
        self._open: dict[int, Record] = {}
        self.records: list[Record] = []
        self._by_id: dict[str, Record] = {}
        self.secure: dict[str, bytes] = {}  # by origin: the end of its first exchange by TLS, as frames

    def feed(self, told: Json, line: bytes) -> None:
        """One line of the feed, as a value and as it came."""
        what, n = told["what"], told.get("n", 0)
        if what == "began":
            self._say(self._record(n), events.began(n, told["entry"]))
        elif what in ("answered", "upgraded"):
            self._answered(n, told["entry"])
        elif what == "spoke":
            record = self._open.get(n)
            if record is not None and len(record.said) < _MESSAGES:
                self._say(record, events.spoke(n, told["message"]))
        elif what == "ended":
            self._ended(n, told["entry"], line)
        elif what == "failed":
            self._failed(told["entry"], line)

    def replay(self, record: Record) -> bytes:
        """All frames of a record so far."""
        return self._spool.read(record.place) if record.over else b"".join(record.said)

    def entry(self, identity: str) -> Entry | None:
        """The entry of a request that is over; None where there is none."""
        record = self._by_id.get(identity)
        if record is None or not record.entry[1]:
            return None
        entry: Entry = decode(self._spool.read(record.entry))["entry"]
        return entry

    def known(self, identity: str) -> bool:
        """Whether there is such a request."""
        return identity in self._by_id

    def _record(self, n: int, identity: str = "") -> Record:
        record = Record(len(self.records))
        self.records.append(record)
        self._by_id[identity or events.identity(n)] = record
        if not identity:
            self._open[n] = record
        return record

    def _say(self, record: Record, told: list[events.Event]) -> None:
        data = frames(told)
        record.said.append(data)
        self._tell(record, data)

    def _answered(self, n: int, entry: Entry) -> None:
        record = self._open.get(n)
        if record is not None and not record.answered:
            record.answered = True
            self._say(record, events.answered(n, entry))

    def _ended(self, n: int, entry: Entry, line: bytes) -> None:
        answered, last = frames(events.answered(n, entry)), events.ended(n, entry)
        end = frames(last)
        whole = frames(events.began(n, entry)) + answered + frames(events.messages(n, entry)) + end
        record = self._open.pop(n, None)
        if record is None:  # its begin was not told
            record = self._record(n)
            del self._open[n]
            news = whole
        else:
            news = end if record.answered else answered + end
        if "_tls" in entry and entry["response"]["status"] > 0 and len(self.secure) < _ORIGINS:
            self.secure.setdefault("/".join(entry["request"]["url"].split("/", 3)[:3]), frames(last[-1:]))
        record.entry = self._spool.write(line)
        self._close(record, whole, news)

    def _close(self, record: Record, data: bytes, news: bytes) -> None:
        record.place = self._spool.write(data)
        record.over = True
        record.said = []
        self._tell(record, news)

    def _failed(self, entry: Entry, line: bytes) -> None:
        """A row for what is no exchange."""
        name = f"hark.failed.{len(self.records)}"
        record = self._record(0, name)
        record.entry = self._spool.write(line)
        data = frames(events.failed(name, entry))
        self._close(record, data, data)
