"""How connections end, as real clients and servers do it: one line each, that says who ended it, and when.

A row is a way to fail, a column a client. The usual suite runs a diagonal of that table, `make soak` all of it.
"""

import re
import sys

import pytest

from servers import GO
from world import program

SERVERS = program("ending_servers.py")
PLAIN, SILENT, CLOSES, RESETS, CUTS, STALLS, BANNER, LATE, AT_END = range(7501, 7510)

# What is asked for, and what the line must say: what failed, why.
ROWS = {
    "name not found": ("http://nosuch.invalid/", r"dns nosuch\.invalid NXDOMAIN"),
    "refused": ("http://192.0.2.10:81/", r"connect 192\.0\.2\.10:81 refused"),
    "unreachable": ("http://198.51.100.1/", r"connect 198\.51\.100\.1:80 unreachable"),
    "no answer to SYN": ("http://203.0.113.1/", r"connect 203\.0\.113\.1:80 no answer"),
    "plain HTTP on an https port": (f"https://192.0.2.10:{PLAIN}/", r":7501 the server answered in HTTP, not TLS"),
    "a mail server": (f"https://192.0.2.10:{BANNER}/", r":7507 the server answered in smtp, not TLS"),
    "silent after ClientHello": (f"https://192.0.2.10:{SILENT}/", r":7502 the server did not answer the ClientHello; the client closed after 1\.\d s"),
    "untrusted certificate": ("https://site.test:8443/", r"site\.test:8443 the client (rejected|closed|reset|ended|broke off).*"),
    "expired certificate": ("https://site.test:8444/", r"site\.test:8444 the client (rejected|closed|reset|ended|broke off).*"),
    "wrong host name": ("https://wrong.site.test:8443/", r"wrong\.site\.test:8443 the client (rejected|closed|reset|ended|broke off).*"),
    "closed without an answer": (f"http://192.0.2.10:{CLOSES}/", r":7503/.* the server closed without a response, after"),
    "client timeout": (f"http://192.0.2.10:{SILENT}/", r":7502/.* the client gave up after 1\.\d s waiting for a response"),
    "cut body": (f"http://192.0.2.10:{CUTS}/", r":7505/.* 200 the server closed after .*s, in the middle of the body"),
    "client timeout in the body": (f"http://192.0.2.10:{STALLS}/", r":7506/.* 200 the client (closed|reset the connection) after 1\.\d s, in the middle of the body"),
    "reset": (f"http://192.0.2.10:{RESETS}/", r":7504/.* the server reset the connection after .*, without a response"),
}  # fmt: skip
TRUSTED = {"wrong host name", "expired certificate"}  # the client knows the certificate: only this is wrong with it

PYTHON = """
import sys, requests
requests.get(sys.argv[1], timeout=1.2, verify=sys.argv[2] if len(sys.argv) > 2 else True)
"""
NODE = """
const [url] = process.argv.slice(2);
const gone = setTimeout(() => process.exit(3), 1200);
fetch(url).then(r => r.text()).catch(e => { console.error(String(e.cause || e)); process.exitCode = 1; }).finally(() => clearTimeout(gone));
"""
JAVA = """
import java.net.*; import java.net.http.*; import java.time.*;
public class Ask { public static void main(String[] a) throws Exception {
 HttpClient c = HttpClient.newBuilder().connectTimeout(Duration.ofMillis(1500)).version(HttpClient.Version.HTTP_1_1).build();
 c.send(HttpRequest.newBuilder(URI.create(a[0])).timeout(Duration.ofMillis(1500)).build(), HttpResponse.BodyHandlers.ofString());
} }
"""


def command(world, client: str, url: str, trusted: bool) -> list[str]:
    """How a client is told to fetch it, to give up after 1.2 seconds, and which certificates to trust."""
    ca = str(world.dir / ("expired.pem" if ":8444" in url else "cert.pem"))
    home = world.dir / "home"
    if client == "curl":
        return ["curl", "-sS", "-m", "1.2", *(["--cacert", ca] if trusted else []), url]
    if client == "wget":
        return ["wget", "-q", "-t", "1", "-T", "1.2", "-O", "-", *([f"--ca-certificate={ca}"] if trusted else []), url]
    if client == "requests":
        return [sys.executable, "-c", PYTHON, url, *([ca] if trusted else [])]
    if client == "node":
        (home / "ask.js").write_text(NODE)
        return ["env", *([f"NODE_EXTRA_CA_CERTS={ca}"] if trusted else []), "node", "ask.js", url]
    if client == "go":
        return ["env", *([f"SSL_CERT_FILE={ca}"] if trusted else ["SSL_CERT_FILE=/nowhere"]), GO, "fetch", url]
    (home / "Ask.java").write_text(JAVA)
    return ["java", "Ask.java", url]


@pytest.fixture(scope="module")
def servers(world):
    world.start([sys.executable, "-c", SERVERS, str(world.dir)])
    world.wait_for("192.0.2.10", AT_END)
    return world


def check(world, row: str, client: str) -> None:
    url, wanted = ROWS[row]
    run = world.run("hark", *command(world, client, url, row in TRUSTED))
    lines = [line for line in run.err.splitlines() if re.search(wanted, line)]
    tries = 3 if client == "java" else 1  # its HTTP client asks again by itself
    assert 1 <= len(lines) <= tries, f"{client}: {row}\n{run.err}"
    assert re.search(r"\w\[\d+\]", lines[0]), lines[0]  # who asked
    assert run.status != 0


DIAGONAL = [
    ("name not found", "requests"),
    ("refused", "node"),
    ("plain HTTP on an https port", "curl"),
    ("a mail server", "curl"),
    ("silent after ClientHello", "go"),
    ("untrusted certificate", "wget"),
    ("untrusted certificate", "node"),
    ("wrong host name", "curl"),
    ("closed without an answer", "go"),
    ("client timeout", "curl"),
    ("client timeout in the body", "requests"),
    ("cut body", "node"),
    ("reset", "wget"),
]


@pytest.mark.parametrize(("row", "client"), DIAGONAL)
def test_who_ended_it(servers, row: str, client: str) -> None:
    check(servers, row, client)


@pytest.mark.soak
@pytest.mark.parametrize("client", ["curl", "wget", "requests", "node", "go", "java"])
@pytest.mark.parametrize("row", ROWS)
def test_every_client_ends_in_every_way(servers, row: str, client: str) -> None:
    if (row, client) == ("client timeout in the body", "java"):
        pytest.skip("the time-out of Java's HTTP client ends with the response's headers")
    check(servers, row, client)


# The same FIN, 50 ms behind the request or at once: by a client that has gone, and by one that reads on.
ENDS = """
import socket, sys, time
port, how = int(sys.argv[1]), sys.argv[2]
s = socket.create_connection(("192.0.2.10", port), 5)
s.sendall(b"GET /%b HTTP/1.1\\r\\nHost: 192.0.2.10:%d\\r\\n\\r\\n" % (how.encode(), port))
if how == "gone": time.sleep(0.05); s.close()
else:
    s.shutdown(socket.SHUT_WR)
    while data := s.recv(4096): print(data.rpartition(b"\\n")[2].decode(), flush=True)
"""


def test_a_client_that_has_gone_and_one_that_half_closed(servers) -> None:
    """By what comes behind the client's end: an answer that is read or refused. Where none comes, both ends are said."""
    pairs = [(port, how) for port in (LATE, AT_END, SILENT) for how in ("gone", "half")][:-1]
    each = "; ".join(f"{sys.executable} -c '{ENDS}' {port} {how}" for port, how in pairs)
    run = servers.sh(f"{each}; sleep 0.3")
    assert run.out == b"half of it\n", (run.out, run.err)
    shown = {entry["request"]["url"].rpartition(":")[2]: entry for entry in run.entries}
    assert len(shown) == len(run.entries) == len(pairs)
    both = r"the client closed its side after \d+(\.\d)? ms; the server closed without a response, after \d+(\.\d)? ms"
    wanted = {
        f"{LATE}/gone": r"the client gave up after \d+ ms waiting for a response",
        f"{LATE}/half": "",
        f"{AT_END}/gone": both,
        f"{AT_END}/half": both,
        f"{SILENT}/gone": r"the client closed its side after \d+ ms; no answer was recorded",
    }
    for name, said in wanted.items():
        assert re.fullmatch(said, shown[name].get("_trouble", "")), (name, shown[name].get("_trouble"))
    assert shown[f"{LATE}/half"]["response"]["content"]["text"] == "half of it"
    assert shown[f"{AT_END}/gone"]["_ending"]["then"]["by"] == "server"


def test_a_short_lived_programs_tls_is_named(servers) -> None:
    """Also where it is gone before hark had time to search it, each time."""
    fetch = f"SSL_CERT_FILE=$CA {GO} fetch https://site.test:8443/hello"
    for script in (fetch, "; ".join([fetch] * 7)):
        run = servers.run("hark", "sh", "-c", script)
        assert run.status == 0 and run.err.count("Go crypto/tls") == script.count("fetch"), run.err
