"""The facts of a certificate that developers ask for first: subject, issuer, names, validity; and its flaws.

What   facts(der) is for views; flaws(...) are reasons why a client may have rejected it.
Why    A failure's kind depends on them: a client that closes right after a certificate that has expired, or is for
       another name, has rejected it, with or without an alert.
May hold: the mapping of a DER certificate to facts. May not hold: verification. Which issuers a program trusts is not
known here.
"""

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hark.wire import x509

if TYPE_CHECKING:
    from hark.model.entry import EntryCertificate


@lru_cache(256)
def facts(der: bytes) -> "EntryCertificate":
    """The facts; fingerprint and `unreadable` if it cannot be parsed. The result is shared: do not change it."""
    fingerprint = sha256(der).hexdigest()
    certificate = x509.usual(der) or _unusual(der)
    if certificate is None:  # the peer may send any bytes
        return {"fingerprint": fingerprint, "unreadable": True}
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": certificate.names,
        "notBefore": certificate.begins,
        "notAfter": certificate.ends,
        "serial": f"{certificate.serial:x}",
        "fingerprint": fingerprint,
    }


def _unusual(der: bytes) -> x509.Certificate | None:
    """Parsed by the library, which knows every feature of X.509."""
    from cryptography.x509 import InvalidVersion, load_der_x509_certificate

    try:
        certificate = load_der_x509_certificate(der)
        return x509.Certificate(
            certificate.subject.rfc4514_string(),
            certificate.issuer.rfc4514_string(),
            _names(certificate),
            f"{certificate.not_valid_before_utc.isoformat()[:19]}Z",
            f"{certificate.not_valid_after_utc.isoformat()[:19]}Z",
            certificate.serial_number,
        )
    except (ValueError, TypeError, InvalidVersion):  # TypeError: a bit string where a name has text
        return None


def _names(certificate: Any) -> list[str]:
    from cryptography import x509 as library

    try:
        names = certificate.extensions.get_extension_for_class(library.SubjectAlternativeName).value
    except (library.ExtensionNotFound, library.DuplicateExtension, library.UnsupportedGeneralNameType):
        return []
    return [str(name.value) for name in names]


def flaws(der: bytes, host: str, time: int) -> list[str]:
    """What is visibly wrong with a server's certificate, as clauses. host: the name or address that the client wanted,
    "" if it is not known; time: ns since the epoch."""
    known = facts(der)
    if "unreadable" in known:
        return ["unreadable"]
    clauses = []
    if known["subject"] == known["issuer"]:
        clauses.append("self-signed")
    begins, ends = _nanoseconds(known["notBefore"]), _nanoseconds(known["notAfter"])
    if time > ends:
        clauses.append(f"expired {known['notAfter'][:10]}")
    elif time < begins:
        clauses.append(f"not valid before {known['notBefore'][:10]}")
    if host and not any(_fits(name, host) for name in known["names"]):
        clauses.append(f"not for {host}")
    return clauses


def described(der: bytes, wrong: list[str]) -> str:
    """A certificate in a clause: "certificate CN=localhost (self-signed, expired 2020-01-21)"."""
    known = facts(der)
    if "unreadable" in known:
        return "a certificate that cannot be read"
    names = known["names"]
    about = list(wrong)
    if any(flaw.startswith("not for ") for flaw in wrong):
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        about.append(f"for {', '.join(names[:4])}{more}" if names else "without names")
    if "self-signed" not in wrong:
        about.append(f"issued by {known['issuer']}")
    return f"certificate {known['subject']} ({', '.join(about)})"


def _nanoseconds(time: str) -> int:
    """A time of facts() as ns since the epoch."""
    year, month, day, hour, minute, second = (int(time[at : at + 2]) for at in (2, 5, 8, 11, 14, 17))
    year += 100 * int(time[:2]) - (month <= 2)  # years begin in March here, so that a leap day is the last day
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month - 3) % 12) + 2) // 5 + day - 719469
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000


def _fits(name: str, host: str) -> bool:
    """Whether a name in a certificate matches the host: a wildcard stands for one whole label (RFC 9525 §6.3)."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name.startswith("*."):
        first, dot, rest = host.partition(".")
        return bool(first and dot) and rest == name[2:]
    return name == host
