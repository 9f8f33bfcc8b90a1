"""Changes: what the book makes of the decoder's events, and what views show.

May hold: values. May not hold: anything that costs time to load, for whoever waits for changes may never see one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hark.decode.events import Message, Trouble
    from hark.model.exchange import Connection, Exchange
    from hark.model.failure import Failure


class Began(NamedTuple):
    """A request went out."""

    exchange: Exchange


class Upgraded(NamedTuple):
    """An exchange has become a WebSocket: it will last, and messages follow."""

    exchange: Exchange


class Spoke(NamedTuple):
    """A message inside an exchange that lasts: of a WebSocket, of server-sent events, of gRPC."""

    exchange: Exchange
    message: Message


class Answered(NamedTuple):
    """The head of the final response has come. Told only where the book was asked for steps."""

    exchange: Exchange


class Ended(NamedTuple):
    """An exchange is over, whole or not."""

    exchange: Exchange


class Failed(NamedTuple):
    """Something that should have become an exchange and did not, or a connection that could not be decrypted."""

    failure: Failure


class MadeUp(NamedTuple):
    """An attempt that failed, and that the same process made up for: another address, another name of a search list, a
    connection in reserve. It is worth a look, and is no failure."""

    failure: Failure


class SpokeOther(NamedTuple):
    """A connection on which something else was spoken: connection.protocol is its name, "" where it has none here."""

    connection: Connection


class PassedOver(NamedTuple):
    """Frames that were not followed; harmless: they never carry HTTP."""

    what: str
    frames: int
    harmless: bool = False


class Told(NamedTuple):
    """A trouble of the recording itself."""

    trouble: Trouble


Change = Began | Answered | Upgraded | Spoke | Ended | Failed | MadeUp | SpokeOther | PassedOver | Told
