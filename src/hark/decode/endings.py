"""How connections and exchanges end: who ended it, by what, when, and in which phase.

May hold: enums and values, shared by every protocol. May not hold: text for people (model/clauses.py
has it).
"""

from enum import StrEnum
from typing import NamedTuple

from hark.decode.side import Side


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


class Ending(NamedTuple):
    """An end that was seen. side: who caused it, None where that cannot be told. time: ns since the epoch. since: when
    the last packet before it was seen, where the end is that nothing more came; 0 elsewhere."""

    side: Side | None
    how: How
    time: int
    detail: str = ""
    since: int = 0


_AT_ONCE = 100_000_000  # ns behind its request within which a client's FIN is taken for a half-close, as `nc -N` makes
#   one: it still reads. A client that gives up has waited longer than that.


class Ends:
    """The ends of one connection's directions, as they come: who ended it first.

    Why    A FIN of one side makes the other side send its own, so the last thing that is seen on a connection says
           nothing about who wanted its end; and a client that has sent all may close its own direction only."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        self.first: Ending | None = None

    def add(self, side: Side, how: How, time: int) -> None:
        """`side` will send no more."""
        if self.first is None:
            self.first = Ending(side, how, time)

    def left(self, sent: int, began: int) -> Ending | None:
        """The client's leaving in front of the end of a response, if its end was one. sent: when its request was whole,
        began: when the response began; 0: not yet. A client whose own direction ended before the response began reads
        on, where that was at once behind its request (RFC 9293 §3.6)."""
        first = self.first
        if first is None or first.side != Side.CLIENT:
            return None
        half_closed = sent and first.time - sent < _AT_ONCE and (not began or began >= first.time)
        return None if half_closed else first

    def cause(self, last: Ending, sent: int = 0, began: int = 0) -> Ending:
        """What ended a response that is not whole, by all that was seen up to the connection's end `last`."""
        first = self.first
        if first is None:
            return last
        if first.side == Side.CLIENT and last.side != Side.CLIENT and self.left(sent, began) is None:
            return last
        return first
