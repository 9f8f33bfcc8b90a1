"""An entry as events of the Chrome DevTools Protocol's Network domain.

What   Pure functions: what an exchange's begin, answer and end are in the protocol, as (method, params).
Why    Headers are given by the "ExtraInfo" events, as they were on the wire: without those the frontend calls them
       provisional. Times are seconds since the epoch, which serves as the protocol's monotonic clock too.
Limits Field for field what frontends need (docs: Network domain of the protocol, 1.3). Every value is of the type that
       it has there, for an unknown one stops the frontend's row.
"""

from typing import Any

from hark.model.archive import time_ns

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
_METHODS = {"name-not-found": "DNS", "name-no-answer": "DNS", "encrypted": "TLS", "not-tls": "TLS", "tls-silent": "TLS",
            "certificate-rejected": "TLS", "tls-failed": "TLS"}  # fmt: skip


def began(n: int, entry: Json) -> list[Event]:
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
    told = {
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
    return [("Network.requestWillBeSent", told), ("Network.requestWillBeSentExtraInfo", extra)]


def answered(n: int, entry: Json) -> list[Event]:
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
    told = {
        "requestId": identity(n),
        "loaderId": _LOADER,
        "timestamp": head_time,
        "type": kind(entry),
        "hasExtraInfo": True,
        "response": _response(entry, headers, timing, head_time),
    }
    return [("Network.responseReceivedExtraInfo", extra), ("Network.responseReceived", told)]


def messages(n: int, entry: Json) -> list[Event]:
    """What was said in an exchange that lasted, as far as it was kept."""
    told: list[Event] = [_frame(n, said) for said in entry.get("_webSocketMessages", ())]
    for said in entry.get("_events", ()):
        params = _event_source(n, said["time"], said["event"], said["id"], said["data"])
        told.append(("Network.eventSourceMessageReceived", params))
    return told


def ended(n: int, entry: Json, data: str | None = None) -> list[Event]:
    """The body and the end. data: the content in base64, for a frontend that has opened it before it was whole."""
    answer = entry["response"]
    end = _seconds(entry) + max(entry["time"], 0) / 1000
    trouble = entry.get("_trouble") or answer.get("_error") or ""
    size = max(answer["bodySize"], 0)
    base: Json = {"requestId": identity(n), "timestamp": end}
    if is_socket(entry):
        closed: Event = ("Network.webSocketClosed", base)
        return [("Network.webSocketFrameError", base | {"errorMessage": trouble}), closed] if trouble else [closed]
    told: list[Event] = []
    if answer["status"] > 0 and (size or data):
        piece = base | {"dataLength": answer["content"]["size"], "encodedDataLength": size}
        told.append(("Network.dataReceived", piece | ({"data": data} if data is not None else {})))
    if trouble or answer["status"] <= 0:
        told.append(("Network.loadingFailed", base | _failure(kind(entry), trouble or "no answer")))
    else:
        length = size + max(answer["headersSize"], 0)
        told.append(("Network.loadingFinished", base | {"encodedDataLength": length}))
    return told


def spoke(n: int, message: Json) -> list[Event]:
    """A message of a feed, live."""
    from base64 import b64decode

    time, name = message["time"] / 1e9, message["kind"]
    if name == "event":
        data = b64decode(message["data"]).decode("utf-8", "replace")
        return [("Network.eventSourceMessageReceived", _event_source(n, time, message["name"], message["id"], data))]
    code = {"text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}.get(name)
    if code is None:
        return []  # a gRPC message: it is read in the body
    data = b64decode(message["data"]).decode("utf-8", "replace") if code == 1 else message["data"]
    return [
        _frame(
            n,
            {"type": "send" if message["from"] == "client" else "receive", "time": time, "opcode": code, "data": data},
        )
    ]


def _event_source(n: int, time: float, name: str, mark: str, data: str) -> Json:
    return {"requestId": identity(n), "timestamp": time, "eventName": name, "eventId": mark, "data": data}


def failed(n: str, entry: Json) -> list[Event]:
    """What is no exchange and should have become one: a connection that was refused, a name that was not found, TLS
    that was not decrypted. It is shown as a request that failed. What was seen and what would help stand where a
    request has its headers: the frontend has no other place for them that a person looks at."""
    facts, url = entry["_failure"], entry["request"]["url"]
    start, end = _seconds(entry), _seconds(entry) + entry["time"] / 1000
    request = _request(url, _METHODS.get(str(facts["kind"]), "CONNECT"), [])
    told = {
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
        ("Network.requestWillBeSent", told),
        ("Network.requestWillBeSentExtraInfo", extra),
        ("Network.loadingFailed", fail),
    ]


def identity(n: int) -> str:
    """The request's id in the protocol."""
    return f"hark.{n}"


def is_socket(entry: Json) -> bool:
    """Whether it has become a WebSocket."""
    return "_webSocketMessages" in entry or (
        entry["request"]["url"].startswith(("ws:", "wss:")) and entry["response"]["status"] == 101
    )


def kind(entry: Json) -> str:
    """The protocol's resource type, by what came."""
    if is_socket(entry):
        return "WebSocket"
    mime = entry["response"]["content"]["mimeType"].lower()
    for part, name in _KINDS:
        if part in mime:
            return name
    return "Other"


def readable(entry: Json, part: Json, client: bool) -> str:
    """The text of a body (a HAR content or postData): of a gRPC call its messages as JSON."""
    call = entry.get("_grpc")
    if call is None:
        return str(part.get("text", ""))
    import json

    side = "send" if client else "receive"
    found = [
        said.get("message", said.get("fields", said.get("base64"))) for said in call["messages"] if said["type"] == side
    ]
    told: Any = found[0] if len(found) == 1 else found
    return json.dumps(told, ensure_ascii=False, indent=1) if found else ""


def _request(url: str, method: str, headers: list[Json]) -> Json:
    return {
        "url": url,
        "method": method,
        "headers": _headers(headers),
        "initialPriority": "Medium",
        "referrerPolicy": "no-referrer",
        "mixedContentType": "none",
    }


def _will_post(asked: Json) -> bool:
    lengths = [pair["value"] for pair in asked["headers"] if pair["name"].lower() == "content-length"]
    return lengths[0] != "0" if lengths else asked["method"] in ("POST", "PUT", "PATCH")


def _cookie(url: str, cookie: Json) -> Json:
    """A cookie that was sent: of what the server once said about it, only name and value are known."""
    name, value = str(cookie.get("name", "")), str(cookie.get("value", ""))
    secure = url.startswith(("https:", "wss:"))
    told = {
        "name": name, "value": value, "domain": "", "path": "", "expires": -1, "size": len(name) + len(value),
        "httpOnly": False, "secure": secure, "session": True, "priority": "Medium",
        "sourceScheme": "Secure" if secure else "NonSecure", "sourcePort": -1,
    }  # fmt: skip
    return {"blockedReasons": [], "exemptionReason": "None", "cookie": told}


def _failure(name: str, why: str) -> Json:
    return {"type": name, "errorText": why, "canceled": False}


def _seconds(entry: Json) -> float:
    return time_ns(entry["startedDateTime"]) / 1e9


def _headers(pairs: list[Json]) -> dict[str, str]:
    """By name; values of a repeated one by lines, as the protocol has it."""
    told: dict[str, str] = {}
    for pair in pairs:
        name = pair["name"]
        told[name] = f"{told[name]}\n{pair['value']}" if name in told else pair["value"]
    return told


def _wire_headers(entry: Json) -> dict[str, str]:
    """A request's, with HTTP/2's pseudo headers."""
    asked = entry["request"]
    told = _headers(asked["headers"])
    if entry["_protocol"] not in ("h2", "h3") or any(name.startswith(":") for name in told):
        return told
    scheme, _, rest = asked["url"].partition("://")
    authority, slash, path = rest.partition("/")
    pseudo = {
        ":method": asked["method"],
        ":authority": asked.get("_authority") or authority,
        ":scheme": scheme,
        ":path": slash + path,
    }
    return pseudo | told


def _frame(n: int, said: Json) -> Event:
    sent = said["type"] == "send"
    frame = {"opcode": said["opcode"], "mask": sent, "payloadData": str(said.get("data", ""))}
    name = "Network.webSocketFrameSent" if sent else "Network.webSocketFrameReceived"
    return name, {"requestId": identity(n), "timestamp": said["time"], "response": frame}


def _initiator(process: Json | None) -> Json:
    """The process, where a page's script stands: the frontend shows "name[pid]"."""
    if not process:
        return {"type": "other"}
    return {"type": "script", "url": f"{process.get('name', '')}[{process.get('pid', 0)}]"}


def _response(entry: Json, headers: dict[str, str], timing: Json, time: float) -> Json:
    answer = entry["response"]
    mime, _, parameters = answer["content"]["mimeType"].partition(";")
    address = entry["serverIPAddress"]
    protocol = "websocket" if is_socket(entry) else entry["_protocol"]
    number = entry["connection"]
    told: Json = {
        "url": entry["request"]["url"],
        "status": answer["status"],
        "statusText": answer["statusText"],
        "headers": headers,
        "requestHeaders": _wire_headers(entry),
        "mimeType": "application/json" if "_grpc" in entry else mime.strip().lower(),
        "charset": _charset(parameters),
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
        told |= {"securityState": "secure", "securityDetails": _security(tls)}
    return told


def _charset(parameters: str) -> str:
    for part in parameters.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset":
            return value.strip("\"' ")
    return ""


def _security(tls: Json) -> Json:
    shown = tls.get("certificate") or {}
    name = str(tls.get("version", ""))
    return {
        "protocol": name.replace("TLSv", "TLS "),
        "keyExchange": "",
        "keyExchangeGroup": "",
        "cipher": str(tls.get("cipher", "")),
        "certificateId": 0,
        "subjectName": _common_name(shown.get("subject", "")) or str(tls.get("sni", "")),
        "sanList": [str(one) for one in shown.get("names", [])],
        "issuer": _common_name(shown.get("issuer", "")),
        "validFrom": time_ns(str(shown.get("notBefore", ""))) // 1_000_000_000,
        "validTo": time_ns(str(shown.get("notAfter", ""))) // 1_000_000_000,
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


def _timing(entry: Json) -> Json:
    """Offsets in ms from the request's begin; -1 for what was not, but 0 for pushes, which would be shown."""
    phases = {
        name: float(entry["timings"].get(name) or 0) for name in ("blocked", "dns", "connect", "ssl", "send", "wait")
    }
    for name in phases:
        phases[name] = max(phases[name], 0.0)
    told: Json = dict.fromkeys(
        ("proxyStart", "proxyEnd", "dnsStart", "dnsEnd", "connectStart", "connectEnd", "sslStart", "sslEnd",
         "workerStart", "workerReady", "workerFetchStart", "workerRespondWithSettled"), -1,
    )  # fmt: skip
    at = 0.0
    if phases["dns"]:
        told["dnsStart"], told["dnsEnd"] = 0.01, max(phases["dns"], 0.02)  # the frontend takes 0 for "was not"
        at = phases["dns"]
    if phases["connect"]:
        told["connectStart"] = max(at, 0.01)
        at += phases["connect"]
        told["connectEnd"] = at
        if phases["ssl"]:
            told["sslStart"], told["sslEnd"] = at - phases["ssl"], at
    at += phases["blocked"]
    told["sendStart"], told["sendEnd"] = at, at + phases["send"]
    at = told["sendEnd"] + phases["wait"]
    return told | {
        "requestTime": _seconds(entry),
        "receiveHeadersStart": at,
        "receiveHeadersEnd": at,
        "pushStart": 0,
        "pushEnd": 0,
    }
