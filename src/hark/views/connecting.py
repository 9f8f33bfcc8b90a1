"""A line about a connection, for its first request (-v): the server, TLS, the time of each phase.

What   line(exchange) is "192.0.2.1:443 (example.com), TLS 1.3 TLS_AES_128_GCM_SHA256 h2, certificate CN=example.com
       until 2027-01-01, dns 1 ms, connect 9 ms, tls 12 ms, wait 80 ms, receive 3 ms".
Limits For an exchange from a HAR file, what its entry has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hark.views.view import address, duration

if TYPE_CHECKING:
    from hark.model.exchange import Connection, Exchange

_LEAST = 50_000  # ns: shorter phases are left out


def line(exchange: Exchange) -> str:
    """The connection and the phases. The first exchange on a connection has the connection's own phases too."""
    connection = exchange.connection
    parts = [_where(exchange), _forwarded(connection), _secured(connection), _certificate(exchange)]
    parts += [f"{name} {duration(end - start)}" for name, start, end in exchange.phases if end - start >= _LEAST]
    return ", ".join(part for part in parts if part)


def _where(exchange: Exchange) -> str:
    connection, request = exchange.connection, exchange.request
    host, port = connection.server
    tls = connection.tls
    name = (tls.sni if tls is not None else "") or connection.name
    proxy = connection.through or (
        request is not None and (request.method == "CONNECT" or "://" in request.target[:16])
    )
    if proxy:
        return f"proxy {address(host, port)}" + (f" to {name}" if tls is not None and tls.sni else "")
    return address(host, port) + (f" ({name})" if name and name != host else "")


def _forwarded(connection: Connection) -> str:
    """The ends that a PROXY header names."""
    if connection.proxied is None:
        return ""
    client, server = connection.proxied
    return f"for {address(*client)} to {address(*server)} by the PROXY protocol"


def _secured(connection: Connection) -> str:
    tls = connection.tls
    if tls is None:
        return ""
    resumed = "resumed" if tls.resumed else ""
    return " ".join(part for part in (tls.version or "TLS", tls.cipher, tls.alpn, resumed) if part)


def _certificate(exchange: Exchange) -> str:
    """The server's certificate: subject, and until when it is valid."""
    facts = exchange.certificate
    if not facts:
        return ""
    if not facts.get("subject"):
        return "a certificate that cannot be read" if facts.get("unreadable") else ""
    until = str(facts.get("notAfter", ""))[:10]
    return f"certificate {facts['subject']}" + (f" until {until}" if until else "")
