"""What did not become an exchange, of real programs: the same value in every output, live and read back."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time

import jsonschema
import pytest
from haralyzer import HarParser

from world import sockets_for_watch, until

SCHEMA = json.loads((pathlib.Path(__file__).parent.parent / "har.schema.json").read_text())
# OpenSSL's libssl inside of a program whose agent was left out: TLS that nobody gives the keys of.
SECRET = "env -i PATH=$PATH python3 raw.py"
FAILING = (
    "curl -s http://192.0.2.10:81/a; curl -s http://nosuch.invalid/b; "
    "curl -s --cacert $CA https://site.test:8443/hello; {secret}; exit 0"
)
RAW = """
import ctypes, os
libc = ctypes.CDLL(None)
argv = [b"curl", b"-s", b"--cacert", {ca!r}, b"https://site.test:8443/hello"]
A = (ctypes.c_char_p * (len(argv) + 1))(*argv, None); E = (ctypes.c_char_p * 2)(b"PATH=/usr/bin:/bin", None)
libc.syscall(59 if os.uname().machine == "x86_64" else 221, b"/usr/bin/curl", A, E)
"""
KINDS = ["encrypted", "name-not-found", "refused"]


@pytest.fixture
def failing(world) -> str:
    """A script whose commands fail in three ways, and one that does not: curl started by a bare system call with an
    empty environment is not decrypted."""
    (world.dir / "home" / "raw.py").write_text(RAW.format(ca=str(world.dir / "cert.pem").encode()))
    return FAILING.format(secret=f"{sys.executable} raw.py")


def facts(entries: list[dict]) -> list[tuple]:
    """What is to be the same wherever a failure is seen."""
    return sorted(
        (f["kind"], f["host"], f["port"], f["process"].split("[")[0], f["seconds"], f["remedy"], f["bytes"])
        for f in (entry["_failure"] for entry in entries if "_failure" in entry)
    )


def test_every_output_has_the_same_failures(world, failing) -> None:
    """Files, --json, --summary, the recording read again, the archives read again; byte for byte where it is JSON."""
    home = world.dir / "home"
    kinds = ("har", "jsonl", "html", "pcapng")
    files = [part for kind in kinds for part in ("-o", f"f.{kind}")]
    run = world.run("hark", "--summary", *files, "sh", "-c", failing)
    assert run.status == 0, run.err
    har = json.loads((home / "f.har").read_text())
    jsonschema.validate(har, SCHEMA)
    entries = har["log"]["entries"]
    assert len(entries) == 4 == len(HarParser(har).har_data["entries"])
    found = facts(entries)
    assert [one[0] for one in found] == KINDS, found
    assert [one[1:4] for one in found] == [
        ("site.test", 8443, "curl"), ("nosuch.invalid", 0, "curl"), ("192.0.2.10", 81, "curl")
    ]  # fmt: skip
    assert all(0 < one[4] < 10 and one[5] for one in found) and found[0][6] > 500
    lines = [json.loads(line) for line in (home / "f.jsonl").read_text().splitlines()]
    assert lines == entries
    page = (home / "f.html").read_text()
    assert facts([json.loads(t) for t in re.findall(r'class="entry">(.*?)</script>', page)]) == found
    for one in found:
        assert one[5] in run.err, run.err
    summary = (
        "1 exchange with site.test:8443, 1 failed connection (refused), 1 name not found, 1 connection not decrypted"
    )
    assert f"hark: {summary}" in run.err
    assert "failed (2):" in run.err and "not decrypted (1):" in run.err
    told = world.run("hark", "read", "--json", "f.pcapng").out
    assert told == (home / "f.jsonl").read_bytes()
    terminal = world.run("hark", "read", "f.pcapng").out
    for kind in ("har", "jsonl"):
        assert world.run("hark", "read", "--json", f"f.{kind}").out == told
        assert without_times(world.run("hark", "read", f"f.{kind}").out) == without_times(terminal)
        assert world.run("hark", "read", "-q", "-o", "g.har", f"f.{kind}").status == 0
        assert (home / "g.har").read_bytes() == (home / "f.har").read_bytes()
    curl = world.run("hark", "read", "--curl", "f.har").out.decode()
    assert curl.count("# failed: ") == 3 and curl.count("\ncurl ") + curl.startswith("curl ") == 1
    quiet = world.run("hark", "read", "-q", "--summary", "--failed", "--process", "curl", "f.har").out.decode()
    assert quiet.startswith(
        "0 of 1 exchange match, 1 failed connection (refused), 1 name not found, 1 connection not dec"
    )


def without_times(text: bytes) -> str:
    return re.sub(r"\d+(\.\d)? (ms|s)\b", "TIME", text.decode())


@pytest.mark.parametrize(
    "options, kinds, exchanges",
    [
        (["--host", "192.0.2.10:81"], ["refused"], 0),
        (["--host", "site.test"], ["encrypted"], 1),
        (["--process", "curl", "--failed"], KINDS, 0),
        (["--process", "nobody"], [], 0),
        (["--path", "/"], [], 1),
        (["--method", "GET"], [], 1),
        (["--type", "text"], [], 1),
        (["--no-failures"], [], 1),
        (["--no-failures", "--failed"], [], 0),
    ],
)
def test_filters_apply(world, failing, options, kinds, exchanges) -> None:
    """To a recording, to an archive of it and to a run alike."""
    home = world.dir / "home"
    path = home / "mixed.pcapng"
    if not path.exists():
        assert world.run("hark", "-q", "-o", "mixed.pcapng", "-o", "mixed.har", "sh", "-c", failing).status == 0
    for name in ("mixed.pcapng", "mixed.har"):
        run = world.run("hark", "read", "-q", *options, "-o", "some.jsonl", name)
        entries = [json.loads(line) for line in (home / "some.jsonl").read_text().splitlines()]
        assert [one[0] for one in facts(entries)] == kinds, (name, run.err)
        assert len(entries) - len(kinds) == exchanges
    if not kinds and not exchanges:
        said = world.run("hark", "read", *options, "mixed.pcapng").out.decode().splitlines()[-1]
        assert said == "hark: 0 of 1 exchange match"


def test_a_filter_that_nothing_matches(world) -> None:
    """A run, a reading, a summary: what was there is told, not that nothing was."""
    run = world.run(
        "hark", "--host", "other.test", "-o", "one.pcapng", "--summary", "curl", "-s", "http://192.0.2.10:8080/hello"
    )
    assert "hark: 0 of 1 exchange match\n" in run.err and "\n0 of 1 exchange match" in f"\n{run.err}"
    refused = world.run("hark", "--host", "other.test", "curl", "-s", "http://192.0.2.10:81/")
    assert "hark: no exchanges, 0 of 1 failure match" in refused.err
    assert world.run("hark", "--no-failures", "curl", "-s", "http://192.0.2.10:81/").err == "hark: no exchanges\n"


def test_python_has_values(world, failing) -> None:
    """hark.run().failures, hark.read().failures: typed, frozen, a line as text."""
    home = world.dir / "home"
    (home / "failing.sh").write_text(failing)
    (home / "values.py").write_text(
        textwrap.dedent("""
        import dataclasses, hark, json, sys
        run = hark.run(["sh", "failing.sh"], capture_output=True)
        def told(r): return sorted([f.kind, f.host, f.port, f.process.name, 0 < f.seconds < 10, f.phase, str(f), bool(f.remedy), f.remedy in repr(r)] for f in r.failures)
        try: run.failures[0].kind = "x"; frozen = False
        except dataclasses.FrozenInstanceError: frozen = True
        entries = [e.entry for e in run] + [f.entry for f in run.failures]
        open("v.jsonl", "w").writelines(json.dumps(e) + "\\n" for e in entries)
        again = hark.read("v.jsonl")
        print(json.dumps([told(run), told(again) == told(run), frozen, len(run), len(again), all(isinstance(f, hark.Failure) for f in run.failures)]))
        """)
    )
    run = world.run(sys.executable, "values.py")
    assert run.status == 0, run.err
    told, same, frozen, *rest = json.loads(run.out.splitlines()[-1])
    assert same and frozen and rest == [1, 1, True]
    assert [one[:4] for one in told] == [
        ["encrypted", "site.test", 8443, "curl"], ["name-not-found", "nosuch.invalid", 0, "curl"], ["refused", "192.0.2.10", 81, "curl"],
    ]  # fmt: skip
    assert all(one[4] and one[7] and one[8] for one in told)
    assert told[2][6] == "connect 192.0.2.10:81 refused"
    assert told[0][6].startswith("tls site.test:8443 not decrypted: ")


def test_watch_has_those_that_were_before(world) -> None:
    """A watcher gets the failures among the last exchanges, and those that come."""
    go = world.dir / "home" / "go"
    go.unlink(missing_ok=True)
    script = (
        "curl -s http://192.0.2.10:81/; curl -s http://192.0.2.10:8080/hello; echo ready; "
        "until [ -e go ]; do sleep 0.05; done; curl -s http://192.0.2.10:82/; sleep 1.2; exit 0"
    )
    running = world.popen(["hark", "-q", "sh", "-c", script], stdout=subprocess.PIPE)
    while (line := running.stdout.readline()) != b"ready\n":
        assert line, "hark ended"
    time.sleep(1.3)  # a failure is held for a second: a later success may make up for it
    watch = world.popen(["hark", "watch", "--json", str(running.pid)], stdout=subprocess.PIPE)
    without = world.popen(["hark", "watch", "--no-failures", str(running.pid)], stdout=subprocess.PIPE)
    lines = world.popen(["hark", "watch", "--host", "192.0.2.10:82", str(running.pid)], stdout=subprocess.PIPE)
    first = [watch.stdout.readline() for _ in range(2)]  # so that one is there; the others were started with it
    until(lambda: sockets_for_watch(running) == 4)  # it listens, and three watch
    go.touch()
    entries = [json.loads(line) for line in first]
    entries += [json.loads(line) for line in watch.communicate(timeout=30)[0].splitlines()]
    assert running.wait(20) == 0
    running.stdout.close()
    assert sorted(entry.get("_failure", {}).get("port", 0) for entry in entries) == [0, 81, 82]
    told = without.communicate(timeout=20)[0]
    assert b"refused" not in told and told.endswith(b"hark: 1 exchange with 192.0.2.10:8080\n")
    told = lines.communicate(timeout=20)[0]
    assert told.startswith(b"connect 192.0.2.10:82 refused ")
    assert told.endswith(b"hark: 0 of 1 exchange match, 1 failed connection (refused)\n")


def test_the_report_of_a_failing_test_has_them(world) -> None:
    (world.dir / "home" / "test_refused.py").write_text(
        "def test_bad(hark):\n    assert hark.run(['curl', '-s', 'http://192.0.2.10:81/']).exchanges\n"
    )
    run = world.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_refused.py")
    text = run.out.decode()
    assert re.search(r"connect 192\.0\.2\.10:81 refused \d+ ms curl\[\d+\]\n    nothing listens there", text), text


def test_redacted_command_lines(world) -> None:
    """The command line of what failed goes through redaction as that of an exchange does."""
    home = world.dir / "home"
    world.run(
        "hark",
        "-q",
        "--redact",
        "-o",
        "r.har",
        "-o",
        "r.jsonl",
        "-o",
        "r.html",
        "curl",
        "-s",
        "-u",
        "me:geheim-23-geheim",
        "http://192.0.2.10:81/",
    )
    for kind in ("har", "jsonl", "html"):
        text = (home / f"r.{kind}").read_text()
        assert "geheim" not in text and '"kind":"refused"' in text, kind


def test_chromium_shows_them(world) -> None:
    """The page, and the Network panel: each failure is a row with its reason, and what would help among its headers; and
    hark's HAR is taken by the panel's own import, which has no failures (it shows those that Chrome itself exports as
    finished without a status, too)."""
    home = world.dir / "home"
    (world.dir / "frontend.py").write_text((pathlib.Path(__file__).parent.parent / "frontend.py").read_text())
    script = (
        "curl -s http://192.0.2.10:81/; curl -s http://nosuch.invalid/; curl -s http://192.0.2.10:8080/hello; exit 0"
    )
    assert world.run("hark", "-q", "-o", "i.har", "-o", "i.html", "sh", "-c", script).status == 0
    shown = world.popen(["hark", "read", "-q", "--devtools", "i.har"], stderr=subprocess.PIPE)
    try:
        url = ""
        os.set_blocking(shown.stderr.fileno(), False)

        def has_said() -> bool:
            nonlocal url
            url += (shown.stderr.read() or b"").decode()
            return "devtools://" in url

        until(has_said, 20)
        url = re.search(r"devtools://\S+", url)[0]
        rows = "deep('.network-log-grid tr.data-grid-data-grid-node').map(r => [...r.children].map(text).join('|'))"
        press = "press(deep('.network-log-grid td').find(r => text(r).includes('nosuch')))"
        tab = "(f => f && (press(f), true))(deep('[role=tab]').find(t => text(t) == 'Headers'))"
        steps = [
            ["go", f"file://{home}/i.html"], ["wait", "document.querySelectorAll('tbody tr').length == 3"],
            ["js", "[...document.querySelectorAll('tbody tr')].map(row => row.textContent)"],
            ["js", "document.querySelector('#count').textContent"],
            ["go", url], ["wait", f"(rows => rows.filter(r => /failed/.test(r)).length == 2 && rows)({rows})"],
            ["js", press], ["wait", tab], ["wait", "(t => t.includes('(remedy)') && t)(text(document.body))"],
            ["file", "deep('input[type=file]')[0]", str(home / "i.har")],
            ["wait", f"(rows => rows.filter(r => /Finished/.test(r)).length == 2 && rows)({rows})"],
        ]  # fmt: skip
        told = world.run(sys.executable, str(world.dir / "frontend.py"), input=json.dumps(steps).encode(), timeout=90)
        assert told.status == 0, told.err
    finally:
        with contextlib.suppress(ProcessLookupError):
            shown.terminate()
        shown.wait(20)
    results = json.loads(told.out)
    assert sum("connect 192.0.2.10:81 refused" in row for row in results[2]) == 1, results[2]
    assert sum("dns nosuch.invalid NXDOMAIN" in row for row in results[2]) == 1
    assert results[3] == "1 exchange, 2 failed or not decrypted"
    live = [row.replace("\u00a0", " ") for row in results[5]]
    assert any("refused" in row and "(failed)" in row for row in live), live
    assert "check the name" in results[8]
    assert sum(name in row for row in results[-1] for name in ("nosuch.invalid", "hello")) >= 2, results[-1]
