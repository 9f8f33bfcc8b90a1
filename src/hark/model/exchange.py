"""Exchanges, connections and processes as they accumulate. Times are ns since the epoch; 0 means "not seen".

May hold: mutable records with their derived facts. May not hold: events, text for people.
"""

from collections.abc import Sequence
from typing import Any

from hark.decode.endings import Ending, Phase
from hark.decode.events import Headers, Message, Noted, RequestHead, ResponseHead, Sealed, Side, TlsFacts, Trouble
from hark.model.body import Body, Decoded
from hark.model.talk import Talk
from hark.model.versions import protocol_of
from hark.recording.blocks import Process
from hark.wire import fields, unixsocket

MESSAGE_COST = 256  # bytes that a kept message counts besides its data
# Versions with names in small letters (RFC 9113 §8.2), as their decoders say; an HTTP/1 peer may write HTTP/2.0.
_SMALL = ("HTTP/2", "HTTP/3")
_NOTHING = Decoded(b"", "", False)
EMPTY = Body(0)  # a body without a byte; shared, and never added to
_MESSAGES_LEAST = 1 << 16  # bytes of messages kept, however little of bodies is: views look at the first and last ones


class Connection:
    """A transport connection."""

    __slots__ = (
        "alerts", "certificates", "client", "dns", "established", "exchanges", "failed", "foreign", "name", "not_tls",
        "notes", "number", "opened", "pid", "process", "protocol", "proxied", "sealed", "server", "through", "tls",
        "troubles", "udp",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        opened: int,
        client: tuple[str, int],
        server: tuple[str, int],
        pid: int,
        process: Process | None,
    ) -> None:
        self.number = number
        self.opened = opened
        self.client = client
        self.server = server
        self.pid = pid
        self.process = process
        self.name = ""  # the server's, as a look-up or the recording gave it
        self.established = 0
        self.protocol: str | None = None  # "": one that hark does not know; None: nothing was said yet
        self.tls: TlsFacts | None = None
        self.certificates: list[tuple[bytes, ...]] = [(), ()]  # DER chains, by the side that showed them
        self.dns: tuple[int, int] | None = None  # (asked, answered) of the look-up that led here
        self.proxied: tuple[tuple[str, int], tuple[str, int]] | None = None  # (client, server) a proxy speaks for
        self.through = False  # `server` is a proxy's end, and what is spoken goes on to another (SOCKS, CONNECT)
        self.exchanges = 0
        self.troubles: list[Trouble] = []
        self.notes: list[Noted] = []  # what whoever recorded it says of it
        self.alerts: list[Ending] = []  # what TLS and HTTP/2 said of its end
        self.sealed: Sealed | None = None  # what stayed encrypted
        self.not_tls: str | None = None  # what met a ClientHello that is no TLS, "" where it has no name
        self.failed = False  # it was told as failed
        self.udp = False  # it is a QUIC connection
        self.foreign = False  # of another decoder's share


class Exchange:
    """A request and what became of it."""

    __slots__ = (
        "_asked",
        "_told",
        "answered",
        "connection",
        "ended",
        "ending",
        "first",
        "interim",
        "keep",
        "messages",
        "messages_kept",
        "messages_seen",
        "number",
        "request",
        "request_body",
        "request_trailers",
        "response",
        "response_body",
        "response_trailers",
        "sent",
        "started",
        "stream",
        "talks",
        "trouble",
    )

    def __init__(
        self, number: int, connection: Connection, stream: int, request: RequestHead | None, started: int, keep: int
    ) -> None:
        self.number = number
        self.connection = connection
        self.stream = stream
        self.first = connection.exchanges == 1  # DNS, connect and TLS then count as its own time
        self.request = request
        self.keep = keep  # bytes of each body
        self.request_body = EMPTY  # until a first byte comes
        self.response_body = EMPTY
        self.response: ResponseHead | None = None
        self._asked: dict[bytes, bytes] | None = None  # the headers' values by their names in small letters
        self._told: dict[bytes, bytes] | None = None
        self.interim: list[ResponseHead] = []
        self.request_trailers: Headers = ()
        self.response_trailers: Headers = ()
        self.started = started  # first byte of the request
        self.sent = 0  # its last byte
        self.answered = 0  # first byte of the response
        self.ended = 0
        self.trouble = ""  # why it is not whole
        self.ending: Ending | None = None  # what ended it early, or a WebSocket
        self.talks: list[Talk | None] | None = None  # what the bodies say as messages, by side; None: plain bodies
        self.messages: Sequence[Message] = ()  # the first ones of them, and of a WebSocket
        self.messages_seen = [0, 0]  # all that there were, by side
        self.messages_kept = 0  # bytes

    def add(self, message: Message) -> None:
        """One more message; kept while there is room for what bodies may keep."""
        self.messages_seen[message.side] += 1
        self.messages_kept += len(message.data) + MESSAGE_COST
        if self.messages_kept <= max(self.keep, _MESSAGES_LEAST):
            if not self.messages:
                self.messages = []
            self.messages.append(message)  # type: ignore[attr-defined]

    @property
    def began(self) -> int:
        """When the program began to wait for it: its connection's opening where it was the first on it."""
        connection = self.connection
        return connection.opened if self.first and connection.established else self.started

    @property
    def phase(self) -> Phase:
        """How far it has come; how far it had come when it was ended."""
        if self.response is not None and (self.ending is None or self.ending.time >= self.answered):
            return Phase.BODY
        return Phase.WAITING if self.sent or self.request is None else Phase.REQUEST

    @property
    def phases(self) -> tuple[tuple[str, int, int], ...]:
        """(phase, from, to) in ns since the epoch, as far as they are known and in order of time: dns, connect, tls
        (those of the connection, on its first exchange), send, wait, receive."""
        connection, started = self.connection, self.started
        sent = self.sent or self.answered or self.ended
        answered = self.answered or self.ended
        sent = max(sent, started)
        own = (
            ("send", started, sent),
            ("wait", sent, max(answered, sent)),
            ("receive", answered, max(self.ended, answered)),
        )
        if not self.first or not connection.established:
            return own
        found: list[tuple[str, int, int]] = []
        if connection.dns is not None and connection.dns[0] <= connection.dns[1] <= connection.opened:
            found.append(("dns", *connection.dns))
        found.append(("connect", connection.opened, max(connection.established, connection.opened)))
        tls = connection.tls
        if tls is not None and tls.done:  # clocks of captures jump
            found.append(("tls", tls.started, max(min(tls.done, started), tls.started)))
        return (*found, *own)

    @property
    def certificate(self) -> dict[str, Any]:
        """The facts of the server's certificate (model/certificate.py); empty where none was seen."""
        chain = self.connection.certificates[Side.SERVER]
        if not chain:
            return {}
        from hark.model import certificate  # reading certificates takes long to load

        return certificate.facts(chain[0])

    @property
    def socket(self) -> bool:
        """Whether it has become a WebSocket."""
        request, response = self.request, self.response
        if request is None or response is None:
            return False
        if response.status == 101:
            return "websocket" in self.response_header("upgrade").lower().replace(" ", "").split(",")
        return request.protocol == "websocket" and 200 <= response.status < 300

    @property
    def protocol(self) -> str:
        """The protocol by its name in ALPN: "http/1.1", "h2", "h3"; "" where it is not known."""
        version = (self.request.version if self.request is not None else "") or (
            self.response.version if self.response is not None else ""
        )
        return protocol_of(version)

    @property
    def is_grpc(self) -> bool:
        """Whether it is a call of gRPC or gRPC-web."""
        return self.talks is not None and self.request_header("content-type").lower().startswith("application/grpc")

    @property
    def url(self) -> str:
        """The absolute URL that was asked for."""
        request, connection = self.request, self.connection
        if request is None:
            return ""
        target = request.target
        if request.method == "CONNECT" and not target.startswith("/"):
            return target or request.authority
        if "://" in target[:16]:
            return target
        scheme = request.scheme or ("https" if connection.tls is not None else "http")
        if unixsocket.is_socket(connection.server[0]):
            return unixsocket.origin(scheme, connection.server[0]) + ("" if target == "*" else target)
        if (request.protocol or (self.response is not None and self.response.status == 101)) and self.socket:
            scheme = {"https": "wss", "http": "ws"}.get(scheme, scheme)
        host = request.authority or self.request_header("host")
        if not host:
            sni = connection.tls.sni if connection.tls is not None else ""
            name = sni or connection.name or connection.server[0]
            port = connection.server[1]
            name = f"[{name}]" if ":" in name else name
            host = name if port == (443 if scheme in ("https", "wss") else 80) else f"{name}:{port}"
        return f"{scheme}://{host}{'' if target == '*' else target}"

    @property
    def asked(self) -> dict[bytes, bytes]:
        """The values of the request's headers, by their names in small letters."""
        found = self._asked
        if found is None:
            request = self.request
            found = fields.index(request.headers, request.version in _SMALL) if request is not None else {}
            self._asked = found
        return found

    @property
    def told(self) -> dict[bytes, bytes]:
        """The values of the response's headers, by their names in small letters; none before it has come."""
        found = self._told
        if found is None:
            response = self.response
            if response is None:
                return {}
            found = self._told = fields.index(response.headers, response.version in _SMALL)
        return found

    def request_header(self, name: str) -> str:
        """The value of a request header, or ""; its name in small letters."""
        value = self.asked.get(name.encode())
        return fields.text(value) if value else ""

    def response_header(self, name: str) -> str:
        """The value of a response header, or ""; its name in small letters."""
        value = self.told.get(name.encode())
        return fields.text(value) if value else ""

    def codings(self, side: Side) -> str:
        """What was done to a body: its content codings, and HTTP/1's transfer codings around them but for the chunks
        (RFC 9112 §7)."""
        known = self.told if side else self.asked
        coding = known.get(b"content-encoding")
        found = fields.text(coding) if coding else ""
        if b"transfer-encoding" not in known:
            return found
        transfer = fields.text(known[b"transfer-encoding"])
        if not transfer or transfer == "chunked":
            return found
        head = self.response if side else self.request
        if head is None or head.version >= "HTTP/2":
            return found
        around = [name.strip() for name in transfer.split(",")]
        if around[-1].lower() == "chunked":
            around.pop()
        return ", ".join([found, *around] if found else around)

    def content(self, side: Side) -> Decoded:
        """A body with its codings undone."""
        body = self.response_body if side else self.request_body
        if not body.size:
            return _NOTHING
        start = 0
        if side and self.response is not None and self.response.status == 206:
            unit, _, part = self.response_header("content-range").partition(" ")
            first = part.partition("-")[0].strip()
            start = int(first) if unit.lower() == "bytes" and first.isdecimal() and len(first) < 19 else 0
        return body.content(self.codings(side), start)
