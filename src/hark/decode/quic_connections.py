"""The table of QUIC connections: which one a datagram belongs to (RFC 9000 §5.2).

What   By connection id, and by address pair for ids of zero length.
Why    Ids stay the same when addresses change (§9), and many connections may share one pair of ports.
How    A datagram with an unknown id begins a connection only if its Initial packet decrypts with the keys that are
       derived from it: nothing else can be taken for QUIC.
Limits QUIC_FLOWS connections; past it the one that has been idle for longest is reported as unfinished.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from hark.decode import limits
from hark.decode.context import Context
from hark.decode.endings import Ending, How
from hark.decode.events import Closed, Established, Event, Opened, Side
from hark.decode.quic import MakeInside, Quic
from hark.decode.sessions import Sessions
from hark.wire import ip, quic

End = tuple[bytes, int]  # address, port
_DATAGRAM_MIN: Final = 1200  # bytes of a client's first datagram, at least (§14.1)
_PACKET_MIN: Final = 21  # bytes of a QUIC packet, at least (RFC 9001 §5.4.2)
_FIRST_ID_MIN: Final = 8  # bytes of a client's first destination id, at least (§7.2)


class _Connection:
    """One connection, or what is left of it after its end."""

    __slots__ = ("answered", "ended", "ids", "pairs", "quic", "seen", "sizes")

    def __init__(self, session: Quic) -> None:
        self.quic = session
        self.answered = False  # the server has sent something
        self.ended = 0  # when it ended, ns since the epoch; 0: it is open
        self.ids: list[bytes] = []
        self.sizes = [0, 0]  # bytes of the latest id of each side
        self.pairs: list[tuple[End, End]] = []
        self.seen = 0  # when the last datagram came


class QuicConnections:
    """Those of a recording. make_inside: gives connection `number` what creates its application."""

    def __init__(self, context: Context, make_inside: Callable[[int], MakeInside]) -> None:
        self._context = context
        self._sessions = context.sessions
        self._make_inside = make_inside
        self._ids: dict[bytes, tuple[_Connection, Side]] = {}  # the side that a datagram for this id is sent to
        self._sizes: dict[int, int] = {}  # how many ids of each length there are
        self._pairs: dict[tuple[End, End], tuple[_Connection, Side]] = {}  # by (source, target): the sender
        self._open: dict[int, _Connection] = {}
        self._ended: deque[_Connection] = deque()  # kept for datagrams that are still on their way (§10.2.2)

    def feed(self, source: End, target: End, data: memoryview, time: int, pid: int) -> tuple[bool, list[Event]]:
        """One datagram's payload: (whether it belongs to a connection, events)."""
        out: list[Event] = []
        if len(data) < _PACKET_MIN:
            return False, out
        raw = bytes(data)
        if self._ended:
            self._forget(time)
        found = self._find(source, target, raw)
        if found is None:
            found = self._begin(source, target, raw, time, pid, out)
            if found is None:
                return False, out
        connection, side, size = found
        if connection.ended:
            return True, out
        connection.seen = time
        if (source, target) not in self._pairs:
            self._add_pair(connection, source, target, side)
        if side == Side.SERVER and not connection.answered:
            connection.answered = True
            out.append(Established(connection.quic.number, time))
        session = connection.quic
        out.extend(session.feed(side, raw, time, size))
        self._update(connection, out)
        return True, out

    def _find(self, source: End, target: End, data: bytes) -> tuple[_Connection, Side, int] | None:
        """(connection, sender, bytes of a short header's destination id)."""
        if data[0] & 0x80:
            dcid = data[6 : 6 + data[5]]
            found = self._ids.get(dcid) if dcid else None
            if found is not None:
                return found[0], found[1].other, 0
            pair = self._pairs.get((source, target))
            return (*pair, 0) if pair is not None and self._belongs(pair, data) else None
        for size in self._sizes:
            found = self._ids.get(data[1 : 1 + size])
            if found is not None:
                return found[0], found[1].other, size
        pair = self._pairs.get((source, target))
        if pair is None:
            return None
        # An id from a packet that could not be decrypted yet: all ids of an endpoint have one length.
        connection, sender = pair
        return connection, sender, connection.sizes[sender.other]

    @staticmethod
    def _belongs(pair: tuple[_Connection, Side], data: bytes) -> bool:
        """Whether a long header with an unknown id, between known addresses, belongs to the connection there. A client
        that begins again (after a Retry that was not captured) keeps its own id; another connection has another."""
        header = quic.long_header(data, 0)
        if pair[0].ended:
            return header is not None and header.kind != quic.INITIAL  # else the ports are used again
        if header is None or header.kind != quic.INITIAL or pair[1] == Side.SERVER:
            return header is not None
        return header.scid in pair[0].ids if header.scid else not pair[0].answered

    def _begin(
        self, source: End, target: End, data: bytes, time: int, pid: int, out: list[Event]
    ) -> tuple[_Connection, Side, int] | None:
        header = quic.long_header(data, 0) if len(data) >= _DATAGRAM_MIN and data[0] & 0x80 else None
        if header is None or header.kind not in (quic.INITIAL, quic.ZERO_RTT) or len(header.dcid) < _FIRST_ID_MIN:
            return None
        trial = Quic(0, Sessions(self._sessions.keyring), self._make_inside(0))
        trial.feed(Side.CLIENT, data, time, 0)
        if not trial.begun:
            return None
        number = self._context.inner_number()
        connection = _Connection(Quic(number, self._sessions, self._make_inside(number)))
        self._open[number] = connection
        self._add_id(connection, Side.SERVER, header.dcid)
        out.append(Opened(number, time, _text(source), _text(target), pid, udp=True))
        if len(self._open) > limits.QUIC_FLOWS:
            idlest = min(self._open.values(), key=lambda open_one: open_one.seen)
            self._close(idlest, Ending(None, How.ABANDONED, time, "too many connections are open"), out)
        return connection, Side.CLIENT, 0

    def _update(self, connection: _Connection, out: list[Event]) -> None:
        """The connection may have announced ids, or its end."""
        session = connection.quic
        for side, cid in session.new_ids:
            self._add_id(connection, side, cid)
        session.new_ids.clear()
        self._sessions.press(out)
        if session.ended is not None and session.number in self._open:
            self._close(connection, session.ended, out)

    def _add_id(self, connection: _Connection, side: Side, cid: bytes) -> None:
        connection.sizes[side] = len(cid)
        if cid and cid not in self._ids and len(connection.ids) < limits.QUIC_IDS:
            self._ids[cid] = (connection, side)
            connection.ids.append(cid)
            self._sizes[len(cid)] = self._sizes.get(len(cid), 0) + 1

    def _add_pair(self, connection: _Connection, source: End, target: End, side: Side) -> None:
        for key, sender in (((source, target), side), ((target, source), side.other)):
            self._pairs[key] = (connection, sender)
            connection.pairs.append(key)
        if len(connection.pairs) > limits.QUIC_IDS:
            self._pairs.pop(connection.pairs.pop(0), None)

    def _close(self, connection: _Connection, ending: Ending, out: list[Event]) -> None:
        session = connection.quic
        del self._open[session.number]
        out.extend(session.close(ending))
        self._sessions.closed_connection(Closed(session.number, ending.time, ending, *session.sizes), out)
        connection.ended = max(ending.time, 1)
        del connection.quic  # the table of sessions still has it, if it waits for secrets
        self._ended.append(connection)

    def _forget(self, time: int) -> None:
        """Drop connections whose end is so long ago that no datagram of theirs is on its way any more."""
        limit = limits.QUIC_ENDED_SECONDS * 1_000_000_000
        while self._ended and (time - self._ended[0].ended > limit or len(self._ended) > limits.QUIC_FLOWS):
            self._drop(self._ended.popleft())

    def _drop(self, connection: _Connection) -> None:
        for cid in connection.ids:
            if self._ids.get(cid, (None,))[0] is connection:
                del self._ids[cid]
            self._sizes[len(cid)] -= 1
            if not self._sizes[len(cid)]:
                del self._sizes[len(cid)]
        for key in connection.pairs:
            if self._pairs.get(key, (None,))[0] is connection:
                del self._pairs[key]

    def finish(self, time: int, out: list[Event]) -> None:
        """The recording has ended: report open connections as unfinished."""
        for connection in list(self._open.values()):
            self._close(connection, Ending(None, How.OPEN, time, since=connection.seen), out)


def _text(end: End) -> tuple[str, int]:
    return ip.text(end[0]), end[1]
