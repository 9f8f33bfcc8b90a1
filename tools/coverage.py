"""Branch coverage of the unit tests and the golden recordings, against a floor for each file of the source.

usage: python tools/coverage.py [--update | --rows] [PYTEST-ARGUMENTS...]

tests/coverage_floors.txt has a line for each file: the least percentage of lines and branches that must be reached.
--update raises the floors of files that are well above theirs, adds new files and drops those that are gone; a floor is
never lowered but by hand. --rows measures nothing: new files get the floor 0 until the next --update, and those that are
gone are dropped. With arguments for pytest nothing is compared: the figures of what they reach are printed.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOORS = ROOT / "tests" / "coverage_floors.txt"
SLACK = 2  # percent below what was measured: which branches a kernel or a timer takes differs a little from run to run
# Processes that are forked or started are measured too. The tracer in C: the one in Python takes an hour.
CONFIG = """
[run]
branch = true
source_pkgs = hark
parallel = true
core = ctrace
patch = subprocess, _exit
data_file = {folder}/data
disable_warnings = no-data-collected, module-not-measured, module-not-imported, couldnt-parse
[paths]
hark =
  {root}/src/hark
  */site-packages/hark
"""


def measure(arguments: list[str]) -> tuple[dict[str, float], int]:
    """Percentage by file, below the package; and pytest's status."""
    with tempfile.TemporaryDirectory(prefix="hark-coverage-", dir="/var/tmp") as folder:
        config, report = f"{folder}/rc", f"{folder}/report.json"
        pathlib.Path(config).write_text(CONFIG.format(folder=folder, root=ROOT))
        os.chmod(folder, 0o777)
        coverage = [sys.executable, "-m", "coverage"]
        tests = arguments or ["tests/unit", "tests/test_golden.py"]
        run = [*coverage, "run", f"--rcfile={config}", "-m", "pytest", "-p", "no:cacheprovider", *tests]
        status = subprocess.run(run, cwd=ROOT).returncode
        subprocess.run([*coverage, "combine", "-q", f"--rcfile={config}"], cwd=ROOT, check=True)
        made = [*coverage, "json", "-q", "-i", f"--rcfile={config}", "-o", report]
        subprocess.run(made, cwd=ROOT, check=True)
        files = json.loads(pathlib.Path(report).read_text())["files"]
    return {name.rpartition("/hark/")[2]: found["summary"]["percent_covered"] for name, found in files.items()}, status


def floors() -> dict[str, int]:
    """The table."""
    lines = FLOORS.read_text().splitlines() if FLOORS.exists() else []
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: int(floor) for floor, name in rows}


def write(table: dict[str, int]) -> None:
    """The table anew."""
    head = "# Percent of lines and branches that unit tests and goldens must reach: tools/coverage.py\n"
    FLOORS.write_text(head + "".join(f"{floor:3} {name}\n" for name, floor in sorted(table.items())))


def main(arguments: list[str]) -> int:
    """Measure, compare, perhaps raise."""
    if arguments == ["--rows"]:
        old, source = floors(), ROOT / "src" / "hark"
        write({name: old.get(name, 0) for name in (str(path.relative_to(source)) for path in source.rglob("*.py"))})
        return 0
    update = "--update" in arguments
    arguments = [word for word in arguments if word != "--update"]
    found, status = measure(arguments)
    old = floors()
    if arguments:
        for name, percent in sorted(found.items(), key=lambda item: item[1]):
            print(f"{percent:6.1f} {name}")
        return status
    if status:
        print("coverage: not compared, for tests have failed")
        return status
    low = {name: (percent, old[name]) for name, percent in found.items() if percent < old.get(name, 0)}
    for name, (percent, floor) in sorted(low.items()):
        print(f"coverage: {name} has {percent:.1f} %, its floor is {floor} %")
    if update:
        write({name: max(old.get(name, 0), int(percent) - SLACK, 0) for name, percent in found.items()})
    missing = sorted(found.keys() ^ old.keys())
    if missing and not update:
        print(f"coverage: no floor, or no file: {', '.join(missing)} (tools/coverage.py --update)")
    return 1 if low or (missing and not update) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
