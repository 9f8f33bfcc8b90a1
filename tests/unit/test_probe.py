"""`hark doctor`: every step is tried for real, each "no" has its reason and a command."""

import os
import pathlib
import signal

import pytest

from alone import alone
from hark.installed import AGENT, HOOK, PRIVATE
from hark.system import kernel
from hark.tap import probe
from hark.tap.namespace import setup

pytestmark = pytest.mark.slow

MS_BIND = 4096


def lines(agent: str = AGENT, hook: str = HOOK, private: str = PRIVATE) -> tuple[list[str], int]:
    said: list[str] = []
    status = probe.doctor(said.append, agent, hook, private)
    return said, status


@alone
def test_all_that_is_vital_is_there_on_this_machine() -> None:
    said, status = lines()
    assert status == 0
    assert said[-1] == "hark COMMAND works here."
    vital = [finding for finding in probe.examine(AGENT, HOOK, PRIVATE) if finding.vital]
    assert {"/dev/net/tun", "the whole tap"} < {finding.name for finding in vital}
    assert all(finding.good for finding in vital)
    assert all(finding.good or (finding.why and finding.fix) for finding in probe.examine(AGENT, HOOK, PRIVATE))


@alone
def test_what_is_missing_and_not_vital_is_said_with_its_remedy() -> None:
    before = {finding.name for finding in probe.examine(AGENT, HOOK, PRIVATE) if not finding.good}
    missing = [finding for finding in probe.examine("/no/agent", "/no/hook", PRIVATE) if not finding.good]
    new = [finding for finding in missing if finding.name not in before]
    assert {finding.name for finding in new} <= {"preloaded agent (OpenSSL)", "Node hook"}
    assert all("install" in finding.fix and finding.why and not finding.vital for finding in new)
    said, status = lines("/no/agent", "/no/hook")
    assert status == 0
    assert "less  Node hook: the file is missing" in said
    assert said[said.index("less  Node hook: the file is missing") + 1].startswith("      fix: ")


@alone
def test_a_device_that_is_another_file() -> None:
    """What /dev/net/tun is here cannot be made a device of."""
    kernel.mount("/dev/null", "/dev/net/tun", "", MS_BIND)
    found = {finding.name: finding for finding in probe.examine(AGENT, HOOK, PRIVATE)}
    whole = found["the whole tap"]
    assert not whole.good
    assert "/dev/net/tun" in whole.why
    said, status = lines()
    assert status == 1
    assert said[-1] == "hark COMMAND does not work here yet; hark read FILE does."
    assert any(line.startswith("NO    the whole tap: ") for line in said)


@alone
def test_no_device_at_all() -> None:
    kernel.mount("none", "/dev/net", "tmpfs", 0)
    found = {finding.name: finding for finding in probe.examine(AGENT, HOOK, PRIVATE)}
    assert found["/dev/net/tun"].why == "it is not there"
    assert found["/dev/net/tun"].fix
    assert not found["the whole tap"].good


@alone
def test_namespaces_that_are_forbidden() -> None:
    if os.getuid():
        pathlib.Path("/proc/sys/user/max_user_namespaces").write_text("0")
    else:
        kernel.keep_capabilities()  # as in a container
    found = {finding.name: finding for finding in probe.examine(AGENT, HOOK, PRIVATE)}
    (namespaces,) = [finding for name, finding in found.items() if "namespaces" in name]
    assert not namespaces.good
    assert namespaces.why
    assert namespaces.fix
    assert namespaces.vital


def test_nothing_of_what_is_tried_stays() -> None:
    """Neither a process nor a namespace: each attempt is a child's."""
    here = os.readlink("/proc/self/ns/net")
    probe.examine(AGENT, HOOK, PRIVATE)
    assert os.readlink("/proc/self/ns/net") == here
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_attempt_says_how_it_ended() -> None:
    def fail() -> None:
        raise OSError(1, "Operation not permitted")

    def crash() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def refuse() -> None:
        raise setup._refused(OSError(1, "Operation not permitted"))

    assert probe._attempt(lambda: None) == ""
    assert probe._attempt(fail) == "Operation not permitted"
    assert probe._attempt(crash) == "ended by SIGKILL"
    assert probe._attempt(refuse).startswith("cannot make a network namespace: Operation not permitted")
