"""Recordings for the decode bench: real TLS by OpenSSL between two memory buffers, framed as packets, secrets inside.

Nothing is captured, so a file of any shape takes seconds and is the same every time: `exchanges` on `flows` connections
that take turns, or one large download.
"""

import ssl
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import hpack

from hark.recording import pcapng
from hark.recording.blocks import Secrets

_CLIENT, _SERVER = b"\x0a\0\0\x01", b"\x0a\0\0\x02"
_MSS = 1448
REQUEST = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) bench"), ("accept", "application/json, text/plain, */*"),
    ("accept-encoding", "gzip, deflate, br"), ("accept-language", "en-GB,en;q=0.9"), ("cookie", "session=0123456789abcdef"),
]  # fmt: skip
RESPONSE = [
    ("server", "nginx/1.22.1"), ("date", "Sat, 21 Nov 2026 10:00:00 GMT"), ("content-type", "application/json"),
    ("cache-control", "no-store"), ("vary", "accept-encoding"),
]  # fmt: skip


class Flow:
    """One TLS connection between two buffers, its packets written to `file`."""

    def __init__(self, make: "Maker", port: int) -> None:
        self._make = make
        self._port = port
        self._seq = [1, 1]
        # Four buffers, so that what passes can be seen on the way.
        self._c_in, self._c_out, self._s_in, self._s_out = (ssl.MemoryBIO() for _ in range(4))
        self.client = make.client_context.wrap_bio(self._c_in, self._c_out, server_hostname="bench.test")
        self.server = make.server_context.wrap_bio(self._s_in, self._s_out, server_side=True)
        self._packet(0, b"", 0x02)
        self._packet(1, b"", 0x12)
        for _ in range(4):
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                self.carry()
        make.secrets()

    def carry(self) -> None:
        """Bring what both ends have written to the other one, and into the file."""
        for side, out, into in ((0, self._c_out, self._s_in), (1, self._s_out, self._c_in)):
            data = out.read()
            if data:
                into.write(data)
                for at in range(0, len(data), _MSS * 20):  # as segmentation offload shows it
                    self._packet(side, data[at : at + _MSS * 20], 0x18)

    def say(self, side: int, data: bytes) -> None:
        """One end writes, the other reads."""
        writer, reader = (self.client, self.server) if side == 0 else (self.server, self.client)
        writer.write(data)
        self.carry()
        left = len(data)
        while left > 0:
            left -= len(reader.read(left))

    def _packet(self, side: int, data: bytes, flags: int) -> None:
        ends = [(_CLIENT, self._port), (_SERVER, 443)]
        (src, sport), (dst, dport) = ends if side == 0 else ends[::-1]
        seq = self._seq[side] - (1 if flags & 2 else 0)
        tcp = struct.pack(
            "!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, self._seq[1 - side] & 0xFFFFFFFF, 0x50, flags, 8192, 0, 0
        )
        size = 20 + len(tcp) + len(data)
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 0, 0x4000, 64, 6, 0, src, dst)
        self._seq[side] += len(data)
        self._make.packet(head + tcp + data)

    def close(self) -> None:
        """Both ends say farewell."""
        self._packet(0, b"", 0x11)
        self._packet(1, b"", 0x11)


class Maker:
    """Writes one recording."""

    def __init__(self, path: Path, certificate: tuple[Path, Path]) -> None:
        self._file = path.open("wb")
        self._file.write(pcapng.header())
        self._now = 1_790_000_000_000_000_000
        self._log = Path(tempfile.mkstemp()[1])
        self._seen = 0
        self.client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client_context.check_hostname, self.client_context.verify_mode = False, ssl.CERT_NONE
        self.client_context.keylog_filename = str(self._log)
        self.server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_context.load_cert_chain(*certificate)
        self.server_context.num_tickets = 0

    def alpn(self, name: str) -> None:
        """What both ends agree on."""
        self.client_context.set_alpn_protocols([name])
        self.server_context.set_alpn_protocols([name])

    def packet(self, data: bytes) -> None:
        """A packet, 10 µs after the last one."""
        self._now += 10_000
        self._file.write(pcapng.frame(self._now, data))

    def secrets(self) -> None:
        """What the client has logged since."""
        text = self._log.read_bytes()
        self._file.write(pcapng.secrets(Secrets(text[self._seen :], 0, "bench")))
        self._seen = len(text)

    def close(self) -> None:
        """All is written."""
        self._file.close()
        self._log.unlink()


def certificate(place: Path) -> tuple[Path, Path]:
    """A self-signed one."""
    cert, key = place / "cert.pem", place / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=bench.test",
    ]
    subprocess.run([*made, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def bulk(path: Path, cert: tuple[Path, Path], size: int) -> None:
    """One download of `size` bytes over TLS 1.3."""
    make = Maker(path, cert)
    flow = Flow(make, 5000)
    flow.say(0, b"GET /bulk HTTP/1.1\r\nHost: bench.test\r\n\r\n")
    flow.say(1, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    piece = bytes(range(256)) * 1024
    for _ in range(size // len(piece)):
        flow.say(1, piece)
    flow.close()
    make.close()


def small(path: Path, cert: tuple[Path, Path], exchanges: int, flows: int, say: "Speaker") -> None:
    """Small exchanges on connections that take turns."""
    make = Maker(path, cert)
    speak = say(make)
    open_ones = [Flow(make, 2000 + n % 60000) for n in range(flows)]
    for n in range(exchanges):
        speak(open_ones[n % flows], n // flows, n)
    for flow in open_ones:
        flow.close()
    make.close()


Speaker = Callable[[Maker], Callable[[Flow, int, int], None]]


def http1(make: Maker) -> Callable[[Flow, int, int], None]:
    """HTTP/1.1 with ten headers a message or so."""
    make.alpn("http/1.1")

    def speak(flow: Flow, turn: int, number: int) -> None:
        asked = "".join(f"{name}: {value}\r\n" for name, value in REQUEST)
        flow.say(0, f"GET /items/{number}?page={turn} HTTP/1.1\r\nhost: bench.test\r\n{asked}\r\n".encode())
        body = b'{"item": %d, "name": "something small", "tags": ["a", "b"]}' % number
        told = "".join(f"{name}: {value}\r\n" for name, value in RESPONSE)
        flow.say(1, f"HTTP/1.1 200 OK\r\n{told}content-length: {len(body)}\r\n\r\n".encode() + body)

    return speak


def http2(make: Maker) -> Callable[[Flow, int, int], None]:
    """HTTP/2 by the hpack library's encoder."""
    make.alpn("h2")
    encoders: dict[Flow, tuple[hpack.Encoder, hpack.Encoder]] = {}

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def speak(flow: Flow, turn: int, number: int) -> None:
        first = b""
        if flow not in encoders:
            encoders[flow] = (hpack.Encoder(), hpack.Encoder())
            first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
            flow.say(1, frame(4, 0, 0, b""))
        asks, tells = encoders[flow]
        stream = 1 + 2 * turn
        pseudo = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "bench.test"),
            (":path", f"/items/{number}?page={turn}"),
        ]
        flow.say(0, first + frame(1, 5, stream, asks.encode(pseudo + REQUEST)))
        body = b'{"item": %d, "name": "something small", "tags": ["a", "b"]}' % number
        head = tells.encode([(":status", "200"), *RESPONSE, ("content-length", str(len(body)))])
        flow.say(1, frame(1, 4, stream, head) + frame(0, 1, stream, body))

    return speak
