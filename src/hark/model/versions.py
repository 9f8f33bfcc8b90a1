"""The versions of HTTP by their names: that of messages ("HTTP/2"), that of ALPN ("h2"), those of HAR files.

May hold: tables and look-ups.
"""

_PROTOCOLS = {"HTTP/2": "h2", "HTTP/3": "h3"}
_VERSIONS = {
    **dict.fromkeys(("h2", "h2c", "http/2", "http/2.0", "http2", "http/2+quic/46"), "HTTP/2"),
    **dict.fromkeys(("h3", "http/3", "http/3.0", "http3"), "HTTP/3"),
}


def protocol_of(version: str) -> str:
    """The name in ALPN of a version as a message has it: "http/1.1", "h2", "h3"; "" for ""."""
    return _PROTOCOLS.get(version) or version.lower()


def version_of(text: str) -> str:
    """The version as a message has it, of whatever a maker of HAR files has written."""
    text = text.strip()
    return _VERSIONS.get(text.lower()) or ("HTTP/3" if text.lower().startswith("h3-") else text.upper())
