"""Completes a HAR entry: every field that HAR 1.2 requires is there, and every field that is read has its type.

What   In place. A missing field gets HAR's value for "not known"; a field of another type is removed; fields that are
       not known here are left as they are.
Why    A file may hold anything, and views read entries without checks.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from hark.model.versions import protocol_of
from hark.recording.blocks import Process
from hark.wire import websocket

if TYPE_CHECKING:
    from hark.model.entry import Entry, EntryProcess

Json = dict[str, Any]
_MS_MOST = 1e12


def complete(raw: Json | Entry) -> Entry:
    """The entry, completed."""
    entry = cast("Json", raw)
    for name in ("request", "response", "cache", "timings"):
        entry[name] = dict_of(entry, name)
    _request(entry["request"])
    _response(entry["response"])
    _timings(entry)
    for name in ("serverIPAddress", "connection"):
        entry[name] = written(entry.get(name))
    entry["startedDateTime"] = _moment(entry.get("startedDateTime"))
    if not isinstance(entry.get("_protocol"), str):
        version = entry["request"]["httpVersion"] or entry["response"]["httpVersion"]
        entry["_protocol"] = protocol_of(version.upper().replace("/2.0", "/2").replace("/3.0", "/3"))
    _known(entry, "_process", dict, _process)
    _known(entry, "_tls", dict, _tls)
    _known(entry, "_grpc", dict, _grpc)
    _known(entry, "_trouble", str, str)
    for name, complete_item in (("_webSocketMessages", _message), ("_events", _event), ("_interim", _interim)):
        if name in entry:
            entry[name] = [complete_item(item) for item in list_of(entry, name)]
    for name in ("_serverPort", "_stream"):
        if name in entry:
            entry[name] = int_of(entry, name, 0)
    return cast("Entry", entry)


def _known(entry: Json, name: str, kind: type, complete_value: Callable[[Any], object]) -> None:
    """Complete a field of hark's own, or remove it if it has another type. A process may be null."""
    if isinstance(entry.get(name), kind):
        entry[name] = complete_value(entry[name])
    elif entry.get(name, 0) is not None or name != "_process":
        entry.pop(name, None)


def _both(part: Json) -> None:
    """The fields that a request and a response have in common."""
    part["httpVersion"] = text_of(part, "httpVersion")
    for name in ("headers", "cookies"):
        part[name] = _pairs(part, name)
    if "_trailers" in part:
        part["_trailers"] = _pairs(part, "_trailers")
    for name in ("headersSize", "bodySize"):
        part[name] = int_of(part, name, -1)


def _request(request: Json) -> None:
    _both(request)
    request["method"], request["url"] = written(request.get("method")), text_of(request, "url")
    request["queryString"] = _pairs(request, "queryString")
    if "_authority" in request:
        request["_authority"] = text_of(request, "_authority")
    post = request.get("postData")
    if isinstance(post, str) and post:  # some programs write it so
        post = request["postData"] = {"text": post}
    if not isinstance(post, dict):
        request.pop("postData", None)
        return
    post["mimeType"] = text_of(post, "mimeType") or next(
        (header["value"] for header in request["headers"] if header["name"].lower() == "content-type"), ""
    )
    if "text" in post:
        post["text"] = written(post["text"])
    if "encoding" in post:  # some programs call it so
        post["_encoding"] = post.pop("encoding")
    _body(post, "_encoding")
    if "params" in post:
        post["params"] = _pairs(post, "params", False)


def _response(response: Json) -> None:
    _both(response)
    response["status"] = int_of(response, "status", 0)
    response["statusText"], response["redirectURL"] = text_of(response, "statusText"), text_of(response, "redirectURL")
    if "_error" in response and response["_error"] is not None:
        response["_error"] = text_of(response, "_error")
    content = response["content"] = dict_of(response, "content")
    content["size"], content["mimeType"] = max(int_of(content, "size", 0), 0), text_of(content, "mimeType")
    if "compression" in content:
        content["compression"] = int_of(content, "compression", 0)
    _body(content, "encoding")


def _body(part: Json, encoding: str) -> None:
    """Text, and base64 only if it can be decoded."""
    for name in ("text", "comment"):
        if name in part or (name == "text" and encoding == "_encoding"):
            part[name] = text_of(part, name)
    if isinstance(part.get(encoding), str) and part[encoding].lower() == "base64":
        part[encoding] = "base64"
    if part.get(encoding) != "base64" or not is_base64(text_of(part, "text")):
        part.pop(encoding, None)


def _timings(entry: Json) -> None:
    timings = entry["timings"]
    for name in ("send", "wait", "receive"):
        timings[name] = number_of(timings, name, 0)
    for name in ("blocked", "dns", "connect", "ssl"):
        if name in timings:
            timings[name] = number_of(timings, name, -1)
    entry["time"] = max(number_of(entry, "time", 0), 0)


def _process(process: Json) -> Json:
    process["pid"] = int_of(process, "pid", 0)
    if "name" in process:
        words = process.get("cmdline")
        process["name"], process["exe"] = text_of(process, "name"), text_of(process, "exe")
        process["ppid"] = int_of(process, "ppid", 0)
        process["cmdline"] = [str(word) for word in words] if isinstance(words, list) else []
    return process


def _tls(tls: Json) -> Json:
    for name in ("version", "cipher", "sni", "alpn", "opened_by"):
        if name in tls:
            tls[name] = text_of(tls, name)
    for name in ("certificate", "clientCertificate"):
        if name in tls:
            tls[name] = _certificate(dict_of(tls, name))
    return tls


def _certificate(raw: Json) -> Json:
    certificate: Json = {
        key: [str(item) for item in value] if isinstance(value, list) else value
        for key, value in raw.items()
        if not isinstance(value, dict)
    }
    for key in ("subject", "issuer", "notBefore", "notAfter"):
        if key in raw:
            certificate[key] = text_of(raw, key)
    if "names" in raw and not isinstance(raw["names"], list):
        certificate.pop("names", None)
    return certificate


def _grpc(call: Json) -> Json:
    call["messages"] = [_typed_message(message) for message in list_of(call, "messages")]
    return call


def _typed_message(message: Json) -> Json:
    message["type"] = "send" if message.get("type") == "send" else "receive"
    message["time"] = number_of(message, "time", 0)
    return message


def _message(message: Json) -> Json:
    _typed_message(message)
    opcode = message["opcode"] = int_of(message, "opcode", 1)
    if opcode not in websocket.KINDS:
        message["opcode"] = opcode = 2
    data = message["data"] = text_of(message, "data")
    if opcode in (2, 9, 10) and not is_base64(data):
        message["data"] = ""
    if "_size" in message:
        message["_size"] = int_of(message, "_size", 0)
    return message


def _event(event: Json) -> Json:
    event["time"] = number_of(event, "time", 0)
    for name in ("event", "id", "data"):
        event[name] = text_of(event, name)
    return event


def _interim(head: Json) -> Json:
    head["status"], head["headers"] = int_of(head, "status", 100), _pairs(head, "headers")
    return head


def _pairs(part: Json, name: str, with_value: bool = True) -> list[Json]:
    """Names with values. with_value: each must have a value."""
    raw = part.get(name)
    if isinstance(raw, dict):  # some programs write an object: names with one value or several
        raw = [
            {"name": key, "value": item}
            for key, value in raw.items()
            for item in (value if type(value) is list else (value,))
        ]
    pairs = [pair for pair in raw if isinstance(pair, dict)] if isinstance(raw, list) else []
    for pair in pairs:
        pair["name"] = written(pair.get("name"))
        if with_value or "value" in pair:
            pair["value"] = written(pair.get("value"))
    return pairs


def written(value: object) -> str:
    """A value as text: numbers, booleans and objects as JSON, lists of values joined by commas; "" for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(map(written, value))
    return json.dumps(value, ensure_ascii=False)


def _moment(value: object) -> str:
    """A time in ISO 8601. Numbers are ms since the epoch, small ones s."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e14:
        ms = round(value if value > 1e11 else value * 1000)
        return f"{_date(ms // 86_400_000)}T{_clock(ms % 86_400_000)}Z"
    return value if isinstance(value, str) else ""


def _date(days: int) -> str:
    """A day of the Gregorian calendar by its number since 1970-01-01."""
    days += 719468
    era, day = divmod(days, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    month += 3 if month < 10 else -9
    return f"{year + era * 400 + (month <= 2):04d}-{month:02d}-{day:02d}"


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


# -- single values -----------------------------------------------------------------------------------------------------


def text_of(part: Mapping[str, object], name: str) -> str:
    """The text, or ""."""
    value = part.get(name)
    return value if isinstance(value, str) else ""


def dict_of(part: Mapping[str, object], name: str) -> Json:
    """The object, or an empty one."""
    value = part.get(name)
    return value if isinstance(value, dict) else {}


def list_of(part: Mapping[str, object], name: str) -> list[Json]:
    """The objects of a list."""
    value = part.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def list_of_text(part: Mapping[str, object], name: str) -> list[str]:
    """The texts of a list."""
    value = part.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def process_of(process: EntryProcess | None) -> tuple[int, Process | None]:
    """(pid, process) of an entry's `_process`."""
    if process is None:
        return 0, None
    pid = process["pid"]
    if "name" not in process:
        return pid, None
    return pid, Process(0, pid, process["name"], process["exe"], tuple(process["cmdline"]), process["ppid"])


def number_of(part: Mapping[str, object], name: str, missing: float) -> float:
    """The number; `missing` if it is below -1 or too large for a time."""
    value = _number(part.get(name))
    good = isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value < _MS_MOST
    return value if good else missing


def int_of(part: Mapping[str, object], name: str, missing: int) -> int:
    """The integer; `missing` if JSON cannot hold it exactly."""
    value = _number(part.get(name))
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53
    return int(value) if good else missing


def _number(value: Any) -> Any:
    """A number in quotes counts as a number: some programs write it so."""
    if isinstance(value, str) and len(value) < 32:
        try:
            return float(value) if "." in value else int(value)
        except ValueError:
            return value
    return value


def is_base64(text: str) -> bool:
    """Whether it can be decoded."""
    try:
        b64decode(text)
    except ValueError:
        return False
    return True
