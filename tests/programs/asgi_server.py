import asyncio, base64, sys
from hypercorn.asyncio import serve
from hypercorn.config import Config

ANSWER = bytes.fromhex("c00c000100010000003c0004c000020a")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    if scope["path"] == "/dns-query":  # a name server over HTTPS: every name leads to 192.0.2.10
        asked = body or base64.urlsafe_b64decode(scope["query_string"].partition(b"dns=")[2] + b"==")
        end = asked.index(b"\0", 12) + 5
        four = asked[end - 4 : end - 2] == b"\0\x01"
        told = (
            asked[:2]
            + b"\x81\x80\0\1"
            + (b"\0\1" if four else b"\0\0")
            + bytes(4)
            + asked[12:end]
            + (ANSWER if four else b"")
        )
        kind = b"application/dns-message"
    elif scope["path"] == "/events":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for n in range(3):
            await send(
                {
                    "type": "http.response.body",
                    "body": b"event: tick\nid: %d\ndata: number %d\n\n" % (n, n),
                    "more_body": True,
                }
            )
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b""})
        return
    else:
        told, kind = b"%d bytes by %s\n" % (len(body), scope["http_version"].encode()), b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": told})


c = Config()
c.bind = ["192.0.2.10:7073"]
c.certfile, c.keyfile = sys.argv[1:3]
c.loglevel = "ERROR"
c.alpn_protocols = ["h2", "http/1.1"]
asyncio.run(serve(app, c))
