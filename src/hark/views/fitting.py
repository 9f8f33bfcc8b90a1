"""Shortens the URL of a line to a number of columns: first the scheme is left out, then the host, then the path.

What   fit("GET https://api.example.com:8443/v1/items?page=2", columns) shortens; least(...) is the number of columns
       for method and complete path; columns(text) is the width of a text on a terminal.
Why    All requests of a run often go to one host: the lines differ in their paths.
"""

from unicodedata import combining, east_asian_width


def columns(text: str) -> int:
    """The width of a text on a terminal; colours (SGR sequences) take no columns."""
    if "\x1b" in text:
        text = "".join(part.partition("m")[2] if at else part for at, part in enumerate(text.split("\x1b")))
    if text.isascii():
        return len(text)
    return sum(_columns_of(sign) for sign in text)


def _columns_of(sign: str) -> int:
    return 0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1


def least(text: str) -> int:
    """The width of method and path without scheme and host; without a URL, of the whole."""
    method, _, host, path = _parts(text)
    return columns(method) + (columns(path) + 1 if path else columns(host))


def fit(text: str, room: int) -> str:
    """The text in at most `room` columns."""
    if columns(text) <= room:
        return text
    method, scheme, host, path = _parts(text)
    room -= columns(method)
    if columns(host + path) <= room:
        return method + (scheme + host + path if columns(scheme + host + path) <= room else host + path)
    if not path:
        return method + _end(host, room)
    left = room - columns(path)
    if left > 0:
        return method + _end(host, left) + path
    return method + _middle(path, room, "…" if scheme else "")


def _parts(text: str) -> tuple[str, str, str, str]:
    """(method with a space, scheme with its slashes, host with port, path with query). Without a URL: a host ("connect
    127.0.0.1:80"), or else all as the path."""
    method, space, rest = text.partition(" ")
    if not space:
        method, rest = "", text
    scheme, mark, after = rest.partition("://")
    if not mark or not scheme.isalpha():
        named = " " not in rest and not method.endswith(":")
        return (method + space, "", rest, "") if named else ("", "", "", text)
    ends = [at for at in (after.find(sign) for sign in "/?") if at >= 0]
    cut = min(ends, default=len(after))
    path = after[cut:]
    return method + space, scheme + mark, after[:cut], "" if path == "/" else path


def _end(text: str, room: int) -> str:
    """The end of a host: its domain and port."""
    if columns(text) <= room:
        return text
    if room <= 1:
        return "…"
    kept = text[max(len(text) - room + 1, 0) :]
    while columns(kept) > room - 1:
        kept = kept[1:]
    return f"…{kept}"


def _middle(text: str, room: int, before: str) -> str:
    """The beginning and the end of a path. before: a mark for what was left out before it."""
    room = max(room - len(before), 2)
    end = room // 3
    first, last = text[: room - 1 - end], text[len(text) - end :]
    while first and columns(first + last) > room - 1:
        first = first[:-1]
    return f"{before}{first}…{last}"
