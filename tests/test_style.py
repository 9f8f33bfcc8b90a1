"""ruff and mypy --strict are part of the suite."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def _run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    _run("ruff", "check", "--no-cache", "src", "tests", "tools", "bench", "recordings", "setup.py")
    _run("ruff", "format", "--no-cache", "--check", "src", "tests", "tools", "bench", "recordings", "setup.py")


def test_mypy() -> None:
    _run("mypy", "--cache-dir=/dev/null")
