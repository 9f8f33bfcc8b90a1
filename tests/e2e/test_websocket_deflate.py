"""A server whose permessage-deflate ends each message's DEFLATE stream (RFC 7692 §7.2.3.4), and a client that reads it."""

import json
import sys

# The websockets library's own extension, but for how a message ends. Its client begins each message with an empty window.
SERVER = """
import asyncio, zlib
from websockets.asyncio.server import serve
from websockets.extensions import permessage_deflate as pmd
from websockets.frames import CTRL_OPCODES, Frame
class Final(pmd.PerMessageDeflate):
    def encode(self, frame):
        if frame.opcode in CTRL_OPCODES: return frame
        machine = zlib.compressobj(wbits=-15)
        data = machine.compress(bytes(frame.data)) + machine.flush(zlib.Z_FINISH) + b"\\0"
        return Frame(frame.opcode, data, frame.fin, True, frame.rsv2, frame.rsv3)
pmd.PerMessageDeflate = Final
async def talk(socket):
    async for message in socket: await socket.send(message[::-1])
async def main():
    factory = pmd.ServerPerMessageDeflateFactory(server_no_context_takeover=True)
    async with serve(talk, "192.0.2.10", 7078, compression=None, extensions=[factory]): await asyncio.Event().wait()
asyncio.run(main())
"""
CLIENT = """
import json
from websockets.sync.client import connect
with connect("ws://192.0.2.10:7078/") as socket:
    got = []
    for message in ("hello " * 30, "", "abc", "hello again", "abc"):
        socket.send(message); got.append(socket.recv())
print(json.dumps(got))
"""


def test_messages_that_end_their_stream(world) -> None:
    world.start([sys.executable, "-c", SERVER])
    world.wait_for("192.0.2.10", 7078)
    run = world.hark(sys.executable, "-c", CLIENT)
    (entry,) = run.entries
    extensions = [
        one["value"] for one in entry["response"]["headers"] if one["name"].lower() == "sec-websocket-extensions"
    ]
    assert extensions and "server_no_context_takeover" in extensions[0]
    received = [m["data"] for m in entry["_webSocketMessages"] if m["type"] == "receive" and m["opcode"] == 1]
    assert received == json.loads(run.out) == [" olleh" * 30, "", "cba", "niaga olleh", "cba"]
    assert "_trouble" not in entry
