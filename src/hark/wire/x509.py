"""The usual X.509 certificate in DER (RFC 5280 §4.1): whose it is, by whom, for which names, from when to when.

What   usual() reads a certificate that has nothing out of the ordinary, and gives None for every other one, which is
       the library's to read.
Why    The library takes 20 ms to be loaded, as long as hundreds of exchanges take to be decoded, and nearly every
       certificate that a server shows is of this kind.
May hold: pure functions over one certificate. May not hold: verification, extensions other than subjectAltName.
"""

from typing import Final, NamedTuple

from hark.wire import ip

_BOOLEAN: Final = 1
_INTEGER: Final = 2
_BITS: Final = 3
_OCTETS: Final = 4
_OID: Final = 6
_UTF8: Final = 12
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_PRINTABLE: Final = 19
_IA5: Final = 22
_UTC: Final = 23
_GENERALIZED: Final = 24
_VERSION: Final = 0xA0  # the explicit tags [0] and [3] of TBSCertificate
_EXTENSIONS: Final = 0xA3
_DNS: Final = 0x82  # dNSName [2] and iPAddress [7] of GeneralName (§4.2.1.6)
_ADDRESS: Final = 0x87
_VERSION_3: Final = bytes.fromhex("020102")
_TRUE: Final = b"\xff"
_ALT_NAME: Final = bytes.fromhex("551d11")  # 2.5.29.17
_ATTRIBUTES: Final = {  # of names, with the short forms of RFC 4514 §3
    bytes.fromhex("550403"): "CN", bytes.fromhex("550407"): "L", bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O", bytes.fromhex("55040b"): "OU", bytes.fromhex("550406"): "C",
    bytes.fromhex("0992268993f22c640119"): "DC",
}  # fmt: skip
_LENGTHS: Final = {"CN": (1, 64), "C": (2, 2)}  # characters (RFC 5280 appendix A.1)
_IN_PRINTABLE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_ESCAPED: Final = {ord(sign): "\\" + sign for sign in '\\"+,;<>'}  # RFC 4514 §2.4
_SERIAL_BYTES: Final = 20  # §4.1.2.2
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

Part = tuple[int, int, int]  # tag, where its content begins, where that ends


class Certificate(NamedTuple):
    """What a certificate says. Names are in the form of RFC 4514, times are in UTC, in ISO 8601."""

    subject: str
    issuer: str
    names: list[str]
    begins: str
    ends: str
    serial: int


def usual(der: bytes) -> Certificate | None:
    """The certificate; None where anything in it is not as it usually is."""
    try:
        return _certificate(der)
    except (ValueError, IndexError):
        return None


def _certificate(der: bytes) -> Certificate:
    (whole,) = _parts(der, 0, len(der), (_SEQUENCE,))
    signed, algorithm, _ = _parts(der, whole[1], whole[2], (_SEQUENCE, _SEQUENCE, _BITS))
    found = _parts(der, signed[1], signed[2])
    tags = tuple(part[0] for part in found)
    if tags != (_VERSION, _INTEGER, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE, _EXTENSIONS):
        raise ValueError("not the usual parts")
    version, number, same, issuer, validity, subject, key, extensions = (der[at:end] for _, at, end in found)
    if version != _VERSION_3 or same != der[algorithm[1] : algorithm[2]]:  # §4.1.1.2
        raise ValueError("not the usual version or signature")
    _parts(key, 0, len(key), (_SEQUENCE, _BITS))
    begins, ends = _parts(validity, 0, len(validity))
    return Certificate(
        _name(subject),
        _name(issuer),
        _names(_alternative(extensions)),
        _time(begins[0], validity[begins[1] : begins[2]]),
        _time(ends[0], validity[ends[1] : ends[2]]),
        _serial(number),
    )


def _parts(der: bytes, at: int, end: int, tags: tuple[int, ...] | None = None) -> list[Part]:
    """The elements between two offsets, each with the one length that DER has for it (X.690 §10.1). Raises ValueError
    where they are not whole, or not those of `tags`."""
    found: list[Part] = []
    while at < end:
        tag, size = der[at], der[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(der[at : at + count], "big")
            at += count
            if not 1 <= count <= 3 or size < 0x80 or not size >> 8 * (count - 1):
                raise ValueError("a length that is not in DER")
        if tag & 0x1F == 0x1F or at + size > end:
            raise ValueError("a tag of several bytes, or an element that is cut off")
        found.append((tag, at, at + size))
        at += size
    if tags is not None and tuple(part[0] for part in found) != tags:
        raise ValueError("other elements than expected")
    return found


def _serial(content: bytes) -> int:
    """A positive number (§4.1.2.2)."""
    value = int.from_bytes(content, "big", signed=True)
    if value <= 0 or not 0 < len(content) <= _SERIAL_BYTES or len(content) != value.bit_length() // 8 + 1:
        raise ValueError("not the usual serial number")
    return value


def _name(content: bytes) -> str:
    """A distinguished name, the last attribute first (RFC 4514 §2.1)."""
    names = []
    for kind, at, end in _parts(content, 0, len(content)):
        if kind != _SET:
            raise ValueError("not a name")
        (one,) = _parts(content, at, end, (_SEQUENCE,))  # several in one set are rare
        oid, value = _parts(content, one[1], one[2])
        if oid[0] != _OID:
            raise ValueError("not an attribute")
        short = _ATTRIBUTES.get(content[oid[1] : oid[2]])
        if short is None:
            raise ValueError("not a usual attribute")
        names.append(f"{short}={_value(short, value[0], content[value[1] : value[2]])}")
    return ",".join(reversed(names))


def _value(attribute: str, kind: int, content: bytes) -> str:
    """An attribute's value, escaped."""
    printable = kind == _PRINTABLE and _IN_PRINTABLE.issuperset(content)
    if not (printable or kind == _UTF8 or (kind == _IA5 and content.isascii())):
        raise ValueError("not a usual string")
    least, most = _LENGTHS.get(attribute, (1, len(content)))
    if not least <= len(content) <= most:
        raise ValueError("a string of an odd length")
    text = content.decode()
    if text[0] in "# " or text[-1] == " " or "\0" in text:
        raise ValueError("characters that are escaped by other rules")
    return text.translate(_ESCAPED)


def _time(kind: int, content: bytes) -> str:
    """A time to the second (§4.1.2.5): UTCTime up to 2049, GeneralizedTime from 2050 on."""
    if not content[:-1].isdigit() or content[-1:] != b"Z" or len(content) != {_UTC: 13, _GENERALIZED: 15}.get(kind):
        raise ValueError("not a usual time")
    digits = content[:-1].decode()
    if kind == _UTC:
        digits = ("19" if digits >= "5" else "20") + digits
    elif digits < "2050":
        raise ValueError("a time in the wrong form")
    year, month, day, hour, minute, second = (int(digits[at : at + size]) for at, size in _FIELDS)
    leap = not year % 4 and (year % 100 != 0 or not year % 400)
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1] - (month == 2 and not leap):
        raise ValueError("not a day")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("not a time of day")
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


_FIELDS: Final = ((0, 4), (4, 2), (6, 2), (8, 2), (10, 2), (12, 2))


def _alternative(content: bytes) -> bytes:
    """The content of the extension subjectAltName, b"" where it is not there."""
    (all_of_them,) = _parts(content, 0, len(content), (_SEQUENCE,))
    found: dict[bytes, bytes] = {}
    for kind, at, end in _parts(content, all_of_them[1], all_of_them[2]):
        one = _parts(content, at, end)
        oid, value = one[0], one[-1]
        critical = one[1:-1]
        if kind != _SEQUENCE or oid[0] != _OID or value[0] != _OCTETS or len(critical) > 1:
            raise ValueError("not an extension")
        if critical and (critical[0][0] != _BOOLEAN or content[critical[0][1] : critical[0][2]] != _TRUE):
            raise ValueError("not in DER")
        name = content[oid[1] : oid[2]]
        if name in found:
            raise ValueError("an extension that comes twice")
        found[name] = content[value[1] : value[2]]
    return found.get(_ALT_NAME, b"")


def _names(content: bytes) -> list[str]:
    """The names of subjectAltName (§4.2.1.6): of hosts, and addresses."""
    if not content:
        return []
    (whole,) = _parts(content, 0, len(content), (_SEQUENCE,))
    found = []
    for kind, at, end in _parts(content, whole[1], whole[2]):
        value = content[at:end]
        if kind == _ADDRESS and len(value) in (4, 16):
            found.append(ip.text(value))
        elif kind == _DNS and value:
            found.append(value.decode("ascii"))
        else:
            raise ValueError("not a usual name")
    return found
