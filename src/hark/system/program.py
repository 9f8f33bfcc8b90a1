"""What a process runs, as /proc shows it from outside, and the answer to "can its session keys be had?".

What   look() gathers the facts: program file, mapped files, environment. Key sources judge by these alone, so that a
       table of facts tests them.
Limits The environment is that of the exec: what a program sets or unsets later is not seen. A library that is loaded
       later is not there yet.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping

from hark.bounded import Bounded
from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PROGRAMS: Final = 1024  # program files that are remembered; past that the one that was used least recently goes
File = tuple[int, int]  # device and inode: the same program file by whatever path


class Program(Record):
    """A process at one moment."""

    pid: int
    exe: str = ""  # path of its program file; "" where it cannot be read
    file: File = (0, 0)
    mapped: frozenset[str] = frozenset()  # paths of the files mapped into it
    environment: Mapping[str, str] | None = None  # None where it cannot be read

    @property
    def name(self) -> str:
        """The program file's name, without folders."""
        return os.path.basename(self.exe.removesuffix(" (deleted)"))

    @property
    def static(self) -> bool:
        """Whether no dynamic loader has started it, so that nothing can be preloaded. Of one whose mapped files can be
        read."""
        return bool(self.mapped) and not any(os.path.basename(path).startswith(("ld-", "ld.")) for path in self.mapped)

    def has(self, *names: str) -> bool:
        """Whether a file whose name begins with one of these is mapped."""
        return any(os.path.basename(path).startswith(names) for path in self.mapped)


def look(pid: int) -> Program | None:
    """The process now; None where there is none any more. Reads of /proc: 0.1 ms, of large programs 1 ms."""
    folder = f"/proc/{pid}"
    if not os.path.exists(folder):
        return None
    exe, file = "", (0, 0)
    try:
        exe = os.readlink(f"{folder}/exe")
        info = os.stat(f"{folder}/exe")
        file = info.st_dev, info.st_ino
    except OSError:
        pass  # another user's, or it ends just now
    return Program(pid, exe, file, _mapped(_read(f"{folder}/maps") or b""), _variables(_read(f"{folder}/environ")))


def _mapped(maps: bytes) -> frozenset[str]:
    """The files in a table of mappings (proc_pid_maps(5)), without [heap] and the like."""
    fields = (line.split(None, 5) for line in maps.splitlines())
    return frozenset(os.fsdecode(words[5]) for words in fields if len(words) == 6 and words[5].startswith(b"/"))


def _variables(environ: bytes | None) -> dict[str, str] | None:
    if environ is None:
        return None
    pairs = (word.partition("=") for word in os.fsdecode(environ).split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


class Can(enum.Enum):
    """Whether something can be had."""

    YES = enum.auto()
    NO = enum.auto()
    UNKNOWN = enum.auto()


class Answer(Record):
    """Whether a process's session keys can be had: from which source, or why not (or why nobody knows)."""

    can: Can
    source: str = ""  # a key source's name, of YES
    reason: str = ""  # a clause, of the others


def no(reason: str) -> Answer:
    """They cannot be had this way."""
    return Answer(Can.NO, "", reason)


def unknown(reason: str) -> Answer:
    """They may or may not come."""
    return Answer(Can.UNKNOWN, "", reason)


class Past:
    """What came of earlier connections of the same program files."""

    def __init__(self) -> None:
        self._last: Bounded[File, str] = Bounded(_PROGRAMS)

    def delivered(self, file: File, source: str) -> None:
        """A key source had the keys of one."""
        self._last.renew(file, source)

    def lacked(self, file: File) -> None:
        """No key source had the keys of one."""
        self._last.renew(file, "")

    def of(self, file: File) -> str | None:
        """The source that had the keys of the last one; "" where none had, None where there was none."""
        return self._last.get(file) if file != (0, 0) else None


def combine(answers: Mapping[str, Answer | None], past: str | None) -> Answer:
    """One answer of those of all sources, by their names in the order in which they are asked for a connection's keys;
    None: that source is not for such programs. past: as of Past.of()."""
    if past == "":
        return no("no key source had the keys of an earlier connection of this program")
    given = [(name, answer) for name, answer in answers.items() if answer is not None]
    for name, answer in given:
        if answer.can is Can.YES:
            return Answer(Can.YES, name)
    if past and any(name == past and answer.can is Can.UNKNOWN for name, answer in given):
        return Answer(Can.YES, past)
    for can in (Can.UNKNOWN, Can.NO):
        if reasons := [answer.reason for _, answer in given if answer.can is can]:
            return Answer(can, "", "; ".join(dict.fromkeys(reasons)))
    return no("no key source is for such programs")
