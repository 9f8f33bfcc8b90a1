"""The kinds of trouble that the decoder reports: what was not captured, or cannot be decoded.

May hold: the kinds. May not hold: where a trouble occurred (events.py: Trouble).
"""

from enum import StrEnum


class TroubleKind(StrEnum):
    """The value is the stable name in the feed of a run."""

    NOT_RECORDED = "not-recorded"  # the tap or a key source lost something
    TORN_RECORDING = "torn-recording"  # the file ends within a block, or is damaged
    TCP_OVERLAP = "tcp-overlap"  # two segments differ in the same bytes of a stream
    LOST_BEGINNING = "lost-beginning"  # bytes at the start of a connection were not captured
    LOST_HEAD = "lost-head"  # an HTTP/1 head was captured in part
    LOST_BODY = "lost-body"  # bytes of a body were not captured
    LOST_HTTP = "lost-http"  # HTTP/1 messages may have been lost
    LOST_HTTP2 = "lost-http2"  # HTTP/2 frames were lost, and the HPACK table with them
    LOST_HTTP3 = "lost-http3"  # bytes of an HTTP/3 stream were lost
    BROKEN_HTTP = "broken-http"  # HTTP/1 that does not follow RFC 9112
    SURPLUS_HTTP = "surplus-http"  # the server sent bytes that belong to no response
    BROKEN_HTTP2 = "broken-http2"
    BROKEN_HTTP3 = "broken-http3"
    BROKEN_QUIC = "broken-quic"  # a packet was decrypted and its frames cannot be parsed
    BROKEN_WEBSOCKET = "broken-websocket"
    PUSH = "push"  # HTTP/3 server push, which is not decoded
