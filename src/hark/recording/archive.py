"""Exchanges in an archive: a HAR file of any program, or JSON lines with one entry each.

What   The file is cut into its entries without being parsed as a whole; each is then parsed by itself.
Why    A HAR of gigabytes takes no more memory than its largest entry, and one that is truncated, as a browser or a
       proxy that was killed leaves it, is read up to where it ends.
How    Only strings, braces and brackets are looked at. An entry is an object in the array that is called "entries", or
       one at the top level (JSON lines).
Limits An entry of more than ENTRY bytes is skipped and reported.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Protocol

import orjson

from hark.errors import HarkError
from hark.recording.blocks import Entry, Torn

BLANK: Final = b" \t\r\n\xef\xbb\xbf"  # what may come first: white space and a byte order mark
ENTRY: Final = 1 << 29  # bytes
_STEP: Final = 1 << 20
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|"', re.S)
_ESCAPE: Final = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')  # one that JSON knows, or a backslash alone
_HAR_DEPTH: Final = 3  # {"log": {"entries": [


class _Source(Protocol):
    """What the reader hands over."""

    offset: int

    def peek(self, size: int) -> memoryview:
        """The next bytes, fewer only at the end."""

    def skip(self, size: int) -> None:
        """Consume `size` bytes that were peeked at."""


def read(source: _Source, name: str) -> Iterator[Entry | Torn]:
    """Every entry. Raises HarkError where there is neither an entry nor the shape of an archive."""
    cutter = _Cutter()
    want, told = _STEP, 0
    while True:
        data = bytes(source.peek(want))
        over = len(data) < want
        at = source.offset
        for begin, end in cutter.feed(data, over):
            value = _parse(data[begin:end])
            if isinstance(value, dict) and (cutter.har or "request" in value):
                yield Entry(value)
                told += 1
            elif told or cutter.har:
                yield Torn(at + begin, "an entry that is no JSON" if value is None else "no entry")
            else:
                raise _not_one(name)
        if over:
            break
        if cutter.done:
            source.skip(cutter.done)
            cutter.rebase()
            want = _STEP
        elif want > ENTRY:
            yield Torn(at, f"an entry of more than {ENTRY} bytes")
            return
        else:
            want *= 2
    if not told and not cutter.har:
        raise _not_one(name)
    if cutter.depth:
        yield Torn(source.offset + len(data), "the archive ends within itself")


def _not_one(name: str) -> HarkError:
    return HarkError(f"cannot read {name}", "it is JSON, but neither a HAR file nor exchanges line by line", "")


def _parse(text: bytes) -> Any:
    """The value; None where it is none. orjson takes no NaN, no lone surrogates, no bytes that are not UTF-8, no
    control characters in strings and no escapes of other languages, as some makers write them. What is not text is
    replaced."""
    try:
        return orjson.loads(text)
    except ValueError:
        lax = text.decode("utf-8", "replace")
        for form in (lax, _ESCAPE.sub(lambda found: found[0] if len(found[0]) > 1 else "\\\\", lax)):
            try:
                value = json.loads(form, strict=False)
                return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
        return None


class _Cutter:
    """Finds where entries begin and end. done: bytes that need not be seen again."""

    def __init__(self) -> None:
        self.depth = 0
        self.done = 0
        self.har = False  # whether what is read is a HAR file
        self._at = 0
        self._begin = -1
        self._key = b""
        self._inside = False  # in the array of entries

    def rebase(self) -> None:
        """The first `done` bytes are gone."""
        self._at -= self.done
        if self._begin >= 0:
            self._begin -= self.done
        self.done = 0

    def feed(self, data: bytes, over: bool) -> Iterator[tuple[int, int]]:
        """(begin, end) of every entry that ends in the data, which begins where it began before."""
        for found in _TOKEN.finditer(data, self._at):
            token = found.group()
            if token == b'"':  # a string that does not end here: it is looked at again with more after it
                break
            if len(token) > 1:
                if found.end() == len(data) and not over:
                    break
                self._key = token if self.depth <= _HAR_DEPTH - 1 else self._key
            elif token in b"{[":
                self._open(token, found.start())
            else:
                self.depth -= 1
                if self.depth == (_HAR_DEPTH if self._inside else 0) and token == b"}" and self._begin >= 0:
                    yield self._begin, found.end()
                    self._begin = -1
                if self._inside and self.depth == _HAR_DEPTH - 1:
                    self._inside = False
                if self.depth < 0:
                    self.depth = 0
            self._at = found.end()
            if self._begin < 0:
                self.done = self._at
        if self._begin < 0:
            self.done = self._at

    def _open(self, token: bytes, at: int) -> None:
        if token == b"[" and self.depth == _HAR_DEPTH - 1 and self._key == b'"entries"':
            self._inside = self.har = True
            self._begin = -1  # what is around it is not an entry
        elif token == b"{" and self.depth == (_HAR_DEPTH if self._inside else 0):
            self._begin = at
        elif self.depth == 1 and token == b"{" and self._key == b'"log"':
            self._begin = -1
        self.depth += 1
