"""TLS 1.0 to 1.3, opened passively with secrets that others gave (RFC 8446, RFC 5246, RFC 4346, RFC 2246).

What   Records of both directions; the handshake's messages, which handshake.py reads; plaintext for the layer inside.
Why    Nothing is modified and nothing is guessed: each direction has a stage, and each stage's key has one label.
Late   A record whose key is not there yet is parked with all that follows, and taken up again when secrets come. So
keys   secrets first, in between or last lead to the same plaintext.
Holes  Behind bytes that were not captured, a record begins somewhere and has some number. Both are looked for, and
       proved by the record's own authentication: a record that opens is the right one. Only application data under
       keys that need no record before (no CBC of TLS 1.0, no RC4) can be joined again.
Limits PARKED_BYTES a connection; RESYNC_TRIES a hole. A record that does not open with its key, where nothing is
       missing, ends the session's telling: TLS has no way to go on after one either.
Not    trial decryption with every known key (a wrong guess would be a lie), except where RFC 8446 §4.2.10 leaves it
       open whether early data was sent.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hark.decode import ciphers, limits
from hark.decode.endings import Ending, How
from hark.decode.events import Alert, Event, Sealed, Side
from hark.decode.handshake import TLS13, Handshake
from hark.decode.keyring import Budget, Keyring
from hark.decode.layer import Expecting
from hark.decode.parked import Parked
from hark.wire import tls

_PLAIN, _EARLY, _HANDSHAKE, _DATA = range(4)
_APPDATA = tls.APPDATA
_LABELS = {
    (Side.CLIENT, _EARLY): "CLIENT_EARLY_TRAFFIC_SECRET",
    (Side.CLIENT, _HANDSHAKE): "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    (Side.SERVER, _HANDSHAKE): "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    (Side.CLIENT, _DATA): "CLIENT_TRAFFIC_SECRET_0",
    (Side.SERVER, _DATA): "SERVER_TRAFFIC_SECRET_0",
}
_FATAL, _CANCELED = 2, 90  # a level of alerts; an alert that a close_notify follows (RFC 8446 §6, §6.1)
_RECORD_MAX = 16384 + 2048  # bytes (RFC 5246 §6.2.3; TLS 1.3 allows less)


class _Hole(NamedTuple):
    """Bytes of one direction that were not captured."""

    size: int


class _Behind(NamedTuple):
    """Bytes behind a hole: where in them a record begins is not known yet."""

    data: bytes


class _End(NamedTuple):
    """The transport has ended in this direction."""

    how: How


_Item = bytes | memoryview | _Hole | _Behind | _End
_Waiting = tuple[Side, int, _Item]


_ALERT_BYTES = 2 + 1 + 16  # of an encrypted alert in TLS 1.3 (RFC 8446 §5.2); a Finished has at least 53


class _Half:
    """One direction."""

    __slots__ = ("blocked", "buffer", "holed", "messages", "missing", "opener", "secret", "since", "stage")

    def __init__(self) -> None:
        self.buffer = b""  # the beginning of a record
        self.messages = b""  # the beginning of a handshake message
        self.stage = _PLAIN
        self.opener: ciphers.Opener | None = None
        self.secret = b""
        self.blocked = False
        self.holed = False  # a hole was met, and what follows is not known to be in step again
        self.missing = 0  # bytes of records, from where they were last in step to the buffer's start
        self.since = 0  # when the last hole was met: what the other side has said later is no part of what it answers


class Tls(Parked[_Waiting]):
    """One TLS connection with the layer that speaks inside it."""

    def __init__(self, number: int, keyring: Keyring, budget: Budget, inside: Expecting) -> None:
        super().__init__(budget)
        self.number = number
        self._keyring = keyring
        self._inside = inside
        self._halves = (_Half(), _Half())
        self._shake = Handshake(number, keyring)
        self.ids = self._shake.ids
        self._begun = 0
        self._finished: set[Side] = set()
        self._source = ""
        self._by_client = 0  # bytes of the client's encrypted records that are alerts by their size; -1: others came

    # -- the layer's interface -----------------------------------------------------------------------------------

    def feed(self, side: Side, data: bytes | memoryview, time: int) -> Sequence[Event]:
        """Bytes that `side` sent."""
        half = self._halves[side]
        out: list[Event] = []
        if half.holed:
            self._take(side, _Behind(bytes(data)), time, out)
            return out
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
            opener = half.opener
            if opener is not None and view[at] == _APPDATA and not self._parked and not self._dead:
                # The usual record, in one step.
                try:
                    plain = opener.open(view[at:end] if at or end < size else view)
                except ValueError:
                    self._take(side, view[at:end], time, out)  # which tells why
                else:
                    if plain and plain[-1] == _APPDATA and half.stage == _DATA and self._shake.version == TLS13:
                        events = self._inside.feed(side, memoryview(plain)[:-1], time)
                        if end == size and not out:
                            return events
                        out.extend(events)
                    else:
                        self._plain(side, half, _APPDATA, plain, time, out)
            else:
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
        """Bytes are missing: which record comes behind them has to be found out."""
        out: list[Event] = []
        self._halves[side].holed = True
        self._take(side, _Hole(size), time, out)
        return out

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """The transport ended in this direction: what close_notify has not said yet, this says."""
        out: list[Event] = []
        self._take(side, _End(how), time, out)
        return out

    def _over(self, ending: Ending) -> Sequence[Event]:
        out: list[Event] = []
        time = ending.time
        for side in (Side.CLIENT, Side.SERVER):
            missing, self._halves[side].missing = self._halves[side].missing, 0
            if missing:  # nothing came behind the hole that would have told of it
                out.extend(self._inside.lost(side, missing, self._halves[side].since))
        if self._dead and self._sealed:
            version = tls.VERSIONS.get(self._shake.version, "")
            refused = self._shake.version == TLS13 and self._by_client >= 0
            out.append(Sealed(self.number, time, self._shake.sni, version, self._sealed, self._dead, refused))
        out.extend(self._inside.close(ending))
        return out

    # -- records ---------------------------------------------------------------------------------------------------

    def _take(self, side: Side, item: _Item, time: int, out: list[Event]) -> None:
        """One record, or what stands in for some that are not known."""
        if not self._begun and type(item) is not _End:
            self._begun = time
        if self._dead:
            self._sealed += self._count(side, item)
            return
        # What one side says is read only after what the other said before it: a response follows its request. Until the
        # ServerHello is there, its side must go on alone; at the very end (abandon) each side does.
        if (self._parked and self._shake.version and not self._apart) or self._halves[side].blocked:
            self._set_aside(side, item, time)
        elif type(item) is _Hole:
            self._hole(side, item.size, time, out)
        elif type(item) is _End:
            out.extend(self._inside.end(side, item.how, time))
        elif type(item) is _Behind:
            self._behind(side, item.data, time, out)
        elif not self._open(side, item, time, out):  # type: ignore[arg-type]
            self._set_aside(side, item, time)

    def _set_aside(self, side: Side, item: _Item, time: int) -> None:
        self._halves[side].blocked = True
        kept = bytes(item) if type(item) is memoryview else item
        self._park((side, time, kept), _size(kept))

    def _again(self, item: _Waiting, out: list[Event]) -> None:
        side, time, kept = item
        self._take(side, kept, time, out)

    def _resume(self, out: list[Event]) -> None:
        if not self._dead:
            for half in self._halves:
                half.blocked = False
        super()._resume(out)

    def _closed_bytes(self, item: _Waiting) -> int:
        return self._count(item[0], item[2])

    def _count(self, side: Side, item: _Item) -> int:
        """Bytes of application data in an item that stays encrypted; whether the client sent but alerts is kept."""
        size = _closed_bytes(item)
        if size and side == Side.CLIENT:  # Java sends a close_notify behind its alert
            self._by_client = size if size == _ALERT_BYTES and self._by_client >= 0 else -1
        return size

    def _missing(self) -> str:
        return self._shake.missing()

    def _open(self, side: Side, record: bytes | memoryview, time: int, out: list[Event]) -> bool:
        """Deal with one record; False where it has to wait for a key."""
        half = self._halves[side]
        kind = record[0]
        version = self._shake.version
        if half.stage == _PLAIN:
            if kind == tls.HANDSHAKE:
                self._handshake(side, bytes(record[5:]), time, out)
                return True
            if kind == tls.CCS:
                if version and version < TLS13:
                    half.stage = _DATA
                return True
            if kind == tls.ALERT:
                self._alert(side, bytes(record[5:]), time, out)
                return True
            if kind != tls.APPDATA:
                self._die("it is no TLS record")
                return True
            hello = self._shake.hello
            if hello is None:
                self._die(self._shake.missing())
                self._sealed += len(record) - 5
                return True
            if not version:  # early data, or the ServerHello is still to come
                if not (hello.early_data and side == Side.CLIENT):
                    return False
                half.stage = _EARLY
        elif version == TLS13 and kind == tls.ALERT:
            # Not under a key, though the other side has one: a client that dislikes what it was sent has not switched
            # yet. Under a key it would look like application data.
            self._alert(side, bytes(record[5:]), time, out)
            return True
        elif version == TLS13 and kind == tls.CCS:
            return True  # it is sent for middleboxes only (RFC 8446 §5)
        return self._decrypt(side, half, record, time, out)

    def _decrypt(self, side: Side, half: _Half, record: bytes | memoryview, time: int, out: list[Event]) -> bool:
        if half.opener is None:
            half.opener = self._opener(side, half)
            if half.opener is None:
                # Libraries that log the early secret do so first: with the last one there, it will not come.
                key = self._keyring.get(self._shake.client_random)
                late = self._apart or (key is not None and "CLIENT_TRAFFIC_SECRET_0" in key.secrets)
                return half.stage == _EARLY and late and self._past_early(side, half, record, time, out)
        try:
            plain = half.opener.open(record)
        except ValueError as error:
            if half.stage == _EARLY:
                return self._past_early(side, half, record, time, out)
            hello = self._shake.hello
            if half.stage == _HANDSHAKE and side == Side.CLIENT and hello is not None and hello.early_data:
                return True  # early data that the server will not take either (RFC 8446 §4.2.10)
            self._die(f"the secrets given do not open it ({error})")
            self._sealed += _closed_bytes(record)
            return True
        self._plain(side, half, record[0], plain, time, out)
        return True

    def _plain(self, side: Side, half: _Half, kind: int, plain: bytes, time: int, out: list[Event]) -> None:
        """What was in a record."""
        body: bytes | memoryview = plain
        if self._shake.version == TLS13 or half.stage == _EARLY:
            end = len(plain) - 1
            if end >= 0 and not plain[end]:
                end = len(plain.rstrip(b"\0")) - 1
            if end < 0:
                return
            kind = plain[end]
            body = memoryview(plain)[:end]
        if kind == tls.APPDATA:
            out.extend(self._inside.feed(side, body, time))
        elif kind == tls.HANDSHAKE:
            self._handshake(side, bytes(body), time, out)
        elif kind == tls.ALERT:
            self._alert(side, bytes(body), time, out)
        elif kind == tls.CCS and self._shake.version < TLS13:
            half.opener = None  # a renegotiation: what follows is under the keys that it has agreed on

    def _past_early(self, side: Side, half: _Half, record: bytes | memoryview, time: int, out: list[Event]) -> bool:
        """The early data is over, or cannot be read: go on with the handshake's key."""
        if not self._shake.version:
            return False
        half.stage, half.opener = _HANDSHAKE, None
        return self._decrypt(side, half, record, time, out)

    def _opener(self, side: Side, half: _Half) -> ciphers.Opener | None:
        suite = self._shake.suite
        if suite is None:
            return None  # not one that is known, or, of early data, the ServerHello has not named it yet
        if self._shake.version < TLS13:
            master, source = self._shake.master()
            opener = self._opener12(suite, side, master)
        else:
            key = self._keyring.get(self._shake.client_random)
            if key is None:
                return None
            source = key.source
            half.secret = key.secrets.get(_LABELS.get((side, half.stage), ""), b"")
            opener = self._opener13(suite, half.secret)
        if opener is not None:
            self._source = source
        return opener

    @staticmethod
    def _opener13(suite: tls.Suite, secret: bytes) -> ciphers.Opener | None:
        if len(secret) != tls.hash_size(suite.hash):
            return None
        key = tls.expand_label(secret, b"key", b"", suite.key, suite.hash)
        iv = tls.expand_label(secret, b"iv", b"", 12, suite.hash)
        return ciphers.Aead13(suite, key, iv)

    def _opener12(self, suite: tls.Suite, side: Side, master: bytes) -> ciphers.Opener | None:
        if len(master) != 48:
            return None
        shake = self._shake
        block = tls.key_block(suite, shake.version, master, shake.server_random + shake.client_random)
        mac, key, iv = block[int(side)]
        if suite.mode == "cbc":
            return ciphers.Cbc(suite, shake.version, mac, key, iv, shake.mac_last)
        if suite.mode in ("stream", "null"):
            return ciphers.Bare(suite, mac, key)
        return ciphers.Aead12(suite, key, iv)

    # -- holes -------------------------------------------------------------------------------------------------------

    def _hole(self, side: Side, size: int, time: int, out: list[Event]) -> None:
        half = self._halves[side]
        if half.stage != _DATA or half.opener is None or half.opener.chained or half.messages:
            where = "it" if half.stage == _DATA else "its handshake"
            self._die(f"{size} bytes of {where} were not captured")
            out.extend(self._inside.lost(side, size, time))
            return
        half.missing += size + len(half.buffer)
        half.since = time
        half.buffer = b""

    def _behind(self, side: Side, data: bytes, time: int, out: list[Event]) -> None:
        """Go on behind a hole: find the first record that opens, then take records as usual."""
        half = self._halves[side]
        data = half.buffer + data
        half.buffer = b""
        if half.missing:
            at = self._find(side, half, data, time, out)
            if half.missing:
                half.missing += at
                half.buffer = data[at:]
                return
            data = data[at:]
        half.holed = False
        out.extend(self.feed(side, data, time))

    def _find(self, side: Side, half: _Half, data: bytes, time: int, out: list[Event]) -> int:
        """Look for a record that opens; the offset behind it, and `missing` is 0 then. Else the offset of the first
        place where one may still begin."""
        at = 0
        while True:
            at = data.find(bytes([tls.APPDATA, 3]), at)
            if at < 0:
                return len(data) - 1 if data[-1:] == bytes([tls.APPDATA]) else len(data)
            if len(data) - at < 5:
                return at
            end = at + 5 + (data[at + 3] << 8 | data[at + 4])
            if data[at + 2] <= 4 and end - at <= 5 + _RECORD_MAX:
                if end > len(data):
                    return at
                if self._fits(side, half, data[at:end], half.missing + at, time, out):
                    half.missing = 0
                    return end
            at += 1

    def _fits(self, side: Side, half: _Half, record: bytes, missing: int, time: int, out: list[Event]) -> bool:
        """Whether the record opens as the next but some, `missing` bytes after the last one; it is told then."""
        opener = half.opener
        assert opener is not None
        least = max(opener.overhead, 5 + 16)
        first = opener.seq
        fewest = -(-missing // (5 + _RECORD_MAX))
        for skipped in range(fewest, min(missing // least, fewest + limits.RESYNC_TRIES) + 1):
            opener.seq = first + skipped
            try:
                plain = opener.open(record)
            except ValueError:
                continue
            size = missing - skipped * opener.overhead if opener.overhead >= 0 else missing
            out.extend(self._inside.lost(side, max(size, 0), half.since))
            self._plain(side, half, record[0], plain, time, out)
            return True
        opener.seq = first
        return False

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
        shake = self._shake
        if kind == tls.CLIENT_HELLO and side == Side.CLIENT:
            if shake.client_hello(body):  # the first, the second after a retry, or a renegotiation's
                out.append(self._facts(time, time if len(self._finished) == 2 else 0))
            else:
                self._die("its ClientHello cannot be read")
        elif kind == tls.SERVER_HELLO and side == Side.SERVER:
            self._server_hello(body, time, out)
        elif kind == tls.END_OF_EARLY_DATA and half.stage == _EARLY:
            half.stage, half.opener = _HANDSHAKE, None
        elif kind == tls.FINISHED:
            self._finish(side, half, time, out)
        elif kind == tls.KEY_UPDATE and half.stage == _DATA and shake.version == TLS13 and shake.suite:
            # RFC 8446 §7.2: the next secret comes from this one
            name = shake.suite.hash
            half.secret = tls.expand_label(half.secret, b"traffic upd", b"", tls.hash_size(name), name)
            half.opener = self._opener13(shake.suite, half.secret)
        else:
            shake.other(side, kind, body, time, out)

    def _server_hello(self, body: bytes, time: int, out: list[Event]) -> None:
        begun = self._shake.version
        hello = self._shake.server_hello(body)
        if hello is None:
            self._die("its ServerHello cannot be read")
            return
        if begun and not hello.retry and hello.version != begun:
            self._die("its handshake contradicts itself")  # a renegotiation keeps the version
        if hello.retry or begun:
            return
        if hello.version == TLS13:
            client, server = self._halves
            server.stage = _HANDSHAKE
            if client.stage == _PLAIN:
                client.stage = _HANDSHAKE
        out.append(self._facts(time, 0))
        self._resume(out)

    def _finish(self, side: Side, half: _Half, time: int, out: list[Event]) -> None:
        shake = self._shake
        if side in self._finished:
            return
        if shake.version < TLS13 and side == Side.SERVER and not self._finished:
            shake.resumed = True  # the server finishes first only in an abbreviated handshake (RFC 5246 §7.3)
        self._finished.add(side)
        if shake.version == TLS13:
            half.stage, half.opener = _DATA, None
            if side == Side.SERVER:
                out.extend(self._inside.expect(shake.alpn, time))
        if len(self._finished) == 2:
            if shake.version < TLS13:
                out.extend(self._inside.expect(shake.alpn, time))
            out.append(self._facts(time, time))

    def _alert(self, side: Side, body: bytes, time: int, out: list[Event]) -> None:
        if len(body) < 2:
            return
        level, code = body[0], body[1]
        if code == 0:
            out.append(Alert(self.number, time, side, code))
            out.extend(self._inside.end(side, How.CLOSE_NOTIFY, time))
        elif level == _FATAL or (self._shake.version == TLS13 and code != _CANCELED):  # whatever its level
            out.append(Alert(self.number, time, side, code))
            out.extend(self._inside.close(Ending(side, How.ALERT, time, tls.alert_name(code))))

    def _facts(self, time: int, done: int) -> Event:
        return self._shake.facts(time, self._begun or time, done, self._source)


def _size(item: _Item) -> int:
    return 0 if isinstance(item, _Hole | _End) else len(item.data) if type(item) is _Behind else len(item)


def _closed_bytes(item: _Item) -> int:
    """Bytes of application data, as far as they can be told from the rest."""
    if type(item) is _Hole:
        return item.size
    if type(item) is _Behind:
        return len(item.data)
    if type(item) is _End:
        return 0
    return len(item) - 5 if item[0] == tls.APPDATA else 0
