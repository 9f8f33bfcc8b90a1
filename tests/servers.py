"""Servers that are not nginx, for the tests and for the golden recordings: each is started in a world and waited for."""

import sys

from world import program

GO = f"{sys.prefix}/programs/talk"

APACHE = program("apache.conf")

HAPROXY = program("haproxy.cfg")

ASGI = program("asgi_server.py")

SOCKS = program("socks_server.py")

DOT = program("dns_over_tls_server.py")


PROTO = """syntax = "proto3"; package shop;
message Order { string id = 1; int32 count = 2; } message Receipt { string text = 1; double total = 2; }
service Shop { rpc Buy (Order) returns (Receipt); rpc Watch (Order) returns (stream Receipt); }
"""
GRPC_SERVER = program("grpc_server.py")
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
