"""Two versions of hark against each other: `python bench/compare.py OLD NEW [PAIRS] [PART…]`, paths of their `hark` commands.

Each measure is taken from both in turn, PAIRS times (9), in one run on one machine; the order changes from pair to pair.
Printed is the median of the pairs' ratios, new to old, turned so that less than 1 is slower.
"""

import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import recordings  # noqa: E402

from world import ADDRESS4, World  # noqa: E402

OLD, NEW = sys.argv[1:3]
PAIRS = int(sys.argv[3]) if len(sys.argv) > 3 else 9
PARTS = sys.argv[4:]
PLAIN, TLS = f"http://{ADDRESS4}:8080", f"https://{ADDRESS4}:8443"
BULK = 300_000_000
LIMIT = 0.95
PER_SECOND = r"Requests/sec:\s+([\d.]+)"


def pairs(title: str, measure: Callable[[str], float], more_is_better: bool) -> bool:
    """One measure of both versions; whether its median ratio is within LIMIT."""
    if PARTS and not any(part in title for part in PARTS):
        return True
    ratios, values = [], []
    for number in range(PAIRS):
        order = (OLD, NEW) if number % 2 else (NEW, OLD)
        found = {hark: measure(hark) for hark in order}
        values.append(found)
        ratio = found[NEW] / found[OLD]
        ratios.append(ratio if more_is_better else 1 / ratio)
    middle = statistics.median(ratios)
    good = middle >= LIMIT
    old, new = (statistics.median(found[hark] for found in values) for hark in (OLD, NEW))
    print(
        f"{'ok    ' if good else 'SLOWER'} {title}: {middle:.3f} (pairs {min(ratios):.2f} to {max(ratios):.2f}; medians {old:,.1f} and {new:,.1f})",
        flush=True,
    )
    return good


class Live:
    """Commands in a world, under one hark or the other."""

    def __init__(self) -> None:
        self.world = World()
        with open(self.world.dir / "www" / "big", "wb") as file:
            file.truncate(BULK)
        (self.world.dir / "home" / "paced.py").write_text((HERE / "paced.py").read_text())

    def number(self, hark: str, command: list[str], value: str = r"([\d.]+)") -> float:
        """The first number that matches in what the command prints."""
        done = self.world.run("sh", "-c", f'exec {hark} "$@" 2>>said', "sh", *command, timeout=120)
        match = re.search(value, done.out.decode())
        assert done.status == 0 and match, (command, done)
        return float(match[1])

    def seconds(self, hark: str, command: list[str], times: int) -> float:
        """How long the command takes, the median of some times."""
        took = []
        for _ in range(times):
            begun = time.perf_counter()
            self.number(hark, ["sh", "-c", " ".join(command) + "; echo 1"])
            took.append(time.perf_counter() - begun)
        return statistics.median(took) * 1000


def live() -> list[bool]:
    """What a program feels."""
    bench = Live()
    held = []
    try:
        for name, url in (("plain", PLAIN), ("TLS", TLS)):
            get = ["sh", "-c", f"curl -sk -o /dev/null -w '%{{speed_download}}' {url}/big"]
            held.append(pairs(f"bulk {name} down, B/s", lambda hark, get=get: bench.number(hark, get), True))
        for count in (1, 32):
            paced = [sys.executable, "paced.py", ADDRESS4, "8080", str(count), "1500", "1000"]
            title = f"latency of small requests, {count} connections, us"
            held.append(pairs(title, lambda hark, paced=paced: bench.number(hark, paced), False))
            wrk = ["wrk", "-t1", f"-c{count}", "-d3", f"{PLAIN}/hello"]
            title = f"throughput of small requests, {count} connections, /s"
            held.append(pairs(title, lambda hark, wrk=wrk: bench.number(hark, wrk, PER_SECOND), True))
        wrk = ["wrk", "-t1", "-c8", "-d3", "-H", "Connection: close", f"{PLAIN}/hello"]
        held.append(pairs("a connection for each request, /s", lambda hark: bench.number(hark, wrk, PER_SECOND), True))
        held.append(pairs("start-up, ms", lambda hark: bench.seconds(hark, ["true"], 7), False))
    finally:
        bench.world.close()
    return held


def decode() -> list[bool]:
    """What reading a recording takes."""
    held = []
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        cert = recordings.certificate(place)
        bulk, h1, h2 = (place / f"{kind}.pcapng" for kind in ("bulk", "h1", "h2"))
        recordings.bulk(bulk, cert, 256 << 20)
        recordings.small(h1, cert, 5_000, 20, recordings.http1)
        recordings.small(h2, cert, 5_000, 20, recordings.http2)

        def read(hark: str, path: pathlib.Path) -> float:
            begun = time.perf_counter()
            subprocess.run([hark, "read", "--json", str(path)], stdout=subprocess.DEVNULL, check=True)
            return (time.perf_counter() - begun) * 1000

        for title, path in (("bulk TLS", bulk), ("HTTP/1 over TLS", h1), ("HTTP/2 over TLS", h2)):
            held.append(pairs(f"hark read --json, {title}, ms", lambda hark, path=path: read(hark, path), False))
    return held


if __name__ == "__main__":
    sys.exit(0 if all([*live(), *decode()]) else 1)
