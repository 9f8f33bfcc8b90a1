"""Every option of hark, one row each: parsing, refusals, help, shell completion and the man page come from this table.

What   FLAGS holds the options, COMMANDS the subcommands, VALUES what a value may be. A new option is one row here and
       one field in options.py.
Why    Plain classes: all of it costs 0.2 ms of every start, and named tuples would cost 0.4 ms more. The texts that
       are made of it (usage/) are imported by the options that print them, never by `hark COMMAND`.
May hold: values. May not hold: behaviour.
"""

from __future__ import annotations

from hark.viewtable import EXPORTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Value:
    """What an option's value is: its placeholder in help texts, and what completes it."""

    __slots__ = ("files", "name", "words")

    def __init__(self, name: str, words: tuple[str, ...] = (), files: bool = False) -> None:
        self.name = name
        self.words = words
        self.files = files


class Flag:
    """One option, or one form of it: --json and --json=FD are two."""

    __slots__ = (
        "attached", "commands", "constant", "default", "excludes", "field", "group", "help", "instead", "listed",
        "name", "repeatable", "short", "taps", "value",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        field: str,
        help: str,
        commands: tuple[str, ...],
        group: str,
        short: str = "",
        value: Value | None = None,
        attached: bool = False,
        constant: object = True,
        default: str = "",
        repeatable: bool = False,
        excludes: tuple[str, ...] = (),
        taps: tuple[str, ...] = (),
        listed: bool = True,
        instead: str = "",
    ) -> None:
        self.name = name
        self.field = field  # of Options; "filters": a dictionary by name, without dashes; "": an action
        self.help = help  # one line
        self.commands = commands  # names in COMMANDS that take it
        self.group = group
        self.short = short
        self.value = value  # None: a switch
        self.attached = attached  # its value is never a word of its own: --json=FD
        self.constant = constant  # what a switch stores
        self.default = default  # of the value, for a reader
        self.repeatable = repeatable  # values add up; a switch counts
        self.excludes = excludes  # what it cannot be combined with, written at one of the two
        self.taps = taps  # the ways of capturing of which it needs one; (): it needs none
        self.listed = listed  # whether help texts and completion name it
        self.instead = instead  # what a refusal adds: another way to what was meant

    @property
    def usage(self) -> str:
        """As help texts write it: "--keys FILE", "--json=FD"."""
        if self.value is None or "=" in self.name:
            return self.name
        return f"{self.name} {self.value.name}"


class Command:
    """One subcommand, or one form of it. `hark COMMAND` is "run"."""

    __slots__ = ("help", "name", "title", "usage")

    def __init__(self, name: str, usage: str, help: str, title: str) -> None:
        self.name = name
        self.usage = usage
        self.help = help
        self.title = title  # how messages call it


COMMANDS: Final = (
    Command("run", "hark [OPTIONS] COMMAND [ARGS...]", "run COMMAND; output and exit status stay its own",
            "hark COMMAND"),
    Command("read", "hark read [OPTIONS] FILE...", "decode captures: pcapng, pcap, HAR, JSON lines", "hark read"),
    Command("watch", "hark watch [OPTIONS] [PID]", "show what a running hark captures", "hark watch"),
    Command("ui", "hark ui [OPTIONS] [PID]", "show it in a full-screen browser", "hark ui"),
    Command("ui COMMAND", "hark ui [OPTIONS] COMMAND [ARGS...]", "run COMMAND beside a full-screen browser",
            "hark ui COMMAND"),
    Command("doctor", "hark doctor", "say what works here and how to fix the rest", "hark doctor"),
)  # fmt: skip

_LINES: Final = ("run", "read", "watch")
_SHOWN: Final = (*_LINES, "ui", "ui COMMAND")
_KEEPING: Final = ("run", "read", "ui COMMAND")  # what decodes packets; watch and ui get what another hark has decoded
# Ways of capturing. An option needs one of those in its `taps`; () is any of them, as for all that acts on exchanges.
TAPS: Final = ("namespace",)
_JSONL: Final = "-o FILE.jsonl writes the same to a file"
_FEEDER: Final = "the hark that runs the command takes it"
VERSION: Final = "--version"  # takes an option too

PACKETS: Final = "pcapng"
KINDS: Final = (PACKETS, *EXPORTS)  # of -o: the file's extension, or FILE:KIND
FILE: Final = Value("FILE", files=True)
OUTPUT: Final = Value("FILE", files=True)
SIZE: Final = Value("SIZE", ("64k", "1M", "16M"))
DESCRIPTOR: Final = Value("FD")
START: Final = Value("start", ("start",))
SHELL: Final = Value("SHELL", ("bash", "zsh", "fish"))
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_STATUSES: Final = ("2xx", "3xx", "4xx", "5xx", "4xx,5xx")
_TYPES: Final = ("json", "html", "image", "javascript", "css", "websocket", "grpc")

DISPLAY: Final = "Display"
FILES: Final = "Files and privacy"
FILTERS: Final = 'Filters ("a,b": either; "!a": not; all must match)'
CAPTURE: Final = "Running a command"
READING: Final = "Reading captures"
ABOUT: Final = "About hark"
GROUPS: Final = (DISPLAY, FILES, FILTERS, CAPTURE, READING, ABOUT)


def _filter(name: str, value: Value, help: str, repeatable: bool = True) -> Flag:
    return Flag(name, "filters", help, _SHOWN, FILTERS, value=value, repeatable=repeatable)


FLAGS: Final = (
    Flag("--verbose", "verbosity", "also show headers; -vv: bodies too", (*_LINES, VERSION), DISPLAY, "-v",
         repeatable=True),
    Flag("--quiet", "quiet", "no lines; files and reports are written all the same", _LINES, DISPLAY, "-q",
         excludes=("--verbose", "--json", "--curl", "--time", "--time=start")),
    Flag("--json", "json", "print one HAR entry per line, with headers and bodies", _LINES, DISPLAY,
         excludes=("--curl",), instead=_JSONL),
    Flag("--json=FD", "descriptors", "write them to this file descriptor, beside the lines", _LINES, DISPLAY,
         value=DESCRIPTOR, attached=True, repeatable=True, instead=_JSONL),
    Flag("--curl", "curl", "print each request as a curl command", _LINES, DISPLAY),
    Flag("--time", "time", "begin each line with the time of day of its request", _LINES, DISPLAY, constant="day",
         excludes=("--json", "--curl", "--time=start")),
    Flag("--time=start", "time", "the same in seconds since the start", _LINES, DISPLAY, value=START, attached=True,
         excludes=("--json", "--curl")),
    Flag("--summary", "summary", "at the end: hosts, slowest, errors, repeated requests", _LINES, DISPLAY),
    Flag("--waterfall", "waterfall", "at the end: a chart of when each request ran", _LINES, DISPLAY),
    Flag("--devtools", "devtools", "show the requests live in Chrome DevTools", _LINES, DISPLAY,
         excludes=("--detach",)),
    Flag("--ui", "ui", "show the requests in a full-screen browser", ("read", "watch"), DISPLAY,
         instead="hark ui COMMAND runs a command beside it",
         excludes=("--verbose", "--quiet", "--json", "--curl", "--time", "--time=start", "--summary", "--waterfall",
         "--devtools")),
    Flag("--output", "outputs", "write FILE too: .pcapng .har .jsonl .html, or FILE:KIND", _SHOWN, FILES, "-o",
         value=OUTPUT, repeatable=True),
    Flag("--redact", "redact", "hide credentials, cookies, tokens (not in .pcapng)", _SHOWN, FILES,
         excludes=("--no-redact",)),
    Flag("--no-redact", "redact", "keep them in .html, which hides them by default", _SHOWN, FILES, constant=False),
    Flag("--max-body", "keep", "keep at most SIZE of each body", _KEEPING, FILES, value=SIZE, default="1M",
         instead=_FEEDER),
    Flag("--proto", "protos", "field names for gRPC: a .proto or descriptor set", _KEEPING, FILES, value=FILE,
         repeatable=True, instead=_FEEDER),
    _filter("--host", Value("HOST"), "host and its subdomains, host:port, address, pattern"),
    _filter("--path", Value("PATH"), "start or part of the path, or a pattern (*.png)"),
    _filter("--method", Value("METHOD", _METHODS), "GET, POST ..."),
    _filter("--status", Value("STATUS", _STATUSES), "404, 4xx, 500-599, '>=400'"),
    _filter("--type", Value("TYPE", _TYPES), "part of the content type, websocket, grpc"),
    _filter("--process", Value("PROCESS"), "name, path or process id"),
    _filter("--slower", Value("DURATION", ("100ms", "500ms", "1s", "5s")), "took at least this: 500ms, 2s", False),
    _filter("--larger", Value("SIZE", ("10kB", "100kB", "1MB")), "a body of at least this: 64kB, 1MB", False),
    _filter("--grep", Value("REGEX"), "in the URL, a header, a body or a message"),
    Flag("--failed", "filters", "error status, no response, cut off, connection failed", _SHOWN, FILTERS, constant=()),
    Flag("--no-failures", "failures", "leave out what is no request: failed connections ...", _SHOWN, FILTERS,
         constant=False),
    Flag("--detach", "detach", "return when COMMAND ends; capture what it left running", ("run",), CAPTURE,
         taps=("namespace",)),
    Flag("--feed", "feed", "of the Python API", ("run",), CAPTURE, value=DESCRIPTOR, listed=False),
    Flag("--keys", "keys", "a TLS key log (SSLKEYLOGFILE) for these captures", ("read",), READING, value=FILE,
         repeatable=True, instead="hark COMMAND has the keys from the command, and from the file in SSLKEYLOGFILE"),
    Flag("--private-key", "private_keys", "the server's RSA key in PEM (RSA key exchange only)", ("read",), READING,
         value=FILE, repeatable=True, instead="hark -o x.pcapng COMMAND, then hark read --private-key FILE x.pcapng"),
    Flag("--follow", "follow", "go on as the file grows, until ^C", ("read",), READING,
         instead="hark COMMAND and hark watch show requests as they come"),
    Flag("--help", "", "this text; hark read --help: all options of hark read, and so on", (), ABOUT, "-h"),
    Flag("--version", "", "the version; with -v, what a bug report needs", (), ABOUT, "-V"),
    Flag("--completions", "", "print shell completion: bash, zsh or fish", (), ABOUT, value=SHELL),
    Flag("--man", "", "print the man page, in roff (man -l - shows it)", (), ABOUT),
)  # fmt: skip


def taken_by(command: str) -> list[Flag]:
    """The options of a subcommand that a person may give."""
    return [flag for flag in FLAGS if flag.listed and command in flag.commands]
