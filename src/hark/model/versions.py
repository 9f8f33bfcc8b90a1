"""The names of HTTP's versions: in messages ("HTTP/2"), in ALPN ("h2"), and in HAR files of other programs."""

_PROTOCOLS = {"HTTP/2": "h2", "HTTP/3": "h3"}
_VERSIONS = {
    **dict.fromkeys(("h2", "h2c", "http/2", "http/2.0", "http2", "http/2+quic/46"), "HTTP/2"),
    **dict.fromkeys(("h3", "http/3", "http/3.0", "http3"), "HTTP/3"),
}


def protocol_of(version: str) -> str:
    """The name in ALPN of a message's version: "http/1.1", "h2", "h3"; "" for ""."""
    return _PROTOCOLS.get(version) or version.lower()


def version_of(text: str) -> str:
    """The version as in a message, from what any program has written into a HAR file."""
    text = text.strip()
    return _VERSIONS.get(text.lower()) or ("HTTP/3" if text.lower().startswith("h3-") else text.upper())
