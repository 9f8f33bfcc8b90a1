"""`hark doctor`: every step is tried for real, each "no" has its reason and a command."""

import os
import pathlib
import signal

import pytest

from alone import alone
from hark.commands.doctor import doctor, lines
from hark.errors import Finding
from hark.installed import AGENT, HOOK, PRIVATE
from hark.keys.keylogfile import named
from hark.plan import Facts, plan
from hark.system import kernel
from hark.tap.namespace import probe, setup

pytestmark = pytest.mark.slow

MS_BIND = 4096


def findings(agent: str = AGENT, hook: str = HOOK) -> dict[str, Finding]:
    """What the tap and the key sources find, by name."""
    chosen = plan(Facts(agent, hook, named(""), PRIVATE))
    tap = probe.probe(PRIVATE, chosen.keys)
    return {finding.name: finding for finding in [*tap.findings, *chosen.findings(tap.files, tap.failed)]}


def children() -> set[str]:
    """Of this process; other tests may have left some."""
    return set(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def printed() -> tuple[list[str], int]:
    said: list[str] = []
    status = doctor(said.append)
    return said, status


@alone
def test_all_that_is_vital_is_there_on_this_machine() -> None:
    said, status = printed()
    assert status == 0
    assert said[-1] == "hark COMMAND works here."
    found = findings()
    assert {"/dev/net/tun", "the whole tap"} < found.keys()
    assert all(finding.effect for finding in found.values() if finding.why)
    assert all(finding.fix for finding in found.values() if finding.why)


@alone
def test_what_is_missing_and_not_vital_is_said_with_its_remedy() -> None:
    before = {name for name, finding in findings().items() if finding.why}
    missing = findings("", "")
    new = {name: finding for name, finding in missing.items() if finding.why and name not in before}
    assert new and len(new) <= 2
    assert all("install" in finding.fix and finding.effect for finding in new.values())
    assert lines(missing["Node hook"])[0].startswith("limited  Node hook: Node is not decrypted: ")
    assert lines(missing["Node hook"])[1].startswith("         fix: ")


@alone
def test_a_device_that_is_another_file() -> None:
    """What /dev/net/tun is here cannot be made a device of."""
    kernel.mount("/dev/null", "/dev/net/tun", "", MS_BIND)
    found = findings()
    whole = found["the whole tap"]
    assert whole.why
    assert "/dev/net/tun" in whole.why
    said, status = printed()
    assert status == 1
    assert said[-1] == "hark COMMAND does not work here yet; hark read FILE does."
    assert any(line.startswith("NO       the whole tap: ") for line in said)


@alone
def test_no_device_at_all() -> None:
    kernel.mount("none", "/dev/net", "tmpfs", 0)
    found = findings()
    assert found["/dev/net/tun"].why == "it is not there"
    assert found["/dev/net/tun"].fix
    assert found["the whole tap"].why


@alone
def test_namespaces_that_are_forbidden() -> None:
    if os.getuid():
        pathlib.Path("/proc/sys/user/max_user_namespaces").write_text("0")
    else:
        kernel.keep_capabilities()  # as in a container
    found = findings()
    (namespaces,) = [finding for name, finding in found.items() if "namespaces" in name]
    assert namespaces.why
    assert namespaces.fix
    assert not namespaces.effect


def test_nothing_of_what_is_tried_stays() -> None:
    """Neither a process nor a namespace: each attempt is a child's."""
    here, before = os.readlink("/proc/self/ns/net"), children()
    findings()
    assert os.readlink("/proc/self/ns/net") == here
    assert children() <= before


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
