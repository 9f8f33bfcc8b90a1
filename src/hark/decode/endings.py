"""How connections and exchanges end: who ended it, by what, when, and in which phase.

May hold: enums and values, shared by every protocol. May not hold: text for people (views put it into words).
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
    EXIT = "exit"  # the program's process was gone
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
    """An end that was seen. side: who caused it, None where that cannot be told. time: ns since the epoch."""

    side: Side | None
    how: How
    time: int
    detail: str = ""
