"""What is told of certificates."""

from hark.model.certificate import facts
from quicpair import certificate


def test_facts() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    made, _ = certificate()
    der = made.public_bytes(Encoding.DER)
    told = facts(der)
    assert (told["subject"], told["issuer"], told["names"], told["serial"]) == (
        "CN=h.test",
        "CN=h.test",
        ["h.test"],
        "7",
    )
    assert told["notBefore"] == "2026-01-01T00:00:00Z" and len(told["fingerprint"]) == 64


def test_what_is_no_certificate_is_told_so() -> None:
    assert facts(b"\x30\x03\x02\x01\x01")["unreadable"] is True
