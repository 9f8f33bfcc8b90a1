"""Bodies that are not perfect: codings, charsets, fields of several lines. The given case of each, and its class."""

import base64
import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.decode.endings import Ending, How
from hark.decode.events import Message, Opened, Side
from hark.decode.http1 import Http1
from hark.model.body import undo
from hark.model.book import Book
from hark.model.changes import Ended
from hark.model.charset import bytes_of, encode, read
from hark.model.codings import Decoder
from hark.model.exchange import Exchange
from hark.model.streams import EventStream
from hark.views.curl import command
from hark.views.entry import entry
from hark.views.grep import Grep

C, S = Side.CLIENT, Side.SERVER
TEXT = b"".join(b"line %d of it\n" % (n * 7919 % 1000) for n in range(400))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress), "x-gzip": ("X-GZip", gzip.compress), "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate), "br": ("br", brotli.compress), "zstd": ("zstd", zstd),
}  # fmt: skip
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "zeros behind": lambda data: data + bytes(50), "CRLF behind": lambda data: data + b"\r\n",
    "garbage behind": lambda data: data + b"some garbage", "cut short": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data[:-1], "not coded": lambda data: TEXT, "three bytes": lambda data: data[:3],
}  # fmt: skip


def streamed(coding: str, data: bytes, step: int) -> tuple[bytes, str]:
    decoder = Decoder(coding, 1 << 20)
    out = b"".join(decoder.feed(data[at : at + step]) for at in range(0, len(data), step)) + decoder.end()
    return out, decoder.wrong


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("coder", CODERS)
def test_what_came_before_a_fault_is_kept_and_the_fault_told(coder: str, damage: str) -> None:
    coding, pack = CODERS[coder]
    data = DAMAGES[damage](pack(TEXT))
    out, wrong, _ = undo(data, coding, 1 << 20)
    assert wrong.startswith(coding.lower() + ": ")
    assert out and (TEXT.startswith(out) or out == data)
    if "behind" in damage or damage == "not coded":
        assert out == TEXT
    if damage == "cut short" and coder != "zstd":  # one block of zstd is not undone in part
        assert 0 < len(out) < len(TEXT)
    for step in (1, 7):
        assert streamed(coding, data, step) == (out, wrong)


def test_a_wrong_checksum_costs_nothing_and_the_next_member_is_read() -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 1
    assert undo(bytes(packed) + gzip.compress(b"more"), "gzip", 1 << 20)[:2] == (
        TEXT + b"more",
        "gzip: incorrect data check",
    )


def test_behind_a_hole_nothing_is_made_up() -> None:
    packed = gzip.compress(TEXT)
    out, wrong, _ = undo(packed[:300] + packed[400:], "gzip", 1 << 20, True, 300)
    assert TEXT.startswith(out) and out and "not captured" in wrong


@pytest.mark.parametrize("coder", CODERS)
def test_a_decompression_bomb_ends_at_the_bound(coder: str) -> None:
    coding, pack = CODERS[coder]
    out, _, cut = undo(pack(bytes(5_000_000)), coding, 1000)
    assert (len(out), cut) == (1000, True)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=2000), st.lists(st.sampled_from(sorted(CODERS)), min_size=1, max_size=3), st.data()
)
def test_any_damage_anywhere(content: bytes, chain: list[str], data: st.DataObject) -> None:
    packed = content
    for name in chain:
        packed = CODERS[name][1](packed)
    codings = ", ".join(CODERS[name][0] for name in chain)
    assert undo(packed, codings, 1 << 20)[:2] == (content, "") or "text" in undo(packed, codings, 1 << 20)[1]
    at = data.draw(st.integers(0, len(packed)))
    broken = packed[:at] + data.draw(st.binary(max_size=4)) + packed[at + data.draw(st.integers(0, 3)) :]
    whole = undo(broken, codings, 1 << 20)
    cut = data.draw(st.integers(0, len(broken)))
    decoder = Decoder(codings, 1 << 20)
    assert decoder.feed(broken[:cut]) + decoder.feed(broken[cut:]) + decoder.end() == whole.data


@pytest.mark.parametrize("coding", ["gzip", "gzip members", "zlib", "raw deflate", "br", "zstd", "gzip, br"])
def test_server_sent_events_in_a_coding(coding: str) -> None:
    events = [b"data: one\n\n", b"event: x\ndata: two\n\n"]
    name, pack = CODERS.get(coding, ("gzip", gzip.compress))
    packed = b"".join(pack(e) for e in events) if coding == "gzip members" else pack(b"".join(events))
    if coding == "gzip, br":
        name, packed = coding, brotli.compress(packed)
    for step in (len(packed), 1):
        stream = EventStream(1, 1, name)
        found: list[Message] = []
        for at in range(0, len(packed), step):
            found += stream.feed(packed[at : at + step], 1)
        assert [message.data for message in found] == [b"one", b"two"]


# -- charsets ----------------------------------------------------------------------------------------------------------

WORDS = {
    "windows-1251": "Привет", "gb2312": "你好世界", "gb18030": "你好🙂", "big5": "你好世界", "euc-jp": "日本語",
    "euc-kr": "안녕하세요", "shift_jis": "日本語①", "koi8-r": "Привет", "iso-8859-2": "Příliš", "iso-8859-7": "Καλημέρα",
    "utf-16le": "wörld", "utf-16be": "wörld", "iso-2022-jp": "日本語", "windows-874": "สวัสดี", "iso-8859-8-i": "שלום",
    "x-user-defined": "a\uf7ff", "macintosh": "é", "latin1": "caf\x81é€", "ibm866": "Привет", "hz-gb-2312": "你好",
}  # fmt: skip


@pytest.mark.parametrize("label", WORDS)
def test_a_charset_is_read_and_its_bytes_can_be_had_again(label: str) -> None:
    data = encode(WORDS[label], label)
    assert data is not None
    mime = f'Text/Plain; Charset="{label.upper()}"'
    found = read(data, mime)
    assert found is not None and found.text == WORDS[label] and found.charset
    assert bytes_of(found.text, found.charset, mime) == data


@pytest.mark.parametrize(
    "data, mime, text, charset",
    [
        (b"<meta charset=windows-1251>" + "Привет".encode("cp1251"), "text/html", "<meta charset=windows-1251>Привет", "windows-1251"),
        (b'<?xml version="1.0" encoding="koi8-r"?>' + "да".encode("koi8-r"), "application/xml", '<?xml version="1.0" encoding="koi8-r"?>да', "koi8-r"),
        ("\ufeffhi".encode("utf-16le"), "text/plain; charset=utf-8", "\ufeffhi", "utf-16le"),
        ('{"a":1}'.encode("utf-16be"), "application/json", '{"a":1}', "utf-16be"),
        (b"caf\xe9", "text/plain; charset=utf-8", "café", "windows-1252"),
        ("ä".encode(), "text/plain; charset=euc-kr-or-so", "ä", ""),
    ],
)  # fmt: skip
def test_what_a_document_shows_of_its_charset(data: bytes, mime: str, text: str, charset: str) -> None:
    assert read(data, mime) == (text, charset)


@pytest.mark.parametrize(
    "mime", ["text/html; charset=windows-1251", "image/png", "application/octet-stream", "text/plain"]
)
def test_bytes_that_are_no_text_stay_bytes(mime: str) -> None:
    assert read(b"\x89PNG\r\n\x1a\n\0\xff\x05", mime) is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*WORDS, "utf-8", "", "no such"]), st.booleans())
def test_any_bytes_in_any_charset(data: bytes, label: str, html: bool) -> None:
    mime = f"text/{'html' if html else 'plain'}; charset={label}"
    read(data, mime, False)
    found = read(data, mime)
    if (
        found is not None
        and "_" not in found.charset
        and not label.startswith(("iso-2022", "hz", "shift", "big5", "euc", "gb"))
    ):
        assert bytes_of(found.text, found.charset, mime) == data


# -- exchanges ---------------------------------------------------------------------------------------------------------


def heard(request: bytes, response: bytes) -> Exchange:
    book, layer = Book(1 << 20), Http1(1, lambda upgrade, time: (_ for _ in ()).throw(AssertionError))  # type: ignore[arg-type]
    book.feed([Opened(1, 1, ("10.0.0.1", 4000), ("10.0.0.2", 80), 0)])
    changes = [*book.feed(layer.feed(C, request, 2)), *book.feed(layer.feed(S, response, 3))]
    changes += [*book.feed(layer.end(S, How.FIN, 4)), *book.feed(layer.close(Ending(S, How.FIN, 4)))]
    return next(change.exchange for change in changes if isinstance(change, Ended))


def answer(head: str, body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def test_codings_on_several_lines_and_in_the_transfer() -> None:
    twice = gzip.compress(gzip.compress(TEXT))
    told = entry(heard(GET, answer("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", twice)))
    assert told["response"]["content"]["text"] == TEXT.decode() and "comment" not in told["response"]["content"]
    packed = gzip.compress(TEXT)
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    told = entry(heard(GET, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)))
    assert told["response"]["content"]["text"] == TEXT.decode()


def test_a_part_of_a_coded_content_is_given_as_it_came() -> None:
    part = gzip.compress(TEXT)[500:600]
    head = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Range: bytes 500-599/2000\r\n"
    content = entry(heard(GET, answer(head, part, "206 Partial Content")))["response"]["content"]
    assert base64.b64decode(content["text"]) == part and "from byte 500" in content["_error"] == content["comment"]


def test_grep_finds_text_in_any_charset() -> None:
    exchange = heard(GET, answer("Content-Type: text/html; charset=koi8-r\r\n", "Привет".encode("koi8-r")))
    assert [match.line for match in Grep(["прив".title()]).matches(exchange)] == ["Привет"]
    assert entry(exchange)["response"]["content"]["_charset"] == "koi8-r"


@pytest.mark.parametrize(
    "path, url", [("/é", "http://a.test/é"), (b"/\xe9", "http://a.test/%E9"), (r"/\xe9", r"http://a.test/\xe9")]
)
def test_bytes_above_ascii_name_the_same_resource(path: str | bytes, url: str) -> None:
    raw = path if isinstance(path, bytes) else path.encode()
    exchange = heard(
        b"GET " + raw + b" HTTP/1.1\r\nHost: a.test\r\nX: caf\xe9\r\nY: \\xe9\r\nZ: \xc3\xa9\r\n\r\n", answer("", b"")
    )
    told = entry(exchange)["request"]
    assert told["url"] == url
    assert told["headers"][1:] == [
        {"name": "X", "value": "café", "_charset": "iso-8859-1"}, {"name": "Y", "value": "\\xe9"}, {"name": "Z", "value": "é"},
    ]  # fmt: skip
    if url.endswith("é"):
        assert command(exchange).endswith("/%C3%A9")


def test_fields_of_several_lines() -> None:
    request = b"GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\nCookie: b=2; c=3\r\n\r\n"
    told = entry(
        heard(
            request,
            answer(
                "Set-Cookie: x=1\r\nSet-Cookie: y=2, z\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n", b"x"
            ),
        )
    )
    assert [(one["name"], one["value"]) for one in told["request"]["cookies"]] == [("a", "1"), ("b", "2"), ("c", "3")]
    assert [(one["name"], one["value"]) for one in told["response"]["cookies"]] == [("x", "1"), ("y", "2, z")]
    assert told["response"]["content"]["mimeType"] == "text/html"


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_multipart_params(end: str, packed: bool) -> None:
    body = f'--XX{end}Content-Disposition: form-data; name="a"{end}{end}1{end}--XX--{end}'.encode()
    body = gzip.compress(body) if packed else body
    coding = "Content-Encoding: gzip\r\n" if packed else ""
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: Multipart/Form-Data; Boundary=XX\r\n{coding}Content-Length: {len(body)}\r\n\r\n"
    told = entry(heard(head.encode() + body, answer("", b"")))
    assert told["request"]["postData"]["params"] == [{"name": "a", "value": "1"}]
