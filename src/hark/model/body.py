"""A message's body: of limited size, and decoded only on demand.

What   The first `keep` bytes as received (with their content codings), and the number of all bytes.
Why    A terminal line needs the number alone, JSON needs the text, and a gigabyte must never be kept.
Limits `keep` bytes of input and as many of output: a decompression bomb ends there.
"""

from typing import NamedTuple

from hark.model.codings import Decoder, names


class Decoded(NamedTuple):
    """A body with its codings removed as far as possible."""

    data: bytes
    wrong: str  # what could not be decoded, and why; "" if all that was received could
    cut: bool  # whether there is more decoded content than `data`


class Body:
    """Collects one body."""

    __slots__ = ("_kept", "_pieces", "hole", "keep", "size")

    def __init__(self, keep: int) -> None:
        self.keep = keep  # bytes kept at most
        self.size = 0  # bytes received
        self.hole = -1  # number of bytes before the first one that was not captured; -1: none is missing
        self._kept = 0
        self._pieces: list[bytes] = []

    def add(self, data: bytes | memoryview) -> None:
        """Append a piece."""
        size = len(data)
        self.size += size
        room = self.keep - self._kept
        if room > 0:
            piece = bytes(data[:room] if size > room else data)
            self._pieces.append(piece)
            self._kept += len(piece)

    def lost(self) -> None:
        """The next bytes were not captured."""
        if self.hole < 0:
            self.hole = self.size

    @property
    def whole(self) -> bool:
        """Whether all bytes were kept."""
        return self._kept == self.size

    @property
    def raw(self) -> bytes:
        """The bytes that were kept, as received."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def decoded(self, codings: str) -> tuple[bytes, str]:
        """(content with its codings removed as far as possible, what could not be decoded or "")."""
        return self.content(codings)[:2]

    def content(self, codings: str, start: int = 0) -> Decoded:
        """The content with its codings removed as far as possible. start: the body's offset in the encoded content, if
        it is a range of it (RFC 9110 §14.4)."""
        raw = self.raw
        if not raw or not codings:
            return Decoded(raw, "", False)
        if start and names(codings):
            return Decoded(raw, f"{codings}: nothing could be decoded (this is a part, from byte {start} on)", False)
        return undo(raw, codings, self.keep, self.whole, self.hole)


def undo(data: bytes, codings: str, most: int, whole: bool = True, hole: int = -1) -> Decoded:
    """At most `most` bytes of the content with its codings removed as far as possible. codings: a Content-Encoding
    header's value; they were applied in its order (RFC 9110 §8.4). whole: an early end is an error; hole: offset of
    missing bytes, -1 for none."""
    decoder = Decoder(codings, most)
    gap = 0 <= hole < len(data)
    out = decoder.feed(data[:hole] if gap else data)
    wrong = decoder.wrong
    rest = decoder.end()
    if rest:
        out += rest
    if whole or gap or not out or out == data:
        wrong = decoder.wrong
    if gap and names(codings):
        wrong = f"{codings}: bytes were not captured, and nothing behind them could be decoded"
    return Decoded(out[:most], wrong, decoder.cut)


class Content(Body):
    """A body of a HAR file, which has no codings any more."""

    __slots__ = ("_content", "_whole", "_wrong")

    def __init__(self, content: bytes, size: int, whole: bool = True, wrong: str = "") -> None:
        super().__init__(0)
        self.size = size  # bytes received
        self._content, self._whole, self._wrong = content, whole, wrong

    @property
    def whole(self) -> bool:
        """Whether all bytes were kept."""
        return self._whole

    @property
    def raw(self) -> bytes:
        """The content: the bytes as received are not known."""
        return self._content

    def content(self, codings: str, start: int = 0) -> Decoded:
        """The content, and what could not be decoded."""
        return Decoded(self._content, self._wrong, False)
