"""A request as a curl command that repeats it.

What   Method, URL, the headers that curl would not send by itself, the body, the HTTP version.
How    -H sets a header; "-H 'Name:'" removes one that curl would add. Quoting is that of POSIX shells; a body that is
       no text goes through a pipe from printf.
Where  The URL has the address of the original request if the Host header names another host: one that no DNS answer
       gave for the address (curl -H 'Host: v.test' http://127.0.0.1:8080/). With TLS it has the name of the handshake
       (SNI). A request in absolute form went to a proxy (RFC 9112 §3.2.2), and the command uses that proxy.
Limits A body that was not kept completely cannot be repeated: a comment says so. Headers that belong to the connection
       (Host if it is the URL's, Content-Length, Connection, HTTP/2's own) are left to curl.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from hark.model.changes import Ended, Failed
from hark.model.charset import text_of
from hark.views import failures
from hark.views.filters import parts_of
from hark.views.view import Independent, Needs, Screen
from hark.wire import unixsocket, urls

if TYPE_CHECKING:
    from hark.model.exchange import Exchange
    from hark.model.failure import Failure

_CURLS = {"accept": "*/*"}  # what every version of curl sends by itself
_OF_THE_CONNECTION = {
    "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "content-length",
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
}  # fmt: skip


class Commands(Independent):
    """Each request as it ends, a line for a shell; what failed as a comment."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write
        self._lines: list[bytes] = []

    def needs(self) -> Needs:
        """A request's body is part of its command."""
        return Needs.BODIES

    def render(self, change: Ended | Failed) -> bytes:
        """The line."""
        text = command(change.exchange) if isinstance(change, Ended) else comment(change.failure)
        return (text + "\n").encode("utf-8", "backslashreplace")

    def put(self, piece: bytes) -> None:
        """One more line."""
        self._lines.append(piece)

    def tick(self, now: int) -> None:
        """Write what was gathered."""
        if self._lines:
            self._write(b"".join(self._lines))
            self._lines.clear()

    def end(self) -> int:
        """Write what was gathered."""
        self.tick(0)
        return 0


def command(exchange: Exchange) -> str:
    """The command, in one line for a shell; a comment if there can be none."""
    request = exchange.request
    if request is None:
        return f"# {exchange.trouble or 'the request was not captured'}"
    if request.method == "CONNECT":
        return f"# CONNECT {_comment(exchange.url)}: a tunnel; what was asked inside of it stands by itself"
    if exchange.socket:
        return f"# {_comment(exchange.url)}: a WebSocket, which curl does not speak for long"
    where, url = _where(exchange)
    words = ["curl"]
    words += _version(request.version, url)
    words += where
    body, comment = _body(exchange)
    if request.method == "HEAD" and not body:
        words.append("--head")
    elif request.method != ("POST" if body else "GET"):
        words += ["-X", request.method]
    words += _headers(exchange, parts_of(url)[0], bool(body), where[:1] == ["--proxy"])
    words += body
    words += ["--globoff"] if any(sign in url for sign in "[]{}") else []
    words += ["--path-as-is"] if "/../" in url or "/./" in url or url.endswith(("/..", "/.")) else []
    words.append(_encoded(url))
    if exchange.request_body.size > _EXPECTS and not exchange.request_header("expect"):
        words[1:1] = ["-H", "Expect:"]
    line = " ".join(map(_quoted, words))
    if body and body[1] == "@-":
        line = f"printf %b {_escaped(exchange.request_body.raw)} | {line}"
    return line + (f"  # {_comment(comment)}" if comment else "")


def comment(failure: Failure) -> str:
    """A shell comment for a failure, which has no request to repeat."""
    return f"# failed: {_comment(failures.line(failure))}"


def _encoded(url: str) -> str:
    """A URL with path and query percent-encoded if they are not ASCII, so that curl requests the same bytes in any
    locale. The host is left to curl."""
    scheme, authority, rest = urls.split(url)
    if url.isascii() or not scheme:
        return url
    path = "".join(sign if sign < "\x80" else quote(sign) for sign in rest)
    return f"{scheme}://{authority}{path}"


def _version(version: str, url: str) -> list[str]:
    if version == "HTTP/1.0":
        return ["--http1.0"]
    if version == "HTTP/1.1":
        return ["--http1.1"] if url.startswith("https:") else []
    if version == "HTTP/2":
        return [] if url.startswith("https:") else ["--http2-prior-knowledge"]
    return ["--http3"] if version == "HTTP/3" else []


def _where(exchange: Exchange) -> tuple[list[str], str]:
    """(curl's options for server and target, the URL)."""
    request, connection, url = exchange.request, exchange.connection, exchange.url
    assert request is not None
    socket, by_name = unixsocket.socket_of(url)
    if socket:
        kind = "--abstract-unix-socket" if socket[0] == "@" else "--unix-socket"
        return [kind, socket.removeprefix("@")], by_name
    scheme, _, rest = urls.split(url)
    rest = rest if scheme else ""
    host = parts_of(url)[0]
    words: list[str] = []
    target = request.target
    if "://" in target[:16]:
        if connection.server[0] and exchange.imported_entry is None:
            kind = "https" if connection.tls is not None else "http"
            return ["--proxy", f"{kind}://{_authority(*connection.server, '')}"], url
        return [], url
    if target[:1] != "/" or (request.method == "OPTIONS" and not rest):  # OPTIONS * asks the server itself (§3.2.4)
        words, rest = ["--request-target", "*" if not rest else target], "/"
    elif not scheme:
        return [], url
    name, _, port = host.rpartition(":") if _PORT.search(host) else (host, "", _PORTS.get(scheme, ""))
    address = connection.server[0]
    if connection.through or not address or not host:
        return words, f"{scheme}://{host}{rest}"
    plain = name.strip("[]").rstrip(".").lower()
    if connection.tls is not None:
        sni = connection.tls.sni.rstrip(".").lower()
        if sni and sni != plain:
            host = _authority(sni, connection.server[1], scheme)
        elif not sni and plain != address and not _is_address(plain):
            host = _authority(*connection.server, scheme)
    elif plain != address and not (plain == "localhost" and address in _LOOPBACK):
        known = connection.name.rstrip(".").lower()
        if known != plain or port != str(connection.server[1]):
            host = _authority(*connection.server, scheme)
    elif port != str(connection.server[1]):
        host = _authority(name.strip("[]"), connection.server[1], scheme)
    return words, f"{scheme}://{host}{rest}"


_PORTS = {"http": "80", "https": "443"}
_PORT = re.compile(r":\d+$")
_LOOPBACK = ("127.0.0.1", "::1")
_EXPECTS = 1 << 20  # bytes of a body above which curl sends "Expect: 100-continue"


def _authority(name: str, port: int, scheme: str) -> str:
    name = f"[{name}]" if ":" in name else name
    return name if str(port) == _PORTS.get(scheme) else f"{name}:{port}"


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _headers(exchange: Exchange, host: str, has_body: bool, by_proxy: bool) -> list[str]:
    words: list[str] = []
    seen: set[str] = set()
    assert exchange.request is not None
    for raw_name, raw_value in exchange.request.headers:
        name, value = raw_name.decode("utf-8", "replace"), raw_value.decode("utf-8", "surrogateescape")
        small = name.lower()
        first = small not in seen
        seen.add(small)
        if small in _OF_THE_CONNECTION or small.startswith(":") or (small == "host" and value == host):
            continue
        if small == "transfer-encoding" and (value.lower() != "chunked" or not has_body):
            continue
        if not (first and _CURLS.get(small) == value):
            words += ["-H", f"{name}: {value}" if value else f"{name};"]
    own = ["Accept", "User-Agent", *(["Content-Type"] if has_body else [])]
    own += ["Host"] if exchange.request.version < "HTTP/2" and exchange.imported_entry is None else []
    own += ["Proxy-Connection"] if by_proxy else []
    authority = exchange.request.authority
    if authority and authority != host and "host" not in seen:
        words += ["-H", f"Host: {authority}"]
    for name in own:
        if name.lower() not in seen:
            words += ["-H", f"{name}:"]
    return words


def _body(exchange: Exchange) -> tuple[list[str], str]:
    """(curl's options for the body, a comment)."""
    body = exchange.request_body
    if not body.size:  # a length of 0 must be sent: without it servers may refuse a POST (RFC 9110 §8.6)
        sends_length = exchange.request_header("content-length") == "0" or exchange.request_header("transfer-encoding")
        return (["--data-raw", ""], "") if sends_length else ([], "")
    comment = "" if body.whole else f"only the first {len(body.raw)} of {body.size} bytes of the body were kept"
    text = text_of(body.raw, "")
    if text is None or not _plain(text):
        return ["--data-binary", "@-"], comment
    return ["--data-raw", text], comment


def _plain(text: str) -> bool:
    return all(sign.isprintable() or sign in "\n\t" for sign in text)


def _quoted(word: str) -> str:
    if _plain(word):
        return shlex.quote(word)
    return f'"$(printf %b {_escaped(word.encode("utf-8", "surrogateescape"))})"'


def _escaped(data: bytes) -> str:
    """For printf's %b: bytes that are not plain as octal escapes."""
    return (
        "'" + "".join(chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\0{byte:03o}" for byte in data) + "'"
    )


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def view(screen: Screen) -> Commands:
    """--curl."""
    return Commands(screen.write)
