"""Secrets in XML and HTML elements, and in the parts of multipart bodies.

What   The text of an element with a secret name, or with a secret "name" or "key" attribute; the element after one
       whose text is a secret name (property lists, XML-RPC). text.py finds secret attributes.
Why    There is no parser, so that nothing is expanded and nothing has to be well-formed.
"""

import html
import re
from collections.abc import Callable

from hark.views.redaction.names import Secrecy, secrecy
from hark.views.redaction.shapes import random_looking
from hark.views.redaction.urls import secret_in_query

Text = Callable[[str], str]
_TAG = re.compile(r"<(?P<name>[A-Za-z_][\w:.\-]*+)(?P<attributes>[^<>]*+)>(?P<text>[^<]*+)")
_NAMED = re.compile(r"""(?<![\w-])(?:name|key)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.I)
_LABELS = frozenset({"name", "key", "td", "th", "dt", "label", "b", "strong"})
_TEXT_NODE = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)|(?<=>)([^<]+)", re.S)
_NEXT = re.compile(r">\s*+([^<\s][^<]*+)")
_DISPOSITION = re.compile(r"content-disposition:([^\r\n]*+)", re.I)
_PART_NAME = re.compile(r"""[;\s]name(\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|'([^']*+)'|([^;\s]++))""", re.I)
_BLANK = re.compile(r"\r?\n\r?\n")
_BOUNDARY = re.compile(r"(?:\A|\n)(--[^\r\n]{1,200})\r?\n[\w-]{4,40}:")


def elements(text: str, secret: Text) -> str:
    """The text with secret elements replaced by marks."""
    pieces: list[str] = []
    done = at = 0
    while (match := _TAG.search(text, at)) is not None:
        at = match.end()
        start, end, replacement = _element(text, match, secret)
        if end > start and start >= done:
            pieces += (text[done:start], replacement)
            at = done = end
    return "".join((*pieces, text[done:])) if pieces else text


def _element(text: str, match: re.Match[str], secret: Text) -> tuple[int, int, str]:
    """(start, end, replacement) of an element's secret; start is end if it has none."""
    name, inner = match["name"].rpartition(":")[2], match["text"]
    closed = match["attributes"].endswith("/")
    if not closed and secrecy(name) >= Secrecy.TEXT:
        if inner.strip() and not text.startswith("<![CDATA[", match.end()):
            return _marked(inner, match.start("text"), secret)
        start = match.start("text")
        end = text.find(f"</{match['name']}", start)
        end = end if end >= 0 else len(text)
        return start, end, _TEXT_NODE.sub(lambda node: _node(node, secret), f">{text[start:end]}")[1:]
    if not closed and inner.strip():
        named = _NAMED.search(match["attributes"])
        if named is not None and secrecy(named[1] or named[2] or "") >= Secrecy.TEXT:
            return _marked(inner, match.start("text"), secret)
        if name.lower() in _LABELS and secrecy(inner.strip()) >= Secrecy.TEXT:
            value = _NEXT.search(text, match.end())
            sure = name.lower() in ("name", "key") or (value is not None and random_looking(value[1].strip()))
            if sure and value is not None and value.start() - match.end() < 200:
                return _marked(value[1], value.start(1), secret)
    return 0, 0, ""


def _marked(inner: str, start: int, secret: Text) -> tuple[int, int, str]:
    plain = inner.strip()
    start += inner.index(plain)
    return start, start + len(plain), secret(html.unescape(plain))


def _node(node: re.Match[str], secret: Text) -> str:
    if node[1] is not None:
        return node[0].replace(node[1], secret(node[1])) if node[1] else node[0]
    plain = node[2].strip()
    return node[0].replace(plain, secret(html.unescape(plain))) if plain else node[0]


def multipart(text: str, secret: Text) -> str:
    """The text with the values of secret parts replaced by marks (RFC 7578 §4.2)."""
    boundary = _BOUNDARY.search(text)
    if boundary is None:
        return text
    pieces: list[str] = []
    done = 0
    for match in _DISPOSITION.finditer(text):
        if match.start() < done:
            continue
        named = _PART_NAME.search(match[1])
        if named is None:
            continue
        name = named[2] or named[3] or named[4] or ""
        name = name.rpartition("'")[2] if named[1] else name  # name*=UTF-8''pass%77ord (RFC 8187)
        blank = _BLANK.search(text, match.end())
        if blank is None:
            break
        if secrecy(name) is Secrecy.NONE:
            continue
        end = text.find(f"\n{boundary[1]}", blank.end() - 1)
        stop = end if end >= 0 else len(text)
        stop -= text[blank.end() : stop].endswith("\r")
        value = text[blank.end() : stop]
        if value and secret_in_query(name, value):
            pieces += (text[done : blank.end()], secret(value))
            done = stop
    return "".join((*pieces, text[done:])) if pieces else text
