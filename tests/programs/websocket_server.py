import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        m = await receive()
        if m["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": m["text"][::-1]})


c = Config()
c.bind = ["192.0.2.10:7012"]
c.loglevel = "ERROR"
asyncio.run(serve(app, c))
