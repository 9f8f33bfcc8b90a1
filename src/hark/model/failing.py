"""What kind of failure a connection was that ended without an exchange: one function from what was seen to one value.

What   judge(connection, closed) looks at how far it had come, who was the first to end it, and by what.
Why    Whoever is told of it gets the same: kind, phase, who, after how long, and the last thing that was seen.
Limits What was not captured from its beginning is judged by alerts and by ciphertext alone.
"""

from hark.decode.endings import Ending, How, Phase
from hark.decode.events import Closed, Side
from hark.model.clauses import ending, who
from hark.model.exchange import Connection
from hark.model.failure import Failure, FailureKind
from hark.model.spans import duration

_RIGHT_AWAY = 1_000_000_000  # ns behind its handshake within which a client that leaves without a request has turned
#   the certificate down where there is something wrong with it; a connection that is kept in reserve stays longer
_OWN = frozenset({"http/1.1", "h2", "h3"})  # protocols in which a request was to come
_REQUIRED = 116  # the alert certificate_required
_SEEN_ALL = frozenset({How.OPEN, How.ABANDONED})


def failure(kind: FailureKind, phase: Phase, connection: Connection, end: Ending, why: str) -> Failure:
    """A failure of a connection."""
    process, pid = connection.process, connection.pid
    return Failure(kind, phase, connection.opened, end.time, why, process, pid, connection, ending=end)


def judge(connection: Connection, closed: Closed) -> Failure | None:
    """What has failed on a connection that is over; None where nothing did, or where it is told already."""
    if connection.failed or connection.foreign:
        return None
    ends = [*connection.alerts, closed.ending]
    end = min(ends, key=lambda one: one.time)
    sealed = connection.encrypted
    if sealed is not None:
        found = _encrypted(connection, end)
        return found._replace(size=sealed.size, version=sealed.version)
    if connection.exchanges:
        return None
    if end.how in (How.REFUSED, How.UNREACHABLE):
        kind = FailureKind.REFUSED if end.how is How.REFUSED else FailureKind.UNREACHABLE
        return failure(kind, Phase.CONNECT, connection, end, f"{end.how}{f': {end.detail}' if end.detail else ''}")
    if not connection.established and not connection.udp:  # with bytes: its beginning, or a side, was not captured
        return None if closed.sent or closed.received else _unanswered(connection, end)
    if connection.tls is not None:
        return _secure(connection, end, closed)
    return _plain(connection, end, closed)


def _unanswered(connection: Connection, end: Ending) -> Failure:
    return failure(FailureKind.NO_ANSWER, Phase.CONNECT, connection, end, "no answer")


def not_tls(connection: Connection, spoken: str, time: int) -> Failure:
    """A ClientHello was met by something else."""
    name = spoken or "something else"
    end = Ending(Side.SERVER, How.ABANDONED, time, f"the server answered in {name}")
    why = f"the server answered in {name}, not TLS"
    return failure(FailureKind.NOT_TLS, Phase.TLS, connection, end, why)


def _encrypted(connection: Connection, end: Ending) -> Failure:
    assert connection.encrypted is not None
    if connection.encrypted.refused and end.side == Side.CLIENT:
        why = "the client broke off the handshake, most likely because of the server's certificate, which is encrypted"
        found = failure(FailureKind.CERTIFICATE_REJECTED, Phase.TLS, connection, end, why)
        return found._replace(seen=ending(end, end.time - connection.opened))
    found = failure(FailureKind.ENCRYPTED, Phase.IDLE, connection, end, connection.encrypted.why)
    return found._replace(seen=ending(end, end.time - connection.opened))


# -- TLS, and QUIC ----------------------------------------------------------------------------------------------------


def _secure(connection: Connection, end: Ending, closed: Closed) -> Failure | None:
    facts = connection.tls
    assert facts is not None
    alert = end.how is How.ALERT
    if facts.done:
        if not alert and (connection.protocol or "h2") not in _OWN:
            return None  # something else was spoken in it
        if not alert and end.how in _SEEN_ALL:
            return None  # it is not over
    found = _of_alert(connection, end) if alert else None
    if found is None and not facts.version:
        found = _no_hello(connection, end, closed)
    elif found is None and not facts.done:
        found = _half_way(connection, end)
    elif found is None:
        found = _unused(connection, end)
    return found._replace(version=facts.version, seen=found.seen or _certificate(connection, end))


def _of_alert(connection: Connection, end: Ending) -> Failure:
    from hark.wire import tls

    assert end.side is not None
    by = who(end.side)
    code = next((code for code, name in tls.ALERTS.items() if name == end.detail), -1)
    if code in tls.REJECTED or (code == _REQUIRED and end.side == Side.SERVER):
        whose = "certificate" if end.side == Side.CLIENT else "client's certificate"
        kind, why = FailureKind.CERTIFICATE_REJECTED, f"{by} rejected the {whose}: {end.detail}"
    else:
        kind, why = FailureKind.TLS_FAILED, f"{by} ended TLS: {end.detail}"
    return failure(kind, Phase.TLS, connection, end, why)


def _no_hello(connection: Connection, end: Ending, closed: Closed) -> Failure:
    """No ServerHello came."""
    lasted = end.time - connection.opened
    if end.side == Side.SERVER and end.how is not How.CLOSE_NOTIFY:
        kind = FailureKind.RESET if end.how is How.RST else FailureKind.TLS_FAILED
        return failure(kind, Phase.TLS, connection, end, f"{ending(end, lasted)}, in answer to the ClientHello")
    if closed.received and connection.established:
        why = f"the server's answer to the ClientHello was incomplete; {ending(end, lasted)}"
        return failure(FailureKind.TLS_FAILED, Phase.TLS, connection, end, why)
    why = f"the server did not answer the ClientHello; {ending(end, lasted)}"
    if end.how is How.OPEN:
        why = f"the server did not answer the ClientHello for {duration(lasted)}; {ending(end, lasted)}"
    return failure(FailureKind.TLS_SILENT, Phase.TLS, connection, end, why)


def _half_way(connection: Connection, end: Ending) -> Failure:
    """The handshake was not finished."""
    lasted = end.time - connection.opened
    if end.side == Side.CLIENT and connection.certificates[Side.SERVER]:
        why = f"{ending(end, lasted)}, right after the server's certificate"
        return failure(FailureKind.CERTIFICATE_REJECTED, Phase.TLS, connection, end, why)
    kind = FailureKind.RESET if end.how is How.RST else FailureKind.TLS_FAILED
    return failure(kind, Phase.TLS, connection, end, f"{ending(end, lasted)}, in the middle of the TLS handshake")


def _unused(connection: Connection, end: Ending) -> Failure:
    """The handshake was finished, and no request came."""
    facts = connection.tls
    assert facts is not None
    lasted = end.time - connection.opened
    chain = connection.certificates[Side.SERVER]
    prompt = end.side == Side.CLIENT and end.time - facts.done < _RIGHT_AWAY
    if prompt and chain:
        flawed = bool(_flaws(connection, end))
        kind = FailureKind.CERTIFICATE_REJECTED if flawed else FailureKind.CLOSED_BEFORE_REQUEST
        phase = Phase.TLS if flawed else Phase.IDLE
        why = f"{ending(end, lasted)}, right after the server's certificate, without a request"
        return failure(kind, phase, connection, end, why)
    kind = FailureKind.RESET if end.how is How.RST else FailureKind.CLOSED_BEFORE_REQUEST
    return failure(kind, Phase.IDLE, connection, end, f"{ending(end, lasted)}, without a request")


def _meant(connection: Connection) -> str:
    sni = connection.tls.sni if connection.tls is not None else ""
    return sni or ("" if connection.name else connection.server[0])


def _flaws(connection: Connection, end: Ending) -> list[str]:
    from hark.model import certificate  # reading certificates takes long to load

    chain = connection.certificates[Side.SERVER]
    return certificate.flaws(chain[0], _meant(connection), end.time) if chain else []


def _certificate(connection: Connection, end: Ending) -> str:
    """The server's certificate, in words, where the client was the one to leave."""
    chain = connection.certificates[Side.SERVER]
    if not chain or end.side != Side.CLIENT:
        return ""
    from hark.model import certificate

    return certificate.said(chain[0], _flaws(connection, end))


# -- without TLS ------------------------------------------------------------------------------------------------------


def _plain(connection: Connection, end: Ending, closed: Closed) -> Failure | None:
    lasted = end.time - connection.opened
    for trouble in connection.troubles:
        if not trouble.kind.startswith("lost"):  # what was not captured has not failed
            return failure(FailureKind.BROKEN, Phase.REQUEST, connection, end, trouble.text)
    if connection.troubles or end.how in _SEEN_ALL:
        return None
    if connection.protocol is not None and connection.protocol not in _OWN:
        return None
    sent = f"{closed.sent} byte was" if closed.sent == 1 else f"{closed.sent} bytes were"
    what = f"without a request, {sent} sent" if closed.sent else "without a request"
    kind = FailureKind.RESET if end.how is How.RST else FailureKind.CLOSED_BEFORE_REQUEST
    return failure(kind, Phase.IDLE, connection, end, f"{ending(end, lasted)}, {what}")
