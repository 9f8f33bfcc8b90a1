"""A request as a curl command that makes it again.

What   Method, URL, every header that curl would not make by itself to the same effect, the body, the HTTP version.
Why    -H sets a header to what it was; a header that curl adds by itself and that was not there is taken away by
       "-H 'Name:'". The shell's quoting is POSIX's; bytes that are no text are given by printf through a pipe.
Where  The address that was asked is asked again where the Host header says another: a name that no look-up gave for it
       (curl -H 'Host: v.test' http://127.0.0.1:8080/). In TLS the name asked for is the one of the handshake (SNI). A
       request in absolute form went to a proxy (RFC 9112 §3.2.2), and goes there again.
Limits A body that was not kept whole cannot be made again: the command says so in a comment. Headers that belong to the
       connection (Host where it is the URL's, Content-Length, Connection, HTTP/2's own) are left to curl.
"""

import re
import shlex
from collections.abc import Callable
from urllib.parse import quote

from hark.model.archive import Archived
from hark.model.changes import Ended, Failed
from hark.model.charset import text_of
from hark.model.exchange import Exchange
from hark.model.failure import Failure
from hark.views import failures
from hark.views.filters import parts_of
from hark.views.view import Independent, Needs, Screen
from hark.wire import unixsocket

_CURLS = {"accept": "*/*"}  # what curl sends by itself, whatever its version
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
    """The command, in one line for a shell; a comment where it cannot be had."""
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
    """A failure has no request to be made again: a comment of a shell that says so."""
    return f"# failed: {_comment(failures.line(failure))}"


def _encoded(url: str) -> str:
    """A URL whose path and query are percent-encoded where they are not ASCII: the bytes that were asked for, whatever
    the shell's locale is. The host is left to curl."""
    scheme, mark, rest = url.partition("://")
    if url.isascii() or not mark:
        return url
    cut = min((at for at in (rest.find(sign) for sign in "/?#") if at >= 0), default=len(rest))
    path = "".join(sign if sign < "\x80" else quote(sign) for sign in rest[cut:])
    return f"{scheme}://{rest[:cut]}{path}"


def _version(version: str, url: str) -> list[str]:
    if version == "HTTP/1.0":
        return ["--http1.0"]
    if version == "HTTP/1.1":
        return ["--http1.1"] if url.startswith("https:") else []
    if version == "HTTP/2":
        return [] if url.startswith("https:") else ["--http2-prior-knowledge"]
    return ["--http3"] if version == "HTTP/3" else []


def _where(exchange: Exchange) -> tuple[list[str], str]:
    """(curl's words for whom to ask, the URL)."""
    request, connection, url = exchange.request, exchange.connection, exchange.url
    assert request is not None
    socket, by_name = unixsocket.socket_of(url)
    if socket:
        kind = "--abstract-unix-socket" if socket[0] == "@" else "--unix-socket"
        return [kind, socket.removeprefix("@")], by_name
    scheme, mark, rest = url.partition("://")
    asked = parts_of(url)[0]
    rest = rest[len(rest.partition("/")[0].partition("?")[0]) :]
    words: list[str] = []
    target = request.target
    if "://" in target[:16]:
        if connection.server[0] and not isinstance(exchange, Archived):
            kind = "https" if connection.tls is not None else "http"
            return ["--proxy", f"{kind}://{_authority(*connection.server, '')}"], url
        return [], url
    if target[:1] != "/" or (request.method == "OPTIONS" and not rest):  # OPTIONS * asks the server itself (§3.2.4)
        words, rest = ["--request-target", "*" if not rest else target], "/"
    elif not mark:
        return [], url
    name, _, port = asked.rpartition(":") if _PORT.search(asked) else (asked, "", _PORTS.get(scheme, ""))
    address = connection.server[0]
    if connection.through or not address or not asked:
        return words, f"{scheme}://{asked}{rest}"
    plain = name.strip("[]").rstrip(".").lower()
    if connection.tls is not None:
        sni = connection.tls.sni.rstrip(".").lower()
        if sni and sni != plain:
            asked = _authority(sni, connection.server[1], scheme)
        elif not sni and plain != address and not _is_address(plain):
            asked = _authority(*connection.server, scheme)
    elif plain != address and not (plain == "localhost" and address in _LOOPBACK):
        known = connection.name.rstrip(".").lower()
        if known != plain or port != str(connection.server[1]):
            asked = _authority(*connection.server, scheme)
    elif port != str(connection.server[1]):
        asked = _authority(name.strip("[]"), connection.server[1], scheme)
    return words, f"{scheme}://{asked}{rest}"


_PORTS = {"http": "80", "https": "443"}
_PORT = re.compile(r":\d+$")
_LOOPBACK = ("127.0.0.1", "::1")
_EXPECTS = 1 << 20  # bytes of a body from which on curl asks for "100 Continue" by itself


def _authority(name: str, port: int, scheme: str) -> str:
    name = f"[{name}]" if ":" in name else name
    return name if str(port) == _PORTS.get(scheme) else f"{name}:{port}"


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _headers(exchange: Exchange, asked: str, has_body: bool, by_proxy: bool) -> list[str]:
    words: list[str] = []
    seen: set[str] = set()
    assert exchange.request is not None
    for raw_name, raw_value in exchange.request.headers:
        name, value = raw_name.decode("utf-8", "replace"), raw_value.decode("utf-8", "surrogateescape")
        small = name.lower()
        first = small not in seen
        seen.add(small)
        if small in _OF_THE_CONNECTION or small.startswith(":") or (small == "host" and value == asked):
            continue
        if small == "transfer-encoding" and (value.lower() != "chunked" or not has_body):
            continue
        if not (first and _CURLS.get(small) == value):
            words += ["-H", f"{name}: {value}" if value else f"{name};"]
    own = ["Accept", "User-Agent", *(["Content-Type"] if has_body else [])]
    own += ["Host"] if exchange.request.version < "HTTP/2" and not isinstance(exchange, Archived) else []
    own += ["Proxy-Connection"] if by_proxy else []
    authority = exchange.request.authority
    if authority and authority != asked and "host" not in seen:
        words += ["-H", f"Host: {authority}"]
    for name in own:
        if name.lower() not in seen:
            words += ["-H", f"{name}:"]
    return words


def _body(exchange: Exchange) -> tuple[list[str], str]:
    """(curl's words for the body, what is to be said of it)."""
    body = exchange.request_body
    if not body.size:  # a length of 0 is said: without one servers may refuse a POST (RFC 9110 §8.6)
        says = exchange.request_header("content-length") == "0" or exchange.request_header("transfer-encoding")
        return (["--data-raw", ""], "") if says else ([], "")
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
    """For printf's %b: what is not plain as an octal escape."""
    return (
        "'" + "".join(chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\0{byte:03o}" for byte in data) + "'"
    )


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def view(screen: Screen) -> Commands:
    """--curl."""
    return Commands(screen.write)
