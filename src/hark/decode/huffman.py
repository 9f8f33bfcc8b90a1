"""The Huffman code of HPACK and QPACK, and their integers and strings (RFC 7541 §5, RFC 9204 §4.1).

How    The code is canonical, so its 257 lengths define it (RFC 7541 Appendix B). It is decoded byte by byte: (state,
       byte) -> (next state, symbols). Steps are computed when they are first needed, one table for all connections.
       Strings usually come again, so the caller keeps those that were decoded (headercache.py).
Limits Strings of up to _REMEMBERED_SIZE bytes are kept, _REMEMBERED of them.
"""

from typing import Final

_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b080606060505"
    "050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f050605"
    "06050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817181816171817"
    "1717171516171617171816151416161717151716161815161717151516151716171714161616171616171a1a141316171619"
    "1a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c"
    "1b1b1b1b1b1a1e"
)
_EOS: Final = 256
_REMEMBERED: Final = 4096  # strings; past it the table is emptied, and frequent ones are soon back
_REMEMBERED_SIZE: Final = 256  # bytes of a coded string: longer ones seldom come again
_INTEGER_BYTES: Final = 5  # continuation bytes: 35 bits are more than any length or index needs (RFC 7541 §7.4)

Header = tuple[bytes, bytes]


class CompressionError(ValueError):
    """A header block or a table instruction that cannot be decoded."""


class CutShortError(CompressionError):
    """It ends too early; on a stream, more may come."""


def _tree() -> list[list[int]]:
    """The code as a tree: node -> [next for 0, next for 1]; a leaf is -1 - symbol."""
    tree: list[list[int]] = [[0, 0]]
    code, before = -1, 0
    for symbol in sorted(range(257), key=lambda s: (_LENGTHS[s], s)):
        length = _LENGTHS[symbol]
        code = (code + 1) << (length - before) if before else 0
        before = length
        node = 0
        for bit in range(length - 1, 0, -1):
            way = code >> bit & 1
            if not tree[node][way]:
                tree.append([0, 0])
                tree[node][way] = len(tree) - 1
            node = tree[node][way]
        tree[node][code & 1] = -1 - symbol
    return tree


class _State:
    """A node of the tree between two bytes. steps: by byte, the next state and the symbols that the byte completes;
    None if it was not computed yet."""

    __slots__ = ("end", "node", "steps")

    def __init__(self, node: int, end: bool) -> None:
        self.node = node
        self.end = end  # whether a string may end here
        self.steps: list[_Step | None] = [None] * 256


_Step = tuple[_State, bytes]


class _Huffman:
    """The decoding table. It depends on the code only, so one serves all connections."""

    def __init__(self) -> None:
        self._tree: list[list[int]] = []
        self._ends: set[int] = set()
        self._states: dict[int, _State] = {}

    def decode(self, data: bytes, known: dict[bytes, bytes]) -> bytes:
        """The string; known: those that were decoded before. Raises CompressionError."""
        text = known.get(data)
        if text is not None:
            return text
        state = self._states.get(0) or self._begin()
        pieces = []
        for byte in data:
            state, symbols = state.steps[byte] or self._step(state, byte)
            pieces.append(symbols)
        if not state.end:
            raise CompressionError("a Huffman string does not end as it should")
        text = b"".join(pieces)
        if len(data) <= _REMEMBERED_SIZE:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[data] = text
        return text

    def _begin(self) -> _State:
        self._tree = _tree()
        # A string is padded with at most 7 bits of EOS, which are ones (§5.2): it may end in these states.
        node = 0
        for _ in range(8):
            self._ends.add(node)
            node = self._tree[node][1]
        return self._state(0)

    def _state(self, node: int) -> _State:
        state = self._states.get(node)
        if state is None:
            state = self._states[node] = _State(node, node in self._ends)
        return state

    def _step(self, state: _State, byte: int) -> _Step:
        node = state.node
        symbols = bytearray()
        for bit in range(7, -1, -1):
            node = self._tree[node][byte >> bit & 1]
            if node < 0:
                if node == -1 - _EOS:
                    raise CompressionError("a Huffman string holds its end mark")
                symbols.append(-1 - node)
                node = 0
        step = state.steps[byte] = (self._state(node), bytes(symbols))
        return step


_huffman: Final = _Huffman()


def integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """An integer whose prefix was all ones, and the offset after it (RFC 7541 §5.1). Raises CompressionError."""
    for shift in range(0, 7 * _INTEGER_BYTES, 7):
        if at >= len(block):
            raise CutShortError("an integer runs past the block")
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise CompressionError("an integer is too large")


def prefixed(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer with a prefix of `bits` bits, and the offset after it."""
    if at >= len(block):
        raise CutShortError("an integer runs past the block")
    most = (1 << bits) - 1
    value = block[at] & most
    return integer(block, at + 1, most) if value == most else (value, at + 1)


def string(block: bytes, at: int, known: dict[bytes, bytes], bits: int = 7) -> tuple[bytes, int]:
    """A string literal with a length prefix of `bits` bits, and the offset after it (RFC 7541 §5.2). known: the cache
    of Huffman-coded strings. Raises CompressionError."""
    if at >= len(block):
        raise CutShortError("a string runs past the block")
    first = block[at]
    most = (1 << bits) - 1
    size, at = first & most, at + 1
    if size == most:
        size, at = integer(block, at, most)
    end = at + size
    if end > len(block):
        raise CutShortError("a string runs past the block")
    data = block[at:end]
    return (_huffman.decode(data, known) if first & most + 1 else data), end
