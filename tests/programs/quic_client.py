import asyncio, os, sys
from aioquic.asyncio import connect, QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived
from aioquic.quic.configuration import QuicConfiguration


class P(QuicConnectionProtocol):
    http, size = None, 0

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
            self.done = asyncio.Event()
        for e in self.http.handle_event(event):
            if isinstance(e, DataReceived):
                self.size += len(e.data)
                if e.stream_ended:
                    self.done.set()


async def main():
    c = QuicConfiguration(alpn_protocols=["h3"], verify_mode=False)
    if sys.argv[1] != "silent":
        exec(sys.argv[1])
    async with connect("192.0.2.10", 7050, configuration=c, create_protocol=P) as p:
        i = p._quic.get_next_available_stream_id()
        p.http.send_headers(
            i, [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", b"/")], True
        )
        p.transmit()
        await asyncio.wait_for(p.done.wait(), 10)
        print(p.size)


asyncio.run(main())
