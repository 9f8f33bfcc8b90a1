"""Exchanges, connections and processes as they accumulate. Times are ns since the epoch; 0 means "not seen".

May hold: mutable records with their derived facts. May not hold: events, text for people.
"""

from dataclasses import dataclass, field

from hark.decode.events import Headers, RequestHead, ResponseHead, TlsFacts
from hark.model.body import Body
from hark.recording.blocks import Process


@dataclass(slots=True)
class Connection:
    """A transport connection."""

    number: int
    opened: int
    client: tuple[str, int]
    server: tuple[str, int]
    pid: int
    process: Process | None
    established: int = 0
    protocol: str = ""
    tls: TlsFacts | None = None
    dns: tuple[int, int] | None = None  # (asked, answered) of the look-up that led here
    exchanges: int = 0
    troubles: list[str] = field(default_factory=list)
    said: bool = False  # whether a layer found out what it speaks


@dataclass(slots=True)
class Exchange:
    """A request and what became of it."""

    number: int
    connection: Connection
    stream: int
    first: bool  # on its connection: DNS, connect and TLS count as its own time
    request: RequestHead | None
    request_body: Body
    response_body: Body
    response: ResponseHead | None = None
    interim: list[ResponseHead] = field(default_factory=list)
    request_trailers: Headers = ()
    response_trailers: Headers = ()
    started: int = 0  # first byte of the request
    sent: int = 0  # its last byte
    answered: int = 0  # first byte of the response
    ended: int = 0
    trouble: str = ""  # why it is not whole

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
        host = request.authority or self.request_header("host")
        if not host:
            name = connection.tls.sni if connection.tls is not None and connection.tls.sni else connection.server[0]
            port = connection.server[1]
            name = f"[{name}]" if ":" in name else name
            host = name if port == (443 if scheme == "https" else 80) else f"{name}:{port}"
        return f"{scheme}://{host}{'' if target == '*' else target}"

    def request_header(self, name: str) -> str:
        """The value of a request header, or ""."""
        return _header(self.request.headers, name) if self.request is not None else ""

    def response_header(self, name: str) -> str:
        """The value of a response header, or ""."""
        return _header(self.response.headers, name) if self.response is not None else ""


def _header(headers: Headers, name: str) -> str:
    wanted = name.encode()
    for key, value in headers:
        if key.lower() == wanted:
            return value.decode("utf-8", "backslashreplace")
    return ""
