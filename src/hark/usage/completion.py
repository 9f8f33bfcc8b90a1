"""Shell completion for bash, zsh and fish, made of the table of flags: `hark --completions bash`.

What   Each script completes hark's subcommands, the options of each with their values, and, after the words that are
       hark's, the command that hark runs with its own arguments, as the shell would complete them without hark.
May hold: what fills in the templates of shells/. May not hold: names of options.
"""

import os
from typing import Final

from hark.flags import COMMANDS, FLAGS, KINDS, Flag, taken_by

_PLAIN: Final = ("read", "watch", "doctor")  # subcommands that run nothing
_SUBCOMMANDS: Final = (*_PLAIN, "ui", "run")


def script(shell: str) -> str:
    """The script for one of the shells in flags.SHELL."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shells", f"{shell}.in")) as file:
        template = file.read()
    facts = {
        "NAMES": " ".join(_SUBCOMMANDS),
        "PLAIN": ("|" if shell == "bash" else " ").join(_PLAIN),
        "KINDS": " ".join(KINDS),
        **{"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](),
    }
    for name, text in facts.items():
        template = template.replace(f"@{name}@", text)
    return template


def _help_of(subcommand: str) -> str:
    known = {one.name: one.help for one in COMMANDS}
    return "run a command with the name of a subcommand" if subcommand == "run" else known[subcommand]


def _flags(subcommand: str) -> list[Flag]:
    """The options of a subcommand in any of its forms, with --help; of "any": every option."""
    if subcommand == "any":
        return [flag for flag in FLAGS if flag.listed]
    found = [flag for one in COMMANDS if one.name.split(" ")[0] == subcommand for flag in taken_by(one.name)]
    return [flag for flag in FLAGS if flag in found or flag.name == "--help"]


def _names(flag: Flag) -> list[str]:
    """Its spellings, without the value that one form has behind "="."""
    return [name for name in (flag.short, flag.name.partition("=")[0]) if name]


def _taking() -> list[str]:
    """The options whose value is a word of its own."""
    return [name for flag in FLAGS if flag.value is not None and not flag.attached for name in _names(flag)]


# -- bash --------------------------------------------------------------------------------------------------------------


def _bash() -> dict[str, str]:
    values = []
    for flag in FLAGS:
        if flag.value is not None and flag.listed and "--output" not in _names(flag):
            action = "_hark_files" if flag.value.files else f"words='{' '.join(flag.value.words)}'"
            if flag.value.files or flag.value.words:
                values.append(f"    {' | '.join(_names(flag))}) {action} ;;")
    options = []
    for name in (*_SUBCOMMANDS, "any"):
        spelled = " ".join(one + "=" * flag.attached for flag in _flags(name) for one in _names(flag))
        options.append(f"        {'*' if name == 'any' else name}) names='{spelled}' ;;")
    return {
        "VALUES": "\n".join(values),
        "OPTIONS": "\n".join(options),
        "TAKING": " | ".join(_taking()),
        "SUBCOMMANDS": "|".join(_SUBCOMMANDS),
    }


# -- zsh ---------------------------------------------------------------------------------------------------------------


def _zsh() -> dict[str, str]:
    subcommands = [f"        {_quoted(f'{name}:{_help_of(name)}')}" for name in _SUBCOMMANDS]
    options = []
    for name in ("any", *_SUBCOMMANDS):
        flags = _flags(name)
        attached = {_names(flag)[0]: flag for flag in flags if flag.attached}
        specs = [_spec(flag, attached.get(flag.name)) for flag in flags if not flag.attached]
        options.append(f"    {name}=(\n" + "\n".join(f"        {spec}" for spec in specs) + "\n    )")
    return {"SUBCOMMANDS": "\n".join(subcommands), "OPTIONS": "\n".join(options)}


def _spec(flag: Flag, attached: Flag | None) -> str:
    """One argument of _arguments; attached: the form that may have a value behind "="."""
    names = _names(flag)
    many = "*" if flag.repeatable or attached is not None else f"({' '.join(names)})" if len(names) > 1 else ""
    value = flag.value if attached is None else attached.value
    action, ends = "", [""] * len(names)
    if value is not None:
        does = "_files" if value.files else f"({' '.join(value.words)})" if value.words else " "
        action = f"{'::' if attached is not None else ':'}{value.name}:{does}"
        ends = ["=-" if attached is not None else "=" if name.startswith("--") else "+" for name in names]
    text = flag.help.replace("[", "\\[").replace("]", "\\]")
    return " ".join(_quoted(f"{many}{name}{end}[{text}]{action}") for name, end in zip(names, ends, strict=True))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# -- fish --------------------------------------------------------------------------------------------------------------


def _fish() -> dict[str, str]:
    subcommands = [
        f"complete -c hark -n '__hark_in any' -a {name} -d {_fish_quoted(_help_of(name))}" for name in _SUBCOMMANDS
    ]
    options = []
    for flag in FLAGS:
        if not flag.listed:
            continue
        places = " ".join(name for name in ("any", *_SUBCOMMANDS) if flag in _flags(name))
        head = f"complete -c hark -n '__hark_in {places}' -d {_fish_quoted(flag.help)}"
        if flag.attached:  # offered as words that end where the value begins, and as whole ones
            ends = flag.value.words if flag.value is not None and flag.value.words else ("",)
            options.append(f"{head} -a '{' '.join(f'{_names(flag)[0]}={end}' for end in ends)}'")
            continue
        short = f" -s {flag.short[1:]}" if flag.short else ""
        value = ""
        if flag.value is not None:
            value = " -r -F" if flag.value.files else f" -x -a '{' '.join(flag.value.words)}'"
        options.append(f"{head}{short} -l {flag.name[2:]}{value}")
    return {
        "SUBCOMMANDS": "\n".join(subcommands),
        "OPTIONS": "\n".join(options),
        "TAKING": " ".join(_taking()),
    }


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
