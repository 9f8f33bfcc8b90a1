"""The messages of an exchange in its entry, and as text: WebSocket, server-sent events, gRPC."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from hark.decode.endings import Side
from hark.wire import protobuf, websocket
from hark.wire.fields import text as text_of_field

if TYPE_CHECKING:
    from hark.decode.events import Message
    from hark.model.entry import Direction, Entry, EntryCall, EntryGrpc, EntryMessage
    from hark.model.exchange import Exchange
    from hark.views.schema import Schema

GRPC_STATUS = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def add_messages(entry: Entry, exchange: Exchange, schema: Schema | None) -> None:
    """Add the fields about messages to the exchange's entry."""
    if exchange.socket:
        entry["_webSocketMessages"] = [_socket(message) for message in exchange.messages]
    elif exchange.is_grpc:
        entry["_grpc"] = _grpc(exchange, schema)
    elif any(message.kind == "event" for message in exchange.messages):
        entry["_events"] = [
            {"time": _seconds(m.time), "event": m.name, "id": m.id, "data": m.data.decode("utf-8", "replace")}
            for m in exchange.messages
        ]
    not_kept = sum(exchange.messages_seen) - len(exchange.messages)
    if not_kept:
        entry["_messagesNotKept"] = not_kept


def _seconds(ns: int) -> float:
    return round(ns / 1e9, 6)


def _direction(message: Message) -> Direction:
    return "send" if message.side == Side.CLIENT else "receive"


def _socket(message: Message) -> EntryMessage:
    """As in Chrome's HAR files; a close frame is its reason, and its code is in `_code`."""
    data = message.data
    if message.kind == "text":
        text = data.decode("utf-8", "backslashreplace")
    elif message.kind == "close" and len(data) >= 2:
        text = data[2:].decode("utf-8", "backslashreplace")
    else:
        text = base64.b64encode(data).decode("ascii")
    opcode = websocket.OPCODES[message.kind]
    result: EntryMessage = {
        "type": _direction(message),
        "time": _seconds(message.time),
        "opcode": opcode,
        "data": text,
    }
    if message.kind == "close" and len(data) >= 2:
        result["_code"] = int.from_bytes(data[:2], "big")
    if message.size != len(data):
        result["_size"] = message.size
    if message.wrong:
        result["_error"] = message.wrong
    return result


def grpc_status(exchange: Exchange) -> tuple[int | None, str]:
    """(status, message) of a call; (None, "") if there is none. They are in the trailers, in the head if there is no
    body, or, in gRPC-web, in the last message."""
    values: dict[str, str] = {}
    response = exchange.response
    for name, value in (*(response.headers if response is not None else ()), *exchange.response_trailers):
        values[name.decode("latin-1").lower()] = text_of_field(value)
    for message in exchange.messages:
        if message.kind == "trailers":
            for line in message.data.decode("utf-8", "backslashreplace").split("\r\n"):
                key, colon, text = line.partition(":")
                if colon:
                    values[key.strip().lower()] = text.strip()
    from urllib.parse import unquote

    status = values.get("grpc-status", "")
    return int(status) if status.isdigit() else None, unquote(values.get("grpc-message", ""))


def status_name(status: int) -> str:
    """The name of a gRPC status code."""
    return GRPC_STATUS[status] if status < len(GRPC_STATUS) else str(status)


def _grpc(exchange: Exchange, schema: Schema | None) -> EntryGrpc:
    path = exchange.request.target if exchange.request is not None else ""
    service, _, method = path.lstrip("/").partition("?")[0].rpartition("/")
    status, text = grpc_status(exchange)
    call: EntryGrpc = {
        "service": service,
        "method": method,
        "messages": [_call(m, path, schema) for m in exchange.messages if m.kind in ("grpc", "sealed")],
        "status": status,
    }
    if status is not None:
        call["statusName"] = status_name(status)
    if text:
        call["statusMessage"] = text
    return call


def _call(message: Message, path: str, schema: Schema | None) -> EntryCall:
    result: EntryCall = {"type": _direction(message), "time": _seconds(message.time), "size": message.size}
    if message.kind != "sealed" and message.size == len(message.data):
        decoded = schema.message(path, message.side == Side.SERVER, message.data) if schema is not None else None
        if decoded is not None:
            result["message"] = decoded
            return result
        fields = protobuf.message(message.data)
        if fields is not None:
            result["fields"] = fields
            return result
    result["base64"] = base64.b64encode(message.data).decode("ascii")
    return result


def readable(exchange: Exchange, message: Message, schema: Schema | None) -> str:
    """A message as text for a person."""
    import json

    if message.kind in ("text", "event", "trailers"):
        return message.data.decode("utf-8", "backslashreplace").strip("\r\n")
    if message.kind == "close":
        code = int.from_bytes(message.data[:2], "big") if len(message.data) >= 2 else websocket.NO_STATUS
        return f"{code} {message.data[2:].decode('utf-8', 'backslashreplace')}".rstrip()
    if message.kind == "grpc":
        call = _call(message, exchange.request.target if exchange.request is not None else "", schema)
        return json.dumps(call.get("message", call.get("fields", call.get("base64"))), ensure_ascii=False)
    return message.data[:64].hex(" ")
