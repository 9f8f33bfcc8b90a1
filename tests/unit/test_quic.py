"""QUIC and HTTP/3 as transcripts, spoken by aioquic: an implementation that is not ours. And the RFCs' own vectors."""

import random
import ssl

import pytest
from aioquic.h3.connection import H3Connection
from aioquic.quic.packet import QuicProtocolVersion
from aioquic.tls import CipherSuite
from hypothesis import given, settings
from hypothesis import strategies as st

from allways import render
from hark.decode import ciphers
from hark.decode.events import Closed, Opened, TlsFacts
from hark.wire import quic, tls
from quicpair import C, QuicPair, S, events


def told(pair: QuicPair, at: int = 0) -> list[str]:
    return render(events(pair.datagrams, pair.secrets, at))


def simple(**options: object) -> QuicPair:
    pair = QuicPair(**options)
    pair.speak()
    pair.ask("/one", answer=b"first")
    pair.ask("/two", body=b"question", answer=b"x" * 30000)
    return pair


LINES = [
    "speaks h3",
    "tls TLS 1.3 {suite} sni=h.test alpn=h3 resumed=False",
    "0 > GET /one HTTP/3 https://h.test",
    "0 > end",
    "0 < 200 HTTP/3",
    "0 < body b'first'",
    "0 < end",
    "4 > POST /two HTTP/3 https://h.test",
    "4 > body b'question'",
    "4 > end",
    "4 < 200 HTTP/3",
    "4 < body b'" + "x" * 30000 + "'",
    "4 < end",
]


def lines(suite: str = "TLS_AES_256_GCM_SHA384") -> list[str]:
    return [line.format(suite=suite) for line in LINES]


SUITES = {
    CipherSuite.AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256",
    CipherSuite.AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
    CipherSuite.CHACHA20_POLY1305_SHA256: "TLS_CHACHA20_POLY1305_SHA256",
}


@pytest.mark.parametrize("suite", SUITES, ids=SUITES.get)
@pytest.mark.parametrize("version", [QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2], ids=["v1", "v2"])
def test_versions_and_suites(suite: CipherSuite, version: int) -> None:
    pair = simple(
        cipher_suites=[suite],
        original_version=version,
        supported_versions=[version],
        server={"supported_versions": [version]},
    )
    assert told(pair) == lines(SUITES[suite])


def test_a_server_may_choose_a_compatible_version() -> None:
    both = [QuicProtocolVersion.VERSION_2, QuicProtocolVersion.VERSION_1]
    pair = simple(
        original_version=QuicProtocolVersion.VERSION_1, supported_versions=both, server={"supported_versions": both}
    )
    assert pair.server is not None and pair.server._version == QuicProtocolVersion.VERSION_2
    assert told(pair) == lines()


def test_retry() -> None:
    pair = simple(retry=True)
    assert any(data[0] & 0xF0 == 0xF0 for side, data, _ in pair.datagrams if side == S)
    assert told(pair) == lines()


def test_key_updates_of_both_ends() -> None:
    pair = QuicPair()
    pair.speak()
    pair.ask("/one", answer=b"first")
    for end in (pair.client, pair.server, pair.client):
        assert end is not None
        end.request_key_update()
        pair.run(4)
    pair.ask("/two", body=b"question", answer=b"x" * 30000)
    assert told(pair) == lines()


def test_the_client_may_change_ids_and_addresses() -> None:
    pair = QuicPair()
    pair.speak()
    pair.ask("/one", answer=b"first")
    pair.client.change_connection_id()
    pair.port = 50000
    pair.ask("/two", body=b"question", answer=b"x" * 30000)
    assert told(pair) == lines()


def test_secrets_at_any_moment() -> None:
    pair = simple()
    for at in range(len(pair.datagrams) + 1):
        assert told(pair, at) == lines(), f"secrets in front of datagram {at}"


def test_without_secrets_it_is_told_as_closed() -> None:
    pair = simple()
    found = render(events(pair.datagrams, b""))
    assert len(found) == 1 and found[0].startswith("encrypted ") and found[0].endswith("no secrets for it came")


def test_datagrams_lost_on_the_way_are_sent_again() -> None:
    for seed in range(8):
        dice = random.Random(seed)
        pair = simple(drop=lambda n, dice=dice: n > 2 and dice.random() < 0.15)
        pair.run(200)
        assert sorted(told(pair)) == sorted(lines()), f"seed {seed}"


@pytest.mark.parametrize("seed", range(8))
def test_order_and_doubles_do_not_matter(seed: int) -> None:
    dice = random.Random(seed)
    pair = simple()
    shuffled = [d for d in pair.datagrams for _ in range(dice.choice((1, 1, 1, 2)))]
    for _ in range(30):
        at = dice.randrange(1, len(shuffled) - 1)
        shuffled[at], shuffled[at + 1] = shuffled[at + 1], shuffled[at]
    found = render(events(shuffled, pair.secrets))
    assert sorted(found) == sorted(lines())


def test_what_the_capture_has_lost_is_told_and_the_rest_goes_on() -> None:
    pair = QuicPair()
    pair.speak()
    pair.ask("/one", answer=b"y" * 20000)
    first = len(pair.datagrams)
    pair.ask("/two", answer=b"z")
    large = [n for n in range(first) if pair.datagrams[n][0] == S and len(pair.datagrams[n][1]) > 1100][-5]
    kept = [d for n, d in enumerate(pair.datagrams) if n != large]
    found = render(events(kept, pair.secrets))
    assert any(line.startswith("trouble lost-body: ") for line in found)
    assert "0 < 200 HTTP/3" in found and "4 < 200 HTTP/3" in found and "4 < body b'z'" in found and "0 < end" in found


def test_dynamic_table_of_qpack_ahead_and_behind() -> None:
    """The same long headers again and again come out of the table; shuffled datagrams make sections wait for it."""
    pair = QuicPair()
    pair.speak()
    wanted = [(f"x-header-{n}".encode(), f"value-{n}".encode() * 5) for n in range(12)]
    for n in range(5):
        pair.ask(f"/{n}", answer=b"ok", headers=wanted)
    found = told(pair)
    heads = [line for line in found if "x-header-11" in line]
    assert len(heads) == 10 and len({line.split("{")[1] for line in heads}) == 1
    dice = random.Random(23)
    shuffled = list(pair.datagrams)
    for _ in range(100):
        at = dice.randrange(4, len(shuffled) - 1)
        shuffled[at], shuffled[at + 1] = shuffled[at + 1], shuffled[at]
    assert sorted(render(events(shuffled, pair.secrets))) == sorted(found)


def test_trailers_and_interim_responses() -> None:
    pair = QuicPair()
    client, server = pair.speak()
    client.send_headers(
        0, [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"h.test"), (b":path", b"/t")]
    )
    client.send_data(0, b"half", end_stream=False)
    client.send_headers(0, [(b"checksum", b"1")], end_stream=True)
    pair.run()
    server.send_headers(0, [(b":status", b"103"), (b"link", b"</s>")])
    server.send_headers(0, [(b":status", b"200")])
    server.send_data(0, b"answer", end_stream=False)
    server.send_headers(0, [(b"grpc-status", b"0")], end_stream=True)
    pair.run()
    assert told(pair)[2:] == [
        "0 > POST /t HTTP/3 https://h.test",
        "0 > body b'half'",
        "0 > end {checksum: 1}",
        "0 < interim 103 HTTP/3 {link: </s>}",
        "0 < 200 HTTP/3",
        "0 < body b'answer'",
        "0 < end {grpc-status: 0}",
    ]


def test_resets_and_closes() -> None:
    pair = QuicPair()
    client, _ = pair.speak()
    for stream in (0, 4, 8):
        client.send_headers(
            stream,
            [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h.test"), (b":path", b"/r")],
            end_stream=True,
        )
    pair.run()
    assert pair.server is not None
    pair.server.reset_stream(0, 0x10B)
    pair.client.stop_stream(4, 0x10C)
    pair.run()
    pair.server.close(error_code=0x102, frame_type=None, reason_phrase="tired")
    pair.run()
    found = told(pair)
    assert "0 aborted: server stream-reset (REQUEST_REJECTED)" in found
    assert "4 aborted: client stream-reset (REQUEST_CANCELLED)" in found
    assert "8 aborted: server connection-close (INTERNAL_ERROR (tired))" in found


def test_a_refused_certificate_is_told() -> None:
    pair = QuicPair(verify=ssl.CERT_REQUIRED)
    assert told(pair)[-1] == "alert client 42"


def test_early_data() -> None:
    """A client with a ticket asks before the server has said anything."""
    before = QuicPair()
    assert before.ticket is not None

    def ask(pair: QuicPair) -> None:
        pair.h3[C] = H3Connection(pair.client)
        head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h.test"), (b":path", b"/early")]
        pair.h3[C].send_headers(0, head, end_stream=True)

    pair = QuicPair(first=ask, session_ticket=before.ticket)
    assert any(quic.ZERO_RTT in _kinds(data) for side, data, _ in pair.datagrams if side == C)
    assert pair.server is not None
    server = H3Connection(pair.server)
    server.send_headers(0, [(b":status", b"200")], end_stream=True)
    pair.run()
    for at in range(len(pair.datagrams)):
        assert told(pair, at) == [
            "speaks h3",
            "0 > GET /early HTTP/3 https://h.test",
            "0 > end",
            "tls TLS 1.3 TLS_AES_256_GCM_SHA384 sni=h.test alpn=h3 resumed=True",
            "0 < 200 HTTP/3",
            "0 < end",
        ]


def _kinds(data: bytes) -> set[int]:
    kinds, at = set(), 0
    while at < len(data) and (header := quic.long_header(data, at)) is not None:
        kinds.add(header.kind)
        at = header.end
    return kinds


def test_connections_share_a_pair_of_ports() -> None:
    one, two = simple(), simple()
    mixed = [d for pair in zip(one.datagrams, two.datagrams, strict=False) for d in pair]
    found = list(events(mixed, one.secrets + two.secrets))
    assert sum(isinstance(e, Opened) for e in found) == 2
    assert len({e.client_random for e in found if isinstance(e, TlsFacts)}) == 2
    assert sum(isinstance(e, Closed) for e in found) == 2


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutilated_datagrams_never_raise_and_never_lie(data: st.DataObject) -> None:
    datagrams = list(PAIR.datagrams)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(datagrams) - 1))
        side, raw, port = datagrams[index]
        at = data.draw(st.integers(0, len(raw)))
        datagrams[index] = (
            side,
            raw[:at] + data.draw(st.binary(max_size=6)) + raw[at + data.draw(st.integers(0, 4)) :],
            port,
        )
    for line in render(events(datagrams, PAIR.secrets)):
        if " > " in line and ("GET" in line or "POST" in line):
            assert line in LINES  # what is authenticated is not told wrongly


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=1500), max_size=5))
def test_noise_is_not_quic(payloads: list[bytes]) -> None:
    found = list(events([(C, b"\xc0\0\0\0\1" + p, 40000) for p in payloads], b""))
    assert sum(event.frames for event in found) == len(payloads)  # told as passed over, and nothing else


PAIR = simple()


# -- the RFCs' vectors -------------------------------------------------------------------------------------------------

DCID = bytes.fromhex("8394c8f03e515708")


@pytest.mark.parametrize(
    "version, secret, key, iv, hp",
    [  # RFC 9001 §A.1, RFC 9369 §A.1
        (1, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea", "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"),
        (0x6B3343CF, "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b", "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"),
    ],
    ids=["RFC 9001", "RFC 9369"],
)  # fmt: skip
def test_initial_keys(version: int, secret: str, key: str, iv: str, hp: str) -> None:
    known = quic.VERSIONS[version]
    client, _ = quic.initial_secrets(known, DCID)
    found = [client.hex()]
    found += [
        tls.expand_label(client, known.prefix + label, b"", size, "sha256").hex()
        for label, size in ((b"key", 16), (b"iv", 12), (b"hp", 16))
    ]
    assert found == [secret, key, iv, hp]


@pytest.mark.parametrize(
    "version, packet",
    [  # RFC 9001 §A.4, RFC 9369 §A.4
        (1, "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba"),
        (0x6B3343CF, "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6"),
    ],
    ids=["RFC 9001", "RFC 9369"],
)
def test_retry_integrity(version: int, packet: str) -> None:
    raw = bytes.fromhex(packet)
    header = quic.long_header(raw, 0)
    assert header is not None and header.kind == quic.RETRY and header.scid.hex() == "f067a5502a4262b5"
    assert ciphers.retry_is_valid(quic.VERSIONS[version], DCID, raw)
    assert not ciphers.retry_is_valid(quic.VERSIONS[version], DCID, raw[:-1] + b"\0")


def test_chacha_short_header() -> None:
    """RFC 9001 §A.5."""
    secret = bytes.fromhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
    packet = bytes.fromhex("4cfe4189655e5cd55c41f69080575d7999c25a5bfb")
    keys = ciphers.PacketKeys(tls.SUITES[0x1303], secret, b"quic ")
    mask = keys.mask(packet[5:21])
    assert mask.hex() == "aefefe7d03"
    header = bytes([packet[0] ^ mask[0] & 0x1F]) + bytes(a ^ b for a, b in zip(packet[1:4], mask[1:4], strict=True))
    assert header.hex() == "4200bff4"
    number = quic.packet_number(0x00BFF4, 3, 654360563)
    assert number == 654360564 and keys.cipher.packet(number, header, packet[4:]) == b"\x01"


@pytest.mark.parametrize(
    "largest, short, size, number",
    [
        (0xA82F30EA, 0x9B32, 2, 0xA82F9B32),
        (-1, 0, 1, 0),
        (255, 0, 1, 256),
        (256, 255, 1, 255),
        (0x1FFF, 0x2000, 2, 0x2000),
    ],
)
def test_packet_numbers(largest: int, short: int, size: int, number: int) -> None:
    assert quic.packet_number(short, size, largest) == number  # RFC 9000 §A.3


@pytest.mark.parametrize(
    "raw, value",
    [("c2197c5eff14e88c", 151288809941952652), ("9d7f3e7d", 494878333), ("7bbd", 15293), ("25", 37), ("4025", 37)],
)
def test_varints(raw: str, value: int) -> None:
    assert quic.varint(bytes.fromhex(raw), 0) == (value, len(raw) // 2)  # RFC 9000 §A.1
