"""What the handshake of a TLS or QUIC session says, message by message (RFC 8446 §4, RFC 5246 §7.4).

What   Hellos, EncryptedExtensions, certificates, and, of TLS 1.2 and earlier, what the master secret can be computed
       from: an RSA key exchange, the hash of the session's messages.
Why    TLS and QUIC carry the same handshake in different vessels; the vessels' files need only its outcome.
Limits TRANSCRIPT bytes of messages are kept until the key exchange; a longer handshake has no extended master secret.
"""

from hark.decode import ciphers, limits
from hark.decode.events import Certificates, Event, Side, TlsFacts
from hark.decode.keyring import PRIVATE, Keyring
from hark.wire import tls

TLS13 = 0x0304
_SUITES13 = 0x13  # the first byte of TLS 1.3's suites


class Handshake:
    """One session's. ids grows by what secrets for it may be known by."""

    def __init__(self, number: int, keyring: Keyring) -> None:
        self._number = number
        self._keyring = keyring
        self.ids: list[bytes] = []
        self.hello: tls.ClientHello | None = None
        self.version = 0
        self.suite: tls.Suite | None = None
        self.suite_code = 0
        self.server_random = b""
        self.alpn = ""
        self.mac_last = False  # encrypt-then-MAC was agreed on
        self.resumed = False
        self._extended = False  # extended master secret was agreed on
        self._transcript: bytearray | None = bytearray()
        self._session = b""  # the hash of the messages up to the key exchange
        self._premaster = b""  # encrypted
        self._certificate = b""  # the server's

    @property
    def client_random(self) -> bytes:
        """The session's, b"" before the ClientHello."""
        return self.hello.random if self.hello is not None else b""

    @property
    def sni(self) -> str:
        """The server's name as the client gave it."""
        return self.hello.sni if self.hello is not None else ""

    @property
    def cipher(self) -> str:
        """The suite's name, or its number where it has none here."""
        return self.suite.name if self.suite else f"0x{self.suite_code:04x}" if self.suite_code else ""

    def client_hello(self, body: bytes) -> bool:
        """Whether it can be read."""
        hello = tls.client_hello(body)
        if hello is None:
            return False
        self.hello = hello
        if hello.random not in self.ids:
            self.ids.append(hello.random)
        self._transcript, self._session, self._premaster = bytearray(), b"", b""
        self._record(tls.CLIENT_HELLO, body)
        return True

    def server_hello(self, body: bytes) -> tls.ServerHello | None:
        """What was chosen; None where it cannot be read. A HelloRetryRequest chooses nothing yet."""
        hello = tls.server_hello(body)
        if hello is None or hello.retry:
            return hello
        self.version, self.suite_code, self.server_random = hello.version, hello.suite, hello.random
        # RFC 8446 §B.4: the suites of TLS 1.3 and those of earlier versions are no use to each other.
        fits = (hello.suite >> 8 == _SUITES13) == (hello.version >= TLS13)
        self.suite = tls.SUITES.get(hello.suite) if fits else None
        self.alpn = hello.alpn
        self.mac_last = hello.mac_last
        self.resumed = hello.psk
        self._extended = hello.extended
        if self.version >= TLS13:
            self._transcript = None
        self._record(tls.SERVER_HELLO, body)
        return hello

    def other(self, side: Side, kind: int, body: bytes, time: int, out: list[Event]) -> None:
        """Every other message."""
        if kind == tls.ENCRYPTED_EXTENSIONS and side == Side.SERVER:
            self.alpn = tls.encrypted_alpn(body) or self.alpn
        elif kind == tls.CERTIFICATE:
            chain = tls.certificates(body, self.version)
            if chain:
                out.append(Certificates(self._number, time, side, chain))
                if side == Side.SERVER:
                    self._certificate = chain[0]
        self._record(kind, body)
        if kind == tls.CLIENT_KEY_EXCHANGE and self.suite is not None and self._transcript is not None:
            if self._extended:
                self._session = tls.session_hash(bytes(self._transcript), self.version, self.suite)
            self._transcript = None
            if self.suite.name.startswith("TLS_RSA_WITH") and len(body) > 10:
                self._premaster = body[2:]
                self.ids += [self._premaster[:8], PRIVATE]

    def _record(self, kind: int, body: bytes) -> None:
        if self._transcript is None:
            return
        self._transcript += bytes([kind]) + len(body).to_bytes(3, "big") + body
        if len(self._transcript) > limits.TRANSCRIPT_BYTES:
            self._transcript = None
            self._extended = False

    def master(self) -> tuple[bytes, str]:
        """(the master secret of TLS 1.2 and earlier, which source gave it), both empty while it is not known."""
        key = self._keyring.get(self.client_random)
        if key is not None and len(key.secrets.get("CLIENT_RANDOM", b"")) == 48:
            return key.secrets["CLIENT_RANDOM"], key.source
        premaster, source = self._premaster_secret()
        if not premaster or self.suite is None:
            return b"", ""
        randoms = self.client_random + self.server_random
        return tls.master_secret(premaster, self.version, self.suite, randoms, self._session), source

    def _premaster_secret(self) -> tuple[bytes, str]:
        key = self._keyring.get(self.client_random)
        if key is not None and "PMS_CLIENT_RANDOM" in key.secrets:
            return key.secrets["PMS_CLIENT_RANDOM"], key.source
        if not self._premaster:
            return b"", ""
        key = self._keyring.get(self._premaster[:8])
        if key is not None and "RSA" in key.secrets:
            return key.secrets["RSA"], key.source
        if self._keyring.private and self._certificate:
            return ciphers.premaster(self._keyring.private, self._certificate, self._premaster), "private key"
        return b"", ""

    def missing(self) -> str:
        """Why it cannot be opened, as a clause."""
        if not self.version:
            return "its handshake was not captured"
        if self.suite is None:
            return f"cipher suite 0x{self.suite_code:04x} is not one that hark opens"
        key = self._keyring.get(self.client_random)
        return "some of its secrets are missing" if key else "no secrets for it came"

    def facts(self, time: int, begun: int, done: int, source: str) -> TlsFacts:
        """All that is known, as an event."""
        name = tls.VERSIONS.get(self.version, f"0x{self.version:04x}") if self.version else ""
        ech = self.hello.ech if self.hello is not None else False
        return TlsFacts(
            self._number, time, begun, done, name, self.cipher, self.sni, self.alpn, self.resumed, source,
            self.client_random, ech,
        )  # fmt: skip
