"""How TLS ends, with OpenSSL at both ends, as the model tells it: the same whether secrets come first, or last."""

import datetime
import pathlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hark.decode.events import Side
from hark.model.failure import FailureKind
from hark.recording.blocks import Secrets
from scripted import FIN, GET, RST, C, S, Step, Told

BEGAN, UP = "begun", "up"  # how far the handshake comes: to the server's certificate, to its end


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A certificate for h.test that was valid in January 1970, and a key; self-signed."""
    made = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "h.test")])
    for which, begins in (("good", datetime.datetime(1969, 12, 1)), ("old", datetime.datetime(1960, 1, 1))):
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(7).not_valid_before(begins).not_valid_after(begins + datetime.timedelta(days=99))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("h.test")]), False).sign(key, hashes.SHA256())
        )  # fmt: skip
        (made / f"{which}.pem").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return made


class Conversation:
    """A client and a server in memory; what they say becomes steps."""

    def __init__(self, files: pathlib.Path, version: str, name: str = "h.test", certificate: str = "good") -> None:
        self.log = files / "log"
        self.log.write_bytes(b"")
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.keylog_filename = str(self.log)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(files / f"{certificate}.pem")
        for context in (client, server):
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        self.wires = {side: (ssl.MemoryBIO(), ssl.MemoryBIO()) for side in (C, S)}
        self.ends = {
            C: client.wrap_bio(*self.wires[C], server_hostname=name),
            S: server.wrap_bio(*self.wires[S], server_side=True),
        }
        self.steps: list[Step] = []

    def _turn(self, side: Side, at: int, send: bool = True) -> bool:
        try:
            self.ends[side].do_handshake()
        except ssl.SSLWantReadError:
            pass
        data = self.wires[side][1].read()
        if data and send:
            self.steps.append((at, side, data))
            self.wires[side.other][0].write(data)
        return bool(data)

    def begin(self) -> "Conversation":
        """To the server's certificate; the client has read it, and says nothing."""
        self._turn(C, 1)
        self._turn(S, 2)
        self._turn(C, 3, send=False)
        return self

    def up(self) -> "Conversation":
        """To the end of the handshake."""
        for at in range(1, 7):
            self._turn(C if at % 2 else S, at)
        return self

    def say(self, side: Side, data: bytes, at: int) -> "Conversation":
        """Application data."""
        self.ends[side].write(data)
        self.steps.append((at, side, self.wires[side][1].read()))
        return self

    def close(self, side: Side, at: int) -> "Conversation":
        """A close_notify."""
        try:
            self.ends[side].unwrap()
        except ssl.SSLError:
            pass  # the other's has not come
        self.steps.append((at, side, self.wires[side][1].read()))
        return self

    def then(self, *steps: Step) -> "Conversation":
        """What follows on the transport."""
        self.steps += steps
        return self

    def told(self, secrets: str) -> Told:
        """What hark tells, with the secrets first or last."""
        told = Told()
        block = Secrets(self.log.read_bytes())
        if secrets == "first":
            told.take(told.decoder.feed(block))
        told.play(self.steps)
        if secrets == "last":
            told.take(told.decoder.feed(block))
        return told.end()


VERSIONS = ["TLSv1_2", "TLSv1_3"]
WHEN = ["first", "last"]


@pytest.mark.parametrize("secrets", WHEN)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_leaves_at_the_certificate(files: pathlib.Path, version: str, secrets: str) -> None:
    """Without an alert, as node does; what the server says of that afterwards is not the cause."""
    talk = Conversation(files, version, certificate="old").begin()
    alert = b"\x15\x03\x03\0\x02\x02\x32"  # decode_error
    (failure,) = talk.then((30, C, FIN), (31, S, alert), (32, S, FIN)).told(secrets).failures
    assert failure.kind is FailureKind.CERTIFICATE_REJECTED
    assert failure.why == "the client closed after 30 ms, right after the server's certificate"
    assert failure.seen == "certificate CN=h.test (self-signed, expired 1960-04-09)"


@pytest.mark.parametrize("secrets", WHEN)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ["fin", "rst", "close_notify"])
def test_a_client_that_leaves_behind_the_handshake(files: pathlib.Path, version: str, secrets: str, how: str) -> None:
    """Where the certificate is for another name, that is why; curl and wget do so."""
    for name, kind in (("h.test", FailureKind.CERTIFICATE_REJECTED), ("other.test", FailureKind.CERTIFICATE_REJECTED)):
        talk = Conversation(files, version, name).up()
        if how == "close_notify":
            talk.close(C, 30)
        told = talk.then((31, C, RST if how == "rst" else FIN), (32, S, FIN)).told(secrets)
        (failure,) = told.failures
        verb = "reset the connection" if how == "rst" else "closed"
        assert failure.kind is kind
        assert failure.why.startswith(f"the client {verb} after 3")
        assert failure.why.endswith(", right after the server's certificate, without a request")
        assert ("not for other.test, for h.test" in failure.seen) == (name == "other.test")


@pytest.mark.parametrize("secrets", WHEN)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_leaves_without_a_request(files: pathlib.Path, version: str, secrets: str) -> None:
    talk = Conversation(files, version).up().close(S, 5000).then((5001, S, FIN), (5002, C, FIN))
    (failure,) = talk.told(secrets).failures
    assert (failure.kind, failure.why) == (
        FailureKind.CLOSED_BEFORE_REQUEST, "the server closed after 5.0 s, without a request",
    )  # fmt: skip


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
ENDS: dict[str, tuple[list[tuple[str, Side, int]], str]] = {
    "the client's close_notify": ([("close", C, 1000), ("fin", C, 1001), ("fin", S, 1002)], "the client closed after 1.0 s, in the middle of the body"),
    "the client's bare FIN": ([("fin", C, 1001), ("fin", S, 1002)], "the client closed after 1.0 s, in the middle of the body"),
    "the client's reset": ([("rst", C, 1001)], "the client reset the connection after 1.0 s, in the middle of the body"),
    "the server's close_notify": ([("close", S, 1000), ("fin", S, 1001), ("fin", C, 1002)], "the server closed after 1.0 s, in the middle of the body"),
    "the server's bare FIN": ([("fin", S, 1001), ("close", C, 1001), ("rst", C, 1002)], "the server closed after 1.0 s, in the middle of the body"),
    "the server's reset": ([("rst", S, 1001)], "the server reset the connection after 1.0 s, in the middle of the body"),
}  # fmt: skip


@pytest.mark.parametrize("secrets", WHEN)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ENDS)
def test_a_cut_body_in_tls(files: pathlib.Path, version: str, secrets: str, name: str) -> None:
    ends, trouble = ENDS[name]
    talk = Conversation(files, version).up().say(C, GET, 10).say(S, HEAD, 20)
    for what, side, at in ends:
        if what == "close":
            talk.close(side, at)
        else:
            talk.then((at, side, FIN if what == "fin" else RST))
    told = talk.told(secrets)
    (exchange,) = told.exchanges
    assert exchange.trouble == trouble and not told.failures


@pytest.mark.parametrize("version", VERSIONS)
def test_without_secrets_it_is_encrypted_whatever_ended_it(files: pathlib.Path, version: str) -> None:
    talk = Conversation(files, version).up().say(C, GET, 10).say(S, HEAD, 20).then((1000, C, FIN), (1001, S, FIN))
    told = talk.told("never")
    (failure,) = told.failures
    assert (failure.kind, failure.why) == (FailureKind.ENCRYPTED, "no secrets for it came")
    assert failure.ending is not None and failure.ending.side == C and failure.size > 0


@pytest.mark.parametrize(
    ("sizes", "finished"),
    [
        ((), False),
        ((19,), False),
        ((19, 19), False),
        ((19, 17), False),
        ((53,), True),
        ((53, 19), True),
        ((19, 53), True),
    ],
)
def test_without_secrets_a_handshake_that_the_client_broke_off_is_known(
    files: pathlib.Path, sizes: tuple[int, ...], finished: bool
) -> None:
    """Go sends an encrypted alert, Java nothing, or two alerts, or an alert and an empty record; a Finished is larger."""
    talk = Conversation(files, "TLSv1_3", certificate="old").begin()
    records = b"".join(b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size) for size in sizes)
    last = b"\x14\x03\x03\0\x01\x01" + records
    (failure,) = talk.then((30, C, last), (31, C, FIN), (32, S, FIN)).told("never").failures
    assert (failure.kind is FailureKind.CERTIFICATE_REJECTED) == (not finished)
    assert failure.why.startswith("the client broke off the handshake, most likely") == (not finished)
    assert failure.seen == "the client closed after 31 ms"
