"""QUIC packet protection: which key a packet has, and its plaintext (RFC 9001 §5, §6).

What   Initial packets are decrypted with keys derived from what is in them; the keys of the other levels have one label
       each in the key log, as in TLS 1.3. Key updates are followed by the key phase bit.
Limits A packet that does not authenticate is skipped, as an endpoint does (§9.5): anybody can send datagrams.
"""

from typing import TYPE_CHECKING, Final

from hark.decode import ciphers
from hark.decode.events import Side
from hark.decode.keyring import Keyring
from hark.wire import quic, tls

if TYPE_CHECKING:
    from hark.decode.handshake import Handshake

LEVELS: Final = {quic.INITIAL: 0, quic.ZERO_RTT: 2, quic.HANDSHAKE: 1, quic.ONE_RTT: 2}  # packet number spaces (§12.3)
APPLICATION: Final = 2  # the packet number space of 0-RTT and 1-RTT packets
_LABELS: Final = {
    (Side.CLIENT, quic.ZERO_RTT): "CLIENT_EARLY_TRAFFIC_SECRET",
    (Side.CLIENT, quic.HANDSHAKE): "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    (Side.SERVER, quic.HANDSHAKE): "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    (Side.CLIENT, quic.ONE_RTT): "CLIENT_TRAFFIC_SECRET_0",
    (Side.SERVER, quic.ONE_RTT): "SERVER_TRAFFIC_SECRET_0",
}
_INITIAL_SUITE: Final = tls.SUITES[0x1301]  # RFC 9001 §5: AES-128-GCM with SHA-256
_SAMPLE: Final = 16  # bytes of ciphertext that header protection is computed from (RFC 9001 §5.4.2)


class _Half:
    """The keys of one direction."""

    __slots__ = ("keys", "largest", "next", "old", "phase", "phase_from")

    def __init__(self) -> None:
        self.largest = [-1, -1, -1]  # packet number by space
        self.keys: dict[int, ciphers.PacketKeys] = {}  # by kind of packet
        self.phase = 0
        self.phase_from = 0  # the first packet number of the present key phase
        self.old: ciphers.QuicAead | None = None  # the cipher of the previous key phase
        self.next: ciphers.QuicAead | None = None


class Protection:
    """The packet protection of one connection. source: the key source that gave its secrets."""

    def __init__(self, handshake: "Handshake", keyring: Keyring) -> None:
        self._handshake = handshake
        self._keyring = keyring
        self._halves = (_Half(), _Half())
        self._initial: dict[int, tuple[ciphers.PacketKeys, ciphers.PacketKeys]] = {}  # by version number
        self._first_version = 0  # of the client's first packet: 0-RTT is sent in this one
        self.original = b""  # what Initial keys come from: the client's first destination id, or the Retry's source id
        self.version = 0
        self.source = ""

    @property
    def version_name(self) -> str:
        """The version's name, "" before the first packet."""
        return quic.VERSIONS[self.version].name if self.version else ""

    def restart(self, original: bytes) -> None:
        """The client will begin again, after a Retry or a version negotiation."""
        self.original = original
        self._initial.clear()
        self._halves[Side.CLIENT].largest[0] = -1

    def initial(self, side: Side, at: int, packet: bytes, header: quic.Header) -> bytes | None:
        """The frames of an Initial packet; None if it does not authenticate. at: the offset of the packet number."""
        if not self.original:
            if side == Side.SERVER:
                return None
            self.original = header.dcid
        for dcid in (self.original, header.dcid):
            keys = self._initial_keys(header.version, dcid)
            plain = self._decrypt(self._halves[side], 0, keys[side], keys[side].cipher, at, packet)
            if plain is not None:
                break
            if side == Side.SERVER or dcid == header.dcid:
                return None
        if dcid != self.original:  # the client has begun again, and the reason was not captured
            self.original = dcid
            self._initial = {header.version: keys}
        if side == Side.SERVER or not self.version:  # a server may answer in another version (RFC 9368 §2.3)
            self.version = header.version
            self._first_version = self._first_version or header.version
        return plain

    def _initial_keys(self, number: int, dcid: bytes) -> tuple[ciphers.PacketKeys, ciphers.PacketKeys]:
        keys = self._initial.get(number) if dcid == self.original else None
        if keys is None:
            version = quic.VERSIONS[number]
            client, server = quic.initial_secrets(version, dcid)
            keys = (
                ciphers.PacketKeys(_INITIAL_SUITE, client, version.prefix),
                ciphers.PacketKeys(_INITIAL_SUITE, server, version.prefix),
            )
            if dcid == self.original:
                self._initial[number] = keys
        return keys

    def keys(self, side: Side, kind: int) -> ciphers.PacketKeys | None:
        """The keys of a kind of packet; None while its secret has not come."""
        half = self._halves[side]
        found = half.keys.get(kind)
        if found is None and self._handshake.suite is not None:
            key = self._keyring.get(self._handshake.client_random)
            secret = key.secrets.get(_LABELS.get((side, kind), ""), b"") if key is not None else b""
            if key is None or len(secret) != tls.hash_size(self._handshake.suite.hash):
                return None
            version = self._first_version if kind == quic.ZERO_RTT else self.version
            found = half.keys[kind] = ciphers.PacketKeys(self._handshake.suite, secret, quic.VERSIONS[version].prefix)
            self.source = key.source
        return found

    def decrypt(self, side: Side, kind: int, keys: ciphers.PacketKeys, at: int, packet: bytes) -> bytes | None:
        """The frames of a packet that is not Initial; None if it does not authenticate."""
        half = self._halves[side]
        if kind == quic.ONE_RTT:
            return self._decrypt_phase(half, keys, at, packet)
        return self._decrypt(half, LEVELS[kind], keys, keys.cipher, at, packet)

    def _unmask(
        self, half: _Half, space: int, keys: ciphers.PacketKeys, at: int, packet: bytes
    ) -> tuple[int, bytes] | None:
        """(packet number, the header without its protection) (RFC 9001 §5.4); None if the packet is too short."""
        sample = packet[at + 4 : at + 4 + _SAMPLE]
        if len(sample) < _SAMPLE:
            return None
        mask = keys.mask(sample)
        first = packet[0] ^ (mask[0] & (0x0F if packet[0] & 0x80 else 0x1F))
        size = (first & 3) + 1
        short = int.from_bytes(packet[at : at + size], "big") ^ int.from_bytes(mask[1 : 1 + size], "big")
        number = quic.packet_number(short, size, half.largest[space])
        return number, bytes([first]) + packet[1:at] + short.to_bytes(size, "big")

    def _decrypt(
        self, half: _Half, space: int, keys: ciphers.PacketKeys, cipher: ciphers.QuicAead, at: int, packet: bytes
    ) -> bytes | None:
        unmasked = self._unmask(half, space, keys, at, packet)
        if unmasked is None:
            return None
        number, header = unmasked
        plain = cipher.packet(number, header, memoryview(packet)[len(header) :])
        if plain is not None and number > half.largest[space]:
            half.largest[space] = number
        return plain

    def _decrypt_phase(self, half: _Half, keys: ciphers.PacketKeys, at: int, packet: bytes) -> bytes | None:
        """A 1-RTT packet, whose key phase bit may announce a key update (RFC 9001 §6)."""
        unmasked = self._unmask(half, APPLICATION, keys, at, packet)
        if unmasked is None:
            return None
        number, header = unmasked
        body = memoryview(packet)[len(header) :]
        if header[0] >> 2 & 1 == half.phase:
            plain = keys.cipher.packet(number, header, body)
        elif half.old is not None and number < half.phase_from:
            plain = half.old.packet(number, header, body)  # it was late
        else:
            if half.next is None:
                half.next = keys.next_phase()
            plain = half.next.packet(number, header, body)
            if plain is not None:
                half.old, keys.cipher, half.next = keys.cipher, half.next, None
                half.phase ^= 1
                half.phase_from = number
        if plain is not None and number > half.largest[APPLICATION]:
            half.largest[APPLICATION] = number
        return plain
