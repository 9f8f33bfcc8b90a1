"""Views and bodies: short numbers, inert text, codings undone, bounds kept."""

import gzip
import json
import zlib

import brotli
import pytest
import zstandard

from hark.model.body import Body
from hark.model.charset import text_of
from hark.views.view import duration, safe, size
from hark.wire.isotime import iso

TEXT = b'{"hark": [' + b"1, " * 999 + b"2]}"
RAW = zlib.compressobj(wbits=-15)
CODINGS = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "deflate": zlib.compress(TEXT),
    "Deflate": RAW.compress(TEXT) + RAW.flush(),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "gzip, br": brotli.compress(gzip.compress(TEXT)),
    "identity": TEXT,
}


def body(data: bytes, keep: int = 1 << 20) -> Body:
    made = Body(keep)
    for at in range(0, len(data), 7):
        made.add(data[at : at + 7])
    return made


@pytest.mark.parametrize("coding", CODINGS)
def test_content_codings(coding: str) -> None:
    assert body(CODINGS[coding]).decoded(coding) == (TEXT, "")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_torn_and_false_codings_are_told(coding: str) -> None:
    assert body(CODINGS[coding][:-4]).decoded(coding)[1] or coding == "zstd"
    assert body(b"this is not compressed").decoded(coding)[1]


def test_unknown_coding_is_told() -> None:
    assert body(b"x").decoded("lzma") == (b"x", "unknown content coding lzma")


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, brotli.compress, zstandard.compress])
def test_a_bomb_ends_at_the_bound(pack) -> None:
    coding = {gzip.compress: "gzip", zlib.compress: "deflate", brotli.compress: "br"}.get(pack, "zstd")
    assert len(body(pack(bytes(50_000_000)), 1 << 20).decoded(coding)[0]) <= 1 << 20


def test_a_body_is_bounded_and_counted() -> None:
    made = body(b"0123456789" * 10, 15)
    assert (made.size, made.whole, made.raw) == (100, False, b"012345678901234")


@pytest.mark.parametrize(
    "count, text",
    [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (9_960, "10 kB"), (34_000_000, "34 MB"), (2e9, "2.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(int(count)) == text


@pytest.mark.parametrize(
    "ns, text", [(400_000, "0.4 ms"), (12_000_000, "12 ms"), (1_200_000_000, "1.2 s"), (180_000_000_000, "3 min")]
)
def test_durations(ns: int, text: str) -> None:
    assert duration(ns) == text


def test_text_is_made_inert() -> None:
    assert safe("a\x1b[2J\x9b\u202e\n\x7fü\udcff") == "a\\x1b[2J\\x9b\\u202e\\x0a\\x7fü\\xff"


def test_times_are_utc() -> None:
    assert iso(1795262565_610929483) == "2026-11-21T12:02:45.610929Z"
    assert iso(951782399_000000000) == "2000-02-28T23:59:59.000000Z"
    assert iso(951782400_000000000) == "2000-02-29T00:00:00.000000Z"


@pytest.mark.parametrize(
    "data, mime, text",
    [
        (b"\xc3\xa4", "text/plain", "ä"),
        (b"\xe4", "text/plain; charset=iso-8859-1", "ä"),
        (b"\xe4", "text/plain", None),
        (b"a\0b", "application/octet-stream", None),
        (json.dumps("ä").encode(), "application/json", '"\\u00e4"'),
    ],
)
def test_what_is_text(data: bytes, mime: str, text: str | None) -> None:
    assert text_of(data, mime) == text
