"""One QUIC connection, opened passively with secrets that others gave (RFC 9000, RFC 9001, RFC 9369).

What   Datagrams of both directions in; packets are unmasked and opened level by level, CRYPTO and STREAM frames are put
       in order, the handshake is read as far as it says how to go on, and streams go to the layer inside.
Why    Initial packets open with what stands in them; the other levels' keys have one label each, as in TLS 1.3.
Late   A packet whose key is not there yet is parked with all that follows (but Initials), and taken up again in the
keys   same order when secrets come: so a response follows its request whenever the secrets came.
Limits PARKED_BYTES a connection; QUIC_STREAMS open; QUIC_WAITING bytes behind holes. A packet that does not open is
       passed over, as an endpoint does (§9.5 of RFC 9001): anybody can send datagrams.
Not    acknowledgements and flow control, which say nothing about what was said; verifying stateless resets.
"""

from collections.abc import Callable, Sequence

from hark.decode import ciphers, limits
from hark.decode.endings import Ending, How
from hark.decode.events import Alert, Event, Sealed, Side, Trouble
from hark.decode.handshake import Handshake
from hark.decode.keyring import Budget, Keyring
from hark.decode.layer import Streams
from hark.decode.parked import Parked
from hark.decode.reassembly import Piece, Reassembly
from hark.wire import http3, quic, tls

_LEVELS = {quic.INITIAL: 0, quic.ZERO_RTT: 2, quic.HANDSHAKE: 1, quic.ONE_RTT: 2}  # packet number spaces (§12.3)
_LABELS = {
    (Side.CLIENT, quic.ZERO_RTT): "CLIENT_EARLY_TRAFFIC_SECRET",
    (Side.CLIENT, quic.HANDSHAKE): "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    (Side.SERVER, quic.HANDSHAKE): "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    (Side.CLIENT, quic.ONE_RTT): "CLIENT_TRAFFIC_SECRET_0",
    (Side.SERVER, quic.ONE_RTT): "SERVER_TRAFFIC_SECRET_0",
}
_INITIAL_SUITE = tls.SUITES[0x1301]  # RFC 9001 §5: AES-128-GCM with SHA-256

Inside = Callable[[str, int], tuple[Streams, Sequence[Event]]]


class _Stream:
    """One direction of a stream, or a level's CRYPTO data: bytes by offset to bytes in order."""

    __slots__ = ("bytes", "end")

    def __init__(self) -> None:
        self.bytes = Reassembly()
        self.bytes.start(-1)
        self.end = -1  # its whole size, once that is known


class _Past:
    """Which streams of one type are finished: nearly all below some number, so few have to be remembered."""

    __slots__ = ("_above", "_floor")

    def __init__(self) -> None:
        self._floor = 0
        self._above: set[int] = set()

    def add(self, number: int) -> None:
        self._above.add(number)
        if len(self._above) > limits.QUIC_STREAMS:
            self._floor = max(self._above) - limits.QUIC_STREAMS // 2
            self._above = {n for n in self._above if n >= self._floor}
        while self._floor in self._above:
            self._above.remove(self._floor)
            self._floor += 1

    def __contains__(self, number: int) -> bool:
        return number < self._floor or number in self._above


class _Half:
    """One direction of the connection."""

    def __init__(self) -> None:
        self.largest = [-1, -1, -1]  # packet number by space
        self.crypto = [_Stream(), _Stream(), _Stream()]
        self.messages = [b"", b"", b""]  # the beginning of a handshake message
        self.keys: dict[int, ciphers.Packets] = {}
        self.phase = 0
        self.phase_from = 0  # the first packet number of the present key phase
        self.old: ciphers.QuicAead | None = None
        self.next: ciphers.QuicAead | None = None
        self.streams: dict[int, _Stream] = {}
        self.finished = tuple(_Past() for _ in range(4))  # by the type in a stream number's last two bits
        self.size = 0  # bytes of datagrams


_Waiting = tuple[Side, int, int, bytes, int]  # by whom, kind, offset of the packet number, the packet, when


class Quic(Parked[_Waiting]):
    """One connection. number: of its events; `inside` makes the layer for the ALPN protocol that was chosen."""

    def __init__(self, number: int, keyring: Keyring, budget: Budget, inside: Inside) -> None:
        super().__init__(budget)
        self.number = number
        self._shake = Handshake(number, keyring)
        self.ids = self._shake.ids
        self.new_ids: list[tuple[Side, bytes]] = []  # connection ids by which a side is reached, for the front door
        self._keyring = keyring
        self._make_inside = inside
        self._inside: Streams | None = None
        self._halves = (_Half(), _Half())
        self._original = b""  # what Initial keys come from: the client's first destination, or the Retry's source
        self._initial: dict[int, tuple[ciphers.Packets, ciphers.Packets]] = {}  # by version number
        self._version = 0
        self._first_version = 0  # of the client's first packet: 0-RTT is sent in this one
        self._begun = 0
        self._agreed = self._finished = False  # the server's extensions, the client's Finished were read
        self._done = 0
        self._source = ""
        self._waiting_bytes = 0
        self._opened = 0  # packets of 1-RTT or 0-RTT that did
        self._ended: Ending | None = None  # the CONNECTION_CLOSE that ended it

    # -- datagrams -----------------------------------------------------------------------------------------------------

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of datagrams by the client and by the server."""
        return self._halves[0].size, self._halves[1].size

    @property
    def over(self) -> Ending | None:
        """The CONNECTION_CLOSE that ended it."""
        return self._ended

    @property
    def begun(self) -> bool:
        """Whether the client's first packet could be opened."""
        return bool(self._begun)

    def feed(self, side: Side, data: bytes, time: int, id_size: int) -> Sequence[Event]:
        """A datagram by `side`. id_size: bytes of the destination's connection id in a short header."""
        out: list[Event] = []
        self._halves[side].size += len(data)
        at = 0
        while at < len(data) and self._ended is None:
            if data[at] & 0x80:
                header = quic.long_header(data, at)
                if header is None:
                    break
                end, id_size = header.end, len(header.dcid)  # all in one datagram are for the same id (§12.2)
                if header.kind == quic.RETRY:
                    self._retry(side, header, data[at:])
                elif header.kind == quic.NEGOTIATION:
                    self._begin_anew(b"")  # with another version
                else:
                    packet = data[at:end]
                    self._take(side, header.kind, header.number_at - at, packet, time, header, out)
                at = end
            elif data[at] & 0x40:
                self._take(side, quic.ONE_RTT, 1 + id_size, data[at:], time, None, out)
                break
            else:
                break
        return out

    def _retry(self, side: Side, header: quic.Header, packet: bytes) -> None:
        version = quic.VERSIONS[header.version]
        if side == Side.SERVER and self._original and ciphers.retry_is_sound(version, self._original, packet):
            self._begin_anew(header.scid)
            self.new_ids.append((Side.SERVER, header.scid))

    def _begin_anew(self, original: bytes) -> None:
        """The client will start over: perhaps with another ClientHello, though RFC 9000 §17.2.5.2 wants the same."""
        self._original = original
        self._initial.clear()
        client = self._halves[Side.CLIENT]
        client.largest[0] = -1
        client.messages[0] = b""
        client.crypto[0] = _Stream()

    def _take(
        self, side: Side, kind: int, at: int, packet: bytes, time: int, header: quic.Header | None, out: list[Event]
    ) -> None:
        if kind == quic.INITIAL and header is not None:
            self._take_initial(side, at, packet, time, header, out)
        elif self._dead:
            self._count_sealed(kind, packet)
        elif (self._parked and not self._apart) or not self._open(side, kind, at, packet, time, out):
            self._park((side, kind, at, packet, time), len(packet))

    def _count_sealed(self, kind: int, packet: bytes) -> None:
        self._sealed += _application_bytes(kind, packet)

    def _again(self, item: _Waiting, out: list[Event]) -> None:
        side, kind, at, packet, time = item
        self._take(side, kind, at, packet, time, None, out)

    def _closed_bytes(self, item: _Waiting) -> int:
        return _application_bytes(item[1], item[3])

    def _missing(self) -> str:
        return self._shake.missing()

    def _over(self, ending: Ending) -> Sequence[Event]:
        out: list[Event] = []
        time = ending.time
        self._give_up_holes(time, out)
        if self._sealed and not self._opened:
            why = self._dead or "the secrets given do not open it"
            out.append(Sealed(self.number, time, self._shake.sni, self._name(), self._sealed, why))
        if self._inside is not None:
            out.extend(self._inside.close(ending))
        return out

    # -- packets -------------------------------------------------------------------------------------------------------

    def _take_initial(
        self, side: Side, at: int, packet: bytes, time: int, header: quic.Header, out: list[Event]
    ) -> None:
        if not self._original:
            if side == Side.SERVER:
                return
            self._original = header.dcid
        for dcid in (self._original, header.dcid):
            keys = self._initial_keys(header.version, dcid)
            plain = self._unprotect(self._halves[side], 0, keys[side], keys[side].opener, at, packet)
            if plain is not None:
                break
            if side == Side.SERVER or dcid == header.dcid:
                return
        assert plain is not None
        if dcid != self._original:  # the client has begun anew, and why was not captured
            self._original = dcid
            self._initial = {header.version: keys}
        if not self._begun:
            self._begun = time
        if side == Side.SERVER or not self._version:  # a server may answer in another one (RFC 9368 §2.3)
            self._version = header.version
            self._first_version = self._first_version or header.version
        if header.scid:
            self.new_ids.append((side, header.scid))
        self._frames(side, quic.INITIAL, plain, time, out)

    def _initial_keys(self, number: int, dcid: bytes) -> tuple[ciphers.Packets, ciphers.Packets]:
        keys = self._initial.get(number) if dcid == self._original else None
        if keys is None:
            version = quic.VERSIONS[number]
            client, server = quic.initial_secrets(version, dcid)
            keys = (
                ciphers.Packets(_INITIAL_SUITE, client, version.prefix),
                ciphers.Packets(_INITIAL_SUITE, server, version.prefix),
            )
            if dcid == self._original:
                self._initial[number] = keys
        return keys

    def _keys(self, side: Side, kind: int) -> ciphers.Packets | None:
        half = self._halves[side]
        found = half.keys.get(kind)
        if found is None and self._shake.suite is not None:
            key = self._keyring.get(self._shake.client_random)
            secret = key.secrets.get(_LABELS.get((side, kind), ""), b"") if key is not None else b""
            if key is None or len(secret) != tls.hash_size(self._shake.suite.hash):
                return None
            version = self._first_version if kind == quic.ZERO_RTT else self._version
            found = half.keys[kind] = ciphers.Packets(self._shake.suite, secret, quic.VERSIONS[version].prefix)
            self._source = key.source
        return found

    def _open(self, side: Side, kind: int, at: int, packet: bytes, time: int, out: list[Event]) -> bool:
        """Deal with one packet; False where it has to wait for a key."""
        keys = self._keys(side, kind)
        half = self._halves[side]
        if keys is None:
            key = self._keyring.get(self._shake.client_random)
            late = self._shake.suite is not None and key is not None and "CLIENT_TRAFFIC_SECRET_0" in key.secrets
            if self._apart or (kind == quic.ZERO_RTT and late):
                self._count_sealed(kind, packet)  # libraries that log the early secret do so first
                return True
            return False
        if kind == quic.ONE_RTT:
            plain = self._unprotect_phase(half, keys, at, packet)
        else:
            plain = self._unprotect(half, _LEVELS[kind], keys, keys.opener, at, packet)
        if plain is None:
            self._count_sealed(kind, packet)
            return True
        if _LEVELS[kind] == 2:
            self._opened += 1
        self._frames(side, kind, plain, time, out)
        return True

    def _unmask(
        self, half: _Half, space: int, keys: ciphers.Packets, at: int, packet: bytes
    ) -> tuple[int, bytes] | None:
        """(packet number, the header without its protection) (RFC 9001 §5.4)."""
        sample = packet[at + 4 : at + 20]
        if len(sample) < 16:
            return None
        mask = keys.mask(sample)
        first = packet[0] ^ (mask[0] & (0x0F if packet[0] & 0x80 else 0x1F))
        size = (first & 3) + 1
        short = int.from_bytes(packet[at : at + size], "big") ^ int.from_bytes(mask[1 : 1 + size], "big")
        number = quic.packet_number(short, size, half.largest[space])
        return number, bytes([first]) + packet[1:at] + short.to_bytes(size, "big")

    def _unprotect(
        self, half: _Half, space: int, keys: ciphers.Packets, opener: ciphers.QuicAead, at: int, packet: bytes
    ) -> bytes | None:
        unmasked = self._unmask(half, space, keys, at, packet)
        if unmasked is None:
            return None
        number, header = unmasked
        plain = opener.packet(number, header, memoryview(packet)[len(header) :])
        if plain is not None and number > half.largest[space]:
            half.largest[space] = number
        return plain

    def _unprotect_phase(self, half: _Half, keys: ciphers.Packets, at: int, packet: bytes) -> bytes | None:
        """A 1-RTT packet, whose key phase bit may tell of a key update (RFC 9001 §6)."""
        unmasked = self._unmask(half, 2, keys, at, packet)
        if unmasked is None:
            return None
        number, header = unmasked
        body = memoryview(packet)[len(header) :]
        if header[0] >> 2 & 1 == half.phase:
            plain = keys.opener.packet(number, header, body)
        elif half.old is not None and number < half.phase_from:
            plain = half.old.packet(number, header, body)  # it was late
        else:
            if half.next is None:
                half.next = keys.after()
            plain = half.next.packet(number, header, body)
            if plain is not None:
                half.old, keys.opener, half.next = keys.opener, half.next, None
                half.phase ^= 1
                half.phase_from = number
        if plain is not None and number > half.largest[2]:
            half.largest[2] = number
        return plain

    # -- frames --------------------------------------------------------------------------------------------------------

    def _frames(self, side: Side, kind: int, plain: bytes, time: int, out: list[Event]) -> None:
        try:
            for frame in quic.frames(memoryview(plain)):
                if type(frame) is quic.Stream:
                    self._stream(side, frame, time, out)
                elif type(frame) is quic.Crypto:
                    self._crypto(side, _LEVELS[kind], frame, time, out)
                elif type(frame) is quic.Reset:
                    if self._inside is not None:
                        out.extend(self._inside.reset(side, frame.stream, frame.code, frame.stopping, time))
                    if not frame.stopping:
                        self._finish(self._halves[side], frame.stream)
                elif type(frame) is quic.NewId:
                    self.new_ids.append((side, frame.cid))
                elif type(frame) is quic.Close:
                    self._closing(side, frame, time, out)
        except (ValueError, IndexError) as error:
            out.append(Trouble(time, "broken-quic", self.number, f"a packet cannot be read: {error}"))

    def _stream(self, side: Side, frame: quic.Stream, time: int, out: list[Event]) -> None:
        half = self._halves[side]
        known = half.streams.get(frame.stream)
        inside = self._inside
        if inside is None:  # what was agreed on was not captured
            hello = self._shake.hello
            inside = self._speak(hello.alpn[0] if hello and hello.alpn else "", time, out)
        if known is None:
            if frame.stream >> 2 in half.finished[frame.stream & 3]:
                return
            if len(half.streams) >= limits.QUIC_STREAMS:
                oldest = next(iter(half.streams))
                self._finish(half, oldest)
                out.extend(inside.reset(side, oldest, http3.NO_ERROR, False, time))
            known = half.streams[frame.stream] = _Stream()
        data = known.bytes
        if frame.fin:
            known.end = frame.offset + len(frame.data)
        before = data.held
        pieces = data.feed(frame.offset & 0xFFFFFFFF, frame.data)
        self._waiting_bytes += data.held - before
        if not pieces and data.offset == known.end:
            pieces = [Piece(b"", 0)]  # a FIN behind data that was there already
        self._pass(side, half, frame.stream, known, pieces, time, out)
        if self._waiting_bytes > limits.QUIC_WAITING:
            self._give_up_holes(time, out)

    def _pass(
        self, side: Side, half: _Half, number: int, stream: _Stream, pieces: list[Piece], time: int, out: list[Event]
    ) -> None:
        """Bytes in order, to the layer inside."""
        inside = self._inside
        if inside is None:
            return
        for index, (piece, lost) in enumerate(pieces, 1):
            if lost:
                out.extend(inside.lost(side, number, lost, time))
            ended = index == len(pieces) and stream.bytes.offset == stream.end
            if ended:
                self._finish(half, number)
            if len(piece) or ended:
                out.extend(inside.feed(side, number, piece, ended, time))

    def _finish(self, half: _Half, stream: int) -> None:
        """All of this direction of a stream is known: what is sent again is not new."""
        known = half.streams.pop(stream, None)
        if known is not None:
            self._waiting_bytes -= known.bytes.held
        half.finished[stream & 3].add(stream >> 2)

    def _give_up_holes(self, time: int, out: list[Event]) -> None:
        """What waits behind bytes that were not captured is told with its hole."""
        for side, half in zip((Side.CLIENT, Side.SERVER), self._halves, strict=True):
            for number, stream in list(half.streams.items()):
                while pieces := stream.bytes.skip():
                    self._pass(side, half, number, stream, pieces, time, out)
        self._waiting_bytes = 0

    def _closing(self, side: Side, frame: quic.Close, time: int, out: list[Event]) -> None:
        name = http3.error_name(frame.code) if frame.application else quic.error_name(frame.code)
        good = frame.code in (0, http3.NO_ERROR) if frame.application else frame.code == 0
        if not frame.application and 0x100 <= frame.code < 0x200:  # RFC 9001 §4.8
            out.append(Alert(self.number, time, side, frame.code - 0x100))
            self._ended = Ending(side, How.ALERT, time, tls.alert_name(frame.code - 0x100))
            return
        detail = "" if good else name + (f" ({frame.reason})" if frame.reason else "")
        self._ended = Ending(side, How.CONNECTION_CLOSE, time, detail)

    # -- the handshake -------------------------------------------------------------------------------------------------

    def _crypto(self, side: Side, level: int, frame: quic.Crypto, time: int, out: list[Event]) -> None:
        half = self._halves[side]
        if frame.offset + len(frame.data) > limits.HANDSHAKE_BYTES:
            return
        for piece, lost in half.crypto[level].bytes.feed(frame.offset, frame.data):
            if lost:
                return
            data = half.messages[level] + bytes(piece)
            while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4], "big"):
                size = int.from_bytes(data[1:4], "big")
                kind, body, data = data[0], data[4 : 4 + size], data[4 + size :]
                self._message(side, kind, body, time, out)
            half.messages[level] = data

    def _message(self, side: Side, kind: int, body: bytes, time: int, out: list[Event]) -> None:
        shake = self._shake
        if kind == tls.CLIENT_HELLO and side == Side.CLIENT:
            if shake.client_hello(body):
                out.append(self._facts(time))
        elif kind == tls.SERVER_HELLO and side == Side.SERVER:
            answer = shake.server_hello(body)
            if answer is not None and not answer.retry:
                if shake.hello and shake.hello.early_data and all(name.startswith("h3") for name in shake.hello.alpn):
                    self._speak("h3", time, out)  # 0-RTT comes before the server has said it
                out.append(self._facts(time))
                self._resume(out)
        else:
            shake.other(side, kind, body, time, out)
        if kind == tls.ENCRYPTED_EXTENSIONS and side == Side.SERVER:
            self._speak(shake.alpn, time, out)
            self._agreed = True
        elif kind == tls.FINISHED and side == Side.CLIENT:
            self._finished = True
        if self._agreed and self._finished and not self._done:  # datagrams may have changed places
            self._done = time
            out.append(self._facts(time))

    def _speak(self, alpn: str, time: int, out: list[Event]) -> Streams:
        """The layer inside, made now where it is not there yet."""
        if self._inside is None:
            self._inside, events = self._make_inside(alpn, time)
            out.extend(events)
        return self._inside

    def _facts(self, time: int) -> Event:
        return self._shake.facts(time, self._begun, self._done, self._source)

    def _name(self) -> str:
        return quic.VERSIONS[self._version].name if self._version else ""


def _application_bytes(kind: int, packet: bytes) -> int:
    """Bytes of a packet that carries application data; 0 for one of the handshake."""
    return len(packet) if _LEVELS[kind] == 2 else 0
