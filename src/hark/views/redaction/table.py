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
    for found in _FIELDS[sign].finditer(text):
        if found.start() == 0 or text[found.start() - 1] == "\n":
            column, line = 0, line + 1
        which = 1 if found[1] is not None else 2
        if line > 0 and column in columns and found[which]:
            pieces += (text[done : found.start(which)], secret(found[which].replace('""', '"').strip()))
            done = found.end(which)
        column += 1
    return "".join((*pieces, text[done:]))
