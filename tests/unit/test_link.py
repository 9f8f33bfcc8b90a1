"""Link types, fragments and tunnels: the same exchange, however it was wrapped."""

import pathlib
import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def udp(port: int, body: bytes) -> bytes:
    return outer(17, struct.pack("!HHHH", 9, port, 8 + len(body), 0) + body)


def eth(p: bytes) -> bytes:
    return ETHERNET + b"\x08\x00" + p


def pppoe(p: bytes) -> bytes:
    return b"\x11\0\0\1" + struct.pack("!H", len(p) + 2) + b"\x00\x21" + p


def snap(p: bytes) -> bytes:
    return b"\xaa\xaa\x03\0\0\0\x08\x00" + p


def gre(flags: int, kind: int, body: bytes) -> bytes:
    return outer(47, struct.pack("!HH", flags, kind) + body)


def radiotap(flags: int, body: bytes) -> bytes:
    return b"\0\0\x12\0\x03\0\0\0" + bytes(8) + bytes((flags, 0)) + body


def wifi(p: bytes, kind: int = 0x08, flags: int = 1, more: bytes = b"") -> bytes:
    return bytes((kind, flags)) + bytes(22) + (bytes(6) if flags & 3 == 3 else b"") + more + snap(p)


LABELS = b"\0\x01\x20\x40\0\x01\x01\x40"
VXLAN = b"\x08" + bytes(7)
SLL_WIFI = b"\0\0\x03\x23" + bytes(10) + b"\0\0"
WRAPPED = {
    "raw": (101, lambda p: p),
    "raw, old": (12, lambda p: p),
    "raw, OpenBSD's": (14, lambda p: p),
    "IPv4": (228, lambda p: p),
    "ethernet": (1, eth),
    "ethernet with padding": (1, lambda p: eth(p) + bytes(20)),
    "ethernet with its preamble": (274, lambda p: b"\x55" * 7 + b"\xd5" + eth(p)),
    "VLAN tag": (1, lambda p: ETHERNET + b"\x81\0\0\2\x08\x00" + p),
    "two VLAN tags": (1, lambda p: ETHERNET + b"\x88\xa8\0\1\x81\x00\0\2\x08\x00" + p),
    "five VLAN tags": (1, lambda p: ETHERNET + b"\x91\0\0\1" * 5 + b"\x08\x00" + p),
    "VN-Tag": (1, lambda p: ETHERNET + b"\x89\x26\0\0\0\0\x08\x00" + p),
    "PPPoE": (1, lambda p: ETHERNET + b"\x88\x64" + pppoe(p)),
    "PPPoE in a VLAN": (1, lambda p: ETHERNET + b"\x81\0\0\7\x88\x64" + pppoe(p)),
    "MPLS": (1, lambda p: ETHERNET + b"\x88\x47" + LABELS + p),
    "MPLS, multicast": (1, lambda p: ETHERNET + b"\x88\x48" + LABELS + p),
    "MPLS around ethernet": (1, lambda p: ETHERNET + b"\x88\x47" + LABELS + eth(p)),
    "MPLS around ethernet with a control word": (1, lambda p: ETHERNET + b"\x88\x47" + LABELS + bytes(4) + eth(p)),
    "MPLS without ethernet": (219, lambda p: LABELS + p),
    "LLC and SNAP": (1, lambda p: ETHERNET + struct.pack("!H", len(p) + 8) + snap(p)),
    "LLC around IP": (1, lambda p: ETHERNET + struct.pack("!H", len(p) + 3) + b"\x06\x06\x03" + p),
    "provider backbone": (1, lambda p: ETHERNET + b"\x88\xe7" + bytes(4) + eth(p)),
    "null": (0, lambda p: b"\2\0\0\0" + p),
    "null, big-endian": (0, lambda p: b"\0\0\0\2" + p),
    "loop": (108, lambda p: b"\0\0\0\2" + p),
    "linux cooked": (113, lambda p: bytes(14) + b"\x08\x00" + p),
    "linux cooked with a VLAN tag": (113, lambda p: bytes(14) + b"\x81\0\0\5\x08\x00" + p),
    "linux cooked with two": (113, lambda p: bytes(14) + b"\x88\xa8\0\5\x81\0\0\5\x08\x00" + p),
    "linux cooked with PPPoE": (113, lambda p: bytes(14) + b"\x88\x64" + pppoe(p)),
    "linux cooked with MPLS": (113, lambda p: bytes(14) + b"\x88\x47" + LABELS + p),
    "linux cooked with LLC": (113, lambda p: bytes(14) + b"\0\4" + snap(p)),
    "linux cooked, no protocol": (113, lambda p: bytes(16) + p),
    "linux cooked, radiotap": (113, lambda p: SLL_WIFI + radiotap(0, wifi(p))),
    "linux cooked 2": (276, lambda p: b"\x08\x00" + bytes(18) + p),
    "linux cooked 2 with a VLAN tag": (276, lambda p: b"\x81\0" + bytes(18) + b"\0\5\x08\x00" + p),
    "linux cooked 2 with PPPoE": (276, lambda p: b"\x88\x64" + bytes(18) + pppoe(p)),
    "PPP": (9, lambda p: b"\xff\x03\x00\x21" + p),
    "PPP, fields compressed": (9, lambda p: b"\x21" + p),
    "PPP in HDLC": (50, lambda p: b"\xff\x03\x00\x21" + p),
    "PPP with MPLS": (9, lambda p: b"\xff\x03\x02\x81" + LABELS + p),
    "PPPoE without ethernet": (51, pppoe),
    "PPP with its direction": (204, lambda p: b"\1\xff\x03\x00\x21" + p),
    "Cisco HDLC": (104, lambda p: b"\x0f\0\x08\0" + p),
    "frame relay": (107, lambda p: b"\x18\x41\x03\xcc" + p),
    "frame relay with SNAP": (107, lambda p: b"\x18\x41\x03\0\x80\0\0\0\x08\0" + p),
    "token ring": (6, lambda p: b"\x10\x40" + bytes(12) + snap(p)),
    "FDDI": (10, lambda p: b"\x50" + bytes(12) + snap(p)),
    "ATM": (100, snap),
    "NFLOG": (239, lambda p: b"\2\0\0\0\5\0\x0a\0a\0\0\0" + struct.pack("<HH", len(p) + 4, 9) + p),
    "PFLOG": (117, lambda p: b"\x3d\2" + bytes(62) + p),
    "PKTAP": (258, lambda p: struct.pack("<III", 20, 1, 1) + bytes(8) + eth(p)),
    "802.11": (105, wifi),
    "802.11 with QoS": (105, lambda p: wifi(p, 0x88, 1, b"\0\0")),
    "802.11 with QoS and HT": (105, lambda p: wifi(p, 0x88, 0x81, bytes(6))),
    "802.11 between access points": (105, lambda p: wifi(p, 0x88, 3, b"\0\0")),
    "802.11 in a block": (105, lambda p: wifi(p, 0x88, 1, b"\x80\0" + bytes(14))),
    "radiotap": (127, lambda p: radiotap(0, wifi(p))),
    "radiotap, with a checksum": (127, lambda p: radiotap(0x10, wifi(p)) + bytes(4)),
    "radiotap, padded": (127, lambda p: radiotap(0x20, wifi(p, 0x88, 1, bytes(4)))),
    "PPI": (192, lambda p: b"\0\0\x0c\0\x69\0\0\0" + bytes(4) + wifi(p)),
    "AVS": (163, lambda p: b"\x80\x21\x10\x01\0\0\0\x40" + bytes(56) + wifi(p)),
    "Prism": (119, lambda p: b"\x44\0\0\0\x90\0\0\0" + bytes(136) + wifi(p)),
    "AVS as Prism": (119, lambda p: b"\x80\x21\x10\x01\0\0\0\x40" + bytes(56) + wifi(p)),
    "IP in IP": (101, lambda p: outer(4, p)),
    "GRE with key": (101, lambda p: gre(0x2000, 0x0800, b"\0\0\0\7" + p)),
    "GRE with everything": (101, lambda p: gre(0xB000, 0x0800, bytes(12) + p)),
    "GRE with ethernet": (101, lambda p: gre(0, 0x6558, eth(p))),
    "NVGRE": (101, lambda p: gre(0x2000, 0x6558, b"\0\0\7\1" + eth(p))),
    "GRE with MPLS": (101, lambda p: gre(0, 0x8847, LABELS + p)),
    "GRE with PPP": (101, lambda p: gre(0x3081, 0x880B, bytes(12) + b"\xff\x03\0\x21" + p)),
    "WCCP": (101, lambda p: gre(0, 0x883E, b"\0\0\0\0" + p)),
    "ERSPAN I": (101, lambda p: gre(0, 0x88BE, eth(p))),
    "ERSPAN II": (101, lambda p: gre(0x1000, 0x88BE, bytes(4) + b"\x10\1\0\2\0\0\0\3" + eth(p))),
    "ERSPAN III": (101, lambda p: gre(0x1000, 0x22EB, bytes(4) + b"\x20" + bytes(11) + eth(p))),
    "ERSPAN III with its platform": (
        101,
        lambda p: gre(0x1000, 0x22EB, bytes(4) + b"\x20" + bytes(10) + b"\1" + bytes(8) + eth(p)),
    ),
    "EtherIP": (101, lambda p: outer(97, b"\x30\0" + eth(p))),
    "MPLS in IP": (101, lambda p: outer(137, LABELS + p)),
    "L2TP 3": (101, lambda p: outer(115, b"\0\0\0\7" + eth(p))),
    "L2TP 3 with a cookie": (101, lambda p: outer(115, bytes(range(1, 13)) + eth(p))),
    "VXLAN": (101, lambda p: udp(4789, VXLAN + eth(p))),
    "VXLAN as Linux had it": (101, lambda p: udp(8472, VXLAN + eth(p))),
    "VXLAN on any port, in a VLAN": (101, lambda p: udp(1234, VXLAN + ETHERNET + b"\x81\0\0\1\x08\0" + p)),
    "VXLAN with a group": (101, lambda p: udp(4789, b"\x88\0\0\5\0\0\7\0" + eth(p))),
    "VXLAN-GPE": (101, lambda p: udp(4790, b"\x0c\0\0\1\0\0\7\0" + p)),
    "VXLAN-GPE with ethernet": (101, lambda p: udp(4790, b"\x0c\0\0\3\0\0\7\0" + eth(p))),
    "Geneve": (101, lambda p: udp(6081, b"\0\0\x65\x58\0\0\7\0" + eth(p))),
    "Geneve with options": (101, lambda p: udp(6081, b"\3\x40\x65\x58\0\0\7\0" + bytes(12) + eth(p))),
    "Geneve around IP": (101, lambda p: udp(7777, b"\0\0\x08\0\0\0\7\0" + p)),
    "GTP-U": (101, lambda p: udp(2152, b"\x30\xff" + struct.pack("!H", len(p)) + b"\0\0\0\1" + p)),
    "GTP-U with a sequence": (101, lambda p: udp(2152, b"\x32\xff" + struct.pack("!H", len(p) + 4) + bytes(8) + p)),
    "GTP-U with an extension": (
        101,
        lambda p: udp(9, b"\x34\xff" + struct.pack("!H", len(p) + 8) + bytes(7) + b"\x85\1\x10\1\0" + p),
    ),
    "L2TP": (101, lambda p: udp(1701, b"\0\2\0\1\0\1\xff\x03\0\x21" + p)),
    "L2TP with everything": (
        101,
        lambda p: udp(
            1701, b"\x4a\2" + struct.pack("!H", 20 + len(p)) + b"\0\1\0\1" + bytes(4) + b"\0\2ab\xff\x03\0\x21" + p
        ),
    ),
    "TZSP": (101, lambda p: udp(37008, b"\1\0\0\1\0\x0a\1\x20\1" + eth(p))),
    "IP in UDP": (101, lambda p: udp(5555, ip.ip_header(b"\1\1\1\1", b"\2\2\2\2", 4, len(p)) + p)),
    "MPLS in UDP": (101, lambda p: udp(6635, LABELS[4:] + ip.ip_header(b"\1\1\1\1", b"\2\2\2\2", 4, len(p)) + p)),
    "Teredo": (101, lambda p: udp(3544, ip.ip_header(bytes(16), bytes(16), 4, len(p)) + p)),
    "6in4": (101, lambda p: outer(41, ip.ip_header(bytes(16), bytes(16), 4, len(p)) + p)),
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


TSHARK = shutil.which("tshark")
# What tshark 4.0 follows by the port alone, or not at all.
NOT_TSHARK = {
    "VXLAN as Linux had it", "VXLAN on any port, in a VLAN", "Geneve around IP", "IP in UDP", "L2TP 3", "L2TP 3 with a cookie",
    "linux cooked, no protocol", "GTP-U with an extension", "radiotap, padded", "AVS as Prism", "raw, old", "raw, OpenBSD's",
    "802.11 in a block", "five VLAN tags", "PKTAP", "MPLS without ethernet", "ethernet with its preamble",
    "MPLS around ethernet with a control word", "PPI",
}  # fmt: skip


@pytest.mark.skipif(TSHARK is None, reason="tshark is the referee")
def test_tshark_reads_them_alike(tmp_path: pathlib.Path) -> None:
    """All link types in one pcapng with an interface each."""
    made = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    for index, (name, (link, wrap)) in enumerate(sorted(WRAPPED.items())):
        made += struct.pack("<IIHHII", 1, 20, link, 0, 0, 20)
        data = wrap(bytes(segment(1, True, 1, REQUEST, port=40000 + index).data))
        size = 32 + (len(data) + 3 & ~3)
        padded = data + bytes(-len(data) % 4)
        made += struct.pack("<IIIIIII", 6, size, index, 0, 1, len(data), len(data)) + padded + struct.pack("<I", size)
        assert heard([(link, data)]) == ["/wrapped"], name
    path = tmp_path / "x.pcapng"
    path.write_bytes(made)
    command = [str(TSHARK), "-r", str(path), "-T", "fields", "-e", "http.request.uri", "-d", "tcp.port==443,http"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    differ = {name for name, line in zip(sorted(WRAPPED), told, strict=False) if "/wrapped" not in line}
    assert sorted(differ - NOT_TSHARK) == []


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WRAPPED)), st.data())
def test_cut_and_changed_headers_are_survived(name: str, data: st.DataObject) -> None:
    link, wrap = WRAPPED[name]
    packet = bytearray(wrap(TALK[0]))
    for _ in range(data.draw(st.integers(0, 3))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    heard([(link, bytes(packet[:cut]))])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_noise_is_no_tunnel(noise: bytes, link: int) -> None:
    assert heard([(101, udp(4789, noise)), (101, outer(47, noise)), (101, outer(115, noise)), (link, noise)]) == []


@pytest.mark.parametrize(
    "link, data, what, harmless",
    [
        (105, wifi(TALK[0], flags=0x41), "802.11 encrypted", False),
        (105, b"\x80\0" + bytes(40), "802.11 management", True),
        (147, b"abc", "link type 147", False),
        (1, ETHERNET + b"\x81\0\0\1\x88\xcc" + bytes(30), "LLDP", True),
        (113, bytes(14) + b"\x08\x06" + bytes(30), "ARP", True),
        (1, ETHERNET + b"\x88\xb5" + bytes(30), "ethertype 0x88b5", False),
        (101, outer(50, bytes(40)), "IP protocol 50", False),
        (101, outer(89, bytes(40)), "IP protocol 89", True),
        (101, udp(123, bytes(48)), "UDP that is neither DNS nor QUIC", True),
    ],
)
def test_what_is_not_followed_is_named(link: int, data: bytes, what: str, harmless: bool) -> None:
    decoder = Decoder()
    decoder.feed(Frame(1, link, memoryview(data), 0, len(data)))
    assert [e[1:] for e in decoder.finish() if isinstance(e, ev.PassedOver)] == [(what, 1, harmless)]


@pytest.mark.xfail(strict=True, reason="Limits: `hark read` does not decrypt 802.11 or IPsec")
@pytest.mark.parametrize("link, data", [(105, wifi(TALK[0], flags=0x41)), (101, outer(50, bytes(8) + TALK[0]))])
def test_encrypted_links_are_not_followed(link: int, data: bytes) -> None:
    assert heard([(link, data)]) == ["/wrapped"]


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
