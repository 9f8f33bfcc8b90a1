"""QPACK: HTTP/3's field sections to header lists (RFC 9204).

What   The dynamic table that the encoder stream of one side builds, and the field sections that refer to it.
Why    Own code, next to HPACK: a passive observer has to hold a section until the table has its entries, and has no
       decoder stream to answer on.
Limits The table has the size that the peer's SETTINGS allow, and at most TABLE_BYTES; list_bytes in one header list.
"""

from collections import deque
from typing import Final

from hark.decode import limits
from hark.decode.headercache import HeaderCache
from hark.decode.huffman import CompressionError, CutShortError, Header, prefixed, string

_STATIC: Final = tuple(
    (name, value)
    for name, _, value in (
        entry.partition(b"|")
        for entry in (
            b":authority|~:path|/~age|0~content-disposition|~content-length|0~cookie|~date|~etag|~if-modified-since|~"
            b"if-none-match|~last-modified|~link|~location|~referer|~set-cookie|~:method|CONNECT~:method|DELETE~"
            b":method|GET~:method|HEAD~:method|OPTIONS~:method|POST~:method|PUT~:scheme|http~:scheme|https~:status|103~"
            b":status|200~:status|304~:status|404~:status|503~accept|*/*~accept|application/dns-message~"
            b"accept-encoding|gzip, deflate, br~accept-ranges|bytes~access-control-allow-headers|cache-control~"
            b"access-control-allow-headers|content-type~access-control-allow-origin|*~cache-control|max-age=0~"
            b"cache-control|max-age=2592000~cache-control|max-age=604800~cache-control|no-cache~cache-control|no-store~"
            b"cache-control|public, max-age=31536000~content-encoding|br~content-encoding|gzip~"
            b"content-type|application/dns-message~content-type|application/javascript~content-type|application/json~"
            b"content-type|application/x-www-form-urlencoded~content-type|image/gif~content-type|image/jpeg~"
            b"content-type|image/png~content-type|text/css~content-type|text/html; charset=utf-8~"
            b"content-type|text/plain~content-type|text/plain;charset=utf-8~range|bytes=0-~"
            b"strict-transport-security|max-age=31536000~"
            b"strict-transport-security|max-age=31536000; includesubdomains~"
            b"strict-transport-security|max-age=31536000; includesubdomains; preload~vary|accept-encoding~vary|origin~"
            b"x-content-type-options|nosniff~x-xss-protection|1; mode=block~:status|100~:status|204~:status|206~"
            b":status|302~:status|400~:status|403~:status|421~:status|425~:status|500~accept-language|~"
            b"access-control-allow-credentials|FALSE~access-control-allow-credentials|TRUE~"
            b"access-control-allow-headers|*~access-control-allow-methods|get~"
            b"access-control-allow-methods|get, post, options~access-control-allow-methods|options~"
            b"access-control-expose-headers|content-length~access-control-request-headers|content-type~"
            b"access-control-request-method|get~access-control-request-method|post~alt-svc|clear~authorization|~"
            b"content-security-policy|script-src 'none'; object-src 'none'; base-uri 'none'~early-data|1~expect-ct|~"
            b"forwarded|~if-range|~origin|~purpose|prefetch~server|~timing-allow-origin|*~upgrade-insecure-requests|1~"
            b"user-agent|~x-forwarded-for|~x-frame-options|deny~x-frame-options|sameorigin"
        ).split(b"~")
    )
)
_OVERHEAD: Final = 32  # bytes that an entry counts in addition to its name and value (§3.2.1)


class BlockedError(CompressionError):
    """A field section refers to table entries that have not come yet."""


class Decoder:
    """The decoder of what one side encodes: its encoder stream and its field sections. inserted: entries so far."""

    def __init__(self, list_bytes: int, cache: HeaderCache | None = None) -> None:
        self._known = (cache or HeaderCache()).huffman
        self._list_bytes = list_bytes
        self._allowed: int | None = None  # bytes of table that the peer's SETTINGS allow; None before they have come
        self._capacity = 0
        self._size = 0
        self._table: deque[Header] = deque()  # oldest first
        self._buffer = b""
        self.inserted = 0

    def allow(self, capacity: int) -> None:
        """The peer's SETTINGS_QPACK_MAX_TABLE_CAPACITY has come."""
        self._allowed = capacity

    # -- the encoder stream (§4.3) -----------------------------------------------------------------------------------

    def feed(self, data: bytes | memoryview) -> bool:
        """The next bytes of the encoder stream. Whether entries were inserted. Raises CompressionError."""
        block = self._buffer + bytes(data)
        at, before = 0, self.inserted
        try:
            while at < len(block):
                at = self._instruction(block, at)
        except CutShortError:
            if len(block) - at > limits.TABLE_BYTES:
                raise CompressionError("an instruction without an end") from None
        self._buffer = block[at:]
        return self.inserted != before

    def _instruction(self, block: bytes, at: int) -> int:
        byte = block[at]
        if byte & 0x80:  # §4.3.2: with name reference
            index, at = prefixed(block, at, 6)
            name = self._static(index)[0] if byte & 0x40 else self._recent(index)[0]
            value, at = string(block, at, self._known)
            self._insert((name, value))
        elif byte & 0x40:  # §4.3.3: with literal name
            name, at = string(block, at, self._known, 5)
            value, at = string(block, at, self._known)
            self._insert((name, value))
        elif byte & 0x20:  # §4.3.1: set capacity
            capacity, at = prefixed(block, at, 5)
            self._capacity = min(capacity, limits.TABLE_BYTES)
            self._evict(0)
        else:  # §4.3.4: duplicate
            index, at = prefixed(block, at, 5)
            self._insert(self._recent(index))
        return at

    def _insert(self, header: Header) -> None:
        size = len(header[0]) + len(header[1]) + _OVERHEAD
        self._evict(size)
        if size > self._capacity:
            raise CompressionError("an entry larger than the table")
        self._table.append(header)
        self._size += size
        self.inserted += 1

    def _evict(self, need: int) -> None:
        while self._table and self._size + need > self._capacity:
            name, value = self._table.popleft()
            self._size -= len(name) + len(value) + _OVERHEAD

    def _static(self, index: int) -> Header:
        if index >= len(_STATIC):
            raise CompressionError(f"there is no static entry {index}")
        return _STATIC[index]

    def _recent(self, index: int) -> Header:
        """An entry by its distance from the newest one."""
        return self._entry(self.inserted - 1 - index)

    def _entry(self, absolute: int) -> Header:
        at = absolute - (self.inserted - len(self._table))
        if not 0 <= at < len(self._table):
            raise CompressionError(f"there is no dynamic entry {absolute}")
        return self._table[at]

    # -- sections (§4.5) ---------------------------------------------------------------------------------------------

    def decode(self, block: bytes) -> list[Header]:
        """The header list of a whole section. Raises BlockedError if entries are still to come, CompressionError if it
        cannot be decoded."""
        required, at = prefixed(block, 0, 8)
        required = self._required(required)
        if required > self.inserted:
            raise BlockedError(f"the table has {self.inserted} of {required} entries")
        if at >= len(block):
            raise CutShortError("a section ends within its prefix")
        negative = block[at] & 0x80
        delta, at = prefixed(block, at, 7)
        base = required - delta - 1 if negative else required + delta
        headers: list[Header] = []
        total = 0
        while at < len(block):
            header, at = self._line(block, at, base)
            headers.append(header)
            total += len(header[0]) + len(header[1]) + _OVERHEAD
            if total > self._list_bytes:
                raise CompressionError(f"a header list of more than {self._list_bytes} bytes")
        return headers

    def _required(self, encoded: int) -> int:
        """The required insert count from its encoded form (§4.5.1.1). Raises as decode() does."""
        if not encoded:
            return 0
        if self._allowed is None:
            raise BlockedError("the size of the table is not known yet")
        most = self._allowed // 32
        if not most or encoded > 2 * most:
            raise CompressionError(f"a required insert count of {encoded} cannot be")
        top = self.inserted + most
        wrapped = top // (2 * most) * (2 * most)
        required = wrapped + encoded - 1
        if required > top:
            required -= 2 * most
        if required <= 0:
            raise CompressionError("a required insert count that cannot be")
        return required

    def _line(self, block: bytes, at: int, base: int) -> tuple[Header, int]:
        byte = block[at]
        if byte & 0x80:  # §4.5.2: indexed
            index, at = prefixed(block, at, 6)
            return (self._static(index) if byte & 0x40 else self._entry(base - 1 - index)), at
        if byte & 0x40:  # §4.5.4: literal with name reference
            index, at = prefixed(block, at, 4)
            name = (self._static(index) if byte & 0x10 else self._entry(base - 1 - index))[0]
        elif byte & 0x20:  # §4.5.6: literal with literal name
            name, at = string(block, at, self._known, 3)
        elif byte & 0x10:  # §4.5.3: indexed with post-base index
            index, at = prefixed(block, at, 4)
            return self._entry(base + index), at
        else:  # §4.5.5: literal with post-base name reference
            index, at = prefixed(block, at, 3)
            name = self._entry(base + index)[0]
        value, at = string(block, at, self._known)
        return (name, value), at
