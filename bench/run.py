"""`make bench`: hark against untapped, pasta, slirp4netns and mitmdump, in one run on one machine, as ratios.

Every number is a ratio to something measured in the same run, rounds interleaved, medians taken: absolute times of such
machines mean nothing. Servers and clients are real (nginx, curl, wrk) and run as an ordinary user in a network
namespace of their own. pasta and slirp4netns carry traffic and show nothing; mitmdump and hark decode all of it; hark's
terminal view is on and goes to a file.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import decode  # noqa: E402
import views  # noqa: E402
from decode import check  # noqa: E402

from world import ADDRESS4, World  # noqa: E402

QUICK = "--quick" in sys.argv
PARTS = [word for word in sys.argv[1:] if not word.startswith("-")]
ROUNDS = 2 if QUICK else 5
BULK = 300_000_000 if QUICK else 1_000_000_000
SECONDS = 2 if QUICK else 4
PLAIN, TLS = f"http://{ADDRESS4}:8080", f"https://{ADDRESS4}:8443"
SLIRP = """
unshare -Urn sh -c 'echo $$ >"$1"; while [ ! -e "$1.ready" ]; do sleep 0.01; done; shift; exec "$@"' sh "$P" "$@" &
child=$!
while [ ! -s "$P" ]; do sleep 0.01; done
slirp4netns --configure --mtu=65520 $(cat "$P") tap0 >/dev/null 2>&1 &
slirp=$!
sleep 0.4; : >"$P.ready"; wait $child; status=$?; kill $slirp; exit $status
"""


class Bench:
    """Runs a command under each tool."""

    def __init__(self) -> None:
        self.world = World()
        self.said = self.world.dir / "home" / "said"
        enter = self.world.prefix[:4] if self.world.root else self.world.prefix
        # pasta takes its addresses from an interface with a default route.
        script = "ip link add b0 type veth peer b1 && ip addr add 10.77.0.1/24 dev b0 && ip link set b0 up && ip link set b1 up && ip route add default via 10.77.0.2"
        subprocess.run([*enter, "sh", "-c", script], check=True)
        (self.world.dir / "home" / "slirp.sh").write_text(SLIRP)
        big = self.world.dir / "www" / "big"
        with open(big, "wb") as file:
            file.truncate(BULK)
        self.world.start(["mitmdump", "-q", "--listen-port", "7900", "--ssl-insecure", "--set", "flow_detail=1"])
        self.world.wait_for("127.0.0.1", 7900)

    def run(self, tool: str, *command: str) -> str:
        """What the command prints, run under the tool."""
        env: dict[str, str] = {}
        if tool == "pasta":
            command = ("pasta", "--config-net", "--quiet", "--", *command)
        elif tool == "slirp4netns":
            mark = self.world.dir / "home" / f"pid{time.monotonic_ns()}"
            env["P"] = str(mark)
            command = ("sh", "slirp.sh", *command)
        elif tool == "hark":
            command = ("sh", "-c", 'exec hark "$@" 2>>said', "sh", *command)
        elif tool == "mitmdump":
            command = tuple(word.replace("curl", "curl -x http://127.0.0.1:7900") for word in command)
        done = self.world.run(*command, timeout=300, **env)
        if done.status:
            raise SystemExit(
                f"{tool}: {' '.join(command)}: status {done.status}: {done.out[-300:]!r} {done.err[-600:]}"
            )
        return done.out.decode()

    def rounds(self, tools: list[str], *command: str, value: str = r"([\d.]+)") -> dict[str, float]:
        """The median of the first number that matches, for each tool, rounds interleaved."""
        found: dict[str, list[float]] = {tool: [] for tool in tools}
        for _ in range(ROUNDS):
            for tool in tools:
                match = re.search(value, self.run(tool, *command))
                assert match, command
                found[tool].append(float(match[1]))
        return {tool: statistics.median(values) for tool, values in found.items()}


def show(title: str, values: dict[str, float], unit: str, scale: float = 1.0) -> None:
    """One comparison as a line."""
    base = values["untapped"]
    told = ", ".join(f"{tool} {value / scale:,.0f} {unit} ({value / base:.2f} x)" for tool, value in values.items())
    print(f"{title}: {told}")


def bulk(bench: Bench) -> None:
    """(a) A gigabyte down."""
    for name, url in (("plain", PLAIN), ("TLS", TLS)):
        tools = ["untapped", "hark", "pasta", "slirp4netns", "mitmdump"]
        command = f"curl -sk -o /dev/null -w '%{{speed_download}}' {url}/big"
        values = bench.rounds(tools, "sh", "-c", command)
        show(f"(a) {BULK / 1e9:g} GB {name} down", values, "MB/s", 1e6)
        check("hark / untapped", values["hark"] / values["untapped"], ">=", 0.4)
        check("hark / slirp4netns that shows nothing", values["hark"] / values["slirp4netns"], ">=", 0.8)


def small(bench: Bench) -> None:
    """(b) Small requests over kept-alive connections."""
    paced = str(HERE / "paced.py")
    (bench.world.dir / "home" / "paced.py").write_text(pathlib.Path(paced).read_text())
    for connections in (1, 32):
        tools = ["untapped", "hark", "pasta", "slirp4netns"]
        command = (sys.executable, "paced.py", ADDRESS4, "8080", str(connections), "1500", "1000")
        values = bench.rounds(tools, *command)
        show(f"(b) median latency, {connections} kept-alive connections, 1,000 requests/s", values, "us")
        check("added by hark, us", values["hark"] - values["untapped"], "<=", 150)
        command = ("wrk", "-t1", f"-c{connections}", f"-d{SECONDS}", f"{PLAIN}/hello")
        values = bench.rounds(tools, *command, value=r"Requests/sec:\s+([\d.]+)")
        show(f"(b) throughput, {connections} kept-alive connections", values, "requests/s")
        check("hark / pasta that shows nothing", values["hark"] / values["pasta"], ">=", 0.25)


def connections(bench: Bench) -> None:
    """(c) A connection for each request."""
    tools = ["untapped", "hark", "pasta", "slirp4netns"]
    command = ("wrk", "-t1", "-c8", f"-d{SECONDS}", "-H", "Connection: close", f"{PLAIN}/hello")
    values = bench.rounds(tools, *command, value=r"Requests/sec:\s+([\d.]+)")
    show("(c) a connection for each request, 8 at a time", values, "requests/s")


def start(bench: Bench) -> None:
    """(d) Start-up."""
    program = (
        "import subprocess,sys,time\nt=[]\n"
        "for _ in range(15):\n a=time.perf_counter(); subprocess.run(sys.argv[1:],stderr=subprocess.DEVNULL); t.append(time.perf_counter()-a)\n"
        "print(sorted(t)[7]*1000)"
    )
    found = {}
    for tool, command in (
        ("true", ["true"]),
        ("python -c ''", [sys.executable, "-c", ""]),
        ("hark true", ["hark", "true"]),
    ):
        found[tool] = float(bench.world.run(sys.executable, "-c", program, *command).out)
    print("(d) start-up: " + ", ".join(f"{name} {value:.1f} ms" for name, value in found.items()))
    check("hark true - true, ms", found["hark true"] - found["true"], "<=", 120)
    loop = "import subprocess,time\na=time.perf_counter()\nfor _ in range(300): subprocess.run(['/bin/true'])\nprint((time.perf_counter()-a)/300*1e6)"
    plain = [float(bench.run("untapped", sys.executable, "-c", loop)) for _ in range(ROUNDS)]
    heard = [float(bench.run("hark", sys.executable, "-c", loop)) for _ in range(ROUNDS)]
    check("agent: added to each exec, us", statistics.median(heard) - statistics.median(plain), "<=", 2000)


def memory(bench: Bench) -> None:
    """(e) Memory after 100,000 exchanges."""
    seconds = 4 if QUICK else 10
    started = bench.world.popen(
        ["sh", "-c", f"exec hark wrk -t1 -c8 -d{seconds} {PLAIN}/hello 2>>said"], stdout=subprocess.PIPE
    )
    sizes = []
    for _ in range(2):
        time.sleep(seconds / 2 - 0.7)
        sizes.append(resident(bench.world))
    out = (started.communicate()[0] or b"").decode()
    count = int((re.search(r"(\d+) requests in", out) or [0, 0])[1])
    print(
        f"(e) memory of all hark processes, shared pages counted once: {sizes[0]:.0f} MB half way, {sizes[1]:.0f} MB after {count:,} exchanges"
    )
    check("MB at the end", sizes[1], "<=", 200)
    check("growth in the second half, MB", sizes[1] - sizes[0], "<=", 8)


def resident(world: World) -> float:
    """MB of memory that hark's processes hold, each page once (PSS)."""
    total = 0
    for line in world.processes():
        try:
            rollup = pathlib.Path(f"/proc/{line.split()[0]}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int((re.search(r"^Pss:\s+(\d+)", rollup, re.M) or [0, 0])[1])
    return total / 1000


def main() -> None:
    """Run every part."""
    print(f"{os.cpu_count()} processors, Linux {os.uname().release}, {ROUNDS} rounds each, medians")
    if not PARTS or "decode" in PARTS:
        decode.main()
    if not PARTS or "views" in PARTS:
        views.main()
    if PARTS in (["decode"], ["views"]):
        return
    bench = Bench()
    try:
        for part in (bulk, small, connections, start, memory):
            if not PARTS or part.__name__ in PARTS:
                part(bench)
    finally:
        bench.world.close()


main()
