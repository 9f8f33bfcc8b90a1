"""TLS 1.0 to 1.3, decrypted passively with session keys from key sources (RFC 8446, RFC 5246, RFC 4346, RFC 2246).

What   Records of both directions in; handshake messages go to handshake.py, plaintext to the layer inside.
Why    Nothing is guessed: each direction has a stage, and each stage's key has one label in the key log (tls_keys.py).
Late   A record whose key has not come yet is parked with everything after it, and decrypted when the key comes. So keys
keys   that come first, in between or last give the same plaintext.
Gaps   After bytes that were not captured, the next record is searched for (tls_resync.py).
Limits PARKED_BYTES per connection; RESYNC_TRIES per gap. If a record does not decrypt with its key and nothing is
       missing, nothing more of the connection is decrypted: an endpoint could not continue either.
Not    trying all known keys on a record, except if RFC 8446 §4.2.10 leaves open whether early data was sent.
"""

from collections.abc import Sequence
from typing import Final

from hark.decode import limits, tls_keys, tls_resync
from hark.decode.endings import Ending, How
from hark.decode.events import Alert, Encrypted, Event, Side
from hark.decode.handshake import Handshake
from hark.decode.layer import Data, Expecting
from hark.decode.parked import Parked
from hark.decode.sessions import PRESSURE, Sessions
from hark.decode.tls_items import AfterGap, End, Gap, Item, ParkedItem, encrypted_bytes, parked_bytes
from hark.decode.tls_keys import DATA, EARLY, HANDSHAKE, PLAIN, Half
from hark.decode.tls_resync import RECORD_MAX
from hark.decode.undecrypted import Cause, Undecrypted
from hark.wire import tls
from hark.wire.tls import TLS13

_APPDATA: Final = tls.APPDATA
_FATAL: Final = 2  # a level of alerts (RFC 8446 §6)
_CANCELED: Final = 90  # user_canceled, which a close_notify follows (§6.1)
_ALERT_BYTES: Final = 2 + 1 + 16  # of an encrypted alert in TLS 1.3 (§5.2); a Finished has at least 53
_LAST_SECRET: Final = "CLIENT_TRAFFIC_SECRET_0"  # libraries that log the early secret do so before this one


class Tls(Parked[ParkedItem], Expecting):
    """One TLS connection, with the layer inside it."""

    def __init__(self, number: int, sessions: Sessions, inside: Expecting) -> None:
        self._handshake = Handshake(number, sessions.keyring)
        super().__init__(number, self._handshake.ids, sessions)
        self._budget = sessions.budget
        self._inside = inside
        self._halves = (Half(), Half())
        self._begun = 0  # when the first byte came
        self._finished: set[Side] = set()  # sides whose Finished was decrypted
        self._source = ""
        self._alerts_only = True  # no encrypted record of the client is larger than an alert; Java sends several

    # -- the layer's interface -----------------------------------------------------------------------------------------

    def feed(self, side: Side, data: Data, time: int) -> Sequence[Event]:
        """The next bytes of `side`."""
        half = self._halves[side]
        out: list[Event] = []
        at = 0
        if half.gap:
            self._take(side, AfterGap(bytes(data)), time, out)
            at = len(data)
        elif half.buffer:
            at = self._join(side, half, data, time, out)
        size = len(data)
        view = data if type(data) is memoryview else memoryview(data)
        while size - at >= 5:
            end = at + 5 + (view[at + 3] << 8 | view[at + 4])
            if end > size:
                break
            record = view[at:end] if at or end < size else view
            cipher = half.cipher
            if cipher is None or record[0] != _APPDATA or self._parked or self._failure:
                self._take(side, record, time, out)
            else:  # the usual record, in one step
                try:
                    plain = cipher.decrypt(record)
                except ValueError:
                    self._take(side, record, time, out)  # which reports why
                else:
                    if plain and plain[-1] == _APPDATA and half.stage == DATA and self._handshake.version == TLS13:
                        events = self._inside.feed(side, memoryview(plain)[:-1], time)
                        if end == size and not out and self._budget.left >= PRESSURE:
                            return events
                        out.extend(events)
                    else:
                        self._content(side, half, _APPDATA, plain, time, out)
            at = end
        if at < size:
            self._buffer(half, bytes(view[at:]))
        if self._budget.left < PRESSURE:
            self._sessions.press(out)
        return out

    def _buffer(self, half: Half, data: bytes) -> None:
        """Keep the beginning of a record."""
        half.buffer = data
        if len(data) >= 5 and (data[3] << 8 | data[4]) > RECORD_MAX:
            self._fail(Undecrypted.RECORD_SIZE, data[3] << 8 | data[4])

    def _join(self, side: Side, half: Half, data: Data, time: int, out: list[Event]) -> int:
        """Complete the record whose beginning is buffered; how many bytes of `data` were used."""
        have = len(half.buffer)
        head = half.buffer if have >= 5 else half.buffer + bytes(data[: 5 - have])
        need = 5 + (head[3] << 8 | head[4]) - have if len(head) >= 5 else len(data) + 1
        if need > len(data):
            half.buffer += bytes(data)
            return len(data)
        record = half.buffer + bytes(data[:need])
        half.buffer = b""
        self._take(side, record, time, out)
        return need

    def lost(self, side: Side, size: int, time: int) -> Sequence[Event]:
        """Bytes are missing: which record follows them has to be found out."""
        out: list[Event] = []
        self._halves[side].gap = True
        self._take(side, Gap(size), time, out)
        return out

    def end(self, side: Side, how: How, time: int) -> Sequence[Event]:
        """The transport has ended in this direction, which counts if no close_notify came before."""
        out: list[Event] = []
        self._take(side, End(how), time, out)
        return out

    def _finish(self, ending: Ending) -> Sequence[Event]:
        out: list[Event] = []
        time = ending.time
        for side in (Side.CLIENT, Side.SERVER):
            self._lose(side, out)
        if self._failure and self._encrypted:
            version = tls.VERSIONS.get(self._handshake.version, "")
            refused = self._handshake.version == TLS13 and self._alerts_only
            sni = self._handshake.sni
            out.append(Encrypted(self.number, time, sni, version, self._encrypted, self._failure, refused))
        out.extend(self._inside.close(ending))
        return out

    # -- parking -------------------------------------------------------------------------------------------------------

    def _take(self, side: Side, item: Item, time: int, out: list[Event]) -> None:
        """Process one record, or what is in the place of some; park it if it cannot be decrypted yet."""
        if not self._begun and type(item) is not End:
            self._begun = time
        if self._failure:
            self._encrypted += self._count(side, item)
            return
        # What one side sends is decrypted only after what the other side sent before it: a response follows its
        # request. Before the ServerHello its direction is processed alone; in the last try each direction is.
        if (self._parked and self._handshake.version and not self._last_try) or self._halves[side].blocked:
            self._set_aside(side, item, time)
        elif type(item) is Gap:
            self._gap(side, item.size, time, out)
        elif type(item) is End:
            self._lose(side, out)
            out.extend(self._inside.end(side, item.how, time))
        elif type(item) is AfterGap:
            self._after_gap(side, item.data, time, out)
        elif not self._record(side, item, time, out):  # type: ignore[arg-type]
            self._set_aside(side, item, time)

    def _set_aside(self, side: Side, item: Item, time: int) -> None:
        self._halves[side].blocked = True
        kept = bytes(item) if type(item) is memoryview else item
        self._park((side, time, kept), parked_bytes(kept))

    def _retry(self, item: ParkedItem, out: list[Event]) -> None:
        side, time, kept = item
        self._take(side, kept, time, out)

    def _resume(self, out: list[Event]) -> None:
        if not self._failure:
            for half in self._halves:
                half.blocked = False
        super()._resume(out)

    def _application_bytes(self, item: ParkedItem) -> int:
        return self._count(item[0], item[2])

    def _count(self, side: Side, item: Item) -> int:
        """Bytes of application data in an item that is not decrypted; notes whether the client sent alerts only."""
        size = encrypted_bytes(item)
        if side == Side.CLIENT and (size > _ALERT_BYTES or type(item) is Gap):
            self._alerts_only = False
        return size

    def _missing(self) -> Cause:
        return self._handshake.missing()

    # -- records -------------------------------------------------------------------------------------------------------

    def _record(self, side: Side, record: Data, time: int, out: list[Event]) -> bool:
        """Process one record; False if it has to wait for a key."""
        half = self._halves[side]
        kind = record[0]
        version = self._handshake.version
        if half.stage == PLAIN:
            if kind != _APPDATA:
                self._plaintext(side, half, kind, bytes(record[5:]), time, out)
                return True
            hello = self._handshake.hello
            if hello is None:
                self._fail(*self._handshake.missing())
                self._encrypted += len(record) - 5
                return True
            if not version:  # early data, or the ServerHello is still to come
                if not (hello.early_data and side == Side.CLIENT):
                    return False
                half.stage = EARLY
        elif version == TLS13 and kind == tls.ALERT:
            # Not encrypted, though the other side has keys: a client that rejects what it was sent has not switched
            # yet. Encrypted, it would look like application data.
            self._alert(side, bytes(record[5:]), time, out)
            return True
        elif version == TLS13 and kind == tls.CCS:
            return True  # it is sent for middleboxes only (RFC 8446 §5)
        return self._decrypt(side, half, record, time, out)

    def _plaintext(self, side: Side, half: Half, kind: int, body: bytes, time: int, out: list[Event]) -> None:
        """A record before encryption begins."""
        if kind == tls.HANDSHAKE:
            self._messages(side, body, time, out)
        elif kind == tls.CCS:
            if 0 < self._handshake.version < TLS13:
                half.stage = DATA
        elif kind == tls.ALERT:
            self._alert(side, body, time, out)
        else:
            self._fail(Undecrypted.NO_RECORD)

    def _decrypt(self, side: Side, half: Half, record: Data, time: int, out: list[Event]) -> bool:
        """Process one encrypted record; False if it has to wait for a key."""
        if half.cipher is None:
            half.cipher, source = tls_keys.make_cipher(self._handshake, self._sessions.keyring, side, half)
            if half.cipher is None:
                key = self._sessions.keyring.get(self._handshake.client_random)
                no_early_key = self._last_try or (key is not None and _LAST_SECRET in key.secrets)
                return half.stage == EARLY and no_early_key and self._past_early(side, half, record, time, out)
            self._source = source
        try:
            plain = half.cipher.decrypt(record)
        except ValueError as error:
            if half.stage == EARLY:
                return self._past_early(side, half, record, time, out)
            hello = self._handshake.hello
            if half.stage == HANDSHAKE and side == Side.CLIENT and hello is not None and hello.early_data:
                return True  # early data that the server skips, too (RFC 8446 §4.2.10)
            self._fail(Undecrypted.WRONG_SECRETS, f" ({error})")
            self._encrypted += encrypted_bytes(record)
            return True
        self._content(side, half, record[0], plain, time, out)
        return True

    def _past_early(self, side: Side, half: Half, record: Data, time: int, out: list[Event]) -> bool:
        """The early data has ended, or cannot be decrypted: go on with the handshake's key."""
        if not self._handshake.version:
            return False
        half.stage, half.cipher = HANDSHAKE, None
        return self._decrypt(side, half, record, time, out)

    def _content(self, side: Side, half: Half, kind: int, plain: bytes, time: int, out: list[Event]) -> None:
        """The content of a decrypted record."""
        body: Data = plain
        if self._handshake.version == TLS13 or half.stage == EARLY:
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
            self._messages(side, bytes(body), time, out)
        elif kind == tls.ALERT:
            self._alert(side, bytes(body), time, out)
        elif kind == tls.CCS and self._handshake.version < TLS13:
            half.cipher = None  # a renegotiation: what follows is under new keys

    # -- gaps ----------------------------------------------------------------------------------------------------------

    def _gap(self, side: Side, size: int, time: int, out: list[Event]) -> None:
        half = self._halves[side]
        if half.stage != DATA or half.cipher is None or half.cipher.chained or half.messages:
            self._fail(Undecrypted.BYTES_MISSING if half.stage == DATA else Undecrypted.HANDSHAKE_CUT, size)
            out.extend(self._inside.lost(side, size, time))
            return
        half.missing += size + len(half.buffer)
        half.gap_time = time
        half.buffer = b""

    def _lose(self, side: Side, out: list[Event]) -> None:
        """No record after the last gap was decrypted, and none will be."""
        half = self._halves[side]
        missing, half.missing = half.missing, 0
        if missing:
            out.extend(self._inside.lost(side, missing, half.gap_time))

    def _after_gap(self, side: Side, data: bytes, time: int, out: list[Event]) -> None:
        """Find the first record that decrypts after a gap; then process records as usual."""
        half = self._halves[side]
        data = half.buffer + data
        half.buffer = b""
        if half.missing:
            assert half.cipher is not None
            found = tls_resync.find(half.cipher, data, half.missing)
            if isinstance(found, int):
                half.missing += found
                half.buffer = data[found:]
                return
            out.extend(self._inside.lost(side, found.lost, half.gap_time))
            self._content(side, half, found.kind, found.plain, time, out)
            half.missing = 0
            data = data[found.end :]
        half.gap = False
        out.extend(self.feed(side, data, time))

    # -- handshake messages --------------------------------------------------------------------------------------------

    def _messages(self, side: Side, data: bytes, time: int, out: list[Event]) -> None:
        """Content of handshake records: messages may be split over several, or share one."""
        half = self._halves[side]
        data = half.messages + data
        while len(data) >= 4:
            size = int.from_bytes(data[1:4], "big")
            if size > limits.HANDSHAKE_BYTES:
                self._fail(Undecrypted.MESSAGE_SIZE, size)
                return
            if len(data) < 4 + size:
                break
            kind, body, data = data[0], data[4 : 4 + size], data[4 + size :]
            self._message(side, half, kind, body, time, out)
        half.messages = data

    def _message(self, side: Side, half: Half, kind: int, body: bytes, time: int, out: list[Event]) -> None:
        handshake = self._handshake
        if kind == tls.CLIENT_HELLO and side == Side.CLIENT:
            if handshake.client_hello(body):  # the first, the second after a retry, or a renegotiation's
                out.append(self._facts(time, time if len(self._finished) == 2 else 0))
            else:
                self._fail(Undecrypted.CLIENT_HELLO)
        elif kind == tls.SERVER_HELLO and side == Side.SERVER:
            self._server_hello(body, time, out)
        elif kind == tls.END_OF_EARLY_DATA and half.stage == EARLY:
            half.stage, half.cipher = HANDSHAKE, None
        elif kind == tls.FINISHED:
            self._finished_message(side, half, time, out)
        elif kind == tls.KEY_UPDATE and half.stage == DATA and handshake.version == TLS13 and handshake.suite:
            tls_keys.update(handshake.suite, half)
        else:
            handshake.other(side, kind, body, time, out)
        self._register()

    def _server_hello(self, body: bytes, time: int, out: list[Event]) -> None:
        version = self._handshake.version
        hello = self._handshake.server_hello(body)
        if hello is None:
            self._fail(Undecrypted.SERVER_HELLO)
            return
        if version and not hello.retry and hello.version != version:
            self._fail(Undecrypted.CONTRADICTION)  # a renegotiation keeps the version
        if hello.retry or version:
            return
        if hello.version == TLS13:
            client, server = self._halves
            server.stage = HANDSHAKE
            if client.stage == PLAIN:
                client.stage = HANDSHAKE
        out.append(self._facts(time, 0))
        self._resume(out)

    def _finished_message(self, side: Side, half: Half, time: int, out: list[Event]) -> None:
        handshake = self._handshake
        if side in self._finished:
            return
        if handshake.version < TLS13 and side == Side.SERVER and not self._finished:
            handshake.resumed = True  # the server's Finished comes first only if the session is resumed (RFC 5246 §7.3)
        self._finished.add(side)
        if handshake.version == TLS13:
            half.stage, half.cipher = DATA, None
            if side == Side.SERVER:
                out.extend(self._inside.expect(handshake.alpn, time))
        if len(self._finished) == 2:
            if handshake.version < TLS13:
                out.extend(self._inside.expect(handshake.alpn, time))
            out.append(self._facts(time, time))

    def _alert(self, side: Side, body: bytes, time: int, out: list[Event]) -> None:
        if len(body) < 2:
            return
        level, code = body[0], body[1]
        if code == 0:
            out.append(Alert(self.number, time, side, code))
            out.extend(self._inside.end(side, How.CLOSE_NOTIFY, time))
        elif level == _FATAL or (self._handshake.version == TLS13 and code != _CANCELED):  # whatever its level
            out.append(Alert(self.number, time, side, code))
            out.extend(self._inside.close(Ending(side, How.ALERT, time, tls.alert_name(code))))

    def _facts(self, time: int, done: int) -> Event:
        return self._handshake.facts(time, self._begun or time, done, self._source)
