"""argv to Options, by the table of flags: what was given, whether it applies, whether it goes together.

What   Options are taken off the front of the words that are left; which subcommand it is decides cli.py. check() then
       refuses what does not apply to that subcommand, or contradicts something else that was given.
Why    By hand: argparse costs 8 ms of every start, and cannot stop at the command without guessing.
"""

from __future__ import annotations

import os

from hark import flags
from hark.errors import UsageError
from hark.flags import COMMANDS, FLAGS, Flag
from hark.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_DIGITS: Final = 18  # of a number: more is no size or descriptor of any machine, and int() refuses thousands of them
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# By every spelling; one that ends in "=" is the form that has its value there.
_NAMED: Final = {one: flag for flag in FLAGS for one in (flag.short, flag.name.partition("=")[0] + "=" * flag.attached)}
_TITLES: Final = {one.name: one.title for one in COMMANDS} | {
    one.name: f"hark {one.name}" for one in FLAGS if not one.field
}


class Arguments:
    """The words of a command line, and what has been taken from them so far.

    action: the name of the flag that makes hark do something else than capture or read (--help, --version …), and
    word: its value."""

    def __init__(self, words: list[str], options: Options) -> None:
        self.left = words
        self.options = options
        self.action = self.word = ""
        self.operands_only = False  # a "--" was met
        self._given: dict[str, tuple[Flag, str, str]] = {}  # by the flag's name: how it was spelled, its last value
        self._last = ("", "")  # the last option that took the next word as its value, and that word

    def take(self) -> None:
        """Take options off the front. Raises UsageError."""
        words = self.left
        while words and not self.operands_only and words[0].startswith("-") and words[0] != "-":
            word = words.pop(0)
            if word == "--":
                self.operands_only = True
            elif word.startswith("--"):
                name, equals, value = word.partition("=")
                self._option(name, value if equals else None)
            else:
                self._cluster(word)

    def operand(self) -> str | None:
        """The next word that is no option, and no value of one. Raises UsageError."""
        self.take()
        return self.left.pop(0) if self.left else None

    def none_left(self, name: str) -> UsageError:
        """What to say where a command is missing. An option that takes a value may have taken it."""
        why = f"{self._last[1]} is the value of {self._last[0]}" if self._last[0] else ""
        return UsageError(f"{name}which command?", why, "hark --help")

    # -- one option --------------------------------------------------------------------------------------------------

    def _cluster(self, word: str) -> None:
        """Short options in one word: -v, -vv, -qo FILE, -oFILE."""
        at = 1
        while at < len(word):
            flag = _NAMED.get("-" + word[at])
            if flag is None:
                raise self._unknown(word)
            at += 1
            if flag.value is not None:
                self._option(flag.short, word[at:].removeprefix("=") if at < len(word) else None)
                return
            self._option(flag.short, None)

    def _option(self, name: str, value: str | None) -> None:
        flag = _NAMED.get(name) if value is None else _NAMED.get(name + "=") or _NAMED.get(name)
        if flag is None:
            if name + "=" in _NAMED:
                raise UsageError(f"{name} needs a value", "", f"{_NAMED[name + '='].usage}")
            raise self._unknown(name)
        if flag.value is None and value is not None:
            raise UsageError(f"{name} takes no value", "", "hark --help")
        if flag.value is not None and value is None:
            if not self.left:
                raise UsageError(f"{name} needs a value", "", "hark --help")
            value = self.left.pop(0)
            if not value.startswith("-"):
                self._last = name, value
        self._store(flag, name, value or "")

    def _unknown(self, word: str) -> UsageError:
        """An option that there is not: the nearest that there is."""
        from difflib import get_close_matches

        names = [name for name, flag in _NAMED.items() if flag.listed and name.startswith("--")]
        near = get_close_matches(word, [name.rstrip("=") for name in names], 1)
        remedy = f"did you mean {near[0]}?" if near else "hark --help; options of the command stand after it"
        return UsageError(f"unknown option {word}", "", remedy)

    def _store(self, flag: Flag, name: str, text: str) -> None:
        before = self._given.get(flag.name)
        if before is not None and flag.value is not None and not flag.repeatable and before[2] != text:
            raise UsageError(f"{name} is given twice", f"{before[2]} and {text}", "hark --help")
        self._given[flag.name] = flag, name + "=" * flag.attached + text * flag.attached, text
        options = self.options
        if not flag.field:
            if self.action not in ("", flag.name):
                raise UsageError(f"{self.action} and {flag.name} do not go together", "", "hark --help")
            self.action, self.word = flag.name, text
            if flag.value is not None and text not in flag.value.words:
                raise UsageError(f"{name} {text}: unknown", "", f"one of {', '.join(flag.value.words)}")
        elif flag.field == "filters":
            if flag.value is not None and not text.strip(", "):
                raise UsageError(f"{name} needs a value", "it is empty", "hark --help")
            found = options.filters.setdefault(flag.name[2:], [])
            if flag.value is not None and (flag.repeatable or not found):
                found.append(text)
        elif flag.value is None:
            setattr(options, flag.field, getattr(options, flag.field) + 1 if flag.repeatable else flag.constant)
        elif flag.value is flags.SIZE:
            setattr(options, flag.field, _size(name, text))
        elif flag.value is flags.DESCRIPTOR and flag.repeatable:
            options.descriptors.append(_descriptor(name, text))
        elif flag.value is flags.DESCRIPTOR:
            options.feed, options.quiet = _descriptor(name, text), True  # the API's: no person gives it
        elif flag.value is flags.START:
            if text not in flag.value.words:
                raise UsageError(f"{name}={text}: unknown", "", "--time, or --time=start")
            setattr(options, flag.field, text)
        else:
            getattr(options, flag.field).append(text)

    # -- all of them -------------------------------------------------------------------------------------------------

    def check(self, command: str, tap: str = "namespace") -> None:
        """Refuse what does not apply to the subcommand or to the way in which it captures, and what does not go
        together. tap: of flags.TAPS. Raises UsageError."""
        for flag, name, _ in self._given.values():
            if command not in flag.commands and flag.field:
                raise _misplaced(flag, name, command)
            if flag.taps and tap not in flag.taps:
                raise _elsewhere(flag, name, command, tap)
            for other in flag.excludes:
                if other in self._given:
                    raise _contradiction(flag, name, *self._given[other][:2])


def _misplaced(flag: Flag, name: str, command: str) -> UsageError:
    """An option that the subcommand does not take: where it belongs."""
    places = [_TITLES[place] for place in flag.commands]
    where = places[0] if len(places) == 1 else f"{', '.join(places[:-1])} and {places[-1]}"
    remedy = f"it is an option of {where}" + (f"; {flag.instead}" if flag.instead else "")
    return UsageError(f"{name} does not apply to {_TITLES[command]}", "", remedy)


def _elsewhere(flag: Flag, name: str, command: str, tap: str) -> UsageError:
    """An option that does not apply to this way of capturing: which one it needs."""
    remedy = f"it needs the {' or the '.join(flag.taps)} tap"
    return UsageError(f"{name} does not apply to {_TITLES[command]} with the {tap} tap", "", remedy)


def _contradiction(flag: Flag, name: str, other: Flag, other_name: str) -> UsageError:
    remedy = "hark --help"
    if {flag.name, other.name} == {"--quiet", "--json"}:
        remedy = "-q -o FILE.jsonl, or -q --json=FD"
    return UsageError(f"{name} and {other_name} do not go together", "", remedy)


# -- values ----------------------------------------------------------------------------------------------------------


def _size(name: str, text: str) -> int:
    """Bytes of "64k", "1M", "0"."""
    bare = text.lower().removesuffix("b").removesuffix("i")
    unit = bare[-1:] if bare[-1:] in _UNITS else ""
    number = bare.removesuffix(unit)
    if not (number.isascii() and number.isdecimal() and len(number) <= _DIGITS):
        raise UsageError(f"{name} {text} is not a size", "", "such as 64k, 1M, 0")
    return int(number) * _UNITS[unit]


def _descriptor(name: str, text: str) -> int:
    """A descriptor that is open for writing, by its number."""
    import fcntl

    try:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else -1
        writable = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{name} {text} is not an open descriptor") from None
    if not writable:
        raise UsageError(f"{name} {text} is open for reading only")
    return number
