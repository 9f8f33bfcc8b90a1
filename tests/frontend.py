"""Drives a real headless Chromium over its own protocol. Runs by itself, inside the tests' world:

    python frontend.py < steps.json > results.json

steps: [["go", url], ["js", expression], ["wait", expression], ["keys", text], ["shot", file, width, height]]; a result
for each. `deep(selector)` in expressions finds elements through shadow roots, as DevTools' own page is made of them.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from websockets.sync.client import connect

DEEP = """window.deep ??= (selector, root = document) => { const found = [...root.querySelectorAll(selector)];
 for (const one of root.querySelectorAll('*')) if (one.shadowRoot) found.push(...deep(selector, one.shadowRoot)); return found; };
 window.press ??= one => { for (const kind of ['mousedown', 'mouseup', 'click']) one.dispatchEvent(new MouseEvent(kind, {bubbles: true, composed: true, button: 0})); };
 window.text ??= one => !one ? '' : [...one.childNodes].map(n => n.nodeType === 3 ? n.textContent : n.tagName === 'STYLE' ? '' : text(n)).join('') + (one.shadowRoot ? text(one.shadowRoot) : '');"""
PATIENCE = 120  # s; 10,000 rows take Chromium 25 s on an idle machine with two processors


class Chromium:
    """A browser with a page."""

    def __init__(self, *options: str, attach: int = 0) -> None:
        self._open = contextlib.ExitStack()
        self.port = attach or self._start(options)
        targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json/list"))
        where = next(t for t in targets if t["type"] == "page")["webSocketDebuggerUrl"]
        self._link = self._open.enter_context(connect(where, max_size=None))
        self._number = 0

    def _start(self, options: tuple[str, ...]) -> int:
        """A headless one of our own; its port."""
        profile = tempfile.mkdtemp(prefix="hark-chromium-")
        self._open.callback(shutil.rmtree, profile, ignore_errors=True)
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                   f"--user-data-dir={profile}", "--remote-debugging-port=0", "--window-size=1400,850", *options, "about:blank"]  # fmt: skip
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._open.callback(running.wait)
        self._open.callback(running.terminate)
        where = pathlib.Path(profile, "DevToolsActivePort")
        deadline = time.monotonic() + PATIENCE  # this file runs alone, apart from world.py
        while not (where.exists() and where.read_text().count("\n")):
            assert time.monotonic() < deadline and running.poll() is None, "Chromium did not start"
            time.sleep(0.05)
        return int(where.read_text().split("\n")[0])

    def call(self, method: str, **params: object) -> dict:
        """A command and its result."""
        self._number += 1
        self._link.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            told = json.loads(self._link.recv(timeout=PATIENCE))
            if told.get("id") == self._number:
                assert "error" not in told, (method, told)
                return told["result"]

    def js(self, expression: str) -> object:
        """The value of an expression, awaited."""
        result = self.call("Runtime.evaluate", expression=f"{DEEP} {expression}", returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str) -> object:
        """The value, once it is true."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.js(expression)):
            assert time.monotonic() < deadline, (
                f"never true: {expression}; the page: {self.js('text(document.body)')[:2000]}"
            )
            time.sleep(0.05)
        return value

    def go(self, url: str) -> None:
        """Open a page."""
        self.call("Page.navigate", url=url)

    def shot(self, path: str, width: int = 1400, height: int = 850) -> None:
        """A picture of the page."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        time.sleep(0.3)  # nothing says when a page is painted in its new size
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def file(self, expression: str, path: str) -> None:
        """Give a file to the input element that the expression finds."""
        found = self.call("Runtime.evaluate", expression=f"{DEEP} {expression}")["result"]
        assert "objectId" in found, f"no such element: {expression}"
        self.call("DOM.setFileInputFiles", files=[path], objectId=found["objectId"])

    def keys(self, text: str) -> None:
        """Type."""
        self.call("Input.insertText", text=text)

    def close(self) -> None:
        """End it, where it is ours."""
        self._open.close()


def main() -> None:
    """Run the steps of standard input."""
    steps = json.load(sys.stdin)
    browser = Chromium(
        *json.loads(os.environ.get("CHROMIUM_OPTIONS", "[]")), attach=int(os.environ.get("CHROMIUM_ATTACH", "0"))
    )
    try:
        results = [getattr(browser, step[0])(*step[1:]) for step in steps]
    finally:
        browser.close()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
