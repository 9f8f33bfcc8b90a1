"""Decrypting on after bytes of a TLS direction were not captured: where the next record begins, and its number.

What   Both are searched for, and proved by the record's own authentication: the record that decrypts is the right one.
Limits RESYNC_TRIES record numbers per candidate. Only application data under a cipher that needs no earlier record (not
       CBC of TLS 1.0, not RC4) can be decrypted after a gap.
"""

from typing import Final, NamedTuple

from hark.decode import ciphers, limits
from hark.wire import tls

RECORD_MAX: Final = 16384 + 2048  # bytes of a record's content (RFC 5246 §6.2.3; TLS 1.3 allows less)
_HEADER: Final = 5  # bytes of a record's header
_TAG: Final = 16  # bytes that the ciphers in question add to a record, at least


class Found(NamedTuple):
    """The record after a gap. end: the offset after it; lost: bytes of content in the records before it; kind: its
    content type; plain: its plaintext."""

    end: int
    lost: int
    kind: int
    plain: bytes


def find(cipher: ciphers.RecordCipher, data: bytes, missing: int) -> Found | int:
    """Look for a record that decrypts in data that begins `missing` bytes after the last one that did. Else the first
    offset at which one may still begin."""
    at = 0
    while True:
        at = data.find(bytes([tls.APPDATA, 3]), at)
        if at < 0:
            return len(data) - 1 if data[-1:] == bytes([tls.APPDATA]) else len(data)
        if len(data) - at < _HEADER:
            return at
        end = at + _HEADER + (data[at + 3] << 8 | data[at + 4])
        if data[at + 2] <= 4 and end - at <= _HEADER + RECORD_MAX:
            if end > len(data):
                return at
            found = _decrypt(cipher, data[at:end], missing + at, end)
            if found is not None:
                return found
        at += 1


def _decrypt(cipher: ciphers.RecordCipher, record: bytes, missing: int, end: int) -> Found | None:
    """The record, if it decrypts under a number that `missing` bytes of records before it allow."""
    smallest = max(cipher.overhead, _HEADER + _TAG)  # bytes of a record
    first = cipher.seq
    fewest = -(-missing // (_HEADER + RECORD_MAX))
    for skipped in range(fewest, min(missing // smallest, fewest + limits.RESYNC_TRIES) + 1):
        cipher.seq = first + skipped
        try:
            plain = cipher.decrypt(record)
        except ValueError:
            continue
        lost = missing - skipped * cipher.overhead if cipher.overhead >= 0 else missing
        return Found(end, max(lost, 0), record[0], plain)
    cipher.seq = first
    return None
