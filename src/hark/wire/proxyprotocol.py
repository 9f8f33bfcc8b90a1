"""The PROXY protocol, versions 1 and 2: a header by which a proxy says for which client it connects (HAProxy's
proxy-protocol.txt).

May hold: the parsing of the header. May not hold: a connection's state.
"""

from typing import Final, NamedTuple

from hark.wire import ip

V1: Final = b"PROXY "
V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V1_MAX: Final = 107  # bytes of a version 1 header, its line end included
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}  # by family and transport: TCP over IPv4, TCP over IPv6


class Header(NamedTuple):
    """A header. size: its bytes, 0 while more are needed; client is "" where it names no addresses (a health check of
    the proxy itself, Unix sockets)."""

    size: int
    client: str = ""
    client_port: int = 0
    server: str = ""
    server_port: int = 0


_INCOMPLETE: Final = Header(0)


def header(data: bytes) -> Header | None:
    """The header at the start of what the client sent; None where there is none."""
    if V1.startswith(data) or V2.startswith(data):
        return _INCOMPLETE
    if data.startswith(V2):
        return _binary(data)
    return _text(data) if data.startswith(V1) else None


def _binary(data: bytes) -> Header:
    """Version 2 (§2.2): the length of the addresses and extensions stands at offset 14."""
    if len(data) < 16 or len(data) < 16 + int.from_bytes(data[14:16], "big"):
        return _INCOMPLETE
    size = 16 + int.from_bytes(data[14:16], "big")
    width = _ADDRESS_BYTES.get(data[13], 0) if data[12] == 0x21 else 0  # 0x21: version 2, PROXY and not LOCAL
    if not width or size < 16 + 2 * width + 4:
        return Header(size)
    at = 16 + 2 * width
    client_port, server_port = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
    return Header(size, ip.text(data[16 : 16 + width]), client_port, ip.text(data[16 + width : at]), server_port)


def _text(data: bytes) -> Header | None:
    """Version 1 (§2.1): a line "PROXY TCP4 client server client_port server_port"."""
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        return _INCOMPLETE if len(data) < _V1_MAX else None
    words = data[:end].decode("ascii", "replace").split(" ")
    if len(words) == 6 and words[1] in ("TCP4", "TCP6") and words[4].isdigit() and words[5].isdigit():
        return Header(end + 2, words[2], int(words[4]), words[3], int(words[5]))
    return Header(end + 2) if words[1] == "UNKNOWN" else None
