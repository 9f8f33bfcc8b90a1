"""Remedies for failures, by their kind; for connections that were not decrypted, by the program's TLS library.

May hold: tables of remedies. May not hold: detection of libraries (the tap's), layout (a view's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hark.decode import undecrypted
from hark.model.failure import FailureKind

if TYPE_CHECKING:
    from hark.model.failure import Failure

_REMEDIES = {
    FailureKind.NAME_NOT_FOUND: "check the name, and the search list in /etc/resolv.conf",
    FailureKind.NAME_NO_ANSWER: "check the name servers in /etc/resolv.conf",
    FailureKind.REFUSED: "nothing listens there: start the server, or check host and port",
    FailureKind.UNREACHABLE: "check the route to this address, and the firewall",
    FailureKind.NO_ANSWER: "check the address, and whether a firewall drops the packets",
    FailureKind.NOT_TLS: "use http:// with this port, or the port on which the server speaks TLS",
    FailureKind.TLS_SILENT: "check that the server speaks TLS on this port, and its log",
    FailureKind.CERTIFICATE_REJECTED: "let the client trust the issuer, renew the certificate, or use a name in it",
    FailureKind.TLS_FAILED: "compare the TLS versions, ciphers and client certificates that both ends accept",
    FailureKind.CLOSED_BEFORE_REQUEST: "see the log of the end that closed it",
    FailureKind.RESET: "see the server's log, and that of a proxy or firewall in between",
    FailureKind.BROKEN: "write -o x.pcapng, and look at the packets in Wireshark",
}

_ADVICE = {
    "OpenSSL": "its libssl was not reached by the preloaded agent: set-id, a private copy, started before hark, "
    "or another TLS library linked into one of its modules",
    "OpenSSL (static)": "OpenSSL is linked into the program: build it against the shared libssl",
    "BoringSSL (static)": "BoringSSL is linked in: start it with an option that writes a key log (Chromium: it follows "
    "SSLKEYLOGFILE)",
    "GnuTLS": "it drops SSLKEYLOGFILE from its environment: leave that variable in it",
    "NSS": "an NSS built without key logging, as Debian's is: the program's own copy may follow SSLKEYLOGFILE",
    "Go crypto/tls": "Go has no switch for it: set tls.Config.KeyLogWriter to the file in SSLKEYLOGFILE",
    "gRPC (BoringSSL)": "gRPC for Python has BoringSSL linked in and no switch for a key log: use "
    "grpc.insecure_channel, where the server has a port for it",
    "aioquic": 'set configuration.secrets_log_file = open(os.environ["SSLKEYLOGFILE"], "a")',
    "rustls": "set the client's key_log to rustls::KeyLogFile: it follows SSLKEYLOGFILE",
    "Java": "run it with a key log agent that writes to the file in SSLKEYLOGFILE",
    "mbed TLS": "set mbedtls_ssl_set_export_keys_cb to write the file in SSLKEYLOGFILE",
    "mbed TLS (static)": "set mbedtls_ssl_set_export_keys_cb to write the file in SSLKEYLOGFILE",
    "wolfSSL": "build wolfSSL with --enable-keylog-export",
    "wolfSSL (static)": "build wolfSSL with --enable-keylog-export",
}


_QUIC = "set the QUIC library's key log to the file in SSLKEYLOGFILE (aioquic: secrets_log_file)"
_LATER = {"OpenSSL": 1, "GnuTLS": 2, "NSS": 2}
_UNKNOWN = "with a key log of the program (SSLKEYLOGFILE): hark read --keys FILE"


def remedy(failure: Failure) -> str:
    """A clause that says what would help; "" if nothing is known to."""
    if failure.kind is not FailureKind.ENCRYPTED:
        return _REMEDIES.get(failure.kind, "")
    if failure.undecrypted in undecrypted.REMEDIES:
        return undecrypted.REMEDIES[failure.undecrypted]
    libraries = failure.process.tls if failure.process is not None else ()
    # A library that is linked in is the most likely one, because the agent reaches a shared libssl. Other shared
    # libraries are often loaded for other purposes.
    for library in sorted(libraries, key=lambda name: _LATER.get(name, 0)):
        quic = failure.version.startswith("QUIC")
        if library == "OpenSSL" and quic:
            return _QUIC
        if library == "aioquic" and not quic:
            continue  # it has QUIC alone: another library made this connection
        if library in _ADVICE:
            return _ADVICE[library]
    return _UNKNOWN
