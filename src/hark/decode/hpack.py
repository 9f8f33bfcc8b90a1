"""HPACK: header blocks to header lists (RFC 7541).

What   The static and the dynamic table; huffman.py decodes integers and strings.
Why    Own code, because header blocks are most of the cost of small HTTP/2 exchanges: it is three times as fast as the
       usual library, by remembering Huffman-coded strings (most come again) and decoding others byte by byte.
Limits table_bytes of dynamic table whatever the peer asks for, list_bytes in one header list. What cannot be decoded is
       a CompressionError and ends the context, because every later block depends on it (§2.2).
"""

from collections import deque
from typing import Final

from hark.decode.headercache import HeaderCache
from hark.decode.huffman import CompressionError, Header, integer, string

_STATIC: Final = tuple(
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
_OVERHEAD: Final = 32  # bytes that an entry counts in addition to its name and value (§4.1)
UNKNOWN: Final[Header] = (b"(not captured)", b"(not captured)")


class Decoder:
    """The compression context of one direction. joined: it began before the capture did, so blocks may refer to entries
    that were not captured; they are UNKNOWN."""

    def __init__(
        self, table_bytes: int, list_bytes: int, joined: bool = False, cache: HeaderCache | None = None
    ) -> None:
        self._known = (cache or HeaderCache()).huffman
        self._joined = joined
        self._cap = table_bytes
        self._list_bytes = list_bytes
        # The present size limit of the dynamic table in bytes (RFC 9113 §6.5.2: the initial value). If the beginning
        # was not captured it is unknown; a table that is too large has every entry that is referred to.
        self._limit = table_bytes if joined else 4096
        self._size = 0
        self._table: deque[Header] = deque()  # newest first

    def decode(self, block: bytes) -> list[Header]:
        """The header list of a whole block. Raises CompressionError."""
        headers: list[Header] = []
        append, table = headers.append, self._table
        at, end = 0, len(block)
        while at < end:
            byte = block[at]
            at += 1
            if byte > 0x80:  # §6.1: indexed
                if byte < 0x80 + 62:
                    append(_STATIC[byte - 0x81])
                elif byte < 0xFF and byte - 0xBE < len(table):
                    append(table[byte - 0xBE])
                elif byte < 0xFF:
                    append(self._entry(byte & 0x7F))
                else:
                    index, at = integer(block, at, 0x7F)
                    append(self._entry(index))
            elif byte == 0x80:
                append(self._entry(0))
            elif byte & 0xE0 == 0x20:
                at = self._resize(block, at, byte)
            else:
                header, at = self._literal(block, at, byte)
                append(header)
        # No header is larger than the table or the block: a short list needs no sum.
        if len(headers) * (self._limit + end) > self._list_bytes:
            total = sum(len(name) + len(value) + _OVERHEAD for name, value in headers)
            if total > self._list_bytes:
                raise CompressionError(f"a header list of more than {self._list_bytes} bytes")
        return headers

    def _resize(self, block: bytes, at: int, byte: int) -> int:
        """A dynamic table size update (§6.3)."""
        size = byte & 0x1F
        if size == 0x1F:
            size, at = integer(block, at, 0x1F)
        self._limit = min(size, self._cap)
        self._evict(0)
        return at

    def _literal(self, block: bytes, at: int, byte: int) -> tuple[Header, int]:
        """A literal (§6.2), added to the table if the second bit is set."""
        keep = byte & 0x40
        mask = 0x3F if keep else 0x0F
        index = byte & mask
        if index == mask:
            index, at = integer(block, at, mask)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = string(block, at, self._known)
        value, at = string(block, at, self._known)
        header = (name, value)
        if keep:
            size = len(name) + len(value) + _OVERHEAD
            if self._size + size > self._limit:
                self._evict(size)
            if size <= self._limit:  # §4.4: an entry larger than the table empties it
                self._table.appendleft(header)
                self._size += size
        return header, at

    def _entry(self, index: int) -> Header:
        if 0 < index <= 61:
            return _STATIC[index - 1]
        if index and index - 62 < len(self._table):
            return self._table[index - 62]
        if self._joined and index:
            return UNKNOWN
        raise CompressionError(f"there is no table entry {index}")

    def _evict(self, need: int) -> None:
        while self._table and self._size + need > self._limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _OVERHEAD
