"""WebSockets as transcripts, made by the wsproto library: an encoder that is not ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode

from allways import C, S, Script, all_ways, play
from hark.decode.events import RequestHead, ResponseHead, Side
from hark.decode.layer import Upgrade
from hark.decode.websocket import Websocket


def socket(extensions: bytes = b"") -> Websocket:
    headers = ((b"Sec-WebSocket-Extensions", extensions),) if extensions else ()
    request = RequestHead(1, 1, 0, 0, "GET", "/", "", "", "HTTP/1.1", (), 0)
    response = ResponseHead(1, 1, 0, 0, 101, "", "HTTP/1.1", headers, 0, True)
    return Websocket(1, Upgrade("websocket", request, response), (Side.SERVER,))


def ends(extensions: str = "") -> dict[Side, Connection]:
    def agreed() -> list[PerMessageDeflate]:
        if not extensions:
            return []
        deflate = PerMessageDeflate()
        deflate.offer()
        deflate.finalize(extensions)
        return [deflate]

    made = {C: Connection(ConnectionType.CLIENT, agreed()), S: Connection(ConnectionType.SERVER)}
    if extensions:
        deflate = PerMessageDeflate()
        deflate.accept(extensions)
        made[S] = Connection(ConnectionType.SERVER, [deflate])
    return made


def conversation(pair: dict[Side, Connection]) -> Script:
    return [
        (C, pair[C].send(TextMessage("hello " * 50))),
        (S, pair[S].send(TextMessage("hello " * 50)) + pair[S].send(BytesMessage(bytes(range(256)) * 300))),
        (C, pair[C].send(TextMessage("first, ", message_finished=False)) + pair[C].send(Ping(b"are you there"))),
        (S, pair[S].send(Ping(b""))),
        (C, pair[C].send(TextMessage("second", message_finished=True))),
        (C, pair[C].send(TextMessage("hello " * 50)) + pair[C].send(TextMessage(""))),
        (S, pair[S].send(CloseConnection(4001, "tired"))),
        (C, pair[C].send(CloseConnection(4001, "tired"))),
    ]


HEARD = [
    "1 > text 300 " + "hello " * 50,
    "1 < text 300 " + "hello " * 50,
    "1 < binary 76800 " + bytes(range(40)).hex(),
    "1 > ping 13 are you there",
    "1 < ping 0",
    "1 > text 13 first, second",
    "1 > text 300 " + "hello " * 50,
    "1 > text 0",
    "1 < close 7 4001 tired",
    "1 > close 7 4001 tired",
    "1 < end",
]
DEFLATES = [
    "",
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10",
]


@pytest.mark.parametrize("extensions", DEFLATES)
def test_a_conversation(extensions: str) -> None:
    script = conversation(ends(extensions))
    assert [line.rstrip() for line in play(lambda: socket(extensions.encode()), script)] == [
        line.rstrip() for line in HEARD
    ]


@pytest.mark.parametrize("extensions", DEFLATES[:2])
def test_all_ways(extensions: str) -> None:
    pair = ends(extensions)
    script = [
        (
            C,
            pair[C].send(TextMessage("hello "))
            + pair[C].send(Ping(b"p"))
            + pair[C].send(TextMessage("again", message_finished=False)),
        ),
        (S, pair[S].send(BytesMessage(b"\0\1\2" * 50))),
        (C, pair[C].send(TextMessage(" and again")) + pair[C].send(CloseConnection(1000))),
    ]
    assert len(all_ways(lambda: socket(extensions.encode()), script)) == 6


def test_a_socket_that_just_ends_is_told_so() -> None:
    script = [(C, ends()[C].send(TextMessage("x")))]
    assert play(socket, script)[-1] == "1 aborted: server fin"


@pytest.mark.parametrize(
    "frame", [b"\x83\x00", b"\x91\x00", b"\xc1\x00", b"\x80\x00", b"\x09\x00", b"\x89\x7e\x01\x00"]
)
def test_what_is_no_frame_ends_its_direction(frame: bytes) -> None:
    script = [(S, frame), (S, b"\x81\x01x"), (C, ends()[C].send(TextMessage("goes on")))]
    heard = play(socket, script)
    assert (
        heard[0] == "trouble broken-websocket: a frame that cannot be, by the server"
        and heard[1] == "1 > text 7 goes on"
    )


def test_a_bomb_is_counted_not_kept() -> None:
    pair = ends("permessage-deflate")
    heard = play(lambda: socket(b"permessage-deflate"), [(S, pair[S].send(BytesMessage(bytes(40 << 20))))])
    assert heard[0].startswith(f"1 < binary {40 << 20}")


def test_large_frames_need_no_room() -> None:
    layer = socket()
    layer.feed(S, b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), 1)
    for _ in range(100):
        assert not layer.feed(S, bytes(1 << 16), 2)
    assert len(layer._halves[S].data) <= 1 << 20


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([C, S]), st.binary(max_size=60)), max_size=8), st.sampled_from(DEFLATES))
def test_noise_never_raises(script: Script, extensions: str) -> None:
    play(lambda: socket(extensions.encode()), script)


def test_masks_at_every_offset() -> None:
    protocol = FrameProtocol(client=True, extensions=[])
    frame = bytes(protocol._serialize_frame(Opcode.BINARY, bytearray(range(100))))
    assert all_ways(socket, [(C, frame)])[0].startswith("1 > binary 100 ")
