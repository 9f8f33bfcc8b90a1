"""Requests by which a connection may become something else (RFC 9110 §7.8, §9.3.6).

May hold: what heads say of it, and the client's bytes while the answer is awaited. May not hold: what takes over.
"""

from hark.decode import limits
from hark.decode.events import Headers, RequestHead
from hark.decode.layer import LASTING
from hark.wire import fields


def token(headers: Headers) -> str:
    """What a 101 has turned the connection into: of several, what hark knows (RFC 9110 §7.8)."""
    tokens = [token.decode("ascii", "replace") for token in fields.tokens(fields.value(headers, b"upgrade"))]
    return next((token for token in tokens if token == "h2c" or token in LASTING), tokens[0] if tokens else "")


def may_upgrade(head: RequestHead) -> bool:
    """Whether the answer to this request can turn the connection into something else."""
    if head.method == "CONNECT":
        return True
    return any(len(key) == 7 and key.lower() == b"upgrade" for key, _ in head.headers)


class Waiting:
    """The client's bytes behind a request that may change the protocol: whether they are HTTP is for the answer to say.
    HEAD_BYTES of them are kept; what comes past those is dropped."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[tuple[bytes, int]] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, data: bytes, time: int) -> None:
        """Keep these."""
        if self._size + len(data) <= limits.HEAD_BYTES:
            self._pieces.append((data, time))
            self._size += len(data)

    def take(self) -> list[tuple[bytes, int]]:
        """The answer has come: all of them, with their times."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        return pieces
