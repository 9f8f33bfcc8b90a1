"""An entry as events of the Chrome DevTools Protocol's Network domain.

What   Pure functions: what an exchange's begin, answer and end are in the protocol, as (method, params).
Why    Headers are given by the "ExtraInfo" events, as they were on the wire: without those the frontend calls them
       provisional. Times are seconds since the epoch, which serves as the protocol's monotonic clock too.
Limits Field for field what frontends need (docs: Network domain of the protocol, 1.3). Every value is of the type that
       it has there, for an unknown one stops the frontend's row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from hark.model.charset import parameter
from hark.views.failures import layer
from hark.views.view import named
from hark.wire import websocket
from hark.wire.isotime import time_ns

if TYPE_CHECKING:
    from hark.model.entry import Entry, EntryMessage, EntryPair, EntryProcess, EntryRequest, EntryTls

Json = dict[str, Any]
Event = tuple[str, Json]

_KINDS = (
    ("text/html", "Document"), ("application/xhtml", "Document"), ("text/css", "Stylesheet"), ("javascript", "Script"),
    ("ecmascript", "Script"), ("image/", "Image"), ("font", "Font"), ("video/", "Media"), ("audio/", "Media"),
    ("text/event-stream", "EventSource"), ("manifest", "Manifest"), ("text/vtt", "TextTrack"), ("json", "Fetch"),
    ("grpc", "Fetch"), ("protobuf", "Fetch"), ("xml", "XHR"),
)  # fmt: skip
_POST_MOST = 1 << 16  # characters of a request body that are sent unasked
_LOADER = "hark"


def began(n: int, entry: Entry) -> list[Event]:
    """The request."""
    asked = entry["request"]
    start = _seconds(entry)
    post = asked.get("postData", {})
    text = readable(entry, post, True)
    request = _request(asked["url"], asked["method"], asked["headers"])
    if post:
        request["hasPostData"] = True
        if len(text) <= _POST_MOST and post.get("_encoding") != "base64":
            request["postData"] = text
    elif _will_post(asked) and not entry["response"]["status"]:
        request["hasPostData"] = True  # its body is still to come: it is asked for when it is looked at
    sent = {
        "requestId": identity(n),
        "loaderId": _LOADER,
        "documentURL": asked["url"],
        "request": request,
        "timestamp": start,
        "wallTime": start,
        "initiator": _initiator(entry.get("_process")),
        "redirectHasExtraInfo": False,
        "type": kind(entry),
    }
    extra = {
        "requestId": identity(n),
        "associatedCookies": [_cookie(asked["url"], cookie) for cookie in asked["cookies"]],
        "headers": _wire_headers(entry),
        "connectTiming": {"requestTime": start},
    }
    return [("Network.requestWillBeSent", sent), ("Network.requestWillBeSentExtraInfo", extra)]


def answered(n: int, entry: Entry) -> list[Event]:
    """The head of the response; nothing where none came."""
    answer = entry["response"]
    if answer["status"] <= 0:
        return []
    headers = _headers(answer["headers"])
    extra = {
        "requestId": identity(n),
        "blockedCookies": [],
        "headers": headers,
        "resourceIPAddressSpace": "Unknown",
        "statusCode": answer["status"],
    }
    version = answer["httpVersion"]
    if version.startswith("HTTP/1"):
        lines = [f"{version} {answer['status']} {answer['statusText']}".rstrip()]
        lines += [f"{pair['name']}: {pair['value']}" for pair in answer["headers"]]
        extra["headersText"] = "\r\n".join(lines) + "\r\n\r\n"
    timing = _timing(entry)
    head_time = timing["requestTime"] + timing["receiveHeadersEnd"] / 1000
    received = {
        "requestId": identity(n),
        "loaderId": _LOADER,
        "timestamp": head_time,
        "type": kind(entry),
        "hasExtraInfo": True,
        "response": _response(entry, headers, timing, head_time),
    }
    return [("Network.responseReceivedExtraInfo", extra), ("Network.responseReceived", received)]


def messages(n: int, entry: Entry) -> list[Event]:
    """What was said in an exchange that lasted, as far as it was kept."""
    events: list[Event] = [_frame(n, message) for message in entry.get("_webSocketMessages", ())]
    for message in entry.get("_events", ()):
        params = _event_source(n, message["time"], message["event"], message["id"], message["data"])
        events.append(("Network.eventSourceMessageReceived", params))
    return events


def ended(n: int, entry: Entry, data: str | None = None) -> list[Event]:
    """The body and the end. data: the content in base64, for a frontend that has opened it before it was whole."""
    answer = entry["response"]
    end = _seconds(entry) + max(entry["time"], 0) / 1000
    trouble = entry.get("_trouble") or answer.get("_error") or ""
    size = max(answer["bodySize"], 0)
    base: Json = {"requestId": identity(n), "timestamp": end}
    if is_socket(entry):
        closed: Event = ("Network.webSocketClosed", base)
        return [("Network.webSocketFrameError", base | {"errorMessage": trouble}), closed] if trouble else [closed]
    events: list[Event] = []
    if answer["status"] > 0 and (size or data):
        piece = base | {"dataLength": answer["content"]["size"], "encodedDataLength": size}
        events.append(("Network.dataReceived", piece | ({"data": data} if data is not None else {})))
    if trouble or answer["status"] <= 0:
        events.append(("Network.loadingFailed", base | _failure(kind(entry), trouble or "no answer")))
    else:
        length = size + max(answer["headersSize"], 0)
        events.append(("Network.loadingFinished", base | {"encodedDataLength": length}))
    return events


def spoke(n: int, message: Json) -> list[Event]:
    """A message of a feed, live."""
    from base64 import b64decode

    time, name = message["time"] / 1e9, message["kind"]
    if name == "event":
        data = b64decode(message["data"]).decode("utf-8", "replace")
        return [("Network.eventSourceMessageReceived", _event_source(n, time, message["name"], message["id"], data))]
    code = websocket.OPCODES.get(name)
    if code is None:
        return []  # a gRPC message: it is read in the body
    data = b64decode(message["data"]).decode("utf-8", "replace") if code == websocket.TEXT else message["data"]
    return [
        _frame(
            n,
            {"type": "send" if message["from"] == "client" else "receive", "time": time, "opcode": code, "data": data},
        )
    ]


def _event_source(n: int, time: float, name: str, mark: str, data: str) -> Json:
    return {"requestId": identity(n), "timestamp": time, "eventName": name, "eventId": mark, "data": data}


def failed(n: str, entry: Entry) -> list[Event]:
    """What is no exchange and should have become one: a connection that was refused, a name that was not found, TLS
    that was not decrypted. It is shown as a request that failed. What was seen and what would help stand where a
    request has its headers: the frontend has no other place for them that a person looks at."""
    facts, url = entry["_failure"], entry["request"]["url"]
    start, end = _seconds(entry), _seconds(entry) + entry["time"] / 1000
    request = _request(url, layer(facts), [])
    sent = {
        "requestId": n, "loaderId": _LOADER, "documentURL": url, "request": request, "timestamp": start,
        "wallTime": start, "initiator": _initiator(entry.get("_process")), "redirectHasExtraInfo": False,
        "type": "Other",
    }  # fmt: skip
    why = str(entry["response"].get("_error") or facts.get("why", ""))
    notes = {"(failure)": why, "(after)": f"{entry['time'] / 1000:.3f} s"}
    notes |= {f"({name})": str(facts[name]) for name in ("seen", "remedy") if facts.get(name)}
    extra = {"requestId": n, "associatedCookies": [], "headers": notes, "connectTiming": {"requestTime": start}}
    fail = {"requestId": n, "timestamp": end} | _failure("Other", why)
    return [
        ("Network.requestWillBeSent", sent),
        ("Network.requestWillBeSentExtraInfo", extra),
        ("Network.loadingFailed", fail),
    ]


def identity(n: int) -> str:
    """The request's id in the protocol."""
    return f"hark.{n}"


def is_socket(entry: Entry) -> bool:
    """Whether it has become a WebSocket."""
    return "_webSocketMessages" in entry or (
        entry["request"]["url"].startswith(("ws:", "wss:")) and entry["response"]["status"] == 101
    )


def kind(entry: Entry) -> str:
    """The protocol's resource type, by what came."""
    if is_socket(entry):
        return "WebSocket"
    mime = entry["response"]["content"]["mimeType"].lower()
    for part, name in _KINDS:
        if part in mime:
            return name
    return "Other"


def readable(entry: Entry, part: Mapping[str, object], client: bool) -> str:
    """The text of a body (a HAR content or postData): of a gRPC call its messages as JSON."""
    call = entry.get("_grpc")
    if call is None:
        return str(part.get("text", ""))
    import json

    side = "send" if client else "receive"
    found = [
        message.get("message", message.get("fields", message.get("base64")))
        for message in call["messages"]
        if message["type"] == side
    ]
    value: Any = found[0] if len(found) == 1 else found
    return json.dumps(value, ensure_ascii=False, indent=1) if found else ""


def _request(url: str, method: str, headers: list[EntryPair]) -> Json:
    return {
        "url": url,
        "method": method,
        "headers": _headers(headers),
        "initialPriority": "Medium",
        "referrerPolicy": "no-referrer",
        "mixedContentType": "none",
    }


def _will_post(asked: EntryRequest) -> bool:
    lengths = [pair["value"] for pair in asked["headers"] if pair["name"].lower() == "content-length"]
    return lengths[0] != "0" if lengths else asked["method"] in ("POST", "PUT", "PATCH")


def _cookie(url: str, cookie: EntryPair) -> Json:
    """A cookie that was sent: of what the server once said about it, only name and value are known."""
    name, value = str(cookie.get("name", "")), str(cookie.get("value", ""))
    secure = url.startswith(("https:", "wss:"))
    fields = {
        "name": name, "value": value, "domain": "", "path": "", "expires": -1, "size": len(name) + len(value),
        "httpOnly": False, "secure": secure, "session": True, "priority": "Medium",
        "sourceScheme": "Secure" if secure else "NonSecure", "sourcePort": -1,
    }  # fmt: skip
    return {"blockedReasons": [], "exemptionReason": "None", "cookie": fields}


def _failure(name: str, why: str) -> Json:
    return {"type": name, "errorText": why, "canceled": False}


def _seconds(entry: Entry) -> float:
    return time_ns(entry["startedDateTime"]) / 1e9


def _headers(pairs: list[EntryPair]) -> dict[str, str]:
    """By name; values of a repeated one by lines, as the protocol has it."""
    values: dict[str, str] = {}
    for pair in pairs:
        name = pair["name"]
        values[name] = f"{values[name]}\n{pair['value']}" if name in values else pair["value"]
    return values


def _wire_headers(entry: Entry) -> dict[str, str]:
    """A request's, with HTTP/2's pseudo headers."""
    asked = entry["request"]
    headers = _headers(asked["headers"])
    if entry["_protocol"] not in ("h2", "h3") or any(name.startswith(":") for name in headers):
        return headers
    scheme, _, rest = asked["url"].partition("://")
    authority, slash, path = rest.partition("/")
    pseudo = {
        ":method": asked["method"],
        ":authority": asked.get("_authority") or authority,
        ":scheme": scheme,
        ":path": slash + path,
    }
    return pseudo | headers


def _frame(n: int, message: EntryMessage) -> Event:
    sent = message["type"] == "send"
    frame = {"opcode": message["opcode"], "mask": sent, "payloadData": str(message.get("data", ""))}
    name = "Network.webSocketFrameSent" if sent else "Network.webSocketFrameReceived"
    return name, {"requestId": identity(n), "timestamp": message["time"], "response": frame}


def _initiator(process: EntryProcess | None) -> Json:
    """The process, where a page's script stands: the frontend shows "name[pid]"."""
    if not process:
        return {"type": "other"}
    return {"type": "script", "url": named(process.get("name", ""), process.get("pid", 0))}


def _response(entry: Entry, headers: dict[str, str], timing: Json, time: float) -> Json:
    answer = entry["response"]
    mime = answer["content"]["mimeType"]
    address = entry["serverIPAddress"]
    protocol = "websocket" if is_socket(entry) else entry["_protocol"]
    number = entry["connection"]
    result: Json = {
        "url": entry["request"]["url"],
        "status": answer["status"],
        "statusText": answer["statusText"],
        "headers": headers,
        "requestHeaders": _wire_headers(entry),
        "mimeType": "application/json" if "_grpc" in entry else mime.partition(";")[0].strip().lower(),
        "charset": parameter(mime, "charset"),
        "connectionReused": entry["timings"].get("connect", -1) < 0,
        "connectionId": int(number) if number.isdecimal() else 0,
        "remoteIPAddress": f"[{address}]" if ":" in address else address,
        "remotePort": entry.get("_serverPort") or 0,
        "fromDiskCache": False,
        "fromServiceWorker": False,
        "fromPrefetchCache": False,
        "encodedDataLength": max(answer["headersSize"], 0),
        "timing": timing,
        "responseTime": time * 1000,
        "protocol": protocol,
        "securityState": "insecure",
    }
    tls = entry.get("_tls")
    if tls:
        result |= {"securityState": "secure", "securityDetails": _security(tls)}
    return result


def _security(tls: EntryTls) -> Json:
    certificate = tls.get("certificate") or {}
    name = str(tls.get("version", ""))
    return {
        "protocol": name.replace("TLSv", "TLS "),
        "keyExchange": "",
        "keyExchangeGroup": "",
        "cipher": str(tls.get("cipher", "")),
        "certificateId": 0,
        "subjectName": _common_name(certificate.get("subject", "")) or str(tls.get("sni", "")),
        "sanList": [str(one) for one in certificate.get("names", [])],
        "issuer": _common_name(certificate.get("issuer", "")),
        "validFrom": time_ns(str(certificate.get("notBefore", ""))) // 1_000_000_000,
        "validTo": time_ns(str(certificate.get("notAfter", ""))) // 1_000_000_000,
        "signedCertificateTimestampList": [],
        "certificateTransparencyCompliance": "unknown",
        "encryptedClientHello": bool(tls.get("ech")),
    }


def _common_name(name: str) -> str:
    for part in name.split(","):
        key, _, value = part.partition("=")
        if key.strip() == "CN":
            return value
    return name


def _timing(entry: Entry) -> Json:
    """Offsets in ms from the request's begin; -1 for what was not, but 0 for pushes, which would be shown."""
    timings = cast("dict[str, float]", entry["timings"])
    phases = {name: float(timings.get(name) or 0) for name in ("blocked", "dns", "connect", "ssl", "send", "wait")}
    for name in phases:
        phases[name] = max(phases[name], 0.0)
    offsets: Json = dict.fromkeys(
        ("proxyStart", "proxyEnd", "dnsStart", "dnsEnd", "connectStart", "connectEnd", "sslStart", "sslEnd",
         "workerStart", "workerReady", "workerFetchStart", "workerRespondWithSettled"), -1,
    )  # fmt: skip
    at = 0.0
    if phases["dns"]:
        offsets["dnsStart"], offsets["dnsEnd"] = 0.01, max(phases["dns"], 0.02)  # the frontend takes 0 for "was not"
        at = phases["dns"]
    if phases["connect"]:
        offsets["connectStart"] = max(at, 0.01)
        at += phases["connect"]
        offsets["connectEnd"] = at
        if phases["ssl"]:
            offsets["sslStart"], offsets["sslEnd"] = at - phases["ssl"], at
    at += phases["blocked"]
    offsets["sendStart"], offsets["sendEnd"] = at, at + phases["send"]
    at = offsets["sendEnd"] + phases["wait"]
    return offsets | {
        "requestTime": _seconds(entry),
        "receiveHeadersStart": at,
        "receiveHeadersEnd": at,
        "pushStart": 0,
        "pushEnd": 0,
    }
