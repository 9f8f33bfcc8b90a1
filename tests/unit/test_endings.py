"""Who ended it, how, in which phase: scripted segments, and what the model says of them."""

from collections.abc import Sequence

import pytest

from h2pair import REQUEST, Pair
from hark.decode.endings import Ending, How, Phase
from hark.decode.events import Closed, Dns, Established, Opened, RequestHead, Side
from hark.model.exchange import Exchange
from hark.model.failure import FailureKind
from hark.recording.blocks import Secrets
from quicpair import QuicPair, frame
from scripted import FIN, GET, MS, RST, START, C, S, Step, Told

POST = b"POST /x HTTP/1.1\r\nHost: h.test\r\nContent-Length: 9\r\n\r\nhalf"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\nall of"
BODY = "in the middle of the body"
HTTP1: dict[str, tuple[list[Step], str]] = {
    "whole, both close": ([(0, C, GET), (5, S, HEAD + b"123456789"), (6, C, FIN), (7, S, FIN)], ""),
    "whole, then the client resets": ([(0, C, GET), (5, S, HEAD + b"123456789"), (6, C, RST)], ""),
    "whole, then the server resets": ([(0, C, GET), (5, S, HEAD + b"123456789"), (6, S, RST)], ""),
    "a half-close, and an answer": ([(0, C, GET), (1, C, FIN), (300, S, HEAD + b"123456789"), (301, S, FIN)], ""),
    "a half-close, and an answer until the end": ([(0, C, GET), (1, C, FIN), (300, S, UNTIL_END), (301, S, FIN)], ""),
    "a half-close, a cut answer": ([(0, C, GET), (1, C, FIN), (300, S, HEAD + b"half"), (310, S, FIN)], f"the server closed after 310 ms, {BODY}"),
    "a half-close, a body until the end that had begun": ([(0, C, GET), (1, S, UNTIL_END), (2, C, FIN), (300, S, b"it"), (301, S, FIN), (302, C, b"")], ""),
    "a half-close, an answer that is acknowledged": ([(0, C, GET), (1, C, FIN), (300, S, HEAD + b"123456789"), (301, C, b""), (302, S, FIN)], ""),
    "a half-close, an answer that is acknowledged, a reset": ([(0, C, GET), (1, C, FIN), (300, S, HEAD + b"123456789"), (301, C, b""), (302, C, RST)], ""),
    "a half-close, gives up in the body": ([(0, C, GET), (1, C, FIN), (300, S, HEAD + b"half"), (301, C, b""), (500, S, b"more"), (501, C, RST)], f"the client reset the connection after 501 ms, {BODY}"),
    "a half-close, an answer, much later a reset": ([(0, C, GET), (1, C, FIN), (300, S, HEAD + b"123456789"), (5000, C, RST)], ""),
    "a half-close, a cut answer, much later a reset": ([(0, C, GET), (1, C, FIN), (300, S, HEAD + b"half"), (5000, C, RST)], f"the client reset the connection after 5.0 s, {BODY}"),
    "a half-close, no answer, a reset": ([(0, C, GET), (1, C, FIN), (3000, C, RST)], "the client gave up after 3.0 s waiting for a response"),
    "a half-close or not, no answer": ([(0, C, GET), (1, C, FIN), (300, S, FIN)], "the client closed its side after 1.0 ms; the server closed without a response, after 300 ms"),
    "a half-close or not, and a reset": ([(0, C, GET), (1, C, FIN), (300, S, RST)], "the client closed its side after 1.0 ms; the server reset the connection after 300 ms, without a response"),
    "a half-close or not, and no end": ([(0, C, GET), (50, C, FIN), (51, S, b"")], "the client closed its side after 50 ms; no answer was recorded"),
    "gives up early, and the server closes": ([(0, C, GET), (50, C, FIN), (51, S, FIN)], "the client closed its side after 50 ms; the server closed without a response, after 51 ms"),
    "gives up early, and the answer meets a reset": ([(0, C, GET), (50, C, FIN), (400, S, HEAD + b"123456789"), (401, C, RST)], "the client gave up after 50 ms waiting for a response"),
    "gives up early, and the answer and its end meet a reset": ([(0, C, GET), (50, C, FIN), (400, S, HEAD + b"123456789"), (400, S, FIN), (401, C, RST)], "the client gave up after 50 ms waiting for a response"),
    "gives up early, and an answer until the end meets a reset": ([(0, C, GET), (50, C, FIN), (400, S, UNTIL_END), (400, S, FIN), (401, C, RST)], "the client gave up after 50 ms waiting for a response"),
    "gives up early, and a cut answer meets a reset": ([(0, C, GET), (50, C, FIN), (400, S, HEAD + b"half"), (400, S, FIN), (401, C, RST)], "the client gave up after 50 ms waiting for a response"),
    "a late half-close or not, and the server closes much later": ([(0, C, GET), (400, C, FIN), (5000, S, FIN)], "the client closed its side after 400 ms; the server closed without a response, after 5.0 s"),
    "a late half-close, an answer until the end": ([(0, C, GET), (400, C, FIN), (500, S, UNTIL_END), (501, S, FIN), (502, C, b"")], ""),
    "a late half-close that reads on": ([(0, C, GET), (400, C, FIN), (500, S, HEAD + b"123456789"), (501, S, FIN)], ""),
    "a late close, and the answer meets a reset": ([(0, C, GET), (1000, C, FIN), (2000, S, HEAD + b"123456789"), (2001, C, RST)], "the client gave up after 1.0 s waiting for a response"),
    "gives up, and the server closes": ([(0, C, GET), (2000, C, FIN), (2001, S, FIN)], "the client gave up after 2.0 s waiting for a response"),
    "gives up by a reset": ([(0, C, GET), (2000, C, RST)], "the client gave up after 2.0 s waiting for a response"),
    "closes in the body": ([(0, C, GET), (5, S, HEAD + b"half"), (1000, C, FIN), (1001, S, FIN)], f"the client closed after 1.0 s, {BODY}"),
    "closes in the body, more comes": ([(0, C, GET), (5, S, HEAD + b"half"), (1000, C, FIN), (1001, S, b"more"), (1002, C, RST)], f"the client closed after 1.0 s, {BODY}"),
    "closes in the body, the rest comes": ([(0, C, GET), (5, S, HEAD + b"half"), (1000, C, FIN), (1001, S, b"more!"), (1002, C, RST)], f"the client closed after 1.0 s, {BODY}"),
    "resets in the body": ([(0, C, GET), (5, S, HEAD + b"half"), (1000, C, RST)], f"the client reset the connection after 1.0 s, {BODY}"),
    "closes in chunks": ([(0, C, GET), (5, S, CHUNKED), (1000, C, FIN), (1001, S, FIN)], f"the client closed after 1.0 s, {BODY}"),
    "closes in a body until the end": ([(0, C, GET), (5, S, UNTIL_END), (1000, C, FIN), (1001, S, FIN)], f"the client closed after 1.0 s, {BODY}"),
    "a body until the end": ([(0, C, GET), (5, S, UNTIL_END), (6, S, FIN), (7, C, FIN)], ""),
    "a body until the end is reset": ([(0, C, GET), (5, S, UNTIL_END), (6, S, RST)], f"the server reset the connection after 6.0 ms, {BODY}"),
    "the server closes in the body": ([(0, C, GET), (5, S, HEAD + b"half"), (30, S, FIN), (31, C, FIN)], f"the server closed after 30 ms, {BODY}"),
    "the server closes in the body, the client resets": ([(0, C, GET), (5, S, HEAD + b"half"), (30, S, FIN), (31, C, RST)], f"the server closed after 30 ms, {BODY}"),
    "the server closes in chunks": ([(0, C, GET), (5, S, CHUNKED), (30, S, FIN)], f"the server closed after 30 ms, {BODY}"),
    "the server resets in the body": ([(0, C, GET), (5, S, HEAD + b"half"), (30, S, RST)], f"the server reset the connection after 30 ms, {BODY}"),
    "the server closes": ([(0, C, GET), (30, S, FIN), (31, C, FIN)], "the server closed without a response, after 30 ms"),
    "the server closes in its head": ([(0, C, GET), (5, S, b"HTTP/1.1 200 O"), (30, S, FIN)], "the server closed in the middle of its headers, after 30 ms"),
    "the server resets": ([(0, C, GET), (30, S, RST)], "the server reset the connection after 30 ms, without a response"),
    "the server closes in the request": ([(0, C, POST), (30, S, FIN), (31, C, FIN)], "the server closed after 30 ms, while the request was being sent"),
    "the server resets in the request": ([(0, C, POST), (30, S, RST)], "the server reset the connection after 30 ms, while the request was being sent"),
    "the client closes in its request": ([(0, C, POST), (1000, C, FIN), (1001, S, FIN)], "the client closed after 1.0 s, while the request was being sent"),
    "the client resets in its request": ([(0, C, POST), (1000, C, RST)], "the client reset the connection after 1.0 s, while the request was being sent"),
    "answered before the request was whole": ([(0, C, POST), (5, S, b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"), (6, S, FIN), (7, C, RST)], ""),
    "no end, no answer": ([(0, C, GET), (12_000, C, b"")], "no end was recorded; no byte came from the server for 12.0 s"),
    "no end in the body": ([(0, C, GET), (5, S, HEAD + b"half")], f"no end was recorded, {BODY}; nothing came for 0.0 ms"),
    "in TLS, not HTTP": ([(0, C, GET), (5, S, b"\x15\x03\x01\0\x02\x02\x46"), (6, S, FIN)], "an answer in TLS, not HTTP"),
}  # fmt: skip


@pytest.mark.parametrize("name", HTTP1)
def test_http1(name: str) -> None:
    steps, trouble = HTTP1[name]
    told = Told().play(steps).end()
    (exchange,) = told.exchanges
    assert exchange.trouble == trouble and not told.failures
    if trouble.startswith("the "):
        ending = exchange.ending
        assert ending is not None and ending.side == (C if trouble.startswith("the client") else S)
        phase = {"body": Phase.BODY, "sent": Phase.REQUEST}.get(trouble.split()[-1], Phase.WAITING)
        assert exchange.phase is phase
        assert exchange.ended == max((ending.then or ending).time, exchange.answered)


def test_ended_once_and_in_order_however_it_is_cut() -> None:
    """The all-ways law, over segments: the same exchange whether bytes come whole or one by one."""
    for steps, trouble in HTTP1.values():
        bytewise: list[Step] = []
        for at, side, what in steps:
            pieces = [what[i : i + 1] for i in range(len(what))] if isinstance(what, bytes) and what else [what]
            bytewise += [(at, side, piece) for piece in pieces]
        told = Told().play(bytewise).end()
        assert [exchange.trouble for exchange in told.exchanges] == [trouble]


# -- HTTP/2 -----------------------------------------------------------------------------------------------------------


def h2(then: Sequence[Step], answer: bool = False, reset: tuple[Side, int] | None = None, away: int = -1) -> Exchange:
    pair = Pair()
    pair.client.send_headers(1, REQUEST, end_stream=True)
    pair.exchange()
    if answer:
        pair.server.send_headers(1, [(":status", "200")])
        pair.server.send_data(1, b"half")
        pair.exchange()
    if reset is not None:
        (pair.client if reset[0] == C else pair.server).reset_stream(1, error_code=reset[1])
        pair.exchange()
    if away >= 0:
        pair.server.close_connection(error_code=away, last_stream_id=1)
        pair.exchange()
    steps: list[Step] = [(500, side, data) for side, data in pair.script]  # type: ignore[misc]
    (exchange,) = Told().play([(0, C, b""), *steps, *then]).end().exchanges
    return exchange


@pytest.mark.parametrize(
    ("made", "trouble"),
    [
        (lambda: h2([(2500, C, FIN), (2501, S, FIN)]), "the client gave up after 2.5 s waiting for a response"),
        (lambda: h2([(2500, C, RST)]), "the client gave up after 2.5 s waiting for a response"),
        (lambda: h2([(2500, C, FIN), (2501, S, FIN)], True), f"the client closed after 2.5 s, {BODY}"),
        (lambda: h2([(2500, S, FIN), (2501, C, FIN)], True), f"the server closed after 2.5 s, {BODY}"),
        (lambda: h2([(2500, S, FIN), (2501, C, FIN)]), "the server closed without a response, after 2.5 s"),
        (lambda: h2([(2500, S, RST)], True), f"the server reset the connection after 2.5 s, {BODY}"),
        (lambda: h2([], reset=(C, 8)), "the client gave up after 500 ms waiting for a response (CANCEL)"),
        (lambda: h2([], True, (C, 8)), f"the client reset the stream after 500 ms, {BODY}: CANCEL"),
        (lambda: h2([], reset=(S, 7)), "the server reset the stream after 500 ms, without a response: REFUSED_STREAM"),
        (lambda: h2([], True, (S, 2)), f"the server reset the stream after 500 ms, {BODY}: INTERNAL_ERROR"),
        (lambda: h2([(2500, S, FIN)], away=11), "the server sent GOAWAY after 500 ms, without a response: ENHANCE_YOUR_CALM"),
        (lambda: h2([(2500, S, FIN)], away=0), "the server closed without a response, after 2.5 s"),
        (lambda: h2([(2500, C, b"")], True), f"no end was recorded, {BODY}; nothing came for 0.0 ms"),
    ],
)  # fmt: skip
def test_http2(made, trouble: str) -> None:
    assert made().trouble == trouble


# -- QUIC -------------------------------------------------------------------------------------------------------------


def quic_told(pair: QuicPair) -> Told:
    told = Told()
    told.take(told.decoder.feed(Secrets(pair.secrets)))
    for number, datagram in enumerate(pair.datagrams):
        told.take(told.decoder.feed(frame(START + number * MS, datagram)))
    return told.end()


def test_http3() -> None:
    pair = QuicPair()
    client, server = pair.speak()
    head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h.test"), (b":path", b"/r")]
    for stream in (0, 4, 8, 12):
        client.send_headers(stream, head, end_stream=True)
    pair.run()
    server.send_headers(0, [(b":status", b"200")])
    pair.run()
    assert pair.server is not None
    pair.server.reset_stream(0, 0x102)
    pair.server.reset_stream(4, 0x10B)
    pair.client.stop_stream(8, 0x10C)
    pair.run()
    pair.client.close(error_code=0x100, frame_type=None)
    pair.run()
    told = {exchange.stream: exchange for exchange in quic_told(pair).exchanges}
    assert [told[stream].trouble.partition(" after ")[0] for stream in (0, 4, 8, 12)] == [
        "the server reset the stream", "the server reset the stream", "the client gave up", "the client gave up",
    ]  # fmt: skip
    assert told[0].trouble.endswith(f", {BODY}: INTERNAL_ERROR")
    assert told[4].trouble.endswith(", without a response: REQUEST_REJECTED")
    assert told[8].trouble.endswith("(REQUEST_CANCELLED)")
    endings = [told[stream].ending for stream in (0, 4, 8, 12)]
    assert [ending and ending.how for ending in endings] == [How.STREAM_RESET] * 3 + [How.CONNECTION_CLOSE]


# -- what never became an exchange ---------------------------------------------------------------------------------------

HELLO = bytes.fromhex(
    "16030100480100004403030000000000000000000000000000000000000000000000000000000000000000000002130101000019"
    "00000015001300001073697465302e746573742e746573742e"
)
HELLO = HELLO[:3] + (len(HELLO) - 5).to_bytes(2, "big") + HELLO[5:6] + (len(HELLO) - 9).to_bytes(3, "big") + HELLO[9:]

FAILURES: dict[str, tuple[list[Step], FailureKind | None, str]] = {
    "plain HTTP": ([(0, C, HELLO), (5, S, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), (6, C, FIN), (7, S, FIN)], FailureKind.NOT_TLS, "the server answered in HTTP, not TLS"),
    "ssh": ([(0, C, HELLO), (5, S, b"SSH-2.0-x\r\n"), (6, C, FIN), (7, S, FIN)], FailureKind.NOT_TLS, "the server answered in ssh, not TLS"),
    "html": ([(0, C, HELLO), (5, S, b"<html>no</html>\n"), (6, C, FIN), (7, S, FIN)], FailureKind.NOT_TLS, "the server answered in something else, not TLS"),
    "a banner first": ([(0, S, b"220 m ESMTP\r\n"), (5, C, HELLO), (6, C, FIN), (7, S, FIN)], FailureKind.NOT_TLS, "the server answered in smtp, not TLS"),
    "a few bytes": ([(0, C, HELLO), (5, S, b"no"), (6, S, FIN), (7, C, FIN)], FailureKind.NOT_TLS, "the server answered in something else, not TLS"),
    "silence": ([(0, C, HELLO), (5000, C, FIN), (5001, S, FIN)], FailureKind.TLS_SILENT, "the server did not answer the ClientHello; the client closed after 5.0 s"),
    "silence to the end": ([(0, C, HELLO), (5000, C, b"")], FailureKind.TLS_SILENT, "the server did not answer the ClientHello for 5.0 s; no end was recorded"),
    "an alert": ([(0, C, HELLO), (5, S, b"\x15\x03\x01\0\x02\x02\x46"), (6, S, FIN), (7, C, FIN)], FailureKind.TLS_FAILED, "the server ended TLS: protocol_version"),
    "closed": ([(0, C, HELLO), (30, S, FIN), (31, C, FIN)], FailureKind.TLS_FAILED, "the server closed after 30 ms, in answer to the ClientHello"),
    "reset": ([(0, C, HELLO), (30, S, RST)], FailureKind.RESET, "the server reset the connection after 30 ms, in answer to the ClientHello"),
    "unused": ([(30, C, FIN), (31, S, FIN)], FailureKind.CLOSED_BEFORE_REQUEST, "the client closed after 30 ms, without a request"),
    "reset, unused": ([(30, S, RST)], FailureKind.RESET, "the server reset the connection after 30 ms, without a request"),
    "a part of a request": ([(0, C, b"GET /"), (30, C, FIN), (31, S, FIN)], FailureKind.CLOSED_BEFORE_REQUEST, "the client closed after 30 ms, without a request, 5 bytes were sent"),
    "idle to the end": ([(30, C, b"")], None, ""),
    "another protocol": ([(0, S, b"SSH-2.0-x\r\n"), (5, C, b"SSH-2.0-y\r\n"), (6, C, FIN), (7, S, FIN)], None, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_failures(name: str) -> None:
    steps, kind, why = FAILURES[name]
    told = Told().play(steps).end()
    assert [(failure.kind, failure.why) for failure in told.failures] == ([(kind, why)] if kind else [])
    if name == "plain HTTP":
        (exchange,) = told.exchanges
        assert exchange.response is not None and exchange.response.status == 400
        assert exchange.trouble == "the server answered in HTTP, not TLS"


def test_an_unused_connection_beside_one_that_was_used() -> None:
    """Before it or behind it: a connection in reserve is no failure."""
    used: list[Step] = [(0, C, GET), (5, S, HEAD + b"123456789"), (50, C, FIN), (51, S, FIN)]
    unused: list[Step] = [(60, C, FIN), (61, S, FIN)]
    for first, second in ((used, unused), (unused, used)):
        told = Told().play(first, 5001).play(second, 5002).end()
        assert not told.failures and [failure.kind for failure in told.superseded] == [
            FailureKind.CLOSED_BEFORE_REQUEST
        ]


def test_datagrams_behind_the_end_of_a_quic_connection_are_known() -> None:
    """What was on its way when it was closed is of it, and is no other UDP."""
    pair = QuicPair()
    pair.speak()
    pair.ask("/x", answer=b"yes")
    late = [datagram for datagram in pair.datagrams if datagram[0] == S][-1]
    pair.client.close(error_code=0x100, frame_type=None)
    pair.run()
    pair.datagrams.append(late)
    told = quic_told(pair)
    assert not told.passed and [exchange.trouble for exchange in told.exchanges] == [""]


# -- names, addresses, and what makes up for them ------------------------------------------------------------------------


def asked(
    name: str, at: int, addresses: tuple[str, ...] = (), rcode: str = "NXDOMAIN", pid: int = 7, qtype: str = "A"
) -> Dns:
    """An answer to a look-up, `at` ms after the start."""
    time = START + at * MS
    return Dns(time, time - MS, name, qtype, "NOERROR" if addresses else rcode, addresses, pid)


def request(number: int, host: str, at: int) -> RequestHead:
    time = START + at * MS
    return RequestHead(number, 1, time, time, "GET", "/", "", "", "HTTP/1.1", ((b"Host", host.encode()),), 10)


def connection(number: int, server: tuple[str, int], at: int, pid: int = 7, refused: bool = False) -> list[object]:
    time = START + at * MS
    opened = Opened(number, time, ("10.0.0.1", 4000 + number), server, pid)
    if refused:
        return [opened, Closed(number, time + MS, Ending(S, How.REFUSED, time + MS), 0, 0)]
    return [opened, Established(number, time + MS)]


NAMES: dict[str, tuple[list[object], list[str], list[str]]] = {  # events; what failed; what was made up for
    "not found": ([asked("a.test", 0), asked("a.test", 1, qtype="AAAA")], ["NXDOMAIN"], []),
    "the other family": ([asked("a.test", 0, qtype="AAAA"), asked("a.test", 1, ("10.0.0.2",))], [], []),
    "no address in one family": ([asked("a.test", 0, ("10.0.0.2",)), asked("a.test", 1, (), "NOERROR", qtype="AAAA")], [], []),
    "no address in either": ([asked("a.test", 0, (), "NOERROR"), asked("a.test", 1, (), "NOERROR", qtype="AAAA")], ["no address"], []),
    "a search list in front": ([asked("my.corp.test", 0), asked("my", 1, ("10.0.0.2",))], [], ["NXDOMAIN"]),
    "a search list behind": ([asked("my", 0), asked("my.corp.test", 1, ("10.0.0.2",))], [], ["NXDOMAIN"]),
    "two of a search list": ([asked("my.a.test", 0), asked("my.b.test", 1, ("10.0.0.2",)), *connection(1, ("10.0.0.2", 80), 2), request(1, "my", 3)], [], ["NXDOMAIN"]),
    "another host": ([asked("my.a.test", 0), asked("my.b.test", 1, ("10.0.0.2",))], ["NXDOMAIN"], []),
    "another process": ([asked("my.corp.test", 0), asked("my", 1, ("10.0.0.2",), pid=8)], ["NXDOMAIN"], []),
    "too late": ([asked("my.corp.test", 0), asked("my", 2000, ("10.0.0.2",))], ["NXDOMAIN"], []),
    "from /etc/hosts": ([asked("db", 0), *connection(1, ("10.0.0.9", 80), 2), request(1, "db:80", 3)], [], ["NXDOMAIN"]),
    "localhost": ([asked("localhost", 0), asked("localhost.corp.test", 1)], [], ["NXDOMAIN", "NXDOMAIN"]),
    "no resolver": ([asked("a.test", 0, (), "SERVFAIL")], ["SERVFAIL"], []),
    "a refused ::1": ([*connection(1, ("::1", 80), 0, refused=True), *connection(2, ("127.0.0.1", 80), 2)], [], ["refused"]),
    "a refused address behind": ([*connection(2, ("127.0.0.1", 80), 0), *connection(1, ("::1", 80), 2, refused=True)], [], ["refused"]),
    "another port": ([*connection(1, ("::1", 80), 0, refused=True), *connection(2, ("127.0.0.1", 81), 2)], ["refused"], []),
    "another name": ([asked("a.test", 0, ("10.0.0.2",)), asked("b.test", 0, ("10.0.0.3",)), *connection(1, ("10.0.0.2", 80), 1, refused=True), *connection(2, ("10.0.0.3", 80), 3)], ["refused"], []),
    "another address of the name": ([asked("a.test", 0, ("10.0.0.2", "10.0.0.3")), *connection(1, ("10.0.0.2", 80), 1, refused=True), *connection(2, ("10.0.0.3", 80), 3)], [], ["refused"]),
    "another process's connection": ([*connection(1, ("::1", 80), 0, refused=True), *connection(2, ("127.0.0.1", 80), 2, pid=8)], ["refused"], []),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_a_program_got_in_the_end(name: str) -> None:
    events, failed, superseded = NAMES[name]
    told = Told()
    for event in events:
        told.take([event])
    told.changes(list(told.book.end()))
    assert ([f.why for f in told.failures], [f.why for f in told.superseded]) == (failed, superseded)
