"""The table of flags, and what follows from it: parsing, refusals, help, the man page."""

import itertools
import os
import pathlib
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hark.arguments import Arguments
from hark.cli import main
from hark.errors import HarkError, NotExecutable, NotFound, UsageError
from hark.flags import COMMANDS, FLAGS, GROUPS, SHELL, TAPS, VERSION, Command, Flag
from hark.options import Options
from hark.usage import manual, screens
from hark.usage.facts import READ, SET, STATUSES

ROOT = pathlib.Path(__file__).parent.parent.parent
LISTED = [flag for flag in FLAGS if flag.listed]
ACTING = [flag for flag in LISTED if flag.field]
BY_NAME = {flag.name: flag for flag in FLAGS}
VALUES = {"SIZE": "64k", "FD": "2", "start": "start", "STATUS": "404", "DURATION": "1s", "SHELL": "bash"}


def words_of(flag: Flag) -> list[str]:
    """The flag as a person gives it."""
    if flag.value is None:
        return [flag.name]
    value = VALUES.get(flag.value.name, "x")
    return [f"{flag.name.partition('=')[0]}={value}"] if flag.attached else [flag.name, value]


def parsed(*words: str) -> Arguments:
    arguments = Arguments(list(words), Options())
    arguments.take()
    return arguments


def refusal(command: str, *words: str) -> str:
    """What is said of these options for a subcommand; "" where nothing is."""
    try:
        parsed(*words).check(command)
    except UsageError as error:
        assert error.status == 2
        return str(error)
    return ""


# -- the table -------------------------------------------------------------------------------------------------------


def test_the_table_is_sound() -> None:
    """Names are unique, fields exist, and exclusions, commands and groups are ones that there are."""
    names = [flag.name for flag in FLAGS] + [flag.short for flag in FLAGS if flag.short]
    assert len(names) == len(set(names))
    known = {command.name for command in COMMANDS} | {VERSION}
    for flag in FLAGS:
        assert not flag.field or hasattr(Options(), flag.field), flag.name
        assert set(flag.commands) <= known and flag.group in GROUPS, flag.name
        assert set(flag.excludes) <= set(BY_NAME) and set(flag.taps) <= set(TAPS), flag.name
        assert flag.help and "\n" not in flag.help and (flag.help[-1] != "." or flag.help.endswith(" ...")), flag.name
        assert not flag.attached or flag.value is not None, flag.name
        if not flag.field:
            assert not flag.commands, flag.name
    used = {flag.field for flag in FLAGS}
    assert set(vars(Options())) - used == {"command", "started"}, "an option that no flag sets"


def test_words_of_help_are_plain() -> None:
    """Standard terms of the field; hark's older private ones are gone from what a new user reads first."""
    odd = ("hear", "heard", "tell", "told", "teller", "tapper", "closed", "stays closed", "exchange")
    texts = [
        screens.overview(),
        manual.page(),
        *(screens.screen(name) for name in ("run", "read", "watch", "ui", "doctor")),
    ]
    for text in texts:
        assert not [
            word for word in odd if word in text.replace("has closed it", "").replace("key exchange", "").split()
        ], text


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ACTING, ids=lambda flag: flag.name)
def test_every_option_for_every_command(flag: Flag) -> None:
    """It is taken, or one line says where it belongs."""
    for command in COMMANDS:
        said = refusal(command.name, *words_of(flag))
        if command.name in flag.commands:
            assert said == "", (command.name, said)
        else:
            name = words_of(flag)[0]
            assert said.startswith(f"{name} does not apply to {command.title} (it is an option of hark "), said
            for place in COMMANDS:
                assert (place.title in said.partition("(")[2]) >= (place.name in flag.commands), said


LIMITED = [flag for flag in ACTING if len(set(flag.commands) - {VERSION}) < len(COMMANDS) - 1]  # doctor takes none
INSTEAD = {
    "--ui": "hark ui COMMAND runs a command beside it",
    "--json": "-o FILE.jsonl writes the same to a file",
    "--json=FD": "-o FILE.jsonl writes the same to a file",
    "--max-body": "the hark that runs the command takes it",
    "--proto": "the hark that runs the command takes it",
    "--keys": "hark COMMAND has the keys from the command, and from the file in SSLKEYLOGFILE",
    "--private-key": "hark -o x.pcapng COMMAND, then hark read --private-key FILE x.pcapng",
    "--follow": "hark COMMAND and hark watch show requests as they come",
}
NO_OTHER_WAY = {  # the browser shows what these print, and more; and --detach is about the command alone
    *("--verbose", "--quiet", "--curl", "--time", "--time=start", "--summary", "--waterfall", "--devtools", "--detach"),
}


@pytest.mark.parametrize("flag", LIMITED, ids=lambda flag: flag.name)
def test_the_refusal_of_every_option_that_some_commands_do_not_take(flag: Flag) -> None:
    """It says where the option belongs, and what else leads to what was meant, if anything does."""
    assert (flag.name in INSTEAD) != (flag.name in NO_OTHER_WAY)
    places = [command.title for command in COMMANDS if command.name in flag.commands]
    places += ["hark --version"] if VERSION in flag.commands else []
    where = " and ".join(filter(None, (", ".join(places[:-1]), places[-1])))
    said = f"it is an option of {where}" + (f"; {INSTEAD[flag.name]}" if flag.name in INSTEAD else "")
    name = words_of(flag)[0]
    for command in COMMANDS:
        if command.name not in flag.commands:
            expected = f"{name} does not apply to {command.title} ({said})"
            assert refusal(command.name, *words_of(flag)) == expected


@pytest.mark.parametrize("flag", ACTING, ids=lambda flag: flag.name)
def test_every_option_for_every_tap(flag: Flag) -> None:
    """It is taken where it needs no tap or this one; otherwise one line says which one it needs. "attach" is a tap that
    there is not yet."""
    for command in flag.commands:
        for tap in (*TAPS, "attach"):
            try:
                parsed(*words_of(flag)).check(command, tap)
            except UsageError as error:
                assert flag.taps and tap not in flag.taps
                assert str(error) == (
                    f"{flag.name} does not apply to hark COMMAND with the attach tap (it needs the namespace tap)"
                )
            else:
                assert not flag.taps or tap in flag.taps


@pytest.mark.parametrize("first, second", list(itertools.combinations(ACTING, 2)), ids=lambda flag: flag.name)
def test_every_pair_of_options(first: Flag, second: Flag) -> None:
    """Two that do not go together are refused in either order, and no others are."""
    together = set(first.commands) & set(second.commands) - {VERSION}
    exclusive = second.name in first.excludes or first.name in second.excludes
    for command in together:
        for one, other in ((first, second), (second, first)):
            said = refusal(command, *words_of(one), *words_of(other))
            assert bool(said) == exclusive, said
            assert not said or " do not go together (" in said


@pytest.mark.parametrize(
    "words, said",
    [
        (["--jsno"], "unknown option --jsno (did you mean --json?)"),
        (["--redcat"], "unknown option --redcat (did you mean --redact?)"),
        (["--output-file", "x"], "unknown option --output-file (did you mean --output?)"),
        (["--statsu=404"], "unknown option --statsu (did you mean --status?)"),
        (["--zzz"], "unknown option --zzz (hark --help; options of the command stand after it)"),
        (["-x"], "unknown option -x (hark --help; options of the command stand after it)"),
        (["-vx"], "unknown option -vx (hark --help; options of the command stand after it)"),
        (["--detach=yes"], "--detach takes no value (hark --help)"),
        (["--time=noon"], "--time=noon: unknown (--time, or --time=start)"),
        (["--max-body", "1M", "--max-body", "2M"], "--max-body is given twice: 1M and 2M (hark --help)"),
        (["--slower", "1s", "--slower=2s"], "--slower is given twice: 1s and 2s (hark --help)"),
        (["--host", ""], "--host needs a value: it is empty (hark --help)"),
        (["--status", " , "], "--status needs a value: it is empty (hark --help)"),
        (["--grep="], "--grep needs a value: it is empty (hark --help)"),
        (["--keys"], "--keys needs a value (hark --help)"),
        (["-vo"], "-o needs a value (hark --help)"),
        (["--max-body", "12 parsecs"], "--max-body 12 parsecs is not a size (such as 64k, 1M, 0)"),
        (["--max-body", "9" * 5000], f"--max-body {'9' * 5000} is not a size (such as 64k, 1M, 0)"),
        (["--json=" + "9" * 5000], f"--json {'9' * 5000} is not an open descriptor"),
        (["--man", "--version"], "--man and --version do not go together (hark --help)"),
        (["--json=x"], "--json x is not an open descriptor"),
        (["--json="], "--json  is not an open descriptor"),
        (["--json=99999999999999999999"], "--json 99999999999999999999 is not an open descriptor"),
        (["--completions", "tcsh"], "--completions tcsh: unknown (one of bash, zsh, fish)"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_one_line_for_what_cannot_be_understood(words: list[str], said: str) -> None:
    assert refusal("run", *words) == said


@pytest.mark.parametrize("name", [flag.name for flag in LISTED if "=" not in flag.name])
def test_a_misspelt_option_names_the_nearest(name: str) -> None:
    """Whichever of its letters is missing, doubled or changed."""
    for at in range(3, len(name)):
        for wrong in (name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], f"{name[:at]}q{name[at + 1 :]}"):
            if wrong in BY_NAME or len(wrong) < 6:
                continue
            said = refusal("run", wrong)
            assert said.startswith(f"unknown option {wrong} (did you mean --"), said
            assert name in said or len(name) < 8, said


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(
    st.sampled_from([word for flag in FLAGS for word in (flag.name.partition("=")[0], flag.short) if word and flag.name != "--feed"]),
    st.sampled_from(["--", "-", "read", "curl", "=", "-=", "--=", "-o=", "--json=", "--help=x", "-vvq", "-qo", "²"]),
    st.text(max_size=5).map(lambda text: "--" + text),
    st.text(max_size=5),
)))  # fmt: skip
def test_any_words_are_understood_or_refused(words: list[str]) -> None:
    """Nothing but a UsageError, and every operand comes out in its order."""
    arguments = Arguments(list(words), Options())
    operands = []
    try:
        while (word := arguments.operand()) is not None:
            operands.append(word)
        for command in COMMANDS:
            arguments.check(command.name)
    except UsageError as error:
        assert "\n" not in str(error) or any("\n" in word for word in words)
    rest = iter(words)
    assert all(word in rest for word in operands)


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["--status", "teapot", "touch", "ran"], 2, "hark: --status teapot is not a status (such as 404, 4xx, 500-599, '>=400', 4xx,5xx)"),
        (["--grep", "(", "touch", "ran"], 2, "hark: --grep ( is not a regular expression: missing ), unterminated subpattern at position 0"),
        (["-o", "x.txt", "touch", "ran"], 2, "hark: cannot write x.txt: 'txt' is not a file type that hark writes (.pcapng, .jsonl, .har, .html, or x.txt:har and so on)"),
        (["-o", "-", "touch", "ran"], 2, "hark: cannot write -: standard output is the command's (-o FILE, or --json=FD)"),
        (["-o", "/dev/stdout:har", "touch", "ran"], 2, "hark: cannot write /dev/stdout:har: standard output is the command's (-o FILE, or --json=FD)"),
        (["--json=1", "touch", "ran"], 2, "hark: cannot write descriptor 1: standard output is the command's (-o FILE, or --json=FD)"),
        (["-q", "--json", "touch", "ran"], 2, "hark: -q and --json do not go together (-q -o FILE.jsonl, or -q --json=FD)"),
        (["--json", "--curl", "touch", "ran"], 2, "hark: --json and --curl do not go together (hark --help)"),
        (["--detach", "--devtools", "touch", "ran"], 2, "hark: --devtools and --detach do not go together (hark --help)"),
        (["--keys", "k", "--follow", "touch", "ran"], 2, "hark: --keys does not apply to hark COMMAND (it is an option of hark read; hark COMMAND has the keys from the command, and from the file in SSLKEYLOGFILE)"),
        (["--follow", "--private-key=k", "touch", "ran"], 2, "hark: --follow does not apply to hark COMMAND (it is an option of hark read; hark COMMAND and hark watch show requests as they come)"),
        (["--ui", "touch", "ran"], 2, "hark: --ui does not apply to hark COMMAND (it is an option of hark read and hark watch; hark ui COMMAND runs a command beside it)"),
        (["read", "--detach", "x"], 2, "hark: --detach does not apply to hark read (it is an option of hark COMMAND)"),
        (["--detach", "read", "x"], 2, "hark: --detach does not apply to hark read (it is an option of hark COMMAND)"),
        (["read", "--jsn", "x"], 2, "hark: unknown option --jsn (did you mean --json?)"),
        (["read", "--ui", "--summary", "x"], 2, "hark: --ui and --summary do not go together (hark --help)"),
        (["read", "-o", "-", "--json", "x"], 2, "hark: cannot write -: standard output is taken by --json (-o FILE)"),
        (["read", "-o", "-", "-o", "/dev/fd/1:har", "x"], 2, "hark: cannot write -: standard output is taken by /dev/fd/1:har (-o FILE)"),
        (["read"], 2, "hark: hark read: which file? (hark read FILE, or - for standard input)"),
        (["watch", "--max-body", "1k"], 2, "hark: --max-body does not apply to hark watch (it is an option of hark COMMAND, hark read and hark ui COMMAND; the hark that runs the command takes it)"),
        (["watch", "-o", "x.pcapng"], 2, "hark: cannot write x.pcapng: a running hark hands over exchanges, not packets (hark COMMAND and hark read of packets write .pcapng)"),
        (["watch", "--status", "teapot"], 2, "hark: --status teapot is not a status (such as 404, 4xx, 500-599, '>=400', 4xx,5xx)"),
        (["ui", "--json"], 2, "hark: --json does not apply to hark ui (it is an option of hark COMMAND, hark read and hark watch; -o FILE.jsonl writes the same to a file)"),
        (["ui", "-v", "touch", "ran"], 2, "hark: -v does not apply to hark ui COMMAND (it is an option of hark COMMAND, hark read, hark watch and hark --version)"),
        (["ui", "-o", "-", "touch", "ran"], 2, "hark: cannot write -: standard output is the browser's (-o FILE, or --json=FD)"),
        (["doctor", "-q"], 2, "hark: -q does not apply to hark doctor (it is an option of hark COMMAND, hark read and hark watch)"),
        (["doctor", "x"], 2, "hark: hark doctor takes no x (hark --help)"),
        (["--version", "x"], 2, "hark: hark --version takes no x (hark --help)"),
        (["--man", "--json"], 2, "hark: --json does not apply to hark --man (it is an option of hark COMMAND, hark read and hark watch; -o FILE.jsonl writes the same to a file)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_usage_errors_of_the_command(words: list[str], status: int, line: str, capsys, monkeypatch, tmp_path) -> None:
    """One line, and nothing has run or been written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(b"\x0a\x0d\x0d\x0a")
    assert main(words) == status
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", line + "\n")
    assert os.listdir(tmp_path) == ["x"]


def test_an_error_is_one_line_and_nothing_that_a_terminal_acts_on(capsys) -> None:
    """Whatever stands in the words that it repeats."""
    for word, shown in (
        ("--a\nb", "--a\\nb"),
        ("--\x1b[31m", "--\\x1b[31m"),
        ("--\udcff", "--\\udcff"),
        ("--é", "--é"),
    ):
        assert main([word]) == 2
        assert capsys.readouterr().err.startswith(f"hark: unknown option {shown} (")


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.name != "run"], ids=lambda one: one.name)
def test_every_option_where_it_does_not_belong(command: Command, capsys) -> None:
    """The command itself refuses each, before it does anything; nothing is swallowed."""
    operand = {"ui COMMAND": ["true"], "doctor": []}.get(command.name, ["1"])
    for flag in ACTING:
        if command.name not in flag.commands:
            name, option = command.name.split()[0], words_of(flag)
            for words in ([name, *option, *operand], [*option, name, *operand]):
                assert main(words) == 2
                line = capsys.readouterr().err
                assert line.startswith(f"hark: {option[0]} does not apply to {command.title} (it is an option"), line


# -- what is understood ----------------------------------------------------------------------------------------------


def test_values_and_their_forms() -> None:
    options = parsed(
        "-vv", "-o", "a.har", "-ob.har", "-o=c.har", "--output=d.har", "-vqo", "e.har", "rest", "-q"
    ).options
    assert options.outputs == ["a.har", "b.har", "c.har", "d.har", "e.har"]
    assert (options.verbosity, options.quiet) == (3, True)
    options = parsed("--status", "4xx", "--status=5xx", "--failed", "--slower=1s", "--slower", "1s").options
    assert options.filters == {"status": ["4xx", "5xx"], "failed": [], "slower": ["1s"]}
    assert parsed("--time").options.time == "day" and parsed("--time=start").options.time == "start"
    assert parsed("--json").options.json and not parsed("--json=2").options.json
    assert parsed("--json=2", "--json=1").options.descriptors == [2, 1]
    assert parsed("--no-redact").options.redact is False and parsed().options.redact is None


@pytest.mark.parametrize(
    "text, size", [("0", 0), ("64k", 65536), ("64KB", 65536), ("1MiB", 1 << 20), ("2g", 2 << 30), ("7b", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parsed("--max-body", text).options.keep == size


def test_a_value_is_never_taken_from_the_next_word_where_it_is_optional() -> None:
    """--json 3 runs a command that is called 3."""
    for words in (["--json", "3"], ["--time", "start"]):
        assert parsed(*words).left == words[1:]


def test_a_descriptor_must_be_open_for_writing() -> None:
    reader, writer = os.pipe()
    try:
        assert parsed(f"--json={writer}").options.descriptors == [writer]
        assert refusal("run", f"--json={reader}") == f"--json {reader} is open for reading only"
    finally:
        os.close(reader)
        os.close(writer)


def test_statuses_come_from_the_type() -> None:
    """The English of an error decides nothing."""
    assert [kind.status for kind in (HarkError, UsageError, NotExecutable, NotFound)] == [1, 2, 126, 127]
    assert HarkError("cannot run x", "no such command in PATH").status == 1
    assert NotFound("it went away").status == 127
    assert HarkError("x", "", "", NotFound.status).status == 127  # as it comes from another process


# -- texts -----------------------------------------------------------------------------------------------------------


def test_help_is_one_screen_and_names_every_option() -> None:
    text = screens.overview()
    assert text.count("\n") <= 40 and max(map(len, text.splitlines())) <= 80
    for flag in LISTED:
        assert flag.usage in text and flag.short in text, flag.name
    for command in COMMANDS:
        assert command.title.removesuffix(" COMMAND") in text


@pytest.mark.parametrize("name", ["run", "read", "watch", "ui", "doctor"])
def test_help_of_a_subcommand(name: str) -> None:
    """Its own options with their lines, and no others."""
    lines = screens.screen(name).splitlines()
    assert max(map(len, lines)) <= 80
    forms = {command.name for command in COMMANDS if command.name.split()[0] == name}
    shown = {
        flag.name
        for flag in LISTED
        if any(line.split("  ")[1:2] and flag.usage in line.split("  ")[1] for line in lines)
    }
    assert shown >= {flag.name for flag in LISTED if forms & set(flag.commands)}
    for flag in LISTED:
        assert any(flag.help in line for line in lines) == bool(forms & set(flag.commands)), flag.name


def test_the_man_page() -> None:
    """It names everything, and the tools that read such pages have nothing to say."""
    page = manual.page()
    for tool in (["mandoc", "-T", "lint", "-W", "error"], ["groff", "-man", "-ww", "-z"]):
        run = subprocess.run(tool, input=page, capture_output=True, text=True)
        assert (run.returncode, run.stdout + run.stderr) == (0, ""), tool
    text = subprocess.run(["mandoc", "-T", "utf8"], input=page, capture_output=True, text=True, check=True).stdout
    bare = "".join(char for at, char in enumerate(text) if char != "\b" and text[at + 1 : at + 2] != "\b")
    words = " ".join(bare.split())
    for flag in LISTED:
        assert flag.usage in words and flag.help[1:] in words, flag.name
    for section in ("SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"):
        assert section in words


def test_every_shell_has_a_script() -> None:
    from hark.usage.completion import script

    for shell in SHELL.words:
        text = script(shell)
        assert "@" not in "".join(
            line
            for line in text.splitlines()
            if "@(" not in line and "@hark/" not in line and "$@" not in line and "[@" not in line
        )
        for flag in LISTED:
            assert flag.name.partition("=")[0].removeprefix("--") in text


def test_the_pages_have_the_tables() -> None:
    """docs/command-line.md says of every option, status and variable what the tables say."""
    page = (ROOT / "docs" / "command-line.md").read_text()
    for flag in FLAGS:
        if flag.listed:
            assert f"`{flag.usage}`" in page or f"`{flag.short}`, `{flag.usage}`" in page, flag.name
            assert flag.help in page, flag.name
    for name, text in (*STATUSES, *READ, *SET):
        assert name in page and text in page, name


def test_every_variable_that_is_read_is_documented() -> None:
    """By its name in the table; what is about the report of `hark --version -v` alone is not behaviour."""
    known = " ".join(name for name, _ in READ)
    for path in (ROOT / "src").rglob("*.py"):
        if "usage" not in path.parts:
            text = path.read_text()
            for name in re.findall(
                r'environ(?:ment)?(?:\.get\(|\[)"([A-Z_]+)"|"([A-Z_]+)" (?:not )?in os\.environ', text
            ):
                assert "".join(name) in [*re.findall("[A-Z_]+", known), "HOME"], (path, name)


def test_an_ordinary_user_of_debian_needs_no_packages_that_are_there() -> None:
    """/usr/sbin is not in such a user's PATH: what stands there is found by the set-up all the same."""
    script = 'what=test; . tools/packages.sh; echo "missing:$missing"'
    run = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert run.stdout == "missing:\n", run.stdout + run.stderr
