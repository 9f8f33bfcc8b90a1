"""Secrets in URLs and in forms: "name=value" joined by "&".

What   Names are decoded before they are judged. A value that is not secret itself is decoded and searched, such as a
       URL in a URL or JSON in a form (NESTED levels of percent-encoding).
"""

import re
from collections.abc import Callable
from urllib.parse import quote, unquote_plus

from hark.views.redaction.limits import NESTED
from hark.views.redaction.names import Secrecy, secrecy, split
from hark.views.redaction.shapes import is_mark, random_looking, userinfo

Text = Callable[[str], str]
Named = Callable[[str, str], str]
Nested = Callable[[str, int], str]
_FORM = re.compile(r"[\w.%\[\]$~+*-]++=[^\s&\"']*+(?:&[\w.%\[\]$~+*-]++=[^\s&\"']*+)*&?\s*")
_NOTHING = frozenset({"", "null", "undefined", "true", "false", "None", "none"})
_ALWAYS = frozenset({"code", "sig", "auth", "token", "access", "jwt", "sid"})


def is_form(text: str) -> bool:
    """Whether all of the text is name=value pairs."""
    return "=" in text[:256] and _FORM.fullmatch(text) is not None


def secret_in_query(name: str, value: str) -> bool:
    """Whether a value with this name is secret in a query or a form."""
    if value in _NOTHING:
        return False
    level = secrecy(name)
    if level is Secrecy.QUERY:
        words = split(name)
        return words[-1] in _ALWAYS or (len(value) >= 6 and random_looking(value))
    return level is not Secrecy.NONE


def pairs(text: str, named: Named, nested: Nested, level: int = 0) -> str:
    """A query or a form without secrets. named: gives the mark of a secret; nested: searches any other decoded
    value."""
    return "&".join([_pair(one, named, nested, level) for one in text.split("&")])


def _pair(pair: str, named: Named, nested: Nested, level: int) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return inside(pair, nested, level)
    if not value:
        return pair
    # A line of a form may end in a line break (a file sent by curl -d): no part of the value.
    kept = value.rstrip("\r\n")
    plain = unquote_plus(kept)
    if secret_in_query(name, plain):
        result = named(name, plain)
        if plain != kept:
            named(name, kept)  # the secret if this was no form ("TOKEN=a+b" of a command line)
        return f"{name}={result}{value[len(kept) :]}"
    return f"{name}={inside(value, nested, level)}"


def inside(value: str, nested: Nested, level: int) -> str:
    """A value whose name is not secret: it is decoded as its receiver decodes it, and searched."""
    if is_mark(value):
        return value
    plain = unquote_plus(value) if "%" in value or "+" in value else value
    result = nested(plain, level + 1) if level < NESTED else plain
    if result == plain and plain != value and "%" in plain and level < NESTED:
        result = inside(plain, nested, level + 1)
    if result == plain:
        return value
    raw = "".join({sign for sign in value if sign in "/:@,;*!'()$?"})  # characters that were not encoded stay so
    return quote(result, raw, errors="surrogatepass") if plain != value else result


def url(text: str, named: Named, secret: Text, nested: Nested, level: int = 0) -> str:
    """A URL, or the target of a request."""
    rest, mark, fragment = text.partition("#")
    path, question, query = rest.partition("?")
    scheme, slashes, behind = path.partition("://")
    if slashes:
        authority, slash, where = behind.partition("/")
        user, at, host = authority.rpartition("@")
        path = f"{scheme}://{userinfo(user, secret) if at else ''}{at}{host}{slash}{where}"
    if ";" in path and "=" in path:  # matrix parameters: ;jsessionid=…
        path = re.sub(r";([^=;/]+)=([^;/]+)", lambda match: _matrix(match, secret), path)
    path = nested(path, NESTED)
    query = pairs(query, named, nested, level) if query else query
    if "=" in fragment:
        before, sign, after = fragment.partition("?")  # a fragment with a route: #/cb?token=…
        before = pairs(before, named, nested, level) if "=" in before else before
        fragment = before + sign + (pairs(after, named, nested, level) if after else "")
    return path + question + query + mark + fragment


def _matrix(match: re.Match[str], secret: Text) -> str:
    value = unquote_plus(match[2])
    return f";{match[1]}={secret(value)}" if secret_in_query(match[1], value) else match[0]
