"""The keys of a TLS connection: which secret each direction uses in each stage, and the cipher made from it (RFC 8446
§7, RFC 5246 §6.3).

May hold: the state of a direction, functions from a handshake and a keyring to ciphers. May not hold: records.
"""

from typing import TYPE_CHECKING, Final

from hark.decode import ciphers
from hark.decode.events import Side
from hark.decode.keyring import Keyring
from hark.wire import tls
from hark.wire.tls import TLS13

if TYPE_CHECKING:
    from hark.decode.handshake import Handshake

# The stages of a direction. Plain numbers, not an enum: they are compared for each record.
PLAIN: Final = 0
EARLY: Final = 1  # 0-RTT data
HANDSHAKE: Final = 2
DATA: Final = 3
_LABELS: Final = {
    (Side.CLIENT, EARLY): "CLIENT_EARLY_TRAFFIC_SECRET",
    (Side.CLIENT, HANDSHAKE): "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    (Side.SERVER, HANDSHAKE): "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    (Side.CLIENT, DATA): "CLIENT_TRAFFIC_SECRET_0",
    (Side.SERVER, DATA): "SERVER_TRAFFIC_SECRET_0",
}
_MASTER_BYTES: Final = 48  # of a master secret (RFC 5246 §8.1)


class Half:
    """One direction of a connection."""

    __slots__ = ("blocked", "buffer", "cipher", "gap", "gap_time", "messages", "missing", "secret", "stage")

    def __init__(self) -> None:
        self.buffer = b""  # the beginning of a record
        self.messages = b""  # the beginning of a handshake message
        self.stage: int = PLAIN
        self.cipher: ciphers.RecordCipher | None = None
        self.secret = b""  # the traffic secret of TLS 1.3
        self.blocked = False  # a record of this direction is parked
        self.gap = False  # after a gap, while it is unknown where the next record begins
        self.missing = 0  # bytes of records from the last one that was decrypted to the buffer's start
        self.gap_time = 0  # when the last gap was found: what the other side sends later is no answer to it


def make_cipher(
    handshake: "Handshake", keyring: Keyring, side: Side, half: Half
) -> tuple[ciphers.RecordCipher | None, str]:
    """(the cipher of a direction in its present stage, the key source); None while the secret has not come, or if hark
    does not know the cipher suite. For early data the suite is unknown until the ServerHello."""
    suite = handshake.suite
    if suite is None:
        return None, ""
    if handshake.version < TLS13:
        master, source = handshake.master()
        return _cipher12(handshake, suite, side, master), source
    key = keyring.get(handshake.client_random)
    if key is None:
        return None, ""
    half.secret = key.secrets.get(_LABELS.get((side, half.stage), ""), b"")
    return _cipher13(suite, half.secret), key.source


def update(suite: tls.Suite, half: Half) -> None:
    """A KeyUpdate: the next secret is derived from the present one (RFC 8446 §7.2)."""
    half.secret = tls.expand_label(half.secret, b"traffic upd", b"", tls.hash_size(suite.hash), suite.hash)
    half.cipher = _cipher13(suite, half.secret)


def _cipher13(suite: tls.Suite, secret: bytes) -> ciphers.RecordCipher | None:
    if len(secret) != tls.hash_size(suite.hash):
        return None
    key = tls.expand_label(secret, b"key", b"", suite.key, suite.hash)
    iv = tls.expand_label(secret, b"iv", b"", 12, suite.hash)
    return ciphers.Aead13(suite, key, iv)


def _cipher12(handshake: "Handshake", suite: tls.Suite, side: Side, master: bytes) -> ciphers.RecordCipher | None:
    if len(master) != _MASTER_BYTES:
        return None
    randoms = handshake.server_random + handshake.client_random
    mac, key, iv = tls.key_block(suite, handshake.version, master, randoms)[int(side)]
    if suite.mode == "cbc":
        return ciphers.Cbc(suite, handshake.version, mac, key, iv, handshake.mac_last)
    if suite.mode in ("stream", "null"):
        return ciphers.Bare(suite, mac, key)
    return ciphers.Aead12(suite, key, iv)
