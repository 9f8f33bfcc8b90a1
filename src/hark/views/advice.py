"""Why TLS stayed closed in a process, and what would open it, by the TLS library that was found there.

May hold: the table of advice. May not hold: detection (the tap's), telling (a view's).
"""

_ADVICE = {
    "OpenSSL": "its libssl was not reached by the preloaded agent: set-id, a private copy, or started before hark",
    "OpenSSL (static)": "OpenSSL is linked into the program: build it against the shared libssl",
    "BoringSSL (static)": "BoringSSL is linked in: start it with an option that writes a key log (Chromium: it follows "
    "SSLKEYLOGFILE)",
    "GnuTLS": "a GnuTLS program that drops SSLKEYLOGFILE from its environment",
    "NSS": "an NSS built without key logging, as Debian's is: the program's own copy may follow SSLKEYLOGFILE",
    "Go crypto/tls": "Go has no switch for it: set tls.Config.KeyLogWriter to the file in SSLKEYLOGFILE",
    "gRPC (BoringSSL)": "gRPC for Python has BoringSSL linked in and no switch for a key log: use an insecure channel",
    "aioquic": "set QuicConfiguration.secrets_log_file to the file in SSLKEYLOGFILE",
    "rustls": "set the client's key_log to rustls::KeyLogFile: it follows SSLKEYLOGFILE",
    "Java": "run it with a key log agent that writes to the file in SSLKEYLOGFILE",
    "mbed TLS": "set mbedtls_ssl_set_export_keys_cb to write the file in SSLKEYLOGFILE",
    "mbed TLS (static)": "set mbedtls_ssl_set_export_keys_cb to write the file in SSLKEYLOGFILE",
    "wolfSSL": "build wolfSSL with --enable-keylog-export",
    "wolfSSL (static)": "build wolfSSL with --enable-keylog-export",
}


def remedy(libraries: tuple[str, ...], version: str) -> str:
    """A clause that tells what would open the program's TLS, or let it be heard otherwise."""
    for library in libraries:
        if library in _ADVICE:
            return _ADVICE[library]
    return "a key log of the program (SSLKEYLOGFILE) would open it"
