"""What HTTP/2 and HTTP/3 mean alike: header sections, data and ends on streams become heads, bodies and ends of
messages (RFC 9110 §6, RFC 9113 §8, RFC 9114 §4).

What   A table of the open streams; requests, responses (interim ones too), trailers, CONNECT and extended CONNECT, and
       what speaks inside the latter two.
Why    The two protocols differ in framing and compression alone.
Limits STREAMS open at a time; past it the oldest is told as unfinished. HEAD_BYTES of a tunnel held before its answer.
"""

from typing import Final

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Aborted, BodyData, Event, Headers, MessageEnd, RequestHead, ResponseHead, Side
from hark.decode.layer import LASTING, Layer, Upgrade, Upgrader
from hark.wire.fields import target, text

Fields = list[tuple[bytes, bytes]]
_COLON: Final = 0x3A


class _Stream:
    __slots__ = ("answered", "done", "held", "inner", "request", "trailers")

    def __init__(self, request: RequestHead | None) -> None:
        self.request = request
        self.answered = False  # a final response head was seen
        self.done = [False, False]  # by side
        self.trailers: Headers = ()
        self.inner: Layer | None = None  # what speaks inside, after a CONNECT
        self.held: list[tuple[bytes, int]] = []  # the client's data before the answer to its CONNECT


class Messages:
    """The streams of one connection. version: "HTTP/2" or "HTTP/3"; upgrade gives what speaks inside a CONNECT; joined:
    the beginning was not captured, so that parts of a head may be unknown."""

    def __init__(self, conn: int, version: str, upgrade: Upgrader, joined: bool = False) -> None:
        self._joined = joined
        self._conn = conn
        self._version = version
        self._upgrade = upgrade
        self._streams: dict[int, _Stream] = {}

    def __contains__(self, stream: int) -> bool:
        return stream in self._streams

    @property
    def streams(self) -> list[int]:
        """The numbers of the open ones."""
        return list(self._streams)

    def begun(self, stream: int) -> None:
        """A request without a body that was told elsewhere goes on here (h2c)."""
        self._streams[stream] = _Stream(None)
        self._streams[stream].done[Side.CLIENT] = True

    def done(self, side: Side, stream: int) -> bool:
        """Whether `side` has said all on a stream; so it is with one that is not open."""
        state = self._streams.get(stream)
        return state is None or state.done[side]

    def section(
        self, side: Side, stream: int, fields: Fields, size: int, started: int, time: int, out: list[Event]
    ) -> None:
        """A header section: a request's, a response's, or trailers."""
        pseudo: dict[bytes, bytes] = {}
        first = 0  # pseudo headers stand in front (RFC 9113 §8.3)
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
        known = _TEXTS
        method, scheme, authority = pseudo[b":method"], pseudo.get(b":scheme", b""), pseudo.get(b":authority", b"")
        protocol = pseudo.get(b":protocol")
        head = RequestHead(
            self._conn,
            stream,
            time,
            started,
            known.get(method) or _known(method),
            target(pseudo.get(b":path", b"")),
            known.get(scheme) or _known(scheme),
            known.get(authority) or _known(authority),
            self._version,
            headers,
            size,
            _known(protocol) if protocol else "",
        )
        streams[stream] = _Stream(head)
        out.append(head)

    def _response(
        self, stream: int, value: bytes, headers: Headers, size: int, started: int, time: int, out: list[Event]
    ) -> None:
        status = int(value) if value.isdigit() and len(value) == 3 else 0
        interim = 100 <= status < 200
        state = self._streams.get(stream)
        if state is None:
            state = self._streams[stream] = _Stream(None)  # its request was not seen
        head = ResponseHead(self._conn, stream, time, started, status, "", self._version, headers, size, interim)
        out.append(head)
        if interim:
            return
        state.answered = True
        asked = state.request
        if asked is not None and asked.method == "CONNECT":
            if 200 <= status < 300:
                self._connected(stream, state, Upgrade(asked.protocol or "tunnel", asked, head), time, out)
            state.held.clear()

    def _connected(self, stream: int, state: _Stream, upgrade: Upgrade, time: int, out: list[Event]) -> None:
        """What the stream carries from here on is no message's body."""
        if upgrade.token not in LASTING:
            out.append(MessageEnd(self._conn, stream, Side.CLIENT, time, ()))
            out.append(MessageEnd(self._conn, stream, Side.SERVER, time, ()))
        state.inner, events = self._upgrade(upgrade, time)
        out.extend(events)
        for data, when in state.held:
            out.extend(state.inner.feed(Side.CLIENT, data, when))

    def data(self, side: Side, stream: int, body: bytes | memoryview, time: int, out: list[Event]) -> None:
        """A piece of a body, or of what speaks inside a CONNECT."""
        state = self._streams.get(stream)
        if state is None or not len(body):
            return  # a stream that was reset: what was on its way is of no use to anyone
        if state.inner is not None:
            out.extend(state.inner.feed(side, body, time))
        elif side == Side.CLIENT and state.request is not None and state.request.method == "CONNECT":
            if not state.answered and sum(len(data) for data, _ in state.held) + len(body) <= limits.HEAD_BYTES:
                state.held.append((bytes(body), time))
        else:
            out.append(BodyData(self._conn, stream, side, time, body))

    def end(self, side: Side, stream: int, time: int, out: list[Event]) -> None:
        """`side` has said all on a stream."""
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
        """A stream cannot be followed any more; why is a clause."""
        self._end_early(stream, Ending(None, How.ABANDONED, time, why), why, out)

    def stop(self, stream: int, ending: Ending, out: list[Event]) -> None:
        """A stream will not be whole, for somebody ended it."""
        self._end_early(stream, ending, "", out)

    def _end_early(self, stream: int, ending: Ending, why: str, out: list[Event]) -> None:
        state = self._streams.get(stream)
        if state is None:
            return
        self._gone(stream, ending, out)
        if state.inner is None:
            out.append(Aborted(self._conn, stream, ending.time, why, None if why else ending))

    def abandon(self, time: int, why: str, out: list[Event]) -> None:
        """The connection cannot be followed any more; why is a clause."""
        for stream in list(self._streams):
            self.abort(stream, time, why, out)

    def close(self, ending: Ending, out: list[Event]) -> None:
        """The connection is over."""
        for stream in list(self._streams):
            self.stop(stream, ending, out)


_TEXTS: Final[dict[bytes, str]] = {}  # methods, schemes, hosts that came before
_TEXTS_MOST: Final = 1024


def _known(value: bytes) -> str:
    """The text of something that comes again and again."""
    known = _TEXTS.get(value)
    if known is None:
        known = text(value)
        if len(_TEXTS) >= _TEXTS_MOST:
            _TEXTS.clear()
        _TEXTS[value] = known
    return known
