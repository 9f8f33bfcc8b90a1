"""Content and transfer codings, undone: one decoder for whole bodies and for bodies that are read as they come.

What   A list of codings (RFC 9110 §8.4, RFC 9112 §7), outermost last; each is a stage. Several gzip members and several
       zstd frames one behind the other are one content (RFC 1952 §2.2, RFC 8878 §3.1).
Why    What a peer sends may be cut, damaged, padded or labelled wrongly. Everything in front of the fault is given, to
       the byte in which it shows, however the input is cut; where nothing can be undone the stage gives what it was
       given. `wrong` says so.
How    The libraries throw away what a call has produced when they find a fault in it. So a call that fails is made
       again with the longest beginning of its input that does not fail (found by bisection); where the state before the
       call cannot be had again, the input is given byte by byte.
Limits `most` bytes come out of one feed(), at every stage: past that `cut` is true and the rest is not undone.
"""

import re
import zlib
from codecs import utf_8_decode
from collections.abc import Callable
from typing import Any, Protocol

_HELD = 1 << 16  # bytes kept while nothing has come out, to be given as they are where nothing can
_ZSTD_STEP = 512  # bytes of input; each 4 of them may become 128 KiB (RFC 8878 §3.1.1.2.2)
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SIGN = 16  # bytes by which text that is not compressed is told from codings that begin with no magic number
_EARLY, _BEHIND = "the compressed data ends early", "other bytes follow its end"


class Damaged(Exception):
    """What a library says of data that it cannot undo."""


class _Machine(Protocol):
    """What one member (gzip), frame (zstd) or stream (deflate, br) is undone by."""

    ended: bool  # the end has been read
    rest: bytes  # what stood behind the end in the last push

    def push(self, data: bytes, room: int) -> bytes:
        """What comes out, at least the first `room` bytes of it. Raises Damaged."""


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
        """The same state once more."""
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
_SKIP = {"incorrect data check": 4, "incorrect length check": 0}  # bytes of a gzip trailer behind the one that is wrong


class _Stage:
    """One coding of the list."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.wrong = ""
        self.cut = False
        self._most = most
        self._kind = _ALIASES.get(name, name)
        self._machine: _Machine | None = None  # None: between members
        self._begun = False  # something came out, or a member has ended
        self._over = False  # nothing more will come out
        self._plain = False  # given on as it comes
        self._held = b""  # what came while nothing has come out
        self._skip = 0  # bytes of a trailer still to be passed over
        if self._kind not in _MACHINES:
            self._plain, self.wrong = True, f"unknown content coding {name}"

    def feed(self, data: bytes) -> bytes:
        """What comes out by this input."""
        if self._plain:
            return data
        if self._over:
            return b""
        if not self._begun:
            data, self._held = self._held + data, b""
            if self._machine is None and len(data) < 2:  # what it is, is said by the first two bytes
                self._held = data
                return b""
            if self._kind == "deflate" and self._machine is None and not _zlib_head(data):
                self._kind = "raw deflate"  # a common misreading of RFC 9110 §8.4.1.2
            if self._kind in ("br", "raw deflate") and _is_text(data[:_SIGN]):
                if len(data) < _SIGN:
                    self._held = data
                    return b""
                self._blame("this is text")
                return self._as_it_came(data)
            self._machine = None  # all that came is here once more
        return self._members(data)

    def _members(self, data: bytes) -> bytes:
        whole, out, size = data, [], 0
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
                return self._as_it_came(whole)
            self._held = whole
            if len(whole) > _HELD:  # whatever it is, it is being undone
                self._begun, self._held = True, b""
        return b"".join(out)[: self._most]

    def _as_it_came(self, data: bytes) -> bytes:
        """Nothing can be undone."""
        self._plain = True
        if self.wrong:
            self.wrong = f"{self.name}: nothing could be decoded ({self.wrong.removeprefix(self.name + ': ')})"
        return data

    def _follows(self, data: bytes) -> bool:
        """Whether another member begins behind the last; with too little to tell it is kept."""
        sign = {"gzip": _GZIP, "zstd": _ZSTD}.get(self._kind, b"")
        if sign and len(data) < len(sign) and (sign.startswith(data) or self._kind == "zstd"):
            self._held = data
            return False
        if sign and (data.startswith(sign) or (self._kind == "zstd" and _skippable(data))):
            return True
        self._over = True
        self._blame(_BEHIND)
        return False

    def _push(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        """(what comes out, what is left of the input)."""
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
            return self._salvaged(again, data, room, str(error))
        return out, self._after(machine)

    def _after(self, machine: _Machine) -> bytes:
        self._machine = None if machine.ended else machine
        return machine.rest if machine.ended else b""

    def _salvaged(self, again: Callable[[], _Machine], data: bytes, room: int, why: str) -> tuple[bytes, bytes]:
        """The longest beginning of the input that does not fail."""
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
        if machine.ended:  # what is behind the end is what failed
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
        """The input cannot be undone from byte `at` on; what is left of it to go on with."""
        self._blame(why)
        if why in _SKIP and self._kind == "gzip":  # all of it came out, and only its checksum is wrong
            self._begun, self._machine, self._skip = True, None, _SKIP[why]
            return data[at + 1 :]
        self._over = True
        return b""

    def _blame(self, why: str) -> None:
        self.wrong = self.wrong or f"{self.name}: {why}"

    def end(self) -> bytes:
        """Nothing more comes: what was held."""
        if self._plain or self._over:
            return b""
        held, self._held = self._held, b""
        if held and not self._begun and self._machine is None:  # shorter than what tells text
            out, left = self._push(held, self._most + 1)
            if self._machine is None and not self.wrong and not left:
                self._over = True
                return out
            self._machine = None
        self._over = True
        if self._machine is not None or (held and not self._begun):
            self._blame(_EARLY)
        elif held:
            self._blame(_BEHIND)
        return b"" if self._begun else self._as_it_came(held)


def _zlib_head(data: bytes) -> bool:
    """Whether a zlib header stands in front (RFC 1950 §2.2)."""
    return data[0] & 0x0F == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0


def _is_text(data: bytes) -> bool:
    """Whether these are UTF-8 without control characters: 16 bytes of compressed data are so once in a million."""
    try:
        return not _CONTROLS.search(utf_8_decode(data, "strict", False)[0])
    except UnicodeDecodeError:
        return False


def _skippable(data: bytes) -> bool:
    """Whether a skippable frame stands in front (RFC 8878 §3.1.2)."""
    return data[0] & 0xF0 == 0x50 and data[1:4] == b"\x2a\x4d\x18"


class Decoder:
    """Undoes a list of codings piece by piece. It never raises."""

    def __init__(self, codings: str, most: int) -> None:
        self._stages = [_Stage(name, most) for name in reversed(names(codings))]

    def feed(self, data: bytes) -> bytes:
        """What comes out by this piece, at most `most` bytes."""
        for stage in self._stages:
            if not data:
                break
            data = stage.feed(data)
        return data

    def end(self) -> bytes:
        """Nothing more comes, or what comes does not follow what came: the rest that comes out."""
        data = b""
        for stage in self._stages:
            data = (stage.feed(data) if data else b"") + stage.end()
        return data

    @property
    def wrong(self) -> str:
        """What could not be undone, and why; "" where all could, as far as it came."""
        return "; ".join(stage.wrong for stage in self._stages if stage.wrong)

    @property
    def cut(self) -> bool:
        """Whether more would have come out than was wanted."""
        return any(stage.cut for stage in self._stages)


def names(codings: str) -> list[str]:
    """The codings of a list in small letters, without those that change nothing."""
    found = [name.partition(";")[0].strip().lower() for name in codings.split(",")]
    return [name for name in found if name and name != "identity"]
