"""What the browser shows of one exchange, as styled text by topic.

May hold: text made of an entry. May not hold: widgets. Nothing of a peer is markup here, and controls are written out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from rich.text import Text

from hark.views.view import duration, hexdump, plural, pretty, safe, size

if TYPE_CHECKING:
    from hark.model.entry import Entry, EntryContent, EntryPost

Json = dict[str, Any]
_LINES, _HEXDUMP_BYTES = 5000, 4096
_HEAD, _NAME, _DIM, _BAD = "bold", "cyan", "dim", "red"
_PHASES = {
    "blocked": "bright_black",
    "dns": "cyan",
    "connect": "yellow",
    "ssl": "magenta",
    "send": "blue",
    "wait": "green",
    "receive": "bright_green",
}
_BAR = 50


def headers(entry: Entry) -> Text:
    """Both heads."""
    asked, answer = entry["request"], entry["response"]
    if "_failure" in entry:
        return _failed(entry)
    text = Text()
    text.append(safe(f"{asked['method']} {asked['url']} {asked['httpVersion']}") + "\n", _HEAD)
    _pairs(text, [(pair["name"], pair["value"]) for pair in asked["headers"]])
    text.append("\n")
    if entry.get("_trouble"):
        text.append(safe(entry["_trouble"]) + "\n", _BAD)
    for interim in entry.get("_interim", ()):
        text.append(f"{interim['status']}\n", _HEAD)
        _pairs(text, [(pair["name"], pair["value"]) for pair in interim["headers"]])
    if answer["status"]:
        text.append(safe(f"{answer['httpVersion']} {answer['status']} {answer['statusText']}".strip()) + "\n", _HEAD)
        _pairs(text, [(pair["name"], pair["value"]) for pair in answer["headers"]])
        _pairs(text, [(pair["name"], pair["value"]) for pair in answer.get("_trailers", ())])
    return text


def _failed(entry: Entry) -> Text:
    """What is known of a failure, and what would help."""
    facts = entry["_failure"]
    text = Text(safe(str(entry["response"].get("_error", ""))) + "\n\n", _BAD)
    for name in ("kind", "host", "port", "seconds", "phase", "by", "how", "detail", "seen", "bytes", "version",
                 "libraries"):  # fmt: skip
        if facts.get(name):
            _pairs(text, [(name, facts[name])])
    text.append("\n")
    _pairs(text, [("remedy", facts["remedy"])] if facts.get("remedy") else [])
    return text


def request_body(entry: Entry) -> Text:
    """What was sent."""
    post = entry["request"].get("postData")
    if post is None:
        return _body(entry, None, None, "", "send")
    return _body(entry, post, post.get("_encoding"), post["mimeType"], "send")


def response_body(entry: Entry) -> Text:
    """What came."""
    content = entry["response"]["content"]
    return _body(entry, content, content.get("encoding"), content["mimeType"], "receive")


def timing(entry: Entry) -> Text:
    """The phases as bars."""
    text = Text(f"started {safe(entry['startedDateTime'])}\n\n", _DIM)
    timings = cast("dict[str, float]", entry["timings"])
    phases = {name: max(float(timings.get(name) or 0), 0) for name in _PHASES}
    whole = max(entry["time"], 0.001)
    at = 0.0
    for name in ("dns", "connect", "blocked", "send", "wait", "receive"):
        taken = phases[name]
        if taken:
            _bar(text, name, at, taken, whole)
            if name == "connect" and phases["ssl"]:
                _bar(text, "ssl", at + taken - phases["ssl"], phases["ssl"], whole)
        at += taken
    text.append(f"\n{'total':10}{duration(int(whole * 1e6))}\n")
    for name, part in (("sent", entry["request"]), ("received", entry["response"])):
        text.append(f"{name:10}{size(max(part['headersSize'], 0) + max(part['bodySize'], 0))}\n")
    text.append(f"{'content':10}{size(entry['response']['content']['size'])}\n")
    return text


def connection(entry: Entry) -> Text:
    """Connection, TLS and process."""
    text = Text()
    tls, process = entry.get("_tls", {}), cast("Json", entry.get("_process") or {})
    address, port = entry["serverIPAddress"], entry.get("_serverPort", "")
    text.append("Connection\n", _HEAD)
    _pairs(text, [("server", f"{address} {port}"), ("number", entry["connection"]), ("protocol", entry["_protocol"])])
    text.append("\nProcess\n", _HEAD)
    _pairs(text, [(name, " ".join(value) if isinstance(value, list) else value) for name, value in process.items()])
    text.append("\nTLS\n", _HEAD)
    _pairs(text, [(name, value) for name, value in tls.items() if not isinstance(value, dict)])
    for name, value in tls.items():
        if isinstance(value, dict):
            text.append(f"\n{safe(name)}\n", _HEAD)
            _pairs(text, list(value.items()))
    return text


def _pairs(text: Text, pairs: Any) -> None:
    for name, value in pairs:
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        text.append(safe(str(name)), _NAME)
        text.append(f": {safe(shown)}\n")


def _bar(text: Text, name: str, at: float, taken: float, whole: float) -> None:
    first = min(int(at / whole * _BAR), _BAR - 1)
    count = max(round(taken / whole * _BAR), 1)
    text.append(f"{'tls' if name == 'ssl' else name:10}{' ' * first}")
    text.append("━" * min(count, _BAR - first), _PHASES[name])
    text.append(f"{' ' * max(_BAR - first - count, 0)} {duration(int(taken * 1e6))}\n")


def _body(entry: Entry, part: EntryPost | EntryContent | None, encoding: str | None, mime: str, side: str) -> Text:
    text = Text()
    messages = [
        *entry.get("_webSocketMessages", ()),
        *entry.get("_events", ()),
        *entry.get("_grpc", {}).get("messages", ()),
    ]
    for message in messages:
        if message.get("type", "receive") == side:
            content = message.get("data", message.get("message", message.get("fields", message.get("base64", ""))))
            plain = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            text.append(f"{safe(str(message.get('event', message.get('opcode', ''))))} ", _NAME)
            text.append(f"{safe(plain)}\n")
    if messages:
        return text
    content = part.get("text", "") if part is not None else ""
    if encoding == "base64":
        from base64 import b64decode

        data = b64decode(content)
        content = "\n".join(hexdump(data[:_HEXDUMP_BYTES])) + ("\n…" if len(data) > _HEXDUMP_BYTES else "")
    else:
        content = pretty(content, mime)
    lines = content.split("\n")
    for line in lines[:_LINES]:
        text.append(safe(line) + "\n")
    if len(lines) > _LINES:
        text.append(f"… {plural(len(lines) - _LINES, 'more line')}\n", _DIM)
    if part is not None and part.get("comment"):
        text.append(f"\n{safe(part['comment'])}\n", _BAD)
    return text if text.plain.strip() else Text("no body", _DIM)
