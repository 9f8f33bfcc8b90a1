"""--time: what begins a line of the terminal view."""

import pathlib
import re

import pytest

from hark.cli import main
from hark.options import Options
from hark.pipeline.build import stamps

RECORDINGS = sorted((pathlib.Path(__file__).parent.parent.parent / "recordings").glob("*.pcapng"))
DAY, START = re.compile(r"\d\d:\d\d:\d\d\.\d{3} "), re.compile(r" *-?\d+\.\d{3} ")


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_every_line_has_its_time_and_is_the_same_beside_it(path: pathlib.Path, capfd, monkeypatch) -> None:
    """Requests, failures, messages: each begins with a time; what belongs to a line, and reports, do not."""
    monkeypatch.setenv("TZ", "UTC")
    for verbose in ([], ["-v"]):
        main(["read", *verbose, str(path)])
        plain = capfd.readouterr().out.splitlines()
        for option, pattern in (("--time", DAY), ("--time=start", START)):
            main(["read", *verbose, option, str(path)])
            timed = capfd.readouterr().out.splitlines()
            assert len(timed) == len(plain)
            for line, bare in zip(timed, plain, strict=True):
                stamp = pattern.match(line) if line != bare else None
                assert (line[stamp.end() :] if stamp else line) == bare
                if not verbose:
                    assert bool(stamp) != bare.startswith(("hark: ", "  ")), line


def test_times_of_any_number() -> None:
    """A file may say any time: no year of a calendar is shown as seconds."""
    options = Options()
    options.time = "day"
    of_day = stamps(options)
    assert DAY.match(of_day(1_700_000_000_123_456_789) + " ") and of_day(1_700_000_000_123_456_789).endswith(".123")
    assert of_day(10**30) == f"{10**21}.000"
    options.time = "start"
    since = stamps(options)
    assert [since(at).strip() for at in (5_000_000_000, 5_250_000_000, 4_000_000_000)] == ["0.000", "0.250", "-1.000"]
