"""The man page, as roff: `hark --man`. Made of the table of flags, of COMMANDS and of facts.py.

May hold: layout in the man macros (man(7)). May not hold: what an option does.
"""

from hark import __version__
from hark.flags import COMMANDS, FLAGS, GROUPS, Flag
from hark.usage.facts import EXAMPLES, READ, SET, STATUSES

_TITLES = {command.name: command.title for command in COMMANDS}
_ESCAPES = (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ('"', "\\(dq"), ("^", "\\(ha"), ("~", "\\(ti"))
_ABOUT = (
    "hark runs a program and shows every HTTP request that it and its children make, decrypted, as they happen. The "
    "program runs in a network namespace of its own; TLS secrets are taken from the TLS libraries as they make them. "
    "No certificate is installed, no proxy is set, and what the program does is not changed."
)
_OUTPUT = (
    "hark's own text goes to standard error while a command runs, for standard output is the command's; hark read and "
    "hark watch write to standard output. The name of -o decides on the kind of file: .pcapng (packets with their TLS "
    "secrets), .har (HAR 1.2), .jsonl (one HAR entry per line), .html (one page, redacted). Other names take the kind "
    "after a colon: -o fifo:jsonl, -o /dev/fd/3:har. With hark read and hark watch, -o - is standard output (JSON "
    "lines, or -o -:KIND), and the lines go to standard error. A file that another hark is writing is refused."
)


def page() -> str:
    """The whole page."""
    lines = [f'.TH HARK 1 "" "hark {__version__}" "User Commands"']
    lines += [".SH NAME", "hark \\- capture and decrypt every HTTP request that a command makes"]
    lines.append(".SH SYNOPSIS")
    lines.append("\n.br\n".join(_bold_first(command.usage) for command in COMMANDS))
    lines += [".SH DESCRIPTION", _text(_ABOUT), ".SH COMMANDS"]
    for command in COMMANDS:
        lines += [".TP", f".B {_text(command.title)}", _text(_sentence(command.help))]
    lines += [".SH OPTIONS", _text("Options stand before COMMAND; with read, watch and ui also after FILE or PID.")]
    for group in GROUPS:
        lines.append(f".SS {_text(group)}")
        for flag in FLAGS:
            if flag.group == group and flag.listed:
                lines += _option(flag)
    lines += [".SH OUTPUT", _text(_OUTPUT), ".SH EXIT STATUS", *_table(STATUSES)]
    lines += [".SH ENVIRONMENT", "Read by hark:", *_table(READ), ".PP", "Set for COMMAND:", *_table(SET)]
    lines.append(".SH EXAMPLES")
    for example, purpose in EXAMPLES:
        lines += [".TP", f".B {_text(example)}", _text(_sentence(purpose))]
    lines += [".SH SEE ALSO", ".BR tcpdump (8),", ".BR tshark (1),", ".BR curl (1),", ".BR strace (1)"]
    return "\n".join(lines) + "\n"


def _option(flag: Flag) -> list[str]:
    names = f"\\fB{_text(flag.short)}\\fR, " if flag.short else ""
    name, _, value = flag.usage.partition(" ")
    if flag.attached:
        name, _, value = flag.usage.partition("=")
        name += "="
    joint = "" if flag.attached or not value else " "
    names += f"\\fB{_text(name)}\\fR{joint}" + (f"\\fI{_text(value)}\\fR" if value else "")
    notes = [_sentence(flag.help)]
    if flag.default:
        notes.append(f"The default is {flag.default}.")
    if flag.repeatable and flag.value is not None:
        notes.append("May be given more than once.")
    others = [one.name for one in FLAGS if one.listed and (one.name in flag.excludes or flag.name in one.excludes)]
    if others:
        notes.append(f"Not together with {', '.join(others)}.")
    places = [title for name, title in _TITLES.items() if name in flag.commands]
    if places and len(places) < len(_TITLES) - 1:  # doctor takes none
        notes.append(f"For {', '.join(places)}.")
    return [".TP", names, _text(" ".join(notes))]


def _sentence(text: str) -> str:
    """Text that begins with a capital, where it begins with a plain word, and ends with a full stop."""
    plain = text.split(" ")[0].rstrip(",;").isalpha() and not text.startswith("hark ")
    begun = text[0].upper() + text[1:] if plain else text
    return begun if begun.endswith(".") else f"{begun}."


def _table(rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [line for name, text in rows for line in (".TP", f".B {_text(name)}", _text(_sentence(text)))]


def _text(text: str) -> str:
    """Text that roff takes as it is: no escape, no request, and minus signs that can be copied."""
    safe = text
    for plain, escape in _ESCAPES:
        safe = safe.replace(plain, escape)
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


def _bold_first(usage: str) -> str:
    return f"\\fBhark\\fR{_text(usage.removeprefix('hark'))}"
