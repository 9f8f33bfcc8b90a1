"""The handshake of a TLS or QUIC session, message by message (RFC 8446 §4, RFC 5246 §7.4).

What   Hellos, EncryptedExtensions, certificates, and, of TLS 1.2 and earlier, what the master secret can be computed
       from: an RSA key exchange, the hash of the session's messages.
Why    TLS and QUIC carry the same handshake in different packets, and need its outcome only.
Limits TRANSCRIPT_BYTES of messages are kept until the key exchange; after a longer handshake the extended master secret
       cannot be computed.
"""

from typing import Final

from hark.decode import ciphers, limits
from hark.decode.events import Certificates, Event, Side, TlsFacts
from hark.decode.keyring import PRIVATE, Keyring
from hark.decode.undecrypted import Cause, Undecrypted
from hark.wire import tls
from hark.wire.tls import TLS13

_SUITES13: Final = 0x13  # the first byte of the cipher suites of TLS 1.3


class Handshake:
    """One session's. ids: what secrets for it may be known by (client randoms, encrypted premaster secrets); it
    grows."""

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
        self.mac_last = False  # encrypt-then-MAC was negotiated (RFC 7366)
        self.resumed = False
        self._extended = False  # the extended master secret was negotiated (RFC 7627)
        self._transcript: bytearray | None = bytearray()
        self._session = b""  # the hash of the messages up to the key exchange
        self._premaster = b""  # encrypted
        self._certificate = b""  # the server's

    @property
    def client_random(self) -> bytes:
        """b"" before the ClientHello."""
        return self.hello.random if self.hello is not None else b""

    @property
    def sni(self) -> str:
        """The server name that the client sent."""
        return self.hello.sni if self.hello is not None else ""

    @property
    def cipher(self) -> str:
        """The cipher suite's name, or its number if it is unknown."""
        return self.suite.name if self.suite else f"0x{self.suite_code:04x}" if self.suite_code else ""

    def client_hello(self, body: bytes) -> bool:
        """Read a ClientHello; False if it is malformed."""
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
        """What the server has selected; None if it is malformed. A HelloRetryRequest selects nothing yet."""
        hello = tls.server_hello(body)
        if hello is None or hello.retry:
            return hello
        self.version, self.suite_code, self.server_random = hello.version, hello.suite, hello.random
        # RFC 8446 §B.4: suites of TLS 1.3 are invalid in earlier versions, and the other way round.
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
        """Any other message."""
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
        """(the master secret of TLS 1.2 and earlier, the key source); both empty while it is unknown."""
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

    def missing(self) -> Cause:
        """Why the session cannot be decrypted."""
        if not self.version:
            return Cause(Undecrypted.NO_HANDSHAKE)
        if self.suite is None:
            return Cause(Undecrypted.CIPHER_SUITE, f"0x{self.suite_code:04x}")
        key = self._keyring.get(self.client_random)
        return Cause(Undecrypted.SECRETS_MISSING if key else Undecrypted.NO_SECRETS)

    def facts(self, time: int, begun: int, done: int, source: str) -> TlsFacts:
        """What is known so far, as an event. begun, done: when the handshake began and was complete (0: it is not)."""
        name = tls.VERSIONS.get(self.version, f"0x{self.version:04x}") if self.version else ""
        ech = self.hello.ech if self.hello is not None else False
        return TlsFacts(
            self._number, time, begun, done, name, self.cipher, self.sni, self.alpn, self.resumed, source,
            self.client_random, ech,
        )  # fmt: skip
