"""What a developer asks of a certificate first: whose, by whom, for which names, until when; and what is wrong with it.

What   facts(der) for views; flaws(...) are the reasons for which a client may have turned it down.
Why    It stands in the model, for a failure's kind hangs on it: a client that leaves right after a certificate that has
       expired, or is for another name, has rejected it, whether it said so by an alert or not.
May hold: the mapping of a DER certificate to facts. May not hold: verification, which is the program's: whom a program
trusts is not known here.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Any

from hark.wire import x509

Json = dict[str, Any]


@lru_cache(256)
def facts(der: bytes) -> Json:
    """subject, issuer, names, notBefore, notAfter, serial, key, fingerprint; what cannot be read is left out. The
    result is shared: not to be changed."""
    fingerprint = sha256(der).hexdigest()
    found = x509.usual(der) or _unusual(der)
    if found is None:  # a certificate need not be one: the peer may send anything
        return {"fingerprint": fingerprint, "unreadable": True}
    return {
        "subject": found.subject,
        "issuer": found.issuer,
        "names": found.names,
        "notBefore": found.begins,
        "notAfter": found.ends,
        "serial": f"{found.serial:x}",
        "fingerprint": fingerprint,
    }


def _unusual(der: bytes) -> x509.Certificate | None:
    """By the library, which knows all that a certificate may have."""
    from cryptography.x509 import InvalidVersion, load_der_x509_certificate

    try:
        found = load_der_x509_certificate(der)
        return x509.Certificate(
            found.subject.rfc4514_string(),
            found.issuer.rfc4514_string(),
            _names(found),
            f"{found.not_valid_before_utc.isoformat()[:19]}Z",
            f"{found.not_valid_after_utc.isoformat()[:19]}Z",
            found.serial_number,
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
    """What can be seen to be wrong with a server's certificate, as clauses. host: the name or the address that was
    meant, "" where that is not known; time: ns since the epoch."""
    told = facts(der)
    if "unreadable" in told:
        return ["unreadable"]
    found = []
    if told["subject"] == told["issuer"]:
        found.append("self-signed")
    begins, ends = _nanoseconds(told["notBefore"]), _nanoseconds(told["notAfter"])
    if time > ends:
        found.append(f"expired {told['notAfter'][:10]}")
    elif time < begins:
        found.append(f"not valid before {told['notBefore'][:10]}")
    if host and not any(_fits(name, host) for name in told["names"]):
        found.append(f"not for {host}")
    return found


def said(der: bytes, wrong: list[str]) -> str:
    """A certificate in a clause: "certificate CN=localhost (self-signed, expired 2020-01-21)"."""
    told = facts(der)
    if "unreadable" in told:
        return "a certificate that cannot be read"
    names = told["names"]
    about = list(wrong)
    if any(flaw.startswith("not for ") for flaw in wrong):
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        about.append(f"for {', '.join(names[:4])}{more}" if names else "without names")
    if "self-signed" not in wrong:
        about.append(f"issued by {told['issuer']}")
    return f"certificate {told['subject']} ({', '.join(about)})"


def _nanoseconds(time: str) -> int:
    """A time of facts() as ns since the epoch."""
    year, month, day, hour, minute, second = (int(time[at : at + 2]) for at in (2, 5, 8, 11, 14, 17))
    year += 100 * int(time[:2]) - (month <= 2)  # of years that begin with March, so that a leap day is the last one
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month - 3) % 12) + 2) // 5 + day - 719469
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000


def _fits(name: str, host: str) -> bool:
    """Whether a name in a certificate is for the host: RFC 9525 §6.3, a wildcard is for one whole label."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name.startswith("*."):
        first, dot, rest = host.partition(".")
        return bool(first and dot) and rest == name[2:]
    return name == host
