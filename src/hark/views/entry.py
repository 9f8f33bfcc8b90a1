"""One exchange as a HAR 1.2 entry, with hark's own fields under `_` names: the schema of all structured output
(model/entry.py has its types).

May hold: the mapping. May not hold: files, flushing.
HAR 1.2: times in ms, startedDateTime in ISO 8601, -1 for what does not apply.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus

from hark.decode.endings import Side
from hark.model.charset import encode, read
from hark.views.messages import add_messages
from hark.views.multipart import form_data
from hark.wire.fields import is_latin
from hark.wire.fields import text as _text
from hark.wire.isotime import iso

if TYPE_CHECKING:
    from hark.decode.endings import Ending
    from hark.decode.events import Headers, ResponseHead, TlsFacts
    from hark.model.body import Body, Decoded
    from hark.model.entry import (
        Entry,
        EntryContent,
        EntryCookie,
        EntryEnding,
        EntryInterim,
        EntryPair,
        EntryPost,
        EntryProcess,
        EntryRequest,
        EntryResponse,
        EntryTimings,
        EntryTls,
    )
    from hark.model.exchange import Connection, Exchange
    from hark.recording.blocks import Process
    from hark.views.schema import Schema

SCHEMA = 2  # of our own fields (docs/json.md): higher whenever one is renamed, removed, or lines of a new kind appear
_PAIRS: dict[tuple[bytes, bytes], EntryPair] = {}
_PAIRS_MOST, _PAIR_BYTES = 4096, 256
_EXACT = 10**15  # ns up to which a double in ms is exact to the ns
# TLS sessions as written before, by the identity of their facts.
_SESSIONS: dict[int, tuple[TlsFacts, list[tuple[bytes, ...]], EntryTls]] = {}
_SESSIONS_MOST = 256


def entry(exchange: Exchange, schema: Schema | None = None) -> Entry:
    """The exchange as an entry; schema gives gRPC messages their field names. Parts of the result are shared with other
    entries: do not change it."""
    imported = exchange.imported_entry
    if imported is not None:
        return imported
    connection = exchange.connection
    start, timings = _timings(exchange)
    result: Entry = {
        "startedDateTime": iso(start),
        "time": _ms(max(exchange.ended - start, 0)),
        "request": _request(exchange),
        "response": _response(exchange),
        "cache": {},
        "timings": timings,
        "serverIPAddress": connection.server[0],
        "connection": str(connection.number),
        "_protocol": exchange.protocol,
        "_serverPort": connection.server[1],
        "_stream": exchange.stream,
        "_process": process(connection.process, connection.pid),
    }
    if connection.tls is not None:
        result["_tls"] = _tls(connection)
    if connection.proxied is not None:
        (client, port), (server, server_port) = connection.proxied
        result["_proxied"] = {"client": client, "clientPort": port, "server": server, "serverPort": server_port}
    if connection.notes:
        result["_notes"] = notes(connection)
    if exchange.interim:
        result["_interim"] = [_interim(head) for head in exchange.interim]
    if exchange.messages or exchange.readers is not None or exchange.socket:
        add_messages(result, exchange, schema)
    if exchange.trouble:
        result["_trouble"] = exchange.trouble
    if exchange.ending is not None:
        result["_ending"] = _ending(exchange, exchange.ending)
    return result


def notes(connection: Connection) -> list[dict[str, str]]:
    """Facts about the connection that packets do not show."""
    return [{**dict(note.fields), "kind": note.kind} for note in connection.notes]


def _ending(exchange: Exchange, ending: Ending) -> EntryEnding:
    result: EntryEnding = {
        "by": ending.side.word if ending.side is not None else None,
        "how": ending.how.value,
        "phase": exchange.phase.value,
        "seconds": max(ending.time // 1000 - exchange.began // 1000, 0) / 1e6,
    }
    if ending.then is not None:
        side, how, time = ending.then
        seconds = max(time // 1000 - exchange.began // 1000, 0) / 1e6
        result["then"] = {"by": side.word if side is not None else None, "how": how.value, "seconds": seconds}
    if ending.detail:
        result["detail"] = ending.detail
    return result


def process(process: Process | None, pid: int) -> EntryProcess | None:
    """A process, as far as it is known."""
    if process is None:
        return {"pid": pid} if pid else None
    return {
        "pid": process.pid,
        "name": process.name,
        "exe": process.exe,
        "cmdline": list(process.cmdline),
        "ppid": process.ppid,
    }


def _ms(ns: int) -> float:
    """A duration, rounded to us."""
    rest = ns % 1000
    if rest == 500 or ns >= _EXACT:
        return round(ns / 1e6, 3)
    return (ns // 1000 + (rest > 500)) / 1000  # the same unless it is half-way, in a third of the time


def _timings(exchange: Exchange) -> tuple[int, EntryTimings]:
    """(when the exchange began, its phases)."""
    dns_span, connect_span, tls_span, send_span, wait_span, receive_span = exchange.timeline
    began = exchange.started
    dns = connect = ssl = -1.0
    spent = 0
    if connect_span is not None:
        began, ready = connect_span
        if tls_span is not None:
            ssl = _ms(max(tls_span[1] - tls_span[0], 0))
            ready = max(ready, min(tls_span[1], exchange.started))
        spent = ready - began
        connect = _ms(spent)
    if dns_span is not None:
        began = dns_span[0]
        dns = _ms(dns_span[1] - began)
        spent += dns_span[1] - began
    send = send_span[1] - send_span[0]
    wait = wait_span[1] - wait_span[0]
    receive = receive_span[1] - receive_span[0]
    blocked = exchange.ended - began - spent - send - wait - receive
    timings: EntryTimings = {
        "blocked": _ms(blocked) if blocked > 0 else -1,
        "dns": dns,
        "connect": connect,
        "ssl": ssl,
        "send": _ms(send),
        "wait": _ms(wait),
        "receive": _ms(receive),
    }
    return began, timings


def _request(exchange: Exchange) -> EntryRequest:
    request = exchange.request
    url = exchange.url
    headers = request.headers if request is not None else ()
    result: EntryRequest = {
        "method": request.method if request is not None else "",
        "url": url,
        "httpVersion": request.version if request is not None else "",
        "cookies": _cookies(exchange.request_header("cookie")),
        "headers": _headers(headers),
        "queryString": _query(url),
        "headersSize": request.size if request is not None else -1,
        "bodySize": exchange.request_body.size,
    }
    if request is not None and request.authority:
        result["_authority"] = request.authority
    if request is not None and request.line:
        result["_line"] = request.line
    if exchange.request_body.size:
        result["postData"] = _post(exchange)
    if exchange.request_trailers:
        result["_trailers"] = _headers(exchange.request_trailers)
    return result


def _post(exchange: Exchange) -> EntryPost:
    mime = exchange.request_header("content-type")
    body = exchange.content(Side.CLIENT)
    content = _content(exchange.request_body, body, mime)
    post: EntryPost = {"mimeType": mime, "text": content.get("text", "")}
    kind = mime[:33].lower()
    if kind.startswith("application/x-www-form-urlencoded") and "encoding" not in content:
        post["params"] = [{"name": n, "value": v} for n, v in parse_qsl(post["text"], keep_blank_values=True)]
    elif kind.startswith("multipart/form-data"):
        post["params"] = form_data(body.data, mime)
    if "encoding" in content:
        post["_encoding"] = content["encoding"]
    if "comment" in content:
        post["comment"] = content["comment"]
    if "_charset" in content:
        post["_charset"] = content["_charset"]
    if "_raw" in content:
        post["_raw"] = content["_raw"]
    if "_error" in content:
        post["_error"] = content["_error"]
    return post


def _response(exchange: Exchange) -> EntryResponse:
    response, body, values = exchange.response, exchange.response_body, exchange.response_values
    headers = response.headers if response is not None else ()
    mime = _text(values.get(b"content-type", b""))
    content = _content(body, exchange.content(Side.SERVER), mime)
    result: EntryResponse = {
        "status": response.status if response is not None else 0,
        "statusText": response.reason if response is not None else "",
        "httpVersion": response.version if response is not None else "",
        "cookies": _set_cookies(headers) if values.get(b"set-cookie") else [],
        "headers": _headers(headers),
        "content": content,
        "redirectURL": _text(values[b"location"]) if b"location" in values else "",
        "headersSize": response.size if response is not None else -1,
        "bodySize": body.size,
    }
    if exchange.response_trailers:
        result["_trailers"] = _headers(exchange.response_trailers)
    return result


def _interim(head: ResponseHead) -> EntryInterim:
    return {
        "status": head.status,
        "headers": _headers(head.headers),
        "statusText": head.reason,
        "httpVersion": head.version,
    }


def _content(body: Body, decoded: Decoded, mime: str) -> EntryContent:
    """A body as HAR's content: text, else base64. _charset: of the text, if not UTF-8; _raw: the bytes in base64, if
    the text does not give them back; _error: what could not be decoded."""
    data, wrong, cut = decoded
    kept, size = body.whole, len(data)
    result: EntryContent = {"size": size if kept else body.size, "mimeType": mime}
    if kept and not cut and size != body.size:
        result["compression"] = size - body.size
    text = read(data, mime, kept and not cut and not wrong and body.hole < 0)
    if text is None:
        result["text"] = base64.b64encode(data).decode("ascii")
        result["encoding"] = "base64"
    else:
        result["text"] = text.text
        if text.charset:
            result["_charset"] = text.charset
            if encode(text.text, text.charset) != data:
                result["_raw"] = base64.b64encode(data).decode("ascii")
    if kept and not cut and not wrong:
        return result
    comments = []
    if not kept:
        comments.append(f"only the first {len(body.raw)} of {body.size} bytes were kept")
    elif cut:
        comments.append(f"only the first {len(data)} bytes of the decoded content were kept")
    if wrong:
        result["_error"] = wrong
        comments.append(wrong)
    result["comment"] = "; ".join(comments)
    return result


def _headers(headers: Headers) -> list[EntryPair]:
    """Shared between entries: do not change it."""
    return [_PAIRS.get(pair) or _pair(pair) for pair in headers]


def _pair(pair: tuple[bytes, bytes]) -> EntryPair:
    """A header, remembered: most are repeated."""
    result: EntryPair = {"name": _text(pair[0]), "value": _text(pair[1])}
    if is_latin(pair[1]):  # from which its bytes can be restored
        result["_charset"] = "iso-8859-1"
    if len(pair[1]) < _PAIR_BYTES:
        if len(_PAIRS) >= _PAIRS_MOST:
            _PAIRS.clear()
        _PAIRS[pair] = result
    return result


def _cookies(header: str) -> list[EntryPair]:
    if not header:
        return []
    cookies: list[EntryPair] = []
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        cookies.append({"name": name, "value": value})
    return cookies


def _set_cookies(headers: Headers) -> list[EntryCookie]:
    return [_set_cookie(_text(v)) for n, v in headers if n.lower() == b"set-cookie"]


def _set_cookie(header: str) -> EntryCookie:
    """A cookie with its attributes (RFC 6265 §4.1)."""
    first, *attributes = header.split(";")
    name, _, text = first.strip().partition("=")
    cookie: EntryCookie = {"name": name, "value": text}
    for attribute in attributes:
        key, _, value = attribute.strip().partition("=")
        key = key.lower()
        if key == "path":
            cookie["path"] = value
        elif key == "domain":
            cookie["domain"] = value
        elif key == "secure":
            cookie["secure"] = True
        elif key == "httponly":
            cookie["httpOnly"] = True
        elif key == "samesite":
            cookie["_sameSite"] = value
        elif key == "max-age":
            cookie["_maxAge"] = value
        elif key == "expires" and (when := _http_date(value)):
            cookie["expires"] = when
    return cookie


def _http_date(text: str) -> str:
    """A date of a header as ISO 8601; "" if it is none."""
    from email.utils import parsedate

    date = parsedate(text)
    return "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}Z".format(*date[:6]) if date is not None else ""


def _query(url: str) -> list[EntryPair]:
    query = url.partition("?")[2].partition("#")[0]
    pairs: list[EntryPair] = []
    for part in query.split("&") if query else ():
        if part:
            name, _, value = part.partition("=")
            pairs.append({"name": _unquoted(name), "value": _unquoted(value)})
    return pairs


def _unquoted(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _tls(connection: Connection) -> EntryTls:
    """Shared between the entries of a connection: do not change it."""
    facts, chains = connection.tls, connection.certificates
    assert facts is not None
    known = _SESSIONS.get(id(facts))
    if known is not None and known[0] is facts and known[1] == chains:
        return known[2]
    if len(_SESSIONS) >= _SESSIONS_MOST:
        _SESSIONS.clear()
    result = _session(facts, connection)
    _SESSIONS[id(facts)] = facts, list(chains), result
    return result


def _session(facts: TlsFacts, connection: Connection) -> EntryTls:
    result: EntryTls = {
        "version": facts.version,
        "cipher": facts.cipher,
        "sni": facts.sni,
        "alpn": facts.alpn,
        "resumed": facts.resumed,
        "opened_by": facts.source,
    }
    if facts.ech:
        result["ech"] = True  # offered: sni may not be the real name
    if certificate := connection.certificate(Side.SERVER):
        result["certificate"] = certificate
    if certificate := connection.certificate(Side.CLIENT):
        result["clientCertificate"] = certificate
    return result
