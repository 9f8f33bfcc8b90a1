"""Completion, as real shells do it: a key is pressed in bash, zsh and fish, and what hark would be called with is seen."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import pytest

HARK = str(pathlib.Path(sys.executable).parent / "hark")
SEEN = "hark() { printf '<<<%s>>>' \"$*\"; }"
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# A command with completion of its own, which takes `start` and `stop`.
SETUP = {
    "bash": f"{SEEN}; svc() {{ :; }}; _svc() {{ COMPREPLY=($(compgen -W 'start stop' -- \"$2\")); }}; complete -F _svc svc",
    "zsh": f"autoload -Uz compinit; compinit -u -D; {SEEN}; svc() {{ :; }}; _svc() {{ compadd start stop; }}; compdef _svc svc",
}
CASES = [
    ("hark --summ", "--summary"),
    ("hark --json --no-fail", "--json --no-failures"),
    ("hark read --priv", "read --private-key"),
    ("hark read --deta", "read --deta"),
    ("hark --type webs", "--type websocket"),
    ("hark --type=webs", "--type=websocket"),
    ("hark --time=st", "--time=start"),
    ("hark --completions z", "--completions zsh"),
    ("hark read captu", "read capture.pcapng"),
    ("hark read --keys captu", "read --keys capture.pcapng"),
    ("hark -o captu", "-o capture.pcapng"),
    ("hark svc sto", "svc stop"),
    ("hark -v --host read svc sto", "-v --host read svc stop"),
    ("hark -o captu --json=3 svc star", "-o captu --json=3 svc start"),
    ("hark run svc sto", "run svc stop"),
    ("hark -- svc sto", "-- svc stop"),
    ("hark ui svc sto", "ui svc stop"),
]


def script(shell: str) -> str:
    return subprocess.run([HARK, "--completions", shell], capture_output=True, text=True, check=True).stdout


def typed(shell: str, folder: pathlib.Path, lines: list[str]) -> list[str]:
    """What hark would be given, for each line after which the key was pressed."""
    (folder / "script").write_text(script(shell))
    (folder / "capture.pcapng").touch()
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.execvpe(START[shell][0], START[shell], {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"})
    said = b""

    def until(mark: bytes) -> bytes:
        nonlocal said
        deadline = time.monotonic() + 10
        while mark not in said:
            assert time.monotonic() < deadline, said
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 65536)
        found, said = said, b""
        return found

    try:
        os.write(terminal, f"{SETUP[shell]}; source ./script; echo RE''ADY\n".encode())
        until(b"READY\r")
        found = []
        for line in lines:
            os.write(terminal, line.encode() + b"\t")
            while select.select([terminal], [], [], 0.15)[0]:  # until the shell has said all that it has to say to that
                said += os.read(terminal, 65536)
            os.write(terminal, b"\n")
            match = re.search(rb"<<<(.*?) ?>>>", until(b">>>"), re.S)
            assert match
            found.append(match[1].decode())
        os.write(terminal, b"exit\n")
        return found
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_key_in_a_shell(shell: str, tmp_path: pathlib.Path) -> None:
    """Subcommands, options, values, files, and the wrapped command with its own arguments."""
    lines = [line for line, _ in CASES]
    assert typed(shell, tmp_path, lines) == [whole for _, whole in CASES]


def test_bash_completion_is_asked_where_it_is_loaded(tmp_path: pathlib.Path) -> None:
    """Then the wrapped command is completed as it is after sudo."""
    (tmp_path / "script").write_text(script("bash"))
    ask = (
        '_command_offset() { COMPREPLY=("offset:$1"); }; source ./script; '
        "COMP_WORDS=(hark -v --json = 3 git che) COMP_CWORD=6; _hark; echo ${COMPREPLY[*]}"
    )
    run = subprocess.run(["bash", "--norc", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "offset:5\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    "line, whole", [(line, whole) for line, whole in CASES if "svc" not in line], ids=lambda text: text
)
def test_fish(line: str, whole: str, tmp_path: pathlib.Path) -> None:
    """Its own command says what a key would offer."""
    (tmp_path / "capture.pcapng").touch()
    assert whole.split()[-1] in offered(line, tmp_path) or f"hark {whole}" == line


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize("options", ["", "-v --host read ", "--json=3 ", "-o x run ", "-- ", "ui "])
def test_fish_completes_the_command(options: str, tmp_path: pathlib.Path) -> None:
    assert offered(f"hark {options}svc sto", tmp_path) == ["stop"]


def offered(line: str, folder: pathlib.Path) -> list[str]:
    (folder / "script").write_text(script("fish"))
    ask = f"source ./script; complete -c svc -f -a 'start stop'; complete -C '{line}'"
    run = subprocess.run(
        ["fish", "--no-config", "-c", ask],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(folder)},
    )
    assert run.stderr == ""
    return [row.split("\t")[0] for row in run.stdout.splitlines()]
