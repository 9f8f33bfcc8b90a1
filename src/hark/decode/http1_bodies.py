"""Bodies of HTTP/1 whose framing has to be parsed: chunks, trailers, and bodies of unknown length (RFC 9112 §6, §7).

May hold: functions from a direction's next bytes to events. May not hold: heads (http1_heads.py); how a head
declares its body (http1_framing.py).
Each returns what is left of the data, or None if it needs more; it then has kept the data in the direction's buffer.
"""

from hark.decode import limits
from hark.decode.events import BodyData, Event, Side, Trouble, TroubleKind
from hark.decode.http1_exchanges import Exchanges
from hark.decode.http1_framing import chunk, chunk_end
from hark.decode.http1_modes import CHUNK_END, CHUNK_SIZE, EXPECT, GUESS, UNTIL_END, Half
from hark.wire import http1


def read(exchanges: Exchanges, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
    """The next bytes of a body in a mode other than LENGTH, CHUNK_DATA and UNTIL_END."""
    mode = half.mode
    if mode == CHUNK_SIZE:
        return _chunk_size(exchanges, side, half, data, time, out)
    if mode == CHUNK_END:
        size = chunk_end(data)
        if size < 0:
            return _unframed(exchanges, side, half, data, time, "a chunk does not end where it should", out)
        if not size:
            half.buffer = data
            return None
        half.mode = CHUNK_SIZE
        return data[size:]
    if mode == GUESS:
        return _guess(exchanges, side, half, data, time, out)
    if mode == EXPECT:
        return _expected(exchanges, half, data, time, out)
    return _trailers(exchanges, side, half, data, time, out)


def _chunk_size(exchanges: Exchanges, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
    mode, left, size = chunk(data, half.doubt)
    if mode == CHUNK_SIZE:
        half.buffer = data
        return None
    doubt, half.doubt = half.doubt, False
    if mode == GUESS and doubt:
        half.mode = UNTIL_END if side else GUESS
        return data
    if mode == GUESS:
        return _unframed(exchanges, side, half, data, time, "a chunk size cannot be read", out)
    half.mode, half.left = mode, left
    return data[size:]


def _trailers(exchanges: Exchanges, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
    for empty in (b"\r\n", b"\n"):
        if data.startswith(empty):
            exchanges.complete(side, half, time, (), out)
            half.started = time
            return data[len(empty) :]
    end, after = http1.head_end(data)
    if end < 0:
        if len(data) > limits.HEAD_BYTES:
            return _unframed(exchanges, side, half, data, time, "trailers without an end", out)
        half.buffer = data
        return None
    exchanges.complete(side, half, time, http1.headers(data[:end].split(b"\n"), exchanges.lines), out)
    half.started = time
    return data[after:]


def _guess(exchanges: Exchanges, side: Side, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
    """A body of unknown length. A request's ends at the next request line; a response's at the next status line, if
    another request waits for a response."""
    if side == Side.CLIENT:
        at, found = http1.find_request(data)
    else:
        at = http1.find_response(data) if len(exchanges.requests) > 1 else len(data)
        found = http1.begins_response(data[at:])
    if len(data) - at > limits.HEAD_BYTES and not found:
        at = len(data)
    if at:
        out.append(BodyData(exchanges.conn, half.stream, side, time, data[:at]))
    if found:
        exchanges.complete(side, half, time, (), out)
        half.started = time
        return data[at:]
    half.buffer = data[at:]
    return None


def _expected(exchanges: Exchanges, half: Half, data: bytes, time: int, out: list[Event]) -> bytes | None:
    """What follows a request head that expects 100 Continue: its body, or the next request if a final response has
    begun before (RFC 9110 §10.1.1). After a head with invalid framing the next request may follow at once."""
    if exchanges.answered >= half.stream or half.after == GUESS:
        if http1.begins_request(data):
            exchanges.complete(Side.CLIENT, half, time, (), out)
            half.started = time
            return data
        if http1.may_begin_request(data) and len(data) <= limits.HEAD_BYTES:
            half.buffer = data
            return None
    half.mode = half.after
    return data


def _unframed(
    exchanges: Exchanges, side: Side, half: Half, data: bytes, time: int, why: str, out: list[Event]
) -> bytes | None:
    """The body does not have the framing that its head declared. A request's is read on as a body of unknown length,
    because its server will answer it."""
    if side == Side.SERVER:
        exchanges.break_off(side, half, time, why, out)
        return None
    out.append(Trouble(time, TroubleKind.BROKEN_HTTP, exchanges.conn, f"{why}, by the client", half.stream))
    half.mode = GUESS
    return data
