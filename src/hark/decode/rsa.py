"""RSA key exchange, decrypted with a server's private key (RFC 5246 §7.4.7.1), by the `cryptography` library.

May hold: the decryption of a premaster secret. May not hold: handshakes.
"""


def premaster(keys: list[bytes], certificate: bytes, encrypted: bytes) -> bytes:
    """The premaster secret. keys: PEM; the one that belongs to the certificate (DER) is used, because any other would
    give a wrong secret and no error. b"" if none belongs to it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError:
        return b""
    for text in keys:
        try:
            key = load_pem_private_key(text, None)
        except (ValueError, TypeError):
            continue
        if not isinstance(key, rsa.RSAPrivateKey) or not isinstance(public, rsa.RSAPublicKey):
            continue
        if key.public_key().public_numbers() == public.public_numbers():
            try:
                return key.decrypt(encrypted, padding.PKCS1v15())
            except ValueError:
                return b""
    return b""
