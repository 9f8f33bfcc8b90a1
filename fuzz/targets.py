"""Coverage-guided fuzzing of everything that reads bytes from a peer or a file (atheris, libFuzzer).

usage: python fuzz/targets.py TARGET [SECONDS]        needs `pip install atheris`; `make fuzz` runs them all

A target fails by any exception, by taking longer than libFuzzer's timeout, or by needing more memory than its limit.
Each is fed what the committed recordings hold as its first corpus.
"""

import io
import json
import pathlib
import re
import sys

import atheris

with atheris.instrument_imports(include=["hark"]):
    from hark.decode import aria, ciphers  # noqa: F401  (loaded here so that it is instrumented)
    from hark.decode.channel import Channel, Opaque
    from hark.decode.context import Context
    from hark.decode.decoder import Decoder
    from hark.decode.endings import Ending, How
    from hark.decode.events import Opened, Protocol, RequestHead, ResponseHead, Side
    from hark.decode.hpack import Decoder as Hpack
    from hark.decode.http1 import Http1
    from hark.decode.http2 import Http2
    from hark.decode.http3 import Http3
    from hark.decode.huffman import CompressionError
    from hark.decode.keyring import Keyring
    from hark.decode.layer import Upgrade
    from hark.decode.qpack import Decoder as Qpack
    from hark.decode.quic import Quic
    from hark.decode.sessions import Sessions
    from hark.decode.tls import Tls
    from hark.decode.websocket import Websocket
    from hark.errors import HarkError
    from hark.frontends.devtools import commands, events
    from hark.frontends.devtools.history import History
    from hark.frontends.ui import details
    from hark.frontends.ui.rows import Rows
    from hark.model.book import Book
    from hark.model.changes import Ended
    from hark.model.charset import bytes_of
    from hark.model.charset import read as read_text
    from hark.model.codings import Decoder as Codings
    from hark.model.streams import DnsMessage, EventStream, Grpc
    from hark.recording.blocks import Entry, Frame
    from hark.recording.reader import read
    from hark.views.curl import command
    from hark.views.entries import encode
    from hark.views.entry import entry
    from hark.views.feed import Changes, Feed
    from hark.views.grep import Grep
    from hark.views.redaction.entry import Redaction
    from hark.views.summary import Summary
    from hark.views.terminal import Terminal
    from hark.views.waterfall import Waterfall
    from hark.wire import dns, http2, ip, protobuf, quic, tls, websocket  # noqa: F401

C, S = Side.CLIENT, Side.SERVER
HOWS = tuple(How)
LINKS = (101, 1, 113, 252, 276, 105, 127, 0, 108, 9, 50, 51, 107, 119, 239, 192)
ZERO = bytes(32).hex()
KEYS = f"CLIENT_RANDOM {ZERO} {bytes(48).hex()}\n" + "".join(  # for a client random of zeros, which is easily found
    f"{label} {ZERO} {bytes(32).hex()}\n"
    for label in (
        "CLIENT_EARLY_TRAFFIC_SECRET", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0",
    )
)  # fmt: skip
SIDES = (C, S)


def context() -> Context:
    """One that has keys."""
    made = Context()
    made.sessions = sessions()
    return made


def sessions() -> Sessions:
    """The table of sessions, with some keys."""
    ring = Keyring()
    ring.add(KEYS.encode(), "fuzz")
    return Sessions(ring)


def turns(data: bytes):
    """The data as (side, bytes) turns: the first byte of each says whose it is and how long."""
    at = 0
    while at < len(data):
        head = data[at]
        size = (head & 0x7F) * 8 + 1
        yield SIDES[head >> 7], data[at + 1 : at + 1 + size]
        at += 1 + size


def plain(upgrade, time):
    return Opaque(), (Protocol(1, time, upgrade.token),)


def play(layer, data: bytes) -> None:
    book = Book(1 << 16)
    for time, (side, piece) in enumerate(turns(data), 1):
        tell(book, layer.feed(side, piece, time) if piece else layer.lost(side, 7, time))
    first = SIDES[len(data) & 1]
    tell(book, layer.end(first, HOWS[len(data) % len(HOWS)], 1 << 40))
    tell(book, layer.close(over(len(data) >> 1)))


def over(dice: int) -> Ending:
    """Some end of a connection."""
    return Ending((*SIDES, None)[dice % 3], HOWS[dice % len(HOWS)], 1 << 40, "why" if dice & 4 else "")


def tell(book: Book, events) -> None:
    for change in book.feed(events):
        if isinstance(change, Ended):
            encode(entry(change.exchange))


def frames(data: bytes) -> None:
    """Packets, two bytes of length in front of each, through the whole stack."""
    decoder, book, at, time = Decoder(), Book(1 << 16), 0, 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big") % 2000
        packet = data[at + 2 : at + 2 + size]
        time += 1
        tell(book, decoder.feed(Frame(time, LINKS[data[at] >> 4], memoryview(packet), 0, size)))
        at += 2 + size
    tell(book, decoder.finish())


def recording(data: bytes) -> None:
    """A file, decoded and told."""
    decoder, book = Decoder(), Book(1 << 16)
    try:
        for block in read(io.BytesIO(data), "fuzz"):
            tell(book, decoder.feed(block))
    except HarkError:
        return
    tell(book, decoder.finish())


def show(changes) -> None:
    """Changes, by every view there is; a feed of them by every view behind one."""
    lines: list[bytes] = []
    views = [
        Feed(lines.append),
        Terminal(lines_out, 2, True, 80, None, Grep(["a.*e"])),
        Summary(lines_out),
        Waterfall(lines_out),
    ]
    for change in changes:
        for view in views:
            view.change(change)
        if isinstance(change, Ended):
            told = entry(change.exchange)
            command(change.exchange)
            once = Redaction(b"salt").entry(told)
            assert Redaction(b"another").entry(once) == once
    for view in views:
        view.tick(1 << 61)
        view.end()
    again, history, rows = Changes(), History(lambda record, data: None), Rows()
    for line in b"".join(lines).splitlines():
        told = json.loads(line)
        again.change(told)
        history.feed(told, line)
        rows.feed(line)
    for text in ("status:4xx a", "host:x", "type:json"):
        rows.filter(text)
    for row in rows.all:
        told = rows.entry(row)
        for look in (details.headers, details.request_body, details.response_body, details.timing, details.connection):
            if told is not None:
                look(told)
        for method in ("Network.getResponseBody", "Network.getRequestPostData", "Network.searchInResponseBody"):
            try:
                commands.answer(method, {"requestId": events.identity(row.n), "query": "a"}, history)
            except commands.Refused:
                continue


def lines_out(data: bytes) -> None:
    """A terminal: nothing that it would act on, but the colours that are ours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", data.decode("utf-8", "surrogateescape"))
    assert not [sign for sign in text if (sign < " " and sign not in "\n\t") or "\x7f" <= sign < "\xa0"], text


def archive(data: bytes) -> None:
    """A HAR file's entries, by every view."""
    book, changes = Book(1 << 16, True), []
    try:
        for block in read(io.BytesIO(b'{"log":{"entries":[' + data if data[:1] > b"\x80" else data), "fuzz"):
            changes += book.feed([block]) if isinstance(block, Entry) else []
    except HarkError:
        return
    show(changes)


def shown(data: bytes) -> None:
    """What a peer says by HTTP/1, by every view."""
    book, layer, changes = Book(1 << 16, True), Http1(1, plain), []
    changes += book.feed([Opened(1, 0, ("::1", 1), ("::2", 2), 3)])
    for time, (side, piece) in enumerate(turns(data), 1):
        changes += book.feed(layer.feed(side, piece, time))
    changes += [*book.feed(layer.end(C, How.FIN, 1 << 40)), *book.feed(layer.close(over(len(data))))]
    show(changes)


def socket(data: bytes) -> None:
    """WebSocket frames, compressed."""
    request = RequestHead(1, 1, 0, 0, "GET", "/", "", "", "HTTP/1.1", (), 0)
    extensions = ((b"sec-websocket-extensions", b"permessage-deflate"),) if data[:1] > b"\x80" else ()
    response = ResponseHead(1, 1, 0, 0, 101, "", "HTTP/1.1", extensions, 0, True)
    play(Websocket(1, Upgrade("websocket", request, response), SIDES), data[1:])


def bodies(data: bytes) -> None:
    """Content codings, whole and in pieces alike; charsets, back to the bytes where they say so."""
    names = ("gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip")
    coding = names[data[0] % len(names)] if data else ""
    whole, cut = Codings(coding, 1 << 16), Codings(coding, 1 << 16)
    out = whole.feed(data[1:]) + whole.end()
    pieces = b"".join(cut.feed(data[at : at + 9]) for at in range(1, len(data), 9)) + cut.end()
    assert pieces == out or whole.cut or cut.cut, coding
    for label in ("utf-8", "windows-1251", "shift_jis", "gb18030", "utf-16le", "iso-2022-jp", ""):
        found = read_text(data, f"text/html; charset={label}")
        if found is not None:
            bytes_of(found.text, found.charset, "text/html")


def compression(data: bytes) -> None:
    """HPACK, QPACK."""
    hpack, qpack = Hpack(1 << 16, 1 << 16, data[:1] > b"\x80"), Qpack(1 << 16)
    qpack.allow(4096)
    for side, piece in turns(data[1:]):
        try:
            if side == S:
                hpack.decode(piece)
            elif piece[:1] > b"\x80":
                qpack.feed(piece[1:])
            else:
                qpack.decode(piece[1:])
        except CompressionError:
            continue


def http3(data: bytes) -> None:
    """HTTP/3 streams."""
    layer, book = Http3(1, plain), Book(1 << 16)
    for time, (side, piece) in enumerate(turns(data), 1):
        stream = (0, 4, 2, 3, 6, 7, 10, 11)[piece[0] & 7] if piece else 0
        if piece and piece[0] >> 3 == 31:
            tell(book, layer.reset(side, stream, 0x10C, bool(time & 1), time))
        else:
            tell(book, layer.feed(side, stream, piece[1:], bool(piece[:1] and piece[0] & 0x80), time))
    tell(book, layer.close(over(len(data))))


def packets(data: bytes) -> None:
    """QUIC datagrams; the frames in them, as if they had been opened."""
    layer = Quic(1, Sessions(), lambda alpn, time: (Http3(1, plain), ()))
    for time, (side, piece) in enumerate(turns(data), 1):
        layer.feed(side, piece, time, 8)
        layer._frames(side, (quic.INITIAL, quic.HANDSHAKE, quic.ONE_RTT)[time % 3], piece, time, [])
    layer.close(over(len(data)))


def values(data: bytes) -> None:
    """Single messages."""
    dns.parse(data)
    tls.client_hello(data)
    tls.server_hello(data)
    tls.certificates(data, 0x0304)
    tls.certificates(data, 0x0303)
    tls.encrypted_alpn(data)
    protobuf.message(data)
    quic.long_header(data, 0)
    http2.are_frames(data)
    ip.parse(data)
    for talk in (
        EventStream(1, 1, ""),
        EventStream(1, 1, "gzip"),
        Grpc(1, 1, S, "application/grpc-web-text", "gzip", 9),
    ):
        try:
            talk.feed(data, 1)
        except ValueError:
            continue
    answer = DnsMessage()
    answer.feed(data[:60000], 1)
    answer.answer(1, 2, 3)


TARGETS = {
    "frames": frames,
    "recording": recording,
    "archive": archive,
    "shown": shown,
    "channel": lambda data: play(Channel(context(), 1, 0, data[:1] > b"\x80"), data[1:]),
    "http1": lambda data: play(Http1(1, plain), data),
    "http2": lambda data: play(Http2(1, plain, joined=data[:1] > b"\x80"), data[1:]),
    "http3": http3,
    "tls": lambda data: play(Tls(1, sessions(), Channel(context(), 1, 1)), data),
    "quic": packets,
    "websocket": socket,
    "bodies": bodies,
    "compression": compression,
    "values": values,
}


def main() -> None:
    """Run one target for so many seconds."""
    name = sys.argv[1]
    seconds = sys.argv[2] if len(sys.argv) > 2 else "600"
    corpus = pathlib.Path("fuzz/corpus") / name
    corpus.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-max_len=65536",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], str(corpus), "recordings", *options], TARGETS[name])
    atheris.Fuzz()


main()
