"""Secrets in command lines.

What   Options with a secret name, or for user and password; header lines, cookies and forms as arguments; scripts
       (sh -c), whose words are a command line again.
Origin The options are those of curl(1), wget(1), httpie(1) and of programs that take a password by a short option
       (PASSWORDS): mysql(1), sshpass(1), docker-login(1), redis-cli(1), ldapsearch(1), mongosh, sqlcmd, zip(1).
"""

import re
import shlex
from collections.abc import Sequence
from typing import Protocol

from hark.views.redaction.names import Secrecy, secrecy
from hark.views.redaction.shapes import random_looking

_USERS = frozenset({"-u", "--user", "--proxy-user", "-U", "-a", "--auth", "--basic", "--credential"})
_HEADERS = frozenset({"-H", "--header", "--headers", "--proxy-header", "--add-header"})
_FORMS = frozenset({"-d", "--data", "--data-raw", "--data-ascii", "--data-binary", "--post-data", "--body-data"})
_COOKIES = frozenset({"-b", "--cookie"})
_SCRIPTS = frozenset({"-c", "-ec", "-lc", "-ce", "-xc", "-qec", "--command", "--eval"})
_PASSWORDS = {
    "mysql": ("-p", False), "mysqldump": ("-p", False), "mysqladmin": ("-p", False), "mariadb": ("-p", False),
    "mariadb-dump": ("-p", False), "sshpass": ("-p", True), "docker": ("-p", True), "podman": ("-p", True),
    "redis-cli": ("-a", True), "ldapsearch": ("-w", True), "ldapmodify": ("-w", True), "ldapadd": ("-w", True),
    "mongo": ("-p", True), "mongosh": ("-p", True), "mongodump": ("-p", True), "sqlcmd": ("-P", True),
    "bcp": ("-P", True), "zip": ("-P", True), "unzip": ("-P", True), "7z": ("-p", False), "7za": ("-p", False),
}  # fmt: skip
_LINE = re.compile(r"([A-Za-z][\w-]*+)(:(?!=)[ \t]*+)(.*)", re.S)
_OPTION = re.compile(r"(--?[A-Za-z][\w.-]*+)=(.*)", re.S)
_ASSIGNED = re.compile(r"[A-Za-z_][\w.\[\]%-]*+(?:=|:=|==)", re.S)
_GLUED = re.compile(r"(-[HbdFu])(?=[^-\s])(.+)", re.S)  # of curl alone: -Hname: value, -uuser:password
_SHELL_WORD = re.compile(r"(?:[^\s'\"\\;|&()]++|'[^']*+(?:'|\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|\\.)++", re.S)
_INTERPRETERS = re.compile(r"(?:python|node|nodejs|perl|ruby|php|deno|bun|lua|pwsh|osascript)[\d.]*+$")
_LEVELS = 3  # scripts in scripts: sh -c "ssh host 'curl …'"


class Hider(Protocol):
    """Hides secrets in a word."""

    def secret(self, value: str) -> str:
        """The mark of a secret."""

    def text(self, text: str) -> str:
        """Any text."""

    def known(self, text: str) -> str:
        """Any text, without known secrets."""

    def form(self, text: str) -> str:
        """name=value pairs."""

    def header(self, name: str, value: str) -> str:
        """The value of a header."""

    def basic(self, value: str) -> str:
        """A user with a password."""


def hide(words: Sequence[str], hider: Hider, level: int = 0) -> list[str]:
    """The words of a command line, without secrets."""
    hidden: list[str] = []
    before = ""
    option: tuple[str, bool] = ("", False)
    curl = False
    for word in words:
        program = word.rpartition("/")[2]
        option = _PASSWORDS.get(program, option)
        curl = curl or program == "curl"
        if _INTERPRETERS.match(program):
            level = _LEVELS  # its arguments are no shell script
        glued = _GLUED.fullmatch(word) if curl and word not in _USERS | _HEADERS else None
        if glued is not None:
            hidden.append(glued[1] + _word(glued[2], glued[1], option, hider, level))
        else:
            hidden.append(_word(word, before, option, hider, level))
        before = word
    return hidden


def _word(word: str, before: str, option: tuple[str, bool], hider: Hider, level: int) -> str:
    short, apart = option
    if short and word.startswith(short) and len(word) > len(short) + (2 if apart else 0) and word[:2] != "--":
        return short + hider.secret(word[len(short) :])
    if short and apart and before == short:
        return hider.secret(word)
    if before in _USERS and not word.startswith("--"):
        return hider.basic(word) if ":" in word or "%" in word or random_looking(word) else word
    if before.startswith("-") and "=" not in before and not word.startswith("--") and _is_secret(before):
        return _named(before, word, hider)
    if before in _COOKIES and "=" in word:
        return hider.header("cookie", word)
    line = _LINE.fullmatch(word)
    if line is not None and (before in _HEADERS or secrecy(line[1]) >= Secrecy.TEXT):
        return line[1] + line[2] + hider.header(line[1], line[3])
    return _other(word, before, hider, level)


def _other(word: str, before: str, hider: Hider, level: int) -> str:
    script = before in _SCRIPTS or before.endswith(("sh", "eval"))
    if not script:
        option = _OPTION.fullmatch(word)
        if option is not None:
            name, value = option.groups()
            if _is_secret(name):
                return f"{name}={_named(name, value, hider)}"
            return f"{name}={_word(value, name, ('', False), hider, level)}"
        if word.startswith(("pass:", "env:")):  # openssl's -passin
            return word[:5] + hider.secret(word[5:]) if word.startswith("pass:") else word
        if _ASSIGNED.match(word):
            return _assigned(word, before, hider)
    if level < _LEVELS and any(sign.isspace() for sign in word):
        # Known secrets first: one with a space would be split.
        word = _script(hider.known(word), hider, level + 1)
    return hider.text(word)


def _assigned(word: str, before: str, hider: Hider) -> str:
    """NAME=value: a variable, whose value is the rest, or a form."""
    name, _, value = word.partition("=")
    variable = name.isupper() and before not in _FORMS
    if _is_secret(name) and "&" in value and (variable or not all("=" in part for part in word.split("&"))):
        return f"{name}={hider.secret(value)}"
    return hider.form(word)


def _named(name: str, value: str, hider: Hider) -> str:
    if name.rstrip("s").endswith("cookie") and "=" not in value:
        return value  # the name of a cookie file
    return hider.header(name.lstrip("-"), value)


def _is_secret(name: str) -> bool:
    return secrecy(name) >= Secrecy.TEXT


def _script(text: str, hider: Hider, level: int) -> str:
    """A script: its words, split as by a shell."""
    matches = list(_SHELL_WORD.finditer(text))
    plain = [_unquoted(one[0]) for one in matches]
    pieces: list[str] = []
    done = 0
    for one, before, after in zip(matches, plain, hide(plain, hider, level), strict=True):
        if before != after:
            pieces += (text[done : one.start()], shlex.quote(after))
            done = one.end()
    return "".join((*pieces, text[done:]))


def _unquoted(word: str) -> str:
    def part(match: re.Match[str]) -> str:
        text = match[0]
        if text[0] == "'":
            return text[1:].removesuffix("'")
        if text[0] == '"':
            return re.sub(r"\\(.)", r"\1", text[1:].removesuffix('"'), flags=re.S)
        return text[1:]

    return re.sub(r"'[^']*+(?:'|\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|\\.", part, word, flags=re.S)
