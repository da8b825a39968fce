"""A certificate as facts that a person, or a judge, asks for.

Whatever a server shows is read field by field: what can't be read is ``UNREADABLE``, and the rest is told all the same.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID

from meshproof.certificates.leaf import names_of
from meshproof.tls.protocol.codes import group_named
from meshproof.tls.scanner.findings import UNKNOWN, UNREADABLE, Certificate

Value = TypeVar("Value")

_KINDS = {
    PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5: "RSA",
    PublicKeyAlgorithmOID.EC_PUBLIC_KEY: "EC",
    PublicKeyAlgorithmOID.DSA: "DSA",
}
_YEAR_0 = datetime.min.replace(tzinfo=UTC)  # the only moment that a certificate can have and Python can't: the year 0


@lru_cache(maxsize=256)
def certificate_of(chain: tuple[bytes, ...]) -> Certificate:
    """Read a chain.

    Of an intermediate that is no certificate everything but its fingerprint is ``UNREADABLE``.

    Args:
        chain: The certificates in DER, leaf first; at least one.

    Raises:
        ValueError: The leaf is no certificate (RFC 5280 section 4.1).
    """
    return replace(_read(chain[0]), intermediates=tuple(map(_read_intermediate, chain[1:])))


def _read_intermediate(der: bytes) -> Certificate:
    try:
        return _read(der)
    except ValueError:
        return Certificate(
            subject=UNREADABLE,
            names=(),
            issuer=UNREADABLE,
            serial=0,
            key=UNREADABLE,
            signature=UNREADABLE,
            not_before=_YEAR_0,
            not_after=datetime.max.replace(tzinfo=UTC),
            fingerprint=hashlib.sha256(der).hexdigest(),
        )


def _read(der: bytes) -> Certificate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial numbers that are not positive, and country names that are too long
        try:
            parsed = x509.load_der_x509_certificate(der)
        except x509.InvalidVersion as error:
            raise ValueError(str(error)) from error
        return Certificate(
            subject=_field(lambda: parsed.subject.rfc4514_string(), UNREADABLE),  # noqa: PLW0108 - parsed.subject may fail too
            names=_field(lambda: names_of(parsed), (UNREADABLE,)),
            issuer=_field(lambda: parsed.issuer.rfc4514_string(), UNREADABLE),  # noqa: PLW0108 - parsed.issuer may fail too
            serial=parsed.serial_number,
            key=_key(parsed),
            signature=_name(parsed.signature_algorithm_oid),
            not_before=_field(lambda: parsed.not_valid_before_utc, _YEAR_0),
            not_after=_field(lambda: parsed.not_valid_after_utc, _YEAR_0),
            fingerprint=hashlib.sha256(der).hexdigest(),
        )


def _field(read: Callable[[], Value], otherwise: Value) -> Value:
    """Read a field; cryptography has many kinds of errors for one that is rotten."""
    with suppress(Exception):
        return read()
    return otherwise


def _name(algorithm: x509.ObjectIdentifier) -> str:
    name = algorithm._name  # noqa: SLF001 - its only door to the name
    return algorithm.dotted_string if name == "Unknown OID" else name


def _key(parsed: x509.Certificate) -> str:
    """Return the kind of the key and its size or curve; ``UNKNOWN`` for a kind, or a curve, that nobody here knows."""
    try:
        key = parsed.public_key()
    except UnsupportedAlgorithm:
        detail = UNKNOWN
    except Exception:  # noqa: BLE001 - as in _field
        detail = UNREADABLE
    else:
        return _known_key(key)
    kind = _KINDS.get(parsed.public_key_algorithm_oid)
    return f"{kind} {detail}" if kind else UNKNOWN


def _known_key(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {_curve(key.curve.name)}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return "Ed448" if isinstance(key, ed448.Ed448PublicKey) else UNKNOWN


def _curve(name: str) -> str:
    try:
        return group_named(name).shown or name
    except ValueError:
        return name
