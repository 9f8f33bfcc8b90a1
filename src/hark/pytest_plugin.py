"""A pytest plugin: the fixture `hark` taps the commands that a test runs, and tells what was heard where it fails.

def test_sync(hark):
    exchanges = hark.run(["my-tool", "sync"])
    assert [(e.method, e.status) for e in exchanges] == [("GET", 200), ("PUT", 204)]
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # at run time only where the fixture is used: pytest loads this file in every project
    from hark import Live, Recording

_HEARD = pytest.StashKey["list[Recording]"]()


class Hark:
    """run, listen and read as in the module hark; what they hear is shown when the test fails."""

    def __init__(self, heard: "list[Recording]") -> None:
        self._heard = heard

    def run(self, command: Sequence[Any], **options: Any) -> "Recording":
        """hark.run()"""
        import subprocess

        from hark import run

        try:
            recording = run(command, **options)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            self._heard.append(error.recording)  # type: ignore[union-attr]  # run() sees to it
            raise
        self._heard.append(recording)
        return recording

    def listen(self, command: Sequence[Any], **options: Any) -> "Live":
        """hark.listen()"""
        from hark import listen

        live = listen(command, **options)
        self._heard.append(live.recording)
        return live

    def read(self, path: Any, **options: Any) -> "Recording":
        """hark.read()"""
        from hark import read

        recording = read(path, **options)
        self._heard.append(recording)
        return recording


@pytest.fixture
def hark(request: pytest.FixtureRequest) -> Iterator[Hark]:
    """Taps commands: hark.run([...]) returns the exchanges that they made."""
    heard: list[Recording] = []
    request.node.stash[_HEARD] = heard
    yield Hark(heard)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add what was heard to the report of a test that failed."""
    outcome: Any = yield
    report = outcome.get_result()
    heard = item.stash.get(_HEARD, [])
    if report.when == "call" and report.failed and heard:
        report.sections.append(("exchanges that hark captured", "\n".join(map(repr, heard))))


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Comparing a recording, an exchange or a failure shows lines rather than everything inside."""
    api = sys.modules.get("hark.api")
    if api is None or not any(isinstance(side, api.Recording | api.Exchange | api.Failure) for side in (left, right)):
        return None
    shown = [str(side) if isinstance(side, api.Exchange | api.Failure) else repr(side) for side in (left, right)]
    return [f"comparison by {op} of", *shown[0].splitlines(), "and", *shown[1].splitlines()]
