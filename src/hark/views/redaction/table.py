"""Secrets in CSV and similar tables: columns with a secret heading (RFC 4180)."""

import re
from collections.abc import Callable

from hark.views.redaction.names import Secrecy, secrecy

_FIELD = r'(?:^|(?<=%s))[ ]*(?:"((?:[^"]|"")*+)"|([^"%s\r\n][^%s\r\n]*+)|)(?=[%s\r\n]|\Z)'
_FIELDS = {sign: re.compile(_FIELD.replace("%s", sign), re.M) for sign in ",;\t"}


def hide(text: str, secret: Callable[[str], str]) -> str:
    """The text with the values of secret columns replaced. secret: gives the mark of a value."""
    first = text.lstrip("\ufeff").partition("\n")[0].rstrip("\r")
    sign = max(",;\t", key=first.count)
    names = [name.strip('" ') for name in first.split(sign)]
    columns = {number for number, name in enumerate(names) if secrecy(name) >= Secrecy.TEXT}
    if not columns:
        return text
    pieces: list[str] = []
    column = done = 0
    line = -1
    for match in _FIELDS[sign].finditer(text):
        if match.start() == 0 or text[match.start() - 1] == "\n":
            column, line = 0, line + 1
        which = 1 if match[1] is not None else 2
        if line > 0 and column in columns and match[which]:
            pieces += (text[done : match.start(which)], secret(match[which].replace('""', '"').strip()))
            done = match.end(which)
        column += 1
    return "".join((*pieces, text[done:]))
