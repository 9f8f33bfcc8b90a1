"""The Python API and the pytest plugin, in a program of a user's: a script in the world, run as the ordinary user."""

import json
import sys
import textwrap


def script(world, text: str, *args: str) -> dict:
    """What a script prints as JSON."""
    (world.dir / "home" / "script.py").write_text(textwrap.dedent(text))
    run = world.run(sys.executable, "script.py", *args)
    assert run.status == 0, run.err
    return json.loads(run.out.splitlines()[-1])


def test_run(world) -> None:
    told = script(
        world,
        """
        import hark, json, os, subprocess
        ca = os.environ["CA"]
        r = hark.run(["curl", "-s", "--cacert", ca, "-H", "X: 1", "-H", "x: 2", "https://site.test:8443/item.json", "https://site.test:8443/fail"], capture_output=True, text=True)
        first, second = r
        quiet = hark.run(["sh", "-c", "cat; exit 7"], input=b"in", stdout=subprocess.PIPE)
        try: hark.run(["false"], check=True)
        except subprocess.CalledProcessError as error: checked = error.returncode
        try: hark.run(["no-such-command"])
        except hark.HarkError as error: missing = str(error)
        try: hark.run(["sleep", "30"], timeout=0.5)
        except subprocess.TimeoutExpired: late = True
        failed = hark.run(["curl", "-s", "http://127.0.0.1:81/"])
        print(json.dumps([first.method, first.url, first.status, first.response.json(), first.response.headers["CONTENT-type"], first.request.headers["x"],
            first.protocol, first.process.name, second.status, second.response.text, r.status, r.stdout, quiet.status, quiet.stdout.decode(), len(quiet), checked, missing, late,
            list(map(str, failed.failures)), failed.status, first.started.tzinfo is not None, 0 < first.seconds < 5, first.curl().startswith("curl ")]))
        """,
    )
    assert told == [
        "GET", "https://site.test:8443/item.json", 200, {"item": [1, 2, 3]}, "application/json", "1, 2",
        "h2", "curl", 503, "no\n", 0, '{"item": [1, 2, 3]}\nno\n', 7, "in", 0, 1, "cannot run no-such-command: no such command in PATH", True,
        ["connect 127.0.0.1:81 refused"], 7, True, True, True,
    ]  # fmt: skip


def test_redact(world) -> None:
    """What a test's report would show is without secrets, live and read back."""
    told = script(
        world,
        """
        import hark, json
        command = ["curl", "-s", "-o", "/dev/null", "-u", "me:geheim-23", "http://192.0.2.10:8080/hello?api_key=marke-61-marke"]
        live = hark.run(command, redact=True)
        print(json.dumps([repr(live), str(live.exchanges[0]), live.exchanges[0].curl(), live.exchanges[0].process.cmdline, live.exchanges[0].request.headers.pairs]))
        """,
    )
    text = json.dumps(told)
    assert text.count("redacted-") >= 5 and "geheim" not in text and "marke" not in text


def test_listen_tells_as_it_happens_and_ends_what_it_started(world) -> None:
    told = script(
        world,
        """
        import hark, json, os, time
        seen = []
        with hark.listen(["sh", "-c", "for i in 1 2 3; do curl -s http://192.0.2.10:8080/hello?$i; sleep 0.4; done; sleep 60"]) as live:
            for exchange in live:
                seen.append((exchange.url[-1], live.recording.status))
                if len(seen) == 3: break
            pid = live.pid
        try: os.kill(pid, 0); gone = False
        except ProcessLookupError: gone = True
        with hark.listen(["curl", "-s", "http://192.0.2.10:8080/hello"]) as live: rest = live.wait()
        print(json.dumps([seen, gone, len(rest), rest.status]))
        """,
    )
    assert told == [[["1", None], ["2", None], ["3", None]], True, 1, 0]


def test_threads(world) -> None:
    """Seven threads run a command each, while others are busy; each hears its own."""
    told = script(
        world,
        """
        import hark, json, threading
        found = {}
        def work(n): found[n] = [e.url for e in hark.run(["sh", "-c", f"for i in 1 2 3; do curl -s http://192.0.2.10:8080/hello?{n}-$i >/dev/null; done"])]
        busy = threading.Thread(target=lambda: sum(range(10**7)), daemon=True); busy.start()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(7)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(json.dumps([found[n] for n in range(7)]))
        """,
    )
    assert told == [[f"http://192.0.2.10:8080/hello?{n}-{i}" for i in (1, 2, 3)] for n in range(7)]


def test_read(world) -> None:
    world.run("hark", "-q", "-o", "api.pcapng", "-o", "api.har", "curl", "-s", "--cacert", str(world.dir / "cert.pem"), "https://site.test:8443/hello")  # fmt: skip
    told = script(
        world,
        """
        import hark, json
        one, two = hark.read("api.pcapng"), hark.read("api.har")
        try: hark.read("nothing.pcapng")
        except hark.HarkError as error: missing = str(error)
        print(json.dumps([one.exchanges == two.exchanges, one.exchanges[0].response.body.decode(), one.status, missing, repr(one).count("GET https://site.test:8443/hello 200")]))
        """,
    )
    assert told == [True, "hello\n", None, "cannot read nothing.pcapng: No such file or directory", 1]


def test_large_bodies_are_bounded_and_a_slow_reader_slows_nobody(world) -> None:
    told = script(
        world,
        """
        import hark, json, time
        small = hark.run(["curl", "-s", "-o", "/dev/null", "http://192.0.2.10:8080/page.html"], max_body=100).exchanges[0].response
        start = time.monotonic()
        with hark.listen(["sh", "-c", "curl -s 'http://192.0.2.10:8080/page.html?[1-997]' >/dev/null; echo over >over"]) as live:
            import os
            while not os.path.exists("over"): time.sleep(0.01)  # nobody iterates meanwhile
            count = sum(1 for _ in live)
        print(json.dumps([small.whole, len(small.body), small.size, count]))
        """,
    )
    assert told == [False, 100, 5506, 997]


PLUGIN = """
import os
CA = os.environ["CA"]
def test_good(hark):
    exchanges = hark.run(["curl", "-s", "--cacert", CA, "https://site.test:8443/hello"], capture_output=True)
    assert [(e.method, e.status) for e in exchanges] == [("GET", 200)]
def test_bad(hark):
    recording = hark.run(["curl", "-s", "--cacert", CA, "https://site.test:8443/fail"], capture_output=True)
    assert recording.exchanges[0].status == 200
def test_compared(hark):
    assert hark.run(["curl", "-s", "http://192.0.2.10:8080/moved"], capture_output=True) == []
"""


def test_the_pytest_plugin_helps(world) -> None:
    """The fixture is there without an import; a failure shows what was heard."""
    (world.dir / "home" / "test_mine.py").write_text(PLUGIN)
    run = world.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    text = run.out.decode()
    assert "1 passed" in text and "2 failed" in text, text + run.err
    assert text.count("exchanges that hark captured") == 2 and "GET https://site.test:8443/fail 503 3 B" in text
    assert "comparison by == of" in text and "GET http://192.0.2.10:8080/moved 302" in text


def test_hostile_bytes_are_inert_when_printed(world) -> None:
    told = script(
        world,
        """
        import hark, json
        bad = "\\x1b[2J\\x9b"
        entry = {"request": {"method": "GET", "url": "http://a/" + bad}, "response": {"status": 200}, "_process": {"pid": 1, "name": bad}}
        open("bad.har", "w").write(json.dumps({"log": {"entries": [entry]}}))
        recording = hark.read("bad.har")
        print(json.dumps([str(recording.exchanges[0]).isprintable(), repr(recording).replace("\\n", "").isprintable(), recording.exchanges[0].url == "http://a/" + bad]))
        """,
    )
    assert told == [True, True, True]


def test_commands_as_subprocess_takes_them(world) -> None:
    """A string is a program's name, with shell=True a command line; bytes, paths; what would do nothing is refused."""
    told = script(
        world,
        """
        import hark, json, os, pathlib, subprocess
        shell = hark.run("curl -s http://192.0.2.10:8080/hello | tr a-z A-Z; exit 3", shell=True, capture_output=True, text=True)
        bash = hark.run("echo $BASH_VERSION", shell=True, executable="/bin/bash", capture_output=True)
        words = hark.run(["echo $0 $1", "zero", "one"], shell=True, capture_output=True)
        name = hark.run("true"), hark.run(b"true"), hark.run(pathlib.Path("/bin/true")), hark.run([b"true", pathlib.Path("x")])
        try: hark.run("curl -s URL")
        except hark.HarkError as error: apart = str(error)
        try: hark.run(["true"], executable="/bin/false")
        except ValueError as error: refused = str(error)
        r, w = os.pipe(); passed = hark.run(["sh", "-c", f"echo x >&{w}"], pass_fds=[w]).status, os.read(r, 9).decode()
        print(json.dumps([shell.status, shell.stdout, [e.url for e in shell], bool(bash.stdout.strip()), words.stdout.decode(), [n.status for n in name], apart, refused, passed]))
        """,
    )
    assert told == [
        3, "HELLO\n", ["http://192.0.2.10:8080/hello"], True, "zero one\n", [0, 0, 0, 0],
        "cannot run curl -s URL: no such command in PATH (a command line is for a shell: hark sh -c 'curl -s URL')",
        "executable is for shell=True; else the command's first word is the file that runs", [0, "x\n"],
    ]  # fmt: skip


def test_errors_carry_what_was_captured(world) -> None:
    """The command in them is the caller's; a program that does not end by itself is ended with all that it started."""
    told = script(
        world,
        """
        import hark, json, subprocess, time
        script = "curl -s http://192.0.2.10:8080/hello; %s"
        found = []
        for rest in ("sleep 60", "setsid sleep 60 & exit 0"):
            start = time.monotonic()
            try: hark.run(["sh", "-c", script % rest], timeout=1.5, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            except subprocess.TimeoutExpired as error:
                found.append([error.cmd == ["sh", "-c", script % rest], error.timeout, error.stdout.decode(), [e.url for e in error.recording], error.recording.stdout == error.stdout, time.monotonic() - start < 9])
        try: hark.run(script % "exit 4", shell=True, check=True, capture_output=True)
        except subprocess.CalledProcessError as error: found.append([error.cmd, error.returncode, error.stdout.decode(), len(error.recording), error.recording.status])
        with hark.listen(["sh", "-c", script % "sleep 60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as live:
            try: live.wait(1.5)
            except subprocess.TimeoutExpired as error: found.append([error.cmd[0], len(error.recording)])
        print(json.dumps(found))
        """,
    )
    late = [True, 1.5, "hello\n", ["http://192.0.2.10:8080/hello"], True, True]
    failed = ["curl -s http://192.0.2.10:8080/hello; exit 4", 4, "hello\n", 1, 4]
    assert told == [late, late, failed, ["sh", 1]]
