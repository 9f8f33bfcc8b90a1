"""Every change as a line of JSON, for another process of hark that shows it: DevTools, watch, the terminal browser, the
Python API.

What   {"what": ..., "n": the exchange's number, "entry": ...} and the like; a failure is told by its entry too.
       `Feed` writes them, `Changes` makes changes of them again, so that any view can stand at the other end.
Why    A view that serves people (windows, connections, keys) must not stand in the teller's way; and one format for all
       of them is one that is tested.
Limits What is not whole yet is told as an entry of what is known so far.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from hark.decode.events import Message, Side, TlsFacts, Trouble
from hark.model.archive import Shelf
from hark.model.changes import (
    Answered,
    Began,
    Change,
    Ended,
    Failed,
    MadeUp,
    PassedOver,
    Spoke,
    SpokeOther,
    Told,
    Upgraded,
)
from hark.model.exchange import Connection, Exchange
from hark.model.failed_entry import failure
from hark.recording.blocks import Process
from hark.views import failures
from hark.views.entries import encode
from hark.views.entry import entry, process
from hark.views.schema import Schema
from hark.views.talks import shown

Json = dict[str, Any]
_STEPS: dict[str, type[Any]] = {"began": Began, "answered": Answered, "upgraded": Upgraded, "ended": Ended}
_NAMES = {kind: name for name, kind in _STEPS.items()}
_BATCH = 1 << 18  # bytes
END = b'{"what":"end"}\n'


class Feed:
    """A view that writes lines."""

    def __init__(self, write: Callable[[bytes], None], schema: Schema | None = None) -> None:
        self._write = write
        self._schema = schema
        self._lines: list[bytes] = []
        self._size = 0

    def change(self, change: Change) -> None:
        """Write it. What was made up for is for a terminal that asks for more, and is not fed."""
        if type(change) is MadeUp:
            return
        line = encode(self._told(change))
        self._lines += (line, b"\n")
        self._size += len(line)
        if self._size > _BATCH:
            self.tick(0)

    def tick(self, now: int) -> None:
        """Write what was gathered."""
        if self._lines:
            lines, self._lines, self._size = self._lines, [], 0
            self._write(b"".join(lines))

    def end(self) -> None:
        """Say that nothing more will come."""
        self._lines.append(END)
        self.tick(0)

    def _told(self, change: Change) -> Json:
        assert not isinstance(change, MadeUp)
        match change:
            case Began() | Answered() | Upgraded() | Ended():
                exchange = change.exchange
                made = entry(exchange, self._schema)
                return {"what": _NAMES[type(change)], "n": exchange.number, "entry": made}
            case Spoke():
                return {"what": "spoke", "n": change.exchange.number, "message": self._message(change)}
            case Failed():
                return {"what": "failed", "entry": failures.entry(change.failure)}
            case SpokeOther():
                return {"what": "other", "connection": _connection(change.connection)}
            case PassedOver():
                return {"what": "passed", "name": change.what, "frames": change.frames, "harmless": change.harmless}
            case Told():
                return {
                    "what": "told",
                    "time": change.trouble.time,
                    "kind": change.trouble.kind,
                    "text": change.trouble.text,
                }

    def _message(self, change: Spoke) -> Json:
        said = change.message
        told: Json = {
            "from": said.side.name.lower(),
            "time": said.time,
            "kind": said.kind,
            "data": b64encode(said.data).decode("ascii"),
            "size": said.size,
            "name": said.name,
            "id": said.id,
        }
        if said.wrong:
            told["wrong"] = said.wrong
        if said.kind == "grpc":
            told["shown"] = shown(change.exchange, said, self._schema)
        return told


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


def _process_of(found: Process | None, pid: int) -> Json | None:
    """A process without its command line, in which secrets may stand: what failed is told by name and id."""
    told = process(found, pid)
    return told | {"cmdline": []} if told and "cmdline" in told else told


def whole_lines(buffer: bytearray) -> list[bytes]:
    """Take the lines that are whole off the front of what has come."""
    end = buffer.rfind(b"\n")
    if end < 0:
        return []
    lines = bytes(buffer[:end]).split(b"\n")
    del buffer[: end + 1]
    return lines


class Changes:
    """Makes changes of a feed's lines."""

    def __init__(self) -> None:
        self._shelf = Shelf()
        self._open: dict[int, Exchange] = {}

    def change(self, told: Json) -> Change | None:
        """The change that a line tells; None for one that is none (the end)."""
        what = told["what"]
        if what in _STEPS:
            exchange = self._shelf.exchange(told["entry"])
            exchange.number = told["n"]
            if what == "ended":
                self._open.pop(exchange.number, None)
            else:
                self._open[exchange.number] = exchange
            made: Change = _STEPS[what](exchange)
            return made
        if what == "spoke":
            return self._spoke(told)
        if what == "failed":
            return Failed(failure(told["entry"]))
        if what == "other":
            return SpokeOther(_connected(told["connection"]))
        if what == "passed":
            return PassedOver(told["name"], told["frames"], told["harmless"])
        if what == "told":
            return Told(Trouble(told["time"], told["kind"], 0, told["text"]))
        return None

    def _spoke(self, told: Json) -> Spoke | None:
        exchange = self._open.get(told["n"])
        if exchange is None:
            return None
        said = told["message"]
        data, kind = b64decode(said["data"]), said["kind"]
        if "shown" in said:
            kind, data = "text", said["shown"].encode("utf-8", "replace")
        side = Side.CLIENT if said["from"] == "client" else Side.SERVER
        number, stream = exchange.connection.number, exchange.stream
        size, wrong = said["size"], said.get("wrong", "")
        message = Message(number, stream, side, said["time"], kind, data, size, said["name"], said["id"], wrong)
        return Spoke(exchange, message)


def _connected(told: Json) -> Connection:
    found = _process(told["process"], tuple(told["tls"]))
    pid = found.pid if found is not None else (told["process"] or {}).get("pid", 0)
    ends = (told["client"][0], told["client"][1]), (told["server"][0], told["server"][1])
    made = Connection(told["number"], told["opened"], *ends, pid, found)
    made.established, made.name, made.protocol = told["established"], told["name"], told["protocol"]
    if told["sni"]:
        made.tls = TlsFacts(made.number, 0, 0, 0, "", "", told["sni"], "", False, "", b"")
    return made


def _process(told: Json | None, tls: tuple[str, ...] = ()) -> Process | None:
    if not told or "name" not in told:
        return None
    cmdline = tuple(told["cmdline"])
    return Process(0, told["pid"], told["name"], told["exe"], cmdline, told["ppid"], tls=tls)
