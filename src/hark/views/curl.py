"""A request as a curl command that makes it again.

What   Method, URL, every header that curl would not make by itself to the same effect, the body, the HTTP version.
Why    -H sets a header to what it was; a header that curl adds by itself and that was not there is taken away by
       "-H 'Name:'". The shell's quoting is POSIX's; bytes that are no text are given by printf through a pipe.
Limits A body that was not kept whole cannot be made again: the command says so in a comment. Headers that belong to the
       connection (Host where it is the URL's, Content-Length, Connection, HTTP/2's own) are left to curl.
"""

import shlex
from collections.abc import Callable

from hark.model.book import Change, Ended, Failed
from hark.model.exchange import Exchange
from hark.model.failure import Failure
from hark.views import failures
from hark.views.entry import text_of
from hark.views.view import host

_CURLS = {"accept": "*/*"}  # what curl sends by itself, whatever its version
_OF_THE_CONNECTION = {
    "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings", "content-length",
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
}  # fmt: skip


class Commands:
    """A view: each request as it ends, a line for a shell; what failed as a comment."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lines: list[str] = []

    def change(self, change: Change) -> None:
        """A request that is over, or what kept one from being made."""
        if type(change) is Ended:
            self._lines.append(command(change.exchange) + "\n")
        elif type(change) is Failed:
            self._lines.append(comment(change.failure) + "\n")

    def tick(self, now: int) -> None:
        """Write what was gathered."""
        if self._lines:
            self._write("".join(self._lines).encode("utf-8", "backslashreplace"))
            self._lines.clear()

    def end(self) -> None:
        """Write what was gathered."""
        self.tick(0)


def command(exchange: Exchange) -> str:
    """The command, in one line for a shell; a comment where it cannot be had."""
    request = exchange.request
    if request is None:
        return f"# {exchange.trouble or 'the request was not captured'}"
    if request.method == "CONNECT":
        return f"# CONNECT {_comment(exchange.url)}: a tunnel; what was asked inside of it stands by itself"
    if exchange.socket:
        return f"# {_comment(exchange.url)}: a WebSocket, which curl does not speak for long"
    url = exchange.url
    words = ["curl"]
    words += _version(request.version, url)
    body, comment = _body(exchange)
    if request.method == "HEAD":
        words.append("--head")
    elif request.method != ("POST" if body else "GET"):
        words += ["-X", request.method]
    words += _headers(exchange, host(exchange), bool(body))
    words += body
    words += ["--globoff"] if any(sign in url for sign in "[]{}") else []
    words += ["--path-as-is"] if "/../" in url or "/./" in url or url.endswith(("/..", "/.")) else []
    words.append(url)
    line = " ".join(map(_quoted, words))
    if body and body[1] == "@-":
        line = f"printf %b {_escaped(exchange.request_body.raw)} | {line}"
    return line + (f"  # {_comment(comment)}" if comment else "")


def comment(failure: Failure) -> str:
    """A failure has no request to be made again: a comment of a shell that says so."""
    return f"# failed: {_comment(failures.line(failure))}"


def _version(version: str, url: str) -> list[str]:
    if version == "HTTP/1.0":
        return ["--http1.0"]
    if version == "HTTP/1.1":
        return ["--http1.1"] if url.startswith("https:") else []
    if version == "HTTP/2":
        return [] if url.startswith("https:") else ["--http2-prior-knowledge"]
    return ["--http3"] if version == "HTTP/3" else []


def _headers(exchange: Exchange, asked: str, has_body: bool) -> list[str]:
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
        if not (first and _CURLS.get(small) == value):
            words += ["-H", f"{name}: {value}" if value else f"{name};"]
    own = ["Accept", "User-Agent", *(["Content-Type"] if has_body else [])]
    for name in own:
        if name.lower() not in seen:
            words += ["-H", f"{name}:"]
    return words


def _body(exchange: Exchange) -> tuple[list[str], str]:
    """(curl's words for the body, what is to be said of it)."""
    body = exchange.request_body
    if not body.size:
        return [], ""
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
