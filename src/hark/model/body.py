"""A message's body: bounded, and decoded only when somebody looks.

What   The first `keep` bytes as they came (content codings on), and the count of all.
Why    A terminal line needs the count alone; JSON needs the text; a gigabyte must never be kept.
Limits `keep` bytes of what came and as many of what comes out: a decompression bomb ends there.
"""

import zlib
from collections.abc import Callable


class Body:
    """Collects one body."""

    __slots__ = ("_kept", "_pieces", "keep", "size")

    def __init__(self, keep: int) -> None:
        self.keep = keep  # bytes kept at most
        self.size = 0  # bytes that came
        self._kept = 0
        self._pieces: list[bytes] = []

    def add(self, data: bytes | memoryview) -> None:
        """One more piece."""
        size = len(data)
        self.size += size
        room = self.keep - self._kept
        if room > 0:
            piece = bytes(data[:room] if size > room else data)
            self._pieces.append(piece)
            self._kept += len(piece)

    @property
    def whole(self) -> bool:
        """Whether all that came was kept."""
        return self._kept == self.size

    @property
    def raw(self) -> bytes:
        """What was kept, as it came."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def decoded(self, codings: str) -> tuple[bytes, str]:
        """(content with its codings undone as far as possible, what was wrong or ""): see undo()."""
        data, wrong = undo(self.raw, codings, self.keep)
        return data, wrong if self.whole or not data else ""


def undo(data: bytes, codings: str, most: int) -> tuple[bytes, str]:
    """(at most `most` bytes of the content with its codings undone as far as possible, what was wrong or "").

    codings is the Content-Encoding header's value; they were applied in its order (RFC 9110 §8.4)."""
    wrong, there = "", bool(data)
    for coding in reversed([name.strip().lower() for name in codings.split(",") if name.strip()]):
        if coding == "identity":
            continue
        if coding not in _DECODERS:
            return data, f"unknown content coding {coding}"
        data, wrong = _DECODERS[coding](data, most)
        if wrong and not data and there:
            return data, f"{coding}: {wrong}"
    return data, wrong


def unpacker(coding: str, most: int) -> Callable[[bytes], bytes]:
    """Undoes one content coding piece by piece. What it returns raises ValueError where the data is damaged, where the
    coding is none that comes in pieces, or where more than `most` bytes come out of one piece."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return lambda data: data
    if coding not in ("gzip", "x-gzip", "deflate"):
        return _refuse
    machine = zlib.decompressobj(15 if coding == "deflate" else 31)

    def unpack(data: bytes) -> bytes:
        try:
            out = machine.decompress(data, most)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if machine.unconsumed_tail:
            raise ValueError("too much of it")
        return out

    return unpack


def _refuse(data: bytes) -> bytes:
    raise ValueError("not a coding that is undone in pieces")


def _zlib(data: bytes, most: int, bits: int) -> tuple[bytes, str]:
    machine = zlib.decompressobj(bits)
    try:
        out = machine.decompress(data, most)
        while machine.eof and machine.unused_data and bits == 31 and len(out) < most:
            # Several gzip members one behind the other are one content (RFC 1952 §2.2).
            rest, machine = machine.unused_data, zlib.decompressobj(bits)
            out += machine.decompress(rest, most - len(out))
    except zlib.error as error:
        return b"", str(error)
    return out, "" if machine.eof or len(out) >= most else "the compressed data ends early"


def _gzip(data: bytes, most: int) -> tuple[bytes, str]:
    return _zlib(data, most, 31)


def _deflate(data: bytes, most: int) -> tuple[bytes, str]:
    """zlib format by the book (RFC 9110 §8.4.1.2), raw deflate from those who misread it."""
    out, wrong = _zlib(data, most, 15)
    if wrong and not out:
        return _zlib(data, most, -15)
    return out, wrong


def _brotli(data: bytes, most: int) -> tuple[bytes, str]:
    import brotli

    machine = brotli.Decompressor()
    out = bytearray()
    try:
        for at in range(0, len(data), 4096):  # in small steps: each can grow a thousandfold
            out += machine.process(data[at : at + 4096])
            if len(out) >= most:
                return bytes(out[:most]), ""
    except brotli.error as error:
        return bytes(out), str(error)
    return bytes(out), "" if machine.is_finished() else "the compressed data ends early"


def _zstd(data: bytes, most: int) -> tuple[bytes, str]:
    import io

    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            return reader.read(most), ""
    except zstandard.ZstdError as error:
        return b"", str(error)


_DECODERS = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


class Content(Body):
    """A body whose content is known with its codings undone already, as an archive has it."""

    __slots__ = ("_content", "_whole", "_wrong")

    def __init__(self, content: bytes, size: int, whole: bool = True, wrong: str = "") -> None:
        super().__init__(0)
        self.size = size  # bytes that came
        self._content, self._whole, self._wrong = content, whole, wrong

    @property
    def whole(self) -> bool:
        """Whether all that came was kept."""
        return self._whole

    @property
    def raw(self) -> bytes:
        """The content: how it came is not known."""
        return self._content

    def decoded(self, codings: str) -> tuple[bytes, str]:
        """(content, what is wrong with it or "")."""
        return self._content, self._wrong
