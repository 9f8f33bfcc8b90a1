"""Entries of HAR files, JSON lines and feeds as exchanges, so that every view handles them as decoded ones.

What   HAR 1.2, as browsers, proxies and hark itself write it; hark's own fields (`_` names) if they are there.
Why    Views know exchanges. What they derive from packets (times, sizes, processes, TLS) is taken from the entry; the
       entry itself is kept, and structured views write it unchanged, so that no field of another program is lost.
Limits A field that is missing or has another type than it should counts as not known: complete.py sees to that.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from hark.decode.events import Message, RequestHead, ResponseHead, Side, TlsFacts
from hark.model.body import Content
from hark.model.charset import bytes_of
from hark.model.complete import complete, int_of, is_base64, process_of, text_of
from hark.model.exchange import EMPTY, Connection, Exchange
from hark.model.versions import version_of
from hark.wire import urls, websocket
from hark.wire.isotime import time_ns

if TYPE_CHECKING:
    from hark.decode.events import Headers
    from hark.model.entry import (
        Entry,
        EntryCall,
        EntryCertificate,
        EntryInterim,
        EntryMessage,
        EntryPair,
        EntryPost,
        EntryRequest,
        EntryResponse,
    )

Json = dict[str, Any]
_CONNECTIONS = 65536  # that are remembered; then all are forgotten


class ImportedExchange(Exchange):
    """An exchange out of an entry; `entry` is the entry itself, completed."""

    __slots__ = ("entry",)

    entry: Entry

    @property
    def imported_entry(self) -> Entry:
        """The same as `entry`."""
        return self.entry

    @property
    def url(self) -> str:
        """The absolute URL of the entry."""
        return self.entry["request"]["url"]

    @property
    def certificate(self) -> EntryCertificate:
        """The facts of the server's certificate, from the entry."""
        return self.entry.get("_tls", {}).get("certificate", {})

    @property
    def socket(self) -> bool:
        """Whether it has become a WebSocket."""
        return "_webSocketMessages" in self.entry or super().socket

    @property
    def is_grpc(self) -> bool:
        """Whether it is a call of gRPC or gRPC-web."""
        return "_grpc" in self.entry


class EntryReader:
    """Makes exchanges of entries; those of one connection share it."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, str], Connection] = {}
        self._count = 0

    def exchange(self, raw: Json | Entry) -> ImportedExchange:
        """The exchange of an entry, which is completed in place."""
        entry = complete(raw)
        connection = self._connection(entry)
        connection.exchanges += 1
        self._count += 1
        return _exchange(entry, connection, self._count)

    def _connection(self, entry: Entry) -> Connection:
        name, address = entry["connection"], entry["serverIPAddress"]
        is_new = entry["timings"].get("connect", -1) > 0  # some programs write the port for a number: not to be trusted
        connection = self._connections.get((name, address)) if name and not is_new else None
        if connection is None:
            number = int(name) if name.isdecimal() and len(name) < 10 else len(self._connections) + 1
            connection = _connection(entry, number, _url(entry["request"]["url"]))
            if len(self._connections) > _CONNECTIONS:
                self._connections.clear()
            self._connections[name or str(number), address] = connection
        return connection


def _connection(entry: Entry, number: int, url: tuple[str, str, int, str]) -> Connection:
    scheme, host, url_port, _ = url
    port = entry.get("_serverPort", 0) or url_port
    pid, process = process_of(entry.get("_process"))
    connection = Connection(number, 0, ("", 0), (entry["serverIPAddress"].strip("[]"), port), pid, process)
    connection.name = host
    tls = entry.get("_tls", {})
    if tls or scheme in ("https", "wss"):
        connection.tls = TlsFacts(
            number, 0, 0, 0, tls.get("version", ""), tls.get("cipher", ""), tls.get("sni", "") or host,
            tls.get("alpn", ""), tls.get("resumed") is True, tls.get("opened_by", ""), b"", tls.get("ech") is True,
        )  # fmt: skip
    return connection


def _exchange(entry: Entry, connection: Connection, number: int) -> ImportedExchange:
    request, response, timings = entry["request"], entry["response"], entry["timings"]
    begin = time_ns(entry["startedDateTime"])
    blocked, dns, connect, ssl = (max(_ns(timings.get(name)), 0) for name in ("blocked", "dns", "connect", "ssl"))
    ready = begin + dns + (blocked if dns else 0)  # unexplained time was spent after a name look-up, or
    started = ready + connect + (0 if dns else blocked) if connect else begin  # before the request
    exchange = ImportedExchange(number, connection, entry.get("_stream", 0), _request(request), started, 0)
    exchange.entry = entry
    exchange.first = connect > 0
    if exchange.first:
        connection.opened, connection.established = ready, ready + connect - ssl
        connection.dns = (ready - dns, ready) if dns else None
        if connection.tls is not None and ssl:
            connection.tls = connection.tls._replace(started=ready + connect - ssl, done=ready + connect)
    exchange.sent = started + max(_ns(timings["send"]), 0)
    exchange.ended = begin + max(_ns(entry["time"]), 0)
    exchange.request_body = _request_body(request)
    exchange.request_trailers = _headers(request.get("_trailers", ()))
    exchange.trouble = entry.get("_trouble", "") or response.get("_error") or ""
    status = response["status"]
    if status > 0:
        exchange.answered = min(exchange.sent + max(_ns(timings["wait"]), 0), exchange.ended)
        exchange.response = _response(response, exchange.answered)
        exchange.response_body = _response_body(response)
        exchange.response_trailers = _headers(response.get("_trailers", ()))
        exchange.interim = [_response(head, exchange.answered) for head in entry.get("_interim", ())]
    _messages(exchange, entry)
    return exchange


def _messages(exchange: ImportedExchange, entry: Entry) -> None:
    number, stream = exchange.connection.number, exchange.stream
    for frame in entry.get("_webSocketMessages", ()):
        side, kind = _side(frame), websocket.KINDS[frame["opcode"]]
        data = b64decode(frame["data"]) if kind not in ("text", "close") else _bytes(frame["data"])
        if kind == "close" and "_code" in frame:
            data = (int_of(frame, "_code", 0) & 0xFFFF).to_bytes(2, "big") + data
        size, wrong = frame.get("_size", len(data)), text_of(frame, "_error")
        exchange.add(Message(number, stream, side, _time(frame["time"]), kind, data, size, "", "", wrong))
    for event in entry.get("_events", ()):
        data, time = _bytes(event["data"]), _time(event["time"])
        message = Message(number, stream, Side.SERVER, time, "event", data, len(data), event["event"], event["id"])
        exchange.add(message)
    if "_grpc" in entry:
        for call in entry["_grpc"]["messages"]:
            exchange.messages_seen[_side(call)] += 1


def _side(message: EntryMessage | EntryCall) -> Side:
    return Side.CLIENT if message["type"] == "send" else Side.SERVER


def _request(request: EntryRequest) -> RequestHead:
    scheme, _, _, target = _url(request["url"])
    version = version_of(request["httpVersion"])
    return RequestHead(
        0, 0, 0, 0, request["method"], target, scheme, text_of(request, "_authority"), version,
        _headers(request["headers"], version), request["headersSize"], "", text_of(request, "_line"),
    )  # fmt: skip


def _response(head: EntryResponse | EntryInterim, time: int) -> ResponseHead:
    status, version = head["status"], version_of(text_of(head, "httpVersion"))
    return ResponseHead(
        0, 0, time, time, status, text_of(head, "statusText"), version, _headers(head["headers"], version),
        int_of(head, "headersSize", -1), status < 200 and status != 101,
    )  # fmt: skip


def _request_body(request: EntryRequest) -> Content:
    post = request.get("postData")
    data = body_bytes(post, "_encoding") if post is not None else b""
    size = request["bodySize"]
    size = size if size >= 0 else len(data)
    comment = post.get("comment", "") if post is not None else ""
    if not data and post is not None and post.get("params"):
        data, known = _form(post)
        return Content(data, max(size, len(data)) if known else max(size, len(data), 1), known, comment)
    if not size and not data:
        return EMPTY  # type: ignore[return-value]
    return Content(data, size or len(data), not comment.startswith("only the first"), comment)


def _form(post: EntryPost) -> tuple[bytes, bool]:
    """(the body of a form of which only the fields are known, whether that is all of it)."""
    pairs = [(param["name"], text_of(param, "value")) for param in post["params"]]
    kind, _, rest = post["mimeType"].partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return "&".join(f"{_field(name)}={_field(value)}" for name, value in pairs).encode("utf-8", "replace"), True
    boundary = _BOUNDARY.search(rest)
    if boundary is None or any("fileName" in param for param in post["params"]):
        return b"", False  # the content of files is not known
    mark = boundary[1] or boundary[2]
    lines = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs]
    return ("".join(lines) + f"--{mark}--\r\n").encode("utf-8", "replace"), True


_BOUNDARY = re.compile(r'boundary=(?:"([^"]*)"|([^\s;]+))', re.I)
_ESCAPED = re.compile(r"(?:[!$'()*+,./:;?@\[\]^_`{|}~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*$")


def _field(text: str) -> str:
    """A name or a value of a form, percent-encoded; most programs write it so already."""
    return text if _ESCAPED.match(text) else quote_plus(text.encode("utf-8", "replace"))


def _response_body(response: EntryResponse) -> Content:
    content = response["content"]
    data = body_bytes(content, "encoding")
    size = response["bodySize"]
    if size < 0:
        size = int_of(response, "_transferSize", -1) - max(response["headersSize"], 0)  # Chrome's
    if size < 0:
        size = max(content["size"] - max(content.get("compression", 0), 0), 0)
    size = size or len(data)
    if not size:
        return EMPTY  # type: ignore[return-value]
    comment = content.get("comment", "")
    missing = not data and content["size"] > 0
    return Content(data, size, not comment.startswith("only the first") and not missing, comment)


def _url(url: str) -> tuple[str, str, int, str]:
    """scheme, host, port, target."""
    scheme, authority, rest = urls.split(url)
    if not scheme:
        return "", "", 0, url
    host, target = authority.rpartition("@")[2], rest.partition("#")[0]
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name, port = host, "443" if scheme in ("https", "wss") else "80"
    return scheme, name.strip("[]"), int(port[:5]), target if target.startswith("/") else f"/{target}"


def _headers(pairs: Sequence[EntryPair], version: str = "") -> Headers:
    """Header fields. Some programs join several of one name, one value per line: they are separate again."""
    lower = version in ("HTTP/2", "HTTP/3")
    return tuple(
        ((pair["name"].lower() if lower else pair["name"]).encode("utf-8", "replace"), _value(value, pair))
        for pair in pairs
        for value in (pair["value"].split("\n") if "\n" in pair["value"] else (pair["value"],))
    )


def _value(value: str, pair: EntryPair) -> bytes:
    """The bytes of a header's value, which need not be UTF-8."""
    if pair.get("_charset") == "iso-8859-1" and all(sign < "\u0100" for sign in value):
        return value.encode("latin-1")
    return value.encode("utf-8", "replace")


def body_bytes(part: Mapping[str, object], encoding: str) -> bytes:
    """The bytes of a postData or a content. encoding: the name of the field that says base64."""
    text, raw = text_of(part, "text"), text_of(part, "_raw")
    if part.get(encoding) == "base64":
        return b64decode(text)
    if raw and is_base64(raw):
        return b64decode(raw)
    return bytes_of(text, text_of(part, "_charset"), text_of(part, "mimeType"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _ns(ms: object) -> int:
    return round(ms * 1_000_000) if isinstance(ms, int | float) else 0


def _time(seconds: float) -> int:
    return round(float(seconds) * 1_000_000_000)
