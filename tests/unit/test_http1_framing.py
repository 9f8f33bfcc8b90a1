"""Framing that is wrong or unusual, in requests and in responses: what can be read is read, what cannot is kept and marked,
and the connection is read on where the next message begins. Each script in all ways."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allways import C, S, all_ways
from hark.decode.channel import Opaque
from hark.decode.http1 import Http1
from hark.wire import http1
from scripted import FIN, Told


def layer() -> Http1:
    return Http1(1, lambda upgrade, time: (Opaque(), ()))


NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
B400 = b"HTTP/1.1 400 Bad\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD_LENGTH = "trouble broken-http: a Content-Length cannot be read, by the client"
BAD_CODING = "trouble broken-http: a Transfer-Encoding does not end in chunked, by the client"
CHUNKS = b"5;a=b\r\nhello\r\n0\r\n\r\n"

# Head lines, the body as sent, the body as a request's, what is said of it there, the body as a response's (None: not
# tried). A response's end is guessed without a word: clients do the same.
VARIANTS: dict[str, tuple[bytes, bytes, bytes, str, bytes | None]] = {
    "negative": (b"Content-Length: -5", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "two that differ": (b"Content-Length: 5\r\nContent-Length: 6", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "a list that differs": (b"Content-Length: 5, 6", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "two that are equal": (b"Content-Length: 5\r\nContent-Length: 5", b"hello", b"hello", "", b"hello"),
    "a list of equals": (b"Content-Length: 5, 5", b"hello", b"hello", "", b"hello"),
    "equal but for zeros": (b"Content-Length: 5, 005", b"hello", b"hello", "", b"hello"),
    "plus": (b"Content-Length: +5", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "hexadecimal": (b"Content-Length: 0x5", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "huge": (b"Content-Length: 99999999999999999999", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "empty": (b"Content-Length:", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "spaces inside": (b"Content-Length: 5 5", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "underscores": (b"Content-Length: 5_0", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "a fraction": (b"Content-Length: 5.0", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "other digits": ("Content-Length: ٥".encode(), b"hello", b"hello", BAD_LENGTH, b"hello"),
    "a word": (b"Content-Length: none", b"hello", b"hello", BAD_LENGTH, b"hello"),
    "no body": (b"Content-Length: -1", b"", b"", BAD_LENGTH, b""),
    "a body that looks like a method": (b"Content-Length: x", b"GET on POST", b"GET on POST", BAD_LENGTH, b"GET on POST"),
    "coding unknown": (b"Transfer-Encoding: foo", b"hello", b"hello", BAD_CODING, None),
    "coding like chunked": (b"Transfer-Encoding: xchunked", CHUNKS, CHUNKS, BAD_CODING, None),
    "chunked in quotes": (b'Transfer-Encoding: "chunked"', CHUNKS, CHUNKS, BAD_CODING, None),
    "gzip alone": (b"Transfer-Encoding: gzip", b"hello", b"hello", BAD_CODING, None),
    "chunked not last": (b"Transfer-Encoding: chunked, gzip", CHUNKS, CHUNKS, BAD_CODING, None),
    "chunked not last, two lines": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", CHUNKS, CHUNKS, BAD_CODING, None),
    "coding and a length": (b"Transfer-Encoding: gzip\r\nContent-Length: 5", b"hello", b"hello", BAD_CODING, b"hello"),
    "chunked and a length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5", CHUNKS, b"hello", "", b"hello"),
    "chunked and a bad length": (b"Content-Length: -1\r\nTransfer-Encoding: chunked", CHUNKS, b"hello", "", b"hello"),
    "chunked last": (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", CHUNKS, b"hello", "", b"hello"),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked", CHUNKS, b"hello", "", b"hello"),
    "chunked with spaces": (b"Transfer-Encoding:\t Chunked ;q=1 ,", CHUNKS, b"hello", "", b"hello"),
    "identity": (b"Transfer-Encoding: identity\r\nContent-Length: 5", b"hello", b"hello", "", b"hello"),
    "an empty coding": (b"Transfer-Encoding:\r\nContent-Length: 5", b"hello", b"hello", "", b"hello"),
    "a chunk size that is none": (b"Transfer-Encoding: chunked", b"zz\r\nhello", b"zz\r\nhello", "trouble broken-http: a chunk size cannot be read, by the client", None),
    "a chunk that goes on": (b"Transfer-Encoding: chunked", b"2\r\nhello\r\n0\r\n\r\n", b"hello\r\n0\r\n\r\n", "trouble broken-http: a chunk does not end where it should, by the client", None),
    "a negative chunk": (b"Transfer-Encoding: chunked", b"-5\r\nhello\r\n", b"-5\r\nhello\r\n", "trouble broken-http: a chunk size cannot be read, by the client", None),
}  # fmt: skip


def fields_of(lines: bytes) -> str:
    """As the transcript has them."""
    pairs = http1.headers(lines.split(b"\r\n"), {})
    return ", ".join(f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("when", ["pipelined", "after the answer", "closed"])
def test_a_request(name: str, when: str) -> None:
    lines, sent, body, said, _ = VARIANTS[name]
    request = b"POST /p HTTP/1.1\r\n" + lines + b"\r\n\r\n" + sent
    heard = [f"1 > POST /p HTTP/1.1 {{{fields_of(lines)}}}", *([said] if said else [])]
    heard += [f"1 > body {body!r}"] if body else []
    first = ["1 < 400 Bad HTTP/1.1 {Content-Length: 3, Connection: close}", "1 < body b'bad'", "1 < end"]
    second = ["2 > GET /next HTTP/1.1 {Host: a}", "2 > end"]
    answered = ["2 < 200 OK HTTP/1.1 {Content-Length: 2}", "2 < body b'ok'", "2 < end"]
    if when == "pipelined":
        script = [(C, request + NEXT), (S, B400 + OK)]
        wanted = [*heard, "1 > end", *second, *first, *answered]
    elif when == "after the answer":
        script = [(C, request), (S, B400), (C, NEXT), (S, OK)]
        wanted = [*heard, *first, "1 < wants no more", "1 > end", *second, *answered]
    else:
        script = [(C, request), (S, B400), (S, b"")]
        wanted = [*heard, *first, "1 < wants no more"]
    told = all_ways(layer, script)
    if said:
        order = sorted if when != "pipelined" else list  # the body's lines come where the body is known to have ended
        assert order(line for line in told if "aborted" not in line) == order(wanted)
    else:
        assert [line for line in told if line.startswith("1 > ")] == [*heard, "1 > end"]
        assert [line for line in told if " < " in line and "wants" not in line] == [
            *first, *([] if when == "closed" else answered),
        ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name, row in VARIANTS.items() if row[4] is not None])
def test_a_response(name: str) -> None:
    lines, sent, _, _, body = VARIANTS[name]
    script = [(C, NEXT + NEXT), (S, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n" + sent + OK)]
    told = all_ways(layer, script)
    assert [line for line in told if " < " in line] == [
        f"1 < 200 OK HTTP/1.1 {{{fields_of(lines)}}}", *([f"1 < body {body!r}"] if body else []), "1 < end",
        "2 < 200 OK HTTP/1.1 {Content-Length: 2}", "2 < body b'ok'", "2 < end",
    ]  # fmt: skip
    assert not any("aborted" in line or "trouble" in line for line in told)


@pytest.mark.parametrize("name", [name for name, row in VARIANTS.items() if row[3]])
def test_the_exchange_is_marked_and_has_its_answer(name: str) -> None:
    lines, sent, body, said, _ = VARIANTS[name]
    told = Told().play(
        [(0, C, b"POST /p HTTP/1.1\r\n" + lines + b"\r\n\r\n" + sent), (5, S, B400), (6, S, FIN), (7, C, FIN)]
    )
    (exchange,) = told.end().exchanges
    assert exchange.request is not None and exchange.response is not None and exchange.response.status == 400
    assert exchange.trouble == said.removeprefix("trouble broken-http: ")
    assert bytes(exchange.request_body.raw) == body and not told.failures


@pytest.mark.parametrize("method", ["PROPFIND", "GET"])
def test_any_method_follows_where_it_cannot_be_a_body(method: str) -> None:
    """Right behind the head, and first behind the answer."""
    bad = b"POST /p HTTP/1.1\r\nContent-Length: x\r\n\r\n"
    follows = f"{method} /n HTTP/1.1\r\n\r\n".encode()
    assert f"2 > {method} /n HTTP/1.1" in all_ways(layer, [(C, bad + follows), (S, B400 + OK)])
    assert f"2 > {method} /n HTTP/1.1" in all_ways(layer, [(C, bad + b"body"), (S, B400), (C, follows), (S, OK)])


def test_a_body_that_never_ends_is_not_kept() -> None:
    """Neither lines that might become a request's nor anything else is held without a bound."""
    heard = layer()
    heard.feed(C, b"POST /p HTTP/1.1\r\nContent-Length: x\r\n\r\n", 1)
    for _ in range(40):
        heard.feed(C, b"GET /" + b"x" * 65536, 2)
    assert len(heard._halves[C].buffer) <= 1 << 21


LENGTHS = st.one_of(
    st.integers(-(10**30), 10**30).map(str), st.text("0123456789+-_.xX, \t", max_size=12), st.sampled_from(["5", "5,5", "٥"])
).map(str.encode)  # fmt: skip
CODINGS = st.lists(st.sampled_from([b"chunked", b"Chunked", b"gzip", b"identity", b"x", b"", b'"chunked"']), max_size=3)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(LENGTHS, max_size=2),
    CODINGS,
    st.binary(max_size=12).filter(lambda data: not data.startswith(b"\r")),
    st.sampled_from([b"1.0", b"1.1"]),
)
def test_a_request_is_never_lost_for_its_framing(
    lengths: list[bytes], codings: list[bytes], body: bytes, version: bytes
) -> None:
    """Whatever it says, the request is there, with the answer; however it is cut."""
    lines = b"".join(b"Content-Length: %b\r\n" % value.strip() for value in lengths)
    lines += b"".join(b"Transfer-Encoding: %b\r\n" % value for value in codings)
    request = b"POST /p HTTP/" + version + b"\r\n" + lines + b"\r\n"
    told = all_ways(layer, [(C, request + body), (S, B400), (S, b"")])
    assert told[0].startswith("1 > POST /p HTTP/")
    assert "1 < body b'bad'" in told and "1 < end" in told
    assert not any(line.startswith("2 <") for line in told)
