"""argv to options: the only file that knows flags.

Why    Parsed by hand: argparse costs 8 ms of every start, and cannot stop at the command without guessing.
"""

import os
import sys
from collections.abc import Sequence

from hark import __version__
from hark.errors import HarkError
from hark.options import Options

USAGE = """\
Run a command and hear every HTTP exchange it makes, live and decrypted.

  hark [OPTIONS] COMMAND [ARGS...]   its output and exit status stay its own
  hark read [OPTIONS] FILE...        tell recordings: pcapng, pcap, HAR, .gz
  hark watch, hark ui [PID]          see a running hark from another terminal
  hark ui COMMAND [ARGS...]          run it beside a full-screen browser
  hark doctor                        what works here, and what fixes the rest

  -v, -vv, -q     headers too; bodies too; nothing
  --devtools      show it in Chrome DevTools, live; read --ui: on a full screen
  --json, --curl  a HAR entry a line; each request as a curl command
  --summary, --waterfall   at the end: what was slow, wrong or twice; when what
  -o FILE         also write FILE.pcapng (opens decrypted in Wireshark), .har,
                  .jsonl or .html (without secrets, to be sent); repeatable
  --redact        hide credentials, cookies, tokens; --no-redact: not in .html
  --host example.com  --path /api  --method POST  --status 4xx,5xx  --type json
  --process curl  --slower 500ms  --larger 1MB  --failed  --grep REGEX
                  only these; "a,b": or, "!a": not; --no-failures: no failed
  --max-body SIZE  how much of a body is kept (default 1M)
  --proto FILE    name the fields of gRPC: a .proto or descriptor set
  --detach        return when COMMAND ends; what it left running is heard on
  --keys FILE, --private-key FILE   read: secrets beside the recording
  --follow        read: go on as the file grows, until ^C
  --version, --help       Options stand before the command: hark -v npm install
"""

_VALUES = {
    "-o": "outputs",
    "--output": "outputs",
    "--keys": "keys",
    "--private-key": "private_keys",
    "--proto": "protos",
    "--max-body": "keep",
    "--feed": "feed",
}
_FILTERS = ("host", "path", "method", "status", "type", "process", "slower", "larger", "grep")
_SWITCHES = ("json", "detach", "follow", "curl", "summary", "waterfall", "devtools", "ui", "redact")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
USAGE_STATUS = 2


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
        return _status(error)
    except BrokenPipeError:
        return 141  # as a program that SIGPIPE ends
    except OSError as error:  # a limit of the machine's: no process, descriptor or memory is left
        _complain(HarkError("cannot go on", f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"))
        return 1
    except KeyboardInterrupt:
        return 130


def _complain(error: HarkError) -> None:
    """One line on stderr, if there is one."""
    if sys.stderr is not None:
        print(f"hark: {error}", file=sys.stderr)


def _status(error: HarkError) -> int:
    if error.what.startswith("cannot run"):
        return 127 if error.why.startswith("no such") else 126
    return 1


class _Usage(HarkError):
    """The command line cannot be understood."""


def _main(words: list[str]) -> int:
    options = Options()
    try:
        return _do(words, options)
    except HarkError as error:
        if options.feed < 0:
            raise
        import json

        told = {"what": "error", "error": [error.what, error.why, error.remedy]}
        os.write(options.feed, json.dumps(told).encode() + b"\n")
        return _status(error)


def _do(words: list[str], options: Options) -> int:
    try:
        rest, chosen = _parse(words, options)
        if chosen == "help" or not words:
            print(USAGE, end="", file=sys.stdout if chosen == "help" else sys.stderr)
            return 0 if chosen == "help" else USAGE_STATUS
        if chosen == "version":
            print(f"hark {__version__}")
            return 0
        if not rest:
            raise _no_command("", words)
        if not chosen and rest[0] == "run":
            behind = rest[1:]
            rest, chosen = _parse(behind, options)
            if not rest:
                raise _no_command("hark run: ", behind)
        elif not chosen and rest[0] == "doctor":
            if len(rest) > 1:
                raise _Usage(f"hark doctor takes no {rest[1]}", "", "hark --help")
            from hark.session import AGENT, HOOK, PRIVATE
            from hark.tap.probe import doctor

            return doctor(print, AGENT, HOOK, PRIVATE)
        elif not chosen and rest[0] == "read":
            return _read(rest[1:], options)
        elif not chosen and rest[0] in ("watch", "ui"):
            return _watch(rest[1:], options, rest[0])
    except _Usage as error:
        _complain(error)
        return USAGE_STATUS
    options.command = rest
    from hark.session import run

    return run(options)


def _no_command(name: str, words: list[str]) -> _Usage:
    """Options and no command behind them. An option that takes a value may have taken the command for it."""
    taken = len(words) > 1 and _takes_value(words[-2]) and not words[-1].startswith("-")
    why = f"{words[-1]} is the value of {words[-2]}" if taken else ""
    return _Usage(f"{name}which command?", why, "hark --help")


def _takes_value(name: str) -> bool:
    return name in _VALUES or (name[:2] == "--" and name[2:] in _FILTERS)


def _read(words: list[str], options: Options) -> int:
    from hark.reading import read

    files: list[str] = []
    while words:
        words, chosen = _parse(words, options)
        if chosen == "help":
            print(USAGE, end="")
            return 0
        if chosen == "--":
            files += words
            break
        if words:
            files.append(words.pop(0))
    if not files:
        raise _Usage("hark read: which file?", "", "hark read FILE, or - for standard input")
    if options.follow and len(files) > 1:
        raise _Usage("hark read --follow: one file at a time", "", "hark read --follow FILE")
    return read(files, options)


def _watch(words: list[str], options: Options, name: str) -> int:
    pid = None
    while words:
        words, chosen = _parse(words, options)
        if chosen == "help":
            print(USAGE, end="")
            return 0
        if words:
            word = words.pop(0)
            if name == "ui" and pid is None and (chosen == "--" or not word.isdecimal()):
                from hark.browsing import run as browse

                options.command = [word, *words]
                return browse(options)
            if not word.isdecimal() or pid is not None:
                remedy = f"hark {name} [PID]; a command of that name: hark run {name} {word} ..."
                raise _Usage(f"hark {name} takes a process id, not {word}", "", remedy)
            pid = int(word)
    options.ui = options.ui or name == "ui"
    from hark.watching import watch

    return watch(pid, options)


def _parse(words: list[str], options: Options) -> tuple[list[str], str]:
    """Take options off the front; (what is left, "help", "version", "--" where that ended them, or "")."""
    words = list(words)
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            return words, "--"
        if word in ("-h", "--help"):
            return words, "help"
        if word in ("-V", "--version"):
            return words, "version"
        name, equals, value = word.partition("=")
        if word[:2] == "-o" and len(word) > 2 and not equals:
            name, equals, value = "-o", "=", word[2:]
        if _takes_value(name):
            if not equals:
                if not words:
                    raise _Usage(f"{name} needs a value", "", "hark --help")
                value = words.pop(0)
            _set(options, name, value)
        elif word == "--verbose" or word.strip("v") == "-":
            options.verbosity += word.count("v") if word != "--verbose" else 1
        elif word in ("-q", "--quiet"):
            options.quiet = True
        elif word[:2] == "--" and word[2:] in _SWITCHES:
            setattr(options, word[2:], True)
        elif word == "--no-redact":
            options.redact = False
        elif word == "--no-failures":
            options.failures = False
        elif word == "--failed":
            options.filters["failed"] = []
        else:
            raise _Usage(f"unknown option {word}", "", "hark --help; options of the command stand behind it")
    return words, ""


def _set(options: Options, name: str, value: str) -> None:
    if name == "--max-body":
        unit = value.lower().rstrip("b")[-1:]
        unit = unit if unit in _UNITS else ""
        number = value.lower().rstrip("b").removesuffix(unit)
        if not (number.isascii() and number.isdecimal()):
            raise _Usage(f"--max-body {value} is no size", "", "such as 64k, 1M, 0")
        options.keep = int(number) * _UNITS[unit]
    elif name == "--feed":
        options.feed, options.quiet = _descriptor(value), True  # the API's: no person gives it
    elif name[2:] in _FILTERS:
        options.filters.setdefault(name[2:], []).append(value)
    else:
        getattr(options, _VALUES[name]).append(value)


def _descriptor(value: str) -> int:
    """An open descriptor by its number."""
    try:
        os.fstat(int(value))
    except (ValueError, OverflowError, OSError):
        raise _Usage(f"--feed {value} is no open descriptor") from None
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
