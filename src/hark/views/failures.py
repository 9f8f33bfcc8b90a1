"""A failure in words and as JSON: the same for the terminal, exports, DevTools, watchers and the Python API.

What   what(failure) names the thing, reason(failure) says what happened to it, entry(failure) is its HAR 1.2 entry.
How    The entry is written as browsers write a request that got no response: status 0 and `response._error`. Method and
       scheme are not known, as no request was seen: GET stands for the method, for readers of HAR take nothing else for
       granted, and the request's comment says so. What hark knows stands in `_failure`.
"""

from collections import Counter
from typing import Any
from urllib.parse import quote

from hark.decode.endings import Phase
from hark.model.failure import Failure, FailureKind
from hark.views.advice import remedy
from hark.views.entry import notes, process
from hark.views.view import address, plural, size, who
from hark.wire import unixsocket
from hark.wire.isotime import iso

Json = dict[str, Any]
_US = 1000  # ns: entries have times to the microsecond, and so has whatever is shown
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
    """The last thing that was seen of it; of a certificate that was rejected also which address had it."""
    connection = failure.connection
    at = connection.server[0] if connection is not None and failure.kind is FailureKind.CERTIFICATE_REJECTED else ""
    if at in ("", failure.host):
        return failure.seen
    return f"{failure.seen}, shown by {at}" if failure.seen else f"the server is {at}"


def reason(failure: Failure) -> str:
    """What happened to it."""
    return f"not decrypted: {failure.why}" if failure.kind is FailureKind.ENCRYPTED else failure.why


def line(failure: Failure) -> str:
    """One line without layout."""
    return f"{what(failure)} {reason(failure)}"


def layer(facts: Json) -> str:
    """Where a failure was, of an entry's `_failure`, for whoever shows it where a request has its method: "DNS", "TLS"
    (and QUIC), "CONNECT"."""
    kind = facts.get("kind")
    if kind in _NAMES:
        return "DNS"
    return "TLS" if kind in _TLS or facts.get("phase") == Phase.TLS else "CONNECT"


def summed_up(facts: Json) -> str:
    """What failed and what happened to it, of an entry's `_failure`: "example.com:443: no answer"."""
    host, port, why = str(facts.get("host", "")), facts.get("port", 0), str(facts.get("why", ""))
    named = host if "rcode" in facts else address(host, port)
    return f"{named}: {'not decrypted: ' if facts.get('kind') == FailureKind.ENCRYPTED else ''}{why}"


def taken(failure: Failure) -> int:
    """How long the program waited, in ns, as exactly as entries tell it."""
    return max(failure.time // _US - failure.started // _US, 0) * _US


def libraries(failure: Failure) -> tuple[str, ...]:
    """The TLS libraries that were found in the process."""
    return failure.process.tls if failure.process is not None else ()


def ciphertext(failure: Failure) -> str:
    """What stayed encrypted: "1.2 kB TLSv1.3 (Go crypto/tls)"."""
    found = ", ".join(libraries(failure))
    return f"{size(failure.size)} {failure.version or 'TLS'}{f' ({found})' if found else ''}"


class Counts:
    """How many failures of which kind there were, in words."""

    def __init__(self) -> None:
        self._kinds: Counter[FailureKind] = Counter()

    def add(self, kind: FailureKind) -> None:
        """One more."""
        self._kinds[kind] += 1

    def __len__(self) -> int:
        return sum(self._kinds.values())

    def clauses(self) -> list[str]:
        """Such as "2 failed connections (1 refused, 1 reset)", "1 name not found", "1 TLS connection not decrypted"."""
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


# -- the entry -------------------------------------------------------------------------------------------------------


def entry(failure: Failure) -> Json:
    """Its entry; it is not to be changed."""
    if failure.entry is not None:
        return failure.entry
    connection = failure.connection
    found = connection.tls if connection is not None else None
    result: Json = {
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
    if found is not None:
        result["_tls"] = {"version": found.version, "cipher": found.cipher, "sni": found.sni, "alpn": found.alpn}
    if connection is not None and connection.notes:
        result["_notes"] = notes(connection)
    result["_failure"] = _facts(failure)
    return result


def _facts(failure: Failure) -> Json:
    ending = failure.ending
    side = ending.side if ending is not None else None
    facts: Json = {
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
        facts |= {"rcode": failure.answer.rcode, "type": failure.answer.qtype}
    return facts


def _url(failure: Failure) -> str:
    """Where the request would have gone: https where TLS was begun or its own port was asked for."""
    connection, port = failure.connection, failure.port
    host = f"[{failure.host}]" if ":" in failure.host else quote(failure.host, safe="")
    secure = port == 443 or failure.kind in _TLS or (connection is not None and connection.tls is not None)
    if unixsocket.is_socket(failure.host):
        return unixsocket.origin("https" if secure else "http", failure.host) + "/"
    return f"{'https' if secure else 'http'}://{host}{'' if port in (0, 443 if secure else 80) else f':{port}'}/"


def _timings(failure: Failure) -> Json:
    """The phases, in ms, which add up to the time: what was not reached is -1, what HAR wants to be there 0."""
    timings: Json = {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 0, "receive": 0}
    connection, whole = failure.connection, taken(failure)
    if connection is None:
        return timings | {"dns": _ms(whole)}
    at, end = failure.started // _US * _US, failure.started // _US * _US + whole
    if connection.dns is not None and failure.started <= connection.dns[0] <= connection.dns[1] <= connection.opened:
        timings["dns"] = _ms(min(connection.opened // _US * _US, end) - at)
        at = min(connection.opened // _US * _US, end)
    ready, tls = connection.established or end, connection.tls
    if tls is not None and tls.started and connection.established:
        ready = tls.done or end
        timings["ssl"] = _ms(max(min(ready, end) - tls.started, 0))
    ready = max(min(ready // _US * _US, end), at)
    return timings | {"connect": _ms(ready - at), "wait": _ms(end - ready)}


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
