"""What the decoder tells. Times are nanoseconds since the epoch, sizes bytes.

May hold: values. May not hold: state. Named tuples; the four that every exchange has are plain classes with slots,
which are made and read faster: a busy connection has thousands a second. None is changed once it is made.
`conn` numbers connections from 1 in the order in which they were seen; `stream` numbers the exchanges of one.
"""

from typing import NamedTuple

from hark.decode.endings import Ending
from hark.decode.endings import Side as Side
from hark.recording.blocks import Entry, Names, Process

Headers = tuple[tuple[bytes, bytes], ...]


class Value:
    """What is equal when all its parts are."""

    __slots__: tuple[str, ...] = ()

    def _parts(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((type(self), self._parts()))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({told})"


class Opened(NamedTuple):
    """A connection was asked for. Addresses are (text, port)."""

    conn: int
    time: int
    client: tuple[str, int]
    server: tuple[str, int]
    pid: int
    through: int = 0  # the connection of which this one is a stream (a tunnel in HTTP/2 or HTTP/3)
    udp: bool = False  # it is a QUIC connection
    foreign: bool = False  # of another decoder's share: what was said on it is not told


class Established(NamedTuple):
    """The server accepted."""

    conn: int
    time: int


class Closed(NamedTuple):
    """A connection ended. ending: what ended it, by who was the first to."""

    conn: int
    time: int
    ending: Ending
    sent: int  # payload bytes by the client
    received: int  # payload bytes by the server


class Noted(NamedTuple):
    """Whoever recorded the connection says something of it that packets do not show."""

    conn: int
    time: int
    kind: str
    fields: tuple[tuple[str, str], ...]


class TlsFacts(NamedTuple):
    """What is known of a TLS session: at its hellos (done 0), and again when its handshake is done."""

    conn: int
    time: int
    started: int
    done: int
    version: str
    cipher: str
    sni: str
    alpn: str
    resumed: bool
    source: str  # which key source opened it; "" while it is closed
    client_random: bytes
    ech: bool = False  # Encrypted Client Hello was offered: sni may be a stand-in


class Certificates(NamedTuple):
    """The certificates that `side` showed, DER, its own first."""

    conn: int
    time: int
    side: Side
    chain: tuple[bytes, ...]


class Sealed(NamedTuple):
    """TLS that could not be opened, told when it ended. why is a clause."""

    conn: int
    time: int
    sni: str
    version: str
    size: int  # bytes of ciphertext
    why: str
    refused: bool = False  # the client sent no Finished, by the sizes of its records: it broke off the handshake


class Alert(NamedTuple):
    """A TLS alert that `side` sent: its code, 0 for close_notify (RFC 8446 §6)."""

    conn: int
    time: int
    side: Side
    code: int


class GoingAway(NamedTuple):
    """An HTTP/2 connection is given up with an error (RFC 9113 §6.8)."""

    conn: int
    time: int
    ending: Ending


class NotTls(NamedTuple):
    """A ClientHello was met by something that is not TLS. spoken: "HTTP", the name of another protocol, or "" for what
    hark does not know."""

    conn: int
    time: int
    spoken: str


class Protocol(NamedTuple):
    """What a connection speaks from here on: "http/1.1", "h2", "websocket" …, the name of what hark knows and does not
    follow ("ssh"), or "" for what it does not know."""

    conn: int
    time: int
    name: str


class Proxied(NamedTuple):
    """A PROXY protocol header: the connection is made for one between these ends."""

    conn: int
    time: int
    client: tuple[str, int]
    server: tuple[str, int]


class RequestHead(Value):
    """A request line with its headers, or an HTTP/2 header block (pseudo headers taken out).

    started: when its first byte came; target: as on the wire, in origin, absolute, authority or asterisk form; scheme,
    authority: HTTP/2's, else ""; protocol: what an extended CONNECT asks for (RFC 8441 §4); line: HTTP/1's first line
    as it was sent, where it is not as it should be."""

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
    """A status line with its headers; interim for 1xx. started: when its first byte came."""

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
    """A piece of a message's body, transfer codings undone, content codings not. Lives until the next feed."""

    __slots__ = ("conn", "data", "side", "stream", "time")

    def __init__(self, conn: int, stream: int, side: Side, time: int, data: bytes | memoryview) -> None:
        self.conn = conn
        self.stream = stream
        self.side = side
        self.time = time
        self.data = data


class MessageEnd(Value):
    """A message is whole."""

    __slots__ = ("conn", "side", "stream", "time", "trailers")

    def __init__(self, conn: int, stream: int, side: Side, time: int, trailers: Headers) -> None:
        self.conn = conn
        self.stream = stream
        self.side = side
        self.time = time
        self.trailers = trailers


class Message(NamedTuple):
    """A message inside an exchange that goes on. kind: of a WebSocket "text", "binary", "ping", "pong" or "close"; of
    server-sent events "event"; of gRPC "grpc", "trailers" (gRPC-web's), "sealed" where its compression is unknown."""

    conn: int
    stream: int
    side: Side
    time: int
    kind: str
    data: bytes  # the first bytes of it
    size: int  # bytes of all of it
    name: str = ""  # of an event
    id: str = ""  # of an event, as far as one was given
    wrong: str = ""  # why it is not whole


class Unwanted(NamedTuple):
    """The server has answered in full and wants no more of the request, whose rest may be on its way (RFC 9113
    §8.1)."""

    conn: int
    stream: int
    time: int


class Aborted(NamedTuple):
    """An exchange that will not be whole: because of the ending, or else, for what hark could not read, of `why`, a
    clause."""

    conn: int
    stream: int
    time: int
    why: str
    ending: Ending | None = None


class Dns(NamedTuple):
    """A question with its answer; rcode is "" when none came, name and qtype are the question's."""

    time: int
    asked: int
    name: str
    qtype: str
    rcode: str
    addresses: tuple[str, ...]
    pid: int
    conn: int = 0  # the connection it was asked on; 0: by a datagram


class PassedOver(NamedTuple):
    """Frames that were not followed, told at the end: what they are, how many; harmless: they never carry HTTP."""

    time: int
    what: str
    frames: int
    harmless: bool = False


class Trouble(NamedTuple):
    """Something that could not be seen or was not as it should be: kind is a short stable name. stream: the exchange
    that it concerns, which goes on; -1: the whole connection. side: whose body it is that lacks bytes."""

    time: int
    kind: str
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
    | Sealed
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
