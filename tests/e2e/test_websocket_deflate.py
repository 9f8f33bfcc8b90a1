"""A server whose permessage-deflate ends each message's DEFLATE stream (RFC 7692 §7.2.3.4), and a client that reads it."""

import json
import sys

from world import program

# The websockets library's own extension, but for how a message ends. Its client begins each message with an empty window.
SERVER = program("websocket_deflate_server.py")
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
