"""Framing as real servers get it wrong or do it in rare ways: what hark shows is what the client itself made of it.

A raw server answers each row of a table with its bytes. Clients fetch all rows, one hark run each; where a client
accepts the response, its own status and body must be those of hark's entry. Where it does not, the request is shown all
the same, with what can be read of the answer.
"""

import base64
import gzip
import json
import sys
from typing import NamedTuple

import pytest

from world import program

PORT = 7521


class Row(NamedTuple):
    """sent: the server's bytes. closes: it closes behind them; else it waits for another request. method: of the
    request. but: clients that make something else of it, in which hark does not follow them, and why. trouble: a word of
    hark's mark."""

    sent: bytes
    closes: bool = False
    method: str = "GET"
    but: tuple[str, ...] = ()
    trouble: str = ""


OK = b"HTTP/1.1 200 OK\r\n"
# urllib takes each 1xx but 100 for the final answer; wget takes a length that is none for 0 (others read to the end), and
# one beside chunks for true; most clients leave a transfer coding on; what follows a 101 is another protocol's, which
# curl prints all the same.
ZIPPED = gzip.compress(b"packed body", mtime=0)
ROWS = {
    "plain": Row(OK + b"Content-Length: 5\r\n\r\nhello"),
    "no-reason": Row(b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello"),
    "no-reason-but-a-space": Row(b"HTTP/1.1 203 \r\nContent-Length: 5\r\n\r\nhello"),
    "odd-reason": Row("HTTP/1.1 200 Très bien: 42%\r\nContent-Length: 5\r\n\r\nhello".encode()),
    "unknown-status": Row(b"HTTP/1.1 299 Fine\r\nContent-Length: 5\r\n\r\nhello"),
    "bare-lf": Row(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    "mixed-line-ends": Row(b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 5\r\n\nhello"),
    "obs-fold": Row(OK + b"X-Long: one\r\n  two\r\n\tthree\r\nContent-Length: 5\r\n\r\nhello"),
    "chunks": Row(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
    "chunk-extensions": Row(OK + b'Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2 ; q="x;y"\r\nlo\r\n0;last\r\n\r\n'),
    "chunk-leading-zeros": Row(OK + b"Transfer-Encoding: chunked\r\n\r\n000003\r\nhel\r\n02\r\nlo\r\n000\r\n\r\n"),
    "chunk-upper-case": Row(OK + b"Transfer-Encoding: Chunked\r\n\r\nB\r\nhello world\r\n0\r\n\r\n"),
    "chunk-bare-lf": Row(OK + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n"),
    "trailers": Row(OK + b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"),
    "until-close": Row(OK + b"\r\nhello until the end", True),
    "until-close-1.0": Row(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello until the end", True),
    "interim": Row(b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", but=("urllib",)),
    "interim-twice": Row(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", but=("urllib",)),
    "204-with-length": Row(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
    "304-with-length": Row(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n"),
    "205-with-length": Row(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
    "head-with-length": Row(OK + b"Content-Length: 5\r\n\r\n", method="HEAD"),
    "head-chunked": Row(OK + b"Transfer-Encoding: chunked\r\n\r\n", method="HEAD"),
    "crlf-before-status": Row(b"\r\n" + OK + b"Content-Length: 5\r\n\r\nhello"),
    "equal-lengths": Row(OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", True),
    "a-list-of-equal-lengths": Row(OK + b"Content-Length: 5, 5\r\n\r\nhello", True),
    "length-with-zeros": Row(OK + b"Content-Length: 00005\r\n\r\nhello", True),
    "length-plus": Row(OK + b"Content-Length: +5\r\n\r\nhello", True),
    "length-empty": Row(OK + b"Content-Length:\r\n\r\nhello", True, but=("wget",)),
    "length-negative": Row(OK + b"Content-Length: -1\r\n\r\nhello", True),
    "length-word": Row(OK + b"Content-Length: five\r\n\r\nhello", True, but=("wget",)),
    "length-and-chunks": Row(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True, but=("wget",)),
    "te-gzip-chunked": Row(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED), True, but=("urllib", "wget", "node-http", "fetch")),
    "te-identity": Row(OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", True),
    "space-before-colon": Row(OK + b"X-Odd : y\r\nContent-Length: 5\r\n\r\nhello", True),
    "length-space-before-colon": Row(OK + b"Content-Length : 5\r\n\r\nhello", True),
    "header-without-name": Row(OK + b": nothing\r\nContent-Length: 5\r\n\r\nhello", True),
    "header-without-colon": Row(OK + b"nothing here\r\nContent-Length: 5\r\n\r\nhello", True),
    "non-ascii-value": Row(OK + "X-Utf: grüße\r\n".encode() + b"X-Latin: gr\xfc\xdfe\r\nContent-Length: 5\r\n\r\nhello"),
    "keep-alive-1.0": Row(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"),
    "chunks-1.0": Row(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True),
    "http-2.0-in-text": Row(b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
    "http-0.9": Row(b"just a body\n", True),
    "icy": Row(b"ICY 200 OK\r\nicy-name: x\r\n\r\nmusic", True),
    "cut-chunk": Row(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nhal", True, trouble="closed"),
    "cut-between-chunks": Row(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", True, trouble="closed"),
    "cut-length": Row(OK + b"Content-Length: 50\r\n\r\nhello", True, trouble="closed"),
    "cut-head": Row(OK + b"Content-Length: 5\r\nX-Cu", True, trouble="closed"),
    "bytes-behind": Row(OK + b"Content-Length: 5\r\n\r\nhello and more", True),
    "crlf-behind": Row(OK + b"Content-Length: 5\r\n\r\nhello\r\n", True),
    "unknown-upgrade": Row(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo/1\r\n\r\nfoo bytes", True, but=("curl",)),
}  # fmt: skip

SERVER = program("odd_framing_server.py")

# Each client prints one line of JSON a row: [row, status, body in base64], or [row, 0, why it did not take it].
URLLIB = r"""
import base64, json, sys, urllib.error, urllib.request
for name, method in json.load(open(sys.argv[1])).items():
    try:
        try: r = urllib.request.urlopen(urllib.request.Request(sys.argv[2] + name, method=method), timeout=3)
        except urllib.error.HTTPError as e: r = e
        print(json.dumps([name, r.status, base64.b64encode(r.read()).decode()]), flush=True)
    except Exception as e: print(json.dumps([name, 0, repr(e)]), flush=True)
"""
NODE = program("odd_framing_client.js")
# curl and wget by a program that starts them, one a row, or one for all.
CURL = program("odd_framing_curl.py")
WGET = r"""
import base64, json, re, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
def fetch(row):
    name, method = row
    head = ["--method=HEAD"] if method == "HEAD" else []
    done = subprocess.run(["wget", "-nv", "-S", "--no-check-certificate", "-t1", "-T3", "--content-on-error", "-O", "-", *head, sys.argv[2] + name], capture_output=True)
    found = re.findall(rb"^ *HTTP/[\d.]+ (\d{3})", done.stderr, re.M)
    good = done.returncode in (0, 8) and found
    return [name, int(found[-1]), base64.b64encode(done.stdout).decode()] if good else [name, 0, done.stderr.decode("utf-8", "replace")]
for row in ThreadPoolExecutor(4).map(fetch, json.load(open(sys.argv[1])).items()): print(json.dumps(row))
"""
CLIENTS = {
    "urllib": [sys.executable, "-c", URLLIB],
    "curl": [sys.executable, "-c", CURL],
    "wget": [sys.executable, "-c", WGET],
    "node-http": ["node", "-e", NODE, "--"],
    "fetch": ["node", "-e", NODE, "--"],
}


WAYS = {"whole": ("http", 0), "byte by byte": ("http", 1), "TLS": ("https", 2), "TLS, byte by byte": ("https", 3)}


@pytest.fixture(scope="module")
def servers(world):
    """A server for each way."""
    table = {name: (row.sent.hex(), row.closes) for name, row in ROWS.items()}
    (world.dir / "odd.json").write_text(json.dumps(table))
    (world.dir / "methods.json").write_text(json.dumps({name: row.method for name, row in ROWS.items()}))
    for name in ("odd.json", "methods.json"):
        (world.dir / name).chmod(0o644)
    keys = [str(world.dir / name) for name in ("cert.pem", "key.pem")]
    world.start([sys.executable, "-c", SERVER, str(world.dir / "odd.json"), str(PORT), *keys])
    world.wait_for("192.0.2.10", PORT + 3)
    return world


def body_of(entry: dict) -> bytes:
    content = entry["response"]["content"]
    text = content.get("text", "")
    return base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()


def check(world, client: str, way: str) -> None:
    scheme, number = WAYS[way]
    base = f"{scheme}://192.0.2.10:{PORT + number}/"
    ca = str(world.dir / "cert.pem")
    trust = {"SSL_CERT_FILE": ca, "CURL_CA_BUNDLE": ca, "NODE_EXTRA_CA_CERTS": ca}
    run = world.hark(*CLIENTS[client], str(world.dir / "methods.json"), base, client, **trust)
    made = {name: (status, body) for name, status, body in map(json.loads, run.out.splitlines())}
    assert list(made) == list(ROWS), run.err
    shown: dict[str, dict] = {}
    for entry in run.entries:  # curl asks again where a connection that it used again was closed
        name = entry["request"]["url"].rpartition("/")[2]
        if name not in shown or entry["response"]["status"]:
            shown[name] = entry
    wrong = []
    for name, (status, body) in made.items():
        entry = shown.get(name)
        if entry is None:
            wrong.append(f"{name}: not shown")
            continue
        here = (entry["response"]["status"], body_of(entry))
        if status and client not in ROWS[name].but and here != (status, base64.b64decode(body)):
            wrong.append(
                f"{name}: {client} has {status} {base64.b64decode(body)!r}, hark {here} {entry.get('_trouble')}"
            )
        if ROWS[name].trouble not in entry.get("_trouble", ""):
            wrong.append(f"{name}: {entry.get('_trouble')!r} does not say {ROWS[name].trouble!r}")
    assert not wrong, "\n".join(wrong)
    taken = sum(status > 0 for status, _ in made.values())
    assert taken > 25, made  # what clients do not take says nothing
    assert not run.failures and (client == "curl" or len(run.entries) == len(ROWS))


@pytest.mark.parametrize("client", CLIENTS)
def test_what_the_client_made_of_it(servers, client: str) -> None:
    check(servers, client, "whole")


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_however_it_comes(servers, client: str, way: str) -> None:
    check(servers, client, way)
