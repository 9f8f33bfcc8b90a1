"""Endings in words, for people: the only place that writes them.

What   exchange(...) says why an exchange is incomplete, ending(...) which side ended a connection and how.
Why    A clause is part of the output (`_trouble`, a failure's `why`) and must be the same in every view and file.
"""

from hark.decode.endings import Ending, How, Phase, Side, Then
from hark.model.spans import duration

_VERBS = {
    How.FIN: "closed",
    How.CLOSE_NOTIFY: "closed",
    How.RST: "reset the connection",
    How.STREAM_RESET: "reset the stream",
    How.GOAWAY: "sent GOAWAY",
    How.CONNECTION_CLOSE: "closed the connection",
    How.ALERT: "ended TLS",
    How.CLOSE_FRAME: "closed the WebSocket",
}
_PLACES = {
    Phase.REQUEST: "while the request was being sent",
    Phase.WAITING: "without a response",
    Phase.BODY: "in the middle of the body",
}
_GIVING_UP = frozenset({How.FIN, How.CLOSE_NOTIFY, How.RST, How.STREAM_RESET, How.CONNECTION_CLOSE})


def who(side: Side) -> str:
    """ "the client" or "the server"."""
    return f"the {side.word}"


def ending(end: Ending, lasted: int) -> str:
    """Which side ended it, how, and after how long (ns): "the client closed after 1.0 s"."""
    after = f"after {duration(lasted)}"
    detail = f": {end.detail}" if end.detail else ""
    if end.how is How.OPEN:
        return "no end was recorded"
    if end.how is How.ABANDONED:
        return f"hark stopped decoding it{detail}"
    if end.side is None or end.how not in _VERBS:
        return f"the host could not be reached{detail}"
    return f"{who(end.side)} {_VERBS[end.how]} {after}{detail}"


def exchange(end: Ending, phase: Phase, lasted: int, quiet: int, socket: bool) -> str:
    """Why an exchange is incomplete. lasted: ns from its beginning to the end; quiet: ns without data before the end;
    socket: whether it is a WebSocket."""
    if end.how is How.OPEN:
        if phase is Phase.WAITING:
            return f"no end was recorded; no byte came from the server for {duration(quiet)}"
        where = "" if socket else f", {_PLACES[phase]}"
        return f"no end was recorded{where}; nothing came for {duration(quiet)}"
    if end.side is None or end.how not in _VERBS:
        return ending(end, lasted)
    detail = f": {end.detail}" if end.detail else ""
    clause = f"{who(end.side)} {_VERBS[end.how]} after {duration(lasted)}"
    if socket:
        return clause + (detail if end.how is How.CLOSE_FRAME else f", without a close frame{detail}")
    if end.then is not None:
        return _undecided(end, end.then, phase, lasted)
    if phase is Phase.WAITING:
        if end.side == Side.CLIENT and end.how in _GIVING_UP:
            reason = f" ({end.detail})" if end.detail else ""
            return f"the client gave up after {duration(lasted)} waiting for a response{reason}"
        if end.how in (How.FIN, How.CLOSE_NOTIFY):
            where = f"in the middle of its headers, after {duration(lasted)}" if end.detail else ""
            return f"the server closed {where or f'without a response, after {duration(lasted)}'}"
    return f"{clause}, {_PLACES[phase]}{detail}"


def _undecided(end: Ending, then: Then, phase: Phase, lasted: int) -> str:
    """The client has closed its own direction: it may have gone, or it may still have read. The clause says what both
    sides did."""
    first = f"the client closed its side after {duration(lasted)}"
    where = "without a response" if phase is Phase.WAITING else _PLACES[phase]
    after = duration(lasted + then.time - end.time)
    if then.how in (How.FIN, How.CLOSE_NOTIFY) and phase is Phase.WAITING:
        return f"{first}; the server closed without a response, after {after}"
    if then.side is not None and then.how in _VERBS:
        return f"{first}; {who(then.side)} {_VERBS[then.how]} after {after}, {where}"
    missing = "no answer was recorded" if phase is Phase.WAITING else f"no end was recorded, {where}"
    return f"{first}; {missing}"
