import asyncio, zlib
from websockets.asyncio.server import serve
from websockets.extensions import permessage_deflate as pmd
from websockets.frames import CTRL_OPCODES, Frame


class Final(pmd.PerMessageDeflate):
    def encode(self, frame):
        if frame.opcode in CTRL_OPCODES:
            return frame
        machine = zlib.compressobj(wbits=-15)
        data = machine.compress(bytes(frame.data)) + machine.flush(zlib.Z_FINISH) + b"\0"
        return Frame(frame.opcode, data, frame.fin, True, frame.rsv2, frame.rsv3)


pmd.PerMessageDeflate = Final


async def talk(socket):
    async for message in socket:
        await socket.send(message[::-1])


async def main():
    factory = pmd.ServerPerMessageDeflateFactory(server_no_context_takeover=True)
    async with serve(talk, "192.0.2.10", 7078, compression=None, extensions=[factory]):
        await asyncio.Event().wait()


asyncio.run(main())
