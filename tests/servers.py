"""Servers that are not nginx, for the tests and for the golden recordings: each is started in a world and waited for."""

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
PROGRAMS = HERE / "programs"
GO = f"{sys.prefix}/programs/talk"

APACHE = """
ServerRoot /
DefaultRuntimeDir {home}
PidFile {home}/apache.pid
ServerName site.test
Listen 192.0.2.10:7070
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule http2_module {modules}/mod_http2.so
LoadModule deflate_module {modules}/mod_deflate.so
LoadModule filter_module {modules}/mod_filter.so
LoadModule mime_module {modules}/mod_mime.so
TypesConfig /dev/null
AddType text/html .html
AddType application/json .json
ErrorLog {home}/apache.log
DocumentRoot {www}
Protocols h2 http/1.1
SSLEngine on
SSLCertificateFile {dir}/cert.pem
SSLCertificateKeyFile {dir}/key.pem
AddOutputFilterByType DEFLATE text/html
<Directory {www}>
Require all granted
</Directory>
"""

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend tls
  bind 192.0.2.10:7071 ssl crt {dir}/both.pem alpn h2,http/1.1
  default_backend nginx
frontend proxied
  bind 192.0.2.10:7072 accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]\\n"
backend nginx
  server one 192.0.2.10:8080
"""

ASGI = """
import asyncio, base64, sys
from hypercorn.asyncio import serve
from hypercorn.config import Config
ANSWER = bytes.fromhex("c00c000100010000003c0004c000020a")
async def app(scope, receive, send):
    if scope["type"] != "http": return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"): break
    if scope["path"] == "/dns-query":  # a name server over HTTPS: every name leads to 192.0.2.10
        asked = body or base64.urlsafe_b64decode(scope["query_string"].partition(b"dns=")[2] + b"==")
        end = asked.index(b"\\0", 12) + 5
        four = asked[end - 4:end - 2] == b"\\0\\x01"
        told = asked[:2] + b"\\x81\\x80\\0\\1" + (b"\\0\\1" if four else b"\\0\\0") + bytes(4) + asked[12:end] + (ANSWER if four else b"")
        kind = b"application/dns-message"
    elif scope["path"] == "/events":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for n in range(3):
            await send({"type": "http.response.body", "body": b"event: tick\\nid: %d\\ndata: number %d\\n\\n" % (n, n), "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b""}); return
    else:
        told, kind = b"%d bytes by %s\\n" % (len(body), scope["http_version"].encode()), b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": told})
c = Config(); c.bind = ["192.0.2.10:7073"]; c.certfile, c.keyfile = sys.argv[1:3]; c.loglevel = "ERROR"; c.alpn_protocols = ["h2", "http/1.1"]
asyncio.run(serve(app, c))
"""

SOCKS = """
import asyncio, socket
async def copy(a, b):
    try:
        while data := await a.read(65536): b.write(data); await b.drain()
        b.write_eof()
    except OSError: pass
async def serve(reader, writer):
    version = (await reader.readexactly(1))[0]
    if version == 4:
        port = int.from_bytes((await reader.readexactly(3))[1:], "big"); ip = await reader.readexactly(4); await reader.readuntil(b"\\0")
        host = (await reader.readuntil(b"\\0"))[:-1].decode() if ip[:3] == bytes(3) else socket.inet_ntoa(ip); ok = b"\\0\\x5a" + bytes(6)
    else:
        await reader.readexactly((await reader.readexactly(1))[0]); writer.write(b"\\5\\0")
        kind = (await reader.readexactly(4))[3]
        host = socket.inet_ntoa(await reader.readexactly(4)) if kind == 1 else (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        port = int.from_bytes(await reader.readexactly(2), "big"); ok = b"\\5\\0\\0\\1" + bytes(6)
    r, w = await asyncio.open_connection("192.0.2.10", port); writer.write(ok)
    await asyncio.gather(copy(reader, w), copy(r, writer)); writer.close(); w.close()
async def main():
    await (await asyncio.start_server(serve, "192.0.2.10", 7074)).serve_forever()
asyncio.run(main())
"""

DOT = """
import socketserver, ssl, sys
ANSWER = bytes.fromhex("c00c000100010000003c0004c000020a")
class H(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            asked = self.rfile.read(int.from_bytes(head, "big")); end = asked.index(b"\\0", 12) + 5
            told = asked[:2] + b"\\x81\\x80\\0\\1\\0\\1" + bytes(4) + asked[12:end] + ANSWER
            self.wfile.write(len(told).to_bytes(2, "big") + told)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(*sys.argv[1:3])
class S(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    def get_request(self):
        s, a = super().get_request(); return c.wrap_socket(s, server_side=True), a
S(("192.0.2.10", 7075), H).serve_forever()
"""


PROTO = """syntax = "proto3"; package shop;
message Order { string id = 1; int32 count = 2; } message Receipt { string text = 1; double total = 2; }
service Shop { rpc Buy (Order) returns (Receipt); rpc Watch (Order) returns (stream Receipt); }
"""
GRPC_SERVER = """
import sys, grpc, concurrent.futures as f
sys.path.insert(0, sys.argv[1]); import shop_pb2 as p, shop_pb2_grpc as g
class Shop(g.ShopServicer):
    def Buy(self, request, context):
        if request.count < 0: context.abort(grpc.StatusCode.INVALID_ARGUMENT, "count: below 0 %")
        return p.Receipt(text="thanks", total=request.count * 1.5)
    def Watch(self, request, context):
        for n in range(request.count): yield p.Receipt(text=f"part {n}")
s = grpc.server(f.ThreadPoolExecutor(2), compression=grpc.Compression.Gzip); g.add_ShopServicer_to_server(Shop(), s)
s.add_insecure_port("192.0.2.10:7063")
read = lambda name: open(name, "rb").read()
s.add_secure_port("192.0.2.10:7064", grpc.ssl_server_credentials([(read(sys.argv[3]), read(sys.argv[2]))])); s.start(); s.wait_for_termination()
"""
GRPC_CLIENT = """
import sys, grpc
sys.path.insert(0, sys.argv[1]); import shop_pb2 as p, shop_pb2_grpc as g
shop = g.ShopStub(grpc.insecure_channel("192.0.2.10:7063"))
print(shop.Buy(p.Order(id="a1", count=2)).total)
print(len(list(shop.Watch(p.Order(id="b2", count=3)))))
try: shop.Buy(p.Order(count=-1))
except grpc.RpcError as e: print(e.code().name)
"""


def apache(world) -> None:
    """https://site.test:7070, HTTP/1.1 and HTTP/2."""
    home = world.dir / "home"
    text = APACHE.format(home=home, www=world.dir / "www", dir=world.dir, modules="/usr/lib/apache2/modules")
    (home / "apache.conf").write_text(text)
    world.start(["apache2", "-X", "-f", str(home / "apache.conf")])
    world.wait_for("192.0.2.10", 7070)


def haproxy(world) -> None:
    """https://site.test:7071 in front of nginx, HTTP/2; http://site.test:7072 behind the PROXY protocol."""
    (world.dir / "both.pem").write_bytes((world.dir / "cert.pem").read_bytes() + (world.dir / "key.pem").read_bytes())
    (world.dir / "home" / "haproxy.cfg").write_text(HAPROXY.format(dir=world.dir))
    world.start(["haproxy", "-db", "-f", str(world.dir / "home" / "haproxy.cfg")])
    world.wait_for("192.0.2.10", 7071)


def asgi(world) -> None:
    """https://site.test:7073: DNS over HTTPS at /dns-query, events at /events, an echo elsewhere; HTTP/2."""
    world.start([sys.executable, "-c", ASGI, str(world.dir / "cert.pem"), str(world.dir / "key.pem")])
    world.wait_for("192.0.2.10", 7073)


def socks(world) -> None:
    """A SOCKS 4, 4a and 5 proxy at 192.0.2.10:7074; every host is 192.0.2.10."""
    world.start([sys.executable, "-c", SOCKS])
    world.wait_for("192.0.2.10", 7074)


def dot(world) -> None:
    """DNS over TLS at 192.0.2.10:7075."""
    world.start([sys.executable, "-c", DOT, str(world.dir / "cert.pem"), str(world.dir / "key.pem")])
    world.wait_for("192.0.2.10", 7075)


def go(world) -> None:
    """https://site.test:7076 by Go's net/http, HTTP/3 on the same port by quic-go."""
    world.start([GO, "serve", "192.0.2.10:7076", str(world.dir / "cert.pem"), str(world.dir / "key.pem")])
    world.wait_for("192.0.2.10", 7076)


def shop(world) -> list[str]:
    """A gRPC server at 192.0.2.10:7063, with TLS at 7064, and the command of a client that makes three calls."""
    home = world.dir / "home"
    (home / "shop.proto").write_text(PROTO)
    run = world.run(
        sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--grpc_python_out=.", "shop.proto"
    )
    assert run.status == 0, run.err
    world.start([sys.executable, "-c", GRPC_SERVER, str(home), f"{world.dir}/cert.pem", f"{world.dir}/key.pem"])
    world.wait_for("192.0.2.10", 7063)
    return [sys.executable, "-c", GRPC_CLIENT, str(home)]


ALL = (apache, haproxy, asgi, socks, dot, go)
