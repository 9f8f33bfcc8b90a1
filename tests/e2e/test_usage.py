"""Command lines that cannot be understood: one line each, before anything runs; never a traceback."""

import itertools
import random

import pytest

OPTIONS = {
    "value": ["-o", "--output", "--keys", "--private-key", "--proto", "--max-body", "--feed", "--host", "--path", "--method",
              "--status", "--type", "--process", "--slower", "--larger", "--grep"],
    "switch": ["--json", "--curl", "--summary", "--waterfall", "--detach", "--follow", "--redact", "--no-redact", "--failed", "-v", "-q"],
}  # fmt: skip


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
        ([""], 127, "hark: cannot run '': no such command in PATH"),
        (["--max-body", "²", "true"], 2, "hark: --max-body ² is no size (such as 64k, 1M, 0)"),
        (["--feed", "99", "true"], 2, "hark: --feed 99 is no open descriptor"),
        (["--feed", "x", "true"], 2, "hark: --feed x is no open descriptor"),
        (["--proto", "nowhere.proto", "touch", "ran"], 1, "hark: cannot read nowhere.proto: No such file or directory"),
        (["--proto", ".", "touch", "ran"], 1, "hark: cannot read .: Is a directory"),
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


def test_no_option_ends_in_a_traceback(world) -> None:
    """Every option with values that make no sense, in random company: the command runs, or one line says why not."""
    dice = random.Random(7)
    junk = ["", "x", "-1", "/", "/nowhere/x", "\udcff", "²", "(", "a,b", "!", "99999999999999999999", "x.har", "--"]
    pairs = list(itertools.product(OPTIONS["value"], junk))
    lines = []
    for option, value in dice.sample(pairs, 24):
        words = [dice.choice(OPTIONS["switch"]), option, value]
        lines.append("hark " + " ".join(f"'{word}'" for word in words) + ' true; echo "= $?" >&2')
    run = world.run("bash", "-c", "cd $(mktemp -d)\n" + "\n".join(line.replace("\udcff", "\\xff") for line in lines))
    assert run.err.count("\n= ") + run.err.startswith("= ") == 24 and "Traceback" not in run.err, run.err


def test_limits_of_the_machine_are_one_line(world) -> None:
    """No process may be made, no descriptor is left: hark says so and nothing runs."""
    run = world.run("bash", "-c", "ulimit -n 8; exec hark touch ran")
    assert run.status == 1 and "Traceback" not in run.err and run.err.count("\n") == 1, run.err
    assert not (world.dir / "home" / "ran").exists()


def test_a_folder_that_is_gone(world) -> None:
    run = world.run("sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; SSLKEYLOGFILE=keys hark -q sh -c "exit 5"')
    assert run.status == 5 and "Traceback" not in run.err, run.err
