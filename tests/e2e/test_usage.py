"""Command lines that cannot be understood: one line each, before anything runs; never a traceback."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from hark.flags import FLAGS
from world import until

LISTED = [flag for flag in FLAGS if flag.listed and flag.field]
URL = "http://192.0.2.10:8080/hello"


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["--"], 2, "hark: which command? (hark --help)"),
        (["-v", "--"], 2, "hark: which command? (hark --help)"),
        (["-v"], 2, "hark: which command? (hark --help)"),
        (["run"], 2, "hark: hark run: which command? (hark --help)"),
        (["run", "-q", "--"], 2, "hark: hark run: which command? (hark --help)"),
        (["--method", "curl"], 2, "hark: which command?: curl is the value of --method (hark --help)"),
        (["--host"], 2, "hark: --host needs a value (hark --help)"),
        (["curl -s URL"], 127, "hark: cannot run curl -s URL: no such command in PATH (a command line is for a shell: hark sh -c 'curl -s URL')"),
        (["it's | x"], 127, "hark: cannot run it's | x: no such command in PATH (a command line is for a shell: hark sh -c 'it'\"'\"'s | x')"),
        (["A=b", "curl"], 127, "hark: cannot run A=b: no such command in PATH (a variable for a command: hark env 'A=b' COMMAND)"),
        (["raed", "x.pcapng"], 127, "hark: cannot run raed: no such command in PATH (did you mean hark read?)"),
        (["help"], 127, "hark: cannot run help: no such command in PATH (hark --help)"),
        (["run", "raed"], 127, "hark: cannot run raed: no such command in PATH"),
        ([""], 127, "hark: cannot run '': no such command in PATH"),
        (["--max-body", "²", "true"], 2, "hark: --max-body ² is not a size (such as 64k, 1M, 0)"),
        (["--feed", "99", "true"], 2, "hark: --feed 99 is not an open descriptor"),
        (["--feed", "x", "true"], 2, "hark: --feed x is not an open descriptor"),
        (["--proto", "nowhere.proto", "touch", "ran"], 1, "hark: cannot read nowhere.proto: No such file or directory"),
        (["--proto", ".", "touch", "ran"], 1, "hark: cannot read .: Is a directory"),
        (["/etc"], 126, "hark: cannot run /etc: it is a directory"),
        (["/etc/passwd"], 126, "hark: cannot run /etc/passwd: it is not executable"),
        (["--status", "teapot", "touch", "ran"], 2, "hark: --status teapot is not a status (such as 404, 4xx, 500-599, '>=400', 4xx,5xx)"),
        (["-o", "x.txt", "touch", "ran"], 2, "hark: cannot write x.txt: 'txt' is not a file type that hark writes (.pcapng, .jsonl, .har, .html, or x.txt:har and so on)"),
        (["-q", "--json", "touch", "ran"], 2, "hark: -q and --json do not go together (-q -o FILE.jsonl, or -q --json=FD)"),
        (["read", "--detach", "x"], 2, "hark: --detach does not apply to hark read (it is an option of hark COMMAND)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_usage_errors(world, words: list[str], status: int, line: str) -> None:
    run = world.run("hark", *words)
    assert (run.status, run.out, run.err) == (status, b"", line + "\n")
    assert not (world.dir / "home" / "ran").exists()


@pytest.mark.parametrize("name", ["bad.proto", "bad.pb"])
def test_a_schema_that_is_none_stops_before_anything_runs(world, name: str) -> None:
    """Nor is an output emptied."""
    home = world.dir / "home"
    (home / name).write_bytes(b"\xff no schema \xfe")
    (home / "kept.jsonl").write_text("kept")
    run = world.run("hark", "-o", "kept.jsonl", "--proto", name, "touch", "ran")
    assert run.status == 1 and run.err.count("\n") == 1 and run.err.startswith(f"hark: cannot use {name}: "), run.err
    assert not (home / "ran").exists() and (home / "kept.jsonl").read_text() == "kept"


JUNK = [
    "",
    "x",
    "-1",
    "/",
    "/nowhere/x",
    "\udcff",
    "²",
    "(",
    "a,b",
    "!",
    "99999999999999999999",
    "9" * 5000,
    "x.har",
    "--",
    ":har",
    "1",
]


def _random_lines(count: int, seed: int) -> list[str]:
    """Command lines: each subcommand with an option, and another one beside it, with values that make no sense."""
    dice = random.Random(seed)
    operands = {"run": "true", "read": "empty", "watch": "1", "ui": "1", "ui COMMAND": "ui true", "doctor": ""}
    cells = list(itertools.product(FLAGS, operands.items(), JUNK))
    lines = []
    for flag, (command, operand), value in dice.sample(cells, count):
        words: list[str] = []
        for one in (dice.choice([other for other in LISTED if other.name != "--output"]), flag):
            given = value if one is flag or not one.value else dice.choice(JUNK)
            name = dice.choice([one.short or one.name, one.name]).partition("=")[0]
            words += [name] if one.value is None else [f"{name}={given}"] if one.attached else [name, given]
        text = " ".join(f"$'{word}'".replace("\udcff", "\\xff") for word in words)
        name = "" if command in ("run", "ui COMMAND") else command
        lines.append(f"hark {name} {text} {operand}")
    return lines


@pytest.mark.parametrize("count", [24, pytest.param(600, marks=pytest.mark.soak)])
def test_no_option_ends_in_a_traceback(world, count: int) -> None:
    """Every option of the table for every command: it runs, or one line says why not."""
    lines = [f'timeout -s INT 8 {line} </dev/null; echo "= $?" >&2' for line in _random_lines(count, 7 + count)]
    (world.dir / "lines.sh").write_text("cd $(mktemp -d); : >empty\n" + "\n".join(lines))
    run = world.run("bash", str(world.dir / "lines.sh"), timeout=30 + 5 * count)
    answers = re.split(r"^= (\d+)$", run.err, flags=re.M)
    assert len(answers) == 2 * count + 1
    detached = False
    for line, said, status in zip(lines, answers[::2], answers[1::2], strict=False):
        if detached:  # the decoder of the run before, which hark did not wait for
            said = said.replace("hark: no exchanges\n", "")
        detached = "--detach" in line
        assert "Traceback" not in said and "please report" not in said, (line, said)
        goes_on = status == "124" and ("--devtools" in line or "--follow" in line)  # until ^C
        assert goes_on or int(status) in (0, 1, 2, 126, 127), (line, said, status)
        if status == "2":
            assert said.strip().count("\n") == 0 and said.strip().startswith("hark: "), (line, said)


def test_limits_of_the_machine_are_one_line(world) -> None:
    """No process may be made, no descriptor is left: hark says so and nothing runs."""
    run = world.run("bash", "-c", "ulimit -n 8; exec hark touch ran")
    assert run.status == 1 and "Traceback" not in run.err and run.err.count("\n") == 1, run.err
    assert not (world.dir / "home" / "ran").exists()


def test_a_folder_that_is_gone(world) -> None:
    run = world.run("sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; SSLKEYLOGFILE=keys hark -q sh -c "exit 5"')
    assert run.status == 5 and "Traceback" not in run.err, run.err


# -- outputs ---------------------------------------------------------------------------------------------------------


def test_json_to_a_descriptor(world) -> None:
    """The lines stay on stderr, the command's output on stdout, and its pipe ends when hark does."""
    script = f"hark --json=3 curl -s {URL} 3>&1 >out | cat >seen; cat out"
    run = world.run("sh", "-c", script)
    assert run.out == b"hello\n" and run.err.startswith(f"GET {URL} 200 ")
    home = world.dir / "home"
    assert [json.loads(line)["request"]["url"] for line in (home / "seen").read_text().splitlines()] == [URL]
    run = world.run("sh", "-c", "hark -q --json=3 sh -c 'echo program >&3' 3>seen")  # the descriptor is hark's alone
    assert run.err and "program" not in (home / "seen").read_text()


def test_kinds_by_name_and_pipes(world) -> None:
    """-o NAME:KIND, into files and FIFOs; -o - where standard output is free: live and read again, each is whole."""
    home = world.dir / "home"
    script = (
        "rm -f fifo; mkfifo fifo; cat fifo >piped & "
        f"hark -q -o fifo:har -o plain:jsonl -o packets:pcapng -o /dev/fd/3:html curl -s {URL} 3>page >out; wait; cat out"
    )
    run = world.run("sh", "-c", script)
    assert (run.status, run.out, run.err) == (0, b"hello\n", "")
    entries = json.loads((home / "piped").read_text())["log"]["entries"]
    assert [entry["request"]["url"] for entry in entries] == [URL]
    assert [json.loads(line) for line in (home / "plain").read_text().splitlines()] == entries
    assert URL in (home / "page").read_text()
    read = world.run("hark", "read", "-o", "-", "packets")
    assert [json.loads(line) for line in read.out.splitlines()] == entries and read.err.startswith(f"GET {URL} 200 ")
    assert json.loads(world.run("hark", "read", "-q", "-o", "-:har", "plain").out)["log"]["entries"] == entries
    again = world.run("sh", "-c", "hark read -q -o /dev/stdout:pcapng packets | hark read --json -")
    assert [json.loads(line) for line in again.out.splitlines()] == entries
    assert (
        world.run("sh", "-c", "hark read -q -o - packets | true; hark read -q -o -:html packets | head -c 9").out
        == b"<!doctype"
    )


def test_closed_streams_take_no_file(world) -> None:
    """What is opened never gets the number of a standard stream that was closed: lines do not land in a file."""
    home = world.dir / "home"
    world.run("hark", "-q", "-o", "streams.pcapng", "curl", "-s", URL)
    for closed in (">&-", "<&- >&-", "<&- >&- 2>&-", "2>&-"):
        (home / "streams.jsonl").unlink(missing_ok=True)
        run = world.run("sh", "-c", f"hark read -o streams.jsonl streams.pcapng {closed}")
        assert run.status == (1 if ">&-" in closed.replace("2>&-", "") else 0), run.err
        for line in (home / "streams.jsonl").read_text().splitlines():
            assert json.loads(line)["request"]["url"] == URL
    assert world.run("sh", "-c", "hark read -o - streams.pcapng >&-").status == 1


def test_two_harks_do_not_tear_one_file(world) -> None:
    """The second is refused by a line, before it runs anything; the first one's file is whole."""
    first = world.popen(
        ["hark", "-q", "-o", "same.har", "sh", "-c", f"curl -s {URL}; sleep 2; curl -s {URL}"],
        stdout=subprocess.DEVNULL,
    )
    path = world.dir / "home" / "same.har"
    until(lambda: path.exists() and "hello" in path.read_text())
    for command in (["hark", "-o", "same.har", "touch", "ran"], ["hark", "watch", "-o", "./same.har"]):
        run = world.run(*command)
        assert run.status == 1 and "another hark is writing it" in run.err and run.err.count("\n") == 1
    assert first.wait(20) == 0 and not (world.dir / "home" / "ran").exists()
    assert len(json.loads(path.read_text())["log"]["entries"]) == 2
    assert world.run("hark", "-q", "-o", "same.har", "true").status == 0


def test_what_does_not_apply_to_the_kind_of_input(world) -> None:
    """Keys for what is not encrypted, packets of what has none, following what does not grow: refused, nothing emptied."""
    home = world.dir / "home"
    world.run("hark", "-q", "-o", "kind.har", "-o", "kind.jsonl", "-o", "kind.pcapng", "curl", "-s", URL)
    (home / "keys").write_text("CLIENT_RANDOM " + "0" * 64 + " " + "0" * 96 + "\n")
    (home / "kept.pcapng").write_text("kept")
    world.run("gzip", "-kf", "kind.pcapng")
    for options, why in (
        (
            "--keys keys kind.har",
            "hark: --keys does not apply to kind.har: it holds decoded requests (it is for pcapng and pcap)",
        ),
        (
            "--max-body 3 kind.jsonl",
            "hark: --max-body does not apply to kind.jsonl: it holds decoded requests (it is for pcapng and pcap)",
        ),
        (
            "-o kept.pcapng kind.har",
            "hark: cannot write kept.pcapng: kind.har holds requests, not packets (x.har, x.jsonl)",
        ),
        (
            "-o kept.pcapng kind.pcapng kind.har",
            "hark: cannot write kept.pcapng: kind.har holds requests, not packets (x.har, x.jsonl)",
        ),
        ("--follow kind.pcapng.gz", "hark: --follow does not apply to a compressed file: kind.pcapng.gz"),
    ):
        run = world.run("hark", "read", *options.split())
        assert (run.status, run.out, run.err) == (2, b"", why + "\n")
    run = world.run("hark", "read", "-o", "kind.pcapng", "kind.pcapng")
    assert (run.status, run.err) == (1, "hark: cannot write kind.pcapng: it is what is read (another name)\n")
    before = (home / "kind.jsonl").read_bytes()
    world.run("cp", "kind.jsonl", "own.jsonl")
    run = world.run("sh", "-c", "hark read --json own.jsonl >>own.jsonl", timeout=10)
    assert (run.status, run.err) == (1, "hark: cannot write standard output: it is what is read (another name)\n")
    assert (home / "own.jsonl").read_bytes() == before
    run = world.run("sh", "-c", "cat kind.har | hark read --max-body 7 -")
    why = "hark: --max-body does not apply to standard input: it holds decoded requests (it is for pcapng and pcap)\n"
    assert (run.status, run.out, run.err) == (2, b"", why)
    assert world.run("sh", "-c", "cat kind.pcapng | hark read -q --max-body 7 --keys keys -").status == 0
    run = world.run("sh", "-c", "cat kind.pcapng | hark read --follow -")
    assert (run.status, run.err) == (
        2,
        "hark: --follow does not apply to a pipe: it is read until its writer closes it\n",
    )
    assert (home / "kept.pcapng").read_text() == "kept"
    assert world.run("hark", "read", "--keys", "keys", "kind.har", "kind.pcapng").status == 0  # one of them has packets


def test_keys_without_a_key(world) -> None:
    """A file that is no key log says so; one with a key among other lines does not."""
    home = world.dir / "home"
    world.run("hark", "-q", "-o", "some.pcapng", "curl", "-s", URL)
    (home / "some.keys").write_text("# comment\njunk\nCLIENT_RANDOM " + "0" * 64 + " " + "0" * 96 + "\n")
    (home / "none.keys").write_text("")
    for name, said in (("/etc/passwd", True), ("none.keys", True), ("some.keys", False)):
        run = world.run("hark", "read", "--keys", name, "some.pcapng")
        note = f"hark: {name} holds no line of a TLS key log: it decrypts nothing\n"
        assert run.status == 0 and run.err == (note if said else "")


# -- what is said ----------------------------------------------------------------------------------------------------


def test_times_on_lines(world) -> None:
    """Absolute, and since the start; off by default. A capture has the same times of day."""
    before = time.time()
    run = world.run(
        "hark", "--time", "-o", "timed.pcapng", "sh", "-c", f"curl -s {URL}; curl -s http://192.0.2.10:1/", TZ="UTC"
    )
    stamps = re.findall(r"^(\d\d:\d\d:\d\d\.\d{3}) (?:GET|connect) ", run.err, re.M)
    assert len(stamps) == 2 and len(re.findall(r"^\d", run.err, re.M)) == 2, run.err
    for stamp in stamps:
        assert stamp[:5] in [time.strftime("%H:%M", time.gmtime(at)) for at in (before, before + 30)]
    again = world.run("hark", "read", "--time", "timed.pcapng", TZ="UTC")
    assert re.findall(r"^(\d\d:\d\d:\d\d\.\d{3}) ", again.out.decode(), re.M) == stamps
    run = world.run("hark", "--time=start", "sh", "-c", f"sleep 0.5; curl -s {URL}")
    assert 0.4 < float(re.findall(r"^ *(\d+\.\d{3}) GET ", run.err, re.M)[0]) < 10
    assert "  0.000 GET" in world.run("hark", "read", "--time=start", "timed.pcapng").out.decode()
    assert world.run("hark", "read", "timed.pcapng").out.startswith(b"GET ")


def test_time_keeps_a_line_within_the_terminal(world) -> None:
    run = world.run(
        "script", "-qec", f"stty cols 80; hark --time curl -s '{URL}?{'x' * 150}'", "/dev/null", NO_COLOR="1"
    )
    line = next(line for line in run.out.decode().splitlines() if " GET " in line)
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} GET ", line) and len(line) <= 80


def test_what_hark_waits_for(world) -> None:
    """After a second it says what was left running, and how not to wait for it."""
    run = world.run("hark", "sh", "-c", "setsid sleep 2 >/dev/null 2>&1 &")
    assert re.fullmatch(
        r"hark: sh has ended; waiting for what it left running: sleep\[\d+\] \(\^C ends it; with --detach hark does not wait\)\n"
        r"hark: no exchanges\n", run.err,
    )  # fmt: skip
    assert world.run("hark", "sh", "-c", "setsid sleep 0.4 >/dev/null 2>&1 &").err == "hark: no exchanges\n"


def test_version_for_a_bug_report(world) -> None:
    """What explains how hark behaves here; nothing that says whose machine it is."""
    assert world.run("hark", "--version").out == world.run("hark", "-V").out
    run = world.run("hark", "--version", "-v", SECRET="s3cr3t-in-a-variable")
    text = run.out.decode()
    assert (
        run.status == 0
        and run.err == ""
        and text == world.run("hark", "-v", "--version", SECRET="s3cr3t-in-a-variable").out.decode()
    )
    for name in (
        "hark",
        "Python",
        "Python's OpenSSL",
        "kernel",
        "distribution",
        "user.max_user_namespaces",
        "/dev/net/tun",
        "agent for OpenSSL",
        "hook for Node.js",
        "terminal",
    ):
        assert re.search(rf"^{re.escape(name)}  +\S", text, re.M), name
    assert "agent for OpenSSL" in text and re.search(r"^agent for OpenSSL +present$", text, re.M)
    for private in (os.uname().nodename, "s3cr3t", str(world.dir), "harktest", "/home"):
        assert private not in text, private


def test_help_of_every_command(world) -> None:
    """On stdout with status 0, wherever --help stands; `hark` alone is a mistake, and says the same on stderr."""
    text = world.run("hark", "--help").out
    for words in (["-h"], ["-v", "--help"]):
        assert world.run("hark", *words).out == text
    alone = world.run("hark")
    assert (alone.status, alone.out, alone.err) == (2, b"", text.decode())
    for command in ("run", "read", "watch", "ui", "doctor"):
        for words in ([command, "--help"], ["--help", command], [command, "-h", *(["x"] if command == "read" else [])]):
            run = world.run("hark", *words)
            assert run.status == 0 and run.out.startswith(b"hark ") and run.err == "", words
            assert max(map(len, run.out.decode().splitlines())) <= 80
    assert world.run("hark", "-q", "sh", "-c", 'echo "$@"', "-", "--help").out == b"--help\n"  # the command's own


def test_devtools_is_served_after_the_end_without_a_terminal(world) -> None:
    """stderr is a file: DevTools is there until ^C all the same, and the status is the command's."""
    with open(world.dir / "home" / "served.err", "wb") as err:
        running = world.popen(["hark", "--devtools", "sh", "-c", "exit 7"], stderr=err, stdout=subprocess.DEVNULL)
    said = world.dir / "home" / "served.err"
    until(lambda: "DevTools is served until" in said.read_text())
    port = re.search(r"127\.0\.0\.1:(\d+)", said.read_text())[1]
    assert world.run("curl", "-s", f"http://127.0.0.1:{port}/json/version").status == 0
    running.send_signal(signal.SIGINT)
    assert running.wait(10) == 7
    assert world.run("curl", "-s", f"http://127.0.0.1:{port}/json/version").status != 0


def test_exit_statuses_are_those_that_are_documented(world) -> None:
    """docs/command-line.md and the man page name every status that hark gives of its own."""
    from hark.usage.facts import STATUSES

    (world.dir / "home" / "torn.pcapng").write_bytes(bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000"))
    own = [
        ("hark read /nowhere", 1), ("hark read torn.pcapng", 1), ("hark --nonsense", 2), ("hark /etc", 126),
        ("hark no-such-command", 127), ("hark --help", 0),
    ]  # fmt: skip
    for command, status in own:
        assert world.run("sh", "-c", command).status == status and str(status) in dict(STATUSES), command
    for command, status in (("exit 5", 5), ("kill -9 $$", 137), ("exit 2", 2)):
        assert world.run("hark", "-q", "sh", "-c", command).status == status


def test_the_api_has_the_status(world) -> None:
    """What the command would have exited with, by the error's type, through the process between."""
    code = "import hark\nfor command in ['nope', '/etc']:\n try: hark.run([command])\n except hark.HarkError as error: print(error.status, error)"
    run = world.run(sys.executable, "-c", code)
    assert run.out == b"127 cannot run nope: no such command in PATH\n126 cannot run /etc: it is a directory\n", run.err
