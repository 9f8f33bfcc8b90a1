"""permessage-deflate whose senders end DEFLATE streams (BFINAL, RFC 7692 §7.2.3.4): each message its own stream, several
streams in one message, with the window of those before or without. The streams are made by zlib."""

import zlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allways import C, S, all_ways, play
from hark.decode.events import RequestHead, ResponseHead, Side
from hark.decode.layer import Upgrade
from hark.decode.websocket import Websocket
from hark.wire import websocket

pytestmark = pytest.mark.slow

WINDOW = 1 << 15
EXAMPLE = bytes.fromhex("f348cdc9c9070000")  # "Hello", as RFC 7692 §7.2.3.4 has it


def layer(extensions: bytes = b"permessage-deflate") -> Websocket:
    request = RequestHead(1, 1, 0, 0, "GET", "/", "", "", "HTTP/1.1", (), 0)
    headers = ((b"Sec-WebSocket-Extensions", extensions),)
    response = ResponseHead(1, 1, 0, 0, 101, "", "HTTP/1.1", headers, 0, True)
    return Websocket(1, Upgrade("websocket", request, response), (Side.SERVER,))


class Sender:
    """Compresses messages. An ending is "final" (a BFINAL stream, then the empty block as the RFC has it), "bare" (no
    block behind), "flush" (as nearly all senders do) or "stored" (a BFINAL block without compression)."""

    def __init__(self, takeover: bool = True) -> None:
        self._takeover = takeover
        self._past = b""

    def message(self, pieces: Sequence[tuple[bytes, str]]) -> bytes:
        """A message's payload: pieces with how each of them ends."""
        if not self._takeover:
            self._past = b""
        out = b""
        for number, (plain, ending) in enumerate(pieces, 1):
            level = 0 if ending == "stored" else 9
            window = self._past[-WINDOW:]
            machine = (
                zlib.compressobj(level, zlib.DEFLATED, -15, zdict=window)
                if window
                else zlib.compressobj(level, zlib.DEFLATED, -15)
            )
            out += machine.compress(plain)
            last = number == len(pieces)
            if ending == "flush":
                out += machine.flush(zlib.Z_SYNC_FLUSH)
                out = out[:-4] if last else out
            else:
                out += machine.flush(zlib.Z_FINISH) + (b"\0" if last and ending != "bare" else b"")
            self._past += plain
        return out


def frames(side: Side, payload: bytes, cuts: Sequence[int] = (), opcode: int = 1) -> bytes:
    """A compressed message, its frames cut at these offsets; the client's are masked."""
    edges = [0, *sorted({min(cut, len(payload)) for cut in cuts}), len(payload)]
    out = b""
    for number, (start, end) in enumerate(pairwise(edges)):
        piece = payload[start:end]
        first = (opcode | websocket.RSV1 if not number else 0) | (websocket.FIN if number == len(edges) - 2 else 0)
        masked = websocket.MASKED if side == C else 0
        size = (
            bytes([len(piece) | masked]) if len(piece) < 126 else bytes([126 | masked]) + len(piece).to_bytes(2, "big")
        )
        key = b"\1\2\3\4" if masked else b""
        out += bytes([first]) + size + key + (websocket.unmask(piece, key, 0) if masked else piece)
    return out


def texts(told: list[str], side: Side) -> list[str]:
    mark = f"1 {'>' if side == C else '<'} text "
    assert not any("trouble" in line for line in told), told
    return [line.removeprefix(mark).partition(" ")[2] for line in told if line.startswith(mark)]


def test_the_example_of_the_rfc_again_and_again() -> None:
    told = all_ways(layer, [(S, frames(S, EXAMPLE) * 3)])
    assert texts(told, S) == ["Hello"] * 3


ENDINGS = ["final", "bare", "flush", "stored"]
WORDS = ["hello hello hello", "hello again hello", "", "and hello", "hello " * 40]


@pytest.mark.parametrize("side", [C, S])
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("ending", ENDINGS)
def test_each_message_its_own_stream(ending: str, takeover: bool, side: Side) -> None:
    sender = Sender(takeover)
    extensions = b"permessage-deflate" + (
        b"" if takeover else b"; client_no_context_takeover; server_no_context_takeover"
    )
    script = [(side, frames(side, sender.message([(word.encode(), ending)]))) for word in WORDS]
    told = all_ways(lambda: layer(extensions), script)
    assert texts(told, side) == [word.rstrip() for word in WORDS]


@pytest.mark.slow
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("inner", ENDINGS)
@pytest.mark.parametrize("last", ENDINGS)
def test_several_streams_in_one_message(inner: str, last: str, takeover: bool) -> None:
    sender = Sender(takeover)
    messages = [[(word.encode(), inner) for word in WORDS] + [(b"end", last)] for _ in range(3)]
    extensions = b"permessage-deflate" + (b"" if takeover else b"; server_no_context_takeover")
    script = [(S, frames(S, sender.message(pieces))) for pieces in messages]
    assert texts(all_ways(lambda: layer(extensions), script), S) == ["".join(WORDS) + "end"] * 3


def test_an_empty_message_however_it_is_made() -> None:
    """A single zero octet (§7.2.3.6), an empty BFINAL block with it and without, and no payload at all."""
    for payload in (b"\0", b"\3\0\0", b"\3\0", b""):
        told = play(layer, [(S, frames(S, payload) + frames(S, EXAMPLE) + frames(S, payload))])
        assert [line for line in told if " < " in line][:3] == ["1 < text 0", "1 < text 5 Hello", "1 < text 0"], payload


def test_a_window_that_reaches_back_over_streams() -> None:
    """What a stream refers to may be 32 KiB back, in several streams before it."""
    import random

    noise = random.Random(23).randbytes(WINDOW // 4)
    words = [noise, noise[::-1], noise[1:] + b"x", noise]  # the last one is found in the first
    sender = Sender()
    payloads = [sender.message([(word, "final")]) for word in words]
    assert len(payloads[-1]) < 200
    told = play(layer, [(S, b"".join(frames(S, payload, opcode=2) for payload in payloads))])
    assert [line.split()[3] for line in told if " < binary" in line] == [str(len(word)) for word in words]
    assert not any("trouble" in line for line in told)


MESSAGES = st.lists(
    st.lists(st.tuples(st.text("abc ", max_size=40).map(str.encode), st.sampled_from(ENDINGS)), min_size=1, max_size=4),
    min_size=1, max_size=5,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(MESSAGES, st.booleans(), st.lists(st.integers(0, 80), max_size=4), st.integers(1, 40), st.sampled_from([C, S]))
def test_any_mixture(
    messages: list[list[tuple[bytes, str]]], takeover: bool, cuts: list[int], size: int, side: Side
) -> None:
    """Streams, frames and segments cut anywhere."""
    sender = Sender(takeover)
    data = b"".join(frames(side, sender.message(pieces), cuts) for pieces in messages)
    extensions = b"permessage-deflate" + (
        b"" if takeover else b"; client_no_context_takeover; server_no_context_takeover"
    )
    script = [(side, data[at : at + size]) for at in range(0, len(data), size)]
    meant = [b"".join(plain for plain, _ in pieces) for pieces in messages]
    told = play(lambda: layer(extensions), script)
    mark = f"1 {'>' if side == C else '<'} text"
    assert [line for line in told if line.startswith(mark)] == [
        f"{mark} {len(plain)} {plain.decode()}".rstrip() for plain in meant
    ]
    assert not any("trouble" in line for line in told)
