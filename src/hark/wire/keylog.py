"""The NSS key log format (RFC 9850): lines of "LABEL client_random secret".

May hold: parsing and printing of lines. May not hold: a table of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hark.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LABELS: Final = frozenset(
    {
        "CLIENT_RANDOM",
        "RSA",
        "PMS_CLIENT_RANDOM",
        "CLIENT_EARLY_TRAFFIC_SECRET",
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
        "EARLY_EXPORTER_SECRET",
        "EXPORTER_SECRET",
    }
)
# What follows a secret is not looked at, where it cannot be a part of it: editors, shells and copies leave
# backslashes, carriage returns, commas, comments. No hash that TLS uses is longer than SHA-512.
_LINE: Final = re.compile(
    rb"[^\S\n]*(?:QUIC_)?([A-Z][A-Z_0-9]*)[^\S\n]+((?:[0-9a-f]{16}){1,4})[^\S\n]+((?:[0-9a-f]{2}){1,64})(?![0-9a-z])",
    re.I,
)
_LINE_ENDS: Final = re.compile(rb"[\r\n\0\x0b\x0c]+")
_UTF8: Final = b"\xef\xbb\xbf"
_UTF16: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


class Secret(Record):
    """One line: what kind of secret, of which connection (its 32 byte client random; with label RSA the first 8 bytes
    of the encrypted premaster secret), and the secret's bytes."""

    label: str
    client_random: bytes
    secret: bytes


def parse(text: bytes) -> Iterator[Secret]:
    """Every line of a key log that hark can use, whatever is around it; comments and torn lines are
    skipped."""
    if text[:2] in _UTF16:
        text = text[2:].decode(_UTF16[text[:2]], "replace").encode("utf-8", "replace")
    for line in _LINE_ENDS.split(text.removeprefix(_UTF8)):
        found = _LINE.match(line)
        if found is None or len(found[2]) not in (16, 64):
            continue
        label = found[1].decode("ascii").upper()  # without the prefix of the first QUIC drafts
        if label in LABELS and (label == "RSA") == (len(found[2]) == 16):
            yield Secret(label, bytes.fromhex(found[2].decode("ascii")), bytes.fromhex(found[3].decode("ascii")))
