"""What an exchange's messages look like in its entry: WebSocket, server-sent events, gRPC.

May hold: the mapping. May not hold: the rest of the entry.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from hark.decode.endings import Side
from hark.wire import protobuf, websocket
from hark.wire.fields import text as text_of_field

if TYPE_CHECKING:
    from hark.decode.events import Message
    from hark.model.exchange import Exchange
    from hark.views.schema import Schema

Json = dict[str, Any]
GRPC_STATUS = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def messages(exchange: Exchange, schema: Schema | None) -> Json:
    """The entry's fields about the messages."""
    fields: Json = {}
    if exchange.socket:
        fields["_webSocketMessages"] = [_socket(message) for message in exchange.messages]
    elif exchange.is_grpc:
        fields["_grpc"] = _grpc(exchange, schema)
    elif any(message.kind == "event" for message in exchange.messages):
        fields["_events"] = [
            {"time": _seconds(m.time), "event": m.name, "id": m.id, "data": m.data.decode("utf-8", "replace")}
            for m in exchange.messages
        ]
    left = sum(exchange.messages_seen) - len(exchange.messages)
    if left:
        fields["_messagesNotKept"] = left
    return fields


def _seconds(ns: int) -> float:
    return round(ns / 1e9, 6)


def _way(message: Message) -> str:
    return "send" if message.side == Side.CLIENT else "receive"


def _socket(message: Message) -> Json:
    """As Chrome's own HAR has it; of a close, its code and reason."""
    data = message.data
    result: Json = {"type": _way(message), "time": _seconds(message.time), "opcode": websocket.OPCODES[message.kind]}
    if message.kind == "text":
        result["data"] = data.decode("utf-8", "backslashreplace")
    elif message.kind == "close" and len(data) >= 2:
        result |= {"data": data[2:].decode("utf-8", "backslashreplace"), "_code": int.from_bytes(data[:2], "big")}
    else:
        result["data"] = base64.b64encode(data).decode("ascii")
    if message.size != len(data):
        result["_size"] = message.size
    if message.wrong:
        result["_error"] = message.wrong
    return result


def grpc_status(exchange: Exchange) -> tuple[int | None, str]:
    """(status, message) of a call; None where none came. It stands in the trailers, in the head where there is no body,
    or, in gRPC-web, in a last message."""
    found: dict[str, str] = {}
    response = exchange.response
    for name, value in (*(response.headers if response is not None else ()), *exchange.response_trailers):
        found[name.decode("latin-1").lower()] = text_of_field(value)
    for message in exchange.messages:
        if message.kind == "trailers":
            for line in message.data.decode("utf-8", "backslashreplace").split("\r\n"):
                key, colon, text = line.partition(":")
                if colon:
                    found[key.strip().lower()] = text.strip()
    from urllib.parse import unquote

    status = found.get("grpc-status", "")
    return int(status) if status.isdigit() else None, unquote(found.get("grpc-message", ""))


def status_name(status: int) -> str:
    """The name of a gRPC status code."""
    return GRPC_STATUS[status] if status < len(GRPC_STATUS) else str(status)


def _grpc(exchange: Exchange, schema: Schema | None) -> Json:
    path = exchange.request.target if exchange.request is not None else ""
    service, _, method = path.lstrip("/").partition("?")[0].rpartition("/")
    status, text = grpc_status(exchange)
    call: Json = {
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


def _call(message: Message, path: str, schema: Schema | None) -> Json:
    result: Json = {"type": _way(message), "time": _seconds(message.time), "size": message.size}
    if message.kind == "sealed" or message.size != len(message.data):
        result["base64"] = base64.b64encode(message.data).decode("ascii")
        return result
    known = schema.message(path, message.side == Side.SERVER, message.data) if schema is not None else None
    if known is not None:
        result["message"] = known
        return result
    fields = protobuf.message(message.data)
    if fields is not None:
        result["fields"] = fields
    else:
        result["base64"] = base64.b64encode(message.data).decode("ascii")
    return result


def shown(exchange: Exchange, message: Message, schema: Schema | None) -> str:
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
