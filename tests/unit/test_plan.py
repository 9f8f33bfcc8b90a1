"""The plan: which key sources a run uses; what is missing is said with its reason and remedy."""

import os
import pathlib
import subprocess
import sys

import pytest

from hark.commands.doctor import lines
from hark.errors import Finding
from hark.keys.keylogfile import Named
from hark.plan import SOURCES, Facts, plan

ALL = Facts("/hark/libhark-keys.so", "/hark/hook.cjs", Named(""), "/hark/private")
MADE = {"keys": 3, "keylog": 4}
TOY = pathlib.Path(__file__).parent.parent / "programs" / "toysource.py"


def test_what_the_program_hands_over_comes_first() -> None:
    made = plan(ALL)
    assert [source.name for source in made.keys] == ["agent", "private key log", "Node hook", "SSLKEYLOGFILE"]
    for files in (None, MADE):
        assert all(not found.why for found in made.findings(files))


def test_every_no_has_its_reason_and_remedy() -> None:
    for facts, start in (
        (ALL._replace(agent=""), "most OpenSSL programs are not decrypted: the preloaded agent was not compiled"),
        (ALL._replace(hook=""), "Node is not decrypted: its hook is missing"),
    ):
        for files in (None, MADE):
            (missing,) = (found for found in plan(facts).findings(files) if found.why)
            assert missing.text.startswith(start) and missing.effect and missing.fix


def test_what_could_not_be_made_is_said_with_its_reason() -> None:
    failed = {"private key log": "Operation not permitted (mount /hark/private)"}
    assert [found.text for found in plan(ALL).findings({}, failed) if found.why] == [
        "most OpenSSL programs are not decrypted: the preloaded agent could not be set up",
        "GnuTLS programs and Node are not decrypted: no private file system here: "
        "Operation not permitted (mount /hark/private)",
    ]


@pytest.mark.parametrize("files", [None, MADE])
def test_a_key_log_of_the_users(files: dict[str, int] | None) -> None:
    def of(named: Named) -> Finding | None:
        return plan(ALL._replace(keylog=named)).keys[-1].finding(files)

    assert of(Named("")) is None  # not set
    followed = of(Named("/home/me/keys"))
    assert followed is not None and not followed.why
    unread = of(Named("", None, "it is a pipe, whose reader has its bytes"))
    assert unread is not None and unread.text == (
        "SSLKEYLOGFILE is not followed: it is a pipe, whose reader has its bytes; "
        "secrets that are written there alone are missed"
    )


def test_each_source_says_something_of_itself() -> None:
    named = {found.name for found in plan(ALL._replace(keylog=Named("/home/me/keys"))).findings()}
    assert len(named) == len(SOURCES)


def test_doctor_prints_the_same_description() -> None:
    missing = Finding("Node hook", "its hook is missing", "pip install hark", "Node is not decrypted")
    assert lines(missing) == [
        "limited  Node hook: Node is not decrypted: its hook is missing",
        "         fix: pip install hark",
    ]
    assert lines(Finding("the whole tap", "no such device")) == ["NO       the whole tap: no such device"]
    assert lines(Finding("Node hook")) == ["ok       Node hook"]


def test_a_new_source_brings_its_own_finding() -> None:
    """tests/programs/toysource.py is one file, whose last line adds it to the plan: `hark doctor` has it."""
    for env, line in (({}, "ok       toy"), ({"NO_TOYS": "1"}, "limited  toy: toys are not decrypted: NO_TOYS is set")):
        done = subprocess.run(
            [sys.executable, TOY, "doctor"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
            capture_output=True,
            text=True,
        )
        assert line in done.stdout.splitlines(), done
