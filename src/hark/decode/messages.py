"""What HTTP/2 and HTTP/3 have in common: header sections, data and ends of streams become heads, bodies and ends of
messages (RFC 9110 §6, RFC 9113 §8, RFC 9114 §4).

What   A table of the open streams; requests, responses (interim ones too), trailers, CONNECT and extended CONNECT, and
       the protocols inside the latter two.
Why    The two protocols differ in framing and compression only.
Limits STREAMS at a time; past it the oldest is reported as unfinished. HEAD_BYTES of a tunnel before its response.
"""

from typing import Final

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Aborted, BodyData, Event, Headers, MessageEnd, RequestHead, ResponseHead, Side
from hark.decode.headercache import HeaderCache
from hark.decode.layer import LASTING, Data, Layer, Upgrade, Upgrader
from hark.wire.fields import target, text

Fields = list[tuple[bytes, bytes]]
_COLON: Final = 0x3A
_TEXTS_MOST: Final = 1024  # texts in the cache; past it the table is emptied


class _Stream:
    __slots__ = ("answered", "done", "held", "inner", "request", "trailers")

    def __init__(self, request: RequestHead | None) -> None:
        self.request = request
        self.answered = False  # its final response has begun
        self.done = [False, False]  # by side: its message is complete
        self.trailers: Headers = ()
        self.inner: Layer | None = None  # the protocol inside, after a CONNECT
        self.held: list[tuple[bytes, int]] = []  # the client's bytes before the response to its CONNECT


class Messages:
    """The streams of one connection. version: "HTTP/2" or "HTTP/3"; upgrade gives the layer inside a CONNECT; joined:
    the beginning was not captured, so parts of a head may be unknown."""

    def __init__(
        self, conn: int, version: str, upgrade: Upgrader, cache: HeaderCache | None = None, joined: bool = False
    ) -> None:
        self._texts = (cache or HeaderCache()).texts
        self._joined = joined
        self._conn = conn
        self._version = version
        self._upgrade = upgrade
        self._streams: dict[int, _Stream] = {}

    def __contains__(self, stream: int) -> bool:
        return stream in self._streams

    @property
    def streams(self) -> list[int]:
        """The numbers of the open streams."""
        return list(self._streams)

    def begun(self, stream: int) -> None:
        """A request without a body that began in HTTP/1 continues on this stream (h2c)."""
        self._streams[stream] = _Stream(None)
        self._streams[stream].done[Side.CLIENT] = True

    def done(self, side: Side, stream: int) -> bool:
        """Whether the message of `side` on a stream is complete; true for a stream that is not open."""
        state = self._streams.get(stream)
        return state is None or state.done[side]

    def section(
        self, side: Side, stream: int, fields: Fields, size: int, started: int, time: int, out: list[Event]
    ) -> None:
        """A header section: a request's, a response's, or trailers."""
        pseudo: dict[bytes, bytes] = {}
        first = 0  # pseudo headers come first (RFC 9113 §8.3)
        for name, value in fields:
            if not name or name[0] != _COLON:
                break
            if name not in pseudo:
                pseudo[name] = value
            first += 1
        headers = tuple(fields[first:])
        if b":method" in pseudo:
            self._request(stream, pseudo, headers, size, started, time, out)
        elif b":status" in pseudo:
            self._response(stream, pseudo[b":status"], headers, size, started, time, out)
        elif self._joined and side == Side.CLIENT and stream not in self._streams:
            self._request(stream, {b":method": b"?", **pseudo}, headers, size, started, time, out)
        elif self._joined and side == Side.SERVER and not self._answered(stream):
            self._response(stream, b"", headers, size, started, time, out)
        elif stream in self._streams:
            self._streams[stream].trailers = headers

    def _answered(self, stream: int) -> bool:
        state = self._streams.get(stream)
        return state is not None and state.answered

    def _request(
        self,
        stream: int,
        pseudo: dict[bytes, bytes],
        headers: Headers,
        size: int,
        started: int,
        time: int,
        out: list[Event],
    ) -> None:
        streams = self._streams
        if stream in streams:
            return
        if len(streams) >= limits.STREAMS:
            self.abort(next(iter(streams)), time, "too many streams are open", out)
        texts = self._texts
        method, scheme, authority = pseudo[b":method"], pseudo.get(b":scheme", b""), pseudo.get(b":authority", b"")
        protocol = pseudo.get(b":protocol")
        head = RequestHead(
            self._conn,
            stream,
            time,
            started,
            texts.get(method) or self._text(method),
            target(pseudo.get(b":path", b"")),
            texts.get(scheme) or self._text(scheme),
            texts.get(authority) or self._text(authority),
            self._version,
            headers,
            size,
            self._text(protocol) if protocol else "",
        )
        streams[stream] = _Stream(head)
        out.append(head)

    def _text(self, value: bytes) -> str:
        """A value that usually comes again, as text."""
        known = self._texts.get(value)
        if known is None:
            known = text(value)
            if len(self._texts) >= _TEXTS_MOST:
                self._texts.clear()
            self._texts[value] = known
        return known

    def _response(
        self, stream: int, value: bytes, headers: Headers, size: int, started: int, time: int, out: list[Event]
    ) -> None:
        status = int(value) if value.isdigit() and len(value) == 3 else 0
        interim = 100 <= status < 200
        state = self._streams.get(stream)
        if state is None:
            state = self._streams[stream] = _Stream(None)  # its request was not captured
        head = ResponseHead(self._conn, stream, time, started, status, "", self._version, headers, size, interim)
        out.append(head)
        if interim:
            return
        state.answered = True
        request = state.request
        if request is not None and request.method == "CONNECT":
            if 200 <= status < 300:
                self._connected(stream, state, Upgrade(request.protocol or "tunnel", request, head), time, out)
            state.held.clear()

    def _connected(self, stream: int, state: _Stream, upgrade: Upgrade, time: int, out: list[Event]) -> None:
        """The stream carries another protocol from here on, and no body."""
        if upgrade.token not in LASTING:
            out.append(MessageEnd(self._conn, stream, Side.CLIENT, time, ()))
            out.append(MessageEnd(self._conn, stream, Side.SERVER, time, ()))
        state.inner, events = self._upgrade(upgrade, time)
        out.extend(events)
        for data, when in state.held:
            out.extend(state.inner.feed(Side.CLIENT, data, when))

    def data(self, side: Side, stream: int, body: Data, time: int, out: list[Event]) -> None:
        """A piece of a body, or of the protocol inside a CONNECT."""
        state = self._streams.get(stream)
        if state is None or not len(body):
            return  # of a stream that was reset: it was on its way, and is not used
        if state.inner is not None:
            out.extend(state.inner.feed(side, body, time))
        elif side == Side.CLIENT and state.request is not None and state.request.method == "CONNECT":
            if not state.answered and sum(len(data) for data, _ in state.held) + len(body) <= limits.HEAD_BYTES:
                state.held.append((bytes(body), time))
        else:
            out.append(BodyData(self._conn, stream, side, time, body))

    def end(self, side: Side, stream: int, time: int, out: list[Event]) -> None:
        """The message of `side` on a stream is complete."""
        state = self._streams.get(stream)
        if state is None or state.done[side]:
            return
        if state.inner is not None:
            out.extend(state.inner.end(side, How.FIN, time))
        else:
            out.append(MessageEnd(self._conn, stream, side, time, state.trailers))
            state.trailers = ()
        done = state.done
        done[side] = True
        if done[0] and done[1]:
            del self._streams[stream]
            if state.inner is not None:
                out.extend(state.inner.close(Ending(side, How.FIN, time)))

    def _gone(self, stream: int, ending: Ending, out: list[Event]) -> None:
        state = self._streams.pop(stream)
        if state.inner is not None:
            out.extend(state.inner.close(ending))

    def abort(self, stream: int, time: int, why: str, out: list[Event]) -> None:
        """A stream cannot be decoded any more; why is a clause."""
        self._end_early(stream, Ending(None, How.ABANDONED, time, why), why, out)

    def stop(self, stream: int, ending: Ending, out: list[Event]) -> None:
        """A stream stays incomplete because of `ending`."""
        self._end_early(stream, ending, "", out)

    def _end_early(self, stream: int, ending: Ending, why: str, out: list[Event]) -> None:
        state = self._streams.get(stream)
        if state is None:
            return
        self._gone(stream, ending, out)
        if state.inner is None:
            out.append(Aborted(self._conn, stream, ending.time, why, None if why else ending))

    def abandon(self, time: int, why: str, out: list[Event]) -> None:
        """The connection cannot be decoded any more; why is a clause."""
        for stream in list(self._streams):
            self.abort(stream, time, why, out)

    def close(self, ending: Ending, out: list[Event]) -> None:
        """The connection is over."""
        for stream in list(self._streams):
            self.stop(stream, ending, out)
