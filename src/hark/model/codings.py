"""Decodes content and transfer codings, of complete bodies and of bodies as they arrive.

What   A list of codings (RFC 9110 §8.4, RFC 9112 §7), outermost last; each is a stage. Consecutive gzip members, and
       consecutive zstd frames, are one content (RFC 1952 §2.2, RFC 8878 §3.1).
Why    What a peer sends may be cut, damaged, padded or labelled wrongly. The output has everything up to the byte in
       which an error shows, however the input is cut into pieces. If nothing can be decoded, a stage returns its input.
       `wrong` has the reason.
How    If the libraries find an error they discard the output of the whole call. So the call is repeated with the
       longest prefix of its input that does not fail (found by bisection). If the state before the call cannot be
       restored, the library gets one byte at a time.
Limits Each stage returns at most `most` bytes of one feed(); if there are more, `cut` is set and the rest is dropped.
"""

import re
import zlib
from codecs import utf_8_decode
from collections.abc import Callable
from typing import Any, Protocol

_HELD = 1 << 16  # bytes of input kept while there is no output, to return them if nothing can be decoded
_ZSTD_STEP = 512  # bytes of input; each 4 of them may become 128 KiB (RFC 8878 §3.1.1.2.2)
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SIGN = 16  # bytes that distinguish plain text from codings without a magic number
_EARLY, _TRAILING = "the compressed data ends early", "other bytes follow its end"


class Damaged(Exception):
    """A library cannot decode the data; the text is its reason."""


class _Machine(Protocol):
    """Decodes one member (gzip), frame (zstd) or stream (deflate, br)."""

    ended: bool  # the end has been read
    rest: bytes  # input of the last push after the end

    def push(self, data: bytes, room: int) -> bytes:
        """The output, at least the first `room` bytes of it. Raises Damaged."""


class _Inflate:
    """gzip, zlib format, raw deflate."""

    def __init__(self, bits: int, machine: Any = None) -> None:
        self._bits = bits
        self._machine = machine if machine is not None else zlib.decompressobj(bits)
        self.ended = False
        self.rest = b""

    def push(self, data: bytes, room: int) -> bytes:
        try:
            out: bytes = self._machine.decompress(data, room)
        except zlib.error as error:
            raise Damaged(str(error).rpartition(": ")[2]) from None
        self.ended, self.rest = self._machine.eof, self._machine.unused_data
        return out

    def copy(self) -> "_Inflate":
        """A copy with the same state."""
        return _Inflate(self._bits, self._machine.copy())


class _Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        import brotli

        self._machine, self._error = brotli.Decompressor(), brotli.error
        self.ended = False
        self.rest = b""

    def push(self, data: bytes, room: int) -> bytes:
        out = []
        try:
            while room > 0:
                piece = self._machine.process(data, output_buffer_limit=room)
                out.append(piece)
                room -= len(piece)
                data = b""
                if self._machine.can_accept_more_data() or not piece:
                    break
        except self._error:
            raise Damaged("invalid data") from None
        self.ended = self._machine.is_finished()
        return b"".join(out)


class _Zstd:
    """One frame (RFC 8878)."""

    def __init__(self) -> None:
        import zstandard

        self._machine, self._error = zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError
        self.ended = False
        self.rest = b""

    def push(self, data: bytes, room: int) -> bytes:
        out = []
        try:
            for at in range(0, len(data), _ZSTD_STEP):
                piece = self._machine.decompress(data[at : at + _ZSTD_STEP])
                out.append(piece)
                room -= len(piece)
                if self._machine.eof:
                    self.ended, self.rest = True, self._machine.unused_data + data[at + _ZSTD_STEP :]
                    break
                if room <= 0:
                    break
        except self._error as error:
            raise Damaged(str(error).rpartition(": ")[2]) from None
        return b"".join(out)


_MACHINES: dict[str, Callable[[], _Machine]] = {
    "gzip": lambda: _Inflate(31),
    "deflate": lambda: _Inflate(15),
    "raw deflate": lambda: _Inflate(-15),
    "br": _Brotli,
    "zstd": _Zstd,
}
_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 §8.4.1.3
_CONTROLS = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f]")
_SKIP = {"incorrect data check": 4, "incorrect length check": 0}  # bytes of a gzip trailer after the wrong one


class _Stage:
    """One coding of the list."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.wrong = ""
        self.cut = False
        self._most = most
        self._kind = _ALIASES.get(name, name)
        self._machine: _Machine | None = None  # None: between members
        self._begun = False  # there was output, or a member has ended
        self._over = False  # there is no more output
        self._plain = False  # the input is passed on unchanged
        self._held = b""  # input kept while there is no output
        self._skip = 0  # bytes of a trailer still to be skipped
        if self._kind not in _MACHINES:
            self._plain, self.wrong = True, f"unknown content coding {name}"

    def feed(self, data: bytes) -> bytes:
        """The output for this input."""
        if self._plain:
            return data
        if self._over:
            return b""
        if not self._begun:
            data, self._held = self._held + data, b""
            if self._machine is None and len(data) < 2:  # the first two bytes show the format
                self._held = data
                return b""
            if self._kind == "deflate" and self._machine is None and not _zlib_head(data):
                self._kind = "raw deflate"  # a common misreading of RFC 9110 §8.4.1.2
            if self._kind in ("br", "raw deflate") and _is_text(data[:_SIGN]):
                if len(data) < _SIGN:
                    self._held = data
                    return b""
                self._blame("this is text")
                return self._unchanged(data)
            self._machine = None  # `data` has the whole input again
        return self._members(data)

    def _members(self, data: bytes) -> bytes:
        received, out, size = data, [], 0
        while data and not self._over:
            if self._skip:
                self._skip, data = max(self._skip - len(data), 0), data[self._skip :]
                continue
            if self._machine is None and self._begun:
                data = self._held + data
                self._held = b""
                if not self._follows(data):
                    break
            piece, data = self._push(data, self._most + 1 - size)
            if piece or (self._machine is None and not self.wrong):
                self._begun = True
            out.append(piece)
            size += len(piece)
            if size > self._most:
                self.cut = self._over = True
        if not self._begun:
            if self._over:
                return self._unchanged(received)
            self._held = received
            if len(received) > _HELD:  # so long without an error: it is being decoded
                self._begun, self._held = True, b""
        return b"".join(out)[: self._most]

    def _unchanged(self, data: bytes) -> bytes:
        """Nothing can be decoded: pass the input on."""
        self._plain = True
        if self.wrong:
            self.wrong = f"{self.name}: nothing could be decoded ({self.wrong.removeprefix(self.name + ': ')})"
        return data

    def _follows(self, data: bytes) -> bool:
        """Whether another member follows the last one. Too little data to decide is held."""
        sign = {"gzip": _GZIP, "zstd": _ZSTD}.get(self._kind, b"")
        if sign and len(data) < len(sign) and (sign.startswith(data) or self._kind == "zstd"):
            self._held = data
            return False
        if sign and (data.startswith(sign) or (self._kind == "zstd" and _skippable(data))):
            return True
        self._over = True
        self._blame(_TRAILING)
        return False

    def _push(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        """(output, rest of the input)."""
        machine = self._machine
        make = _MACHINES[self._kind]
        if machine is None:
            machine = make()
            again: Callable[[], _Machine] | None = make
        elif isinstance(machine, _Inflate):
            again = machine.copy().copy
        else:
            again = None
        if again is None:
            return self._bytewise(machine, data, room)
        try:
            out = machine.push(data, room)
        except Damaged as error:
            return self._prefix(again, data, room, str(error))
        return out, self._after(machine)

    def _after(self, machine: _Machine) -> bytes:
        self._machine = None if machine.ended else machine
        return machine.rest if machine.ended else b""

    def _prefix(self, again: Callable[[], _Machine], data: bytes, room: int, why: str) -> tuple[bytes, bytes]:
        """Decode the longest prefix of the input that does not fail."""
        low, high = 0, len(data)  # the first `low` bytes do not fail, the first `high` do
        while high - low > 1:
            middle = (low + high) // 2
            try:
                again().push(data[:middle], room)
                low = middle
            except Damaged:
                high = middle
        machine = again()
        out = machine.push(data[:low], room) if low else b""
        if machine.ended:  # what failed comes after the end
            self._machine = None
            return out, machine.rest or data[low:]
        return out, self._fault(why, data, low)

    def _bytewise(self, machine: _Machine, data: bytes, room: int) -> tuple[bytes, bytes]:
        out: list[bytes] = []
        size = 0
        for at in range(len(data)):
            try:
                piece = machine.push(data[at : at + 1], room - size)
            except Damaged as error:
                return b"".join(out), self._fault(str(error), data, at)
            out.append(piece)
            size += len(piece)
            if machine.ended or size >= room:
                return b"".join(out), self._after(machine) or data[at + 1 :]
        return b"".join(out), b""

    def _fault(self, why: str, data: bytes, at: int) -> bytes:
        """The input cannot be decoded from byte `at` on; the rest of it to continue with."""
        self._blame(why)
        if why in _SKIP and self._kind == "gzip":  # all of it was decoded, only the checksum is wrong
            self._begun, self._machine, self._skip = True, None, _SKIP[why]
            return data[at + 1 :]
        self._over = True
        return b""

    def _blame(self, why: str) -> None:
        self.wrong = self.wrong or f"{self.name}: {why}"

    def end(self) -> bytes:
        """The end of the input: the output for what was held."""
        if self._plain or self._over:
            return b""
        held, self._held = self._held, b""
        if held and not self._begun and self._machine is None:  # too short to be recognized as text
            out, left = self._push(held, self._most + 1)
            if self._machine is None and not self.wrong and not left:
                self._over = True
                return out
            self._machine = None
        self._over = True
        if self._machine is not None or (held and not self._begun):
            self._blame(_EARLY)
        elif held:
            self._blame(_TRAILING)
        return b"" if self._begun else self._unchanged(held)


def _zlib_head(data: bytes) -> bool:
    """Whether it starts with a zlib header (RFC 1950 §2.2)."""
    return data[0] & 0x0F == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0


def _is_text(data: bytes) -> bool:
    """Whether it is UTF-8 without control characters: 16 bytes of compressed data are so once in a million."""
    try:
        return not _CONTROLS.search(utf_8_decode(data, "strict", False)[0])
    except UnicodeDecodeError:
        return False


def _skippable(data: bytes) -> bool:
    """Whether it starts with a skippable frame (RFC 8878 §3.1.2)."""
    return data[0] & 0xF0 == 0x50 and data[1:4] == b"\x2a\x4d\x18"


class Decoder:
    """Decodes a list of codings piece by piece. It never raises."""

    def __init__(self, codings: str, most: int) -> None:
        self._stages = [_Stage(name, most) for name in reversed(names(codings))]

    def feed(self, data: bytes) -> bytes:
        """The output for this piece, at most `most` bytes."""
        for stage in self._stages:
            if not data:
                break
            data = stage.feed(data)
        return data

    def end(self) -> bytes:
        """The end of the input, or bytes are missing here: the rest of the output."""
        data = b""
        for stage in self._stages:
            data = (stage.feed(data) if data else b"") + stage.end()
        return data

    @property
    def wrong(self) -> str:
        """What could not be decoded, and why; "" if all that arrived could."""
        return "; ".join(stage.wrong for stage in self._stages if stage.wrong)

    @property
    def cut(self) -> bool:
        """Whether there was more output than `most`."""
        return any(stage.cut for stage in self._stages)


def names(codings: str) -> list[str]:
    """The codings of a list in lower case, without identity."""
    listed = [name.partition(";")[0].strip().lower() for name in codings.split(",")]
    return [name for name in listed if name and name != "identity"]
