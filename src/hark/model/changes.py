"""Changes: what the book makes of the decoder's events, and what views show.

May hold: values. May not hold: anything that costs time to load, for whoever waits for changes may never see one.
"""

from __future__ import annotations

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.decode.events import Message, Trouble
    from hark.model.exchange import Connection, Exchange
    from hark.model.failure import Failure


class Began(Record):
    """A request went out."""

    exchange: Exchange


class Upgraded(Record):
    """An exchange has become a WebSocket: it will last, and messages follow."""

    exchange: Exchange


class MessageSeen(Record):
    """A message inside an exchange that lasts: of a WebSocket, of server-sent events, of gRPC."""

    exchange: Exchange
    message: Message


class Answered(Record):
    """The head of the final response has come. Made only where the book was asked for steps."""

    exchange: Exchange


class Ended(Record):
    """An exchange is over, whole or not."""

    exchange: Exchange


class Failed(Record):
    """Something that should have become an exchange and did not, or a connection that could not be decrypted."""

    failure: Failure


class MadeUp(Record):
    """An attempt that failed where another one of the same process succeeded: another address, another name of a search
    list, a connection in reserve. It is worth a look, and is no failure."""

    failure: Failure


class OtherProtocol(Record):
    """A connection that carried another protocol: connection.protocol is its name, "" where it is not known."""

    connection: Connection


class PassedOver(Record):
    """Frames that were not followed; harmless: they never carry HTTP."""

    what: str
    frames: int
    harmless: bool = False


class RecordingTrouble(Record):
    """Something that is wrong with the recording itself."""

    trouble: Trouble


Change = (
    Began | Answered | Upgraded | MessageSeen | Ended | Failed | MadeUp | OtherProtocol | PassedOver | RecordingTrouble
)
