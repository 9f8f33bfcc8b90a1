"""The events that the decoder returns. Times are nanoseconds since the epoch, sizes are bytes.

May hold: values. May not hold: state. Most are named tuples. The four that every exchange has are classes with slots,
which are faster to create and read: a busy connection has thousands per second. No event is changed after it is made.
`conn` numbers connections from 1 in the order in which they were captured, `stream` the exchanges of a connection.
"""

from typing import NamedTuple

from hark.decode.endings import Ending
from hark.decode.endings import Side as Side
from hark.decode.troubles import TroubleKind as TroubleKind
from hark.decode.undecrypted import Cause
from hark.recording.blocks import Entry, Names, Process

Headers = tuple[tuple[bytes, bytes], ...]


class Value:
    """Base of events that compare by their fields."""

    __slots__: tuple[str, ...] = ()

    def _parts(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((type(self), self._parts()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"


class Opened(NamedTuple):
    """A connection attempt. Addresses are (text, port)."""

    conn: int
    time: int
    client: tuple[str, int]
    server: tuple[str, int]
    pid: int
    through: int = 0  # the connection in which this one is a tunnel (a CONNECT stream of HTTP/2 or HTTP/3)
    udp: bool = False  # QUIC
    foreign: bool = False  # in another decoder's share: its contents are not decoded here


class Established(NamedTuple):
    """The server accepted the connection."""

    conn: int
    time: int


class Closed(NamedTuple):
    """A connection ended. ending: how, by the side that ended it first."""

    conn: int
    time: int
    ending: Ending
    sent: int  # payload bytes of the client
    received: int  # payload bytes of the server


class Noted(NamedTuple):
    """A note of the recorder on a connection: what packets do not show."""

    conn: int
    time: int
    kind: str
    fields: tuple[tuple[str, str], ...]


class TlsFacts(NamedTuple):
    """A TLS session: after each hello (done is 0), and again when the handshake is complete. started, done: when the
    handshake began and was complete."""

    conn: int
    time: int
    started: int
    done: int
    version: str
    cipher: str
    sni: str
    alpn: str
    resumed: bool
    source: str  # which key source decrypted it; "" while it is not decrypted
    client_random: bytes
    ech: bool = False  # Encrypted Client Hello was offered: sni may be the public name only


class Certificates(NamedTuple):
    """The certificate chain that `side` sent, DER, its own certificate first."""

    conn: int
    time: int
    side: Side
    chain: tuple[bytes, ...]


class Encrypted(NamedTuple):
    """A TLS or QUIC connection that was not decrypted; returned when it ends."""

    conn: int
    time: int
    sni: str
    version: str
    size: int  # bytes of ciphertext
    cause: Cause
    refused: bool = False  # by the sizes of its records the client sent no Finished: it aborted the handshake


class Alert(NamedTuple):
    """A TLS alert of `side`; code 0 is close_notify (RFC 8446 §6)."""

    conn: int
    time: int
    side: Side
    code: int


class GoingAway(NamedTuple):
    """An HTTP/2 connection is ended with an error (RFC 9113 §6.8)."""

    conn: int
    time: int
    ending: Ending


class NotTls(NamedTuple):
    """The server answered a ClientHello in another protocol: "HTTP", another name, or "" if hark does not know it."""

    conn: int
    time: int
    protocol: str


class Protocol(NamedTuple):
    """The protocol of a connection from here on: "http/1.1", "h2", "websocket" …, the name of one that hark recognizes
    and does not decode ("ssh"), or "" for an unknown one."""

    conn: int
    time: int
    name: str


class Proxied(NamedTuple):
    """A PROXY protocol header: a proxy made the connection on behalf of one between these ends."""

    conn: int
    time: int
    client: tuple[str, int]
    server: tuple[str, int]


class RequestHead(Value):
    """A request line with its headers, or the header block of an HTTP/2 or HTTP/3 request without pseudo headers.

    started: when its first byte came; target: as sent, in origin, absolute, authority or asterisk form; scheme,
    authority: of HTTP/2 and HTTP/3, else ""; size: bytes on the wire, -1 if it was captured in part; protocol: of an
    extended CONNECT (RFC 8441 §4); line: the first line of HTTP/1 as sent, if it is malformed."""

    __slots__ = (
        "authority", "conn", "headers", "line", "method", "protocol", "scheme", "size", "started", "stream", "target",
        "time", "version",
    )  # fmt: skip

    def __init__(
        self,
        conn: int,
        stream: int,
        time: int,
        started: int,
        method: str,
        target: str,
        scheme: str,
        authority: str,
        version: str,
        headers: Headers,
        size: int,
        protocol: str = "",
        line: str = "",
    ) -> None:
        self.conn = conn
        self.stream = stream
        self.time = time
        self.started = started
        self.method = method
        self.target = target
        self.scheme = scheme
        self.authority = authority
        self.version = version
        self.headers = headers
        self.size = size
        self.protocol = protocol
        self.line = line


class ResponseHead(Value):
    """A status line with its headers. started: when its first byte came; interim: it is a 1xx."""

    __slots__ = (
        "conn", "headers", "interim", "reason", "size", "started", "status", "stream", "time", "version",
    )  # fmt: skip

    def __init__(
        self,
        conn: int,
        stream: int,
        time: int,
        started: int,
        status: int,
        reason: str,
        version: str,
        headers: Headers,
        size: int,
        interim: bool,
    ) -> None:
        self.conn = conn
        self.stream = stream
        self.time = time
        self.started = started
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.size = size
        self.interim = interim


class BodyData(Value):
    """A piece of a body, transfer codings removed, content codings not. data is valid until the next feed."""

    __slots__ = ("conn", "data", "side", "stream", "time")

    def __init__(self, conn: int, stream: int, side: Side, time: int, data: bytes | memoryview) -> None:
        self.conn = conn
        self.stream = stream
        self.side = side
        self.time = time
        self.data = data


class MessageEnd(Value):
    """A request or response is complete."""

    __slots__ = ("conn", "side", "stream", "time", "trailers")

    def __init__(self, conn: int, stream: int, side: Side, time: int, trailers: Headers) -> None:
        self.conn = conn
        self.stream = stream
        self.side = side
        self.time = time
        self.trailers = trailers


class Message(NamedTuple):
    """A message within an open exchange. kind: of a WebSocket "text", "binary", "ping", "pong" or "close"; of
    server-sent events "event"; of gRPC "grpc", "trailers" (gRPC-web), "sealed" if its compression is unknown."""

    conn: int
    stream: int
    side: Side
    time: int
    kind: str
    data: bytes  # the beginning of the message, bounded
    size: int  # bytes of the whole message
    name: str = ""  # of a server-sent event
    id: str = ""  # of a server-sent event
    wrong: str = ""  # why it is incomplete


class Unwanted(NamedTuple):
    """The server has sent its complete response and does not need the rest of the request (RFC 9113 §8.1), some of
    which may still come."""

    conn: int
    stream: int
    time: int


class Aborted(NamedTuple):
    """An exchange that stays incomplete: because of `ending`, or, if hark cannot decode it, of `why`, a clause."""

    conn: int
    stream: int
    time: int
    why: str
    ending: Ending | None = None


class Dns(NamedTuple):
    """A DNS question with its answer. asked: when the question was captured; name and qtype are the question's; rcode
    is "" if no answer came."""

    time: int
    asked: int
    name: str
    qtype: str
    rcode: str
    addresses: tuple[str, ...]
    pid: int
    conn: int = 0  # the connection that carried it; 0: a datagram


class PassedOver(NamedTuple):
    """Frames that were not decoded, counted at the end of the recording. what: their protocol; harmless: it never
    carries HTTP."""

    time: int
    what: str
    frames: int
    harmless: bool = False


class Trouble(NamedTuple):
    """What was not captured or cannot be decoded. stream: the exchange that it concerns, which continues; -1: the whole
    connection. side: the sender of an incomplete body."""

    time: int
    kind: TroubleKind
    conn: int
    text: str
    stream: int = -1
    side: Side | None = None


Event = (
    Opened
    | Established
    | Closed
    | Noted
    | TlsFacts
    | Certificates
    | Encrypted
    | Alert
    | GoingAway
    | NotTls
    | Protocol
    | Proxied
    | RequestHead
    | ResponseHead
    | BodyData
    | MessageEnd
    | Message
    | Aborted
    | Unwanted
    | Dns
    | Trouble
    | PassedOver
    | Process
    | Names
    | Entry
)
