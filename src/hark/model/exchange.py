"""Exchanges and connections: what is known of them so far. Times are ns since the epoch; 0 means "not seen".

May hold: mutable records and what follows from them. May not hold: events, text for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hark.decode.endings import Phase, Side
from hark.model.body import Body, Decoded
from hark.model.versions import protocol_of
from hark.wire import fields, unixsocket

if TYPE_CHECKING:
    from hark.decode.endings import Ending
    from hark.decode.events import Encrypted, Headers, Message, Noted, RequestHead, ResponseHead, TlsFacts, Trouble
    from hark.model.entry import Entry, EntryCertificate
    from hark.model.streams import MessageReader
    from hark.recording.blocks import Process

MESSAGE_COST = 256  # bytes that a kept message counts besides its data
# Versions whose header names are in lower case (RFC 9113 §8.2), as the decoders name them; an HTTP/1 peer may send
# "HTTP/2.0".
_LOWER_CASE = ("HTTP/2", "HTTP/3")
_NOTHING = Decoded(b"", "", False)
EMPTY = Body(0)  # a body without a byte; shared, and never added to
_MESSAGES_LEAST = 1 << 16  # bytes of messages kept even if less of bodies is: views show the first ones
Span = tuple[int, int]  # (from, to) in ns since the epoch
# The phases of an exchange: DNS, connect (TCP alone), TLS, send, wait, receive. The first three are None if it was not
# the first on its connection, or if they are not known. TLS is as measured: it may end after the request began.
Timeline = tuple[Span | None, Span | None, Span | None, Span, Span, Span]


class Connection:
    """A transport connection."""

    __slots__ = (
        "alerts", "certificates", "client", "dns", "encrypted", "established", "exchanges", "failed", "foreign", "name",
        "not_tls", "notes", "number", "opened", "pid", "process", "protocol", "proxied", "server", "through", "tls",
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
        self.name = ""  # the server's, from DNS or from the recording
        self.established = 0
        self.protocol: str | None = None  # "": one that hark does not know; None: not known yet
        self.tls: TlsFacts | None = None
        self.certificates: list[tuple[bytes, ...]] = [(), ()]  # DER chains, by the side that sent them
        self.dns: Span | None = None  # question and answer of the DNS query that gave the server's address
        self.proxied: tuple[tuple[str, int], tuple[str, int]] | None = None  # (client, server) of a PROXY header
        self.through = False  # `server` is a proxy that passes the data on to another server (SOCKS, CONNECT)
        self.exchanges = 0
        self.troubles: list[Trouble] = []
        self.notes: list[Noted] = []  # facts that the recorder knew and packets do not show
        self.alerts: list[Ending] = []  # ends by TLS alerts and GOAWAY
        self.encrypted: Encrypted | None = None  # what was not decrypted
        self.not_tls: str | None = None  # the protocol in which a ClientHello was answered; "": an unknown one
        self.failed = False  # its failure was reported
        self.udp = False  # it is a QUIC connection
        self.foreign = False  # another process decodes it (pipeline/parallel.py)

    def certificate(self, side: Side) -> EntryCertificate:
        """The facts of the certificate of `side` (model/certificate.py); empty if none was seen. Shared: not to be
        changed."""
        chain = self.certificates[side]
        if not chain:
            return {}
        from hark.model import certificate  # reading certificates takes long to load

        return certificate.facts(chain[0])


class Exchange:
    """A request and its response."""

    __slots__ = (
        "_request_values", "_response_values", "answered", "connection", "ended", "ending", "first", "interim", "keep",
        "messages", "messages_kept", "messages_seen", "number", "readers", "request", "request_body",
        "request_trailers", "response", "response_body", "response_trailers", "sent", "started", "stream", "trouble",
    )  # fmt: skip

    def __init__(
        self, number: int, connection: Connection, stream: int, request: RequestHead | None, started: int, keep: int
    ) -> None:
        self.number = number
        self.connection = connection
        self.stream = stream
        self.first = connection.exchanges == 1  # DNS, connect and TLS then count as part of its time
        self.request = request
        self.keep = keep  # bytes of each body
        self.request_body = EMPTY  # until its first byte
        self.response_body = EMPTY
        self.response: ResponseHead | None = None
        self._request_values: dict[bytes, bytes] | None = None  # header values by lower-case name
        self._response_values: dict[bytes, bytes] | None = None
        self.interim: list[ResponseHead] = []
        self.request_trailers: Headers = ()
        self.response_trailers: Headers = ()
        self.started = started  # first byte of the request
        self.sent = 0  # its last byte
        self.answered = 0  # first byte of the response
        self.ended = 0
        self.trouble = ""  # why it is incomplete
        self.ending: Ending | None = None  # what ended it early, or what ended a WebSocket
        self.readers: list[MessageReader | None] | None = None  # of messages in the bodies, by side; None: plain bodies
        self.messages: Sequence[Message] = ()  # the first messages in the bodies, or of a WebSocket
        self.messages_seen = [0, 0]  # number of all messages, by side
        self.messages_kept = 0  # bytes

    def add(self, message: Message) -> None:
        """Count a message, and keep it if there is room: messages may take as much memory as a body."""
        self.messages_seen[message.side] += 1
        self.messages_kept += len(message.data) + MESSAGE_COST
        if self.messages_kept <= max(self.keep, _MESSAGES_LEAST):
            if not self.messages:
                self.messages = []
            self.messages.append(message)  # type: ignore[attr-defined]

    @property
    def imported_entry(self) -> Entry | None:
        """The entry that it was read from, out of a file or a feed; None if it was decoded from packets."""
        return None

    @property
    def began(self) -> int:
        """When the program began to wait for it: when its connection was opened, if it was the first on it."""
        connection = self.connection
        return connection.opened if self.first and connection.established else self.started

    @property
    def phase(self) -> Phase:
        """How far it has got, or had got when it ended."""
        if self.response is not None and (self.ending is None or self.ending.time >= self.answered):
            return Phase.BODY
        return Phase.WAITING if self.sent or self.request is None else Phase.REQUEST

    @property
    def timeline(self) -> Timeline:
        """Its phases, as far as they are known."""
        connection, started = self.connection, self.started
        answered = self.answered or self.ended
        sent = max(self.sent or answered, started)
        waited = answered if answered > sent else sent
        received = self.ended if self.ended > answered else answered
        if not self.first or not connection.established:
            return None, None, None, (started, sent), (sent, waited), (answered, received)
        opened = connection.opened
        dns, tls = connection.dns, connection.tls
        return (
            dns if dns is not None and dns[0] <= dns[1] <= opened else None,
            (opened, max(connection.established, opened)),
            (tls.started, tls.done) if tls is not None and tls.done else None,
            (started, sent),
            (sent, waited),
            (answered, received),
        )

    @property
    def phases(self) -> tuple[tuple[str, int, int], ...]:
        """(phase, from, to) in ns since the epoch, as far as they are known and in order of time: dns, connect, tls
        (those of the connection, on its first exchange), send, wait, receive."""
        dns, connect, tls, send, wait, receive = self.timeline
        if tls is not None:
            tls = (tls[0], max(min(tls[1], self.started), tls[0]))
        first = tuple(
            (name, *span) for name, span in (("dns", dns), ("connect", connect), ("tls", tls)) if span is not None
        )
        return (*first, ("send", *send), ("wait", *wait), ("receive", *receive))

    @property
    def certificate(self) -> EntryCertificate:
        """The facts of the server's certificate; empty if none was seen."""
        return self.connection.certificate(Side.SERVER)

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
        """The protocol by its name in ALPN: "http/1.1", "h2", "h3"; "" if it is not known."""
        version = (self.request.version if self.request is not None else "") or (
            self.response.version if self.response is not None else ""
        )
        return protocol_of(version)

    @property
    def is_grpc(self) -> bool:
        """Whether it is a call of gRPC or gRPC-web."""
        return self.readers is not None and self.request_header("content-type").lower().startswith("application/grpc")

    @property
    def url(self) -> str:
        """The absolute URL of the request."""
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
    def request_values(self) -> dict[bytes, bytes]:
        """The values of the request's headers, by lower-case name."""
        values = self._request_values
        if values is None:
            request = self.request
            values = fields.index(request.headers, request.version in _LOWER_CASE) if request is not None else {}
            self._request_values = values
        return values

    @property
    def response_values(self) -> dict[bytes, bytes]:
        """The values of the response's headers, by lower-case name; empty before there is a response."""
        values = self._response_values
        if values is None:
            response = self.response
            if response is None:
                return {}
            values = self._response_values = fields.index(response.headers, response.version in _LOWER_CASE)
        return values

    def request_header(self, name: str) -> str:
        """The value of a request header, or "". name: in lower case."""
        value = self.request_values.get(name.encode())
        return fields.text(value) if value else ""

    def response_header(self, name: str) -> str:
        """The value of a response header, or "". name: in lower case."""
        value = self.response_values.get(name.encode())
        return fields.text(value) if value else ""

    def codings(self, side: Side) -> str:
        """The codings of a body: its content codings, then HTTP/1's transfer codings except for chunked
        (RFC 9112 §7)."""
        values = self.response_values if side else self.request_values
        coding = values.get(b"content-encoding")
        content = fields.text(coding) if coding else ""
        if b"transfer-encoding" not in values:
            return content
        transfer = fields.text(values[b"transfer-encoding"])
        if not transfer or transfer == "chunked":
            return content
        head = self.response if side else self.request
        if head is None or head.version >= "HTTP/2":
            return content
        outer = [name.strip() for name in transfer.split(",")]
        if outer[-1].lower() == "chunked":
            outer.pop()
        return ", ".join([content, *outer] if content else outer)

    def content(self, side: Side) -> Decoded:
        """A body with its codings removed."""
        body = self.response_body if side else self.request_body
        if not body.size:
            return _NOTHING
        start = 0
        if side and self.response is not None and self.response.status == 206:
            unit, _, part = self.response_header("content-range").partition(" ")
            first = part.partition("-")[0].strip()
            start = int(first) if unit.lower() == "bytes" and first.isdecimal() and len(first) < 19 else 0
        return body.content(self.codings(side), start)
