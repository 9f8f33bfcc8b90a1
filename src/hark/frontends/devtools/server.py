"""The server that frontends connect to: HTTP for finding it, WebSocket for the protocol.

What   One loop over the feed, the listening socket and the frontends. The HTTP and WebSocket grammar is the websockets
       library's; what is here is who may speak, what is answered, and how history and live events become one stream.
Who    Only loopback is listened on, and whoever comes must be the same user: the kernel's socket table says who a
       connection's other end is. A browser comes for any page it shows, so pages are kept out: Host must name us
       (a name that was made to point here does not), Origin must be that of DevTools or absent, and the path holds 128
       random bits. Nothing that is answered may be read by another origin.
Flow   A frontend that has just come gets record after record, as fast as it takes them; what is behind its cursor it
       gets as it happens. So every event comes once and in order.
End    When the feed is over, frontends are served on until the last one leaves, or until a moment has passed in which
       none came. When hark itself is gone (the guard's other end is closed), at once.
Limits A frontend that does not take what it is sent is let go at BACKLOG; it reconnects and gets the history.
"""

import os
import selectors
import socket
import time
from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from hark.frontends.devtools import commands, events
from hark.frontends.devtools.address import frontend_url
from hark.frontends.devtools.history import History, Record, frame, frames
from hark.views.entries import decode, encode
from hark.views.feed import whole_lines

if TYPE_CHECKING:
    from hark.model.entry import Entry

Json = dict[str, Any]
_BACKLOG = 64 << 20  # bytes
_AHEAD = 1 << 20  # bytes of history that are read before the socket takes them
_PIECE = 1 << 18
_COMMAND = 1 << 20  # bytes of a command
_FRONTENDS = 64
_LINGER = 5.0  # s without a frontend after the last one left: a reload is no leave, nor is a browser that starts again
ORIGINS = {"devtools://devtools"}


class Server:
    """Serves until its feed is over and nobody looks any more. wait_for_one: s to wait for a first frontend after the
    feed's end. origins: further ones that may connect."""

    def __init__(
        self,
        listener: socket.socket,
        feed: int,
        guard: int,
        key: str,
        title: str,
        wait_for_one: float,
        origins: set[str],
    ) -> None:
        self._listener = listener
        self._port = listener.getsockname()[1]
        self._feed = feed
        self._guard = guard
        self._key = key
        self._title = title
        self._wait = wait_for_one
        self.origins = ORIGINS | origins | {f"http://127.0.0.1:{self._port}", f"http://localhost:{self._port}"}
        self.hosts = {f"{name}:{self._port}" for name in ("127.0.0.1", "localhost")}
        self._frontends: set[Frontend] = set()
        self._history = History(self._news)
        self._buffer = bytearray()
        self._over = False
        self._left = 0.0  # when the last frontend left, or when the feed ended
        self._had_one = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Until all is over."""
        listen, read = selectors.EVENT_READ, selectors.EVENT_READ
        os.set_blocking(self._feed, False)
        self._listener.setblocking(False)
        self._selector.register(self._listener, listen, self._accept)
        self._selector.register(self._feed, read, self._read_feed)
        self._selector.register(self._guard, read, self._end)
        while not self._is_over():
            for key, mask in self._selector.select(0.5 if self._over else None):
                if isinstance(key.data, Frontend):
                    self._serve(key.data, mask)
                else:
                    key.data()
        for frontend in list(self._frontends):
            self._drop(frontend)

    def _is_over(self) -> bool:
        if self._guard < 0:
            return True
        if not self._over or self._frontends:
            return False
        return time.monotonic() - self._left > (_LINGER if self._had_one else self._wait)

    def _end(self) -> None:
        self._guard = -1

    def _read_feed(self) -> None:
        try:
            data = os.read(self._feed, _PIECE)
        except BlockingIOError:
            return
        if not data:
            self._over, self._left = True, time.monotonic()
            self._selector.unregister(self._feed)
            return
        self._buffer += data
        for line in whole_lines(self._buffer):
            told = decode(line)
            self._history.feed(told, line)
            if told["what"] == "ended":
                self._streamed(told["n"], told["entry"])
        for frontend in list(self._frontends):
            self._flush(frontend)

    # -- frontends ---------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            link, address = self._listener.accept()
        except OSError:
            return  # it is gone again
        if len(self._frontends) >= _FRONTENDS or not is_ours(address[1], self._port):
            link.close()
            return
        link.setblocking(False)
        frontend = Frontend(link)
        self._frontends.add(frontend)
        self._selector.register(link, selectors.EVENT_READ, frontend)

    def _drop(self, frontend: "Frontend") -> None:
        if frontend in self._frontends:
            self._frontends.discard(frontend)
            self._selector.unregister(frontend.link)
            frontend.link.close()
            self._left = time.monotonic()

    def _serve(self, frontend: "Frontend", mask: int) -> None:
        if mask & selectors.EVENT_READ:
            try:
                data = frontend.link.recv(_PIECE)
            except BlockingIOError:
                data = None
            except OSError:
                self._drop(frontend)
                return
            if data == b"":
                self._drop(frontend)
                return
            if data:
                frontend.protocol.receive_data(data)
                for event in frontend.protocol.events_received():
                    self._event(frontend, event)
        self._flush(frontend)

    def _event(self, frontend: "Frontend", event: object) -> None:
        protocol = frontend.protocol
        if isinstance(event, Request):
            response = self._respond(protocol, event)
            protocol.send_response(response)
            if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                self._had_one = True
            return
        if getattr(event, "opcode", None) in (Opcode.TEXT, Opcode.CONT):
            frontend.text += event.data  # type: ignore[attr-defined]
            if event.fin:  # type: ignore[attr-defined]
                text, frontend.text = frontend.text, b""
                self._command(frontend, text)

    def _respond(self, protocol: ServerProtocol, request: Request) -> Response:
        """The answer to an HTTP request."""
        headers = request.headers
        origin, host = headers.get_all("Origin"), headers.get_all("Host")
        if len(host) != 1 or host[0] not in self.hosts:
            return _plain(HTTPStatus.FORBIDDEN, "Host is not this server's")
        if any(one not in self.origins for one in origin):
            return _plain(HTTPStatus.FORBIDDEN, "Origin is no DevTools")
        path = urlsplit(request.path).path
        if path == f"/devtools/page/{self._key}":
            return protocol.accept(request)
        if origin or headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return _plain(HTTPStatus.FORBIDDEN, "not for pages")
        if path == "/json/version":
            return _json({"Browser": "node.js/hark", "Protocol-Version": "1.3"})
        if path in ("/json", "/json/list"):
            return _json([self.target(host[0])])
        return _plain(HTTPStatus.NOT_FOUND, "there is /json/list")

    def target(self, host: str) -> Json:
        """What chrome://inspect shows; a target of type "node" opens the frontend that has a Network panel alone."""
        where = f"{host}/devtools/page/{self._key}"
        return {
            "description": "hark: the HTTP requests of the program",
            "devtoolsFrontendUrl": frontend_url(self._port, self._key),
            "id": self._key,
            "title": self._title,
            "type": "node",
            "url": "hark://",
            "webSocketDebuggerUrl": f"ws://{where}",
        }

    # -- the protocol --------------------------------------------------------------------------------------------------

    def _command(self, frontend: "Frontend", text: bytes) -> None:
        try:
            asked = decode(text)
            number, method = asked["id"], str(asked["method"])
            params = asked.get("params") or {}
            if not isinstance(params, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            frontend.protocol.fail(1007, "no command of the protocol")
            return
        told: Json = {"id": number}
        if "sessionId" in asked:
            told["sessionId"] = asked["sessionId"]
        try:
            told["result"] = commands.answer(method, params, self._history)
        except commands.Refused as refused:
            told["error"] = {"code": -32000, "message": str(refused)}
        frontend.send(frame(encode(told)))
        if method == commands.ENABLE:
            frontend.cursor = 0
        elif method == commands.SECURITY:
            # The panel is made when it is first opened, and lists the origins whose requests it then sees finish.
            frontend.send(b"".join(self._history.secure.values()))
        elif method == commands.STREAM:
            frontend.streams.add(str(params.get("requestId")))

    def _news(self, record: Record, data: bytes) -> None:
        """Something new about a record: for those who have seen what was before; the others get it with the record."""
        for frontend in self._frontends:
            if frontend.cursor > record.index:
                frontend.send(data)

    def _streamed(self, n: int, entry: "Entry") -> None:
        """The body for frontends that wait for it."""
        identity = events.identity(n)
        for frontend in self._frontends:
            if identity in frontend.streams:
                frontend.streams.discard(identity)
                content = entry["response"]["content"]
                text = content.get("text", "")
                data = (
                    text if content.get("encoding") == "base64" else b64encode(text.encode("utf-8", "replace")).decode()
                )
                frontend.send(frames([event for event in events.ended(n, entry, data) if "data" in event[1]]))

    def _flush(self, frontend: "Frontend") -> None:
        """Send what is waiting, and of the history as much as is taken."""
        while True:
            for piece in frontend.protocol.data_to_send():
                if piece:
                    frontend.queue += piece
                else:
                    frontend.closing = True
            self._refill(frontend)
            if not frontend.queue:
                break
            try:
                count = frontend.link.send(memoryview(frontend.queue)[:_PIECE])
            except BlockingIOError:
                break
            except OSError:
                self._drop(frontend)
                return
            del frontend.queue[:count]
        if len(frontend.queue) > _BACKLOG or (frontend.closing and not frontend.queue):
            self._drop(frontend)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if frontend.queue else 0)
        if wanted != frontend.mask:
            frontend.mask = wanted
            self._selector.modify(frontend.link, wanted, frontend)

    def _refill(self, frontend: "Frontend") -> None:
        records = self._history.records
        while 0 <= frontend.cursor < len(records) and len(frontend.queue) < _AHEAD:
            frontend.queue += self._history.replay(records[frontend.cursor])
            frontend.cursor += 1


class Frontend:
    """A connection."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.protocol = ServerProtocol(max_size=_COMMAND)
        self.queue = bytearray()
        self.text = b""
        self.cursor = -1  # the next record of the history; -1: nothing was asked for
        self.streams: set[str] = set()  # requests whose bodies are waited for
        self.closing = False
        self.mask: int = selectors.EVENT_READ

    def send(self, data: bytes) -> None:
        """Queue whole frames, behind what the library has to say."""
        if self.protocol.state is State.OPEN:
            self.queue += b"".join(self.protocol.data_to_send())
            self.queue += data


def _plain(status: HTTPStatus, text: str) -> Response:
    return _response(status, "text/plain; charset=utf-8", f"hark: {text}\n".encode())


def _json(value: object) -> Response:
    return _response(HTTPStatus.OK, "application/json; charset=UTF-8", encode(value))


def _response(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


def is_ours(port: int, to: int, read: Callable[[str], str] | None = None) -> bool:
    """Whether the loopback connection from `port` to our port `to` is the same user's, or root's."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            text = read(table) if read is not None else _contents(table)
        except OSError:
            continue
        for line in text.splitlines()[1:]:
            words = line.split()
            if words[1].endswith(f":{port:04X}") and words[2].endswith(f":{to:04X}"):
                return int(words[7]) in (os.getuid(), 0)
    return False


def _contents(path: str) -> str:
    with open(path) as file:
        return file.read()
