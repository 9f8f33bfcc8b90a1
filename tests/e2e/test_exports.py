"""Exports of real runs: HAR whole at every moment, equal to its recording's; curl commands that ask the same again; a
page that a real Chromium shows; filters and redaction on every output."""

import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
from urllib.parse import quote

import jsonschema
import pytest
from haralyzer import HarParser

import hark
from world import program

SCHEMA = json.loads((pathlib.Path(__file__).parent.parent / "har.schema.json").read_text())
RUN = (
    "curl -s --cacert $CA --compressed https://site.test:8443/page.html 'https://site.test:8443/item.json?a=1&b=%20'; "
    "curl -s --http1.1 --cacert $CA -d x=1 -b 'k=v' https://six.test:8443/hello; curl -s http://192.0.2.10:8080/fail; curl -s http://127.0.0.1:81/; true"
)


def valid(path: pathlib.Path) -> dict:
    """The HAR, which is valid."""
    har = json.loads(path.read_bytes())
    jsonschema.validate(har, SCHEMA)
    return har


def test_har_of_a_run_equals_that_of_its_recording(world) -> None:
    home = world.dir / "home"
    run = world.run("hark", "-q", "-o", "r.har", "-o", "r.pcapng", "-o", "r.jsonl", "-o", "r.html", "sh", "-c", RUN)
    assert run.status == 0, run.err
    har = valid(home / "r.har")
    assert len(har["log"]["entries"]) == 5
    assert (
        world.run("hark", "read", "-q", "-o", "again.har", "-o", "again.html", "-o", "again.jsonl", "r.pcapng").status
        == 0
    )
    for kind in ("har", "html", "jsonl"):
        again, first = ((home / f"{name}.{kind}").read_bytes() for name in ("again", "r"))
        assert marks_numbered(again) == marks_numbered(first), kind
    assert oct((home / "r.har").stat().st_mode & 0o777) == "0o600"
    assert [page["request"]["url"] for page in HarParser(har).har_data["entries"]] == [
        e["request"]["url"] for e in har["log"]["entries"]
    ]
    assert [e["response"]["status"] for e in har["log"]["entries"]] == [200, 200, 200, 503, 0]
    assert har["log"]["entries"][4]["_failure"]["kind"] == "refused"
    assert har["log"]["entries"][2]["request"]["postData"]["params"] == [{"name": "x", "value": "1"}]


def test_a_har_is_whole_while_it_is_written_and_behind_kill_9(world) -> None:
    """Read over and over while a run writes it, and behind kill -9 of the whole of hark at random moments."""
    path = world.dir / "home" / "k.har"
    script = "for i in $(seq 200); do curl -s http://192.0.2.10:8080/page.html?[1-9] >/dev/null; done"
    choose = random.Random(4)
    most = 0
    for number in range(5):
        path.unlink(missing_ok=True)
        running = world.popen(["hark", "-q", "-o", "k.har", "sh", "-c", script], start_new_session=True)
        until = time.monotonic() + choose.uniform(0.2, 1.2)
        latest = until + 20  # on a busy machine the last one goes on until it has seen enough
        while time.monotonic() < until or (number == 4 and most <= 100 and time.monotonic() < latest):
            if path.exists() and path.stat().st_size:
                try:
                    har = valid(path)
                except ValueError:  # read in the very microseconds of a write, page by page: not a second time
                    har = valid(path)
                most = max(most, len(har["log"]["entries"]))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        if path.exists() and path.stat().st_size:
            count = len(valid(path)["log"]["entries"])
            assert world.run("hark", "read", "--json", "k.har").out.count(b"\n") == count
    assert most > 100


CLIENTS = """
import requests, httpx, os
ca = os.environ["CA"]
requests.post("https://site.test:8443/hello?q=a b", json={"order": [1, "zwei"]}, headers={"X-Two": "it's \\"quoted\\" $HOME `id`"}, verify=ca)
requests.put("http://192.0.2.10:8080/put", data=bytes(range(256)), headers={"Content-Type": "application/octet-stream"})
requests.request("PATCH", "http://192.0.2.10:8080/hello", data="line one\\nline two\\r\\n\\ttab 'q' \\\\ %s\\n")
requests.post("http://192.0.2.10:8080/hello", files={"f": ("x.bin", b"\\x00\\xff", "image/png"), "g": (None, "text")})
requests.head("http://192.0.2.10:8080/hello"); requests.delete("http://192.0.2.10:8080/hello"); requests.options("http://192.0.2.10:8080/hello")
with httpx.Client(http2=True, verify=ca) as c: c.get("https://six.test:8443/item.json", headers={"Cookie": "a=1; b=2", "X-Empty": ""})
"""


def asked(entries: list[dict]) -> list[tuple]:
    """What was asked, without what belongs to the connection."""
    of_the_connection = {"connection", "host", "content-length"}
    return [
        (
            entry["request"]["method"],
            quote(entry["request"]["url"], safe="%/:?#[]@!$&'()*+,;="),  # the commands are ASCII
            entry["request"]["httpVersion"],
            sorted(
                (h["name"].lower(), h["value"])
                for h in entry["request"]["headers"]
                if h["name"].lower() not in of_the_connection
            ),
            entry["request"].get("postData", {}).get("text", ""),
        )
        for entry in entries
    ]


def test_curl_commands_ask_the_same_again(world) -> None:
    home = world.dir / "home"
    (home / "clients.py").write_text(CLIENTS)
    program = f"{sys.executable} clients.py; curl -s --cacert $CA -A '' -H 'X: [1-3]{{a,b}}' -G -d 'q=ä' 'https://site.test:8443/hello?[1-2]'; NODE_EXTRA_CA_CERTS=$CA node -e 'fetch(\"https://site.test:8443/hello\", {{method: \"POST\", body: \"é\\n\"}}).then(r => r.text())'"
    first = world.hark("-q", "-o", "first.pcapng", "sh", "-c", program)
    assert len(first.entries) == 11, first.err
    commands = world.run("hark", "read", "--curl", "first.pcapng").out
    (home / "again.sh").write_bytes(commands)
    second = world.hark("-q", "sh", "again.sh", CURL_CA_BUNDLE=str(world.dir / "cert.pem"))
    assert asked(second.entries) == asked(first.entries)
    third = world.hark("-q", "bash", "again.sh", CURL_CA_BUNDLE=str(world.dir / "cert.pem"))
    assert asked(third.entries) == asked(first.entries)
    api = world.run("hark", "read", "--curl", "--method", "PUT", "told.jsonl")
    assert api.out.count(b"\n") == 1 and b"-X PUT" in api.out


@pytest.mark.parametrize(
    "options, lines",
    [
        (["--host", "site.test"], 2),
        (["--status", "5xx"], 1),
        (["--failed"], 2),
        (["--method", "POST", "--process", "curl"], 1),
        (["--grep", '"item": \\[1'], 2),
        (["--type", "json", "--larger", "10"], 1),
        (["--slower", "1min"], 0),
    ],
)
def test_filters_are_the_same_for_a_run_a_reading_and_every_output(world, options: list[str], lines: int) -> None:
    """The lines on the terminal (of a run on stderr, of a reading on stdout), and the entries of files: one for each."""
    home = world.dir / "home"
    run = world.run("hark", "-o", "f.har", "-o", "f.jsonl", *options, "sh", "-c", f"({RUN}) >/dev/null")
    assert world.run("hark", "-q", "-o", "all.pcapng", "sh", "-c", RUN).status == 0
    read = world.run("hark", "read", "-o", "g.har", *options, "all.pcapng")
    told = [line for line in run.err.splitlines()[:-1] if not line.startswith("  ") or "grep" in options[0]]
    again = [line for line in read.out.decode().splitlines()[:-1] if not line.startswith("  ") or "grep" in options[0]]
    assert len(told) == lines == len(again), (told, again)
    count = sum(line.split()[0] in ("GET", "POST", "connect") for line in told)
    assert len(valid(home / "f.har")["log"]["entries"]) == count == len(valid(home / "g.har")["log"]["entries"])
    assert len((home / "f.jsonl").read_text().splitlines()) == count


def marks_numbered(data: bytes) -> bytes:
    """The data with the marks of redaction numbered in their order: they are salted, so no two files have the same."""
    seen: dict[bytes, int] = {}
    return re.sub(rb"redacted-[0-9a-f]{8}", lambda found: b"redacted-%d" % seen.setdefault(found[0], len(seen)), data)


FORM = program("form_server.py")


def test_redact_a_real_login_in_files_and_for_who_watches(world) -> None:
    """The first field of a form on curl's command line and in the answer, JSON in the second request, a path in the
    third: in no file, in no line, and not in what `hark watch` is given, at whatever time it comes; a recording that is
    read back gives the same but for the marks."""
    home = world.dir / "home"
    world.start([sys.executable, "-c", FORM])
    world.wait_for("127.0.0.1", 7071)
    url = "http://127.0.0.1:7071"
    script = (
        f"curl -s -d 'client_secret=geheim-23-geheim&code=kode-71-kode' {url}/login; sleep 1;"
        f'curl -s --json \'{{"newPassword":"neu-47-neu","pin":4711}}\' {url}/set;'
        f"curl -s -u me:basis-61-basis --data-urlencode 'otp=aber & doch' '{url}/u/geheim-23-geheim'; sleep 1"
    )
    files = [part for kind in ("har", "jsonl", "html", "pcapng") for part in ("-o", f"w.{kind}")]
    running = world.popen(["hark", "-vv", "--redact", *files, "sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    watching = [world.popen(["hark", "watch", *how], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for how in (["--json"], ["-vv"])]  # fmt: skip
    told, err = watching[0].communicate(timeout=30)
    lines, _ = watching[1].communicate(timeout=30)
    shown = running.communicate(timeout=30)[1]
    own = (home / "w.jsonl").read_bytes()
    assert told == own and len(own.splitlines()) == 3, err
    read = world.run("hark", "read", "--json", "--redact", "w.pcapng").out
    assert marks_numbered(read) == marks_numbered(own)
    secrets = ["geheim-23", "kode-71", "neu-47", "basis-61", "antwort-67", "aber & doch", "aber+", "aber%20", "bWU6YmFzaXM"]  # fmt: skip
    for output in (told, lines, shown, read, *((home / f"w.{kind}").read_bytes() for kind in ("har", "jsonl", "html"))):
        text = output.decode().replace(html_template(), "")
        assert "redacted-" in text and not [secret for secret in secrets if secret in text]
        assert not re.search(r"""pin[\\"]+\s*:\s*4711""", text)
    first = json.loads(own.splitlines()[0])
    mark = re.search(r"client_secret=(redacted-\w+)&code=redacted-", first["_process"]["cmdline"][3])
    assert mark is not None and f"you={mark[1]}&scope=all" in first["response"]["content"]["text"]


def html_template() -> str:
    """The page without its entries: numbers in it are no secrets."""
    return (pathlib.Path(hark.__file__).parent / "views" / "page.html").read_text()


def test_redact_on_every_output(world) -> None:
    """Nothing of a secret in any file or line; a pcapng is told of. HTML is redacted unless it is asked not to be."""
    home = world.dir / "home"
    command = "curl -s -o /dev/null -u me:geheim-23-geheim -H 'Cookie: sid=kekse-47-kekse' 'http://192.0.2.10:8080/hello?token=marke-61-marke'"
    words = (b"geheim-23-geheim", b"kekse-47-kekse", b"marke-61-marke", b"bWU6Z2VoZWltLTIzLWdlaGVpbQ")
    files = [part for kind in ("har", "jsonl", "html", "pcapng") for part in ("-o", f"s.{kind}")]
    run = world.run("hark", "-vv", "--redact", *files, "sh", "-c", command)
    assert "s.pcapng is not redacted" in run.err and "redacted-" in run.err
    for output in (run.err.encode(), *((home / f"s.{kind}").read_bytes() for kind in ("har", "jsonl", "html"))):
        assert not any(word in output for word in words)
    for options, hidden in (([], True), (["--no-redact"], False)):
        world.run("hark", "read", "-q", *options, "-o", "t.html", "s.pcapng")
        assert (words[3] not in (home / "t.html").read_bytes()) is hidden
    shown = world.run("hark", "read", "--redact", "--curl", "s.pcapng").out
    assert b"redacted-" in shown and not any(word in shown for word in words)


HOSTILE = """
import socket
s = socket.create_server(("127.0.0.1", 7066))
while True:
    c, _ = s.accept(); c.recv(65536)
    body = b"\\x1b]0;owned\\x07\\x1b[2J<img src=x onerror='document.title=1'></script><script>document.title='owned'</script>\\xe2\\x80\\xae"
    c.sendall(b"HTTP/1.1 200 O\\x1b[31mK\\r\\nContent-Type: text/html\\r\\nX-Evil: \\x1b[1;31m\\xe2\\x80\\xaeevil\\x9b2J\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % len(body) + body); c.close()
"""
ASK = r"exec 3<>/dev/tcp/127.0.0.1/7066; printf 'GET /\033[2J<script>document.title=1</script>\302\233 HTTP/1.1\r\nHost: 127.0.0.1:7066\r\nCookie: \033]0;x\007\r\n\r\n' >&3; cat <&3 >/dev/null"


def test_hostile_bytes_are_inert_in_every_view(world) -> None:
    """Escape sequences in the target, the reason, a header, a cookie and the body: no control reaches a terminal; markup
    in the page that Chromium shows stays text."""
    home = world.dir / "home"
    (world.dir / "frontend.py").write_text((pathlib.Path(__file__).parent.parent / "frontend.py").read_text())
    world.start([sys.executable, "-c", HOSTILE])
    world.wait_for("127.0.0.1", 7066)
    run = world.run(
        "hark",
        "-vv",
        "-o",
        "h.pcapng",
        "-o",
        "h.html",
        "bash",
        "-c",
        ASK,
    )
    assert "1 exchange" in run.err
    outputs = [run.err.encode()]
    for options in (
        ["-vv"],
        ["--curl"],
        ["--summary", "--waterfall"],
        ["--grep", "owned"],
        ["--redact", "-vv"],
    ):
        told = world.run("hark", "read", *options, "h.pcapng")
        assert told.status == 0, told.err
        outputs += [told.out, told.err.encode()]
    terminal = world.run("script", "-qec", "hark read --json h.pcapng", "/dev/null")
    assert json.loads(terminal.out)["response"]["content"]["text"].endswith("\u202e")
    outputs.append(terminal.out.replace(b"\r\n", b"\n"))
    for output in outputs:
        text = output.decode("utf-8", "surrogateescape")
        assert not [
            sign
            for sign in text
            if (ord(sign) < 32 and sign not in "\n\t") or 0x7F <= ord(sign) < 0xA0 or ord(sign) in range(0x202A, 0x202F)
        ], text
    steps = [["go", f"file://{home}/h.html"], ["wait", "document.querySelectorAll('tbody tr').length"], ["js", "document.querySelector('tbody tr').click()"],
             ["wait", "document.querySelector('#detail').textContent.includes('owned')"], ["js", "[document.title, document.querySelectorAll('#detail img, #detail script').length, document.querySelector('td.url').textContent]"]]  # fmt: skip
    shown = world.run(sys.executable, str(world.dir / "frontend.py"), input=json.dumps(steps).encode())
    title, elements, url = json.loads(shown.out)[-1]
    assert (title, elements) == ("hark", 0) and "<script>" in url


@pytest.mark.parametrize("mebibytes", [257, pytest.param(1024, marks=pytest.mark.soak)])
def test_a_large_body_is_no_burden(world, mebibytes: int) -> None:
    """Recorded in every structured form: what hark keeps of it is bounded, in memory and on disk."""
    home = world.dir / "home"
    big = world.dir / "www" / "gigabyte"
    with open(big, "wb") as file:
        file.truncate(mebibytes << 20)
    script = "import resource, subprocess, sys; s = subprocess.run(sys.argv[1:]).returncode; print(s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [
        "hark",
        "-q",
        "-o",
        "big.har",
        "-o",
        "big.html",
        "-o",
        "big.jsonl",
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "http://192.0.2.10:8080/gigabyte",
    ]
    run = world.run(sys.executable, "-c", script, *command, timeout=120)
    big.unlink()
    status, most = run.out.split()
    assert status == b"0" and int(most) < 150_000, run  # kB of the largest process, Python itself included
    (entry,) = valid(home / "big.har")["log"]["entries"]
    assert entry["response"]["bodySize"] == mebibytes << 20 and (home / "big.har").stat().st_size < 8 << 20
