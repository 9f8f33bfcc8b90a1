"""Datagrams to QUIC connections (RFC 9000 §5.2): by connection id, by address where there is none.

What   A table of the ids by which each side of each connection is reached, and of address pairs for zero-length ids.
Why    Ids survive a change of addresses (§9), and many connections may share one pair of ports.
How    An unknown datagram begins a connection only if its Initial packet opens with what stands in it: nothing else
       can be taken for QUIC.
Limits QUIC_FLOWS connections; past it the idlest is told as unfinished.
"""

from collections import deque
from collections.abc import Callable

from hark.decode import limits
from hark.decode.endings import Ending, How
from hark.decode.events import Closed, Established, Event, Opened, Side
from hark.decode.keyring import Budget
from hark.decode.quic import Inside, Quic
from hark.decode.sessions import Sessions
from hark.wire import ip, quic

End = tuple[bytes, int]
_DATAGRAM_MIN = 1200  # bytes: what a client's first datagram has at least (§14.1)


class _Flow:
    __slots__ = ("answered", "gone", "ids", "known", "pairs", "quic", "seen", "sizes")

    def __init__(self, session: Quic) -> None:
        self.quic = session
        self.answered = False
        self.gone = 0  # when it was over; 0: it is not
        self.known = 0  # of its ids, how many it is told of secrets by
        self.ids: list[bytes] = []
        self.sizes = [0, 0]  # bytes of the last id by which each side is reached
        self.pairs: list[tuple[End, End]] = []
        self.seen = 0


class Endpoints:
    """Feed it every datagram that is not something else. `number` gives a new connection's number, `inside` what
    speaks in connection `number`."""

    def __init__(self, sessions: Sessions, number: Callable[[], int], inside: Callable[[int], Inside]) -> None:
        self._sessions = sessions
        self._number = number
        self._inside = inside
        self._ids: dict[bytes, tuple[_Flow, Side]] = {}  # whom a datagram for this id reaches
        self._sizes: dict[int, int] = {}  # how many ids of each length there are
        self._pairs: dict[tuple[End, End], tuple[_Flow, Side]] = {}  # by (source, target): who sends
        self._flows: dict[int, _Flow] = {}
        self._gone: deque[_Flow] = deque()  # over, and still known for the datagrams on their way (§10.2.2)

    def feed(self, source: End, target: End, data: memoryview, time: int, pid: int) -> tuple[bool, list[Event]]:
        """One datagram's payload: whether it is of a connection, and what became known by it."""
        out: list[Event] = []
        if len(data) < 21:  # no QUIC packet is shorter (RFC 9001 §5.4.2)
            return False, out
        raw = bytes(data)
        if self._gone:
            self._forget(time)
        found = self._find(source, target, raw)
        if found is None:
            found = self._begin(source, target, raw, time, pid, out)
            if found is None:
                return False, out
        flow, side, size = found
        if flow.gone:
            return True, out
        flow.seen = time
        if (source, target) not in self._pairs:
            self._pair(flow, source, target, side)
        if side == Side.SERVER and not flow.answered:
            flow.answered = True
            out.append(Established(flow.quic.number, time))
        out.extend(flow.quic.feed(side, raw, time, size))
        self._learn(flow, time, out)
        return True, out

    def _find(self, source: End, target: End, data: bytes) -> tuple[_Flow, Side, int] | None:
        """(connection, who sent this, bytes of a short header's destination id)."""
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
        # An id that came in a packet which could not be opened yet: an endpoint's ids have one length.
        flow, sender = pair
        return flow, sender, flow.sizes[sender.other]

    @staticmethod
    def _belongs(pair: tuple[_Flow, Side], data: bytes) -> bool:
        """Whether a long header for an unknown id, between known addresses, is of the connection known there. A client
        that begins anew (after a Retry that was not captured) keeps its own id; another connection has another."""
        header = quic.long_header(data, 0)
        if pair[0].gone:
            return header is not None and header.kind != quic.INITIAL  # else the ports are used again
        if header is None or header.kind != quic.INITIAL or pair[1] == Side.SERVER:
            return header is not None
        return header.scid in pair[0].ids if header.scid else not pair[0].answered

    def _begin(
        self, source: End, target: End, data: bytes, time: int, pid: int, out: list[Event]
    ) -> tuple[_Flow, Side, int] | None:
        header = quic.long_header(data, 0) if len(data) >= _DATAGRAM_MIN and data[0] & 0x80 else None
        if header is None or header.kind not in (quic.INITIAL, quic.ZERO_RTT) or len(header.dcid) < 8:
            return None
        trial = Quic(0, self._sessions.keyring, Budget(), self._inside(0))
        trial.feed(Side.CLIENT, data, time, 0)
        if not trial.begun:
            return None
        number = self._number()
        flow = _Flow(Quic(number, self._sessions.keyring, self._sessions.budget, self._inside(number)))
        self._flows[number] = flow
        self._id(flow, Side.SERVER, header.dcid)
        out.append(Opened(number, time, _text(source), _text(target), pid, udp=True))
        if len(self._flows) > limits.QUIC_FLOWS:
            idlest = min(self._flows.values(), key=lambda f: f.seen)
            self._close(idlest, Ending(None, How.ABANDONED, time, "too many connections are open"), out)
        return flow, Side.CLIENT, 0

    def _learn(self, flow: _Flow, time: int, out: list[Event]) -> None:
        """What the connection has told about itself."""
        session = flow.quic
        for side, cid in session.new_ids:
            self._id(flow, side, cid)
        session.new_ids.clear()
        if len(session.ids) > flow.known:
            flow.known = self._sessions.know(session, flow.known)
        self._sessions.press(out)
        if session.over is not None and session.number in self._flows:
            self._close(flow, session.over, out)

    def _id(self, flow: _Flow, side: Side, cid: bytes) -> None:
        flow.sizes[side] = len(cid)
        if cid and cid not in self._ids and len(flow.ids) < limits.QUIC_IDS:
            self._ids[cid] = (flow, side)
            flow.ids.append(cid)
            self._sizes[len(cid)] = self._sizes.get(len(cid), 0) + 1

    def _pair(self, flow: _Flow, source: End, target: End, side: Side) -> None:
        for key, sender in (((source, target), side), ((target, source), side.other)):
            self._pairs[key] = (flow, sender)
            flow.pairs.append(key)
        if len(flow.pairs) > limits.QUIC_IDS:
            self._pairs.pop(flow.pairs.pop(0), None)

    def _close(self, flow: _Flow, ending: Ending, out: list[Event]) -> None:
        session = flow.quic
        del self._flows[session.number]
        out.extend(session.close(ending))
        self._sessions.over(session)
        self._sessions.closed(Closed(session.number, ending.time, ending, *session.sizes), out)
        flow.gone = max(ending.time, 1)
        del flow.quic  # whoever waits for secrets still has it
        self._gone.append(flow)

    def _forget(self, time: int) -> None:
        """Drop what has been over for so long that nothing of it is on its way any more."""
        while self._gone and (
            time - self._gone[0].gone > limits.QUIC_ENDED_SECONDS * 1_000_000_000 or len(self._gone) > limits.QUIC_FLOWS
        ):
            self._drop(self._gone.popleft())

    def _drop(self, flow: _Flow) -> None:
        for cid in flow.ids:
            if self._ids.get(cid, (None,))[0] is flow:
                del self._ids[cid]
            self._sizes[len(cid)] -= 1
            if not self._sizes[len(cid)]:
                del self._sizes[len(cid)]
        for key in flow.pairs:
            if self._pairs.get(key, (None,))[0] is flow:
                del self._pairs[key]

    def finish(self, time: int, out: list[Event]) -> None:
        """Nothing more will come."""
        for flow in list(self._flows.values()):
            self._close(flow, Ending(None, How.OPEN, time, since=flow.seen), out)


def _text(end: End) -> tuple[str, int]:
    return ip.text(end[0]), end[1]
