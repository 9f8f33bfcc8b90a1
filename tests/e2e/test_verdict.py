"""A view may decide hark's exit status, where the program's own is 0 (tests/programs/toyview.py)."""

import pathlib
import shutil
import sys

import pytest

URL = "http://192.0.2.10:8080"


@pytest.mark.parametrize(
    "script, status",
    [
        (f"curl -s {URL}/hello", 0),
        (f"curl -s {URL}/hello; curl -s {URL}/none", 3),
        (f"curl -s {URL}/none; exit 7", 7),  # the program's own comes first
        ("exit 7", 7),
    ],
)
def test_the_exit_status_of_a_run(world, script: str, status: int) -> None:
    shutil.copy(pathlib.Path(__file__).parent.parent / "programs" / "toyview.py", world.dir / "toyview.py")
    command = [sys.executable, str(world.dir / "toyview.py"), "-q", "-o", "x.csv"]
    run = world.run(*command, "sh", "-c", script)
    assert (run.status, run.err) == (status, "")
    lines = (world.dir / "home" / "x.csv").read_text().splitlines()
    assert len(lines) == script.count("curl")
