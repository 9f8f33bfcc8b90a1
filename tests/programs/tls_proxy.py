import asyncio, ssl, sys


async def copy(a, b):
    try:
        while data := await a.read(65536):
            b.write(data)
            await b.drain()
    except OSError:
        pass
    finally:
        b.close()


async def serve(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    r, w = await asyncio.open_connection("192.0.2.10", 8443)
    writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
    await asyncio.gather(copy(reader, w), copy(r, writer))


async def main():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*sys.argv[1:3])
    await (await asyncio.start_server(serve, "192.0.2.10", 7077, ssl=c)).serve_forever()


asyncio.run(main())
