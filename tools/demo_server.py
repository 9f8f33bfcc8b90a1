"""The demo's server: real TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1 (hypercorn), on a free port of localhost.

usage: demo_server.py DIRECTORY      prints the port when it listens; the certificate goes into DIRECTORY
"""

import asyncio
import gzip
import json
import socket
import subprocess
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config

ITEMS = json.dumps([{"id": number, "name": f"item {number}"} for number in range(3)]).encode()


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    status, kind, body, extra = 200, b"text/plain", b"hello\n", []
    if scope["path"] == "/items.json":
        kind, body, extra = b"application/json", gzip.compress(ITEMS), [(b"content-encoding", b"gzip")]
    elif scope["path"] == "/orders":
        status, kind, body = 201, b"application/json", b'{"accepted": true}\n'
    elif scope["path"] == "/missing":
        status, body = 404, b"no such thing\n"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(directory: str) -> None:
    cert, key = f"{directory}/cert.pem", f"{directory}/key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.certfile, config.keyfile = cert, key
    config.loglevel = "ERROR"
    print(listener.getsockname()[1], flush=True)
    asyncio.run(serve(app, config))


main(sys.argv[1])
