"""TLS 1.0 to 1.3, opened passively with secrets that others gave (RFC 8446, RFC 5246, RFC 4346, RFC 2246).

What   Records of both directions; handshake messages as far as they say how to go on; plaintext for the layer inside.
Why    Nothing is modified and nothing is guessed: each direction has a stage, and each stage's key has one label.
Late   A record whose key is not there yet is parked with all that follows from its side, and taken up again when
keys   secrets come. So secrets first, in between or last lead to the same plaintext.
Limits PARKED_BYTES a connection. A record that does not open with its key ends the session's telling: TLS has no way
       to go on after one either.
Not    trial decryption with every known key (a wrong guess would be a lie), except where RFC 8446 §4.2.10 leaves it
       open whether early data was sent.
"""

from collections import deque
from collections.abc import Sequence

from hark.decode import ciphers, limits
from hark.decode.events import Event, Sealed, Side, TlsFacts, Trouble
from hark.decode.keyring import Budget, Keyring
from hark.decode.layer import Expecting
from hark.wire import tls

_PLAIN, _EARLY, _HANDSHAKE, _DATA = range(4)
_LABELS = {
    (Side.CLIENT, _EARLY): "CLIENT_EARLY_TRAFFIC_SECRET",
    (Side.CLIENT, _HANDSHAKE): "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    (Side.SERVER, _HANDSHAKE): "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    (Side.CLIENT, _DATA): "CLIENT_TRAFFIC_SECRET_0",
    (Side.SERVER, _DATA): "SERVER_TRAFFIC_SECRET_0",
}
_TLS13 = 0x0304
_RECORD_MAX = 16384 + 2048  # bytes (RFC 5246 §6.2.3; TLS 1.3 allows less)


class _Half:
    """One direction."""

    __slots__ = ("blocked", "buffer", "messages", "opener", "secret", "stage")

    def __init__(self) -> None:
        self.buffer = b""  # the beginning of a record
        self.messages = b""  # the beginning of a handshake message
        self.stage = _PLAIN
        self.opener: ciphers.Opener | None = None
        self.secret = b""
        self.blocked = False


class Tls:
    """One TLS connection with the layer that speaks inside it."""

    def __init__(self, number: int, keyring: Keyring, budget: Budget, inside: Expecting) -> None:
        self.number = number
        self._keyring = keyring
        self._budget = budget
        self._inside = inside
        self._halves = (_Half(), _Half())
        self._parked: deque[tuple[Side, int, bytes]] = deque()
        self._parked_bytes = 0
        self._hello: tls.ClientHello | None = None
        self._version = 0
        self._suite: tls.Suite | None = None
        self._suite_code = 0
        self._server_random = b""
        self._alpn = ""
        self._mac_last = False  # encrypt-then-MAC was agreed on
        self._resumed = False
        self._begun = 0
        self._finished: set[Side] = set()
        self._sealed = 0  # bytes of application data that stayed closed
        self._dead = ""  # why nothing more is opened
        self._source = ""
        self._closed: tuple[int, str] | None = None  # when and how the connection ended, while secrets are awaited
        self._apart = False  # whether each side is read as far as it goes, whatever the other's order
        self.client_random = b""

    # -- the layer's interface -----------------------------------------------------------------------------------

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        half = self._halves[side]
        out: list[Event] = []
        at = 0
        if half.buffer:
            at = self._join(side, half, data, time, out)
            if at < 0:
                return out
        size = len(data)
        view = data if type(data) is memoryview else memoryview(data)
        while size - at >= 5:
            end = at + 5 + (view[at + 3] << 8 | view[at + 4])
            if end > size:
                break
            self._take(side, view[at:end], time, out)
            at = end
        if at < size:
            half.buffer = bytes(view[at:])
            if len(half.buffer) >= 5 and (half.buffer[3] << 8 | half.buffer[4]) > _RECORD_MAX:
                self._die(f"a record of {half.buffer[3] << 8 | half.buffer[4]} bytes cannot be")
        return out

    def _join(self, side: Side, half: _Half, data: bytes | memoryview, time: int, out: list[Event]) -> int:
        """Complete the record whose beginning is buffered; how much of `data` that took, -1 where all of it was not
        enough."""
        have = len(half.buffer)
        head = half.buffer if have >= 5 else half.buffer + bytes(data[: 5 - have])
        need = 5 + (head[3] << 8 | head[4]) - have if len(head) >= 5 else len(data) + 1
        if need > len(data):
            half.buffer += bytes(data)
            return -1
        record = half.buffer + bytes(data[:need])
        half.buffer = b""
        self._take(side, record, time, out)
        return need

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes are missing: the records behind them cannot be numbered any more."""
        self._die(f"{size} bytes of it were not captured")
        return self._inside.lost(side, size, time)

    def end(self, side: Side, time: int) -> Sequence[Event]:
        """The transport ended in this direction: what close_notify has not said yet, this says."""
        if self._parked or self._dead:
            return ()
        return self._inside.end(side, time)

    def close(self, time: int, how: str) -> Sequence[Event]:
        """The connection is over; what is parked still waits for its secrets (see `waiting`)."""
        if self._parked and not self._dead:
            self._closed = (time, how)
            return ()
        out: list[Event] = []
        if self._dead and self._sealed:
            out.append(Sealed(self.number, time, self._sni(), self._name(), self._sealed, self._dead))
        out.extend(self._inside.close(time, how))
        return out

    @property
    def waiting(self) -> bool:
        """Whether the connection is over and this session still hopes for secrets."""
        return self._closed is not None

    def abandon(self) -> Sequence[Event]:
        """No secrets will come any more, or there is no room to wait for them."""
        if self._closed is None:
            return ()
        (time, how), self._closed = self._closed, None
        out: list[Event] = []
        self._apart = True
        self._resume(out)
        self._die(self._missing())
        out.extend(self.close(time, how))
        return out

    def secrets(self) -> Sequence[Event]:
        """Secrets for this session have come: take up what is parked."""
        out: list[Event] = []
        self._resume(out)
        if self._closed is not None and not self._parked:
            (time, how), self._closed = self._closed, None
            out.extend(self.close(time, how))
        return out

    # -- records ---------------------------------------------------------------------------------------------------

    def _take(self, side: Side, record: bytes | memoryview, time: int, out: list[Event]) -> None:
        if not self._begun:
            self._begun = time
        if self._dead:
            if record[0] == tls.APPDATA:
                self._sealed += len(record) - 5
            return
        # What one side says is read only after what the other said before it: a response follows its request. Until the
        # ServerHello is there, its side must go on alone; at the very end (abandon) each side does.
        behind = self._parked and self._version and not self._apart
        if behind or self._halves[side].blocked or not self._open(side, record, time, out):
            self._park(side, record, time)

    def _park(self, side: Side, record: bytes | memoryview, time: int) -> None:
        self._halves[side].blocked = True
        self._parked.append((side, time, bytes(record)))
        self._parked_bytes += len(record)
        self._budget.left -= len(record)
        if self._parked_bytes > limits.PARKED_BYTES or self._budget.left < 0:
            self._die(self._missing())

    def _resume(self, out: list[Event]) -> None:
        """Offer every parked record again, in order, up to the first that still cannot be opened."""
        if not self._parked or self._dead:
            return
        waiting, self._parked = self._parked, deque()
        self._budget.left += self._parked_bytes
        self._parked_bytes = 0
        for half in self._halves:
            half.blocked = False
        for side, time, record in waiting:
            self._take(side, record, time, out)

    def _die(self, why: str) -> None:
        """Nothing more is opened; what was parked counts as sealed."""
        if self._dead:
            return
        self._dead = why
        self._sealed += sum(len(record) - 5 for _, _, record in self._parked if record[0] == tls.APPDATA)
        self._parked.clear()
        self._budget.left += self._parked_bytes
        self._parked_bytes = 0

    def _missing(self) -> str:
        key = self._keyring.get(self.client_random)
        if not self._version:
            return "its handshake was not captured"
        if self._suite is None:
            return f"cipher suite 0x{self._suite_code:04x} is not one that hark opens"
        return "some of its secrets are missing" if key else "no secrets for it came"

    def _open(self, side: Side, record: bytes | memoryview, time: int, out: list[Event]) -> bool:
        """Deal with one record; False where it has to wait for a key."""
        half = self._halves[side]
        kind = record[0]
        if half.stage == _PLAIN:
            if kind == tls.HANDSHAKE:
                self._handshake(side, bytes(record[5:]), time, out)
                return True
            if kind == tls.CCS:
                if self._version and self._version < _TLS13:
                    half.stage = _DATA
                return True
            if kind == tls.ALERT:
                self._alert(side, bytes(record[5:]), time, out)
                return True
            if kind != tls.APPDATA:
                self._die("it is no TLS record")
                return True
            if not self._version:  # early data, or the ServerHello is still to come
                if not (self._hello and self._hello.early_data and side == Side.CLIENT):
                    return False
                half.stage = _EARLY
        elif kind == tls.ALERT and self._version == _TLS13:
            # Not under a key, though the other side has one: a client that dislikes what it was sent has not switched
            # yet. Under a key it would look like application data.
            self._alert(side, bytes(record[5:]), time, out)
            return True
        elif kind == tls.CCS:
            return True  # TLS 1.3 sends it for middleboxes only (RFC 8446 §5)
        return self._decrypt(side, half, record, time, out)

    def _decrypt(self, side: Side, half: _Half, record: bytes | memoryview, time: int, out: list[Event]) -> bool:
        if half.opener is None:
            half.opener = self._opener(side, half)
            if half.opener is None:
                # Libraries that log the early secret do so first: with the last one there, it will not come.
                key = self._keyring.get(self.client_random)
                late = self._apart or (key is not None and "CLIENT_TRAFFIC_SECRET_0" in key.secrets)
                return half.stage == _EARLY and late and self._past_early(side, half, record, time, out)
        try:
            plain = half.opener.open(record)
        except ValueError as error:
            if half.stage == _EARLY:
                return self._past_early(side, half, record, time, out)
            if half.stage == _HANDSHAKE and side == Side.CLIENT and self._hello and self._hello.early_data:
                return True  # early data that the server will not take either (RFC 8446 §4.2.10)
            self._die(f"the secrets given do not open it ({error})")
            if record[0] == tls.APPDATA:
                self._sealed += len(record) - 5
            return True
        kind = record[0]
        body: bytes | memoryview = plain
        if self._version == _TLS13 or half.stage == _EARLY:
            end = len(plain) - 1
            if end >= 0 and not plain[end]:
                end = len(plain.rstrip(b"\0")) - 1
            if end < 0:
                return True
            kind = plain[end]
            body = memoryview(plain)[:end]
        if kind == tls.APPDATA:
            out.extend(self._inside.feed(side, body, time))
        elif kind == tls.HANDSHAKE:
            self._handshake(side, bytes(body), time, out)
        elif kind == tls.ALERT:
            self._alert(side, bytes(body), time, out)
        return True

    def _past_early(self, side: Side, half: _Half, record: bytes | memoryview, time: int, out: list[Event]) -> bool:
        """The early data is over, or cannot be read: go on with the handshake's key."""
        if not self._version:
            return False
        half.stage, half.opener = _HANDSHAKE, None
        return self._decrypt(side, half, record, time, out)

    def _opener(self, side: Side, half: _Half) -> ciphers.Opener | None:
        key = self._keyring.get(self.client_random)
        if key is None:
            return None
        if half.stage == _EARLY and self._suite is None:
            return None  # which suite the ticket had is known with the ServerHello
        if self._suite is None:
            return None
        if self._version < _TLS13:
            opener = self._opener12(side, key.secrets.get("CLIENT_RANDOM", b""))
        else:
            half.secret = key.secrets.get(_LABELS[side, half.stage], b"")
            opener = self._opener13(half.secret)
        if opener is not None:
            self._source = key.source
        return opener

    def _opener13(self, secret: bytes) -> ciphers.Opener | None:
        suite = self._suite
        if suite is None or len(secret) != tls.hash_size(suite.hash):
            return None
        key = tls.expand_label(secret, b"key", b"", suite.key, suite.hash)
        iv = tls.expand_label(secret, b"iv", b"", 12, suite.hash)
        return ciphers.Aead13(suite, key, iv)

    def _opener12(self, side: Side, master: bytes) -> ciphers.Opener | None:
        suite = self._suite
        if suite is None or len(master) != 48:
            return None
        block = tls.key_block(suite, self._version, master, self._server_random + self.client_random)
        mac, key, iv = block[int(side)]
        if suite.aead == "cbc":
            return ciphers.Cbc(suite, self._version, mac, key, iv, self._mac_last)
        return ciphers.Aead12(suite, key, iv)

    # -- handshake messages ------------------------------------------------------------------------------------------

    def _handshake(self, side: Side, data: bytes, time: int, out: list[Event]) -> None:
        half = self._halves[side]
        data = half.messages + data
        while len(data) >= 4:
            size = int.from_bytes(data[1:4], "big")
            if size > limits.HANDSHAKE_BYTES:
                self._die(f"a handshake message of {size} bytes cannot be")
                return
            if len(data) < 4 + size:
                break
            kind, body, data = data[0], data[4 : 4 + size], data[4 + size :]
            self._message(side, half, kind, body, time, out)
        half.messages = data

    def _message(self, side: Side, half: _Half, kind: int, body: bytes, time: int, out: list[Event]) -> None:
        if kind == tls.CLIENT_HELLO and side == Side.CLIENT:
            self._client_hello(body, time, out)
        elif kind == tls.SERVER_HELLO and side == Side.SERVER:
            self._server_hello(body, time, out)
        elif kind == tls.ENCRYPTED_EXTENSIONS and side == Side.SERVER:
            self._alpn = tls.encrypted_alpn(body)
        elif kind == tls.END_OF_EARLY_DATA and half.stage == _EARLY:
            half.stage, half.opener = _HANDSHAKE, None
        elif kind == tls.FINISHED:
            self._finish(side, half, time, out)
        elif kind == tls.KEY_UPDATE and half.stage == _DATA and self._version == _TLS13 and self._suite:
            # RFC 8446 §7.2: the next secret comes from this one
            name = self._suite.hash
            half.secret = tls.expand_label(half.secret, b"traffic upd", b"", tls.hash_size(name), name)
            half.opener = self._opener13(half.secret)

    def _client_hello(self, body: bytes, time: int, out: list[Event]) -> None:
        hello = tls.client_hello(body)
        if hello is None:
            self._die("its ClientHello cannot be read")
            return
        if self._hello is not None and self._version:
            return  # a renegotiation: its keys are not these
        self._hello = hello
        self.client_random = hello.random
        out.append(self._facts(time, 0))

    def _server_hello(self, body: bytes, time: int, out: list[Event]) -> None:
        hello = tls.server_hello(body)
        if hello is None:
            self._die("its ServerHello cannot be read")
            return
        if hello.retry or self._version:
            return
        self._version, self._suite_code, self._server_random = hello.version, hello.suite, hello.random
        self._suite = tls.SUITES.get(hello.suite)
        self._alpn = hello.alpn
        self._mac_last = hello.mac_last
        self._resumed = hello.psk
        if hello.version == _TLS13:
            client, server = self._halves
            server.stage = _HANDSHAKE
            if client.stage == _PLAIN:
                client.stage = _HANDSHAKE
        out.append(self._facts(time, 0))
        self._resume(out)

    def _finish(self, side: Side, half: _Half, time: int, out: list[Event]) -> None:
        if side in self._finished:
            return
        if self._version < _TLS13 and side == Side.SERVER and not self._finished:
            self._resumed = True  # the server finishes first only in an abbreviated handshake (RFC 5246 §7.3)
        self._finished.add(side)
        if self._version == _TLS13:
            half.stage, half.opener = _DATA, None
            if side == Side.SERVER:
                out.extend(self._inside.expect(self._alpn, time))
        if len(self._finished) == 2:
            if self._version < _TLS13:
                out.extend(self._inside.expect(self._alpn, time))
            out.append(self._facts(time, time))

    def _alert(self, side: Side, body: bytes, time: int, out: list[Event]) -> None:
        if len(body) < 2:
            return
        if body[1] == 0:
            out.extend(self._inside.end(side, time))
        elif body[0] == 2 or len(self._finished) < 2:
            name = tls.ALERTS.get(body[1], f"alert {body[1]}")
            who = "the client" if side == Side.CLIENT else "the server"
            out.append(Trouble(time, "tls-alert", self.number, f"{who} ended TLS: {name}"))

    def _sni(self) -> str:
        return self._hello.sni if self._hello else ""

    def _name(self) -> str:
        return tls.VERSIONS.get(self._version, f"0x{self._version:04x}") if self._version else ""

    def _facts(self, time: int, done: int) -> TlsFacts:
        cipher = self._suite.name if self._suite else f"0x{self._suite_code:04x}" if self._suite_code else ""
        name, random = self._name(), self.client_random
        begun = self._begun or time
        return TlsFacts(
            self.number, time, begun, done, name, cipher, self._sni(), self._alpn, self._resumed, self._source, random
        )
