"""One exchange as a HAR 1.2 entry, with hark's own facts under _names: the one schema of every structured view.

May hold: the mapping. May not hold: files, flushing.
HAR 1.2: times in ms, startedDateTime in ISO 8601, -1 for what does not apply.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus

from hark.decode.endings import Side
from hark.model.charset import encode, read
from hark.views.messages import messages
from hark.views.multipart import form_data
from hark.wire.fields import is_latin
from hark.wire.fields import text as _text
from hark.wire.isotime import iso

if TYPE_CHECKING:
    from hark.decode.endings import Ending
    from hark.decode.events import Headers, ResponseHead, TlsFacts
    from hark.model.body import Body, Decoded
    from hark.model.exchange import Connection, Exchange
    from hark.recording.blocks import Process
    from hark.views.schema import Schema

Json = dict[str, Any]
SCHEMA = 2  # of our own fields (docs/json.md): higher whenever one is renamed, removed, or lines of a new kind appear
_PAIRS: dict[tuple[bytes, bytes], Json] = {}
_PAIRS_MOST, _PAIR_BYTES = 4096, 256
_EXACT = 10**15  # ns up to which a double has more than ns in ms
# What was told of TLS sessions, by their facts' identity.
_SESSIONS: dict[int, tuple[TlsFacts, list[tuple[bytes, ...]], Json]] = {}
_SESSIONS_MOST = 256


def entry(exchange: Exchange, schema: Schema | None = None) -> Json:
    """The exchange as an entry; schema tells gRPC messages by their names. The result may share parts with others: it
    is not to be changed."""
    imported = exchange.imported_entry
    if imported is not None:
        return imported
    connection = exchange.connection
    start, timings = _timings(exchange)
    told: Json = {
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
        told["_tls"] = _tls(connection)
    if connection.proxied is not None:
        (client, port), (server, server_port) = connection.proxied
        told["_proxied"] = {"client": client, "clientPort": port, "server": server, "serverPort": server_port}
    if connection.notes:
        told["_notes"] = notes(connection)
    if exchange.interim:
        told["_interim"] = [_interim(head) for head in exchange.interim]
    if exchange.messages or exchange.talks is not None or exchange.socket:
        told |= messages(exchange, schema)
    if exchange.trouble:
        told["_trouble"] = exchange.trouble
    if exchange.ending is not None:
        told["_ending"] = _ending(exchange, exchange.ending)
    return told


def notes(connection: Connection) -> list[Json]:
    """What whoever recorded the connection says of it."""
    return [{**dict(note.fields), "kind": note.kind} for note in connection.notes]


def _ending(exchange: Exchange, ending: Ending) -> Json:
    """Who ended an exchange early (or a WebSocket at all), by what, how far it had come, after how long."""
    told: Json = {
        "by": ending.side.word if ending.side is not None else None,
        "how": ending.how.value,
        "phase": exchange.phase.value,
        "seconds": max(ending.time // 1000 - exchange.began // 1000, 0) / 1e6,
    }
    if ending.then is not None:
        side, how, time = ending.then
        seconds = max(time // 1000 - exchange.began // 1000, 0) / 1e6
        told["then"] = {"by": side.word if side is not None else None, "how": how.value, "seconds": seconds}
    return told | {"detail": ending.detail} if ending.detail else told


def process(found: Process | None, pid: int) -> Json | None:
    """A process, with as much as is known."""
    if found is None:
        return {"pid": pid} if pid else None
    return {
        "pid": found.pid,
        "name": found.name,
        "exe": found.exe,
        "cmdline": list(found.cmdline),
        "ppid": found.ppid,
    }


def _ms(ns: int) -> float:
    """A duration, rounded to µs."""
    rest = ns % 1000
    if rest == 500 or ns >= _EXACT:
        return round(ns / 1e6, 3)
    return (ns // 1000 + (rest > 500)) / 1000  # the same, where nothing stands on the edge, in a third of the time


def _timings(exchange: Exchange) -> tuple[int, Json]:
    """(when the exchange began, its phases). The connection's own phases belong to its first exchange."""
    connection = exchange.connection
    began = exchange.started
    dns = connect = ssl = -1.0
    spent = 0
    if exchange.first and connection.established:
        began = connection.opened
        tls = connection.tls
        ready = connection.established
        if tls is not None and tls.done:
            ssl = _ms(max(tls.done - tls.started, 0))  # clocks of captures jump
            ready = max(ready, min(tls.done, exchange.started))
        connect = _ms(max(ready - connection.opened, 0))
        spent += max(ready - connection.opened, 0)
        if connection.dns is not None and connection.dns[0] <= connection.dns[1] <= connection.opened:
            began = connection.dns[0]
            dns = _ms(connection.dns[1] - connection.dns[0])
            spent += connection.dns[1] - connection.dns[0]
    sent = exchange.sent or exchange.answered or exchange.ended
    answered = exchange.answered or exchange.ended
    started, ended = exchange.started, exchange.ended
    send = sent - started if sent > started else 0
    wait = answered - (sent if sent > started else started)
    wait = wait if wait > 0 else 0
    receive = ended - answered if ended > answered else 0
    blocked = ended - began - spent - send - wait - receive
    timings = {
        "blocked": _ms(blocked) if blocked > 0 else -1,
        "dns": dns,
        "connect": connect,
        "ssl": ssl,
        "send": _ms(send),
        "wait": _ms(wait),
        "receive": _ms(receive),
    }
    return began, timings


def _request(exchange: Exchange) -> Json:
    request = exchange.request
    url = exchange.url
    headers = request.headers if request is not None else ()
    told: Json = {
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
        told["_authority"] = request.authority
    if request is not None and request.line:
        told["_line"] = request.line
    if exchange.request_body.size:
        mime = exchange.request_header("content-type")
        body = exchange.content(Side.CLIENT)
        content = _content(exchange.request_body, body, mime)
        post: Json = {"mimeType": mime, "text": content.get("text", "")}
        kind = mime[:33].lower()
        if kind.startswith("application/x-www-form-urlencoded") and "encoding" not in content:
            post["params"] = [{"name": n, "value": v} for n, v in parse_qsl(post["text"], keep_blank_values=True)]
        elif kind.startswith("multipart/form-data"):
            post["params"] = form_data(body.data, mime)
        for extra in ("encoding", "comment", "_charset", "_raw", "_error"):
            if extra in content:
                post["_encoding" if extra == "encoding" else extra] = content[extra]
        told["postData"] = post
    if exchange.request_trailers:
        told["_trailers"] = _headers(exchange.request_trailers)
    return told


def _response(exchange: Exchange) -> Json:
    response, body, fields = exchange.response, exchange.response_body, exchange.told
    headers = response.headers if response is not None else ()
    mime = _text(fields.get(b"content-type", b""))
    content = _content(body, exchange.content(Side.SERVER), mime)
    told: Json = {
        "status": response.status if response is not None else 0,
        "statusText": response.reason if response is not None else "",
        "httpVersion": response.version if response is not None else "",
        "cookies": _set_cookies(headers) if fields.get(b"set-cookie") else [],
        "headers": _headers(headers),
        "content": content,
        "redirectURL": _text(fields[b"location"]) if b"location" in fields else "",
        "headersSize": response.size if response is not None else -1,
        "bodySize": body.size,
    }
    if exchange.response_trailers:
        told["_trailers"] = _headers(exchange.response_trailers)
    return told


def _interim(head: ResponseHead) -> Json:
    told: Json = {"status": head.status, "headers": _headers(head.headers)}
    return told | {"statusText": head.reason, "httpVersion": head.version}


def _content(body: Body, decoded: Decoded, mime: str) -> Json:
    """A body as HAR's content: text, else base64. _charset: what it is in, where that is not UTF-8; _raw: its bytes in
    base64 where the text does not give them back; _error: what could not be decoded."""
    data, wrong, cut = decoded
    kept, size = body.whole, len(data)
    told: Json = {"size": size if kept else body.size, "mimeType": mime}
    if kept and not cut and size != body.size:
        told["compression"] = size - body.size
    found = read(data, mime, kept and not cut and not wrong and body.hole < 0)
    if found is None:
        told["text"] = base64.b64encode(data).decode("ascii")
        told["encoding"] = "base64"
    else:
        told["text"] = found.text
        if found.charset:
            told["_charset"] = found.charset
            if encode(found.text, found.charset) != data:
                told["_raw"] = base64.b64encode(data).decode("ascii")
    if kept and not cut and not wrong:
        return told
    said = []
    if not kept:
        said.append(f"only the first {len(body.raw)} of {body.size} bytes were kept")
    elif cut:
        said.append(f"only the first {len(data)} bytes of the decoded content were kept")
    if wrong:
        told["_error"] = wrong
        said.append(wrong)
    if said:
        told["comment"] = "; ".join(said)
    return told


def _headers(headers: Headers) -> list[Json]:
    """Shared between entries: not to be changed."""
    return [_PAIRS.get(pair) or _pair(pair) for pair in headers]


def _pair(pair: tuple[bytes, bytes]) -> Json:
    """A header, remembered: most come again and again."""
    made = {"name": _text(pair[0]), "value": _text(pair[1])}
    if is_latin(pair[1]):  # so that its bytes can be had again
        made["_charset"] = "iso-8859-1"
    if len(pair[1]) < _PAIR_BYTES:
        if len(_PAIRS) >= _PAIRS_MOST:
            _PAIRS.clear()
        _PAIRS[pair] = made
    return made


def _cookies(header: str) -> list[Json]:
    if not header:
        return []
    found = []
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        found.append({"name": name, "value": value})
    return found


def _set_cookies(headers: Headers) -> list[Json]:
    return [_set_cookie(_text(v)) for n, v in headers if n.lower() == b"set-cookie"]


def _set_cookie(value: str) -> Json:
    """A cookie with what is said of it (RFC 6265 §4.1)."""
    first, *attributes = value.split(";")
    name, _, text = first.strip().partition("=")
    told: Json = {"name": name, "value": text}
    for attribute in attributes:
        key, _, said = attribute.strip().partition("=")
        key = key.lower()
        if key in ("path", "domain"):
            told[key] = said
        elif key in ("secure", "httponly"):
            told["httpOnly" if key == "httponly" else key] = True
        elif key == "samesite":
            told["_sameSite"] = said
        elif key == "max-age":
            told["_maxAge"] = said
        elif key == "expires" and (when := _http_date(said)):
            told["expires"] = when
    return told


def _http_date(text: str) -> str:
    """A date of a header as ISO 8601; "" for what is none."""
    from email.utils import parsedate

    found = parsedate(text)
    return "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}Z".format(*found[:6]) if found is not None else ""


def _query(url: str) -> list[Json]:
    query = url.partition("?")[2].partition("#")[0]
    found = []
    for part in query.split("&") if query else ():
        if part:
            name, _, value = part.partition("=")
            found.append({"name": _unquoted(name), "value": _unquoted(value)})
    return found


def _unquoted(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _tls(connection: Connection) -> Json:
    """Shared between the entries of a connection: not to be changed."""
    facts, chains = connection.tls, connection.certificates
    assert facts is not None
    known = _SESSIONS.get(id(facts))
    if known is not None and known[0] is facts and known[1] == chains:
        return known[2]
    if len(_SESSIONS) >= _SESSIONS_MOST:
        _SESSIONS.clear()
    told = _session(facts, connection)
    _SESSIONS[id(facts)] = facts, list(chains), told
    return told


def _session(facts: TlsFacts, connection: Connection) -> Json:
    told = {
        "version": facts.version,
        "cipher": facts.cipher,
        "sni": facts.sni,
        "alpn": facts.alpn,
        "resumed": facts.resumed,
        "opened_by": facts.source,
    }
    if facts.ech:
        told["ech"] = True  # offered: the name that was meant may be another one
    for name, side in (("certificate", Side.SERVER), ("clientCertificate", Side.CLIENT)):
        if certificate := connection.certificate(side):
            told[name] = certificate
    return told
