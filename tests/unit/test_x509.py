"""The short way to read a certificate: it says what the library says, or leaves the certificate to the library."""

import datetime
import ipaddress
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import example, given
from hypothesis import strategies as st

from hark.model.certificate import _unusual, flaws
from hark.wire.x509 import usual

_KEY = ec.generate_private_key(ec.SECP256R1())
_UTF8, _PRINTABLE, _BMP = (x509.name._ASN1Type(number) for number in (12, 19, 30))
_PLAIN = [(NameOID.COUNTRY_NAME, "DE", _PRINTABLE), (NameOID.COMMON_NAME, "h.test", _UTF8)]
_ALTERNATIVE = [x509.DNSName("h.test"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
_FROM, _TO = datetime.datetime(2026, 1, 1), datetime.datetime(2052, 2, 29, 23, 59, 59)


def made(names=None, alternative=_ALTERNATIVE, serial=7, begins=_FROM, ends=_TO, rdns=None) -> bytes:
    """A certificate, by default of the usual kind."""
    if rdns is None:
        attributes = [x509.NameAttribute(*one, _validate=False) for one in (_PLAIN if names is None else names)]
        rdns = [x509.RelativeDistinguishedName([one]) for one in attributes]
    name = x509.Name(rdns)
    builder = x509.CertificateBuilder(name, name, _KEY.public_key(), serial, begins, ends)
    if alternative is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.DER)


_READ = {
    "as a server shows it": {},
    "no alternative names": {"alternative": None},
    "IPv6": {"alternative": [x509.IPAddress(ipaddress.ip_address("2001:db8::1")), x509.DNSName("*.h.test")]},
    "every attribute": {
        "names": [
            (NameOID.DOMAIN_COMPONENT, "test", None), (NameOID.STATE_OR_PROVINCE_NAME, "Bavaria", None),
            (NameOID.LOCALITY_NAME, "Nürnberg", None), (NameOID.ORGANIZATION_NAME, 'a, b + "c" <d>; \\e', None),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "x", None), (NameOID.COMMON_NAME, "日本", None),
        ]
    },
    "no name": {"names": []},
    "a serial number of 20 bytes": {"serial": (1 << 158) + 5},
    "a serial number with its first bit set": {"serial": 0x80},
    "both forms of time": {"begins": datetime.datetime(1950, 1, 1), "ends": datetime.datetime(9999, 12, 31, 23, 59, 59)},
}  # fmt: skip
_LEFT = {
    "an attribute that is rare": {"names": [(NameOID.EMAIL_ADDRESS, "a@h.test", None)]},
    "a street": {"names": [(NameOID.STREET_ADDRESS, "1", None)]},
    "a kind of string that is rare": {"names": [(NameOID.COMMON_NAME, "h.test", _BMP)]},
    "spaces around": {"names": [(NameOID.COMMON_NAME, " h ", None)]},
    "a number sign in front": {"names": [(NameOID.COMMON_NAME, "#1", None)]},
    "a zero byte": {"names": [(NameOID.COMMON_NAME, "a\0b", None)]},
    "other names": {"alternative": [x509.RFC822Name("a@h.test"), x509.DNSName("h.test")]},
    "several attributes in one": {
        "rdns": [
            x509.RelativeDistinguishedName(
                [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "b")]
            )
        ]
    },
    "an attribute without a name": {"names": [(ObjectIdentifier("1.2.3.4"), "x", None)]},
}


@pytest.mark.parametrize("variant", _READ)
def test_what_is_usual_is_read_as_by_the_library(variant: str) -> None:
    der = made(**_READ[variant])
    assert usual(der) is not None
    assert usual(der) == _unusual(der)


@pytest.mark.parametrize("variant", _LEFT)
def test_the_rest_is_left_to_the_library(variant: str) -> None:
    der = made(**_LEFT[variant])
    assert usual(der) is None
    assert _unusual(der) is not None


_WHOLE = made()


@given(st.integers(0, len(_WHOLE) - 1), st.integers(0, 255))
@example(_WHOLE.index(b"\xa0\x03\x02\x01\x02") + 4, 1)  # a version that there is not
@example(_WHOLE.index(b"\x82\x06h.test"), 0x83)  # a kind of name that the library does not know
@example(_WHOLE.index(b"\x0c\x06h.test"), 3)  # a bit string in a name
def test_a_changed_byte_is_read_as_by_the_library_or_not_at_all(at: int, byte: int) -> None:
    der = _WHOLE[:at] + bytes([byte]) + _WHOLE[at + 1 :]
    found = usual(der)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about lengths of names
        known = _unusual(der)
    flaws(der, "h.test", 0)
    # The library reads every extension's content and the key; what names there are does not hang on those.
    assert found is None or known is None or found == known


@given(st.binary(max_size=64), st.integers(0, len(_WHOLE)))
def test_bytes_that_are_none_are_none(data: bytes, size: int) -> None:
    assert usual(data) is None
    assert usual(_WHOLE[:size] + data) is None or size + len(data) == len(_WHOLE)  # another signature
