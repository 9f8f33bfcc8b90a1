"""What tshark finds in a recording and hark has not told."""

import pathlib
import subprocess
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

_REQUESTS = (("http.request.method", "http.request.uri"), ("http2.headers.method", "http2.headers.path"))
_STATUSES = ("http.response.code", "http2.headers.status")


def missed(path: pathlib.Path, entries: list[dict[str, Any]], keys: str = "") -> dict[object, int]:
    """(method, path) and status of what tshark has and the entries have not, by how often. HTTP/3 it cannot read."""
    names = [name for pair in _REQUESTS for name in pair] + list(_STATUSES)
    command = ["tshark", "-r", str(path), "-T", "fields", "-E", "aggregator=\x01"] + [
        w for n in names for w in ("-e", n)
    ]
    if keys:
        command += ["-o", f"tls.keylog_file:{keys}"]
    found: Counter[object] = Counter()
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        row = {name: [v for v in cell.split("\x01") if v] for name, cell in zip(names, line.split("\t"), strict=False)}
        for method, target in _REQUESTS:
            found.update((m, _path(p)) for m, p in zip(row.get(method, ()), row.get(target, ()), strict=False))
        for status in _STATUSES:
            found.update(int(value) for value in row.get(status, ()) if value.isdigit())
    told: Counter[object] = Counter()
    for entry in entries:
        told[entry["request"]["method"], _path(entry["request"]["url"])] += 1
        told.update([entry["response"]["status"], *(head["status"] for head in entry.get("_interim", ()))])
    return dict(found - told)


def _path(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or parts.scheme not in ("http", "https", "ws", "wss"):
        return url
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
