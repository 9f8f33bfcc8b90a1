"""Changes: what the book makes of the decoder's events, and what views show.

May hold: values. May not hold: imports that are slow to load, because many runs have no change at all.
"""

from __future__ import annotations

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.decode.events import Message, Trouble
    from hark.model.exchange import Connection, Exchange
    from hark.model.failure import Failure


class Began(Record):
    """A request was sent."""

    exchange: Exchange


class Upgraded(Record):
    """An exchange has become a WebSocket. Messages follow."""

    exchange: Exchange


class MessageSeen(Record):
    """A message inside an exchange: of a WebSocket, of server-sent events, of gRPC."""

    exchange: Exchange
    message: Message


class Answered(Record):
    """The head of the final response has arrived. Made only if the book has `steps`."""

    exchange: Exchange


class Ended(Record):
    """An exchange is over, complete or not."""

    exchange: Exchange


class Failed(Record):
    """A connection failed or was not decrypted, or a name was not resolved."""

    failure: Failure


class Superseded(Record):
    """An attempt that failed while another one of the same process succeeded: another address, another name of a search
    list, a spare connection. It is no failure; the terminal shows it on request."""

    failure: Failure


class OtherProtocol(Record):
    """A connection that carried another protocol: connection.protocol is its name, "" if it is not known."""

    connection: Connection


class PassedOver(Record):
    """Frames that were not decoded. what: their protocol; harmless: it never carries HTTP."""

    what: str
    frames: int
    harmless: bool = False


class RecordingTrouble(Record):
    """A fault of the recording itself."""

    trouble: Trouble


Change = (
    Began
    | Answered
    | Upgraded
    | MessageSeen
    | Ended
    | Failed
    | Superseded
    | OtherProtocol
    | PassedOver
    | RecordingTrouble
)
