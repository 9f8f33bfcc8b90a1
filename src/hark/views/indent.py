"""Indents incomplete JSON: bodies of which only the beginning was received or kept.

What   indented(text) gives the layout of json.dumps(indent=2), up to the end of the text; None if it is not the
       beginning of one JSON value.
Why    A JSON parser rejects such a text, and one line of a megabyte is not readable.
Limits Text with more than _DEEP levels is not indented: the indentation would be larger than the text.
"""

import re
from collections.abc import Iterator

_DEEP = 100
_TOKEN = re.compile(r'\s+|[{}\[\],:]|"(?:[^"\\\x00-\x1f]|\\.)*+(?:"|\\?$)|[-+.\w]+', re.DOTALL)
_WORD = re.compile(r"(?:-?\d+(?:\.\d*)?(?:[eE][-+]?\d*)?|-|true|false|null)$")
_CUT_WORDS = tuple(word[:size] for word in ("true", "false", "null") for size in range(1, len(word)))
_CLOSES = {"}": "{", "]": "["}
_BEFORE_VALUES = ("", "{", "[", ",", ":")


def indented(text: str) -> str | None:
    """The text in lines, if it is the beginning of one JSON value."""
    try:
        return "".join(_pieces(text))
    except ValueError:
        return None


def _pieces(text: str) -> Iterator[str]:
    """Raises ValueError if it is not the beginning of JSON."""
    levels: list[str] = []
    before = ""  # the token before
    for token in _tokens(text):
        if not levels and before:
            raise ValueError("more than one value")
        if token in _CLOSES:
            if not levels or levels.pop() != _CLOSES[token]:
                raise ValueError("closes what is not open")
            yield token if before == _CLOSES[token] else f"\n{'  ' * len(levels)}{token}"
        else:
            if token not in (",", ":") and before not in _BEFORE_VALUES:
                raise ValueError("two values side by side")
            if before in ("{", "[", ","):
                yield f"\n{'  ' * len(levels)}"
            yield ": " if token == ":" else token
            if token in ("{", "["):
                levels.append(token)
                if len(levels) > _DEEP:
                    raise ValueError("too deep")
        before = token
    if not levels:
        raise ValueError("not cut")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError("no token")
        token = match[0]
        at = match.end()
        if token.isspace():
            continue
        word = token[0] not in '{}[],:"'
        if word and not _WORD.match(token) and not (at == len(text) and token in _CUT_WORDS):
            raise ValueError("no word of JSON")
        yield token
