"""How connections and exchanges end: by which side, how, when, and in which phase.

May hold: enums and values that all protocols share. May not hold: text for people (model/clauses.py has it).
"""

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple


class Side(IntEnum):
    """An end of a connection: the sender of the bytes in question."""

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
    """What ended a connection or a stream, as it was captured."""

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
    SILENCE = "silence"  # the other end never sent a byte, or stopped, until one side gave up
    OPEN = "open"  # the recording ended first
    ABANDONED = "abandoned"  # hark stopped decoding it (a limit); detail says which


class Phase(StrEnum):
    """How far a connection or an exchange had come."""

    NAME = "name"  # resolving the name
    CONNECT = "connect"  # SYN sent, no SYN-ACK
    TLS = "tls"  # handshake begun, not complete
    IDLE = "idle"  # connected (and TLS complete), no request in progress
    REQUEST = "request"  # the request is being sent
    WAITING = "waiting"  # request complete, no response yet
    BODY = "body"  # the response has begun and is not complete


class Then(NamedTuple):
    """What followed the client's FIN where nothing shows whether the client was still reading: the side that acted
    (None: neither), how, when (ns since the epoch)."""

    side: Side | None
    how: How
    time: int


class Ending(NamedTuple):
    """An end that was captured. side: who caused it, None where that is unknown. time: ns since the epoch. since: when
    the last packet before it was captured, if the end is that nothing more came; when the client acknowledged bytes
    that came after its own FIN, if the end is the client's reset; 0 otherwise. then: set if the client has sent a FIN
    and may have exited or only half-closed the connection."""

    side: Side | None
    how: How
    time: int
    detail: str = ""
    since: int = 0
    then: Then | None = None


# ns after its request within which a client's FIN may be a half-close, as `nc -N` does it. A FIN that comes later, and
# after which no response follows, is that of a client that gave up.
_HALF_CLOSE: Final = 100_000_000
# ns within which an end or a reset is a reaction to what came before it; later it has a cause of its own.
_REACTION: Final = 1_000_000_000


class Ends:
    """The ends of one connection's two directions: which side ended the connection first.

    Why    The FIN of one side makes the other side send its own, so the last packet of a connection does not say who
           ended it. A client that has sent everything may close its direction only, and continue to read (RFC 9293
           §3.6): its FIN looks like that of a client that has exited. What follows decides: a client that has exited
           answers further bytes by a reset. If no bytes follow, it cannot be decided, and both ends are reported."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        self.first: Ending | None = None

    def add(self, side: Side, how: How, time: int) -> None:
        """`side` has ended its direction at `time`."""
        if self.first is None:
            self.first = Ending(side, how, time)

    def client_first(self) -> Ending | None:
        """The client's end, if it was the first: the client may have exited."""
        first = self.first
        return first if first is not None and first.side == Side.CLIENT else None

    def may_read(self, sent: int, received: int) -> bool:
        """Whether the client probably read a response that ends with the connection. sent: when its request was
        complete (0: it was not); received: when the server's last byte came. Both ns since the epoch."""
        left = self.client_first()
        return left is None or received > left.time or (sent > 0 and left.time - sent < _HALF_CLOSE)

    def cause(self, last: Ending, sent: int = 0, received: int = 0) -> Ending:
        """What ended an incomplete response, judged by everything up to the connection's end `last`."""
        first = self.first
        if first is None:
            return last
        if first.side != Side.CLIENT or not sent:
            return first
        if last.side == Side.CLIENT:  # an immediate reset is the reaction of a client that has exited, not a decision
            return last if last.since or last.time - max(first.time, received) > _REACTION else first
        if received > first.time:
            return last  # the client accepted bytes after its own FIN
        late = last.side == Side.SERVER and last.time - first.time > _REACTION
        if late or first.time - sent < _HALF_CLOSE:
            return first._replace(then=Then(last.side, last.how, last.time))
        return first


def unread(last: Ending, came: int) -> bool:
    """Whether the connection's end shows that bytes which came at `came`, after the client's FIN, were not read: a
    closed socket answers them by a reset (RFC 9293 §3.6.1)."""
    return last.side == Side.CLIENT and last.how is How.RST and last.time - came <= _REACTION and last.since < came
