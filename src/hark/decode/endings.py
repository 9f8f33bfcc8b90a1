"""How connections and exchanges end: who ended it, by what, when, and in which phase.

May hold: enums and values, shared by every protocol. May not hold: text for people (model/clauses.py
has it).
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Side(IntEnum):
    """An end of a connection: who sent the bytes."""

    CLIENT = 0
    SERVER = 1

    @property
    def word(self) -> str:
        """ "client" or "server"."""
        return self.name.lower()

    @property
    def other(self) -> "Side":
        """The opposite end."""
        return Side(1 - self)


class How(StrEnum):
    """What was seen that ended a connection or a stream."""

    FIN = "fin"  # orderly end of a TCP direction (RFC 9293 §3.6)
    RST = "rst"  # TCP reset (RFC 9293 §3.5)
    REFUSED = "refused"  # RST in answer to a SYN, or ICMP port unreachable
    UNREACHABLE = "unreachable"  # ICMP: network or host
    CLOSE_NOTIFY = "close-notify"  # TLS closure alert (RFC 8446 §6.1)
    ALERT = "alert"  # fatal TLS alert (RFC 8446 §6.2); detail is its name
    GOAWAY = "goaway"  # HTTP/2 (RFC 9113 §6.8), HTTP/3 (RFC 9114 §5.2); detail is the error code's name
    STREAM_RESET = "stream-reset"  # RST_STREAM or RESET_STREAM; detail is the error code's name
    CONNECTION_CLOSE = "connection-close"  # QUIC (RFC 9000 §10.2); detail is the error
    CLOSE_FRAME = "close-frame"  # WebSocket (RFC 6455 §5.5.1)
    SILENCE = "silence"  # the other end never sent a byte, or stopped, until somebody gave up
    OPEN = "open"  # the recording ended first
    ABANDONED = "abandoned"  # hark stopped following it (a limit); detail says which


class Phase(StrEnum):
    """How far it had come."""

    NAME = "name"  # resolving the name
    CONNECT = "connect"  # SYN sent, no SYN-ACK
    TLS = "tls"  # handshake begun, not complete
    IDLE = "idle"  # connected (and TLS complete), no request in progress
    REQUEST = "request"  # the request is being sent
    WAITING = "waiting"  # request complete, no response yet
    BODY = "body"  # the response has begun and is not complete


class Then(NamedTuple):
    """What came behind a client's end of which it cannot be told whether the client still read: by whom (None: nobody),
    how, when."""

    side: Side | None
    how: How
    time: int


class Ending(NamedTuple):
    """An end that was seen. side: who caused it, None where that cannot be told. time: ns since the epoch. since: when
    the last packet before it was seen, where the end is that nothing more came; when a client acknowledged bytes behind
    its own FIN, where it sends a reset; 0 elsewhere. then: set where the client has ended its own direction and may
    have gone or only half-closed it."""

    side: Side | None
    how: How
    time: int
    detail: str = ""
    since: int = 0
    then: Then | None = None


_AT_ONCE = 100_000_000  # ns behind its request within which a client's FIN may well be a half-close, as `nc -N` makes
#   one. One that comes later and is followed by no answer is a client's that gave up.
_PROMPT = (
    1_000_000_000  # ns within which an end or a reset answers what came before it; later it has a cause of its own
)


class Ends:
    """The ends of one connection's directions, as they come: who ended it first.

    Why    A FIN of one side makes the other side send its own, so the last thing that is seen on a connection says
           nothing about who wanted its end. A client that has sent all may close its own direction only, and read on
           (RFC 9293 §3.6): its FIN is the same as that of a client that has gone. What comes behind it tells: a client
           that is gone answers bytes by a reset. Where no bytes come, nothing tells, and both ends are said."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        self.first: Ending | None = None

    def add(self, side: Side, how: How, time: int) -> None:
        """`side` will send no more."""
        if self.first is None:
            self.first = Ending(side, how, time)

    def left(self) -> Ending | None:
        """The client's end, where it was the first: it may have left."""
        first = self.first
        return first if first is not None and first.side == Side.CLIENT else None

    def may_read(self, sent: int, heard: int) -> bool:
        """Whether the client may well have read what the server ended by its own end. sent: when its request was whole
        (0: not yet); heard: when the server's last byte came."""
        left = self.left()
        return left is None or heard > left.time or (sent > 0 and left.time - sent < _AT_ONCE)

    def cause(self, last: Ending, sent: int = 0, heard: int = 0) -> Ending:
        """What ended a response that is not whole, by all that was seen up to the connection's end `last`."""
        first = self.first
        if first is None:
            return last
        if first.side != Side.CLIENT or not sent:
            return first
        if last.side == Side.CLIENT:  # a reset at once is a gone client's answer to bytes; later it is a decision
            return last if last.since or last.time - max(first.time, heard) > _PROMPT else first
        if heard > first.time:
            return last  # the client took bytes behind its own end
        late = last.side == Side.SERVER and last.time - first.time > _PROMPT
        if late or first.time - sent < _AT_ONCE:
            return first._replace(then=Then(last.side, last.how, last.time))
        return first


def refused(last: Ending, came: int) -> bool:
    """Whether the end of the connection says that bytes which came at `came` behind the client's own end were not read:
    a socket that is gone answers them by a reset (RFC 9293 §3.6.1)."""
    return last.side == Side.CLIENT and last.how is How.RST and last.time - came <= _PROMPT and last.since < came
