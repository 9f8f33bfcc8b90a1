"""A HAR entry made complete: everything that HAR 1.2 requires is there, and every field that is looked at has its type.

What   In place; what is missing becomes what HAR has for "not known", what is of another type is taken away, what
       nobody here knows is left as it is.
Why    An archive may hold anything, and every view looks at entries: they may trust what they find.
"""

import json
from base64 import b64decode
from typing import Any

from hark.model.versions import protocol_of
from hark.recording.blocks import Process
from hark.wire import websocket

Json = dict[str, Any]
_MS_MOST = 1e12


def complete(entry: Json) -> Json:
    """The entry, complete."""
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
    for name, make in (("_webSocketMessages", _message), ("_events", _event), ("_interim", _interim)):
        if name in entry:
            entry[name] = [make(one) for one in list_of(entry, name)]
    for name in ("_serverPort", "_stream"):
        if name in entry:
            entry[name] = int_of(entry, name, 0)
    return entry


def _known(entry: Json, name: str, kind: type, make: Any) -> None:
    """Complete a field of ours; take it away where it is no such thing. A process may be null."""
    if isinstance(entry.get(name), kind):
        entry[name] = make(entry[name])
    elif entry.get(name, 0) is not None or name != "_process":
        entry.pop(name, None)


def _both(part: Json) -> None:
    """What a request and a response have alike."""
    part["httpVersion"] = text_of(part, "httpVersion")
    for name in ("headers", "cookies"):
        part[name] = _pairs(part, name)
    if "_trailers" in part:
        part["_trailers"] = _pairs(part, "_trailers")
    for name in ("headersSize", "bodySize"):
        part[name] = int_of(part, name, -1)


def _request(asked: Json) -> None:
    _both(asked)
    asked["method"], asked["url"] = written(asked.get("method")), text_of(asked, "url")
    asked["queryString"] = _pairs(asked, "queryString")
    if "_authority" in asked:
        asked["_authority"] = text_of(asked, "_authority")
    post = asked.get("postData")
    if isinstance(post, str) and post:  # as some makers have it
        post = asked["postData"] = {"text": post}
    if not isinstance(post, dict):
        asked.pop("postData", None)
        return
    post["mimeType"] = text_of(post, "mimeType") or next(
        (one["value"] for one in asked["headers"] if one["name"].lower() == "content-type"), ""
    )
    if "text" in post:
        post["text"] = written(post["text"])
    if "encoding" in post:  # as some makers call it
        post["_encoding"] = post.pop("encoding")
    _body(post, "_encoding")
    if "params" in post:
        post["params"] = _pairs(post, "params", False)


def _response(answer: Json) -> None:
    _both(answer)
    answer["status"] = int_of(answer, "status", 0)
    answer["statusText"], answer["redirectURL"] = text_of(answer, "statusText"), text_of(answer, "redirectURL")
    if "_error" in answer and answer["_error"] is not None:
        answer["_error"] = text_of(answer, "_error")
    content = answer["content"] = dict_of(answer, "content")
    content["size"], content["mimeType"] = max(int_of(content, "size", 0), 0), text_of(content, "mimeType")
    if "compression" in content:
        content["compression"] = int_of(content, "compression", 0)
    _body(content, "encoding")


def _body(part: Json, encoding: str) -> None:
    """Text, and base64 only where it is some."""
    for name in ("text", "comment"):
        if name in part or (name == "text" and encoding == "_encoding"):
            part[name] = text_of(part, name)
    if isinstance(part.get(encoding), str) and part[encoding].lower() == "base64":
        part[encoding] = "base64"
    if part.get(encoding) != "base64" or not is_base64(text_of(part, "text")):
        part.pop(encoding, None)


def _timings(entry: Json) -> None:
    phases = entry["timings"]
    for name in ("send", "wait", "receive"):
        phases[name] = number_of(phases, name, 0)
    for name in ("blocked", "dns", "connect", "ssl"):
        if name in phases:
            phases[name] = number_of(phases, name, -1)
    entry["time"] = max(number_of(entry, "time", 0), 0)


def _process(told: Json) -> Json:
    told["pid"] = int_of(told, "pid", 0)
    if "name" in told:
        words = told.get("cmdline")
        told["name"], told["exe"], told["ppid"] = text_of(told, "name"), text_of(told, "exe"), int_of(told, "ppid", 0)
        told["cmdline"] = [str(word) for word in words] if isinstance(words, list) else []
    return told


def _tls(told: Json) -> Json:
    for name in ("version", "cipher", "sni", "alpn", "opened_by"):
        if name in told:
            told[name] = text_of(told, name)
    for name in ("certificate", "clientCertificate"):
        if name in told:
            shown = dict_of(told, name)
            told[name] = {
                key: [str(one) for one in value] if isinstance(value, list) else value
                for key, value in shown.items()
                if not isinstance(value, dict)
            }
            for key in ("subject", "issuer", "notBefore", "notAfter"):
                if key in shown:
                    told[name][key] = text_of(shown, key)
            if "names" in shown and not isinstance(shown["names"], list):
                del told[name]["names"]
    return told


def _grpc(told: Json) -> Json:
    told["messages"] = [_said(one) for one in list_of(told, "messages")]
    return told


def _said(told: Json) -> Json:
    told["type"] = "send" if told.get("type") == "send" else "receive"
    told["time"] = number_of(told, "time", 0)
    return told


def _message(told: Json) -> Json:
    _said(told)
    code = told["opcode"] = int_of(told, "opcode", 1)
    if code not in websocket.KINDS:
        told["opcode"] = code = 2
    data = told["data"] = text_of(told, "data")
    if code in (2, 9, 10) and not is_base64(data):
        told["data"] = ""
    if "_size" in told:
        told["_size"] = int_of(told, "_size", 0)
    return told


def _event(told: Json) -> Json:
    told["time"] = number_of(told, "time", 0)
    for name in ("event", "id", "data"):
        told[name] = text_of(told, name)
    return told


def _interim(told: Json) -> Json:
    told["status"], told["headers"] = int_of(told, "status", 100), _pairs(told, "headers")
    return told


def _pairs(part: Json, name: str, whole: bool = True) -> list[Json]:
    """Names with values. whole: each has a value."""
    told = part.get(name)
    if isinstance(told, dict):  # as some makers have it: names with values, or with several
        told = [
            {"name": key, "value": one}
            for key, value in told.items()
            for one in (value if type(value) is list else (value,))
        ]
    found = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    for pair in found:
        pair["name"] = written(pair.get("name"))
        if whole or "value" in pair:
            pair["value"] = written(pair.get("value"))
    return found


def written(value: object) -> str:
    """A value as text: numbers, truth values and lists as JSON writes them; "" for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(one, list | dict) for one in value):
        return ", ".join(map(written, value))
    return json.dumps(value, ensure_ascii=False)


def _moment(value: object) -> str:
    """A time in ISO 8601: numbers are taken for ms since the epoch, or s where they are small."""
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


# -- single values ---------------------------------------------------------------------------------------------------


def text_of(part: Json, name: str) -> str:
    """The text, or ""."""
    value = part.get(name)
    return value if isinstance(value, str) else ""


def dict_of(part: Json, name: str) -> Json:
    """The object, or an empty one."""
    value = part.get(name)
    return value if isinstance(value, dict) else {}


def list_of(part: Json, name: str) -> list[Json]:
    """The objects of a list."""
    value = part.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def list_of_text(part: Json, name: str) -> list[str]:
    """The texts of a list."""
    value = part.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def process_of(told: Json | None) -> tuple[int, Process | None]:
    """(pid, process) of an entry's `_process`."""
    if told is None:
        return 0, None
    if "name" not in told:
        return told["pid"], None
    return told["pid"], Process(0, told["pid"], told["name"], told["exe"], tuple(told["cmdline"]), told["ppid"])


def number_of(part: Json, name: str, missing: float) -> float:
    """The number, from -1 to what a time can be."""
    value = _number(part.get(name))
    good = isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value < _MS_MOST
    return value if good else missing


def int_of(part: Json, name: str, missing: int) -> int:
    """The whole number, as far as JSON is exact about it."""
    value = _number(part.get(name))
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53
    return int(value) if good else missing


def _number(value: Any) -> Any:
    """A number that a maker has put into quotes is one."""
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
