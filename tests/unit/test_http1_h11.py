"""HTTP/1 against the library h11: what it writes is read as it was given, and what it reads of odd bytes is read alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allways import C, S
from hark.decode import events as ev
from hark.decode.channel import Opaque
from hark.decode.endings import Ending, How
from hark.decode.events import Side
from hark.decode.http1 import Http1

Pairs = list[tuple[bytes, bytes]]


@dataclass
class Message:
    """One message, as it was given or read. first: method and target, or the status."""

    first: tuple[object, ...]
    headers: Pairs = field(default_factory=list)
    body: bytes = b""
    trailers: Pairs = field(default_factory=list)
    whole: bool = True


@dataclass
class Read:
    """What our decoder makes of a connection."""

    requests: list[Message] = field(default_factory=list)
    responses: list[Message] = field(default_factory=list)
    interim: list[tuple[int, int]] = field(default_factory=list)  # which exchange, status
    troubles: list[str] = field(default_factory=list)


def small(headers: ev.Headers) -> Pairs:
    return [(name.lower(), value) for name, value in headers]


def read(script: Sequence[tuple[Side, bytes]]) -> Read:
    """Feed it; b"" is the end of a side."""
    layer = Http1(1, lambda upgrade, time: (Opaque(), ()))
    found = Read()
    open_: dict[tuple[int, Side], Message] = {}
    events: list[ev.Event] = []
    for time, (side, data) in enumerate(script, 1):
        for event in layer.feed(side, data, time) if data else layer.end(side, How.FIN, time):
            if isinstance(event, ev.BodyData):
                event.data = bytes(event.data)
            events.append(event)
    events += layer.close(Ending(S, How.FIN, len(script) + 1))
    for event in events:
        match event:
            case ev.RequestHead():
                message = Message((event.method, event.target, event.version), small(event.headers), whole=False)
                found.requests.append(message)
                open_[event.stream, C] = message
            case ev.ResponseHead() if event.interim:
                found.interim.append((event.stream, event.status))
            case ev.ResponseHead():
                message = Message((event.status, event.reason), small(event.headers), whole=False)
                found.responses.append(message)
                open_[event.stream, S] = message
            case ev.BodyData():
                open_[event.stream, event.side].body += bytes(event.data)
            case ev.MessageEnd():
                open_[event.stream, event.side].trailers = small(event.trailers)
                open_[event.stream, event.side].whole = True
            case ev.Trouble() | ev.Aborted():
                found.troubles.append(str(event))
    return found


# -- what h11 writes ----------------------------------------------------------------------------------------------------

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_!~", min_size=1, max_size=12).map(str.encode)
NAMES = TOKEN.map(lambda name: b"x-" + name.lower())
VALUES = st.binary(max_size=30).map(lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F).strip())
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"M-SEARCH"])
TARGETS = st.one_of(
    st.text("abcXYZ019-._~%?&=/:@!$'()*+,;", max_size=30).map(lambda path: b"/" + path.encode()),
    st.sampled_from([b"*", b"http://h.test/x"]),
)
BODIES = st.lists(st.binary(max_size=60), max_size=4)
REASONS = st.text("abcdefghij XYZ", max_size=10).map(lambda text: text.strip().encode())


@dataclass
class Given:
    """An exchange, as h11 is given it. framing: "none", "length", "chunked", for a response also "close"."""

    method: bytes
    target: bytes
    headers: Pairs
    framing: str
    pieces: list[bytes]
    trailers: Pairs
    interim: list[int]
    status: int
    reason: bytes
    answer_headers: Pairs
    answer_framing: str
    answer_pieces: list[bytes]
    answer_trailers: Pairs


GIVEN = st.builds(
    Given, METHODS, TARGETS, HEADERS, st.sampled_from(["none", "length", "chunked"]), BODIES, HEADERS,
    st.lists(st.sampled_from([100, 102, 103]), max_size=2), st.sampled_from([200, 201, 204, 206, 304, 404, 500, 599]),
    REASONS, HEADERS, st.sampled_from(["length", "chunked", "close"]), BODIES, HEADERS,
)  # fmt: skip


def framed(framing: str, pieces: list[bytes]) -> Pairs:
    if framing == "length":
        return [(b"content-length", str(sum(map(len, pieces))).encode())]
    return [(b"transfer-encoding", b"chunked")] if framing == "chunked" else []


def written(one: Given) -> tuple[bytes, bytes, Message, Message]:
    """What h11 writes for both ends, and what was meant."""
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    pieces = [] if one.framing == "none" else one.pieces
    trailers = one.trailers if one.framing == "chunked" else []
    headers = [(b"host", b"h.test"), *one.headers, *framed(one.framing, pieces)]
    sent = client.send(h11.Request(method=one.method, target=one.target, headers=headers)) or b""
    for piece in pieces:
        sent += client.send(h11.Data(data=piece)) or b""
    sent += client.send(h11.EndOfMessage(headers=trailers)) or b""
    version = "HTTP/1.1"
    if one.answer_framing == "close" and one.framing != "chunked":  # h11 ends a body so for HTTP/1.0 alone
        version = "HTTP/1.0"
        sent = sent.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
    server.receive_data(sent)
    while not isinstance(server.next_event(), h11.EndOfMessage):
        pass
    came = b""
    for status in one.interim if version == "HTTP/1.1" else []:
        came += server.send(h11.InformationalResponse(status_code=status, headers=one.headers, reason=b"so")) or b""
    bodiless = one.method == b"HEAD" or one.status in (204, 304)
    chunks = one.answer_framing != "length" and version == "HTTP/1.1"
    answered = [*one.answer_headers, *framed(one.answer_framing, one.answer_pieces)]
    came += server.send(h11.Response(status_code=one.status, headers=answered, reason=one.reason)) or b""
    for piece in [] if bodiless else one.answer_pieces:
        came += server.send(h11.Data(data=piece)) or b""
    ends = one.answer_trailers if chunks and not bodiless else []
    came += server.send(h11.EndOfMessage(headers=ends)) or b""
    target = one.target.decode()
    asked = Message((one.method.decode(), target, version), one.headers, b"".join(pieces), trailers)
    body = b"" if bodiless else b"".join(one.answer_pieces)
    return sent, came, asked, Message((one.status, one.reason.decode()), one.answer_headers, body, ends)


def cut(script: list[tuple[Side, bytes]], cuts: list[int]) -> list[tuple[Side, bytes]]:
    """Each turn in pieces, of sizes taken in turn from cuts."""
    out, number = [], 0
    for side, data in script:
        while data:
            size = cuts[number % len(cuts)]
            number += 1
            out.append((side, data[:size]))
            data = data[size:]
    return out


def alike(here: Message, meant: Message) -> None:
    own = [pair for pair in here.headers if pair[0].startswith(b"x-")]
    assert (here.first, own, here.body, here.trailers, here.whole) == (
        meant.first, meant.headers, meant.body, meant.trailers, True,
    )  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(GIVEN, min_size=1, max_size=4), st.lists(st.integers(1, 200), min_size=1, max_size=6), st.booleans())
def test_what_h11_writes_is_read_as_it_was_given(given: list[Given], cuts: list[int], pipelined: bool) -> None:
    for one in given[:-1]:
        if one.answer_framing == "close":
            one.answer_framing = "chunked"  # only the last one can last until the end
    exchanges = [written(one) for one in given]
    requests, responses = [(C, sent) for sent, *_ in exchanges], [(S, came) for _, came, *_ in exchanges]
    turns = (
        [*requests, *responses]
        if pipelined
        else [turn for pair in zip(requests, responses, strict=True) for turn in pair]
    )
    found = read([*cut(turns, cuts), (S, b""), (C, b"")])
    assert not found.troubles
    for here, (_, _, asked, _) in zip(found.requests, exchanges, strict=True):
        alike(here, asked)
    for here, (_, _, _, meant) in zip(found.responses, exchanges, strict=True):
        alike(here, meant)
    interim = [
        (n, status)
        for n, one in enumerate(given, 1)
        if exchanges[n - 1][2].first[2] == "HTTP/1.1"
        for status in one.interim
    ]
    assert found.interim == interim


# -- what h11 reads -----------------------------------------------------------------------------------------------------

ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\n"])
SPACES = st.sampled_from([b"", b" ", b"  ", b"\t"])
LINES = st.one_of(
    st.tuples(TOKEN, SPACES, VALUES, SPACES).map(lambda p: b"X-%b:%b%b%b" % p),
    st.tuples(TOKEN, VALUES, VALUES).map(lambda p: b"X-%b: %b\r\n %b" % p),  # folded
    st.sampled_from([b"Content-Length: 5", b"Content-Length: 5", b"content-LENGTH:5", b"Content-Length: 5, 5", b"Content-Length: 05"]),
    st.sampled_from([b"Transfer-Encoding: chunked", b"transfer-encoding:\tCHUNKED", b"Connection: close", b"X : y", b": z"]),
    st.binary(max_size=10),
)  # fmt: skip
CHUNK = st.tuples(
    st.binary(min_size=1, max_size=30), st.sampled_from([b"%x", b"%X", b"00%x"]),
    st.sampled_from([b"", b";a=b", b' ;q="x"', b" "]), ENDS,
).map(lambda p: (p[1] % len(p[0])) + p[2] + p[3] + p[0] + p[3])  # fmt: skip
RAW_BODIES = st.one_of(
    st.just(b""), st.just(b"hello"), st.binary(max_size=20),
    st.tuples(st.lists(CHUNK, max_size=3).map(b"".join), st.sampled_from([b"0\r\n\r\n", b"000\r\n\r\n", b"0;x\r\nX-T: u\r\n\r\n", b"0\n\n"])).map(b"".join),
)  # fmt: skip
FIRST = st.one_of(
    st.tuples(METHODS, TARGETS, st.sampled_from([b"1.1", b"1.0"])).map(lambda p: b"%b %b HTTP/%b" % p),
    st.sampled_from([b"\r\nGET / HTTP/1.1", b"get / HTTP/1.1", b"GET  / HTTP/1.1", b"GET /\xe9 HTTP/1.1"]),
)
STATUS = st.one_of(
    st.tuples(st.sampled_from([b"1.1", b"1.0"]), st.sampled_from([200, 204, 304, 404, 599]), REASONS).map(lambda p: b"HTTP/%b %d %b" % p),
    st.sampled_from([b"HTTP/1.1 200", b"HTTP/1.1 200  OK", b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 200 gr\xfc\xdfe"]),
)  # fmt: skip


def by_h11(connection: h11.Connection, data: bytes) -> Message | None:
    """The first message by h11; None where it does not take it, or where it is not whole."""
    message: Message | None = None
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            match event:
                case h11.Request():
                    first = (event.method.decode(), event.target, "HTTP/" + event.http_version.decode())
                    message = Message(first, list(event.headers))
                case h11.Response():
                    message = Message((event.status_code, bytes(event.reason)), list(event.headers))
                case h11.Data() if message is not None:
                    message.body += bytes(event.data)
                case h11.EndOfMessage() if message is not None:
                    message.trailers = list(event.headers)
                    return message
                case h11.InformationalResponse():
                    continue
                case _:
                    return None
    except h11.RemoteProtocolError:
        return None


def unframed(headers: Pairs) -> Pairs:
    """Without the fields that frame the body, which h11 rewrites: how they are understood is for the body to say. Folded
    lines may be joined by one space or more (RFC 9112 §5.2): here by one."""
    kept = [pair for pair in headers if pair[0] not in (b"content-length", b"transfer-encoding")]
    return [(name, re.sub(rb" +", b" ", value)) for name, value in kept]


def joined(lines: list[bytes], end: bytes) -> bytes:
    return end.join(lines) + end + end


@settings(max_examples=200, deadline=None)
@given(FIRST, st.lists(LINES, max_size=4), RAW_BODIES, ENDS, st.integers(1, 50))
@example(b"GET / HTTP/1.1", [b"Transfer-Encoding: chunked", b"Content-Length: 5"], b"1\r\nx\r\n0\r\n\r\n", b"\r\n", 1)
def test_a_request_that_h11_takes(first: bytes, lines: list[bytes], body: bytes, end: bytes, size: int) -> None:
    data = joined([first, b"Host: h.test", *lines], end) + body
    theirs = by_h11(h11.Connection(h11.SERVER), data)
    found = read([*cut([(C, data)], [size]), (C, b"")])
    if theirs is None:
        return
    ours = found.requests[0]
    target = theirs.first[1]
    assert isinstance(target, bytes)
    assert ours.first == (theirs.first[0], target.decode(), theirs.first[2])
    assert (unframed(ours.headers), ours.body, ours.trailers, ours.whole) == (
        unframed(theirs.headers), theirs.body, theirs.trailers, True,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(STATUS, st.lists(LINES, max_size=4), RAW_BODIES, ENDS, st.integers(1, 50), st.sampled_from([b"GET", b"HEAD"]))
def test_a_response_that_h11_takes(
    first: bytes, lines: list[bytes], body: bytes, end: bytes, size: int, method: bytes
) -> None:
    data = joined([first, *lines], end) + body
    client = h11.Connection(h11.CLIENT)
    asked = client.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"h")])) or b""
    client.send(h11.EndOfMessage())
    theirs = by_h11(client, data)
    found = read([(C, asked), *cut([(S, data)], [size]), (S, b"")])
    if theirs is None:
        return
    ours = found.responses[0]
    reason = theirs.first[1]
    assert isinstance(reason, bytes)
    assert ours.first[0] == theirs.first[0] and str(ours.first[1]).encode("latin-1") == reason.strip()
    assert (unframed(ours.headers), ours.body, ours.trailers, ours.whole) == (
        unframed(theirs.headers), theirs.body, theirs.trailers, True,
    )  # fmt: skip
