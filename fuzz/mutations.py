"""The mutated-capture run: `make mutations`, 10,000 by default. See tests/mutations.py.

usage: python fuzz/mutations.py [COUNT]
"""

import pathlib
import random
import resource
import sys
import time

HERE = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(HERE / "tests"))

from mutations import KINDS, SOUND, blocks, mutate, told  # noqa: E402


def main() -> None:
    """Every recording in turn, each mutation by its own seed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    paths = sorted((HERE / "recordings").glob("*.pcapng"))
    originals = [blocks(path) for path in paths]
    truths = [told(original) for original in originals]
    begun, slowest, wrong = time.monotonic(), 0.0, 0
    for seed in range(count):
        which = seed % len(paths)
        sound = seed % 2 == 0
        mutated = mutate(originals[which], SOUND if sound else KINDS, random.Random(seed))
        at = time.monotonic()
        found = told(mutated)
        slowest = max(slowest, time.monotonic() - at)
        if sound and found - truths[which]:
            wrong += 1
            print(f"seed {seed}, {paths[which].stem}: told wrongly:\n  " + "\n  ".join(map(str, found - truths[which])))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    print(
        f"{count} mutations of {len(paths)} recordings in {time.monotonic() - begun:.0f} s: no exception, slowest "
        f"{slowest * 1000:.0f} ms, {memory} MB at most, {wrong} exchanges told wrongly"
    )
    sys.exit(bool(wrong))


main()
