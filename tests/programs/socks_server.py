import asyncio, socket


async def copy(a, b):
    try:
        while data := await a.read(65536):
            b.write(data)
            await b.drain()
        b.write_eof()
    except OSError:
        pass


async def serve(reader, writer):
    version = (await reader.readexactly(1))[0]
    if version == 4:
        port = int.from_bytes((await reader.readexactly(3))[1:], "big")
        ip = await reader.readexactly(4)
        await reader.readuntil(b"\0")
        host = (await reader.readuntil(b"\0"))[:-1].decode() if ip[:3] == bytes(3) else socket.inet_ntoa(ip)
        ok = b"\0\x5a" + bytes(6)
    else:
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\5\0")
        kind = (await reader.readexactly(4))[3]
        host = (
            socket.inet_ntoa(await reader.readexactly(4))
            if kind == 1
            else (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        )
        port = int.from_bytes(await reader.readexactly(2), "big")
        ok = b"\5\0\0\1" + bytes(6)
    r, w = await asyncio.open_connection("192.0.2.10", port)
    writer.write(ok)
    await asyncio.gather(copy(reader, w), copy(r, writer))
    writer.close()
    w.close()


async def main():
    await (await asyncio.start_server(serve, "192.0.2.10", 7074)).serve_forever()


asyncio.run(main())
