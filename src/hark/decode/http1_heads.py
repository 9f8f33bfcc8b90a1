"""Heads of HTTP/1 messages: request lines, status lines, and what their headers say of the body and the connection
(RFC 9112 §2 to §6).

May hold: from a head's bytes to events, the body's mode, and upgrades. May not hold: bodies (http1_bodies.py).
"""

import re
from typing import Final

from hark.decode import limits
from hark.decode.events import Aborted, Event, Headers, RequestHead, ResponseHead, Side, Trouble, TroubleKind
from hark.decode.headercache import HeaderCache
from hark.decode.http1_exchanges import Exchanges
from hark.decode.http1_framing import of_request, of_response
from hark.decode.http1_modes import BROKEN, EXPECT, HEAD, UNTIL_END, UPGRADED, Half, Request
from hark.decode.http1_upgrade import HeldBytes, may_upgrade, token
from hark.decode.layer import LASTING, Layer, Upgrade, Upgrader
from hark.wire import fields, http1

_TLS_RECORD: Final = rb"[\x15\x16]\x03[\x00-\x04]"  # a TLS alert or handshake message
_LINE_SHOWN: Final = 1024  # bytes of a first line that is malformed


class Heads(Layer):
    """The part of a connection that reads heads. `upgrade` gives the layer that takes over after a 101 or a CONNECT."""

    def __init__(self, conn: int, upgrade: Upgrader, cache: HeaderCache | None = None) -> None:
        self._conn = conn
        self._upgrade = upgrade
        self._exchanges = Exchanges(conn, cache or HeaderCache())
        self._halves = self._exchanges.halves
        self._inside: Layer | None = None  # the protocol after an upgrade
        self._held = HeldBytes()

    def _head(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """The next bytes of a head: what is left after it, None if more are needed."""
        if side == Side.CLIENT and self._undecided():
            self._held.add(data, time)
            return None
        if data[0] in b"\r\n":  # §2.2: empty lines before a request line are skipped
            data = data.lstrip(b"\r\n")
            if not data:
                return None
        if side == Side.SERVER and (data[:7] != b"HTTP/1." or not self._exchanges.requests):
            rest = self._without_status_line(half, data, time, out)
            if rest is None or half.mode != HEAD:
                return rest
            data = rest
        end, after = http1.head_end(data)
        if end < 0:
            self._incomplete(side, half, data, time, out)
            return None
        lines = data[:end].split(b"\n")
        read = self._request if side == Side.CLIENT else self._response
        if not read(half, lines, after, time, out):
            what = "request" if side == Side.CLIENT else "status"
            self._exchanges.break_off(side, half, time, f"a {what} line cannot be read", out)
            return None
        return data[after:]

    def _incomplete(self, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> None:
        """A head whose end is still to come."""
        if side == Side.SERVER and re.match(_TLS_RECORD, data):
            self._exchanges.break_off(side, half, time, "an answer in TLS, not HTTP", out)
        elif len(data) > limits.HEAD_BYTES:
            self._exchanges.break_off(side, half, time, f"a head of more than {limits.HEAD_BYTES} bytes", out)
        else:
            half.buffer = data

    # -- requests ------------------------------------------------------------------------------------------------------

    def _request(self, half: Half, lines: list[bytes], size: int, time: int, out: list[Event]) -> bool:
        """A request's head by its lines; size: its bytes, -1 if it was captured in part. Always True."""
        exchanges = self._exchanges
        exchanges.sent = 0
        headers = self._request_head(half, lines, size, time, out)
        if len(exchanges.requests) > limits.PIPELINE:
            oldest = exchanges.requests.popleft()
            out.append(Aborted(self._conn, oldest.stream, time, "too many requests without an answer"))
        body = of_request(headers, exchanges.requests[-1].head.version)
        if body.mode == HEAD:
            exchanges.complete(Side.CLIENT, half, time, (), out)
        else:
            half.mode, half.left, half.doubt, half.after, wrong = body
            if wrong:
                out.append(Trouble(time, TroubleKind.BROKEN_HTTP, self._conn, f"{wrong}, by the client", half.stream))
        half.started = time
        return True

    def _request_head(self, half: Half, lines: list[bytes], size: int, time: int, out: list[Event]) -> Headers:
        """Begin an exchange; the request's headers."""
        exchanges = self._exchanges
        exchanges.count += 1
        half.stream = exchanges.count
        headers = http1.headers(lines[1:], exchanges.lines)
        sent = lines[0].rstrip(b"\r")
        line = http1.request_line(sent)
        method, target, version, odd = line or http1.RequestLine("?", "", "", True)
        as_sent = fields.text(sent[:_LINE_SHOWN]) if odd else ""
        started = half.started or time
        head = RequestHead(
            self._conn, half.stream, time, started, method, target, "", "", version, headers, size, "", as_sent
        )  # fmt: skip
        out.append(head)
        exchanges.requests.append(Request(half.stream, head, time))
        if line is None:
            text = f"this is no request line: {as_sent}"
            out.append(Trouble(time, TroubleKind.BROKEN_HTTP, self._conn, text, half.stream))
        return headers

    def _undecided(self) -> bool:
        """Whether the last request may change the protocol and its response is still to come."""
        exchanges = self._exchanges
        if not exchanges.requests or exchanges.requests[-1].stream <= exchanges.answered:
            return False
        return may_upgrade(exchanges.requests[-1].head)

    # -- responses -----------------------------------------------------------------------------------------------------

    def _response(self, half: Half, lines: list[bytes], size: int, time: int, out: list[Event]) -> bool:
        """A response's head by its lines; size: its bytes, -1 if it was captured in part. False if its first line is
        no status line."""
        line = http1.status_line(lines[0].rstrip(b"\r"))
        if line is None:
            return False
        version, status, reason = line
        exchanges = self._exchanges
        request = exchanges.requests[0] if exchanges.requests else None
        headers = http1.headers(lines[1:], exchanges.lines)
        half.doubt = False
        # An upgrade to HTTP/2 answers the very request that asked for it there (RFC 7540 §3.2): this is not the answer.
        interim = 100 <= status < 200 and (status != 101 or token(headers) == "h2c")
        if request is None:
            # A response without a request (408 on an idle connection), or to one that was not captured.
            exchanges.count += 1
            half.stream = exchanges.count
        else:
            half.stream = request.stream
        head = ResponseHead(
            self._conn, half.stream, time, half.started or time, status, reason, version, headers, size, interim
        )
        out.append(head)
        half.started = time
        client = self._halves[Side.CLIENT]
        if status == 100 and client.mode == EXPECT and client.stream == half.stream:
            client.mode = client.after
        if not interim or status == 101:
            self._final_response(half, request, head, time, out)
        return True

    def _final_response(
        self, half: Half, request: Request | None, head: ResponseHead, time: int, out: list[Event]
    ) -> None:
        """A head that is not interim, or a 101: what follows it."""
        method = request.head.method if request else ""
        status, headers = head.status, head.headers
        self._exchanges.answered = half.stream
        if request is not None and (status == 101 or (method == "CONNECT" and 200 <= status < 300)):
            name = token(headers) if status == 101 else "tunnel"
            self._upgraded(half, Upgrade(name, request.head, head), time, out)
            return
        if method != "HEAD" and status not in (204, 304):
            half.mode, half.left, half.doubt, _, _ = of_response(headers, head.version)
        if half.mode == HEAD:
            self._exchanges.complete(Side.SERVER, half, time, (), out)
        if self._held:
            self._release(out)

    def _upgraded(self, half: Half, upgrade: Upgrade, time: int, out: list[Event]) -> None:
        """The connection is in another protocol from here on."""
        if upgrade.token == "h2c" or upgrade.token in LASTING:
            self._exchanges.requests.popleft()
        else:
            self._exchanges.complete(Side.SERVER, half, time, (), out)
        self._inside, events = self._upgrade(upgrade, time)
        out.extend(events)
        for other in self._halves:
            other.mode = UPGRADED
        self._release(out)

    def _release(self, out: list[Event]) -> None:
        """The response has come: the client's held bytes can be read."""
        for data, time in self._held.take():
            out.extend(self.feed(Side.CLIENT, data, time))

    # -- what is sent in place of a status line ------------------------------------------------------------------------

    def _without_status_line(self, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """Bytes of the server that may not begin with a status line. What is left of them, None if more are needed."""
        exchanges = self._exchanges
        client = self._halves[Side.CLIENT]
        if not exchanges.requests and client.mode == HEAD and client.buffer and not half.doubt:
            # It answers what the client has sent so far: an incomplete head, or a request without headers (HTTP/0.9).
            lines, client.buffer = client.buffer.split(b"\n"), b""
            self._request_head(client, lines if len(lines) > 1 else [*lines, b""], 0, time, out)
            exchanges.complete(Side.CLIENT, client, time, (), out)  # for the server it was complete
            client.mode = BROKEN
        if not exchanges.requests:
            return self._surplus(half, data, time, out)
        request = exchanges.requests[0].head
        old = request.version == "HTTP/0.9"
        first = old or (exchanges.answered == 0 and len(exchanges.requests) == 1 and 0x20 < data[0] < 0x7F)
        if not first or any(start.startswith(data[: len(start)].upper()) for start in (b"HTTP/", b"ICY ")):
            return data
        half.stream, half.mode = request.stream, UNTIL_END
        exchanges.answered = half.stream
        out.append(ResponseHead(self._conn, half.stream, time, time, 200, "", "HTTP/0.9", (), 0, False))
        if not old:
            text = "the answer has no status line (HTTP/0.9)"
            out.append(Trouble(time, TroubleKind.BROKEN_HTTP, self._conn, text, half.stream))
        return data

    def _surplus(self, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
        """Bytes that answer no request are skipped up to a status line: some servers send a body where there is none
        (HEAD, 204, 304), or more than the declared length."""
        at = http1.find_response(data)
        if at and not half.doubt:
            half.doubt = True
            text = "bytes that belong to no response, by the server"
            out.append(Trouble(time, TroubleKind.SURPLUS_HTTP, self._conn, text))
        if http1.begins_response(data[at:]):
            return data[at:]
        half.buffer = data[at:]
        return None
