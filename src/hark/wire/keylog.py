"""The NSS key log format (RFC 9850): lines of "LABEL client_random secret".

May hold: parsing and printing of lines. May not hold: a table of secrets.
"""

from collections.abc import Iterator
from typing import NamedTuple

LABELS = frozenset(
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
_LONGEST = 64  # bytes in a secret: no hash that TLS uses is longer than SHA-512


class Secret(NamedTuple):
    """One line: what kind of secret, of which connection (its 32 byte client random; with label RSA the first 8 bytes
    of the encrypted premaster secret), and the secret's bytes."""

    label: str
    client_random: bytes
    secret: bytes


def parse(text: bytes) -> Iterator[Secret]:
    """Every well-formed line of a key log that hark knows a use for; comments, torn and strange lines are skipped."""
    for line in text.split(b"\n"):
        if not line or line[0] == 35:
            continue
        parts = line.split()
        if len(parts) != 3 or len(parts[1]) not in (16, 64) or len(parts[2]) > 2 * _LONGEST:
            continue
        try:
            label = parts[0].decode("ascii").removeprefix("QUIC_")  # as the first QUIC drafts had it
            if (label == "RSA") != (len(parts[1]) == 16):
                continue
            if label in LABELS:
                yield Secret(label, bytes.fromhex(parts[1].decode("ascii")), bytes.fromhex(parts[2].decode("ascii")))
        except (UnicodeDecodeError, ValueError):
            continue
