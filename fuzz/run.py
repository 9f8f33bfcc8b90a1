"""`make fuzz`: every target of targets.py for ten minutes, two at a time; the exit status says whether all held.

usage: python fuzz/run.py [SECONDS]
"""

import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).parent


def run(target: str) -> bool:
    """One target; whether it held."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "600"
    done = subprocess.run(
        [sys.executable, str(HERE / "targets.py"), target, seconds], cwd=HERE.parent, capture_output=True, text=True
    )
    runs = re.findall(r"^#(\d+)", done.stderr, re.M)
    print(f"{target}: {'held' if not done.returncode else 'FAILED'} after {runs[-1] if runs else 0} runs", flush=True)
    if done.returncode:
        print(done.stderr[-3000:])
    return not done.returncode


def main() -> None:
    """All of them."""
    targets = re.findall(r'^    "(\w+)": ', (HERE / "targets.py").read_text(), re.M)
    with ThreadPoolExecutor(2) as pool:
        sys.exit(0 if all(list(pool.map(run, targets))) else 1)


main()
