"""Link types, fragments and tunnels: the same exchange, however it was wrapped."""

import struct

import pytest

from frames import segment
from hark.decode import events as ev
from hark.decode.decoder import Decoder
from hark.recording.blocks import Frame
from hark.wire import ip

REQUEST = b"GET /wrapped HTTP/1.1\r\nHost: h\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
TALK = [bytes(segment(1, True, 1, REQUEST).data), bytes(segment(2, False, 1, RESPONSE).data)]
ETHERNET = bytes(12)


def outer(proto: int, body: bytes) -> bytes:
    return ip.ip_header(b"\x0a\x09\x09\x01", b"\x0a\x09\x09\x02", proto, len(body)) + body


WRAPPED = {
    "raw": (101, lambda p: p),
    "ethernet": (1, lambda p: ETHERNET + b"\x08\x00" + p),
    "ethernet with padding": (1, lambda p: ETHERNET + b"\x08\x00" + p + bytes(20)),
    "two VLAN tags": (1, lambda p: ETHERNET + b"\x88\xa8\0\1\x81\x00\0\2\x08\x00" + p),
    "PPPoE": (1, lambda p: ETHERNET + b"\x88\x64\x11\0\0\1" + struct.pack("!H", len(p) + 2) + b"\x00\x21" + p),
    "null": (0, lambda p: b"\2\0\0\0" + p),
    "loop": (108, lambda p: b"\0\0\0\2" + p),
    "linux cooked": (113, lambda p: bytes(14) + b"\x08\x00" + p),
    "linux cooked 2": (276, lambda p: b"\x08\x00" + bytes(18) + p),
    "PPP": (9, lambda p: b"\xff\x03\x00\x21" + p),
    "PPP, fields compressed": (9, lambda p: b"\x21" + p),
    "IP in IP": (101, lambda p: outer(4, p)),
    "GRE with key": (101, lambda p: outer(47, b"\x20\x00\x08\x00\0\0\0\7" + p)),
    "GRE with ethernet": (101, lambda p: outer(47, b"\x00\x00\x65\x58" + ETHERNET + b"\x08\x00" + p)),
    "VXLAN": (
        101,
        lambda p: outer(
            17,
            struct.pack("!HHHH", 9, 4789, 8 + 8 + 14 + len(p), 0) + b"\x08" + bytes(7) + ETHERNET + b"\x08\x00" + p,
        ),
    ),
}


def heard(frames: list[tuple[int, bytes]]) -> list[str]:
    decoder = Decoder()
    events: list[ev.Event] = []
    for time, (link, data) in enumerate(frames, 1):
        events += decoder.feed(Frame(time, link, memoryview(data), 0, len(data)))
    events += decoder.finish()
    requests = [event.target for event in events if isinstance(event, ev.RequestHead)]
    return requests + [str(event.status) for event in events if isinstance(event, ev.ResponseHead)]


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped(name: str) -> None:
    link, wrap = WRAPPED[name]
    assert heard([(link, wrap(packet)) for packet in TALK]) == ["/wrapped", "200"]


def fragments(packet: bytes, size: int) -> list[bytes]:
    head, body = packet[:20], packet[20:]
    found = []
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        more = 0x2000 if at + size < len(body) else 0
        found.append(head[:2] + struct.pack("!HHH", 20 + len(piece), 77, more | at // 8) + head[8:] + piece)
    return found


def test_fragments_in_any_order() -> None:
    pieces = fragments(TALK[0], 16)
    assert len(pieces) > 3
    for order in (pieces, pieces[::-1], pieces + pieces[:2], [pieces[1], pieces[0], *pieces[2:]]):
        assert heard([(101, piece) for piece in order] + [(101, TALK[1])]) == ["/wrapped", "200"]
    assert heard([(101, piece) for piece in pieces[:-1]]) == []


def test_tunnels_without_an_end_are_left_alone() -> None:
    packet = TALK[0]
    for _ in range(20):
        packet = outer(4, packet)
    assert heard([(101, packet)]) == []
