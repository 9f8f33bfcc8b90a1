"""Which failure a connection is that ended without an exchange.

What   judge(connection, closed) looks at how far it had got, which side ended it first, and how.
Why    All views report the same: kind, phase, which side, after how long, and the last thing seen.
Limits A connection that was not captured from its beginning is judged by alerts and ciphertext alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hark.decode.endings import Ending, How, Phase, Side
from hark.model.clauses import ending, who
from hark.model.failure import Failure, FailureKind
from hark.model.spans import duration

if TYPE_CHECKING:
    from hark.decode.events import Closed, Encrypted
    from hark.model.exchange import Connection

_RIGHT_AWAY = 1_000_000_000  # ns after its handshake: a client that closes earlier, without a request, has rejected the
#   certificate if that has a flaw; a spare connection is kept longer
_OWN = frozenset({"http/1.1", "h2", "h3"})  # protocols in which a request was expected
_REQUIRED = 116  # the alert certificate_required
_NO_END = frozenset({How.OPEN, How.ABANDONED})


def failure(kind: FailureKind, phase: Phase, connection: Connection, end: Ending, why: str) -> Failure:
    """A failure of a connection."""
    process, pid = connection.process, connection.pid
    return Failure(kind, phase, connection.opened, end.time, why, process, pid, connection, ending=end)


def judge(connection: Connection, closed: Closed) -> Failure | None:
    """The failure of a connection that is over; None if it did not fail, or if its failure was reported already."""
    if connection.failed or connection.foreign:
        return None
    ends = [*connection.alerts, closed.ending]
    end = min(ends, key=lambda one: one.time)
    encrypted = connection.encrypted
    if encrypted is not None:
        return _undecrypted(connection, encrypted, end)
    if connection.exchanges:
        return None
    if end.how in (How.REFUSED, How.UNREACHABLE):
        kind = FailureKind.REFUSED if end.how is How.REFUSED else FailureKind.UNREACHABLE
        return failure(kind, Phase.CONNECT, connection, end, f"{end.how}{f': {end.detail}' if end.detail else ''}")
    if not connection.established and not connection.udp:  # if there are bytes, a part was not captured
        return None if closed.sent or closed.received else _unanswered(connection, end)
    if connection.tls is not None:
        return _secure(connection, end, closed)
    return _plain(connection, end, closed)


def _unanswered(connection: Connection, end: Ending) -> Failure:
    return failure(FailureKind.NO_ANSWER, Phase.CONNECT, connection, end, "no answer")


def not_tls(connection: Connection, protocol: str, time: int) -> Failure:
    """A ClientHello was answered in another protocol. protocol: its name, "" for an unknown one."""
    name = protocol or "something else"
    end = Ending(Side.SERVER, How.ABANDONED, time, f"the server answered in {name}")
    why = f"the server answered in {name}, not TLS"
    return failure(FailureKind.NOT_TLS, Phase.TLS, connection, end, why)


def _undecrypted(connection: Connection, encrypted: Encrypted, end: Ending) -> Failure:
    if encrypted.refused and end.side == Side.CLIENT:
        why = "the client broke off the handshake, most likely because of the server's certificate, which is encrypted"
        result = failure(FailureKind.CERTIFICATE_REJECTED, Phase.TLS, connection, end, why)
    else:
        result = failure(FailureKind.ENCRYPTED, Phase.IDLE, connection, end, encrypted.cause.clause)
    seen = ending(end, end.time - connection.opened)
    return result._replace(
        seen=seen, size=encrypted.size, version=encrypted.version, undecrypted=encrypted.cause.reason
    )


# -- TLS, and QUIC -----------------------------------------------------------------------------------------------------


def _secure(connection: Connection, end: Ending, closed: Closed) -> Failure | None:
    facts = connection.tls
    assert facts is not None
    alert = end.how is How.ALERT
    if facts.done:
        if not alert and (connection.protocol or "h2") not in _OWN:
            return None  # it carried another protocol
        if not alert and end.how in _NO_END:
            return None
    if alert:
        result = _of_alert(connection, end)
    elif not facts.version:
        result = _no_hello(connection, end, closed)
    elif not facts.done:
        result = _half_way(connection, end)
    else:
        result = _unused(connection, end)
    return result._replace(version=facts.version, seen=result.seen or _certificate(connection, end))


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
    """There was no ServerHello."""
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
    """The handshake was complete, and there was no request."""
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


def _expected_name(connection: Connection) -> str:
    sni = connection.tls.sni if connection.tls is not None else ""
    return sni or ("" if connection.name else connection.server[0])


def _flaws(connection: Connection, end: Ending) -> list[str]:
    from hark.model import certificate  # reading certificates takes long to load

    chain = connection.certificates[Side.SERVER]
    return certificate.flaws(chain[0], _expected_name(connection), end.time) if chain else []


def _certificate(connection: Connection, end: Ending) -> str:
    """The server's certificate, in words, if the client ended the connection."""
    chain = connection.certificates[Side.SERVER]
    if not chain or end.side != Side.CLIENT:
        return ""
    from hark.model import certificate

    return certificate.described(chain[0], _flaws(connection, end))


# -- without TLS -------------------------------------------------------------------------------------------------------


def _plain(connection: Connection, end: Ending, closed: Closed) -> Failure | None:
    lasted = end.time - connection.opened
    for trouble in connection.troubles:
        if not trouble.kind.startswith("lost"):  # missing bytes are no failure
            return failure(FailureKind.BROKEN, Phase.REQUEST, connection, end, trouble.text)
    if connection.troubles or end.how in _NO_END:
        return None
    if connection.protocol is not None and connection.protocol not in _OWN:
        return None
    sent = f"{closed.sent} byte was" if closed.sent == 1 else f"{closed.sent} bytes were"
    what = f"without a request, {sent} sent" if closed.sent else "without a request"
    kind = FailureKind.RESET if end.how is How.RST else FailureKind.CLOSED_BEFORE_REQUEST
    return failure(kind, Phase.IDLE, connection, end, f"{ending(end, lasted)}, {what}")
