"""What a developer asks of a certificate first: whose, by whom, for which names, until when.

May hold: the mapping of a DER certificate to facts. May not hold: verification, which is the program's.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Any

Json = dict[str, Any]


@lru_cache(256)
def facts(der: bytes) -> Json:
    """subject, issuer, names, notBefore, notAfter, serial, key, fingerprint; what cannot be read is left out. The
    result is shared: not to be changed."""
    told: Json = {"fingerprint": sha256(der).hexdigest()}
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(der)
        told = {
            "subject": found.subject.rfc4514_string(),
            "issuer": found.issuer.rfc4514_string(),
            "names": _names(found),
            "notBefore": found.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "notAfter": found.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "serial": f"{found.serial_number:x}",
            **told,
        }
    except ValueError:  # a certificate need not be one: the peer may send anything
        told["unreadable"] = True
    return told


def _names(certificate: Any) -> list[str]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        return []
    return [str(name.value) for name in names]
