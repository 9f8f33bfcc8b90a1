"""WebSocket frames by number (RFC 6455 §5.2, §7.4), and the parameters of permessage-deflate (RFC 7692 §7.1).

May hold: tables and pure functions. May not hold: a connection's state.
"""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KINDS = {TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
OPCODES = {name: code for code, name in KINDS.items()}
FIN, RSV1, MASKED = 0x80, 0x40, 0x80
NO_STATUS = 1005  # a close frame without a code (§7.1.5)
GOOD = frozenset({1000, 1001, NO_STATUS})  # normal closure, going away
PRIVATE = 3000  # from here on codes mean what libraries and applications say (§7.4.2)
_CODES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status",
    1007: "invalid payload data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}


def close_name(code: int) -> str:
    """A close code with its meaning, where it has one (§7.4.1 and its IANA registry)."""
    return f"{code} {_CODES[code]}" if code in _CODES else str(code)


def deflate(extensions: str) -> tuple[bool, bool] | None:
    """Whether (the client, the server) begins each message with an empty window, by what the server has accepted in
    Sec-WebSocket-Extensions; None where messages are not compressed."""
    for extension in extensions.split(","):
        name, *params = [part.strip().lower() for part in extension.split(";")]
        if name == "permessage-deflate":
            return "client_no_context_takeover" in params, "server_no_context_takeover" in params
    return None


def unmask(data: bytes, key: bytes, at: int) -> bytes:
    """A piece of a payload that begins `at` bytes into it, without its mask (RFC 6455 §5.3)."""
    size = len(data)
    turned = key[at & 3 :] + key[: at & 3]
    pattern = turned * (size // 4 + 1)
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern[:size], "big")).to_bytes(size, "big")
