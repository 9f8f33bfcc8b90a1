"""The JSON entry of an exchange or a failure: an `entry` of HAR 1.2, with hark's own fields under `_` names
(docs/json.md).

What   Types for mypy. At run time an entry is a plain dict: import this module under TYPE_CHECKING alone.
Limits An entry of another program may have more fields. They are kept, and have no type here.
"""

from typing import Any, Literal, NotRequired, TypedDict

Direction = Literal["send", "receive"]  # by the client, by the server


class EntryPair(TypedDict):
    """A header, trailer, cookie or query parameter."""

    name: str
    value: str
    _charset: NotRequired[str]  # "iso-8859-1": the value's bytes are not UTF-8


class EntryCookie(EntryPair, total=False):
    """A cookie of a response, with its attributes (RFC 6265 §4.1)."""

    path: str
    domain: str
    expires: str  # ISO 8601
    httpOnly: bool
    secure: bool
    _sameSite: str
    _maxAge: str


class EntryParam(TypedDict):
    """A field of a form, or a file in it."""

    name: str
    value: NotRequired[str]
    fileName: NotRequired[str]
    contentType: NotRequired[str]
    _size: NotRequired[int]  # bytes of a file


class _Body(TypedDict):
    mimeType: str
    comment: NotRequired[str]
    _charset: NotRequired[str]
    _raw: NotRequired[str]
    _error: NotRequired[str]


class EntryContent(_Body):
    """The body of a response."""

    size: int
    compression: NotRequired[int]
    text: NotRequired[str]
    encoding: NotRequired[str]  # "base64"


class EntryPost(_Body):
    """The body of a request."""

    text: str
    params: NotRequired[list[EntryParam]]
    _encoding: NotRequired[str]  # "base64"


class _Head(TypedDict):
    httpVersion: str
    headers: list[EntryPair]
    headersSize: int
    bodySize: int
    comment: NotRequired[str]
    _trailers: NotRequired[list[EntryPair]]


class EntryRequest(_Head):
    """A request."""

    method: str
    url: str
    cookies: list[EntryPair]
    queryString: list[EntryPair]
    postData: NotRequired[EntryPost]
    _authority: NotRequired[str]  # HTTP/2's and HTTP/3's
    _line: NotRequired[str]


class EntryResponse(_Head):
    """A response; status 0 if there was none."""

    status: int
    statusText: str
    cookies: list[EntryCookie]
    content: EntryContent
    redirectURL: str
    _error: NotRequired[str | None]


class EntryInterim(TypedDict):
    """A 1xx response."""

    status: int
    headers: list[EntryPair]
    statusText: NotRequired[str]
    httpVersion: NotRequired[str]


class EntryTimings(TypedDict):
    """Phases in ms; -1 for one that does not apply. connect includes ssl."""

    send: float
    wait: float
    receive: float
    blocked: NotRequired[float]
    dns: NotRequired[float]
    connect: NotRequired[float]
    ssl: NotRequired[float]


class EntryProcess(TypedDict):
    """The process that opened the connection; its id alone if nothing else is known."""

    pid: int
    name: NotRequired[str]
    exe: NotRequired[str]
    cmdline: NotRequired[list[str]]
    ppid: NotRequired[int]


class EntryCertificate(TypedDict, total=False):
    """The facts of a certificate (model/certificate.py)."""

    subject: str
    issuer: str
    names: list[str]
    notBefore: str  # ISO 8601
    notAfter: str
    serial: str
    fingerprint: str  # SHA-256
    unreadable: bool


class EntryTls(TypedDict, total=False):
    """A TLS session."""

    version: str
    cipher: str
    sni: str
    alpn: str
    resumed: bool
    opened_by: str
    ech: bool
    certificate: EntryCertificate
    clientCertificate: EntryCertificate


class EntryProxied(TypedDict):
    """The addresses in a PROXY protocol header."""

    client: str
    clientPort: int
    server: str
    serverPort: int


class EntryThen(TypedDict):
    """What followed an end of the client's own direction."""

    by: str | None
    how: str
    seconds: float


class EntryEnding(TypedDict):
    """Who ended an incomplete exchange, or a WebSocket, by what and when."""

    by: str | None
    how: str
    phase: str
    seconds: float
    then: NotRequired[EntryThen]
    detail: NotRequired[str]


class EntryMessage(TypedDict):
    """A WebSocket message, as Chrome writes it."""

    type: Direction
    time: float  # s since the epoch
    opcode: int
    data: str  # text, else base64
    _code: NotRequired[int]  # of a close frame
    _size: NotRequired[int]  # bytes of all of it, if it was cut
    _error: NotRequired[str]


class EntryEvent(TypedDict):
    """A server-sent event."""

    time: float  # s since the epoch
    event: str
    id: str
    data: str


class EntryCall(TypedDict):
    """A gRPC message: its content is in one of the last three."""

    type: Direction
    time: float  # s since the epoch
    size: NotRequired[int]
    message: NotRequired[dict[str, Any]]
    fields: NotRequired[dict[str, Any]]  # by number
    base64: NotRequired[str]


class EntryGrpc(TypedDict):
    """A gRPC call."""

    messages: list[EntryCall]
    service: NotRequired[str]
    method: NotRequired[str]
    status: NotRequired[int | None]
    statusName: NotRequired[str]
    statusMessage: NotRequired[str]


class EntryFailure(TypedDict):
    """`_failure`: what hark knows of a failure."""

    kind: str
    host: str
    port: int
    process: str
    seconds: float
    phase: str
    by: str | None
    how: str | None
    why: str
    seen: str
    remedy: str
    bytes: int
    detail: NotRequired[str]
    version: NotRequired[str]
    libraries: NotRequired[list[str]]
    rcode: NotRequired[str]
    type: NotRequired[str]


class Entry(TypedDict):
    """An exchange, or a failure if it has `_failure`."""

    startedDateTime: str  # ISO 8601
    time: float  # ms
    request: EntryRequest
    response: EntryResponse
    cache: dict[str, Any]
    timings: EntryTimings
    serverIPAddress: str
    connection: str
    _protocol: str
    _serverPort: NotRequired[int]
    _stream: NotRequired[int]
    _process: NotRequired[EntryProcess | None]
    _tls: NotRequired[EntryTls]
    _proxied: NotRequired[EntryProxied]
    _notes: NotRequired[list[dict[str, str]]]
    _interim: NotRequired[list[EntryInterim]]
    _webSocketMessages: NotRequired[list[EntryMessage]]
    _events: NotRequired[list[EntryEvent]]
    _grpc: NotRequired[EntryGrpc]
    _messagesNotKept: NotRequired[int]
    _trouble: NotRequired[str]
    _ending: NotRequired[EntryEnding]
    _failure: NotRequired[EntryFailure]
