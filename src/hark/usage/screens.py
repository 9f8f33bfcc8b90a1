"""Help texts: `hark --help` on one screen, `hark read --help` with every option of a subcommand.

May hold: layout. May not hold: what an option does, which its row in flags.py says.
"""

from textwrap import wrap
from typing import Final

from hark.flags import ABOUT, COMMANDS, FILTERS, FLAGS, GROUPS, Command, Flag, taken_by

_WIDTH: Final = 80
_LEFT: Final = 25  # columns of the option and its value
_IN_SHORT: Final = (FILTERS, ABOUT)  # groups that the first screen only names, to stay one screen


def overview() -> str:
    """`hark --help`: at most 40 lines of 80 columns."""
    usages = [command.usage.replace(" [OPTIONS]", "") for command in COMMANDS]
    left = max(map(len, usages)) + 2
    lines = ["Capture and decrypt every HTTP request that a command makes, without root.", ""]
    lines += [f"  {usage:{left}}{command.help}" for usage, command in zip(usages, COMMANDS, strict=True)]
    lines.append("Options stand before COMMAND: hark -v npm install.")
    for group in GROUPS:
        flags = [flag for flag in FLAGS if flag.group == group and flag.listed]
        if group in _IN_SHORT:
            lines += [f"{group}:", *_names(flags)]
        else:
            lines += [f"{group}:", *map(_line, flags)]
    lines.append("hark read --help lists the options of read, and so on; hark --man is the manual.")
    return "\n".join(lines) + "\n"


def _names(flags: list[Flag]) -> list[str]:
    """Options by name alone, each whole in its line."""
    both = [f"{flag.short}, {flag.usage}" if flag.short else flag.usage for flag in flags]
    glued = " ".join(words.replace(" ", "\0") for words in both)
    lines = wrap(glued, _WIDTH - 8, break_on_hyphens=False)
    return [f"  {line.replace(' ', '  ')}".replace("\0", " ") for line in lines]


def _line(flag: Flag) -> str:
    short = f"{flag.short}, " if flag.short else ""
    default = f" (default {flag.default})" if flag.default else ""
    return f"  {short + flag.usage:{_LEFT - 2}}{flag.help}{default}"


def screen(command: str) -> str:
    """`hark read --help`."""
    forms = [one for one in COMMANDS if one.name == command or one.name.startswith(command + " ")]
    lines = [line for form in forms for line in (form.usage, f"  {_sentence(form)}")]
    options = [flag for flag in FLAGS if any(flag in taken_by(form.name) for form in forms)]
    for group in GROUPS:
        flags = [flag for flag in options if flag.group == group]
        if flags:
            lines += ["", f"{group}:", *map(_line, flags)]
    lines += ["", *_remarks(command, options)]
    return "\n".join(lines) + "\n"


def _sentence(form: Command) -> str:
    return f"{form.help[0].upper()}{form.help[1:]}."


def _remarks(command: str, options: list[Flag]) -> list[str]:
    remarks = []
    if not options:
        remarks.append("It takes no options.")
    elif command in ("run", "ui"):
        remarks.append("Options stand before COMMAND; what follows it is the command's own.")
    return [*remarks, "hark --man is the manual, with exit statuses and environment variables."]
