"""Redaction of an entry.

How    Two passes. The first hides secrets that are recognized by name, place or form, and remembers them. The second
       hides remembered secrets wherever else they occur, in any encoding, also those of earlier entries.
Limits A secret that is recognized only later is in the output before.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from hark.views.redaction import command, limits, shapes, table, urls
from hark.views.redaction.marks import Marks
from hark.views.redaction.names import Secrecy, secrecy, split, word_set
from hark.views.redaction.text import Texts

Json = dict[str, Any]
_FIXED = frozenset({"startedDateTime", "httpVersion", "_protocol", "method", "serverIPAddress", "connection"})
_URLS = frozenset({"url", "redirectURL"})
_URL_HEADERS = frozenset({"location", "referer", "content-location", ":path"})
_CODE = ("javascript", "ecmascript", "css", "html", "typescript", "wasm")
# Schemes of HTTP authentication (IANA's registry, and those that services have made up): they stay readable.
_SCHEMES = word_set(
    "basic bearer digest negotiate ntlm kerberos hoba mutual dpop gnap oauth vapid privatetoken concealed hawk "
    "mac token apikey api-key key bot aws4-hmac-sha256 aws4-ecdsa-p256-sha256 aws sharedkey sharedkeylite "
    "sharedaccesssignature signature scram-sha-1 scram-sha-256 ssws genie sso-key jwt hmac hmac-sha256 "
    "googlelogin splunk discogs zoho-oauthtoken"
)
_ATTRIBUTES = word_set("path domain expires max-age secure httponly samesite partitioned priority version comment")
_BASE64_JSON = ("eyJ", "eyA", "ewo", "ew0", "W3s", "WyJ")  # {", { and a space, {↵, [{, ["
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_-])(?:ey[JA]|ew[o0]|W3s|WyJ)[A-Za-z0-9+/_-]{13,}+={0,2}")
_DEEP = 100  # levels of an entry that are searched; what is nested deeper, by other programs, is left out


class Redaction:
    """Hides secrets in entries, texts and command lines; the same salt gives the same marks."""

    def __init__(self, salt: bytes) -> None:
        self._marks = Marks(salt)
        self.mark = self._marks.mark
        self.secret = self._marks.secret
        self.known = self._marks.hide
        self._texts = Texts(self.secret, self.named, self._nested)

    # -- public --------------------------------------------------------------------------------------------------------

    def entry(self, entry: Mapping[str, object]) -> Json:
        """The entry without secrets; the one given stays as it is."""
        self._marks.begin()
        result = self._known(self._walk(entry, "", 0), "", 0)
        assert isinstance(result, dict)
        return result

    def message(self, text: str) -> str:
        """A text of its own, such as a message."""
        self._marks.begin()
        return self._marks.hide(self.text(text))

    def data(self, data: bytes) -> bytes:
        """Bytes of their own, such as a message."""
        text = data.decode("utf-8", "surrogateescape")
        result = self.message(text)
        return result.encode("utf-8", "surrogateescape") if result != text else data

    def words(self, words: Sequence[str]) -> list[str]:
        """A command line."""
        return [self._marks.hide(word) for word in command.hide(words, self)]

    # -- first pass: names, places, forms ------------------------------------------------------------------------------

    def _walk(self, value: Any, key: str, level: int) -> Any:
        if isinstance(value, str):
            return self._string(value, key, level)
        if isinstance(value, dict):
            return self._object(value, key, level) if level < _DEEP else {}
        if isinstance(value, list):
            if key == "cmdline":
                return command.hide([str(word) for word in value], self)
            return [self._walk(one, key, level + 1) for one in value] if level < _DEEP else []
        if isinstance(value, int | float) and not isinstance(value, bool) and value not in (0, 1):
            return self.secret(str(value)) if secrecy(key) is Secrecy.ALL else value
        return value

    def _string(self, value: str, key: str, level: int) -> str:
        if not value or (key in _FIXED and level <= 2):
            return value
        if key in _URLS:
            return self.url(value)
        return self.named(key, value) if key and secrecy(key) >= Secrecy.TEXT else self.text(value)

    def _object(self, value: Json, key: str, level: int) -> Json:
        if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):
            result = {
                name: self._walk(one, name, level + 1) for name, one in value.items() if name not in ("name", "value")
            }
            name, text = self._pair(value["name"], value["value"], key)
            return {"name": name, "value": text, **result}
        if "text" in value and ("mimeType" in value or _encoded(value)):
            value = {name: one for name, one in value.items() if name != "_raw"}  # the bytes of the same text
            result = {name: self._walk(one, name, level + 1) for name, one in value.items() if name != "text"}
            return {name: self._body(value) if name == "text" else result[name] for name in value}
        if value.get("opcode") in (2, 9, 10) and isinstance(value.get("data"), str):
            return {**value, "data": self._base64(value["data"], self.text)}
        if secrecy(key) is Secrecy.ALL:  # everything in it
            return {name: self._all(one, name, level + 1) for name, one in value.items()}
        return {name: self._field(one, name, level) for name, one in value.items()}

    def _field(self, value: Any, name: str, level: int) -> Any:
        if name == "base64" and isinstance(value, str):
            return self._base64(value, self.text)
        return self._walk(value, name, level + 1)

    def _all(self, value: Any, key: str, level: int) -> Any:
        if isinstance(value, dict | list) and level >= _DEEP:
            return None
        if isinstance(value, dict):
            return {name: self._all(one, name, level + 1) for name, one in value.items()}
        if isinstance(value, list):
            return [self._all(one, key, level + 1) for one in value]
        if value is None or isinstance(value, bool) or value in (0, 1):
            return value
        return self.secret(str(value))

    def _pair(self, name: str, value: str, key: str) -> tuple[str, str]:
        if key == "cookies":
            if not value:  # a cookie without "=" is a value without a name
                return (self.secret(name) if shapes.random_looking(name) else name), value
            return name, self._cookie_value(name, value)
        if key in ("queryString", "params"):
            secret = urls.secret_in_query(name, value)
            return name, self.named(name, value) if secret else self.text(value)
        if key in ("headers", "_trailers", ""):
            return name, self.header(name, value)
        return name, self.named(name, value) if secrecy(name) >= Secrecy.TEXT else self.text(value)

    def _body(self, part: Json) -> Any:
        text, mime = part["text"], part.get("mimeType")
        if not isinstance(text, str):
            return text
        mime = mime.lower() if isinstance(mime, str) else ""
        if _encoded(part):
            return self._base64(text, lambda inner: self._text_of(inner, mime))
        return self._text_of(text, mime)

    def _text_of(self, text: str, mime: str) -> str:
        if "csv" in mime or "tab-separated" in mime:
            return self.text(table.hide(text, self.secret))
        if mime.strip().startswith("application/x-www-form-urlencoded"):
            return shapes.hide(self.form(text), self.secret)
        return self.text(text, code=any(word in mime for word in _CODE))

    def _base64(self, text: str, hide: Any) -> str:
        try:
            data = b64decode(text)
        except ValueError:
            return text
        plain = data.decode("utf-8", "surrogateescape")
        result = hide(plain)
        return b64encode(result.encode("utf-8", "surrogateescape")).decode("ascii") if result != plain else text

    # -- single values -------------------------------------------------------------------------------------------------

    def text(self, text: str, level: int = 0, code: bool = False) -> str:
        """Any text."""
        if urls.is_form(text):
            text = self.form(text, level)
        else:
            text = self._texts.hide(text, code, level)
        text = shapes.hide(text, self.secret)
        if level < limits.NESTED and any(begin in text for begin in _BASE64_JSON):
            text = _BLOB.sub(lambda match: self._blob(match[0], level), text)
        return text

    def _blob(self, blob: str, level: int) -> str:
        """Base64 of JSON: hidden completely if there is a secret in it."""
        plain = blob.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            inner = b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8")
        except ValueError:
            return blob
        return blob if self.text(inner, level + 1) == inner else self.mark(blob)

    def _nested(self, text: str, level: int) -> str:
        return self.text(text, level) if level < limits.NESTED else shapes.hide(text, self.secret)

    def form(self, text: str, level: int = 0) -> str:
        """A form."""
        return urls.pairs(text, self.named, self._nested, level)

    def url(self, text: str) -> str:
        """A URL."""
        return shapes.hide(urls.url(text, self.named, self.secret, self._nested), self.secret)

    def header(self, name: str, value: str) -> str:
        """The value of a header without secrets."""
        small = name.lower()
        if small in ("set-cookie", "set-cookie2"):
            return "\n".join([self._set_cookie(line) for line in value.split("\n")])
        if small in _URL_HEADERS:
            return self.url(value)
        if small == "sec-websocket-protocol":  # where browsers have to put tokens (RFC 6455 §1.9)
            return ", ".join([self._protocol(one.strip()) for one in value.split(",")])
        if value.strip().lower() in ("true", "false"):
            return value
        if small == "authentication-info" or secrecy(name) >= Secrecy.TEXT:
            return self.named(name, value)
        return self.text(value)

    def named(self, name: str, value: str) -> str:
        """The value of something whose name is secret."""
        words = split(name)
        if words and words[-1] in ("cookie", "cookies"):
            return "; ".join([self._cookie(pair.strip()) for pair in value.split(";")])
        if words and words[-1] in ("authorization", "auth", "authentication"):
            return self._credentials(value)
        return self.secret(value)

    def basic(self, value: str) -> str:
        """A user with a password."""
        for sign in ":%":
            if sign in value:
                self.secret(value.partition(sign)[2])
        return self.secret(value)

    def _credentials(self, value: str) -> str:
        scheme, space, rest = value.strip().partition(" ")
        if not space or scheme.lower() not in _SCHEMES:
            return self.secret(value)
        if scheme.lower() == "basic":
            try:
                self.basic(b64decode(rest.strip()).decode("utf-8", "surrogateescape"))
            except ValueError:
                pass  # no base64: it is hidden all the same
        return f"{scheme} {self.secret(rest)}"

    def _cookie(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if not equals:
            return self.secret(pair)
        return f"{name}={self._cookie_value(name, value)}"

    def _cookie_value(self, name: str, value: str) -> str:
        """Every cookie is hidden; values such as "dark" or "en" are not searched for elsewhere."""
        plain = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        if secrecy(name) is Secrecy.NONE and not (len(plain) >= limits.KNOWN_ALONE and shapes.random_looking(plain)):
            return self.mark(plain)
        decoded = unquote_plus(plain) if "%" in plain else plain
        if decoded != plain:
            self.secret(decoded)
        return self.secret(plain)

    def _set_cookie(self, value: str) -> str:
        first, *attributes = value.split(";")
        result = [self._cookie(first)]
        for attribute in attributes:
            known = attribute.partition("=")[0].strip().lower() in _ATTRIBUTES
            result.append(attribute if known else self.text(attribute))
        return ";".join(result)

    def _protocol(self, value: str) -> str:
        return self.secret(value) if len(value) >= 20 and shapes.random_looking(value) else self.text(value)

    # -- second pass: values -------------------------------------------------------------------------------------------

    def _known(self, value: Any, key: str, level: int, cut: bool = False) -> Any:
        if isinstance(value, str):
            return value if key in _FIXED and level <= 2 else self._marks.hide(value, cut)
        if isinstance(value, dict):
            return self._known_object(value, level)
        if isinstance(value, list):
            return [self._known(one, "", level + 1) for one in value]
        return value

    def _known_object(self, value: Json, level: int) -> Json:
        coded = "text" if _encoded(value) else "data" if value.get("opcode") in (2, 9, 10) else "base64"
        cut = isinstance(value.get("comment"), str) and value["comment"].startswith("only the first")
        result = {}
        for name, one in value.items():
            if name == coded and isinstance(one, str):
                result[name] = self._base64(one, lambda text: self._marks.hide(text, cut))
            else:
                result[name] = self._known(one, name, level + 1, cut and name == "text")
        return result


def _encoded(part: Json) -> bool:
    return part.get("encoding") == "base64" or part.get("_encoding") == "base64"
