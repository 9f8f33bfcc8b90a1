"""The decode part of `make bench`: `hark read --json` against tshark on the same files, made here, in one run.

tshark prints what it has dissected as JSON, as hark does, and, for its fastest form, six fields of each packet. Both
write to /dev/null. Times are whole processes on the wall, medians of interleaved rounds.
"""

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import recordings

QUICK = "--quick" in sys.argv
ROUNDS = 2 if QUICK else 3
BULK = (128 << 20) if QUICK else (1 << 30)
EXCHANGES = 5_000 if QUICK else 20_000
FIELDS = ["http.request.method", "http.request.uri", "http.response.code", "http2.headers.method", "http2.headers.path",
          "http2.headers.status"]  # fmt: skip
TOOLS = {
    "hark --json": ["hark", "read", "--json"],
    "tshark -T json": ["tshark", "-T", "json", "-r"],
    "tshark -T fields": ["tshark", "-T", "fields", *[word for name in FIELDS for word in ("-e", name)], "-r"],
}


def run(command: list[str], stdin: int = subprocess.DEVNULL) -> float:
    """Seconds that the command takes."""
    begun = time.perf_counter()
    subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def compare(path: pathlib.Path, tools: dict[str, list[str]]) -> dict[str, float]:
    """Each tool's median time for the file."""
    found: dict[str, list[float]] = {tool: [] for tool in tools}
    for _ in range(ROUNDS):
        for tool, command in tools.items():
            found[tool].append(run([*command, str(path)]))
    return {tool: statistics.median(times) for tool, times in found.items()}


def repeated(path: pathlib.Path, times: int, command: list[str]) -> tuple[float, float]:
    """(seconds, MB at most) of hark reading a file `times` times over from standard input, as sections of one stream."""
    feed = subprocess.Popen(
        ["sh", "-c", f'for n in $(seq {times}); do cat "$0"; done', str(path)], stdout=subprocess.PIPE
    )
    assert feed.stdout is not None
    begun = time.perf_counter()
    pid = os.fork()
    if not pid:
        os.dup2(feed.stdout.fileno(), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execvp(command[0], [*command, "-"])
    feed.stdout.close()
    _, status, usage = os.wait4(pid, 0)
    feed.wait()
    if status:
        raise SystemExit(f"hark read: status {status}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1000


def main() -> None:
    """Run it all."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        cert = recordings.certificate(place)
        files = {
            "bulk TLS 1.3": place / "bulk.pcapng",
            "HTTP/1 over TLS": place / "h1.pcapng",
            "HTTP/2 over TLS": place / "h2.pcapng",
        }
        recordings.bulk(files["bulk TLS 1.3"], cert, BULK)
        recordings.small(files["HTTP/1 over TLS"], cert, EXCHANGES, 20, recordings.http1)
        recordings.small(files["HTTP/2 over TLS"], cert, EXCHANGES, 20, recordings.http2)
        for title, path in files.items():
            took = compare(path, TOOLS)
            if "bulk" in title:
                told = ", ".join(f"{tool} {BULK / seconds / 1e9:.2f} GB/s" for tool, seconds in took.items())
                check("GB/s", BULK / took["hark --json"] / 1e9, ">=", 1.0, f"(f) {title}, {BULK >> 20} MiB: {told}")
            else:
                told = ", ".join(f"{tool} {EXCHANGES / seconds:,.0f}/s" for tool, seconds in took.items())
                wanted = 15_000 if "HTTP/2" in title else 0
                check(
                    "exchanges/s", EXCHANGES / took["hark --json"], ">=", wanted, f"(f) {EXCHANGES:,} {title}: {told}"
                )
            check("hark / tshark -T json", took["tshark -T json"] / took["hark --json"], ">=", 4)
            print(f"            hark / tshark -T fields: {took['tshark -T fields'] / took['hark --json']:.2f}")
        small = files["HTTP/1 over TLS"]
        growth(small)
        flows(place, cert)


def growth(path: pathlib.Path) -> None:
    """Time and memory against size."""
    sizes = (1, 4, 16) if QUICK else (1, 10, 50)
    took = {n: repeated(path, n, TOOLS["hark --json"]) for n in sizes}
    first, last = sizes[1], sizes[-1]
    told = ", ".join(f"{n * EXCHANGES:,} in {seconds:.1f} s, {size:.0f} MB" for n, (seconds, size) in took.items())
    slope = (took[last][0] / last) / (took[first][0] / first)
    check("time for each, last / middle", slope, "<=", 1.25, f"(g) growth: {told}")
    check("memory, last - middle, MB", took[last][1] - took[first][1], "<=", 8)


def flows(place: pathlib.Path, cert: tuple[pathlib.Path, pathlib.Path]) -> None:
    """Time against the number of connections that take turns; their handshakes are taken off by a file of nothing else."""
    times = {}
    for count in (10, 100, 1_000) if QUICK else (10, 100, 1_000, 10_000):
        path, bare = place / f"flows{count}.pcapng", place / "bare.pcapng"
        exchanges = max(
            EXCHANGES, 10 * count
        )  # what a connection's first exchange costs more is no matter of their number
        recordings.small(path, cert, exchanges, count, recordings.http1)
        recordings.small(bare, cert, 0, count, recordings.http1)
        hark = TOOLS["hark --json"]  # from standard input, which one process reads
        spent = [statistics.median(repeated(file, 1, hark)[0] for _ in range(ROUNDS)) for file in (path, bare)]
        times[count] = (spent[0] - spent[1]) / exchanges * 1e6
        path.unlink()
    told = ", ".join(f"{count:,}: {each:.0f} us" for count, each in times.items())
    most, least = max(times), min(times)
    check(
        "most / fewest",
        times[most] / times[least],
        "<=",
        1.5,
        f"(h) for each exchange, by connections open at a time: {told}",
    )


def check(what: str, value: float, wanted: str, limit: float, title: str = "") -> None:
    """A value with what was wanted of it."""
    if title:
        print(title)
    good = value >= limit if wanted == ">=" else value <= limit
    print(f"    {'reached' if good else 'MISSED '}  {what}: {value:,.2f} (wanted {wanted} {limit:,g})", flush=True)


if __name__ == "__main__":
    main()
