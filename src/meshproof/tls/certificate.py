"""A certificate as facts that a person, or a judge, asks for."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from meshproof.pki import names_of
from meshproof.tls.posture import Certificate
from meshproof.tls.registry import group_named


@lru_cache(maxsize=256)
def certificate_of(chain: tuple[bytes, ...]) -> Certificate:
    """Read a chain.

    Args:
        chain: The certificates in DER, leaf first; at least one.

    Raises:
        ValueError: One of them is no certificate.
    """
    return replace(_read(chain[0]), intermediates=tuple(map(_read, chain[1:])))


def _read(der: bytes) -> Certificate:
    leaf = x509.load_der_x509_certificate(der)
    return Certificate(
        subject=leaf.subject.rfc4514_string(),
        names=names_of(leaf),
        issuer=leaf.issuer.rfc4514_string(),
        serial=leaf.serial_number,
        key=_key(leaf),
        signature=leaf.signature_algorithm_oid._name,  # noqa: SLF001 - its only door to the name
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        fingerprint=leaf.fingerprint(SHA256()).hex(),
    )


def _key(leaf: x509.Certificate) -> str:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {_curve(key.curve.name)}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return "Ed448" if isinstance(key, ed448.Ed448PublicKey) else "unknown"


def _curve(name: str) -> str:
    try:
        return group_named(name).shown or name
    except ValueError:
        return name
