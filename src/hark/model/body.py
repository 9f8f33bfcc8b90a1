"""A message's body: bounded, and decoded only when somebody looks.

What   The first `keep` bytes as they came (content codings on), and the count of all.
Why    A terminal line needs the count alone; JSON needs the text; a gigabyte must never be kept.
Limits `keep` bytes of what came and as many of what comes out: a decompression bomb ends there.
"""

import zlib
from typing import Protocol


class _Stream(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


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
        """(content with its codings undone as far as possible, what was wrong or "").

        codings is the Content-Encoding header's value; they were applied in its order (RFC 9110 §8.4)."""
        data, wrong = self.raw, ""
        for coding in reversed([name.strip().lower() for name in codings.split(",") if name.strip()]):
            if coding == "identity":
                continue
            if coding not in _DECODERS:
                return data, f"unknown content coding {coding}"
            data, wrong = _DECODERS[coding](data, self.keep)
            if wrong and not data and self.size:
                return data, f"{coding}: {wrong}"
        return data, f"{wrong}" if wrong and self.whole else ""


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
