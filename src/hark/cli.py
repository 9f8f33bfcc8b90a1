"""The `hark` command: which subcommand it is, what it is given, what its exit status is.

May hold: the choice of a subcommand, and how errors become a line and a status. The options are in flags.py.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from hark.arguments import Arguments
from hark.errors import HarkError, NotFound, UsageError
from hark.flags import VERSION
from hark.options import Options

_SUBCOMMANDS = ("run", "read", "watch", "ui", "doctor")
_PID_DIGITS = 10
_BROKEN_PIPE, _INTERRUPTED = 141, 130  # as a shell tells of a program that SIGPIPE or SIGINT ended


def main(argv: Sequence[str] | None = None) -> int:
    """The `hark` command; its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _main(words)
        if argv is None:  # the command itself: what the interpreter would tidy up takes 10 ms and nobody needs it
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:  # it was closed when hark was started
                    stream.flush()
            os._exit(status)
        return status
    except HarkError as error:
        _complain(error)
        return error.status
    except BrokenPipeError:
        return _BROKEN_PIPE
    except OSError as error:  # a limit of the machine's: no process, descriptor or memory is left
        _complain(HarkError("cannot go on", f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"))
        return HarkError.status
    except KeyboardInterrupt:
        return _INTERRUPTED


def _complain(error: HarkError) -> None:
    """One line on stderr, if there is one."""
    if sys.stderr is not None:
        line = "".join(
            char if char.isprintable() else ascii(char)[1:-1] for char in str(error)
        )  # names may hold anything
        print(f"hark: {line}", file=sys.stderr)


def _main(words: list[str]) -> int:
    options = Options()
    try:
        return _do(words, options)
    except HarkError as error:
        if options.feed < 0:
            raise
        import json

        told = {"what": "error", "error": [error.what, error.why, error.remedy, error.status]}
        os.write(options.feed, json.dumps(told).encode() + b"\n")
        return error.status


def _do(words: list[str], options: Options) -> int:
    if not words:
        from hark.usage.screens import overview

        print(overview(), end="", file=sys.stderr)
        return UsageError.status
    arguments = Arguments(words, options)
    arguments.take()
    left = arguments.left
    command = left[0] if left and left[0] in _SUBCOMMANDS and not arguments.operands_only else ""
    if command:
        left.pop(0)
    if arguments.action:
        return _about(arguments, command)
    if command in ("", "run"):
        return _run(arguments, command)
    if command == "doctor":
        return _doctor(arguments)
    return _read(arguments) if command == "read" else _watch(arguments, command)


def _call(command: str, *given: object) -> int:
    """Run a subcommand: the function of its module in commands/ that has its name. Nothing of it is imported before."""
    status: int = getattr(import_module(f"hark.commands.{command}"), command)(*given)
    return status


def _run(arguments: Arguments, command: str) -> int:
    arguments.take()
    if arguments.action:
        return _about(arguments, command)
    if not arguments.left:
        raise arguments.none_left("hark run: " if command else "")
    arguments.check("run")
    arguments.options.command = arguments.left
    from hark.destinations import fill_streams
    from hark.tap.namespace.idmap import begin

    fill_streams(os.O_RDWR)
    mapping = begin()  # done by other processes while this one imports the rest
    try:
        return _call("run", arguments.options, mapping)
    except NotFound as error:
        if not command and not error.remedy:
            error.remedy = _meant(arguments.left[0])
        raise


def _meant(word: str) -> str:
    """What a word that names no program was probably meant to be."""
    from difflib import get_close_matches

    if word in ("help", "version", "man", "completions"):
        return f"hark --{word}"
    near = get_close_matches(word, _SUBCOMMANDS, 1, 0.7)
    return f"did you mean hark {near[0]}?" if near else ""


def _doctor(arguments: Arguments) -> int:
    word = arguments.operand()
    if arguments.action:
        return _about(arguments, "doctor")
    arguments.check("doctor")
    if word is not None:
        raise UsageError(f"hark doctor takes no {word}", "", "hark --help")
    return _call("doctor", print)


def _read(arguments: Arguments) -> int:
    files: list[str] = []
    while (word := arguments.operand()) is not None:
        files.append(word)
    if arguments.action:
        return _about(arguments, "read")
    arguments.check("read")
    if not files:
        raise UsageError("hark read: which file?", "", "hark read FILE, or - for standard input")
    if arguments.options.follow and len(files) > 1:
        raise UsageError("hark read --follow: one file at a time", "", "hark read --follow FILE")
    return _call("read", files, arguments.options)


def _watch(arguments: Arguments, name: str) -> int:
    """`hark watch [PID]`, `hark ui [PID]`, `hark ui COMMAND`."""
    options, pid = arguments.options, None
    while (word := arguments.operand()) is not None and not arguments.action:
        if name == "ui" and pid is None and (arguments.operands_only or not word.isdecimal()):
            from hark.tap.namespace.idmap import begin

            arguments.check("ui COMMAND")
            options.command = [word, *arguments.left]
            return _call("ui", options, lambda options: _call("run", options, begin()))
        if not (word.isascii() and word.isdecimal() and len(word) <= _PID_DIGITS) or pid is not None:
            remedy = f"hark {name} [PID]; a command of that name: hark run {name} {word} ..."
            raise UsageError(f"hark {name} takes a process id, not {word}", "", remedy)
        pid = int(word)
    if arguments.action:
        return _about(arguments, name)
    arguments.check(name)
    options.ui = options.ui or name == "ui"
    return _call("watch", pid, options)


def _about(arguments: Arguments, command: str) -> int:
    """--help, --version, --completions, --man."""
    if arguments.action == "--help":
        from hark.usage.screens import overview, screen

        text = screen(command) if command else overview()
    else:
        if command or arguments.left:
            raise UsageError(f"hark {arguments.action} takes no {command or arguments.left[0]}", "", "hark --help")
        arguments.check(arguments.action)
        if arguments.action == VERSION:
            from hark.usage.report import version

            text = version(arguments.options.verbosity > 0)
        elif arguments.action == "--man":
            from hark.usage.manual import page as text_of

            text = text_of()
        else:
            from hark.usage.completion import script

            text = script(arguments.word)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
