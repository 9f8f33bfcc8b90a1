"""Makes the golden recordings anew, from real programs in the tests' world (see tests/world.py).

usage: python recordings/make.py [NAME...]      then: pytest tests/test_golden.py --bless, and read the difference

Run it as root after `make test` has set things up. Each recording is what `hark -o` leaves of one command.
"""

import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from world import World  # noqa: E402

PIPELINE = (
    "import socket; s = socket.create_connection(('192.0.2.10', 8080)); "
    "s.sendall(b'HEAD /hello HTTP/1.1\\r\\nHost: h\\r\\n\\r\\nGET /moved HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"
    "GET /fail HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n'); "
    "[None for _ in iter(lambda: s.recv(4096), b'')]"
)
REQUEST = "GET /hello HTTP/1.1\\r\\nHost: resumed\\r\\nConnection: close\\r\\n\\r\\n"
CLIENT = "openssl s_client -quiet -no_ign_eof -connect 192.0.2.10:8443 -servername localhost"

RECORDINGS = {
    "curl-h2-tls13": "curl -s --cacert $CA https://site.test:8443/hello https://site.test:8443/item.json",
    "curl-h1-tls12": "curl -s --http1.1 --tls-max 1.2 --cacert $CA https://six.test:8443/hello -d a=b -d c=d",
    "curl-chacha-tls13": "curl -s --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256 --cacert $CA https://site.test:8443/hello",
    "curl-chunked-upload": "cat $CA | curl -s -T - -H Content-Type:text/plain http://192.0.2.10:8080/upload",
    "curl-expect-continue": "head -c 3000 /dev/zero | curl -s -H 'Expect: 100-continue' --data-binary @- http://192.0.2.10:8080/upload",
    "curl-gzip": "curl -s --compressed --cacert $CA https://site.test:8443/page.html",
    "curl-h2c-prior-knowledge": "curl -s --http2-prior-knowledge http://192.0.2.10:7030/h2c",
    "curl-h2c-upgrade": "curl -s --http2 http://192.0.2.10:7030/upgraded http://192.0.2.10:7030/second",
    "wget-gnutls": "wget -q -O- --ca-certificate=$CA https://site.test:8443/hello",
    "node-http2": (
        "NODE_EXTRA_CA_CERTS=$CA node -e 'const s = require(\"http2\").connect(\"https://site.test:8443\"); let n = 3; "
        'for (const p of ["/hello", "/fail", "/moved"]) { const r = s.request({":path": p}); r.resume(); '
        'r.on("end", () => --n || s.close()) }\''
    ),
    "pipelined": f'{sys.executable} -c "{PIPELINE}"',
    "resumed-tls12": (
        f"printf '{REQUEST}' >q; {CLIENT} -tls1_2 -sess_out s <q 2>/dev/null; {CLIENT} -tls1_2 -sess_in s <q 2>/dev/null"
    ),
    "early-data-tls13": (
        f"printf '{REQUEST}' >q; (cat q; sleep 0.3) | {CLIENT} -tls1_3 -sess_out s 2>/dev/null; "
        f"sleep 0.3 | {CLIENT} -tls1_3 -sess_in s -early_data q 2>/dev/null"
    ),
    "key-update-tls13": (
        "(sleep 0.2; printf 'K\\n'; sleep 0.2; printf 'GET /hello HTTP/1.1\\r\\nHost: updated\\r\\nConnection: close\\r\\n\\r\\n'; "
        "sleep 0.3) | openssl s_client -connect 192.0.2.10:8443 2>/dev/null >/dev/null"
    ),
    "failures": (
        "curl -s http://192.0.2.10:81/; curl -s http://nosuch.invalid/; curl -s --cacert $DIR/expired.pem https://localhost:8444/; "
        "sleep 1.1; true"
    ),
    "within-the-tree": (
        f"cd $DIR/www; {sys.executable} -m http.server 7031 --bind ::1 >/dev/null 2>&1 & p=$!; "
        "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; curl -s http://[::1]:7031/item.json && break; done; kill $p"
    ),
}  # fmt: skip

SERVER = """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config
async def app(scope, receive, send):
    if scope["type"] != "http": return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["http_version"].encode()})
c = Config(); c.bind = ["192.0.2.10:7030"]; c.loglevel = "ERROR"
asyncio.run(serve(app, c))
"""


def main(names: list[str]) -> None:
    """Record the named ones, or all."""
    world = World()
    try:
        world.start([sys.executable, "-c", SERVER])
        world.wait_for("192.0.2.10", 7030)
        for name in names or RECORDINGS:
            run = world.run("hark", "-o", "golden.pcapng", "sh", "-c", RECORDINGS[name])
            print(f"{name}: status {run.status}\n{run.err}")
            shutil.copyfile(world.dir / "home" / "golden.pcapng", HERE / f"{name}.pcapng")
    finally:
        world.close()


main(sys.argv[1:])
