"""Captures that start in the middle, repeat packets however late, or hold them out of order: the same exchanges, or those
of them that can be known, and never one that was not there (RFC 9293 §3.10.7.4)."""

import random
import struct
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.decode import events as ev
from hark.decode import limits
from hark.decode.decoder import Decoder
from hark.decode.past import Past
from hark.decode.reassembly import Reassembly
from hark.recording import blocks
from hark.recording.blocks import Frame

pytestmark = pytest.mark.slow

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
A, B = b"\x0a\0\0\x01", b"\x0a\0\0\x02"


def packet(source: tuple[bytes, int], target: tuple[bytes, int], seq: int, ack: int, flags: int, data: bytes) -> bytes:
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], seq % 2**32, ack % 2**32, 80, flags, 65535, 0, 0) + data
    return struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source[0], target[0]) + tcp


class Talk:
    """One TCP connection as packets; at[side] is the next sequence number."""

    def __init__(self, client: int = 40000, server: int = 80, isn: tuple[int, int] = (1000, 5000)) -> None:
        self.ends = ((A, client), (B, server))
        self.at = [isn[0] + 1, isn[1] + 1]
        self.packets = [
            packet(*self.ends, isn[0], 0, SYN, b""),
            packet(*self.ends[::-1], isn[1], isn[0] + 1, SYN | ACK, b""),
        ]
        self.packets.append(packet(*self.ends, isn[0] + 1, isn[1] + 1, ACK, b""))

    def say(self, side: int, data: bytes, size: int = 1400, flags: int = PSH | ACK) -> "Talk":
        ends = self.ends[::-1] if side else self.ends
        for start in range(0, len(data), size) if data else (0,):
            piece = data[start : start + size]
            self.packets.append(packet(*ends, self.at[side], self.at[1 - side], flags, piece))
            self.at[side] += len(piece)
        self.at[side] += bool(flags & (FIN | SYN))
        return self

    def exchange(self, name: str, body: bytes = b"body", size: int = 1400) -> "Talk":
        self.say(0, f"GET /{name} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode(), size)
        return self.say(1, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body, size)

    def end(self) -> "Talk":
        return self.say(1, b"", flags=FIN | ACK).say(0, b"", flags=FIN | ACK).say(1, b"", flags=ACK)


class Heard:
    """What a decoder makes of packets."""

    def __init__(self, packets: list[bytes]) -> None:
        decoder, events = Decoder(), []
        for time, data in enumerate(packets):
            events += decoder.feed(Frame(time, blocks.RAW, memoryview(data), 0, len(data)))
        events += decoder.finish()
        self.opened = [event for event in events if isinstance(event, ev.Opened)]
        self.closed = [event for event in events if isinstance(event, ev.Closed)]
        self.asked = [event for event in events if isinstance(event, ev.RequestHead)]
        self.answers = [event for event in events if isinstance(event, ev.ResponseHead)]
        self.torn = {(e.conn, e.stream) for e in events if isinstance(e, ev.Trouble) and e.kind == "lost-head"}
        marked = {(e.conn, e.stream) for e in events if isinstance(e, ev.Trouble)}  # a part of a body is missing
        ends = {
            (e.conn, e.stream) for e in events if isinstance(e, ev.MessageEnd) and e.side == ev.Side.SERVER
        } - marked
        bodies: Counter[tuple[int, int]] = Counter()
        for event in events:
            if isinstance(event, ev.BodyData) and event.side == ev.Side.SERVER:
                bodies[event.conn, event.stream] += len(event.data)
        self.whole = Counter((e.target, bodies[e.conn, e.stream]) for e in self.asked if (e.conn, e.stream) in ends)


@pytest.mark.parametrize("again", range(11))
def test_each_packet_again_at_the_end_and_everywhere(again: int) -> None:
    talk = Talk().exchange("1").exchange("2", b"x" * 3000).end()
    truth = Heard(talk.packets)
    assert truth.whole == {("/1", 4): 1, ("/2", 3000): 1}
    again = min(again, len(talk.packets) - 1)
    for at in range(again, len(talk.packets) + 1):
        heard = Heard([*talk.packets[:at], talk.packets[again], *talk.packets[at:]])
        assert (heard.whole, len(heard.opened), len(heard.answers)) == (truth.whole, 1, 2), at


def test_a_whole_connection_again_and_again() -> None:
    talk = Talk().exchange("1").end()
    heard = Heard(talk.packets * 5)
    assert heard.whole == {("/1", 4): 1} and len(heard.opened) == 1


def test_again_after_many_others() -> None:
    talk, others = Talk().exchange("1").end(), []
    for n in range(3000):
        others += Talk(1024 + n, isn=(n, n)).exchange("x").end().packets
    assert len(Heard([*talk.packets, *others, *talk.packets]).opened) == 3001


def test_the_same_ports_with_other_numbers_are_another_connection() -> None:
    one, two = Talk().exchange("1").end(), Talk(isn=(77_000_000, 99_000_000)).exchange("2").end()
    for packets in (
        [*one.packets, *two.packets],
        [*one.packets[:-3], *two.packets],
        [*one.packets, *two.packets, *one.packets],
    ):
        heard = Heard(packets)
        assert heard.whole == {("/1", 4): 1, ("/2", 4): 1} and len(heard.opened) == 2
    late = [*one.packets, *two.packets[:4], *one.packets, *two.packets[4:]]  # within the second one, too
    assert Heard(late).whole == {("/1", 4): 1, ("/2", 4): 1}


def test_the_same_ports_again_where_no_beginning_was_captured() -> None:
    one = Talk(isn=(1, 1)).exchange("1").packets[3:]
    two = Talk(isn=(2_000_000_000, 2_100_000_000)).exchange("2").packets[3:]
    heard = Heard([*one, *two, *one])
    assert heard.whole == {("/1", 4): 1, ("/2", 4): 1} and len(heard.opened) == 2


def test_a_reset_that_comes_again_resets_no_other() -> None:
    one = Talk().exchange("1").say(0, b"", flags=RST)
    two = Talk(isn=(700_000_000, 900_000_000)).exchange("2")
    heard = Heard([*one.packets, *two.packets, one.packets[-1], *two.exchange("3").packets[5:]])
    assert heard.whole == {("/1", 4): 1, ("/2", 4): 1, ("/3", 4): 1} and len(heard.opened) == 2


PORTS = [(40000, 80), (80, 40000), (5000, 5001), (8080, 8080), (1, 65535)]


@pytest.mark.slow
@pytest.mark.parametrize("client, server", PORTS)
@pytest.mark.parametrize("long", [10, 5000, 200_000])
@pytest.mark.parametrize("first", ["request", "response"])
def test_joined_in_the_middle(client: int, server: int, long: int, first: str) -> None:
    """Whichever ports, however long the first line, whoever is seen first."""
    talk = Talk(client, server).exchange("0", b"0" * 3000).exchange("a" * long, b"1" * 3000).exchange("2")
    start = next(n for n, p in enumerate(talk.packets) if b"GET /a" in p)
    heard = Heard(talk.packets[start - (first == "response") :])
    assert heard.whole == {("/" + "a" * long, 3000): 1, ("/2", 4): 1}
    assert [(event.client[1], event.server[1]) for event in heard.opened] == [(client, server)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("client, server", PORTS[:2])
def test_joined_at_a_first_line_in_pieces(client: int, server: int, size: int) -> None:
    talk = Talk(client, server).exchange("0")
    start = len(talk.packets)
    heard = Heard(talk.exchange("1", size=size).packets[start:])
    assert heard.whole == {("/1", 4): 1}
    assert [event.client[1] for event in heard.opened] == [client]


def hpack(*fields: int) -> bytes:
    return bytes(fields)


def frame(kind: int, stream: int, body: bytes, flags: int = 0) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def tls(kind: int, body: bytes) -> bytes:
    message = bytes((kind,)) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


ASKS = {
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "a proxy's": b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a head in pieces": b"DELETE /x/",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, b""),
    "HTTP/2 frames": frame(8, 0, bytes(4)) + frame(1, 3, b"\x82\x86\x84\x41\x8c" + bytes(12), 5),
    "ClientHello": tls(1, b"\x03\x03" + bytes(60)),
    "ClientKeyExchange": tls(16, bytes(66)),
    "Redis": b"*1\r\n$4\r\nPING\r\n",
}
ANSWERS = {
    "HTTP/1": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 404 Not Found\r\n\r\n",
    "HTTP/2 frames": frame(4, 0, b"", 1) + frame(1, 3, b"\x88\x5f\x8b" + bytes(11), 5),
    "ServerHello": tls(2, b"\x03\x03" + bytes(60)),
    "Certificate": tls(11, bytes(900)),
    "SMTP": b"220 mx.test ESMTP\r\n",
}


@pytest.mark.parametrize("port", [80, 40000])
@pytest.mark.parametrize("name", [*ASKS, *(f"{name}." for name in ANSWERS)])
def test_what_a_segment_says_of_its_sender(name: str, port: int) -> None:
    """By content alone, behind something by both ends that says nothing."""
    talk = Talk(port, 120_000 - port - 79_920 if port == 80 else 80)
    data, side = (ANSWERS[name[:-1]], 1) if name.endswith(".") else (ASKS[name], 0)
    for noise in (0, 1):
        talk.say(noise, b"\x93" * 50)
    heard = Heard(talk.say(side, data).packets[3:])
    assert [event.client[1] for event in heard.opened] == [port]


def test_what_says_nothing_is_bounded_and_falls_back_on_the_ports() -> None:
    talk = Talk(80, 40000)
    for _ in range(200):
        talk.say(0, b"\x93" * 1400).say(1, b"\x94" * 1400)
    heard = Heard(talk.packets[3:])
    assert [(e.client[1], e.server[1]) for e in heard.opened] == [(40000, 80)]
    assert [(e.sent, e.received) for e in heard.closed] == [(280_000, 280_000)]
    told = Heard(talk.exchange("late").packets[3:])  # and what does say it comes as late as it likes
    assert told.whole == {("/late", 4): 1} and [e.client[1] for e in told.opened] == [80]


def scene(dice: random.Random) -> tuple[list[list[bytes]], Counter[tuple[str, int]]]:
    """Connections, some on the same ports behind each other, and what was exchanged."""
    talks, truth = [], Counter()
    for n in range(dice.randint(1, 4)):
        ports = dice.choice(PORTS[:2])
        talk = Talk(*ports, isn=(dice.getrandbits(32), dice.getrandbits(32)))
        for m in range(dice.randint(1, 4)):
            body = bytes([97 + m]) * dice.choice((0, 3, 3000))
            talk.exchange(f"{n}.{m}", body, dice.choice((7, 100, 1400)))
            truth[f"/{n}.{m}", len(body)] += 1
        talks.append(dice.choice((talk.end, lambda talk=talk: talk.say(0, b"", flags=RST | ACK)))().packets)
    return talks, truth


@settings(max_examples=150, deadline=None)
@given(st.integers())
def test_repeats_at_random_change_nothing(seed: int) -> None:
    dice = random.Random(seed)
    talks, truth = scene(dice)
    packets = [one for talk in talks for one in talk]
    for _ in range(dice.randint(1, 20)):
        at = dice.randrange(len(packets))
        copy = bytearray(packets[at])
        copy[4:6], copy[8] = dice.randbytes(2), dice.randrange(1, 255)  # another identification, another TTL
        packets.insert(dice.randint(at + 1, len(packets)), bytes(copy))
    heard = Heard(packets)
    assert heard.whole == truth
    assert len(heard.opened) == len(talks) and len(heard.asked) == len(heard.answers) == truth.total()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers())
def test_cut_repeated_and_out_of_order_nothing_is_invented(seed: int) -> None:
    dice = random.Random(seed)
    talks, truth = scene(dice)
    packets = [one for talk in talks for one in talk]
    del packets[: dice.randrange(len(packets))]
    for _ in range(dice.randint(0, 10)):
        at = dice.randrange(len(packets))
        packets.insert(dice.randint(at, len(packets)), packets[at])
    for _ in range(dice.randint(0, 3)):
        at = dice.randrange(len(packets))
        packets.insert(max(at - dice.randint(1, 3), 0), packets.pop(at))
    heard = Heard(packets)
    assert not heard.whole - truth
    names = Counter(name for name, _ in truth.elements())
    assert not Counter(e.target for e in heard.asked if (e.conn, e.stream) not in heard.torn) - names
    for event in heard.asked:  # a response that overtook its request makes a head that is marked as cut
        assert any(name.startswith(event.target) for name in names)
    assert len(heard.opened) <= len(talks)


def test_what_is_remembered_of_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAST", 10)
    past, halves = Past(), (Reassembly(), Reassembly())
    for half in halves:
        half.start(0)
    keys = [struct.pack("!4s4sHH", A, B, n, 80) for n in range(30)]
    for key in keys * limits.PAST_EACH * 2:
        past.add(key, halves)
    assert [past.holds(key, 1, 1, ACK) for key in keys] == [False] * 20 + [True] * 10
    assert all(len(one) <= 32 * limits.PAST_EACH for one in past._ended.values())
    assert len(list(pairwise(past._ended))) == 9
