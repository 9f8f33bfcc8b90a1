"""Makes the golden recordings anew, from real programs in the tests' world (see tests/world.py).

usage: python recordings/make.py [NAME...]      then: pytest tests/test_golden.py --bless, and read the difference

Run it as root after `make test` has set things up. Each recording is what `hark -o` leaves of one command.
"""

import pathlib
import re
import shutil
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import servers  # noqa: E402
from hark.recording import pcapng  # noqa: E402
from hark.recording.blocks import Process  # noqa: E402
from hark.recording.reader import read  # noqa: E402
from world import PROGRAMS, World  # noqa: E402

PIPELINE = (
    "import socket; s = socket.create_connection(('192.0.2.10', 8080)); "
    "s.sendall(b'HEAD /hello HTTP/1.1\\r\\nHost: h\\r\\n\\r\\nGET /moved HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"
    "GET /fail HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n'); "
    "[None for _ in iter(lambda: s.recv(4096), b'')]"
)
REQUEST = "GET /hello HTTP/1.1\\r\\nHost: resumed\\r\\nConnection: close\\r\\n\\r\\n"
CLIENT = "openssl s_client -quiet -no_ign_eof -connect 192.0.2.10:8443 -servername localhost"

SOCKET = (
    "import aiohttp, asyncio\n"
    "async def main():\n"
    ' async with aiohttp.ClientSession() as s, s.ws_connect("http://192.0.2.10:7031/ws", compress=15) as w:\n'
    '  for m in ("hello " * 20, "bye"): await w.send_str(m); await w.receive_str()\n'
    "asyncio.run(main())"
)

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
    "apache-h2": "curl -s --compressed --cacert $CA https://site.test:7070/page.html https://site.test:7070/none",
    "haproxy-h2": "curl -s --cacert $CA https://site.test:7071/hello -d a=b",
    "proxy-protocol": "curl -s --haproxy-protocol http://192.0.2.10:7072/",
    "socks5-tls": "curl -s --socks5 192.0.2.10:7074 --cacert $CA https://site.test:8443/hello",
    "socks4a": "curl -s --socks4a 192.0.2.10:7074 http://far.test:8080/hello",
    "multipart": "curl -s --cacert $CA -F a=one -F 'f=some text;type=text/x;filename=x.txt' https://site.test:7073/",
    "ranges": "curl -s -r 0-3,5-6 http://192.0.2.10:8080/item.json",
    "go-h2": f"{servers.GO} get https://192.0.2.10:7076/a https://192.0.2.10:7076/b",
    "go-h3": f"{servers.GO} get3 https://192.0.2.10:7076/a https://192.0.2.10:7076/b",
    "java": f"java -XX:-UsePerfData {PROGRAMS}/Client.java http://192.0.2.10:8080/hello",
    "dns-over-https": (
        "curl -s --doh-url https://192.0.2.10:7073/dns-query --doh-insecure http://over-https.test:8080/hello"
    ),
    "dns-over-tls": "kdig +tls @192.0.2.10 -p 7075 +short over-tls.test A && curl -s http://192.0.2.10:8080/hello",
    "events": "curl -sN --cacert $CA https://site.test:7073/events",
    "websocket": f"{sys.executable} -c '{SOCKET}'",
    "within-the-tree": (
        f"cd $DIR/www; {sys.executable} -m http.server 7031 --bind ::1 >/dev/null 2>&1 & p=$!; "
        "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; curl -s http://[::1]:7031/item.json && break; done; kill $p"
    ),
}  # fmt: skip

SOCKET_SERVER = """
import asyncio
from websockets.asyncio.server import serve
async def talk(socket):
    async for message in socket: await socket.send(message[::-1])
async def main():
    async with serve(talk, "192.0.2.10", 7031): await asyncio.Event().wait()
asyncio.run(main())
"""

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


def scrub(path: pathlib.Path) -> None:
    """Take the paths of the machine that recorded out of the processes' names and command lines."""

    def clean(text: str) -> str:
        return re.sub(
            r"/var/tmp/hark-venv-[\w-]+", "/opt/venv", re.sub(r"/var/tmp/hark-world-\w+", "/tmp/world", text)
        ).replace(str(HERE.parent), "/opt/hark")

    made = pcapng.header()
    with path.open("rb") as file:
        for block in read(file, str(path)):
            if isinstance(block, Process):
                block = block._replace(exe=clean(block.exe), cmdline=tuple(clean(word) for word in block.cmdline))
            made += pcapng.encode(block)
    path.write_bytes(made)


def main(names: list[str]) -> None:
    """Record the named ones, or all."""
    world = World()
    try:
        world.start([sys.executable, "-c", SERVER])
        world.wait_for("192.0.2.10", 7030)
        world.start([sys.executable, "-c", SOCKET_SERVER])
        world.wait_for("192.0.2.10", 7031)
        for start in servers.ALL:
            start(world)
        for name in names or RECORDINGS:
            run = world.run("hark", "-o", "golden.pcapng", "sh", "-c", RECORDINGS[name])
            print(f"{name}: status {run.status}\n{run.err}")
            shutil.copyfile(world.dir / "home" / "golden.pcapng", HERE / f"{name}.pcapng")
            scrub(HERE / f"{name}.pcapng")
    finally:
        world.close()


main(sys.argv[1:])
