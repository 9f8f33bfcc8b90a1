"""Formats: what is built parses back, checksums are right, hostile bytes are refused."""

import os
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.tap.tun.nat import Nat, ends, rewrite
from hark.wire import dns, ip, keylog, tls

A4, B4 = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"


def transport_sum(packet: bytes) -> int:
    """The transport's checksum over a whole packet: 0 when it is right."""
    found = ip.parse(packet)
    assert found is not None
    body = packet[found.start : found.end]
    if found.proto == ip.ICMP:
        return ip.checksum(body)
    return ip.checksum(ip.pseudo(found.src, found.dst, found.proto, len(body)) + body)


def test_built_packets_have_right_checksums() -> None:
    for src, dst in ((A4, B4), (A6, B6)):
        original = ip.udp_packet(src, dst, 5, 6, b"payload!")
        for packet in (
            original,
            ip.rst_packet(src, dst, 1, 2, 3, 4),
            ip.unreachable(dst, original, "ECONNREFUSED"),
            ip.too_big(dst, original, 1400),
            ip.echo_reply(src, dst, b"\0\1\0\2data"),
        ):
            assert transport_sum(packet) == 0
            if packet[0] == 0x45:
                assert ip.checksum(packet[:20]) == 0


def test_nat_rewrites_keep_checksums_right() -> None:
    """Both directions, IPv4 and IPv6, whole sums and sums left to the device, many random flows."""
    for width in (4, 16):
        here4, here6 = bytes([198, 18, 104, 1]), bytes(15) + b"\x09"
        nat = Nat(here4, here6, 1)
        head, low, high = (20, 12, 24) if width == 4 else (40, 8, 44)
        for _ in range(200):
            client, server = (os.urandom(width), 1234), (os.urandom(width), 443)
            flow = nat.open(client, server, False, None, here4[:3] + b"\0" if width == 4 else here6[:15] + b"\0")
            for key in (flow.key, flow.back):
                turn = nat.turns[key]
                src, dst = key[:width], key[width : 2 * width]
                sport, dport = struct.unpack("!HH", key[2 * width :])
                tcp = struct.pack("!HHIIBBHHH", sport, dport, 1, 2, 5 << 4, 16, 9, 0, 0) + b"data"
                total = ip.checksum(ip.pseudo(src, dst, ip.TCP, len(tcp)) + tcp)
                packet = bytearray(ip.ip_header(src, dst, ip.TCP, len(tcp)) + tcp)
                struct.pack_into("!H", packet, head + 16, total)
                rewrite(packet, 0, head, low, high, turn.ends, turn.ip_sum, 0, turn.partial_sum, turn.whole_sum)
                assert transport_sum(bytes(packet)) == 0
                assert width == 16 or ip.checksum(packet[:20]) == 0
                assert bytes(packet[low:high]) == turn.ends
            assert nat.turns[flow.back].ends == ends(server, client)
            nat.close(flow)
        assert not nat.turns


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120))
def test_noise_is_refused_without_an_exception(data: bytes) -> None:
    packet = ip.parse(data)
    if packet is not None:
        assert packet.start <= packet.end <= len(data)
        ip.tcp(data, packet.start, packet.end)
    dns.parse(data)
    tls.client_hello(data)
    tls.server_hello(data)
    tls.encrypted_alpn(data)
    list(keylog.parse(data))


def test_ipv6_extension_headers_and_fragments() -> None:
    options = bytes([ip.TCP, 0, 1, 4, 0, 0, 0, 0])
    data = struct.pack("!IHBB", 6 << 28, 8 + 20, 0, 64) + A6 + B6 + options + bytes(20)
    packet = ip.parse(data)
    assert packet is not None and (packet.proto, packet.start, packet.fragment) == (ip.TCP, 48, None)
    fragment = bytes([ip.UDP, 0]) + struct.pack("!HI", 8 | 1, 77)
    packet = ip.parse(struct.pack("!IHBB", 6 << 28, 8 + 4, 44, 64) + A6 + B6 + fragment + b"data")
    assert packet is not None and packet.fragment == (77, 8, True)


def test_key_log_lines() -> None:
    text = (
        b"# comment\nCLIENT_RANDOM "
        + b"ab" * 32
        + b" "
        + b"cd" * 48
        + b"\nnonsense\nCLIENT_RANDOM zz yy\nEXPORTER_SECRET "
        + b"ab" * 32
    )
    assert list(keylog.parse(text)) == [("CLIENT_RANDOM", b"\xab" * 32, b"\xcd" * 48)]


def test_dns_compression_and_loops() -> None:
    name = b"\4site\4test\0"
    head = struct.pack("!6H", 7, 0x8180, 1, 2, 0, 0)
    answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton("192.0.2.9")
    six = b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 60, 16) + bytes(15) + b"\1"
    message = dns.parse(head + name + struct.pack("!HH", 1, 1) + answer + six)
    assert message == dns.Message(7, True, 0, "site.test", 1, ("192.0.2.9", "::1"))
    assert dns.parse(head + b"\xc0\x0c" + struct.pack("!HH", 1, 1) + answer) is None


def test_every_suite_has_the_key_size_that_its_name_says() -> None:
    sizes = {"_128": 16, "SEED": 16, "IDEA": 16, "3DES": 24, "NULL": 0}
    for code, suite in tls.SUITES.items():
        size = next((size for part, size in sizes.items() if part in suite.name), 32)
        assert suite.key == size, hex(code)
        assert suite.hash == ("sha384" if suite.name.endswith("SHA384") else "sha256")


def test_rfc8448_key_schedule() -> None:
    """RFC 8448 §3: the server's handshake traffic secret gives this key and iv."""
    secret = bytes.fromhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
    assert tls.expand_label(secret, b"key", b"", 16, "sha256").hex() == "3fce516009c21727d0f2e4e86ee403bc"
    assert tls.expand_label(secret, b"iv", b"", 12, "sha256").hex() == "5d313eb2671276ee13000b30"


RFC8448 = {  # §3: traffic secrets, the keys and ivs that they give, and records with their numbers and contents
    "client": (
        "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9",
        {0: ("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4", bytes(range(50)) + b"\x17"),
         1: ("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3", b"\x01\x00\x15")},
    ),
    "server": (
        "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984",
        {1: ("17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d", bytes(range(50)) + b"\x17"),
         2: ("1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9", b"\x01\x00\x15")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("side", RFC8448)
def test_rfc8448_records(side: str) -> None:
    from hark.decode.ciphers import Aead13

    secret, key, iv, records = RFC8448[side]
    found = [
        tls.expand_label(bytes.fromhex(secret), label, b"", size, "sha256").hex()
        for label, size in ((b"key", 16), (b"iv", 12))
    ]
    assert found == [key, iv]
    cipher = Aead13(tls.SUITES[0x1301], bytes.fromhex(key), bytes.fromhex(iv))
    for number, (record, content) in records.items():
        cipher.seq = number
        assert cipher.decrypt(bytes.fromhex(record)) == content
