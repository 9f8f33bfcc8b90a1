"""QPACK against ls-qpack (pylsqpack), an encoder that is not ours, and RFC 9204's own example."""

import pylsqpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.decode.huffman import CompressionError
from hark.decode.qpack import BlockedError, Decoder

NAMES = st.sampled_from([b":path", b"cookie", b"x-a", b"x-b", b"content-type", b"host"]) | st.binary(
    min_size=1, max_size=30
)
VALUES = st.sampled_from([b"", b"GET", b"/index.html", b"gzip, deflate"]) | st.binary(max_size=200)
LISTS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=10)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(LISTS, st.booleans()), min_size=1, max_size=12),
    st.sampled_from([0, 64, 256, 4096]),
    st.booleans(),
)
def test_reads_what_ls_qpack_writes(
    sections: list[tuple[list[tuple[bytes, bytes]], bool]], capacity: int, prompt: bool
) -> None:
    """Dynamic tables of several sizes, evictions, references ahead of the table, acknowledgements or none; the encoder
    stream at once or in pieces, in front of its sections or behind them."""
    encoder, theirs, ours = pylsqpack.Encoder(), pylsqpack.Decoder(capacity, 16), Decoder(1 << 20)
    ours.allow(capacity)
    ours.feed(encoder.apply_settings(max_table_capacity=capacity, blocked_streams=16))
    waiting: list[tuple[bytes, list[tuple[bytes, bytes]]]] = []
    for stream, (headers, acknowledge) in enumerate(sections):
        instructions, block = encoder.encode(stream * 4, headers)
        theirs.feed_encoder(instructions)
        answer, expected = theirs.feed_header(stream * 4, block)
        assert expected == headers
        if acknowledge:
            encoder.feed_decoder(answer)
        waiting.append((block, headers))
        if not prompt and stream % 3 != 2:
            try:
                assert ours.decode(block) == headers  # it may need nothing of what is still to come
            except BlockedError:
                pass
        for at in range(len(instructions)) if prompt else [0]:
            ours.feed(instructions[at : at + 1] if prompt else instructions)
        assert ours.decode(block) == headers


def test_rfc_9204_examples() -> None:
    """RFC 9204 §B.2 to B.5: inserts with static names, a post-base section, duplicates, an eviction."""
    decoder = Decoder(1 << 20)
    decoder.allow(220)
    assert decoder.decode(bytes.fromhex("0000510b2f696e6465782e68746d6c")) == [(b":path", b"/index.html")]
    section = bytes.fromhex("03811011")
    with pytest.raises(BlockedError):
        decoder.decode(section)
    decoder.feed(bytes.fromhex("3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468"))
    assert decoder.decode(section) == [(b":authority", b"www.example.com"), (b":path", b"/sample/path")]
    decoder.feed(bytes.fromhex("4a637573746f6d2d6b65790c637573746f6d2d76616c7565"))
    decoder.feed(bytes.fromhex("02"))
    assert decoder.decode(bytes.fromhex("050080c181")) == [
        (b":authority", b"www.example.com"), (b":path", b"/"), (b"custom-key", b"custom-value"),
    ]  # fmt: skip
    decoder.feed(bytes.fromhex("810d637573746f6d2d76616c756532"))
    assert decoder.inserted == 5


@pytest.mark.parametrize("section", ["", "00", "ffffffffffffff00", "000080", "0000ff00ff", "0200d1", "00005f01"])
def test_what_cannot_be_read(section: str) -> None:
    decoder = Decoder(1 << 20)
    decoder.allow(0)
    with pytest.raises(CompressionError):
        decoder.decode(bytes.fromhex(section))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=6))
def test_noise_is_refused_or_read(pieces: list[tuple[bool, bytes]]) -> None:
    decoder = Decoder(1 << 16)
    decoder.allow(4096)
    for instructions, data in pieces:
        try:
            decoder.feed(data) if instructions else decoder.decode(data)
        except CompressionError:
            continue
