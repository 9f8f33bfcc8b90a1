"""Header lines and strings that came before in a recording: most come again in every exchange.

May hold: the tables, one set per decoder, so that nothing outlives it. May not hold: what a header means.
Limits In wire/http1.py, huffman.py and messages.py, by entries and by bytes of an entry; a full table is emptied.
"""


class HeaderCache:
    """The tables of one decoder."""

    __slots__ = ("huffman", "lines", "texts")

    def __init__(self) -> None:
        self.lines: dict[bytes, tuple[bytes, bytes]] = {}  # HTTP/1 header line: (name, value)
        self.texts: dict[bytes, str] = {}  # method, scheme or authority of HTTP/2 and HTTP/3: the same as text
        self.huffman: dict[bytes, bytes] = {}  # Huffman-coded string of HPACK and QPACK: the string
