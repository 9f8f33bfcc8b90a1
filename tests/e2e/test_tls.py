"""TLS as OpenSSL can speak it: every suite of TLS 1.0 to 1.3, resumption, key update, client certificates."""

import ast
import io
import json
import os
import subprocess
import sys

import pytest

from allways import render
from hark.decode import ciphers
from hark.decode.decoder import Decoder
from hark.decode.handshake import Handshake
from hark.recording import pcapng
from hark.recording.blocks import Frame, Secrets
from hark.recording.reader import read
from hark.wire import tls


def _openssl_suites(version: str) -> list[tuple[str, str]]:
    """(openssl's name, the standard one) of each suite that openssl offers for a version and hark's tests can serve."""
    said = subprocess.run(
        ["openssl", "ciphers", "-stdname", "-s", version, "-psk", "-srp", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = []
    for line in said.splitlines():
        standard, _, rest = line.partition(" - ")
        if "SRP" not in standard:  # s_server wants a verifier file for these
            found.append((rest.split()[0], standard.strip()))
    return found


TLS13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
         "TLS_AES_128_CCM_8_SHA256"]  # fmt: skip
SUITES = [("-tls1_3", name, name) for name in TLS13]
SUITES += [("-tls1_2", *names) for names in _openssl_suites("-tls1_2")]
SUITES += [
    (version, *names) for version in ("-tls1", "-tls1_1") for names in _openssl_suites(version) if "PSK" not in names[1]
]
REQUEST = "GET /x HTTP/1.0\\r\\n\\r\\n"
ALLOW = [
    "-cipher",
    "ALL:COMPLEMENTOFALL:@SECLEVEL=0",
    "-ciphersuites",
    ":".join(TLS13),
    "-psk",
    "c0ffee",
    "-www",
    "-quiet",
]


@pytest.fixture(scope="module")
def servers(world):
    """openssl s_server with an ECDSA, an RSA and a DSA certificate; every suite is allowed."""
    for kind, option in (("rsa", "rsa:2048"), ("dsa", "dsa:dsa.params")):
        made = world.sh(
            "openssl dsaparam -out dsa.params 1024 2>/dev/null; "
            f"openssl req -x509 -newkey {option} -nodes -keyout {kind}.key -out {kind}.pem -days 9 -subj /CN=localhost 2>/dev/null"
        )
        assert made.status == 0, made.err
    home = world.dir / "home"
    files = {
        7101: (world.dir / "cert.pem", world.dir / "key.pem"),
        7102: (home / "rsa.pem", home / "rsa.key"),
        7107: (home / "dsa.pem", home / "dsa.key"),
    }
    for port, (cert, key) in files.items():
        world.start(
            ["openssl", "s_server", "-accept", f"192.0.2.10:{port}", "-cert", str(cert), "-key", str(key), *ALLOW]
        )
        world.wait_for("192.0.2.10", port)
    return files


def test_the_list_is_not_empty() -> None:
    assert len(SUITES) >= 120 and len({standard for _, _, standard in SUITES}) >= 100


@pytest.fixture(scope="module")
def spoken(world, servers) -> list[tuple[bytes, list[dict]]]:
    """What openssl printed with each suite, and the entries of it: one hark for a connection with each of them."""
    lines = []
    for number, (version, suite, standard) in enumerate(SUITES):
        port = 7101 if "_ECDSA_" in standard else 7107 if "_DSS_" in standard else 7102
        choose = f"-ciphersuites {suite}" if version == "-tls1_3" else f"-cipher {suite}:@SECLEVEL=0"
        client = f"openssl s_client -quiet -psk c0ffee {version} {choose} -connect 192.0.2.10:{port} 2>/dev/null"
        lines.append(f"echo '== next'; printf 'GET /{number} HTTP/1.0\\r\\n\\r\\n' | {client}")
    run = world.sh("\n".join(lines), timeout=120)
    printed = run.out.split(b"== next\n")[1:]
    assert len(printed) == len(SUITES), run.err
    entries: list[list[dict]] = [[] for _ in SUITES]
    for entry in run.entries:
        entries[int(entry["request"]["url"].rpartition("/")[2])].append(entry)
    return list(zip(printed, entries, strict=True))


@pytest.mark.parametrize("number", range(len(SUITES)), ids=[f"{v[1:]} {s}" for v, s, _ in SUITES])
def test_suite(spoken, number: int) -> None:
    version, suite, standard = SUITES[number]
    printed, entries = spoken[number]
    (entry,) = entries
    assert (entry["request"]["method"], entry["response"]["status"]) == ("GET", 200)
    names = {"-tls1": "TLS 1.0", "-tls1_1": "TLS 1.1", "-tls1_2": "TLS 1.2", "-tls1_3": "TLS 1.3"}
    assert entry["_tls"]["version"] == names[version]
    assert entry["_tls"]["cipher"] == standard
    assert suite.encode() in printed  # -www prints the suite: the page that we decoded is whole
    assert suite in entry["response"]["content"]["text"]


@pytest.mark.parametrize("option", ["-no_etm", ""])
def test_cbc_both_orders_of_mac(world, option: str) -> None:
    """MAC-then-encrypt and encrypt-then-MAC: openssl can be told not to offer the second."""
    port = 7103 if option else 7104
    allow = ["-cipher", "ALL:@SECLEVEL=0", "-www", "-quiet", *([option] if option else [])]
    files = ["-cert", str(world.dir / "cert.pem"), "-key", str(world.dir / "key.pem")]
    world.start(["openssl", "s_server", "-accept", f"192.0.2.10:{port}", *files, *allow])
    world.wait_for("192.0.2.10", port)
    suite = "ECDHE-ECDSA-AES256-SHA384"
    run = world.sh(
        f"printf '{REQUEST}' | openssl s_client -quiet -tls1_2 -cipher {suite} -connect 192.0.2.10:{port} 2>/dev/null"
    )
    assert [entry["response"]["status"] for entry in run.entries] == [200], run.err


def test_key_updates_both_ways(world, servers) -> None:
    """K asks the peer to update too; thirty times, with requests in between that must stay readable."""
    script = (
        "import socket, ssl, subprocess, sys, time\n"
        "p = subprocess.Popen(['openssl', 's_client', '-connect', '192.0.2.10:8443', '-servername', 'localhost'], "
        "stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "time.sleep(0.3)\n"
        "for n in range(30):\n"
        " p.stdin.write(b'K\\n'); p.stdin.flush(); time.sleep(0.02)\n"
        " p.stdin.write(b'GET /hello?%d HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n' % n); p.stdin.flush(); time.sleep(0.02)\n"
        "p.stdin.close(); p.wait()\n"
    )
    run = world.hark(sys.executable, "-c", script)
    assert run.told == [f"GET https://h/hello?{n} 200 http/1.1 openssl" for n in range(30)], run.err


def test_resumed_sessions_are_heard_and_said(world) -> None:
    """TLS 1.2 by session id and ticket, TLS 1.3 by ticket (Python's ssl reuses the session)."""
    script = (
        "import os, socket, ssl, sys\n"
        "c = ssl.create_default_context(cafile=os.environ['CA'])\n"
        "c.minimum_version = c.maximum_version = getattr(ssl.TLSVersion, sys.argv[1])\n"
        "session = None\n"
        "for n in range(3):\n"
        " s = c.wrap_socket(socket.create_connection(('site.test', 8443)), server_hostname='site.test', session=session)\n"
        " s.sendall(b'GET /hello?%d HTTP/1.1\\r\\nHost: site.test\\r\\nConnection: close\\r\\n\\r\\n' % n)\n"
        " while s.recv(4096): pass\n"
        " session = s.session; s.close()\n"
    )
    for version in ("TLSv1_2", "TLSv1_3"):
        run = world.hark(sys.executable, "-c", script, version)
        assert [entry["_tls"]["resumed"] for entry in run.entries] == [False, True, True], (version, run.err)


def test_agent_keeps_the_programs_own_callback(world) -> None:
    """A program with its own key log callback gets every line, and its callback back when it asks for it."""
    source = world.dir / "home" / "own.c"
    source.write_text(
        "#include <stdio.h>\n#include <openssl/ssl.h>\n#include <openssl/bio.h>\n"
        "static int lines; static void mine(const SSL *s, const char *l) { (void)s; (void)l; lines++; }\n"
        "int main(void) { SSL_CTX *c = SSL_CTX_new(TLS_client_method()); SSL_CTX_set_keylog_callback(c, mine);\n"
        " if (SSL_CTX_get_keylog_callback(c) != mine) return 2;\n"
        ' BIO *b = BIO_new_ssl_connect(c); BIO_set_conn_hostname(b, "192.0.2.10:8443"); if (BIO_do_connect(b) <= 0) return 3;\n'
        ' BIO_puts(b, "GET /hello HTTP/1.0\\r\\n\\r\\n"); char t[4096]; while (BIO_read(b, t, 4096) > 0); printf("%d\\n", lines); return 0; }\n'
    )
    built = world.run("cc", "-o", "own", "own.c", "-lssl", "-lcrypto")
    assert built.status == 0, built.err
    plain, run = world.run("./own"), world.hark("./own")
    assert (run.status, run.out) == (0, plain.out) and plain.out.strip().isdigit()
    assert run.told == ["GET https://192.0.2.10:8443/hello 200 http/1.0 own"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may chroot")
def test_agent_works_in_a_chroot(world) -> None:
    """hark as root, without a user namespace; the program leaves every path behind before it speaks TLS."""
    script = (
        "import os, socket, ssl, encodings.idna\n"
        "c = ssl.create_default_context(cafile=os.environ['CA'])\n"
        "c.keylog_filename = None\n"
        "os.chroot(os.environ['DIR'] + '/www'); os.setresuid(1234, 1234, 1234)\n"
        "t = c.wrap_socket(socket.create_connection(('192.0.2.10', 8443)), server_hostname='site.test')\n"
        "t.sendall(b'GET /hello HTTP/1.0\\r\\n\\r\\n')\n"
        "while t.recv(4096): pass\n"
    )
    done = subprocess.run(
        ["ip", "netns", "exec", world.name, "hark", sys.executable, "-c", script],
        env=world.env(), cwd=world.dir, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "GET https://site.test:8443/hello 200 " in done.stderr


def test_agent_works_after_closed_descriptors(world) -> None:
    """The secrets' way out needs neither a path nor a descriptor."""
    script = (
        "import os, socket, ssl\n"
        "c = ssl.create_default_context(cafile=os.environ['CA']); s = socket.create_connection(('192.0.2.10', 8443))\n"
        "del os.environ['SSLKEYLOGFILE']; c.keylog_filename = None\n"
        "os.closerange(3, s.fileno()); os.closerange(s.fileno() + 1, 1024)\n"
        "t = c.wrap_socket(s, server_hostname='site.test')\n"
        "t.sendall(b'GET /hello HTTP/1.0\\r\\n\\r\\n')\n"
        "while t.recv(4096): pass\n"
    )
    run = world.hark(sys.executable, "-c", script)
    assert len(run.entries) == 1, run.err
    assert run.entries[0]["_tls"]["opened_by"] == "openssl"


def test_fork_and_threads(world) -> None:
    """23 requests by 7 processes with 3 threads in some of them, from one context made before the fork."""
    script = (
        "import os, threading, urllib.request as u, ssl\n"
        "c = ssl.create_default_context(cafile=os.environ['CA'])\n"
        "def ask(n): u.urlopen(f'https://site.test:8443/hello?{os.getpid()}.{n}', context=c).read()\n"
        "counts = [3, 3, 4, 4, 3, 3, 3]\n"
        "pids = []\n"
        "for k in counts:\n"
        " pid = os.fork()\n"
        " if not pid:\n"
        "  ts = [threading.Thread(target=ask, args=(n,)) for n in range(k)]\n"
        "  [t.start() for t in ts]; [t.join() for t in ts]; os._exit(0)\n"
        "[os.wait() for _ in counts]\n"
    )
    run = world.hark(sys.executable, "-c", script)
    assert len(run.entries) == 23, run.err
    for entry in run.entries:
        assert entry["request"]["url"].split("?")[1].startswith(f"{entry['_process']['pid']}.")
    assert len({entry["_process"]["pid"] for entry in run.entries}) == 7


def test_a_server_under_hark_is_heard_too(world) -> None:
    """nginx in the tree, asked by curl in the tree: the server's libssl gives secrets as well, each exchange once."""
    conf = world.dir / "home" / "inner.conf"
    conf.write_text(
        f"daemon off; pid {world.dir}/inner.pid; error_log /dev/null; events {{}} http {{ access_log off;\n"
        + "".join(f"{k}_temp_path {world.dir}/tmp;" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        + f"ssl_certificate {world.dir}/cert.pem; ssl_certificate_key {world.dir}/key.pem;\n"
        "server { listen 127.0.0.1:9443 ssl http2; return 200 inner; } }\n"
    )
    script = (
        "nginx -c $DIR/home/inner.conf & p=$!; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; "
        "env -u SSLKEYLOGFILE curl -s --cacert $CA https://localhost:9443/ && break; done; kill $p; wait"
    )
    run = world.sh(script)
    assert run.told == ["GET https://localhost:9443/ 200 h2 curl"], run.err


def _span(frame: Frame) -> tuple[bytes, int, int]:
    """The ends of a TCP segment over IPv4, its first sequence number and the one behind it."""
    data = bytes(frame.data)
    if data[0] != 0x45 or data[9] != 6:
        return b"", 0, 0
    seq = int.from_bytes(data[24:28], "big")
    return data[12:24], seq, seq + len(data) - 20 - (data[32] >> 4) * 4


def _overlap(one: tuple[bytes, int, int], other: tuple[bytes, int, int]) -> bool:
    return one[0] == other[0] and max(one[1], other[1]) < min(one[2], other[2])


def _without_secrets(world, name: str, drop: int = -1) -> list[bytes]:
    """A recording as its blocks, secrets taken out; drop: which of the server's full frames is left out, and whatever
    has bytes of it again, -1 none."""
    kept, full, dropped = [], 0, (b"", 0, 0)
    with open(world.dir / "home" / name, "rb") as file:
        for block in read(file, name):
            if isinstance(block, Secrets):
                continue
            if isinstance(block, Frame) and len(block.data) > 4000:
                full += 1
                if full == drop:
                    dropped = _span(block)
            if isinstance(block, Frame) and _overlap(_span(block), dropped):
                continue
            kept.append(pcapng.encode(block))
    return kept


@pytest.mark.parametrize(
    "version, suite", [("-tls1_2", "AES128-SHA256"), ("-tls1_2", "AES256-GCM-SHA384"), ("-tls1", "AES128-SHA")]
)
def test_rsa_key_exchange_opens_with_the_servers_key(world, servers, version: str, suite: str) -> None:
    """By --private-key, and by the key log's RSA and PMS_CLIENT_RANDOM lines; another key does not open it, or lie."""
    home = world.dir / "home"
    client = f"openssl s_client -quiet {version} -cipher {suite}:@SECLEVEL=0 -connect 192.0.2.10:7102 2>/dev/null"
    world.run("hark", "-o", "rsa.pcapng", "sh", "-c", f"printf '{REQUEST}' | {client}")
    (home / "closed.pcapng").write_bytes(pcapng.header() + b"".join(_without_secrets(world, "rsa.pcapng")))
    assert "no secrets for it came" in world.run("hark", "read", "closed.pcapng").out.decode()
    opened = world.run("hark", "read", "--json", "--private-key", "rsa.key", "closed.pcapng")
    (entry,) = [json.loads(line) for line in opened.out.splitlines()]
    assert entry["response"]["status"] == 200 and entry["_tls"]["opened_by"] == "private key"
    assert entry["_tls"]["certificate"]["subject"] == "CN=localhost"
    assert "closed" in world.run("hark", "read", "--private-key", "../key.pem", "closed.pcapng").out.decode()
    random, encrypted, certificate = _key_exchange(home / "closed.pcapng")
    secret = ciphers.premaster([(home / "rsa.key").read_bytes()], certificate, encrypted)
    for line in (f"RSA {encrypted[:8].hex()} {secret.hex()}\n", f"PMS_CLIENT_RANDOM {random.hex()} {secret.hex()}\n"):
        (home / "pms.keys").write_text(line)
        opened = world.run("hark", "read", "--keys", "pms.keys", "closed.pcapng")
        assert " 200 html " in opened.out.decode(), line


def _key_exchange(path) -> tuple[bytes, bytes, bytes]:
    """(client random, encrypted premaster secret, the server's certificate) of a recording's only connection."""
    decoder, seen = Decoder(), {}
    other = Handshake.other

    def look(self, side, kind, body, time, out):
        seen[kind] = body
        seen["random"] = self.client_random
        return other(self, side, kind, body, time, out)

    Handshake.other = look
    try:
        with open(path, "rb") as file:
            for block in read(file, str(path)):
                decoder.feed(block)
    finally:
        Handshake.other = other
    return seen["random"], seen[tls.CLIENT_KEY_EXCHANGE][2:], tls.certificates(seen[tls.CERTIFICATE], 0x0303)[0]


def test_a_file_that_is_no_key_gets_one_line(world) -> None:
    run = world.run("hark", "read", "--private-key", "../www/item.json", "rsa.pcapng")
    assert (
        (run.status, run.out) == (1, b"") and "it is not a private key in PEM" in run.err and run.err.count("\n") == 1
    )


def test_renegotiation(world) -> None:
    """R makes openssl negotiate anew, inside the old keys; what is said before and after is told."""
    files = ["-cert", str(world.dir / "cert.pem"), "-key", str(world.dir / "key.pem")]
    serve = [
        "openssl",
        "s_server",
        "-accept",
        "192.0.2.10:7108",
        *files,
        "-tls1_2",
        "-client_renegotiation",
        "-HTTP",
        "-quiet",
    ]
    (world.dir / "www" / "answer").write_bytes(b"HTTP/1.0 200 OK\r\n\r\nafter two negotiations\n")
    world.start(["sh", "-c", f"cd {world.dir}/www && exec {' '.join(serve)}"])
    world.wait_for("192.0.2.10", 7108)
    client = "openssl s_client -tls1_2 -connect 192.0.2.10:7108 2>&1"
    again = "sleep 0.2; printf 'R\\n'; sleep 0.2"
    run = world.sh(f"({again}; {again}; printf 'GET /answer HTTP/1.0\\r\\n\\r\\n'; sleep 1.5) | {client}")
    assert run.out.count(b"RENEGOTIATING") == 2 and b"after two negotiations" in run.out
    assert [(e["response"]["status"], e["response"]["content"]["text"]) for e in run.entries] == [
        (200, "after two negotiations\n")
    ], run.err


@pytest.mark.parametrize(
    "choose",
    ["--tls13-ciphers TLS_AES_256_GCM_SHA384", "--tls13-ciphers TLS_CHACHA20_POLY1305_SHA256", "--tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256",
     "--tls-max 1.2 --ciphers ECDHE-ECDSA-CHACHA20-POLY1305"],
)  # fmt: skip
def test_holes_in_tls_are_joined_again(world, choose: str) -> None:
    """A frame of a large response is lost: what is missing is told to the byte, and the next exchange is told whole,
    with the secrets in front and behind."""
    (world.dir / "www" / "large").write_bytes(bytes(range(256)) * 4000)
    run = world.run(
        "hark",
        "-o",
        "holes.pcapng",
        "sh",
        "-c",
        f"curl -s --http1.1 {choose} --cacert $CA -o /dev/null https://site.test:8443/large https://site.test:8443/hello",
    )
    assert run.told == [] and " 1.0 MB " in run.err and "/hello 200" in run.err, run.err
    with open(world.dir / "home" / "holes.pcapng", "rb") as file:
        secrets = [pcapng.encode(b) for b in read(file, "holes") if isinstance(b, Secrets)]
    for drop in (3, 7, 11):
        frames = _without_secrets(world, "holes.pcapng", drop)
        heard = []
        for order in (secrets + frames, frames + secrets):
            decoder = Decoder()
            events = []
            for block in read(io.BytesIO(pcapng.header() + b"".join(order)), "holes"):
                events += list(decoder.feed(block))
            lines = render([*events, *decoder.finish()])
            heard.append([line for line in lines if not line.startswith("alert ")])  # close_notify
        front, behind = heard
        assert front == behind
        assert any(line.startswith("trouble lost-body: ") for line in front), front[:9]
        assert "1 < end" in front and front[-3:] == [
            "2 < 200 OK HTTP/1.1 " + front[-3][20:],
            "2 < body b'hello\\n'",
            "2 < end",
        ]
        body = next(line for line in front if line.startswith("1 < body"))
        lost = sum(int(line.split()[2]) for line in front if line.startswith("trouble lost-body"))
        assert len(ast.literal_eval(body[9:])) + lost == 1024000


def test_a_request_whose_body_nobody_waited_for(world) -> None:
    """nginx answers before the body has come, and resets: what curl had sent by then is told, live and replayed."""
    seen = set()
    for _ in range(4):
        run = world.hark(
            "-o", "early.pcapng", "curl", "-s", "--cacert", str(world.dir / "cert.pem"), "-d", "x=1", "https://site.test:8443/hello"
        )  # fmt: skip
        assert run.told == ["POST https://site.test:8443/hello 200 h2 curl"]
        seen.add(run.entries[0]["request"].get("postData", {}).get("text"))
        replay = world.run("hark", "read", "--json", "early.pcapng")
        assert replay.out == (world.dir / "home" / "told.jsonl").read_bytes()
    assert seen == {"x=1"}
