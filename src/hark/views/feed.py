"""Every change as a line of JSON, for other processes of hark: DevTools, watch, the terminal browser, the Python API.

What   Lines such as {"what": ..., "n": the exchange's number, "entry": ...}; a failure has an entry too. `Feed` writes
       them, `Changes` turns them back into changes, so that the other process can use any view.
Why    An interactive view must not delay the decoder process; and a single format is tested best.
Limits An exchange in progress has an entry with what is known so far.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hark.decode.events import Message, Side, TlsFacts, Trouble, TroubleKind
from hark.model.changes import (
    Answered,
    Began,
    Change,
    Ended,
    Failed,
    MessageSeen,
    OtherProtocol,
    PassedOver,
    RecordingTrouble,
    Superseded,
    Upgraded,
)
from hark.model.exchange import Connection, Exchange
from hark.model.failed_entry import failure
from hark.model.imported import EntryReader
from hark.recording.blocks import Process
from hark.views import failures
from hark.views.entries import encode
from hark.views.entry import entry, process
from hark.views.messages import readable
from hark.views.schema import Schema
from hark.views.view import Needs, View

if TYPE_CHECKING:
    from hark.model.entry import EntryProcess

Json = dict[str, Any]
_STEPS: dict[str, type[Any]] = {"began": Began, "answered": Answered, "upgraded": Upgraded, "ended": Ended}
_NAMES = {kind: name for name, kind in _STEPS.items()}
_BATCH = 1 << 18  # bytes
END = b'{"what":"end"}\n'


class Feed(View):
    """A view that writes lines."""

    def __init__(self, write: Callable[[bytes], None], schema: Schema | None = None) -> None:
        self._write = write
        self._schema = schema
        self._lines: list[bytes] = []
        self._size = 0

    def needs(self) -> Needs:
        """Everything: the other process may show any of it."""
        return Needs.BODIES | Needs.STEPS

    def change(self, change: Change) -> None:
        """Write it. Superseded attempts are for the terminal alone, and are left out."""
        if type(change) is Superseded:
            return
        line = encode(self._line_of(change))
        self._lines += (line, b"\n")
        self._size += len(line)
        if self._size > _BATCH:
            self.tick(0)

    def tick(self, now: int) -> None:
        """Write the lines."""
        if self._lines:
            lines, self._lines, self._size = self._lines, [], 0
            self._write(b"".join(lines))

    def end(self) -> int:
        """Write the last line."""
        self._lines.append(END)
        self.tick(0)
        return 0

    def _line_of(self, change: Change) -> Json:
        assert not isinstance(change, Superseded)
        match change:
            case Began() | Answered() | Upgraded() | Ended():
                exchange = change.exchange
                value = entry(exchange, self._schema)
                return {"what": _NAMES[type(change)], "n": exchange.number, "entry": value}
            case MessageSeen():
                return {"what": "spoke", "n": change.exchange.number, "message": self._message(change)}
            case Failed():
                return {"what": "failed", "entry": failures.entry(change.failure)}
            case OtherProtocol():
                return {"what": "other", "connection": _connection(change.connection)}
            case PassedOver():
                return {"what": "passed", "name": change.what, "frames": change.frames, "harmless": change.harmless}
            case RecordingTrouble():
                return {
                    "what": "told",
                    "time": change.trouble.time,
                    "kind": change.trouble.kind,
                    "text": change.trouble.text,
                }

    def _message(self, change: MessageSeen) -> Json:
        message = change.message
        fields: Json = {
            "from": message.side.word,
            "time": message.time,
            "kind": message.kind,
            "data": b64encode(message.data).decode("ascii"),
            "size": message.size,
            "name": message.name,
            "id": message.id,
        }
        if message.wrong:
            fields["wrong"] = message.wrong
        if message.kind == "grpc":
            fields["shown"] = readable(change.exchange, message, self._schema)
        return fields


def _connection(connection: Connection) -> Json:
    tls = connection.tls
    return {
        "number": connection.number,
        "opened": connection.opened,
        "established": connection.established,
        "client": connection.client,
        "server": connection.server,
        "name": connection.name,
        "protocol": connection.protocol,
        "sni": tls.sni if tls is not None else "",
        "tls": list(connection.process.tls) if connection.process is not None else [],
        "process": _process_of(connection.process, connection.pid),
    }


def _process_of(known: Process | None, pid: int) -> "EntryProcess | None":
    """A process without its command line, which may have secrets."""
    fields = process(known, pid)
    if fields and "cmdline" in fields:
        fields["cmdline"] = []
    return fields


def whole_lines(buffer: bytearray) -> list[bytes]:
    """Remove the complete lines from the beginning of the buffer, and return them."""
    end = buffer.rfind(b"\n")
    if end < 0:
        return []
    lines = bytes(buffer[:end]).split(b"\n")
    del buffer[: end + 1]
    return lines


class Changes:
    """Turns the lines of a feed into changes."""

    def __init__(self) -> None:
        self._reader = EntryReader()
        self._open: dict[int, Exchange] = {}

    def change(self, line: Json) -> Change | None:
        """The change of a line; None if it has none (the end)."""
        what = line["what"]
        if what in _STEPS:
            exchange = self._reader.exchange(line["entry"])
            exchange.number = line["n"]
            if what == "ended":
                self._open.pop(exchange.number, None)
            else:
                self._open[exchange.number] = exchange
            step: Change = _STEPS[what](exchange)
            return step
        if what == "spoke":
            return self._message_of(line)
        if what == "failed":
            return Failed(failure(line["entry"]))
        if what == "other":
            return OtherProtocol(_connected(line["connection"]))
        if what == "passed":
            return PassedOver(line["name"], line["frames"], line["harmless"])
        if what == "told":
            return RecordingTrouble(Trouble(line["time"], TroubleKind(line["kind"]), 0, line["text"]))
        return None

    def _message_of(self, line: Json) -> MessageSeen | None:
        exchange = self._open.get(line["n"])
        if exchange is None:
            return None
        fields = line["message"]
        data, kind = b64decode(fields["data"]), fields["kind"]
        if "shown" in fields:
            kind, data = "text", fields["shown"].encode("utf-8", "replace")
        side = Side.CLIENT if fields["from"] == "client" else Side.SERVER
        number, stream = exchange.connection.number, exchange.stream
        size, wrong = fields["size"], fields.get("wrong", "")
        message = Message(number, stream, side, fields["time"], kind, data, size, fields["name"], fields["id"], wrong)
        return MessageSeen(exchange, message)


def _connected(fields: Json) -> Connection:
    process = _process(fields["process"], tuple(fields["tls"]))
    pid = process.pid if process is not None else (fields["process"] or {}).get("pid", 0)
    ends = (fields["client"][0], fields["client"][1]), (fields["server"][0], fields["server"][1])
    connection = Connection(fields["number"], fields["opened"], *ends, pid, process)
    connection.established, connection.name, connection.protocol = (
        fields["established"],
        fields["name"],
        fields["protocol"],
    )
    if fields["sni"]:
        connection.tls = TlsFacts(connection.number, 0, 0, 0, "", "", fields["sni"], "", False, "", b"")
    return connection


def _process(fields: Json | None, tls: tuple[str, ...] = ()) -> Process | None:
    if not fields or "name" not in fields:
        return None
    cmdline = tuple(fields["cmdline"])
    return Process(0, fields["pid"], fields["name"], fields["exe"], cmdline, fields["ppid"], tls=tls)
