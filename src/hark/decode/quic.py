"""One QUIC connection, decrypted passively with session keys from key sources (RFC 9000, RFC 9001, RFC 9369).

What   Datagrams of both directions in; packets are decrypted level by level (quic_packets.py), CRYPTO frames make up
       the handshake (handshake.py), STREAM frames go to the application in order (quic_streams.py).
Late   A packet whose key has not come yet is parked with everything after it (except Initials), and decrypted in the
keys   same order when the key comes: a response follows its request whenever the keys come.
Limits PARKED_BYTES per connection; those of quic_streams.py.
Not    acknowledgements and flow control, which say nothing about content; verifying stateless resets.
"""

from collections.abc import Callable, Sequence
from typing import Final

from hark.decode import ciphers, limits
from hark.decode.endings import Ending, How
from hark.decode.events import Alert, Encrypted, Event, Side, Trouble, TroubleKind
from hark.decode.handshake import Handshake
from hark.decode.layer import Streams
from hark.decode.parked import Parked
from hark.decode.quic_packets import APPLICATION, LEVELS, Protection
from hark.decode.quic_streams import Stream, StreamTable
from hark.decode.sessions import Sessions
from hark.decode.undecrypted import Cause, Undecrypted
from hark.wire import http3, quic, tls

MakeInside = Callable[[str, int], tuple[Streams, Sequence[Event]]]  # (ALPN protocol, time) -> the application
_ParkedPacket = tuple[Side, int, int, bytes, int]  # sender, kind, offset of the packet number, the packet, time
_ALERTS: Final = range(0x100, 0x200)  # transport errors that are TLS alerts (RFC 9001 §4.8)


class _Half:
    """One direction of the connection."""

    __slots__ = ("crypto", "messages", "size")

    def __init__(self) -> None:
        self.crypto = [Stream(), Stream(), Stream()]  # by packet number space
        self.messages = [b"", b"", b""]  # the beginning of a handshake message
        self.size = 0  # bytes of datagrams


class Quic(Parked[_ParkedPacket]):
    """One connection. make_inside: creates the application for the ALPN protocol that was selected; new_ids: connection
    ids of a side that came since they were last taken; ended: the CONNECTION_CLOSE that ended it."""

    def __init__(self, number: int, sessions: Sessions, make_inside: MakeInside) -> None:
        self._handshake = Handshake(number, sessions.keyring)
        super().__init__(number, self._handshake.ids, sessions)
        self._protection = Protection(self._handshake, sessions.keyring)
        self._streams = StreamTable()
        self.new_ids: list[tuple[Side, bytes]] = []
        self._make_inside = make_inside
        self._inside: Streams | None = None
        self._halves = (_Half(), _Half())
        self._begun = 0  # when the first packet was decrypted
        self._negotiated = False  # the server's extensions were read
        self._finished = False  # the client's Finished was read
        self._done = 0  # when the handshake was complete
        self._decrypted = 0  # packets of 1-RTT or 0-RTT
        self.ended: Ending | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of datagrams of the client and of the server."""
        return self._halves[0].size, self._halves[1].size

    @property
    def begun(self) -> bool:
        """Whether the client's first packet was decrypted."""
        return bool(self._begun)

    def feed(self, side: Side, data: bytes, time: int, id_size: int) -> Sequence[Event]:
        """A datagram of `side`. id_size: bytes of the destination connection id in a short header."""
        out: list[Event] = []
        self._halves[side].size += len(data)
        at = 0
        while at < len(data) and self.ended is None:
            if data[at] & 0x80:
                header = quic.long_header(data, at)
                if header is None:
                    break
                end, id_size = header.end, len(header.dcid)  # all in one datagram are for the same id (§12.2)
                if header.kind == quic.RETRY:
                    self._retry_packet(side, header, data[at:])
                elif header.kind == quic.NEGOTIATION:
                    self._restart(b"")  # with another version
                elif header.kind == quic.INITIAL:
                    self._initial(side, header.number_at - at, data[at:end], header, time, out)
                else:
                    self._take(side, header.kind, header.number_at - at, data[at:end], time, out)
                at = end
            elif data[at] & 0x40:
                self._take(side, quic.ONE_RTT, 1 + id_size, data[at:], time, out)
                break
            else:
                break
        return out

    def _retry_packet(self, side: Side, header: quic.Header, packet: bytes) -> None:
        original = self._protection.original
        version = quic.VERSIONS[header.version]
        if side == Side.SERVER and original and ciphers.retry_is_valid(version, original, packet):
            self._restart(header.scid)
            self.new_ids.append((Side.SERVER, header.scid))

    def _restart(self, original: bytes) -> None:
        """The client will begin again: perhaps with another ClientHello, though RFC 9000 §17.2.5.2 wants the same."""
        self._protection.restart(original)
        client = self._halves[Side.CLIENT]
        client.messages[0] = b""
        client.crypto[0] = Stream()

    # -- packets -------------------------------------------------------------------------------------------------------

    def _initial(self, side: Side, at: int, packet: bytes, header: quic.Header, time: int, out: list[Event]) -> None:
        plain = self._protection.initial(side, at, packet, header)
        if plain is None:
            return
        if not self._begun:
            self._begun = time
        if header.scid:
            self.new_ids.append((side, header.scid))
        self._frames(side, quic.INITIAL, plain, time, out)

    def _take(self, side: Side, kind: int, at: int, packet: bytes, time: int, out: list[Event]) -> None:
        """Process a packet that is not Initial; park it if it cannot be decrypted yet."""
        if self._failure:
            self._count(kind, packet)
        elif (self._parked and not self._last_try) or not self._decrypt(side, kind, at, packet, time, out):
            self._park((side, kind, at, packet, time), len(packet))

    def _decrypt(self, side: Side, kind: int, at: int, packet: bytes, time: int, out: list[Event]) -> bool:
        """Process one packet; False if it has to wait for a key."""
        keys = self._protection.keys(side, kind)
        if keys is None:
            key = self._sessions.keyring.get(self._handshake.client_random)
            late = self._handshake.suite is not None and key is not None and "CLIENT_TRAFFIC_SECRET_0" in key.secrets
            if self._last_try or (kind == quic.ZERO_RTT and late):
                self._count(kind, packet)  # libraries that log the early secret do so first
                return True
            return False
        plain = self._protection.decrypt(side, kind, keys, at, packet)
        if plain is None:
            self._count(kind, packet)
            return True
        if LEVELS[kind] == APPLICATION:
            self._decrypted += 1
        self._frames(side, kind, plain, time, out)
        return True

    def _count(self, kind: int, packet: bytes) -> None:
        """A packet that is not decrypted."""
        self._encrypted += _application_bytes(kind, packet)

    def _retry(self, item: _ParkedPacket, out: list[Event]) -> None:
        side, kind, at, packet, time = item
        self._take(side, kind, at, packet, time, out)

    def _application_bytes(self, item: _ParkedPacket) -> int:
        return _application_bytes(item[1], item[3])

    def _missing(self) -> Cause:
        return self._handshake.missing()

    def _finish(self, ending: Ending) -> Sequence[Event]:
        out: list[Event] = []
        time = ending.time
        self._streams.give_up_gaps(self._inside, time, out)
        if self._encrypted and not self._decrypted:
            cause = self._failure or Cause(Undecrypted.WRONG_SECRETS)
            name = self._protection.version_name
            out.append(Encrypted(self.number, time, self._handshake.sni, name, self._encrypted, cause))
        if self._inside is not None:
            out.extend(self._inside.close(ending))
        return out

    # -- frames --------------------------------------------------------------------------------------------------------

    def _frames(self, side: Side, kind: int, plain: bytes, time: int, out: list[Event]) -> None:
        """The plaintext of a packet."""
        try:
            for frame in quic.frames(memoryview(plain)):
                if type(frame) is quic.Stream:
                    self._streams.feed(side, frame, self._application(time, out), time, out)
                elif type(frame) is quic.Crypto:
                    self._crypto(side, LEVELS[kind], frame, time, out)
                elif type(frame) is quic.Reset:
                    if self._inside is not None:
                        out.extend(self._inside.reset(side, frame.stream, frame.code, frame.stopping, time))
                    if not frame.stopping:
                        self._streams.reset(side, frame.stream)
                elif type(frame) is quic.NewId:
                    self.new_ids.append((side, frame.cid))
                elif type(frame) is quic.Close:
                    self._closed(side, frame, time, out)
        except (ValueError, IndexError) as error:
            text = f"a packet cannot be read: {error}"
            out.append(Trouble(time, TroubleKind.BROKEN_QUIC, self.number, text))

    def _closed(self, side: Side, frame: quic.Close, time: int, out: list[Event]) -> None:
        """A CONNECTION_CLOSE."""
        name = http3.error_name(frame.code) if frame.application else quic.error_name(frame.code)
        good = frame.code in (0, http3.NO_ERROR) if frame.application else frame.code == 0
        if not frame.application and frame.code in _ALERTS:
            code = frame.code - _ALERTS.start
            out.append(Alert(self.number, time, side, code))
            self.ended = Ending(side, How.ALERT, time, tls.alert_name(code))
            return
        detail = "" if good else name + (f" ({frame.reason})" if frame.reason else "")
        self.ended = Ending(side, How.CONNECTION_CLOSE, time, detail)

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
        handshake = self._handshake
        if kind == tls.CLIENT_HELLO and side == Side.CLIENT:
            if handshake.client_hello(body):
                out.append(self._facts(time))
        elif kind == tls.SERVER_HELLO and side == Side.SERVER:
            answer = handshake.server_hello(body)
            if answer is not None and not answer.retry:
                hello = handshake.hello
                if hello and hello.early_data and all(name.startswith("h3") for name in hello.alpn):
                    self._start("h3", time, out)  # 0-RTT comes before the server has selected it
                out.append(self._facts(time))
                self._resume(out)
        else:
            handshake.other(side, kind, body, time, out)
        if kind == tls.ENCRYPTED_EXTENSIONS and side == Side.SERVER:
            self._start(handshake.alpn, time, out)
            self._negotiated = True
        elif kind == tls.FINISHED and side == Side.CLIENT:
            self._finished = True
        if self._negotiated and self._finished and not self._done:  # datagrams may be reordered
            self._done = time
            out.append(self._facts(time))
        self._register()

    def _application(self, time: int, out: list[Event]) -> Streams:
        """The application; if the protocol that was selected was not captured, the first that the client offered."""
        if self._inside is not None:
            return self._inside
        hello = self._handshake.hello
        return self._start(hello.alpn[0] if hello and hello.alpn else "", time, out)

    def _start(self, alpn: str, time: int, out: list[Event]) -> Streams:
        """The application, created now if it is not there yet."""
        if self._inside is None:
            self._inside, events = self._make_inside(alpn, time)
            out.extend(events)
        return self._inside

    def _facts(self, time: int) -> Event:
        return self._handshake.facts(time, self._begun, self._done, self._protection.source)


def _application_bytes(kind: int, packet: bytes) -> int:
    """Bytes of a packet that carries application data; 0 for one of the handshake."""
    return len(packet) if LEVELS[kind] == APPLICATION else 0
