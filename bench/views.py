"""What people wait for: DevTools with 10,000 exchanges, keys of the terminal browser with 10,000 rows.

DevTools: from the connection to the answer of Network.enable, to the first row's events, and until all events of 10,000
exchanges are delivered. The browser: a real terminal (pty), a key, and the time until what it changed is drawn.
"""

import json
import os
import pathlib
import pty
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time

COUNT = 10_000
_QUIET = 0.03  # s without output after which a key's effect is drawn


def recording(path: pathlib.Path) -> None:
    """A HAR of COUNT exchanges."""

    def entry(n: int) -> dict:
        body = json.dumps({"item": n, "text": "x" * 200})
        return {
            "startedDateTime": f"2026-11-21T12:{n // 600 % 60:02d}:{n // 10 % 60:02d}.{n % 10}00Z", "time": 5.0,
            "request": {"method": "GET", "url": f"https://host{n % 7}.example.com/item/{n}", "httpVersion": "HTTP/2", "cookies": [], "headers": [{"name": "accept", "value": "*/*"}], "queryString": [], "headersSize": 60, "bodySize": 0},
            "response": {"status": 200 if n % 10 else 404, "statusText": "", "httpVersion": "HTTP/2", "cookies": [], "headers": [{"name": "content-type", "value": "application/json"}],
                         "content": {"size": len(body), "mimeType": "application/json", "text": body}, "redirectURL": "", "headersSize": 90, "bodySize": len(body)},
            "cache": {}, "timings": {"send": 0.1, "wait": 4.5, "receive": 0.4}, "serverIPAddress": "192.0.2.10", "connection": str(n % 7 + 1),
        }  # fmt: skip

    path.write_text(
        json.dumps(
            {
                "log": {
                    "version": "1.2",
                    "creator": {"name": "bench", "version": "1"},
                    "entries": [entry(n) for n in range(COUNT)],
                }
            }
        )
    )


def devtools(path: pathlib.Path) -> None:
    """How long a frontend waits."""
    from websockets.sync.client import connect

    hark = [sys.executable, "-m", "hark", "read", "-q", "--devtools", str(path)]
    running = subprocess.Popen(hark, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    while not (found := re.search(r"ws=([^&]+)", running.stderr.readline())):
        pass
    time.sleep(3)  # the recording is read
    times: list[tuple[float, float, float]] = []
    for _ in range(5):
        start = time.monotonic()
        with connect(f"ws://{found[1]}", max_size=None, compression=None) as link:
            link.send('{"id":1,"method":"Network.enable"}')
            answered = first = 0.0
            seen = 0
            while seen < COUNT:
                told = link.recv(timeout=30)
                if not answered and '"id":1' in told:
                    answered = time.monotonic() - start
                if '"Network.loadingFinished"' in told:
                    first = first or time.monotonic() - start
                    seen += 1
            times.append((answered, first, time.monotonic() - start))
    running.terminate()
    running.wait()
    answered, first, every = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    print(
        f"DevTools, {COUNT} exchanges: answered {answered:.1f} ms, first row {first:.1f} ms, all delivered {every:.0f} ms (2,000 wanted)"
    )


def browser(path: pathlib.Path) -> None:
    """How long a key takes to the screen."""
    pid, terminal = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "hark", "read", "--ui", str(path)])
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    seen = b""
    until = time.monotonic() + 30
    while b"ended" not in seen and time.monotonic() < until:
        seen = (seen + drain(terminal, 0.2)[1])[-100_000:]
    for name, keys in (
        ("move", [b"\x1b[A"] * 20 + [b"\x1b[B"] * 20),
        ("page", [b"\x1b[5~"] * 20),
        ("ends", [b"\x1b[H", b"\x1b[F"] * 10),
        (
            "filter",
            [
                b"/",
                *(bytes((sign,)) for sign in b"host3 4"),
                *[b"\x7f"] * 7,
                *(bytes((sign,)) for sign in b"status:4xx"),
            ],
        ),
    ):
        times = sorted(draw(terminal, key) for key in keys)
        print(
            f"Terminal browser, {COUNT} rows, {name}: median {times[len(times) // 2] * 1000:.0f} ms, worst {times[-1] * 1000:.0f} ms (50 wanted)"
        )
    os.write(terminal, b"\x1b\x1bq")
    os.kill(pid, 15)
    os.waitpid(pid, 0)


def draw(terminal: int, key: bytes) -> float:
    """s from a key to the last byte that it draws."""
    start = time.monotonic()
    os.write(terminal, key)
    last, _ = drain(terminal, 0.5)
    return last - start


def drain(terminal: int, patience: float) -> tuple[float, bytes]:
    """(when the last byte came, all bytes) until it is quiet."""
    last, seen = time.monotonic(), b""
    while select.select([terminal], [], [], _QUIET if seen else patience)[0]:
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError:
            break
        last = time.monotonic()
    return last, seen


def main() -> None:
    """Both."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "many.har"
        recording(path)
        devtools(path)
        browser(path)


if __name__ == "__main__":
    main()
