"""Marks, which replace secrets, and the secrets that are known.

What   A mark is "redacted-" with 32 bits of a keyed hash: with one salt, equal secrets have equal marks. A secret that
       was found by its name is remembered and found again by its value, also as it is written in a URL, in JSON, in
       HTML, in a shell's quotes and inside base64.
How    An index maps a few characters (a gram) to the values that contain them. A text is sampled at every step-th
       place; a value is indexed at as many consecutive places, so that none is missed, and the time does not depend on
       the number of known values.
Why    The salt is random: a file does not reveal which of ten thousand PINs a secret was.
Limits Short values and plain words are hidden only next to their names: "1234" and "disabled" occur everywhere.
"""

import html
import json
import re
import shlex
from base64 import b64encode
from collections.abc import Callable
from hashlib import blake2b
from urllib.parse import quote, quote_plus

from hark.views.redaction import limits
from hark.views.redaction.names import word_set
from hark.views.redaction.shapes import MARK, is_mark

_ESCAPE_BEHIND = re.compile(r"(?:%[0-9A-Fa-f]{2}|\\[bfnrt]|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2})$")
_PATH = re.compile(r"[a-z.+_-]*/[a-z.+_/-]*")  # or a media type
# Common values that are hidden next to their names only.
_PLAIN = word_set(
    "password passwords username undefined anonymous required disabled optional changeme redacted security "
    "authorization authentication function document localhost administrator application bearer default unknown"
)


class Marks:
    """Makes marks, and remembers their secrets."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._known: dict[str, list[str]] = {}  # forms by secret, in the order of first use
        self._long, self._short = _Index(8, limits.KNOWN_ALONE), _Index(4, limits.KNOWN_LEAST)
        self._room = limits.KNOWN_AT_ONCE

    def mark(self, secret: str) -> str:
        """The mark of a secret, which is not remembered."""
        if not secret or is_mark(secret):
            return secret
        return MARK + blake2b(secret.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=4).hexdigest()

    def secret(self, secret: str) -> str:
        """The mark of a secret, which is searched for by its value from now on."""
        mark = self.mark(secret)
        if mark != secret and self._room and secret not in self._known and distinctive(secret):
            self._remember(secret)
        return mark

    def begin(self) -> None:
        """Begin an entry or message: the number of secrets in each is limited."""
        self._room = limits.KNOWN_AT_ONCE

    def _remember(self, secret: str) -> None:
        self._room -= 1
        if len(self._known) >= limits.KNOWN_MOST:
            oldest = next(iter(self._known))
            for form in self._known.pop(oldest):
                self._index(form).drop(form)
        self._known[secret] = known = forms(secret)
        for form in known:
            self._index(form).add(form, secret)

    def _index(self, form: str) -> "_Index":
        return self._long if len(form) >= limits.KNOWN_ALONE else self._short

    def hide(self, text: str, cut: bool = False) -> str:
        """The text with known secrets replaced. cut: it may end inside a secret."""
        for index in (self._long, self._short):
            text = index.hide(text, self.mark)
        return self._end(text) if cut else text

    def _end(self, text: str) -> str:
        """The text without an incomplete secret at its end."""
        cut = 0
        last = ""
        for secret, written in self._known.items():
            for form in written:
                size = next((n for n in range(len(form) - 1, limits.KNOWN_LEAST - 1, -1) if text.endswith(form[:n])), 0)
                if size > cut:
                    cut, last = size, secret
        return text[: len(text) - cut] + self.mark(last) if cut else text


class _Index:
    """Finds forms of at least `least` characters by GRAM characters of them, at consecutive places: the rarest ones of
    a form, so that forms with a common beginning are spread over the index."""

    def __init__(self, gram: int, least: int) -> None:
        self._gram = gram
        self._step = least - gram + 1
        self._grams: dict[str, dict[str, tuple[list[int], str]]] = {}  # (where in the form, the secret) by form
        self._at: dict[str, int] = {}  # where the indexed grams of a form begin

    def add(self, form: str, secret: str) -> None:
        """Search for a form of a secret from now on."""
        if form in self._at:
            return
        last = len(form) - self._gram - self._step + 1
        places = {0, last, last // 2, last // 4, 3 * last // 4, max(last - self._step, 0)}
        at = self._at[form] = min(places, key=lambda place: (self._crowd(form, place), place))
        for place in range(at, at + self._step):
            bucket = self._grams.setdefault(form[place : place + self._gram], {})
            bucket.setdefault(form, ([], secret))[0].append(place)  # "aaaa" is in several places of "aaaaaa"
            if len(bucket) > limits.ALIKE_MOST:
                self.drop(next(iter(bucket)))

    def _crowd(self, form: str, at: int) -> int:
        return max(len(self._grams.get(form[place : place + self._gram], ())) for place in range(at, at + self._step))

    def drop(self, form: str) -> None:
        """Stop searching for a form."""
        at = self._at.pop(form, None)
        for place in range(at, at + self._step) if at is not None else ():
            gram = form[place : place + self._gram]
            bucket = self._grams.get(gram, {})
            bucket.pop(form, None)
            if not bucket:
                self._grams.pop(gram, None)

    def hide(self, text: str, mark: Callable[[str], str]) -> str:
        """The text with every form replaced by a mark."""
        grams, size = self._grams, self._gram
        if not grams:
            return text
        pieces: list[str] = []
        done = 0
        for at in range(0, len(text) - size + 1, self._step):
            bucket = grams.get(text[at : at + size])
            if bucket is None:
                continue
            best: tuple[int, str, str] | None = None
            for form, (places, secret) in bucket.items():
                for start in (at - place for place in places):
                    first = best is None or (-start, len(form)) > (-best[0], len(best[1]))
                    if start >= done and first and text.startswith(form, start) and _stands_alone(text, start, form):
                        best = (start, form, secret)
            if best is not None:
                pieces += (text[done : best[0]], mark(best[2]))
                done = best[0] + len(best[1])
        return "".join((*pieces, text[done:])) if pieces else text


def distinctive(secret: str) -> bool:
    """Whether a value is long and unusual enough to be searched for everywhere."""
    if not limits.KNOWN_LEAST <= len(secret) <= limits.KNOWN_BYTES or secret.lower() in _PLAIN:
        return False
    if secret.isdecimal() or (secret.isalpha() and secret.isascii()):
        return len(secret) >= limits.KNOWN_WORD
    if _PATH.fullmatch(secret):
        return len(secret) >= 2 * limits.KNOWN_ALONE
    return len(set(secret)) > 2 and not secret.startswith(MARK)


def _stands_alone(text: str, start: int, form: str) -> bool:
    """Whether a short value is a word of its own there."""
    if len(form) >= limits.KNOWN_ALONE:
        return True
    end = start + len(form)
    if form[-1].isalnum() and text[end : end + 1].isalnum():
        return False
    if start == 0 or not form[0].isalnum() or not text[start - 1].isalnum():
        return True
    return _ESCAPE_BEHIND.search(text, max(start - 6, 0), start) is not None


def forms(secret: str) -> list[str]:
    """The ways in which a secret may be written, as far as they are long enough to be searched for."""
    written = {secret}
    if not secret.isalnum() or not secret.isascii():
        written |= _escaped(secret)
    raw = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        inside = _inside_base64(raw, before)
        if len(inside) >= limits.BASE64_LEAST:
            written |= {inside, inside.replace("+", "-").replace("/", "_")}
    return [form for form in written if len(form) >= limits.KNOWN_LEAST]


def _escaped(secret: str) -> set[str]:
    written: set[str] = set()
    plain = secret.encode("utf-8", "surrogateescape") if _is_bytes(secret) else secret.encode("utf-8", "replace")
    for safe in ("", "/", "!'()*", "!$&'()*+,/:;=?@~[]", "-._~!$'()*,/:;?@"):
        written.add(quote(plain, safe))
    written |= {quote_plus(plain), quote_plus(plain, "*"), quote(quote(plain, ""), "")}
    written |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), one) for one in written}
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        written |= {once, once.replace("/", "\\/"), json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
        written.add(re.sub("[<>&']", lambda match: f"\\u{ord(match[0]):04x}", once))
    escaped = html.escape(secret)
    written |= {
        escaped,
        html.escape(secret, False),
        escaped.replace("&#x27;", "&#39;"),
        escaped.replace("&#x27;", "&apos;"),
    }
    written |= {escaped.replace("&quot;", "&#34;").replace("&#x27;", "&#39;"), repr(secret)[1:-1]}
    written.add(shlex.quote(secret).removeprefix("'").removesuffix("'"))
    return written


def _is_bytes(text: str) -> bool:
    """Whether it has bytes that were not UTF-8, as surrogates."""
    return any("\udc80" <= sign <= "\udcff" for sign in text)


def _inside_base64(raw: bytes, before: int) -> str:
    """The base64 characters that these bytes have after `before` other bytes (modulo 3), whatever those are."""
    text = b64encode(b"\0" * before + raw).decode("ascii")
    first = (before * 8 + 5) // 6
    return text[first : (before + len(raw)) * 8 // 6]
