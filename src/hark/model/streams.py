"""Bodies that are series of messages: server-sent events, gRPC, DNS. Bytes to messages as they arrive, each with its
time.

What   A MessageReader gets the same bytes as the body beside it.
Why    Such exchanges last long, and their messages matter while they do.
Limits PENDING bytes of an incomplete message. If there are more, or if something cannot be parsed, no further messages
       are read; the body is shown as it is.
"""

from base64 import b64decode
from typing import Protocol

from hark.decode.events import Dns, Message, Side
from hark.model.body import undo
from hark.model.codings import Decoder
from hark.wire import dns

PENDING = 4 << 20  # bytes
_GRPC_HEAD = 5  # bytes: flags and length
_COMPRESSED, _TRAILERS = 0x01, 0x80


class MessageReader(Protocol):
    """Reads the messages of one body."""

    def feed(self, data: bytes, time: int) -> list[Message]:
        """The messages that end in this data. Raises ValueError if it cannot be parsed."""


def reader_for(
    conn: int, stream: int, side: Side, mime: str, coding: str, encoding: str, keep: int
) -> MessageReader | None:
    """The reader for a body of this media type, if it consists of messages. coding: its Content-Encoding; encoding: its
    Grpc-Encoding; keep: bytes of each message that are wanted."""
    mime = mime.partition(";")[0].strip().lower()
    if mime == "text/event-stream" and side == Side.SERVER:
        return EventStream(conn, stream, coding)
    if mime == "application/grpc" or mime.startswith(("application/grpc+", "application/grpc-web")):
        return Grpc(conn, stream, side, mime, encoding, keep)
    if mime == "application/dns-message" and side == Side.SERVER:
        return DnsMessage()
    return None


class EventStream:
    """A text/event-stream body (WHATWG HTML §9.2.6)."""

    def __init__(self, conn: int, stream: int, coding: str) -> None:
        self._place = (conn, stream, Side.SERVER)
        self._decoder = Decoder(coding, PENDING)
        self._buffer = b""
        self._first = True
        self._event = self._id = ""
        self._data: list[str] = []
        self._pending = 0

    def feed(self, data: bytes, time: int) -> list[Message]:
        """The events that end in this data. Raises ValueError if it cannot be parsed."""
        buffer = self._buffer + self._decoder.feed(data)
        if self._decoder.cut:
            raise ValueError("too much of it")
        if self._first and len(buffer) >= 3:
            buffer, self._first = buffer.removeprefix(b"\xef\xbb\xbf"), False
        open_end = buffer[-1:] == b"\r"  # a line feed may follow and belong to it
        lines = (buffer[:-1] if open_end else buffer).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._buffer = lines.pop() + (b"\r" if open_end else b"")
        events: list[Message] = []
        for line in lines:
            self._line(line.decode("utf-8", "replace"), time, events)
        if len(self._buffer) + self._pending > PENDING:
            raise ValueError("an event without an end")
        return events

    def _line(self, line: str, time: int, events: list[Message]) -> None:
        if not line:
            if self._data:
                text = "\n".join(self._data).encode()
                events.append(Message(*self._place, time, "event", text, len(text), self._event or "message", self._id))
            self._event, self._pending = "", 0
            self._data.clear()
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._pending += len(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value


class Grpc:
    """One direction of a gRPC or gRPC-web call: length-prefixed messages, decompressed; a gRPC-web call's trailers."""

    def __init__(self, conn: int, stream: int, side: Side, mime: str, encoding: str, keep: int) -> None:
        self._place = (conn, stream, side)
        self._text = mime.startswith("application/grpc-web-text")
        self._encoding = encoding or "identity"
        self._keep = keep
        self._base64 = b""
        self._buffer = b""

    def feed(self, data: bytes, time: int) -> list[Message]:
        """The messages that end in this data. Raises ValueError if it cannot be parsed."""
        self._buffer += self._from_base64(data) if self._text else data
        messages = []
        at = 0
        while len(self._buffer) - at >= _GRPC_HEAD:
            flags, size = self._buffer[at], int.from_bytes(self._buffer[at + 1 : at + 5], "big")
            if flags & ~(_COMPRESSED | _TRAILERS):
                raise ValueError("not gRPC")
            if len(self._buffer) - at - _GRPC_HEAD < size:
                break
            body = self._buffer[at + 5 : at + 5 + size]
            at += 5 + size
            kind = "trailers" if flags & _TRAILERS else "grpc"
            if flags & _COMPRESSED:
                plain, wrong, _ = undo(body, self._encoding, PENDING)
                kind, body = ("sealed", body) if wrong else (kind, plain)
            messages.append(Message(*self._place, time, kind, body[: self._keep], len(body)))
        self._buffer = self._buffer[at:]
        if len(self._buffer) > PENDING:
            raise ValueError("a message without an end")
        return messages

    def _from_base64(self, data: bytes) -> bytes:
        """gRPC-web's text form: base64, possibly with padding in the middle."""
        text = self._base64 + data
        complete = len(text) & ~3
        self._base64 = text[complete:]
        return b"".join(b64decode(text[at : at + 4]) for at in range(0, complete, 4))


class DnsMessage:
    """A DNS message as a body (RFC 8484)."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes, time: int) -> list[Message]:
        """Keep it: exchanges show no DNS messages."""
        self._data += data
        if len(self._data) > 0xFFFF:
            raise ValueError("longer than a DNS message can be")
        return []

    def answer(self, asked: int, time: int, pid: int) -> Dns | None:
        """The answer, which came at `time` to a question asked at `asked`; None if it is none."""
        message = dns.parse(self._data)
        if message is None or not message.response:
            return None
        kind = dns.TYPES.get(message.qtype, str(message.qtype))
        rcode = dns.RCODES.get(message.rcode, str(message.rcode))
        return Dns(time, asked, message.name, kind, rcode, message.addresses, pid)
