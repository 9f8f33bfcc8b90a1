"""A QUIC client and server of the aioquic library in memory: every datagram that they exchange, and their secrets.

An implementation that is not ours, driven without sockets and clock, so that a test says exactly what is lost, late or
doubled on the way.
"""

import datetime
import functools
import io
import ssl
from collections.abc import Callable, Iterator

from aioquic.h3.connection import H3Connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hark.decode.decoder import Decoder
from hark.decode.events import Event, Side
from hark.recording import blocks
from hark.recording.blocks import Frame, Secrets
from hark.wire import ip

C, S = Side.CLIENT, Side.SERVER
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
Datagram = tuple[Side, bytes, int]  # by whom, its bytes, the client's port


@functools.cache
def certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for h.test with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "h.test")])
    now = datetime.datetime(2026, 1, 1)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9999))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("h.test")]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return made, key


class Log(io.StringIO):
    """A key log that tells what is new since the last look."""

    seen = 0

    def new(self) -> bytes:
        """What was written since."""
        text = self.getvalue()[self.seen :]
        self.seen += len(text)
        return text.encode()


class QuicPair:
    """Two ends; `datagrams` is all that was sent, `secrets` all that was logged. drop decides about datagrams that are
    recorded but do not arrive; the peers then send again. first is called before anything is sent."""

    def __init__(
        self,
        drop: Callable[[int], bool] = lambda n: False,
        retry: bool = False,
        first: Callable[["QuicPair"], None] = lambda pair: None,
        verify: ssl.VerifyMode = ssl.CERT_NONE,
        server: dict[str, object] | None = None,
        session_ticket: object = None,
        **options: object,
    ) -> None:
        chain, key = certificate()
        self.log = Log()
        self.ticket = None
        client = QuicConfiguration(
            alpn_protocols=["h3"],
            server_name="h.test",
            verify_mode=verify,
            secrets_log_file=self.log,
            session_ticket=session_ticket,
            **options,
        )
        self.server_config = QuicConfiguration(
            is_client=False, alpn_protocols=["h3"], certificate=chain, private_key=key, **(server or {})
        )
        self.client = QuicConnection(configuration=client, session_ticket_handler=self._ticket)
        self.server: QuicConnection | None = None
        self.drop = drop
        self.retry = retry
        self.port = 40000
        self.datagrams: list[Datagram] = []
        self.now = 0.0
        self.client.connect(("192.0.2.2", 443), now=0.0)
        self.h3: dict[Side, H3Connection] = {}
        first(self)
        self.run()

    def _ticket(self, ticket: object) -> None:
        self.ticket = ticket

    def _make_server(self, data: bytes) -> None:
        from aioquic.buffer import Buffer
        from aioquic.quic.packet import encode_quic_retry, pull_quic_header

        header = pull_quic_header(Buffer(data=data), host_cid_length=8)
        original, source = header.destination_cid, None
        if self.retry and not header.token:
            answer = encode_quic_retry(
                version=header.version, source_cid=b"retried!", destination_cid=header.source_cid,
                original_destination_cid=original, retry_token=b"token:" + original,
            )  # fmt: skip
            self.datagrams.append((S, answer, self.port))
            self.client.receive_datagram(answer, ("192.0.2.2", 443), now=self.now)
            return
        if header.token:
            original, source = header.token[6:], header.destination_cid
        self.server = QuicConnection(
            configuration=self.server_config,
            original_destination_connection_id=original,
            retry_source_connection_id=source,
            session_ticket_handler=TICKETS.append,
            session_ticket_fetcher=lambda label: next((t for t in TICKETS if t.ticket == label), None),
        )

    def run(self, rounds: int = 400) -> None:
        """Carry datagrams both ways until nobody has anything to say."""
        quiet = 0
        for _ in range(rounds):
            self.now += 0.01
            said = False
            for side in (C, S):
                end = self.client if side == C else self.server
                if end is None:
                    continue
                timer = end.get_timer()
                if timer is not None and timer <= self.now:
                    end.handle_timer(now=self.now)
                for data, _ in end.datagrams_to_send(now=self.now):
                    said = True
                    self.datagrams.append((side, data, self.port))
                    if self.drop(len(self.datagrams)):
                        continue
                    if side == C and self.server is None:
                        self._make_server(data)
                    other = self.server if side == C else self.client
                    if other is not None:
                        other.receive_datagram(
                            data, ("192.0.2.1", self.port) if side == C else ("192.0.2.2", 443), now=self.now
                        )
                for which in (self.client, self.server):
                    self._events(which)
            quiet = 0 if said else quiet + 1
            if quiet > 3:
                return
            if quiet:
                self.now += 0.3  # timers

    def _events(self, end: QuicConnection | None) -> None:
        if end is None:
            return
        side = C if end is self.client else S
        while (event := end.next_event()) is not None:
            if side in self.h3:
                self.h3[side].handle_event(event)

    def speak(self) -> tuple[H3Connection, H3Connection]:
        """HTTP/3 on both ends."""
        assert self.server is not None
        self.h3 = {C: H3Connection(self.client), S: H3Connection(self.server)}
        return self.h3[C], self.h3[S]

    def ask(
        self, path: str, body: bytes = b"", answer: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
    ) -> int:
        """One exchange; its stream."""
        client, server = self.h3[C], self.h3[S]
        stream = self.client.get_next_available_stream_id()
        head = [
            (b":method", b"POST" if body else b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"h.test"),
            (b":path", path.encode()),
        ]
        client.send_headers(stream, head + (headers or []), end_stream=not body)
        if body:
            client.send_data(stream, body, end_stream=True)
        self.run()
        server.send_headers(stream, [(b":status", b"200"), *(headers or [])], end_stream=not answer)
        if answer:
            server.send_data(stream, answer, end_stream=True)
        self.run()
        return stream

    @property
    def secrets(self) -> bytes:
        """All that the client logged."""
        return self.log.getvalue().encode()


TICKETS: list[object] = []


def frame(number: int, datagram: Datagram) -> Frame:
    """A datagram as a recorded frame."""
    side, data, port = datagram
    packet = (
        ip.udp_packet(CLIENT, SERVER, port, 443, data) if side == C else ip.udp_packet(SERVER, CLIENT, 443, port, data)
    )
    return Frame(number, blocks.RAW, memoryview(packet), 0, len(packet))


def events(datagrams: list[Datagram], secrets: bytes, at: int = 0) -> Iterator[Event]:
    """What the decoder tells when the secrets come in front of datagram number `at`."""
    decoder = Decoder()
    for number, datagram in enumerate(datagrams):
        if number == at:
            yield from decoder.feed(Secrets(secrets))
        yield from decoder.feed(frame(number + 1, datagram))
    if at >= len(datagrams):
        yield from decoder.feed(Secrets(secrets))
    yield from decoder.finish()
