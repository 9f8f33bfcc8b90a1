"""What a capture lacks: its beginning, one side, packets in the middle. What can be told is told, nothing wrongly."""

import h2.config
import h2.connection
import pytest

from allways import C, S, Script, render
from frames import segment
from hark.decode.decoder import Decoder
from hark.decode.events import Event, Side
from hark.recording.blocks import Frame


def wire(script: Script, size: int = 100_000) -> list[Frame]:
    """A conversation as segments of at most `size` bytes, each acknowledging all that came before; no handshake."""
    at = {C: 1, S: 1}
    made = []
    for side, data in script:
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            made.append(segment(len(made) + 1, side == C, at[side], piece, ack=at[S if side == C else C]))
            at[side] += len(piece)
    return made


SYN = [segment(0, True, 0, b"", 0x02), segment(0, False, 0, b"", 0x12, ack=1)]


def told(frames: list[Frame]) -> list[str]:
    decoder = Decoder()
    events: list[Event] = []
    for frame in frames:
        events += decoder.feed(frame)
    return render([*events, *decoder.finish()])


def ask(n: int) -> tuple[Side, bytes]:
    return C, f"GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def answer(body: str) -> tuple[Side, bytes]:
    return S, f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


TALK = [turn for n in range(4) for turn in (ask(n), answer(str(n) * 30))]


def exchange(n: int, stream: int) -> list[str]:
    return [
        f"{stream} > GET /{n} HTTP/1.1 {{Host: h}}",
        f"{stream} > end",
        f"{stream} < 200 OK HTTP/1.1 {{Content-Length: 30}}",
        f"{stream} < body b'{str(n) * 30}'",
        f"{stream} < end",
    ]


def test_from_the_middle_of_a_response() -> None:
    frames = wire(TALK, 25)
    start = next(n for n, f in enumerate(frames) if bytes(f.data).endswith(b"0" * 10))
    assert told(frames[start:]) == ["speaks http/1.1", *exchange(1, 1), *exchange(2, 2), *exchange(3, 3)]


def test_only_one_side() -> None:
    both = wire(TALK)
    asked = told(both[::2])
    assert [line for line in asked if "GET" in line] == [f"{n + 1} > GET /{n} HTTP/1.1 {{Host: h}}" for n in range(4)]
    assert [line for line in asked if "aborted" in line] == [f"{n + 1} aborted: nobody open" for n in range(4)]
    answered = told(both[1::2])
    assert [line for line in answered if "body" in line] == [f"{n + 1} < body b'{str(n) * 30}'" for n in range(4)]


@pytest.mark.parametrize("lost", range(8))
def test_one_segment_is_lost_and_the_rest_is_told_right(lost: int) -> None:
    """Whichever segment is missing: every exchange that is whole is told, and told right; the others are marked."""
    frames = wire(TALK)
    lines = told([*SYN, *frames[:lost], *frames[lost + 1 :]])
    for n in range(4):
        if n != lost // 2:
            whole = [line[2:] for line in exchange(n, 0)]
            assert "\n".join(whole) in "\n".join(line[2:] for line in lines), lines
    if lost < 7:  # of the last one nothing follows that would tell
        assert any("were not captured" in line for line in lines), lines


def test_a_hole_in_a_body_of_known_length_is_only_that() -> None:
    frames = wire([ask(1), answer("x" * 100)], 40)
    lines = told([*SYN, *[f for n, f in enumerate(frames) if n != 2]])
    assert "trouble lost-body: 40 bytes of a body were not captured" in lines and lines[-1] == "1 < end"


def test_pipelined_requests_with_a_hole_are_not_paired_by_guess() -> None:
    script = [(C, ask(1)[1]), (C, ask(2)[1]), (C, ask(3)[1]), answer("one"), answer("two"), answer("three")]
    frames = wire(script)
    lines = told([*SYN, frames[0], *frames[2:]])
    assert not any(line.startswith("2 < ") and "end" in line for line in lines)


def test_reordering_in_the_capture_is_no_loss() -> None:
    """An acknowledgement that overtakes the data on its way into the capture."""
    frames = wire(TALK)
    ack = segment(3, True, 1 + len(TALK[0][1]), b"", 0x10, ack=1 + len(TALK[1][1]))
    lines = told([*SYN, frames[0], ack, *frames[1:]])
    assert not any("trouble" in line for line in lines) and lines[-1] == "4 < end"


def test_different_bytes_in_the_same_place_are_told() -> None:
    frames = [segment(1, True, 11, b"AAAA"), segment(2, True, 11, b"BBBB"), segment(3, True, 1, b"GET / HTTP")]
    assert told([*SYN, *frames])[0] == "trouble tcp-overlap: the client sent different bytes in the same place"


def http2(ends: int) -> list[tuple[Side, bytes]]:
    """Exchanges whose headers come out of the dynamic table from the second on."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    script: list[tuple[Side, bytes]] = []

    def carry() -> None:
        for _ in range(2):
            for side, one, other in ((C, client, server), (S, server, client)):
                data = one.data_to_send()
                if data:
                    script.append((side, data))
                    other.receive_data(data)

    carry()
    for n in range(ends):
        stream = 1 + 2 * n
        client.send_headers(
            stream,
            [(":method", "GET"), (":path", f"/{n}"), (":scheme", "http"), (":authority", "h.test"), ("x-a", "b")],
            end_stream=True,
        )
        carry()
        server.send_headers(stream, [(":status", "200"), ("x-new", str(n)), ("x-old", "same")])
        server.send_data(stream, b"body", end_stream=True)
        carry()
    return script


def test_http2_from_the_middle() -> None:
    """What is in the table since before the capture is marked; all that is known is told."""
    script = http2(4)
    lines = told(wire(script[-4:]))
    marked = "(not captured): (not captured)"
    assert lines == [
        "speaks h2",
        f"5 > GET /2 HTTP/2 {{{marked}, {marked}}}",
        "5 > end",
        f"5 < 200 HTTP/2 {{x-new: 2, {marked}}}".replace("x-new", "(not captured)"),
        "5 < body b'body'",
        "5 < end",
        f"7 > GET /3 HTTP/2 {{{marked}, {marked}}}",
        "7 > end",
        f"7 < 200 HTTP/2 {{x-new: 3, {marked}}}".replace("x-new", "(not captured)"),
        "7 < body b'body'",
        "7 < end",
    ]


def test_noise_is_not_joined() -> None:
    import random

    dice = random.Random(7)
    frames = wire([(dice.choice((C, S)), dice.randbytes(dice.randint(1, 1500))) for _ in range(3000)])
    assert told(frames) == []


def test_fast_open_and_a_closed_window() -> None:
    """Data in the SYN (RFC 7413), which may come again; probes of a window that is closed (RFC 9293 §3.8.6.1)."""
    request, response = ask(1)[1], answer("x" * 30)[1]
    size = len(request)
    frames = [
        segment(1, True, 0, request, 0x02),
        segment(2, False, 0, b"", 0x12, ack=1),
        segment(3, True, 1, request, ack=1),
        segment(4, False, 1, response[:40], ack=1 + size),
        segment(5, False, 41, response[40:41], ack=1 + size),
        segment(6, False, 41, response[40:41], ack=1 + size),
        segment(7, True, size, b"\0", 0x10, ack=41),
        segment(8, False, 41, response[40:], ack=1 + size),
    ]
    assert told(frames) == ["speaks http/1.1", *exchange(1, 1)[:3], "1 < body b'" + "x" * 30 + "'", "1 < end"]
