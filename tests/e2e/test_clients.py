"""Real clients against a real nginx, as an ordinary user: what each asked for is told, and its own output is its own."""

import sys

import pytest

BASE = "https://site.test:8443"

CLIENTS = {
    "curl-h2": ("curl -s --cacert $CA {base}/hello", ["GET {base}/hello 200 h2 curl"]),
    "curl-h1": ("curl -s --http1.1 --cacert $CA {base}/hello", ["GET {base}/hello 200 http/1.1 curl"]),
    "curl-tls12": ("curl -s --tls-max 1.2 --cacert $CA {base}/hello", ["GET {base}/hello 200 h2 curl"]),
    "curl-ipv6": (
        "curl -s --cacert $CA https://[2001:db8:1::10]:8443/hello",
        ["GET https://[2001:db8:1::10]:8443/hello 200 h2 curl"],
    ),
    "curl-ipv6-name": (
        "curl -s --cacert $CA https://six.test:8443/hello",
        ["GET https://six.test:8443/hello 200 h2 curl"],
    ),
    "curl-ipv4-literal": (
        "curl -s --cacert $CA https://192.0.2.10:8443/hello",
        ["GET https://192.0.2.10:8443/hello 200 h2 curl"],
    ),
    "curl-localhost": (
        "curl -s --cacert $CA https://localhost:8443/hello",
        ["GET https://localhost:8443/hello 200 h2 curl"],
    ),
    "wget": ("wget -q -O- --ca-certificate=$CA {base}/hello", ["GET {base}/hello 200 http/1.1 wget"]),
    "python-urllib": (
        "{python} -c 'import urllib.request as u, ssl, os; "
        'print(u.urlopen("{base}/hello", context=ssl.create_default_context(cafile=os.environ["CA"])).read().decode(), end="")\'',
        ["GET {base}/hello 200 http/1.1 python"],
    ),
    "python-requests": (
        '{python} -c \'import requests, os; print(requests.get("{base}/hello", verify=os.environ["CA"]).text, end="")\'',
        ["GET {base}/hello 200 http/1.1 python"],
    ),
    "python-httpx-h2": (
        "{python} -c 'import httpx, os, ssl; "
        'c = httpx.Client(http2=True, verify=ssl.create_default_context(cafile=os.environ["CA"])); '
        'print(c.get("{base}/hello").text, end="")\'',
        ["GET {base}/hello 200 h2 python"],
    ),
    "python-aiohttp": (
        "{python} -c 'import aiohttp, asyncio, os, ssl\n"
        "async def main():\n"
        " async with aiohttp.ClientSession() as s:\n"
        '  async with s.get("{base}/hello", ssl=ssl.create_default_context(cafile=os.environ["CA"])) as r:\n'
        '   print(await r.text(), end="")\n'
        "asyncio.run(main())'",
        ["GET {base}/hello 200 http/1.1 python"],
    ),
    "node-https": (
        'NODE_EXTRA_CA_CERTS=$CA node -e \'require("https").get("{base}/hello", r => r.pipe(process.stdout))\'',
        ["GET {base}/hello 200 http/1.1 node"],
    ),
    "node-fetch": (
        "NODE_EXTRA_CA_CERTS=$CA node -e 'fetch(\"{base}/hello\").then(r => r.text()).then(t => process.stdout.write(t))'",
        ["GET {base}/hello 200 http/1.1 node"],
    ),
    "node-http2": (
        "NODE_EXTRA_CA_CERTS=$CA node -e '"
        'const s = require("http2").connect("{base}"); const r = s.request({{":path": "/hello"}}); '
        'r.pipe(process.stdout); r.on("end", () => s.close())\'',
        ["GET {base}/hello 200 h2 node"],
    ),
    "node-worker": (
        "NODE_EXTRA_CA_CERTS=$CA node -e '"
        'new (require("worker_threads").Worker)(`require("https").get("{base}/hello", r => r.pipe(process.stdout))`, '
        "{{eval: true}})'",
        ["GET {base}/hello 200 http/1.1 node"],
    ),
    "perl-lwp": (
        "perl -MLWP::UserAgent -e '"
        'print LWP::UserAgent->new(ssl_opts => {{SSL_ca_file => $ENV{{CA}}}})->get("{base}/hello")->content\'',
        ["GET {base}/hello 200 http/1.1 perl"],
    ),
    "ruby": (
        "ruby -ropenssl -rnet/http -e '"
        'u = URI("{base}/hello"); print Net::HTTP.start(u.host, u.port, use_ssl: true, ca_file: ENV["CA"]) '
        "{{ |h| h.get(u.path).body }}'",
        ["GET {base}/hello 200 http/1.1 ruby"],
    ),
    "php": (
        'php -r \'echo file_get_contents("{base}/hello", false, '
        'stream_context_create(["ssl" => ["cafile" => getenv("CA")]]));\'',
        ["GET {base}/hello 200 http/1.1 php"],
    ),
    "ctypes-libssl": (  # libssl by dlopen and dlsym, as Qt and .NET do it
        "{python} -c '\n"
        "import ctypes, socket, sys\n"
        'l = ctypes.CDLL("libssl.so.3")\n'
        "for f in (l.TLS_client_method, l.SSL_CTX_new, l.SSL_new): f.restype = ctypes.c_void_p\n"
        "c = ctypes.c_void_p(l.SSL_CTX_new(ctypes.c_void_p(l.TLS_client_method())))\n"
        "s = ctypes.c_void_p(l.SSL_new(c))\n"
        'k = socket.create_connection(("site.test", 8443))\n'
        "l.SSL_set_fd(s, k.fileno()); assert l.SSL_connect(s) == 1\n"
        'q = b"GET /hello HTTP/1.1\\r\\nHost: site.test:8443\\r\\nConnection: close\\r\\n\\r\\n"\n'
        "l.SSL_write(s, q, len(q)); b = ctypes.create_string_buffer(4096); n = l.SSL_read(s, b, 4096)\n"
        "t = b.raw[:n]\n"
        'while b"hello" not in t: n = l.SSL_read(s, b, 4096); t += b.raw[:n]\n'
        'sys.stdout.write(t.rpartition(b"\\r\\n")[2].decode())\'',
        ["GET {base}/hello 200 http/1.1 python"],
    ),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_client(world, name: str) -> None:
    command, expected = (
        part.format(base=BASE, python=sys.executable) if isinstance(part, str) else [e.format(base=BASE) for e in part]
        for part in CLIENTS[name]
    )
    run = world.hark("-o", "client.pcapng", "sh", "-c", command)
    assert run.told == expected, run.err
    assert (run.status, run.out) == (0, b"hello\n"), run.err
    assert run.entries[0]["response"]["content"]["text"] == "hello\n"
    facts = run.entries[0]["_tls"]
    assert facts["version"] == ("TLS 1.2" if "tls12" in name else "TLS 1.3")
    assert facts["opened_by"] in ("openssl", "SSLKEYLOGFILE")
    lines = run.err.splitlines()
    assert len(lines) == 2, run.err  # the exchange and the summary: nothing of ours, nothing of the program's
    assert lines[1] == f"hark: 1 exchange with {expected[0].split('/')[2]}"
    # Another decoder finds the same in the recording: the secrets stand in front of what they open.
    fields = [word for name in ("http.request.uri", "http2.headers.path") for word in ("-e", name)]
    seen = world.run("tshark", "-r", "client.pcapng", "-d", "tcp.port==8443,tls", "-T", "fields", *fields)
    assert seen.out.split() == [b"/hello"], seen.err


def test_curl_parallel(world) -> None:
    """Parallel transfers of one curl over one HTTP/2 connection."""
    run = world.sh(f"curl -s --parallel --cacert $CA '{BASE}/hello?[1-13]'")
    assert sorted(run.told) == sorted(f"GET {BASE}/hello?{n} 200 h2 curl" for n in range(1, 14))


def test_git_clone(world) -> None:
    """A clone over https (GnuTLS in libcurl) from a dumb repository."""
    run = world.run(
        "sh", "-ec",
        "cd $DIR/www; git init -q repo.src; cd repo.src; git config user.email a@b; git config user.name n; "
        "echo hark > file; git add file; git commit -qm one; cd ..; git clone -q --bare repo.src repo.git; "
        "cd repo.git; git update-server-info",
    )  # fmt: skip
    assert run.status == 0, run.err
    run = world.sh(f"git -c http.sslCAInfo=$CA clone -q {BASE}/repo.git copy && cat copy/file")
    assert (run.status, run.out) == (0, b"hark\n"), run.err
    asked = [line.split()[1] for line in run.told]
    assert f"{BASE}/repo.git/info/refs?service=git-upload-pack" in asked
    assert f"{BASE}/repo.git/HEAD" in asked
    assert not any("closed" in line for line in run.err.splitlines())


def test_23_requests_from_7_processes(world) -> None:
    """Count in primes: nothing twice, nothing missed, each with its own process."""
    script = "".join(
        f"curl -s --cacert $CA {' '.join(f'{BASE}/hello?{p}.{n}' for n in range(count))} >/dev/null & "
        for p, count in enumerate((5, 2, 3, 1, 7, 3, 2))
    )
    run = world.sh(script + "wait")
    assert len(run.entries) == 23, run.err
    asked = {f"{BASE}/hello?{p}.{n}" for p, count in enumerate((5, 2, 3, 1, 7, 3, 2)) for n in range(count)}
    assert {entry["request"]["url"] for entry in run.entries} == asked
    pids = {entry["_process"]["pid"] for entry in run.entries}
    assert len(pids) == 7
    by_pid = {entry["request"]["url"].split("?")[1].split(".")[0]: entry["_process"]["pid"] for entry in run.entries}
    assert len(set(by_pid.values())) == 7


def test_plain_http_on_odd_ports(world) -> None:
    """The protocol is found by content, whatever the port."""
    for port in (25, 53535, 5353, 6379):
        world.start(
            [sys.executable, "-m", "http.server", str(port), "--bind", "192.0.2.10", "--directory", f"{world.dir}/www"]
        )
        world.wait_for("192.0.2.10", port)
        run = world.hark("curl", "-s", f"http://192.0.2.10:{port}/item.json")
        assert len(run.entries) == 1, (port, run.err)
        assert run.entries[0]["response"]["content"]["text"] == '{"item": [1, 2, 3]}\n'


def test_content_codings_are_undone(world) -> None:
    """gzip by nginx; the wire's size and the content's size are both told."""
    run = world.sh(f"curl -s --compressed --cacert $CA {BASE}/page.html | wc -c")
    entry = run.entries[0]
    assert entry["response"]["content"]["text"].startswith("<html><p>hark</p>")
    assert entry["response"]["content"]["size"] == 6 + 500 * 11 or entry["response"]["content"]["size"] == 5506
    assert int(run.out) == 5506


def test_env_i_children_are_heard(world) -> None:
    """The agent carries itself into children whose environment was emptied."""
    run = world.sh(f"env -i /usr/bin/curl -s --cacert $CA {BASE}/hello")
    assert run.told == [f"GET {BASE}/hello 200 h2 curl"]


def test_users_own_variables_are_kept(world) -> None:
    """SSLKEYLOGFILE keeps being written, LD_PRELOAD and NODE_OPTIONS stay behind ours."""
    own = world.dir / "home" / "own.keys"
    run = world.sh(
        f"echo $SSLKEYLOGFILE; echo $LD_PRELOAD; echo $NODE_OPTIONS; curl -s --cacert $CA {BASE}/hello",
        SSLKEYLOGFILE=str(own), LD_PRELOAD="libm.so.6", NODE_OPTIONS="--no-warnings",
    )  # fmt: skip
    key_log, preload, options, hello = run.out.decode().splitlines()
    assert (key_log, hello) == (str(own), "hello")
    assert preload.endswith(":libm.so.6") and options.endswith(" --no-warnings")
    assert run.told == [f"GET {BASE}/hello 200 h2 curl"]
    assert "CLIENT_TRAFFIC_SECRET_0" in own.read_text()


def test_musl_programs_are_not_disturbed(world) -> None:
    """A dynamically linked musl program runs as it would without the agent, and its plain HTTP is heard."""
    source = world.dir / "home" / "m.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("musl"); return 7; }\n')
    assert world.run("musl-gcc", "-o", "m", "m.c").status == 0
    run = world.hark("./m")
    assert (run.status, run.out) == (7, b"musl\n")
    assert run.err == "hark: no exchanges\n"


def test_pcapng_opens_decrypted_in_tshark(world) -> None:
    """-o x.pcapng holds frames, secrets in front of what they open, and the processes; mode 0600."""
    for version in ("1.2", "1.3"):
        run = world.run(
            "hark", "-o", "x.pcapng", "curl", "-s", "--tls-max", version, "--cacert", str(world.dir / "cert.pem"),
            f"{BASE}/hello", f"{BASE}/item.json",
        )  # fmt: skip
        assert run.status == 0, run.err
        path = world.dir / "home" / "x.pcapng"
        assert path.stat().st_mode & 0o777 == 0o600
        seen = world.run("tshark", "-r", "x.pcapng", "-d", "tcp.port==8443,tls", "-T", "fields", "-e", "http2.headers.path",
                         "-e", "http2.headers.status", "-Y", "http2.headers")  # fmt: skip
        assert seen.out.split() == [b"/hello", b"200", b"/item.json", b"200"], (version, seen.out, seen.err)
        replayed = world.run("hark", "read", "--json", "x.pcapng")
        assert replayed.out.count(b'"name":"curl"') == 2
