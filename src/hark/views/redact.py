"""Secrets taken out of what is told: credentials, cookies, tokens in URLs and bodies.

What   Every text of an entry is looked at. A secret becomes "redacted-" with the first 8 hex digits of its SHA-256: the
       same secret is the same mark everywhere, in every file and every run, so that one still sees which requests share
       a session. The exchange is then made anew from the entry, and every view sees it so.
How    By name (headers, cookies, query and form fields, JSON keys, words of a command line), by shape (JSON web tokens,
       the prefixes that well-known services give their tokens), and by value: what was found to be a secret in one
       place of an entry is one in every other place of it.
Limits Bodies that are not text stay as they are. 32 bits of a hash tell nobody a good secret; a guess at a bad one can
       be checked against them. Packets are not touched: a pcapng is never redacted.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from hark.model.archive import Archived, Shelf
from hark.model.book import Answered, Began, Change, Ended, Failed, Spoke, Upgraded
from hark.model.exchange import Exchange
from hark.model.failed_entry import failure
from hark.views import failures
from hark.views.entry import entry
from hark.views.view import Passing, View

Json = dict[str, Any]
MARK = "redacted-"
_NAMES = (
    r"(?:[\w.\-]*[_\-.])?(?:access|id|refresh|auth|csrf|xsrf|session|bearer|security|api|app|device|push)?[_\-]?"
    r"(?:token|secret|passw(?:or)?d|passwd|pwd|passphrase|api[_\-]?key|apikey|session[_\-]?id|sessid|jwt|signature|"
    r"credentials?|private[_\-]?key|client[_\-]?secret|access[_\-]?key|auth[_\-]?key)"
)
_NAMED = re.compile(_NAMES + r"$", re.I)
_IN_URLS = {"key", "sig", "code", "auth", "sid", "session", "state", "nonce", "assertion", "authorization"}
_PARAMETER = re.compile(r"(?<=[?&;#])([\w.\-%\[\]]+)=([^&;#\s\"'<>]+)")
_FORM = re.compile(r"(?:^|(?<=&))([\w.\-%\[\]]+)=([^&\s]+)")
_JSON = re.compile(rf'("{_NAMES}"\s*:\s*")((?:[^"\\]|\\.)+)(?=")', re.I)
_MULTIPART = re.compile(rf'(name="{_NAMES}"[^\r\n]*\r?\n(?:[\w\-]+:[^\r\n]*\r?\n)*\r?\n)([^\r\n]+)', re.I)
_USERINFO = re.compile(r"(?<=://)([^/?#\s@\"']+)(?=@)")
_LINE = re.compile(r"^((?:proxy-)?authorization|cookie|set-cookie|x-api-key|x-auth-token)(:\s*)(.*)$", re.I | re.S)
_SHAPES = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{20,}|"
    r"\bxox[abeprs]-[\w-]{10,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bsk-[\w-]{20,}|\b[rs]k_(?:live|test)_\w{16,}|"
    r"\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}"
)
_CREDENTIALS = {"-u", "--user", "--proxy-user", "-U", "--password", "--token", "--oauth2-bearer", "--http-password"}
_KNOWN_LEAST = 8  # characters: what is shorter is replaced only where its name says what it is


def mark(secret: str) -> str:
    """What stands for a secret."""
    if not secret or secret.startswith(MARK):
        return secret
    return MARK + sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def redact(told: Json) -> Json:
    """The entry without secrets; the one given stays as it is."""
    made = _Redaction()
    made.look(told)
    result = made.walk(told, "")
    assert isinstance(result, dict)
    return result


class Redacted(Passing):
    """Shows its views everything without secrets."""

    def __init__(self, views: Sequence[View]) -> None:
        super().__init__(views)
        self._shelf = Shelf()
        self._open: dict[int, Archived] = {}

    def change(self, change: Change) -> None:
        """Pass it on, redacted."""
        if isinstance(change, Began | Answered | Upgraded | Ended):
            made = self._exchange(change.exchange)
            if isinstance(change, Ended):
                self._open.pop(made.number, None)
            else:
                self._open[made.number] = made
            change = type(change)(made)
        elif isinstance(change, Spoke):
            message = change.message
            if message.kind in ("text", "event"):
                text = _Redaction().text(message.data.decode("utf-8", "surrogateescape"))
                message = message._replace(data=text.encode("utf-8", "surrogateescape"))
            exchange = self._open.get(change.exchange.number) or self._exchange(change.exchange)
            change = Spoke(exchange, message)
        elif isinstance(change, Failed):
            change = Failed(failure(redact(failures.entry(change.failure))))
        self._pass(change)

    def _exchange(self, exchange: Exchange) -> Archived:
        made = self._shelf.exchange(redact(entry(exchange)))
        made.number = exchange.number
        return made


class _Redaction:
    """One entry's."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._known_re: re.Pattern[str] | None = None

    # -- what is secret ----------------------------------------------------------------------------------------------

    def look(self, told: Json) -> None:
        """Gather the secrets that stand in headers, to find them elsewhere too."""
        for part in (told.get("request"), told.get("response")):
            for pair in part.get("headers", ()) if isinstance(part, dict) else ():
                self._header(str(pair.get("name", "")), str(pair.get("value", "")))
        known = sorted((secret for secret in self._known if len(secret) >= _KNOWN_LEAST), key=len, reverse=True)
        self._known_re = re.compile("|".join(map(re.escape, known))) if known else None

    def _mark(self, secret: str) -> str:
        self._known.add(secret)
        return mark(secret)

    def _header(self, name: str, value: str) -> str:
        """The value of a header without what is secret in it."""
        name = name.lower()
        if name in ("authorization", "proxy-authorization"):
            scheme, space, rest = value.partition(" ")
            if scheme.lower() == "basic" and rest:
                self._basic(rest)
            return f"{scheme} {self._mark(rest)}" if space else self._mark(value)
        if name == "cookie":
            return "; ".join(self._cookie(pair) for pair in value.split("; "))
        if name == "set-cookie":
            first, semicolon, rest = value.partition(";")
            return self._cookie(first) + semicolon + rest
        return self._mark(value) if _is_secret(name) else self.text(value)

    def _cookie(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        return f"{name}={self._mark(value)}" if equals else pair

    def _basic(self, rest: str) -> None:
        try:
            user, colon, password = b64decode(rest).decode("utf-8", "replace").partition(":")
        except ValueError:
            return
        if colon:
            self._known |= {password, f"{user}:{password}"}

    # -- everywhere --------------------------------------------------------------------------------------------------

    def walk(self, value: Any, key: str) -> Any:
        """The value without secrets; key is where it stands."""
        if isinstance(value, str):
            return mark(value) if key and _is_secret(key) else self.text(value)
        if isinstance(value, dict):
            if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):
                return {**value, "value": self._pair(value["name"], value["value"], key)}
            if value.get("encoding") == "base64" or value.get("_encoding") == "base64":
                return {**{k: self.walk(v, k) for k, v in value.items() if k != "text"}, "text": value.get("text", "")}
            if key == "postData" and str(value.get("mimeType", "")).startswith("application/x-www-form-urlencoded"):
                value = {**value, "text": _FORM.sub(self._parameter, str(value.get("text", "")))}
            return {k: self.walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return self._words(value) if key == "cmdline" else [self.walk(one, key) for one in value]
        return value

    def _pair(self, name: str, value: str, key: str) -> str:
        if key == "cookies":
            return self._mark(value)
        if key in ("queryString", "params"):
            return self._mark(value) if _is_secret(name) or name.lower() in _IN_URLS else self.text(value)
        return self._header(name, value)

    def _words(self, words: Sequence[Any]) -> list[Any]:
        """A command line."""
        made: list[Any] = []
        before = ""
        for word in words:
            text = str(word)
            line = _LINE.match(text)
            if before in _CREDENTIALS:
                made.append(mark(text))
            elif before in ("-b", "--cookie") and "=" in text:
                made.append(self._header("cookie", text))
            elif line is not None:
                made.append(line[1] + line[2] + self._header(line[1], line[3]))
            elif text.startswith("--") and "=" in text and _is_secret(text[2:].partition("=")[0]):
                name, _, value = text.partition("=")
                made.append(f"{name}={mark(value)}")
            else:
                made.append(self.text(text))
            before = text
        return made

    def text(self, text: str) -> str:
        """Any text."""
        if "=" in text:
            text = _PARAMETER.sub(self._parameter, text)
        if "://" in text and "@" in text:
            text = _USERINFO.sub(lambda found: mark(found[1]), text)
        if '"' in text:
            text = _JSON.sub(_second, text)
            text = _MULTIPART.sub(_second, text)
        if self._known_re is not None:
            text = self._known_re.sub(lambda found: mark(found[0]), text)
        return _SHAPES.sub(lambda found: mark(found[0]), text)

    def _parameter(self, found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        secret = _is_secret(name) or name.lower() in _IN_URLS
        if not secret:
            return found[0]
        from urllib.parse import unquote_plus

        return f"{name}={mark(unquote_plus(value))}"


_second: Callable[[re.Match[str]], str] = lambda found: found[1] + mark(found[2])  # noqa: E731
_secret_names: dict[str, bool] = {}


def _is_secret(name: str) -> bool:
    known = _secret_names.get(name)
    if known is None:
        if len(_secret_names) > 4096:
            _secret_names.clear()
        known = _secret_names[name] = len(name) < 100 and _NAMED.match(name) is not None
    return known
