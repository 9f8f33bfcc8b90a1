"""The ARIA block cipher (RFC 5794), which the `cryptography` library does not have, for the TLS suites with it (RFC
6209).

Slow, 0.1 ms per block, as such suites are rare. The S-boxes are computed from their definition (inversion in GF(2^8)
and an affine map, §2.4.2) when the first key is created.
"""

from functools import cache
from typing import Final

_CONSTANTS: Final = (
    0x517CC1B727220A94FE13ABE8FA9A6EE0,
    0x6DB14ACC9E21C820FF28B1D5EF5DE2B0,
    0xDB92371D2126E9700324977504E8C90E,
)
_ROWS: Final = tuple(  # the diffusion layer (§2.4.3): each byte is the sum of these bytes
    bytes.fromhex(row)
    for row in (
        "03040608090d0e", "02050708090c0f", "0104060a0b0c0f", "0005070a0b0d0e", "000205080b0e0f", "010304090a0e0f",
        "000207090a0c0d", "010306080b0c0d", "000104070a0d0f", "000105060b0c0e", "02030506080d0f", "02030407090c0e",
        "01020607090b0c", "00030607080a0d", "00030405090b0e", "01020405080a0f",
    )
)  # fmt: skip
_MASK: Final = (1 << 128) - 1


@cache
def _boxes() -> tuple[bytes, bytes, bytes, bytes]:
    """S1, S2, and their inverses."""
    logs, powers, value = [0] * 256, [0] * 256, 1
    for exponent in range(255):  # 3 generates the field
        logs[value], powers[exponent] = exponent, value
        value ^= value << 1 ^ (0x11B if value & 0x80 else 0)
    inverse = [0] + [powers[-logs[x] % 255] for x in range(1, 256)]

    def affine(columns: tuple[int, ...], constant: int) -> bytes:
        out = bytearray()
        for x in inverse:
            total = constant
            for bit, column in enumerate(columns):
                total ^= column if x >> bit & 1 else 0
            out.append(total)
        return bytes(out)

    one = affine((31, 62, 124, 248, 241, 227, 199, 143), 0x63)
    two = affine((172, 253, 198, 131, 38, 167, 251, 95), 0xE2)
    back = tuple(bytes(box.index(x) for x in range(256)) for box in (one, two))
    return one, two, back[0], back[1]


class Aria:
    """The cipher under one key."""

    def __init__(self, key: bytes) -> None:
        one, two, back_one, back_two = _boxes()
        self._odd = (one, two, back_one, back_two) * 4
        self._even = (back_one, back_two, one, two) * 4
        size = len(key)
        left, right = key[:16], int.from_bytes(key[16:].ljust(16, b"\0"), "big")
        turn = {16: 0, 24: 1, 32: 2}[size]
        constants = [c.to_bytes(16, "big") for c in _CONSTANTS[turn:] + _CONSTANTS[:turn]]
        w = [int.from_bytes(left, "big")]
        w.append(int.from_bytes(self._round(left, constants[0], self._odd), "big") ^ right)
        w.append(int.from_bytes(self._round(w[1].to_bytes(16, "big"), constants[1], self._even), "big") ^ w[0])
        w.append(int.from_bytes(self._round(w[2].to_bytes(16, "big"), constants[2], self._odd), "big") ^ w[1])
        self._rounds = {16: 12, 24: 14, 32: 16}[size]
        keys = [w[n % 4] ^ _right(w[(n + 1) % 4], turn) for turn in (19, 31, 67, 97, 109) for n in range(4)]
        self._keys = [k.to_bytes(16, "big") for k in keys[: self._rounds + 1]]
        middle = [self._diffuse(k) for k in self._keys[1:-1]]
        self._back = [self._keys[-1], *middle[::-1], self._keys[0]]

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt whole blocks, each independently (ECB)."""
        return b"".join(self._block(data[at : at + 16], self._keys) for at in range(0, len(data), 16))

    def cbc(self, iv: bytes, data: bytes) -> bytes:
        """Decrypt whole blocks in CBC mode."""
        out = []
        for at in range(0, len(data), 16):
            block = data[at : at + 16]
            out.append(_xor(self._block(block, self._back), iv))
            iv = block
        return b"".join(out)

    def _block(self, block: bytes, keys: list[bytes]) -> bytes:
        for number in range(self._rounds - 1):
            block = self._round(block, keys[number], self._even if number & 1 else self._odd)
        block = _xor(block, keys[self._rounds - 1])
        return _xor(bytes([box[x] for box, x in zip(self._even, block, strict=True)]), keys[self._rounds])

    def _round(self, block: bytes, key: bytes, boxes: tuple[bytes, ...]) -> bytes:
        mixed = _xor(block, key)
        return self._diffuse(bytes([box[x] for box, x in zip(boxes, mixed, strict=True)]))

    @staticmethod
    def _diffuse(block: bytes) -> bytes:
        x = block
        return bytes([x[a] ^ x[b] ^ x[c] ^ x[d] ^ x[e] ^ x[f] ^ x[g] for a, b, c, d, e, f, g in _ROWS])


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(16, "big")


def _right(value: int, turn: int) -> int:
    return (value >> turn | value << (128 - turn)) & _MASK
