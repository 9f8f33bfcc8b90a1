"""HPACK against the `hpack` library's encoder and decoder, and against RFC 7541's own examples."""

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.decode.hpack import Decoder
from hark.decode.huffman import CompressionError


def ours() -> Decoder:
    return Decoder(1 << 20, 1 << 20)


NAMES = st.sampled_from([b":path", b"cookie", b"x-a", b"x-b", b"content-type", b"host"]) | st.binary(
    min_size=1, max_size=30
)
VALUES = st.sampled_from([b"", b"GET", b"/index.html", b"gzip, deflate"]) | st.binary(max_size=300)
LISTS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=12)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(LISTS, st.booleans(), st.none() | st.integers(0, 9000)), min_size=1, max_size=6))
def test_reads_what_the_library_writes(blocks: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]]) -> None:
    """Dynamic table, evictions, size changes, Huffman coded and not, never-indexed fields."""
    encoder, decoder = hpack.Encoder(), ours()
    for headers, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        fields = [
            hpack.NeverIndexedHeaderTuple(n, v) if secret else hpack.HeaderTuple(n, v) for n, v, secret in headers
        ]
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == [(n, v) for n, v, _ in headers]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_noise_is_read_as_the_library_reads_it(blocks: list[bytes]) -> None:
    """Both accept the same blocks with the same result, until one of them refuses."""
    theirs, mine = hpack.Decoder(max_header_list_size=1 << 20), ours()
    theirs.max_allowed_table_size = 1 << 20
    for block in blocks:
        try:
            expected = [(bytes(n), bytes(v)) for n, v in theirs.decode(block, raw=True)]
        except (hpack.HPACKError, IndexError, UnicodeDecodeError):
            expected = None
        try:
            found = mine.decode(block)
        except CompressionError:
            found = None
        if found is None:
            assert expected is None  # what we refuse, the library refuses
        if expected is None or found is None:
            return  # it also refuses a size update that is not in front (RFC 7541 §4.2); a listener reads on
        assert found == expected


RFC = {  # RFC 7541 C.4: requests with Huffman coding, one connection
    "828684418cf1e3c2e5f23a6ba0ab90f4ff": [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")],
    "828684be5886a8eb10649cbf": [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com"), (b"cache-control", b"no-cache")],
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf": [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), (b":authority", b"www.example.com"), (b"custom-key", b"custom-value")],
}  # fmt: skip


def test_rfc_7541_examples() -> None:
    decoder = ours()
    for block, headers in RFC.items():
        assert decoder.decode(bytes.fromhex(block)) == headers


@pytest.mark.parametrize(
    "block, why",
    [
        ("80", "there is no table entry 0"),
        ("be", "there is no table entry 62"),
        ("ffffffffffffff7f", "an integer is too large"),
        ("40", "a string runs past the block"),
        ("4005", "a string runs past the block"),
        ("4081ff00", "a Huffman string"),
        ("4084ffffffff00", "a Huffman string holds its end mark"),
        ("ff", "an integer runs past the block"),
    ],
)
def test_what_cannot_be_read(block: str, why: str) -> None:
    with pytest.raises(CompressionError, match=why):
        ours().decode(bytes.fromhex(block))


def test_a_header_list_is_bounded() -> None:
    block = b"\x40\x01a\x7f\x81\x1d" + b"v" * 3840 + b"\xbe" * 1000
    with pytest.raises(CompressionError, match="more than"):
        ours().decode(block)
