"""A failure in words and as JSON: the same for the terminal, exports, DevTools, `hark watch` and the Python API.

What   what(failure) names the thing, reason(failure) says what happened to it, entry(failure) is its HAR 1.2 entry.
How    The entry has the form in which browsers write a request without a response: status 0 and `response._error`. No
       request was seen, so its method and scheme are not known: the method is GET, because programs that read HAR files
       need one, and the request's comment says so. `_failure` has all that hark knows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import quote

from hark.decode.endings import Phase
from hark.model.failure import FailureKind
from hark.views.advice import remedy
from hark.views.entry import notes, process
from hark.views.view import address, plural, size, who
from hark.wire import unixsocket
from hark.wire.isotime import iso

if TYPE_CHECKING:
    from hark.decode.endings import Ending
    from hark.model.entry import Entry, EntryFailure, EntryTimings
    from hark.model.failure import Failure

_US = 1000  # ns: the resolution of times in entries and on the terminal
_NAMES = frozenset({FailureKind.NAME_NOT_FOUND, FailureKind.NAME_NO_ANSWER})
_TLS = frozenset({
    FailureKind.NOT_TLS, FailureKind.TLS_SILENT, FailureKind.CERTIFICATE_REJECTED, FailureKind.TLS_FAILED,
    FailureKind.ENCRYPTED,
})  # fmt: skip
_KINDS = {
    FailureKind.NAME_NOT_FOUND: "not found",
    FailureKind.NAME_NO_ANSWER: "not answered",
    FailureKind.REFUSED: "refused",
    FailureKind.UNREACHABLE: "unreachable",
    FailureKind.NO_ANSWER: "no answer",
    FailureKind.NOT_TLS: "not TLS",
    FailureKind.TLS_SILENT: "no answer to TLS",
    FailureKind.CERTIFICATE_REJECTED: "certificate rejected",
    FailureKind.TLS_FAILED: "TLS failed",
    FailureKind.CLOSED_BEFORE_REQUEST: "closed before a request",
    FailureKind.RESET: "reset",
    FailureKind.ENCRYPTED: "not decrypted",
    FailureKind.BROKEN: "broken",
}


def what(failure: Failure) -> str:
    """The thing that failed: "dns NAME", "connect ADDRESS:PORT", "tls HOST:PORT", "quic HOST:PORT"."""
    if failure.answer is not None:
        return f"dns {failure.answer.name}"
    connection = failure.connection
    assert connection is not None
    if failure.kind in _TLS or (connection.tls is not None and failure.phase is not Phase.CONNECT):
        return f"{'quic' if failure.version.startswith('QUIC') else 'tls'} {address(failure.host, failure.port)}"
    return f"connect {address(*connection.server)}"


def seen(failure: Failure) -> str:
    """The last thing that was seen of it; for a rejected certificate also the server's address."""
    connection = failure.connection
    address = (
        connection.server[0] if connection is not None and failure.kind is FailureKind.CERTIFICATE_REJECTED else ""
    )
    if address in ("", failure.host):
        return failure.seen
    return f"{failure.seen}, shown by {address}" if failure.seen else f"the server is {address}"


def reason(failure: Failure) -> str:
    """What happened to it."""
    return f"not decrypted: {failure.why}" if failure.kind is FailureKind.ENCRYPTED else failure.why


def line(failure: Failure) -> str:
    """A failure in one line, as plain text."""
    return f"{what(failure)} {reason(failure)}"


def layer(facts: EntryFailure) -> str:
    """Where an entry's failure was: "DNS", "TLS" (and QUIC) or "CONNECT". Lists show it in the place of a method."""
    kind = facts.get("kind")
    if kind in _NAMES:
        return "DNS"
    return "TLS" if kind in _TLS or facts.get("phase") == Phase.TLS else "CONNECT"


def summed_up(facts: EntryFailure) -> str:
    """What failed and what happened to it, of an entry: "example.com:443: no answer"."""
    host, port, why = str(facts.get("host", "")), facts.get("port", 0), str(facts.get("why", ""))
    named = host if "rcode" in facts else address(host, port)
    return f"{named}: {'not decrypted: ' if facts.get('kind') == FailureKind.ENCRYPTED else ''}{why}"


def taken(failure: Failure) -> int:
    """How long the program waited, in ns, with the resolution of entries."""
    return max(failure.time // _US - failure.started // _US, 0) * _US


def libraries(failure: Failure) -> tuple[str, ...]:
    """The TLS libraries in the process."""
    return failure.process.tls if failure.process is not None else ()


def ciphertext(failure: Failure) -> str:
    """What was not decrypted: "1.2 kB TLSv1.3 (Go crypto/tls)"."""
    names = ", ".join(libraries(failure))
    return f"{size(failure.size)} {failure.version or 'TLS'}{f' ({names})' if names else ''}"


class Counts:
    """Numbers of failures by kind."""

    def __init__(self) -> None:
        self._kinds: Counter[FailureKind] = Counter()

    def add(self, kind: FailureKind) -> None:
        """Count one."""
        self._kinds[kind] += 1

    def __len__(self) -> int:
        return sum(self._kinds.values())

    def clauses(self) -> list[str]:
        """In words, such as "2 failed connections (1 refused, 1 reset)", "1 name not found", "1 connection not
        decrypted"."""
        clauses = []
        failed = {k: n for k, n in sorted(self._kinds.items()) if k not in _NAMES and k is not FailureKind.ENCRYPTED}
        if failed:
            counted = [f"{count} {_KINDS[kind]}" if len(failed) > 1 else _KINDS[kind] for kind, count in failed.items()]
            clauses.append(f"{plural(sum(failed.values()), 'failed connection')} ({', '.join(counted)})")
        for kind, name in (
            (FailureKind.NAME_NOT_FOUND, "name"),
            (FailureKind.NAME_NO_ANSWER, "name"),
            (FailureKind.ENCRYPTED, "connection"),
        ):
            if self._kinds[kind]:
                clauses.append(f"{plural(self._kinds[kind], name)} {_KINDS[kind]}")
        return clauses


# -- the entry ---------------------------------------------------------------------------------------------------------


def entry(failure: Failure) -> Entry:
    """Its entry. Do not change it: parts are shared."""
    if failure.entry is not None:
        return failure.entry
    connection = failure.connection
    tls = connection.tls if connection is not None else None
    result: Entry = {
        "startedDateTime": iso(failure.started),
        "time": _ms(taken(failure)),
        "request": {
            "method": "GET", "url": _url(failure), "httpVersion": "", "cookies": [], "headers": [], "queryString": [],
            "headersSize": -1, "bodySize": -1, "comment": "no request was seen: method and scheme are not known",
        },
        "response": {
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1, "bodySize": -1,
            "_error": line(failure),
        },
        "cache": {},
        "timings": _timings(failure),
        "serverIPAddress": connection.server[0] if connection is not None else "",
        "connection": str(connection.number) if connection is not None else "",
        "_protocol": "",
        "_serverPort": failure.port,
        "_stream": 0,
        "_process": process(failure.process, failure.pid),
    }  # fmt: skip
    if tls is not None:
        result["_tls"] = {"version": tls.version, "cipher": tls.cipher, "sni": tls.sni, "alpn": tls.alpn}
    if connection is not None and connection.notes:
        result["_notes"] = notes(connection)
    result["_failure"] = _facts(failure, failure.ending)
    return result


def _facts(failure: Failure, ending: Ending | None) -> EntryFailure:
    side = ending.side if ending is not None else None
    facts: EntryFailure = {
        "kind": failure.kind.value,
        "host": failure.host,
        "port": failure.port,
        "process": who(failure.process, failure.pid),
        "seconds": taken(failure) / 1e9,
        "phase": failure.phase.value,
        "by": side.word if side is not None else None,
        "how": ending.how.value if ending is not None else None,
        "why": failure.why,
        "seen": failure.seen,
        "remedy": remedy(failure),
        "bytes": failure.size,
    }
    if ending is not None and ending.detail:
        facts["detail"] = ending.detail
    if failure.version:
        facts["version"] = failure.version
    if libraries(failure):
        facts["libraries"] = list(libraries(failure))
    if failure.answer is not None:
        facts["rcode"], facts["type"] = failure.answer.rcode, failure.answer.qtype
    return facts


def _url(failure: Failure) -> str:
    """The URL of the missing request: https if TLS was started or the port is 443."""
    connection, port = failure.connection, failure.port
    host = f"[{failure.host}]" if ":" in failure.host else quote(failure.host, safe="")
    secure = port == 443 or failure.kind in _TLS or (connection is not None and connection.tls is not None)
    if unixsocket.is_socket(failure.host):
        return unixsocket.origin("https" if secure else "http", failure.host) + "/"
    return f"{'https' if secure else 'http'}://{host}{'' if port in (0, 443 if secure else 80) else f':{port}'}/"


def _timings(failure: Failure) -> EntryTimings:
    """The phases, in ms, which add up to the time: -1 if not reached; 0 for those that HAR requires."""
    timings: EntryTimings = {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 0, "receive": 0}
    connection, whole = failure.connection, taken(failure)
    if connection is None:
        timings["dns"] = _ms(whole)
        return timings
    at, end = failure.started // _US * _US, failure.started // _US * _US + whole
    if connection.dns is not None and failure.started <= connection.dns[0] <= connection.dns[1] <= connection.opened:
        timings["dns"] = _ms(min(connection.opened // _US * _US, end) - at)
        at = min(connection.opened // _US * _US, end)
    ready, tls = connection.established or end, connection.tls
    if tls is not None and tls.started and connection.established:
        ready = tls.done or end
        timings["ssl"] = _ms(max(min(ready, end) - tls.started, 0))
    ready = max(min(ready // _US * _US, end), at)
    timings["connect"], timings["wait"] = _ms(ready - at), _ms(end - ready)
    return timings


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
