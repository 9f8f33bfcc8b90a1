"""TLS: real conversations out of the golden recordings, all ways; hostile ones never raise."""

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allways import CLOSED, C, S, Script, all_ways, play, render
from hark.decode import events as ev
from hark.decode.decoder import Decoder
from hark.decode.endings import Ending, How
from hark.decode.events import Side
from hark.decode.keyring import Keyring
from hark.decode.sessions import Sessions
from hark.decode.tls import Tls
from hark.recording.blocks import Frame, Secrets
from hark.recording.reader import read
from hark.wire import ip

RECORDINGS = pathlib.Path(__file__).parent.parent.parent / "recordings"


class Plain:
    """The layer inside: tells the plaintext as a body, and what ALPN chose."""

    def feed(self, side: Side, data: bytes, time: int) -> list[ev.Event]:
        return [ev.BodyData(1, 1, side, time, bytes(data))]

    def expect(self, alpn: str, time: int) -> list[ev.Event]:
        return [ev.Protocol(1, time, alpn)]

    def lost(self, side: Side, size: int, time: int) -> list[ev.Event]:
        return []

    def end(self, side: Side, how: How, time: int) -> list[ev.Event]:
        return [ev.MessageEnd(1, 1, side, time, ())]

    def close(self, ending: Ending) -> list[ev.Event]:
        return []


def conversation(name: str) -> tuple[Script, bytes]:
    """The first TLS connection of a recording: what each side sent, in order, and all secrets."""
    script: list[tuple[Side, bytes]] = []
    keys, client = b"", None
    with open(RECORDINGS / f"{name}.pcapng", "rb") as file:
        for block in read(file, name):
            if isinstance(block, Secrets):
                keys += block.text
            elif isinstance(block, Frame):
                data = bytes(block.data)
                packet = ip.parse(data)
                if packet is None or packet.proto != ip.TCP:
                    continue
                segment = ip.tcp(data, packet.start, packet.end)
                assert segment is not None
                ends = frozenset({(packet.src, segment.sport), (packet.dst, segment.dport)})
                if client is None and segment.flags & ip.SYN:
                    client = (ends, (packet.src, segment.sport))
                payload = data[segment.start : packet.end]
                if payload and client is not None and ends == client[0]:
                    script.append((C if (packet.src, segment.sport) == client[1] else S, payload))
    return script, keys


def layer(keys: bytes) -> Tls:
    ring = Keyring()
    ring.add(keys, "test")
    return Tls(1, Sessions(ring), Plain())


TOLD = {
    "curl-h2-tls13": "tls TLS 1.3 TLS_AES_256_GCM_SHA384 sni=site.test alpn=h2 resumed=False",
    "curl-h1-tls12": "tls TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 sni=six.test alpn=http/1.1 resumed=False",
    "curl-chacha-tls13": "tls TLS 1.3 TLS_CHACHA20_POLY1305_SHA256 sni=site.test alpn=h2 resumed=False",
    "key-update-tls13": "tls TLS 1.3 TLS_AES_256_GCM_SHA384 sni= alpn= resumed=False",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOLD)
def test_all_ways(name: str) -> None:
    script, keys = conversation(name)
    assert TOLD[name] in all_ways(lambda: layer(keys), script)


@pytest.mark.parametrize("name", TOLD)
def test_keys_at_any_moment(name: str) -> None:
    """The plaintext is the same whenever the secrets come: before any turn, after the last, after the close."""
    script, keys = conversation(name)
    whole = sorted(play(lambda: layer(keys), script))
    for when in range(len(script) + 2):
        ring = Keyring()
        tls = Tls(1, Sessions(ring), Plain())
        events: list[ev.Event] = []
        for time, (side, data) in enumerate(script):
            if time == when:
                ring.add(keys, "test")
                events += tls.secrets()
            events += tls.feed(side, data, time)
        if when == len(script):
            ring.add(keys, "test")
            events += tls.secrets()
        events += tls.close(CLOSED)
        if when > len(script):
            assert tls.waiting
            ring.add(keys, "test")
            events += tls.secrets()
        assert sorted(render(events)) == whole, when


def test_without_keys_it_is_sealed_and_counted() -> None:
    script, _ = conversation("curl-h2-tls13")
    tls = layer(b"")
    for time, (side, data) in enumerate(script):
        assert not [event for event in tls.feed(side, data, time) if isinstance(event, ev.BodyData)]
    assert not tls.close(CLOSED) and tls.waiting
    assert [line.partition(" bytes")[2] for line in render(tls.abandon())] == [": no secrets for it came"]


def test_wrong_keys_are_told() -> None:
    script, keys = conversation("curl-h2-tls13")
    wrong = b"\n".join(line[:-4] + b"0000" for line in keys.splitlines())
    lines = play(lambda: layer(wrong), script)
    assert any("the secrets given do not open it (bad record mac)" in line for line in lines)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutilated_conversations_never_raise(data: st.DataObject) -> None:
    script, keys = conversation(data.draw(st.sampled_from(sorted(TOLD))))
    script = list(script)
    index = data.draw(st.integers(0, len(script) - 1))
    side, raw = script[index]
    at = data.draw(st.integers(0, len(raw)))
    script[index] = (side, raw[:at] + data.draw(st.binary(max_size=6)) + raw[at + data.draw(st.integers(0, 40)) :])
    play(lambda: layer(keys), script)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutilated_recordings_never_raise(data: st.DataObject) -> None:
    """The whole decoder under flipped, dropped, doubled, swapped and cut packets."""
    name = data.draw(st.sampled_from(["curl-h2-tls13", "curl-h1-tls12", "pipelined", "curl-h2c-upgrade", "node-http2"]))
    with open(RECORDINGS / f"{name}.pcapng", "rb") as file:
        blocks = [
            block._replace(data=memoryview(bytes(block.data))) if isinstance(block, Frame) else block
            for block in read(file, name)
        ]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(blocks) - 1))
        how = data.draw(st.sampled_from(["flip", "drop", "double", "swap", "cut"]))
        block = blocks[at]
        if how == "drop":
            del blocks[at]
        elif how == "double":
            blocks.insert(at, block)
        elif how == "swap" and at:
            blocks[at - 1], blocks[at] = blocks[at], blocks[at - 1]
        elif isinstance(block, Frame) and len(block.data) > 1:
            raw = bytearray(block.data)
            where = data.draw(st.integers(0, len(raw) - 1))
            if how == "flip":
                raw[where] ^= data.draw(st.integers(1, 255))
            else:
                del raw[where:]
            blocks[at] = block._replace(data=memoryview(bytes(raw)))
        if not blocks:
            return
    decoder = Decoder()
    for block in blocks:
        decoder.feed(block)
    decoder.finish()


def record(kind: int, body: bytes) -> bytes:
    return b"\x16\x03\x03" + (len(body) + 4).to_bytes(2, "big") + bytes([kind]) + len(body).to_bytes(3, "big") + body


def test_a_suite_of_another_version_is_not_opened() -> None:
    """Found by fuzzing: TLS 1.3 with a suite of TLS 1.2, whose key has another size."""
    keys = b"SERVER_HANDSHAKE_TRAFFIC_SECRET " + bytes(32).hex().encode() + b" " + bytes(32).hex().encode()
    for suite in (b"\0\x01", b"\xc0\x2f", b"\xcc\xa8"):
        client = record(1, b"\x03\x03" + bytes(32) + b"\0\0\2" + suite + b"\1\0")
        server = record(2, b"\x03\x03" + bytes(32) + b"\0" + suite + b"\0\0\6\0\x2b\0\2\3\4")
        heard = play(lambda: layer(keys), [(C, client), (S, server), (S, b"\x17\x03\x03\0\x20" + bytes(32))])
        assert not [line for line in heard if "sealed" not in line]


def test_a_second_hello_of_another_version_ends_the_telling() -> None:
    """Found by fuzzing: a ServerHello of TLS 1.2, then one of TLS 1.3."""

    def record(kind: int, body: bytes) -> bytes:
        return (
            b"\x16\x03\x03" + (len(body) + 4).to_bytes(2, "big") + bytes([kind]) + len(body).to_bytes(3, "big") + body
        )

    client = record(1, b"\x03\x03" + bytes(32) + b"\0\0\2\x13\1\1\0")
    old = record(2, b"\x03\x03" + bytes(32) + b"\0\x13\1\0")
    new = record(2, b"\x03\x03" + bytes(32) + b"\0\x13\1\0\0\6\0\x2b\0\2\3\4")
    keys = b"CLIENT_TRAFFIC_SECRET_0 " + bytes(32).hex().encode() + b" " + bytes(32).hex().encode()
    data = b"\x17\x03\x03\0\x20" + bytes(32)
    heard = play(lambda: layer(keys), [(C, client), (S, old), (S, new), (S, data)])
    assert heard[0] == "encrypted 32 bytes: its handshake contradicts itself"
