"""An entry of an archive as an exchange, so that every view tells it as it tells one that was heard.

What   HAR 1.2, as browsers, proxies and hark itself write it; hark's own facts under _names where they are there.
Why    Views know exchanges. What they derive from packets (times, sizes, processes, TLS) is taken from the entry; the
       entry itself is kept, and is what structured views give back, so that nothing of another maker is lost.
Limits Whatever is missing or of another type than it should be is not known: complete.py sees to that.
"""

import re
from base64 import b64decode
from typing import Any
from urllib.parse import quote_plus

from hark.decode.events import Headers, Message, RequestHead, ResponseHead, Side, TlsFacts
from hark.model.body import Content
from hark.model.charset import bytes_of
from hark.model.complete import complete, dict_of, int_of, is_base64, process_of, text_of
from hark.model.exchange import EMPTY, Connection, Exchange
from hark.model.versions import version_of
from hark.wire import websocket
from hark.wire.isotime import time_ns

Json = dict[str, Any]


class Archived(Exchange):
    """An exchange out of an archive; entry is what the archive says of it, made complete."""

    __slots__ = ("entry",)

    entry: Json

    @property
    def imported_entry(self) -> Json:
        """The same as `entry`."""
        return self.entry

    @property
    def url(self) -> str:
        """The absolute URL, as the archive has it."""
        return text_of(dict_of(self.entry, "request"), "url")

    @property
    def certificate(self) -> dict[str, Any]:
        """The facts of the server's certificate, as the archive has them."""
        return dict_of(dict_of(self.entry, "_tls"), "certificate")

    @property
    def socket(self) -> bool:
        """Whether it has become a WebSocket."""
        return "_webSocketMessages" in self.entry or super().socket

    @property
    def is_grpc(self) -> bool:
        """Whether it is a call of gRPC or gRPC-web."""
        return "_grpc" in self.entry


class Shelf:
    """Makes exchanges of entries; those of one connection share it."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, str], Connection] = {}
        self._count = 0

    def exchange(self, told: Json) -> Archived:
        """The exchange that an entry tells. The entry is completed in place."""
        entry = complete(told)
        connection = self._connection(entry)
        connection.exchanges += 1
        self._count += 1
        return _exchange(entry, connection, self._count)

    def _connection(self, entry: Json) -> Connection:
        name, address = entry["connection"], entry["serverIPAddress"]
        fresh = entry["timings"].get("connect", -1) > 0  # makers give a port for a number: not to be relied on
        found = self._connections.get((name, address)) if name and not fresh else None
        if found is None:
            number = int(name) if name.isdecimal() and len(name) < 10 else len(self._connections) + 1
            found = _connection(entry, number, _url(entry["request"]["url"]))
            if len(self._connections) > 65536:
                self._connections.clear()
            self._connections[name or str(number), address] = found
        return found


def _connection(entry: Json, number: int, url: tuple[str, str, int, str]) -> Connection:
    scheme, host, port, _ = url
    at = int_of(entry, "_serverPort", 0) or port
    pid, process = process_of(entry.get("_process"))
    made = Connection(number, 0, ("", 0), (entry["serverIPAddress"].strip("[]"), at), pid, process)
    made.name = host
    tls = dict_of(entry, "_tls")
    if tls or scheme in ("https", "wss"):
        made.tls = TlsFacts(
            number, 0, 0, 0, text_of(tls, "version"), text_of(tls, "cipher"), text_of(tls, "sni") or host,
            text_of(tls, "alpn"), tls.get("resumed") is True, text_of(tls, "opened_by"), b"", tls.get("ech") is True,
        )  # fmt: skip
    return made


def _exchange(entry: Json, connection: Connection, number: int) -> Archived:
    asked, told, phases = entry["request"], entry["response"], entry["timings"]
    begin = time_ns(entry["startedDateTime"])
    blocked, dns, connect, ssl = (max(_ns(phases.get(name)), 0) for name in ("blocked", "dns", "connect", "ssl"))
    ready = begin + dns + (blocked if dns else 0)  # what is not accounted for is spent behind a look-up, or
    started = ready + connect + (0 if dns else blocked) if connect else begin  # until the request is made
    exchange = Archived(number, connection, int_of(entry, "_stream", 0), _request(entry), started, 0)
    exchange.entry = entry
    exchange.first = connect > 0
    if exchange.first:
        connection.opened, connection.established = ready, ready + connect - ssl
        connection.dns = (ready - dns, ready) if dns else None
        if connection.tls is not None and ssl:
            connection.tls = connection.tls._replace(started=ready + connect - ssl, done=ready + connect)
    exchange.sent = started + max(_ns(phases.get("send")), 0)
    exchange.ended = begin + max(_ns(entry["time"]), 0)
    exchange.request_body = _request_body(asked)
    exchange.request_trailers = _headers(asked, "_trailers")
    exchange.trouble = text_of(entry, "_trouble") or text_of(told, "_error")
    status = told["status"]
    if status > 0:
        exchange.answered = min(exchange.sent + max(_ns(phases.get("wait")), 0), exchange.ended)
        exchange.response = _response(told, exchange.answered, status)
        exchange.response_body = _response_body(told)
        exchange.response_trailers = _headers(told, "_trailers")
        exchange.interim = [_response(head, exchange.answered, head["status"]) for head in entry.get("_interim", ())]
    _messages(exchange, entry)
    return exchange


def _messages(exchange: Archived, entry: Json) -> None:
    number, stream = exchange.connection.number, exchange.stream
    for said in entry.get("_webSocketMessages", ()):
        side, kind = _side(said), websocket.KINDS[said["opcode"]]
        data = _data(said["data"], kind not in ("text", "close"))
        if kind == "close" and "_code" in said:
            data = (int_of(said, "_code", 0) & 0xFFFF).to_bytes(2, "big") + data
        size, wrong = said.get("_size", len(data)), text_of(said, "_error")
        exchange.add(Message(number, stream, side, _seconds(said), kind, data, size, "", "", wrong))
    for said in entry.get("_events", ()):
        data = _data(said["data"], False)
        message = Message(
            number, stream, Side.SERVER, _seconds(said), "event", data, len(data), said["event"], said["id"]
        )
        exchange.add(message)
    for said in entry.get("_grpc", {}).get("messages", ()):
        exchange.messages_seen[_side(said)] += 1


def _side(said: Json) -> Side:
    return Side.CLIENT if said["type"] == "send" else Side.SERVER


def _request(entry: Json) -> RequestHead:
    asked = entry["request"]
    scheme, _, _, target = _url(asked["url"])
    version = version_of(text_of(asked, "httpVersion"))
    method = asked["method"]
    return RequestHead(
        0, 0, 0, 0, method, target, scheme, text_of(asked, "_authority"), version, _headers(asked, "headers", version),
        int_of(asked, "headersSize", -1), "", text_of(asked, "_line"),
    )  # fmt: skip


def _response(told: Json, time: int, status: int) -> ResponseHead:
    version = version_of(text_of(told, "httpVersion"))
    return ResponseHead(
        0, 0, time, time, status, text_of(told, "statusText"), version, _headers(told, "headers", version),
        int_of(told, "headersSize", -1), status < 200 and status != 101,
    )  # fmt: skip


def _request_body(asked: Json) -> Content:
    post = dict_of(asked, "postData")
    data = body_bytes(post, "_encoding")
    size = int_of(asked, "bodySize", -1)
    size = size if size >= 0 else len(data)
    cut = text_of(post, "comment")
    if not data and post.get("params"):
        data, whole = _form(post)
        return Content(data, max(size, len(data)) if whole else max(size, len(data), 1), whole, cut)
    if not size and not data:
        return EMPTY  # type: ignore[return-value]
    return Content(data, size or len(data), not cut.startswith("only the first"), cut)


def _form(post: Json) -> tuple[bytes, bool]:
    """The body that the parameters of a form make, where they alone are told; whether that is all of it."""
    pairs = [(text_of(one, "name"), text_of(one, "value")) for one in post["params"]]
    kind, _, rest = text_of(post, "mimeType").partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return "&".join(f"{_field(name)}={_field(value)}" for name, value in pairs).encode("utf-8", "replace"), True
    found = _BOUNDARY.search(rest)
    if found is None or any("fileName" in one for one in post["params"]):
        return b"", False  # what was in files is not told
    mark = found[1] or found[2]
    lines = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs]
    return ("".join(lines) + f"--{mark}--\r\n").encode("utf-8", "replace"), True


_BOUNDARY = re.compile(r'boundary=(?:"([^"]*)"|([^\s;]+))', re.I)
_ESCAPED = re.compile(r"(?:[!$'()*+,./:;?@\[\]^_`{|}~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*$")


def _field(text: str) -> str:
    """A name or a value of a form; most makers tell them as they were sent."""
    return text if _ESCAPED.match(text) else quote_plus(text.encode("utf-8", "replace"))


def _response_body(told: Json) -> Content:
    content = dict_of(told, "content")
    data = body_bytes(content, "encoding")
    size = int_of(told, "bodySize", -1)
    if size < 0:
        size = int_of(told, "_transferSize", -1) - max(int_of(told, "headersSize", 0), 0)
    if size < 0:
        size = max(int_of(content, "size", 0) - max(int_of(content, "compression", 0), 0), 0)
    size = size or len(data)
    if not size:
        return EMPTY  # type: ignore[return-value]
    cut = text_of(content, "comment")
    missing = not data and int_of(content, "size", 0) > 0
    return Content(data, size, not cut.startswith("only the first") and not missing, cut)


def _url(url: str) -> tuple[str, str, int, str]:
    """scheme, host, port, target."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return "", "", 0, url
    ends = [at for at in (rest.find(sign) for sign in "/?#") if at >= 0]
    cut = min(ends, default=len(rest))
    host, target = rest[:cut].rpartition("@")[2], rest[cut:].partition("#")[0]
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name, port = host, "443" if scheme in ("https", "wss") else "80"
    return scheme, name.strip("[]"), int(port[:5]), target if target.startswith("/") else f"/{target}"


def _headers(part: Json, name: str, version: str = "") -> Headers:
    """The fields; several of one name that a maker has put into one value, a line each, are several again."""
    small = version in ("HTTP/2", "HTTP/3")
    return tuple(
        ((pair["name"].lower() if small else pair["name"]).encode("utf-8", "replace"), _value(value, pair))
        for pair in part.get(name, ())
        for value in (pair["value"].split("\n") if "\n" in pair["value"] else (pair["value"],))
    )


def _value(value: str, pair: Json) -> bytes:
    """A header's value, whose bytes may have been no UTF-8."""
    if pair.get("_charset") == "iso-8859-1" and all(sign < "\u0100" for sign in value):
        return value.encode("latin-1")
    return value.encode("utf-8", "replace")


def body_bytes(part: Json, encoding: str) -> bytes:
    """The bytes of a postData or a content; encoding: the name of its field that may say base64."""
    text, raw = text_of(part, "text"), text_of(part, "_raw")
    if part.get(encoding) == "base64":
        return b64decode(text)
    if raw and is_base64(raw):
        return b64decode(raw)
    return bytes_of(text, text_of(part, "_charset"), text_of(part, "mimeType"))


def _data(text: str, is_base64: bool) -> bytes:
    if is_base64:
        return b64decode(text)
    return text.encode("utf-8", "surrogatepass")


def _ns(value: float | None) -> int:
    return round((value or 0) * 1_000_000)


def _seconds(said: Json) -> int:
    return round(float(said["time"]) * 1_000_000_000)
