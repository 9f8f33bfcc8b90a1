"""A pytest plugin: the fixture `hark` runs commands under hark; the report of a failed test lists their exchanges.

def test_sync(hark):
    exchanges = hark.run(["my-tool", "sync"])
    assert [(e.method, e.status) for e in exchanges] == [("GET", 200), ("PUT", 204)]
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # at run time only if the fixture is used: pytest loads this file in every project
    from hark import Live, Recording

_RECORDINGS = pytest.StashKey["list[Recording]"]()


class Hark:
    """run, listen and read as in the module hark; their recordings are shown if the test fails."""

    def __init__(self, recordings: "list[Recording]") -> None:
        self._recordings = recordings

    def run(self, command: Sequence[Any], **options: Any) -> "Recording":
        """hark.run()"""
        import subprocess

        from hark import run

        try:
            recording = run(command, **options)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            self._recordings.append(error.recording)  # type: ignore[union-attr]  # run() adds it
            raise
        self._recordings.append(recording)
        return recording

    def listen(self, command: Sequence[Any], **options: Any) -> "Live":
        """hark.listen()"""
        from hark import listen

        live = listen(command, **options)
        self._recordings.append(live.recording)
        return live

    def read(self, path: Any, **options: Any) -> "Recording":
        """hark.read()"""
        from hark import read

        recording = read(path, **options)
        self._recordings.append(recording)
        return recording


@pytest.fixture
def hark(request: pytest.FixtureRequest) -> Iterator[Hark]:
    """Runs commands under hark: hark.run([...]) returns the exchanges that they made."""
    recordings: list[Recording] = []
    request.node.stash[_RECORDINGS] = recordings
    yield Hark(recordings)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the recordings to the report of a failed test."""
    outcome: Any = yield
    report = outcome.get_result()
    recordings = item.stash.get(_RECORDINGS, [])
    if report.when == "call" and report.failed and recordings:
        report.sections.append(("exchanges that hark captured", "\n".join(map(repr, recordings))))


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Comparing a recording, an exchange or a failure shows lines rather than everything inside."""
    values = sys.modules.get("hark.values")  # without it there is none of these
    if values is None:
        return None
    one_line, report = values.Exchange | values.Failure, values.Recording
    if not any(isinstance(side, one_line | report) for side in (left, right)):
        return None
    texts = [str(side) if isinstance(side, one_line) else repr(side) for side in (left, right)]
    return [f"comparison by {op} of", *texts[0].splitlines(), "and", *texts[1].splitlines()]
