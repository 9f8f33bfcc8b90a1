"""DNS messages (RFC 1035): the question, and the addresses that answer it.

May hold: one message's parse. May not hold: matching of answers to questions.
"""

import struct
from typing import Final, NamedTuple

from hark.wire import ip

A: Final = 1
CNAME: Final = 5
AAAA: Final = 28
RCODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
TYPES: Final = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    65: "HTTPS",
}
_JUMPS: Final = 64  # compression pointers followed in one name before it is called a loop


class Message(NamedTuple):
    """A DNS message: its id, whether it answers, the response code, the first question, the addresses in it."""

    ident: int
    response: bool
    rcode: int
    name: str
    qtype: int
    addresses: tuple[str, ...]


def parse(data: bytes) -> Message | None:
    """The message, or None where the bytes are not DNS. Strict, for it also serves as the test whether they are."""
    if len(data) < 17:
        return None
    ident, flags, questions, answers, authority, additional = struct.unpack_from("!6H", data)
    if questions != 1 or flags & 0x7800 or authority > 64 or additional > 64 or answers > 512:
        return None
    response = bool(flags & 0x8000)
    if not response and (answers or flags & 0x000F):
        return None
    try:
        name, at = _name(data, 12)
        qtype, qclass = struct.unpack_from("!HH", data, at)
        if qclass not in (1, 255):
            return None
        return Message(ident, response, flags & 15, name, qtype, tuple(_addresses(data, at + 4, answers)))
    except (struct.error, IndexError, ValueError):
        return None


def _addresses(data: bytes, at: int, answers: int) -> list[str]:
    found = []
    for _ in range(answers):
        _, at = _name(data, at)
        rtype, _, _, length = struct.unpack_from("!HHIH", data, at)
        at += 10
        rdata = data[at : at + length]
        if len(rdata) != length:
            raise ValueError("record runs past the message")
        if (rtype == A and length == 4) or (rtype == AAAA and length == 16):
            found.append(ip.text(rdata))
        at += length
    return found


def _name(data: bytes, at: int) -> tuple[str, int]:
    """The name at `at` and the offset after it; compression pointers are followed (RFC 1035 §4.1.4)."""
    labels: list[str] = []
    after, jumps = -1, 0
    while True:
        size = data[at]
        if size & 0xC0 == 0xC0:
            if after < 0:
                after = at + 2
            at = (size & 0x3F) << 8 | data[at + 1]
            jumps += 1
            if jumps > _JUMPS:
                raise ValueError("compression loop")
            continue
        if size & 0xC0:
            raise ValueError("unknown label type")
        at += 1
        if not size:
            return ".".join(labels), after if after >= 0 else at
        label = data[at : at + size]
        if len(label) != size or len(labels) > 127:
            raise ValueError("name runs past the message")
        labels.append(label.decode("ascii", "backslashreplace"))
        at += size
