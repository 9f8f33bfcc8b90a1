"""Exchanges that last, between real clients and servers: WebSocket, server-sent events, gRPC."""

import json
import sys

import pytest

import servers
from world import program

SOCKET_SERVER = """
import asyncio
from websockets.asyncio.server import serve
async def talk(socket):
    async for message in socket:
        await socket.send(message[::-1])
        if message == "bye": await socket.close(4000, "enough")
async def main():
    async with serve(talk, "192.0.2.10", 7060): await asyncio.Event().wait()
asyncio.run(main())
"""
SOCKET_CLIENT = """
import asyncio
from websockets.asyncio.client import connect
async def main():
    async with connect("ws://192.0.2.10:7060/chat?room=7") as socket:
        for message in ("hello " * 20, b"\\x00\\x01", "bye"):
            await socket.send(message); print(len(await socket.recv()))
        await socket.wait_closed()
asyncio.run(main())
"""


def test_websocket_messages(world) -> None:
    world.start([sys.executable, "-c", SOCKET_SERVER])
    world.wait_for("192.0.2.10", 7060)
    run = world.run("hark", "-v", "-o", "ws.pcapng", "-o", "ws.jsonl", sys.executable, "-c", SOCKET_CLIENT)
    assert run.out.split() == [b"120", b"2", b"3"]
    assert "GET ws://192.0.2.10:7060/chat?room=7 101 websocket" in run.err
    assert (
        "> text 120 B hello hello" in run.err and "< text 3 B eyb" in run.err and "< close 8 B 4000 enough" in run.err
    )
    assert "closed 4 sent, 4 received" in run.err
    (entry,) = [json.loads(line) for line in (world.dir / "home" / "ws.jsonl").read_text().splitlines()]
    told = [(m["type"], m["opcode"], m["data"]) for m in entry["_webSocketMessages"]]
    assert told == [
        ("send", 1, "hello " * 20), ("receive", 1, " olleh" * 20), ("send", 2, "AAE="), ("receive", 2, "AQA="),
        ("send", 1, "bye"), ("receive", 1, "eyb"), ("receive", 8, "enough"), ("send", 8, "enough"),
    ]  # fmt: skip
    assert entry["_webSocketMessages"][-1]["_code"] == 4000 and entry["response"]["status"] == 101
    replayed = world.run("hark", "read", "--json", "ws.pcapng")
    assert replayed.out.decode() == (world.dir / "home" / "ws.jsonl").read_text()


H2_SOCKETS = """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive(); await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "you said " + event["text"]})
c = Config(); c.bind = ["192.0.2.10:7061"]; c.loglevel = "ERROR"
asyncio.run(serve(app, c))
"""
H2_CLIENT = program("h2_client.py")


def test_websocket_over_http2(world) -> None:
    world.start([sys.executable, "-c", H2_SOCKETS])
    world.wait_for("192.0.2.10", 7061)
    run = world.hark("hark", "--json", sys.executable, "-c", H2_CLIENT)
    assert run.out == b"['you said two']\n"
    (entry,) = run.entries
    assert entry["request"]["url"] == "ws://192.0.2.10:7061/over/h2" and entry["_protocol"] == "h2"
    assert [(m["type"], m["data"]) for m in entry["_webSocketMessages"]][:2] == [
        ("send", "two"),
        ("receive", "you said two"),
    ]


SSE_SERVER = """
import http.server, time
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/event-stream"); self.end_headers()
        for n in range(3):
            self.wfile.write(f"event: tick\\nid: {n}\\ndata: number {n}\\n\\n".encode()); self.wfile.flush(); time.sleep(0.1)
http.server.HTTPServer(("192.0.2.10", 7062), H).serve_forever()
"""


def test_server_sent_events(world) -> None:
    world.start([sys.executable, "-c", SSE_SERVER])
    world.wait_for("192.0.2.10", 7062)
    run = world.run("hark", "-v", "-o", "sse.jsonl", "curl", "-sN", "http://192.0.2.10:7062/events")
    assert "< event tick 8 B number 0" in run.err
    (entry,) = [json.loads(line) for line in (world.dir / "home" / "sse.jsonl").read_text().splitlines()]
    assert [(e["event"], e["id"], e["data"]) for e in entry["_events"]] == [
        ("tick", str(n), f"number {n}") for n in range(3)
    ]
    first, *_, last = entry["_events"]
    assert 0.15 < last["time"] - first["time"] < 5


@pytest.fixture
def shop(world) -> list[str]:
    return servers.shop(world)


GRPC_OVER_TLS = """
import os, sys, grpc
sys.path.insert(0, sys.argv[1]); import shop_pb2 as p, shop_pb2_grpc as g
channel = grpc.secure_channel("site.test:7064", grpc.ssl_channel_credentials(open(os.environ["CA"], "rb").read()))
print(g.ShopStub(channel).Buy(p.Order(id="a1", count=2)).total)
"""


def test_grpc_over_tls_and_what_is_advised(world, shop) -> None:
    """gRPC for Python brings a TLS library of its own: not decrypted, and what hark advises shows the same call."""
    run = world.hark(sys.executable, "-c", GRPC_OVER_TLS, shop[-1])
    assert (run.out, run.entries) == (b"3.0\n", []), run.err
    (failure,) = [entry["_failure"] for entry in run.failures]
    assert (failure["kind"], failure["host"], failure["port"]) == ("encrypted", "site.test", 7064)
    assert "use grpc.insecure_channel, where the server has a port for it" in failure["remedy"]
    followed = GRPC_OVER_TLS.replace("secure_channel", "insecure_channel").partition(", grpc.ssl")[0] + ")"
    followed = followed.replace("7064", "7063") + "\n" + GRPC_OVER_TLS.splitlines()[-1]
    run = world.hark(sys.executable, "-c", followed, shop[-1])
    assert (run.out, run.failures) == (b"3.0\n", []), run.err
    assert run.entries[0]["_grpc"]["method"] == "Buy"
    assert run.entries[0]["_grpc"]["messages"][0]["fields"] == {"1": "a1", "2": 2}


def test_grpc(world, shop) -> None:
    run = world.run("hark", "-o", "grpc.jsonl", "-o", "grpc.pcapng", *shop)
    assert run.out.split() == [b"3.0", b"3", b"INVALID_ARGUMENT"], run.err
    assert "INVALID_ARGUMENT: count: below 0 %" in run.err and "1 error" in run.err
    buy, watch, bad = (json.loads(line) for line in (world.dir / "home" / "grpc.jsonl").read_text().splitlines())
    assert (buy["_grpc"]["service"], buy["_grpc"]["method"], buy["_grpc"]["statusName"]) == ("shop.Shop", "Buy", "OK")
    assert buy["_grpc"]["messages"][0]["fields"] == {"1": "a1", "2": 2}
    assert [m["type"] for m in watch["_grpc"]["messages"]] == ["send", "receive", "receive", "receive"]
    assert watch["_grpc"]["messages"][3]["fields"] == {"1": "part 2"}
    assert (bad["_grpc"]["status"], bad["_grpc"]["statusMessage"]) == (3, "count: below 0 %")
    named = world.run("hark", "read", "--json", "--proto", "shop.proto", "grpc.pcapng")
    messages = [[m["message"] for m in json.loads(line)["_grpc"]["messages"]] for line in named.out.splitlines()]
    assert messages[0] == [{"id": "a1", "count": 2}, {"text": "thanks", "total": 3.0}]
    shown = world.run("hark", "read", "-v", "--proto", "shop.proto", "grpc.pcapng")
    assert '< grpc 17 B {"text": "thanks", "total": 3.0}' in shown.out.decode()
