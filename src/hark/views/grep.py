"""Search for text in an exchange: in its URL, headers, bodies and messages.

May hold: the search, and the line around a match. May not hold: output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hark.decode.endings import Side
from hark.errors import UsageError
from hark.model.charset import text_of
from hark.wire.fields import text as text_of_field

if TYPE_CHECKING:
    from hark.decode.events import Headers, Message
    from hark.model.body import Decoded
    from hark.model.exchange import Exchange

_AROUND = 60  # characters shown on both sides of a match in a long line


class Match(NamedTuple):
    """A match: in which part of the exchange, the line as far as it is shown, begin and end of the match in that
    line."""

    where: str
    line: str
    start: int
    end: int


class Grep:
    """Searches for any of several regular expressions. Raises UsageError if one is invalid."""

    def __init__(self, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(f"--grep {pattern} is not a regular expression", str(error)) from None
        self._search = re.compile(
            "|".join(f"(?:{pattern})" for pattern in patterns) if len(patterns) > 1 else patterns[0]
        )

    def matches(self, exchange: Exchange) -> Iterator[Match]:
        """All matching lines, in the order of the exchange."""
        yield from self._in("url", exchange.url)
        if exchange.request is not None:
            yield from self._headers("request", exchange.request.headers)
            yield from self._body("request body", exchange.content(Side.CLIENT), exchange.request_header)
        if exchange.response is not None:
            yield from self._headers("response", exchange.response.headers)
            yield from self._body("response body", exchange.content(Side.SERVER), exchange.response_header)
        yield from self._headers("trailer", (*exchange.request_trailers, *exchange.response_trailers))
        for message in exchange.messages:
            yield from self.message(message)

    def message(self, message: Message) -> Iterator[Match]:
        """The matching lines of a message."""
        yield from self._in(message.kind, message.data.decode("utf-8", "replace"))

    def _headers(self, where: str, headers: Headers) -> Iterator[Match]:
        for name, value in headers:
            yield from self._in(f"{where} header", f"{text_of_field(name)}: {text_of_field(value)}")

    def _body(self, where: str, body: Decoded, header: Callable[[str], str]) -> Iterator[Match]:
        if body.data:
            text = text_of(body.data, header("content-type"), not body.cut)
            yield from self._in(where, body.data.decode("latin-1") if text is None else text)

    def _in(self, where: str, text: str) -> Iterator[Match]:
        at = 0
        while (match := self._search.search(text, at)) is not None:
            begin = text.rfind("\n", 0, match.start()) + 1
            end = text.find("\n", match.start())
            end = len(text) if end < 0 else end
            yield _match(where, text[begin:end], match.start() - begin, min(match.end(), end) - begin)
            at = end + 1
            if at > len(text):
                return


def _match(where: str, line: str, start: int, end: int) -> Match:
    """A match in its line; a long line is cut around it."""
    end = min(end, start + 4 * _AROUND)
    left, right = max(start - _AROUND, 0), min(end + _AROUND, len(line))
    before = "…" if left else ""
    excerpt = before + line[left:right] + ("…" if right < len(line) else "")
    return Match(where, excerpt, start - left + len(before), end - left + len(before))
