"""Secrets in any text: names followed by values, in any notation.

What   JSON (also inside JSON strings, cut or invalid), Python and JavaScript literals, YAML, INI and env files, queries
       and forms, header lines, attributes, GraphQL: they all have a name, ":" or "=", and a value. PAIR finds names;
       how far the value of a secret name goes follows from its quoting.
Why    A parser rejects incomplete text and loses how it was written, and each notation would need its own.
How    A string inside of strings is quoted by k = 0, 1, 3, 7 … backslashes and a quote; it ends at a quote with as many
       of them, more by a multiple of 2 (k + 1), since a backslash in it is as many again. So no level is decoded.
Limits Bare values in program code (JavaScript, CSS, HTML) are names of variables: only quoted ones are hidden there.
"""

import json
import re
from collections.abc import Callable
from urllib.parse import unquote_plus

from hark.views.redaction import limits, markup, urls
from hark.views.redaction.names import HARMLESS, Secrecy, secrecy, split, word_set
from hark.views.redaction.shapes import random_looking

Named = Callable[[str, str], str]
_NAME = r"(?<![\w.\-\[\]%$@])(?P<bare>(?:[\w.\-\[\]%$@]++|\\u[0-9a-fA-F]{4})++)[ \t]*+(?P<sign>:=|==|=>|=|:)(?!//)"
_QUOTED = (
    r"""(?P<slashes>(?<!\\)\\*+)(?P<quote>["'])(?P<name>[^"'\\\r\n]*+(?:\\++u[0-9a-fA-F]{4}[^"'\\\r\n]*+)*+)"""
    r"""(?P=slashes)(?P=quote)\]?\s*+(?P<sign2>:|=>|=|,)"""
)
PAIR = re.compile(f"{_QUOTED}|{_NAME}")
_SPACE = re.compile(r"\s*+")
_BLANKS = re.compile(r"[ \t]*+")
_OPEN = re.compile(r"""(?:[bBuUrRfF]{1,2}(?=["']))?(?P<slashes>\\*+)(?P<quote>["'`])""")
_CLOSE = {sign: re.compile(rf"(?<!\\)(\\*+){sign}") for sign in "\"'`"}
_NUMBER = re.compile(r"-?\d[\d_.eE+-]*+(?=[\s,}\])&;\\\"']|\Z)")
_LITERAL = re.compile(r"(?:true|false|null|none|nil|undefined|nan|yes|no)(?![\w-])", re.I)
_NOTHING = re.compile(r"\$\{\{?[^}]*\}\}?|\$[A-Z_]{2,}|\*+|<[\w -]+>|\[?redacted\]?", re.I)
_LEAF = re.compile(
    r"""(?P<slashes>(?<!\\)\\*+)(?P<quote>["'])|(?P<open>[{\[(])|(?P<close>[}\])])|(?P<bare>[^\s,:={}\[\]()"'\\]++)"""
)
_IDENTIFIER = re.compile(r"[a-z]+(?:[_-][a-z]+)*")
_KEY = re.compile(r"\s*+(?::|=)")
_LINE = re.compile(r"(?:[ \t]*+(?:export|set|env|-|[<>*#|]|//|\$)[ \t]++)*[ \t]*+(?:--?)?")
_YAML = re.compile(r"([\w.-]++):(?:[ \t]++(.*))?")
_BLOCK = re.compile(r"[|>][+-]?[ \t]*")
_FORM_VALUE = re.compile(r"[^&\s\"'<>#\\]*+")
_NEXT_VALUE = re.compile(r"[^&?\s\"'<>#\\]*+")  # of a name that is not secret: after a "?" more pairs follow
_SEMICOLON_VALUE = re.compile(r"[^&;\s\"'<>#\\]*+")  # of a connection string
_TIGHT = re.compile(r"[^\s&\"'<>\\]++")
_WORD = re.compile(r"[^\s\"'<>]++")
_PLAIN = re.compile(r"[^\s,}\])\"'<>&]++")
_COOKIES = re.compile(r"[^\r\n\"']*+")
_SIMPLE = re.compile(r"[\w.$@%\[\]-]++")
_REST = re.compile(r"[^\r\n]*+")
_SCHEMED = re.compile(r"(?:[A-Za-z][\w-]{2,30}[ \t]+)?[^\s\"'<>,;]++")
_OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*+)([ \t]++|=)(\"[^\"\r\n]*+\"|'[^'\r\n]*+'|[^\s\"'<>-][^\s\"'<>]*+)")
_NAMES = word_set("name key field header id k param parameter property variable var type attribute headername env")
_VALUES = word_set("value val v content data text secretstring default string")


class Texts:
    """Hides secrets in texts. secret: gives the mark of a value; named: that of a value with its name."""

    def __init__(self, secret: Callable[[str], str], named: Named, nested: Callable[[str, int], str]) -> None:
        self.secret = secret
        self._named = named
        self._nested = nested

    def hide(self, text: str, code: bool = False, level: int = 0) -> str:
        """The text with the values of secret names replaced by marks."""
        if "isposition" in text or "ISPOSITION" in text or "Disposition" in text:
            text = markup.multipart(text, self.secret)
        if "<" in text and ">" in text:
            text = markup.elements(text, self.secret)
        if any(sign in text for sign in ":=\"'"):
            text = _Pairs(self, text, code, level).hidden()
        return _OPTION.sub(self._option, text) if "-" in text else text

    def named(self, name: str, value: str) -> str:
        """The mark of a value whose name is secret."""
        return self._named(name, value)

    def inside(self, value: str, level: int) -> str:
        """The value of a name that is not secret, without secrets inside."""
        return urls.inside(value, self._nested, level)

    def _option(self, pair: re.Match[str]) -> str:
        name, between, value = pair.groups()
        if secrecy(name) < Secrecy.TEXT or (not name.startswith("--") and len(name) < 4):
            return pair[0]
        sign = value[0] if value[0] in "\"'" else ""
        plain = value.strip("\"'")
        return name + between + sign + self.secret(plain) + sign


class _Pairs:
    """The pairs of one text."""

    def __init__(self, texts: Texts, text: str, code: bool, level: int) -> None:
        self._texts = texts
        self._text = text
        self._code = code
        self._level = level
        self._spans: list[tuple[int, int, str]] = []  # (start, end, replacement)
        self._until = -1  # up to here the value of an object with a secret name may follow
        self._end_of_name = 0
        self._value: tuple[int, int, re.Match[str]] | None = None  # the last value of an object: where, of which pair

    def hidden(self) -> str:
        """The text without secrets."""
        text, at = self._text, 0
        while (pair := PAIR.search(text, at)) is not None:
            at = self._pair(pair)
        if not self._spans:
            return text
        pieces: list[str] = []
        done = 0
        for start, end, replacement in sorted(self._spans, key=lambda span: (span[0], -span[1])):
            if start >= done:
                pieces += (text[done:start], replacement)
                done = end
        return "".join((*pieces, text[done:]))

    def _pair(self, pair: re.Match[str]) -> int:
        """Handle one name; where to continue."""
        bare = pair["bare"]
        name = bare if bare is not None else pair["name"]
        kind = secrecy(name)
        if bare is None and pair["sign2"] == ",":
            return self._listed(pair, kind)
        if kind is Secrecy.NONE:
            small = name.lower()
            if small in _NAMES or small in _VALUES:
                return self._of_object(pair, small)
        query = bare is not None and pair["sign"] == "=" and self._in_query(pair)
        if query:
            return self._parameter(pair, name)
        if kind < Secrecy.TEXT:
            return pair.end()
        return self._hide(pair, kind, name)

    def _in_query(self, pair: re.Match[str]) -> bool:
        start = pair.start()
        return (start > 0 and self._text[start - 1] in "?&;#") or pair["bare"].startswith("\\u0026")

    def _parameter(self, pair: re.Match[str], name: str) -> int:
        text, at = self._text, pair.end()
        behind = text[pair.start() - 1] == ";" and not text.startswith(("amp;", "#38;"), max(pair.start() - 4, 0))
        none = secrecy(name) is Secrecy.NONE
        value = (_NEXT_VALUE if none else _SEMICOLON_VALUE if behind else _FORM_VALUE).match(text, at)
        raw = value[0] if value is not None else ""
        raw = raw.rstrip(").,;]}") if not raw.endswith(("{}", "[]")) else raw
        if not raw:
            if secrecy(name) >= Secrecy.TEXT:
                return self._hide(pair, secrecy(name), name)
            return at
        plain = unquote_plus(raw)
        if urls.secret_in_query(name, plain):
            self._put(at, at + len(raw), self._texts.named(name, plain))
        elif "%" in raw:
            replacement = self._texts.inside(raw, self._level)
            if replacement != raw:
                self._put(at, at + len(raw), replacement)
        else:
            return at
        return at + len(raw)

    # -- the kinds of values -------------------------------------------------------------------------------------------

    def _put(self, start: int, end: int, replacement: str) -> None:
        if self._text[start:end] != replacement:
            self._spans.append((start, end, replacement))

    def _hide(self, pair: re.Match[str], kind: Secrecy, name: str) -> int:
        text = self._text
        spaces = (_SPACE if pair["bare"] is None else _BLANKS).match(text, pair.end())
        at = spaces.end() if spaces is not None else pair.end()
        opened = _OPEN.match(text, at)
        if opened is not None:
            return self._string(opened, name)
        if text[at : at + 1] in ("{", "[", "("):
            if self._code and pair["bare"] is not None:
                return at
            return self._container(at, kind, pair)
        if _LITERAL.match(text, at):
            return at
        number = _NUMBER.match(text, at)
        if number is not None and pair["bare"] is None:
            return self._number(number, kind, pair)
        return self._bare(pair, at, kind, name)

    def _string(self, opened: re.Match[str], name: str) -> int:
        start, quote = opened.end(), opened["quote"]
        if self._text.startswith(2 * quote, start) and not opened["slashes"]:  # Python's, TOML's
            start += 2
            end = self._text.find(3 * quote, start)
            end = after = end if end >= 0 else len(self._text)
        else:
            end, after = self._closing(start, len(opened["slashes"]), quote)
        raw = self._text[start:end]
        if raw and not _NOTHING.fullmatch(raw):
            replacement = self._texts.named(name, _unescaped(raw, len(opened["slashes"])))
            if '"' in replacement or "\\" in replacement or "'" in replacement:  # it would have to be escaped
                replacement = self._texts.secret(_unescaped(raw, len(opened["slashes"])))
            self._put(start, end, replacement)
        return after

    def _closing(self, at: int, slashes: int, quote: str) -> tuple[int, int]:
        """(end of the string, where to continue). A string without an end ends with its line."""
        text = self._text
        for pair in _CLOSE[quote].finditer(text, at):
            count = len(pair[1])
            if count < slashes or count % (2 * (slashes + 1)) == slashes:
                return pair.end() - 1 - min(count, slashes), pair.end()
        rest = _REST.match(text, at)
        end = rest.end() if rest is not None else len(text)
        return end, end

    def _number(self, number: re.Match[str], kind: Secrecy, pair: re.Match[str]) -> int:
        if kind is Secrecy.ALL and number[0] not in ("0", "1"):
            quote = pair["slashes"] + pair["quote"]
            self._put(number.start(), number.end(), f"{quote}{self._texts.secret(number[0])}{quote}")
        return number.end()

    def _container(self, at: int, kind: Secrecy, pair: re.Match[str]) -> int:
        """A list or an object: the values in it. An object with a weak name is judged by its own names."""
        if kind is Secrecy.TEXT and self._text[at] == "{":
            return at
        depth, key, harmless = 0, "", False
        while (leaf := _LEAF.search(self._text, at)) is not None:
            at = leaf.end()
            if leaf["open"]:
                depth += 1
            elif leaf["close"]:
                depth -= 1
                if depth <= 0:
                    return at
            else:
                start, end = leaf.span()
                slashes = leaf["slashes"] or ""
                if leaf["quote"]:
                    start = at
                    end, at = self._closing(start, len(slashes), leaf["quote"])
                raw = self._text[start:end]
                if _KEY.match(self._text, at):
                    key = raw
                    harmless = (split(key) or [""])[-1] in HARMLESS
                elif raw and not harmless:
                    self._leaf(leaf, start, end, kind, pair)
        return at

    def _leaf(self, leaf: re.Match[str], start: int, end: int, kind: Secrecy, pair: re.Match[str]) -> None:
        raw = self._text[start:end]
        if leaf["quote"]:
            self._put(start, end, self._texts.secret(_unescaped(raw, len(leaf["slashes"]))))
        elif kind is Secrecy.ALL and not _LITERAL.fullmatch(raw) and raw not in ("0", "1"):
            quote = (pair["slashes"] or "") + (pair["quote"] or "")
            self._put(start, end, f"{quote}{self._texts.secret(raw)}{quote}")

    def _bare(self, pair: re.Match[str], at: int, kind: Secrecy, name: str) -> int:
        """A value without quotes."""
        text = self._text
        if pair["bare"] is None:
            value = _PLAIN.match(text, at)
        elif self._code:
            return at
        else:
            value = self._unquoted(pair, at, name)
        if value is None:
            return self._below(pair, at, kind)
        raw = value[0].rstrip()
        if _BLOCK.fullmatch(raw):
            return self._below(pair, value.end(), kind, True)
        if value.re is not _REST:
            raw = raw.rstrip(",;.)]}")
        if raw and not _NOTHING.fullmatch(raw) and not (name in ("PWD", "OLDPWD") and raw.startswith("/")):
            self._put(at, at + len(raw), self._texts.named(name, raw))
        return max(at + len(raw), pair.end())

    def _unquoted(self, pair: re.Match[str], at: int, name: str) -> re.Match[str] | None:
        text = self._text
        tight = pair["sign"] == "=" and at == pair.end() and text[at - 2 : at - 1] not in (" ", "\t")
        if (split(name) or [""])[-1] in ("cookie", "cookies"):
            return _COOKIES.match(text, at)
        if self._begins_line(pair.start()):
            rest = _REST.match(text, at)
            if rest is not None and rest[0].strip() and not (tight and ("=" in rest[0] or "&" in rest[0])):
                return rest
        if tight:
            return _TIGHT.match(text, at)
        return (_SCHEMED if "auth" in name.lower() else _WORD).match(text, at)

    def _begins_line(self, start: int) -> bool:
        """Whether it is the first word of its line."""
        from_here = max(start - 64, 0)
        before = self._text[from_here:start]
        cut = max(before.rfind("\n"), before.rfind("\r")) + 1
        return (cut > 0 or from_here == 0) and _LINE.fullmatch(before, cut) is not None

    def _below(self, pair: re.Match[str], at: int, kind: Secrecy, block: bool = False) -> int:
        """YAML: a value in the indented lines below, or a list."""
        text = self._text
        if pair["bare"] is None or pair["sign"] != ":" or not self._begins_line(pair.start()):
            return max(at, pair.end())
        start = max(text.rfind("\n", max(pair.start() - 64, 0), pair.start()) + 1, 0)
        indent = len(text[start : pair.start()]) - len(text[start : pair.start()].lstrip(" "))
        at = text.find("\n", at)
        while 0 <= at < len(text):
            end = text.find("\n", at + 1)
            end = end if end >= 0 else len(text)
            line = text[at + 1 : end]
            inner = len(line) - len(line.lstrip(" "))
            content = line.strip()
            listed = content.startswith("- ")
            if content and not (listed and inner >= indent) and inner <= indent:
                break
            if content and not (block or listed):
                yaml = _YAML.fullmatch(content) if kind is Secrecy.ALL else None
                if yaml is None:
                    break
                if yaml[2] and (split(yaml[1]) or [""])[-1] not in HARMLESS and yaml[2][0] not in "{[|>&*":
                    first = at + 1 + line.index(content) + yaml.start(2)
                    self._put(first, first + len(yaml[2]), self._texts.secret(yaml[2].strip("\"'")))
            elif content:
                raw = content.removeprefix("- ") if listed and not block else content
                plain = raw.strip("\"'")
                first = at + 1 + line.index(plain) if plain else at + 1
                self._put(first, first + len(plain), self._texts.secret(plain))
            at = end
        return max(at, pair.end()) if at >= 0 else len(text)

    # -- names and values beside each other ----------------------------------------------------------------------------

    def _listed(self, pair: re.Match[str], kind: Secrecy) -> int:
        """A name and a value in a list: ["Authorization", "Bearer …"]. Most lists are of names alone."""
        opened = _OPEN.match(self._text, at) if (at := self._after(pair)) >= 0 else None
        if kind < Secrecy.TEXT or opened is None or "]" in pair[0][-4:]:
            return pair.end() - 1
        end, after = self._closing(opened.end(), len(opened["slashes"]), opened["quote"])
        plain = _unescaped(self._text[opened.end() : end], len(opened["slashes"]))
        word = secrecy(plain) is not Secrecy.NONE or _IDENTIFIER.fullmatch(plain) is not None
        if word or not random_looking(plain.replace(" ", "")) or _KEY.match(self._text, after):
            return pair.end() - 1
        return self._string(opened, pair["name"])

    def _after(self, pair: re.Match[str]) -> int:
        spaces = _SPACE.match(self._text, pair.end())
        return spaces.end() if spaces is not None else pair.end()

    def _of_object(self, pair: re.Match[str], name: str) -> int:
        """{"name": "API_TOKEN", "value": "…"}, in either order, and the same as attributes or in YAML."""
        text, start = self._text, pair.start()
        if name in _VALUES and start < self._until and not self._parted(pair, self._end_of_name, start):
            self._until = -1
            return self._hide(pair, Secrecy.ALL, "value")
        if name in _VALUES:
            self._value = (start, pair.end(), pair)
            return pair.end()
        at = self._after(pair)
        opened = _OPEN.match(text, at)
        if opened is not None:
            end, after = self._closing(opened.end(), len(opened["slashes"]), opened["quote"])
            raw = text[opened.end() : end]
        elif (word := _SIMPLE.match(text, at)) is not None and pair["bare"] is not None:
            raw, after = word[0], word.end()
        else:
            return pair.end()
        if len(raw) > 200 or secrecy(raw) < Secrecy.TEXT:
            return pair.end()
        value = self._value
        if value is not None and start - value[0] < limits.WINDOW and not self._parted(pair, value[1], start):
            self._hide(value[2], Secrecy.ALL, "value")
        self._until, self._end_of_name = start + limits.WINDOW, after
        return after

    def _parted(self, pair: re.Match[str], start: int, end: int) -> bool:
        """Whether two pairs are separated by something: they belong to different objects."""
        between = self._text[start:end]
        return any(sign in between for sign in ("<>" if pair["bare"] is not None and pair["sign"] == "=" else "{}"))


def _unescaped(raw: str, slashes: int) -> str:
    """The content of a string whose quotes have this number of backslashes."""
    while "\\" in raw:
        try:
            raw = json.loads(f'"{raw}"')
        except ValueError:
            raw = re.sub(r"\\(.)", r"\1", raw, flags=re.S)
        if slashes <= 0:
            break
        slashes //= 2
    return raw
