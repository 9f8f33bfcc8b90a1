"""Requests that may change the protocol of their connection (RFC 9110 §7.8, §9.3.6).

May hold: what heads say of it, and the client's bytes while the response is awaited. May not hold: the new protocol.
"""

from hark.decode import limits
from hark.decode.events import Headers, RequestHead
from hark.decode.layer import LASTING
from hark.wire import fields


def token(headers: Headers) -> str:
    """The protocol that a 101 has switched to; of several, the first that hark decodes (RFC 9110 §7.8)."""
    tokens = [token.decode("ascii", "replace") for token in fields.tokens(fields.value(headers, b"upgrade"))]
    return next((token for token in tokens if token == "h2c" or token in LASTING), tokens[0] if tokens else "")


def may_upgrade(head: RequestHead) -> bool:
    """Whether the response to this request can change the protocol."""
    if head.method == "CONNECT":
        return True
    return any(len(key) == 7 and key.lower() == b"upgrade" for key, _ in head.headers)


class HeldBytes:
    """The client's bytes after a request that may change the protocol: the response decides how to read them. At most
    HEAD_BYTES are kept, the rest is dropped."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[tuple[bytes, int]] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, data: bytes, time: int) -> None:
        """Keep bytes that came at `time`."""
        if self._size + len(data) <= limits.HEAD_BYTES:
            self._pieces.append((data, time))
            self._size += len(data)

    def take(self) -> list[tuple[bytes, int]]:
        """All of them, with their times; nothing is kept any more."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        return pieces
