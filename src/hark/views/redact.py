"""Redaction: the views that get their changes from here see no secrets.

What   Each change is made again from its entry, in which secrets are replaced by marks (redaction/). Equal secrets have
       equal marks in one run; the salt is random, so that they differ in another run.
Why    As a view that passes changes on: the other views need not know of it, and cannot see more.
Limits Packets are not changed: a pcapng is never redacted.
"""

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

from hark.decode.events import Message
from hark.model.changes import Answered, Began, Change, Ended, Failed, MessageSeen, OtherProtocol, Upgraded
from hark.model.exchange import Connection, Exchange
from hark.model.failed_entry import failure
from hark.model.imported import EntryReader, ImportedExchange
from hark.recording.blocks import Process
from hark.views import failures
from hark.views.entry import entry
from hark.views.messages import readable
from hark.views.redaction.entry import Redaction
from hark.views.view import Passing, View

if TYPE_CHECKING:
    from hark.views.schema import Schema


class Redacted(Passing):
    """Passes on changes without secrets; schema gives gRPC messages their field names."""

    def __init__(self, views: Sequence[View], salt: bytes, schema: "Schema | None" = None) -> None:
        super().__init__(views)
        self._schema = schema
        self._redaction = Redaction(salt)
        self._reader = EntryReader()
        self._open: dict[int, ImportedExchange] = {}

    def change(self, change: Change) -> None:
        """Pass it on, redacted."""
        if isinstance(change, Began | Answered | Upgraded | Ended):
            redacted = self._exchange(change.exchange)
            if isinstance(change, Ended):
                self._open.pop(redacted.number, None)
            else:
                self._open[redacted.number] = redacted
            change = type(change)(redacted)
        elif isinstance(change, MessageSeen):
            exchange = self._open.get(change.exchange.number) or self._exchange(change.exchange)
            change = MessageSeen(exchange, self._message(change.exchange, change.message))
        elif isinstance(change, Failed):
            change = Failed(failure(self._redaction.entry(failures.entry(change.failure))))
        elif isinstance(change, OtherProtocol):
            change = OtherProtocol(self._connection(change.connection))
        self._pass(change)

    def _exchange(self, exchange: Exchange) -> ImportedExchange:
        result = self._reader.exchange(self._redaction.entry(entry(exchange, self._schema)))
        result.number, result.keep = exchange.number, exchange.keep
        return result

    def _connection(self, connection: Connection) -> Connection:
        result = copy(connection)
        result.process = self._process(connection.process)
        return result

    def _process(self, process: Process | None) -> Process | None:
        if process is None:
            return None
        return process._replace(cmdline=tuple(self._redaction.words(process.cmdline)))

    def _message(self, exchange: Exchange, message: Message) -> Message:
        """A message without secrets. A gRPC message becomes its text, because its bytes could not be redacted and
        remain valid."""
        hide = self._redaction.message
        if message.kind == "grpc":
            text = hide(readable(exchange, message, self._schema))
            message = message._replace(kind="text", data=text.encode("utf-8", "surrogateescape"))
        elif message.kind == "close":
            message = message._replace(data=message.data[:2] + self._redaction.data(message.data[2:]))
        else:
            message = message._replace(data=self._redaction.data(message.data))
        return message._replace(name=hide(message.name), id=hide(message.id))
