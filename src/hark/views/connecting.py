"""What a person asks of a connection, in a line for its first request: where it leads, how it is secured, what took how
long.

What   line(exchange) is "192.0.2.1:443 (example.com), TLS 1.3 TLS_AES_128_GCM_SHA256 h2, certificate CN=example.com
       until 2027-01-01, dns 1 ms, connect 9 ms, tls 12 ms, wait 80 ms, receive 3 ms".
Limits Of an entry that came from a file, what stands in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hark.views.view import address, duration

if TYPE_CHECKING:
    from hark.model.exchange import Connection, Exchange

_LEAST = 50_000  # ns that a phase takes to be worth a word


def line(exchange: Exchange) -> str:
    """Its connection and its phases. The connection's own phases are those of its first exchange."""
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
    """Between whom a connection is that a proxy makes for others."""
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
    """The server's: whose, and until when."""
    facts = exchange.certificate
    if not facts:
        return ""
    if not facts.get("subject"):
        return "a certificate that cannot be read" if facts.get("unreadable") else ""
    until = str(facts.get("notAfter", ""))[:10]
    return f"certificate {facts['subject']}" + (f" until {until}" if until else "")
