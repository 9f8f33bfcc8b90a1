"""Renews the pictures in docs/: a real Chromium's DevTools and the HTML page, the terminal browser by Textual.

Run by `make screenshots`. Look at them before you commit them.
"""

import json
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "tests"))

from servers import asgi  # noqa: E402
from world import World  # noqa: E402

PROGRAM = """
curl -s https://example.com/ https://example.com/item.json >/dev/null
curl -s -d '{"order": 23, "items": ["tea", "milk"]}' -H 'Content-Type: application/json' -H 'Authorization: Bearer 123' https://site.test:7073/orders >/dev/null
curl -s 'https://site.test:8443/page.html?[1-3]' https://site.test:8443/fail >/dev/null
curl -s https://site.test:7073/events >/dev/null
wget -q -O /dev/null https://site.test:8443/item.json
python3 -c 'import urllib.request; urllib.request.urlopen("http://192.0.2.10:8080/hello").read()'
curl -s http://198.51.100.7/; curl -s http://nosuch.invalid/; curl -s -L -o /dev/null https://site.test:8443/moved; true
"""
BROWSE = """
import asyncio
from hark.pipeline.save import save
from hark.recording.reader import read
from hark.pipeline.pipeline import Pipeline, replay
from hark.views.feed import Feed
from hark.frontends.ui.app import Browser
out = []
replay(read(open("shots.pcapng", "rb"), "shots"), Pipeline([Feed(out.append)], 1 << 20))
async def main():
    app = Browser(b"".join(out).splitlines(keepends=True), save, "hark read shots.pcapng")
    async with app.run_test(size=(150, 30)) as pilot:
        await pilot.pause(1.0)
        await pilot.press("home", "down", "down", "enter", "1")
        await pilot.pause(0.5)
        app.save_screenshot("ui.svg")
asyncio.run(main())
"""


def main() -> None:
    """All of them."""
    world = World()
    try:
        asgi(world)
        home = world.dir / "home"
        (world.dir / "frontend.py").write_text((ROOT / "tests" / "frontend.py").read_text())
        (home / ".wgetrc").write_text(f"ca_certificate = {world.dir}/cert.pem\n")
        run = world.run(
            "hark",
            "-q",
            "-o",
            "shots.pcapng",
            "-o",
            "shots.html",
            "sh",
            "-c",
            PROGRAM,
            CURL_CA_BUNDLE=str(world.dir / "cert.pem"),
        )
        assert run.status == 0, run.err
        devtools(world)
        page = [["go", f"file://{home}/shots.html"], ["wait", "document.querySelectorAll('tbody tr').length"], ["js", "document.querySelectorAll('tbody tr')[2].click()"], ["shot", f"{home}/page.png", 1200, 640]]  # fmt: skip
        drive(world, page)
        made = world.run(sys.executable, "-c", BROWSE)
        assert made.status == 0, made.err
        for name in ("devtools.png", "page.png", "ui.svg"):
            (DOCS / name).write_bytes((home / name).read_bytes())
            print(f"docs/{name}: {(DOCS / name).stat().st_size} bytes")
    finally:
        world.close()


def drive(world: World, steps: list) -> None:
    """Chromium does it."""
    run = world.run(sys.executable, str(world.dir / "frontend.py"), input=json.dumps(steps).encode(), timeout=120)
    assert run.status == 0, run.err


def devtools(world: World) -> None:
    """The Network panel with a request opened."""
    home = world.dir / "home"
    with open(home / "shots.err", "wb") as err:
        running = world.popen(["hark", "read", "-q", "--devtools", "shots.pcapng"], stderr=err)
    while not (found := re.search(r"devtools://\S+", (home / "shots.err").read_text())):
        time.sleep(0.05)
    row = "deep('.network-log-grid td').find(r => text(r).includes('orders'))"
    drive(
        world,
        [
            ["go", found[0]],
            ["wait", f"!!{row}"],
            ["js", f"press({row})"],
            ["wait", "deep('[role=tab]').some(t => text(t) == 'Payload')"],
            ["js", "new Promise(done => setTimeout(done, 2000))"],  # the overview is drawn late
            ["shot", f"{home}/devtools.png", 1200, 640],
        ],
    )
    running.terminate()
    running.wait()


if __name__ == "__main__":
    main()
