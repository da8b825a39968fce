"""Key exchanges of TLS 1.3 with a private key of our own, for probes that read what a server encrypts.

``keyshare`` makes public keys alone, for all other probes. A key is made when it is asked for, not before.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshproof.tls.protocol.codes import group_named

_EXPONENT = 400  # bits; enough for the longest prime (RFC 7919 5.2)
_GUARD = 64  # bits, so that what a division cuts off does not reach the result


class KeyExchange(NamedTuple):
    """Our half of a key exchange.

    Attributes:
        public: Our share, as a KeyShareEntry carries it (RFC 8446 4.2.8).
        length: The octets that the server's share has.
        agree: Makes the shared secret of a share of that length.
    """

    public: bytes
    length: int
    agree: Callable[[bytes], bytes]

    def shared(self, share: bytes) -> bytes:
        """Return the secret that is shared with a server.

        Args:
            share: The server's share.

        Raises:
            ValueError: It is no share of this group.
        """
        if len(share) != self.length:
            raise ValueError(f"the server's share has {len(share)} octets where {self.length} are due")
        return self.agree(share)


def _x25519() -> KeyExchange:
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return KeyExchange(public, 32, lambda share: private.exchange(X25519PublicKey.from_public_bytes(share)))


def _x448() -> KeyExchange:
    private = X448PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return KeyExchange(public, 56, lambda share: private.exchange(X448PublicKey.from_public_bytes(share)))


def _elliptic(curve: ec.EllipticCurve) -> KeyExchange:
    private = ec.generate_private_key(curve)
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def agree(share: bytes) -> bytes:
        return private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, share))

    return KeyExchange(public, len(public), agree)


@cache
def ffdhe_prime(bits: int) -> int:
    """Return the prime of an ffdhe group by its formula (RFC 7919 A); the generator is 2."""
    digits = bits - 130 + _GUARD  # of Euler's number, behind the point
    euler = term = 1 << digits
    divisor = 1
    while term:
        term //= divisor
        euler += term
        divisor += 1
    return (1 << bits) - (1 << (bits - 64)) + (((euler >> _GUARD) + _FFDHE[bits]) << 64) - 1


_FFDHE = {2048: 560316, 3072: 2625351, 4096: 5736041, 6144: 15705020, 8192: 10965728}  # RFC 7919 A.1 to A.5


def _finite_field(bits: int) -> KeyExchange:
    """Make a key whose octets, like those of the secret, are as many as the prime's (RFC 8446 4.2.8.1 and 7.4.1)."""
    prime, length, exponent = ffdhe_prime(bits), bits // 8, secrets.randbits(_EXPONENT)

    def agree(share: bytes) -> bytes:
        theirs = int.from_bytes(share, "big")
        if not 1 < theirs < prime - 1:
            raise ValueError("the server's share is out of bounds")  # RFC 7919 5.1
        return pow(theirs, exponent, prime).to_bytes(length, "big")

    return KeyExchange(pow(2, exponent, prime).to_bytes(length, "big"), length, agree)


def _ml_kem_768() -> KeyExchange:
    private = MLKEM768PrivateKey.generate()
    return KeyExchange(private.public_key().public_bytes_raw(), 1088, private.decapsulate)  # FIPS 203 8, table 3


def _ml_kem_1024() -> KeyExchange:
    private = MLKEM1024PrivateKey.generate()
    return KeyExchange(private.public_key().public_bytes_raw(), 1568, private.decapsulate)


def _hybrid(first: Callable[[], KeyExchange], second: Callable[[], KeyExchange]) -> KeyExchange:
    """Put two side by side: shares and secrets follow each other in one order (draft-ietf-tls-ecdhe-mlkem 3)."""
    one, other = first(), second()

    def agree(share: bytes) -> bytes:
        return one.shared(share[: one.length]) + other.shared(share[one.length :])

    return KeyExchange(one.public + other.public, one.length + other.length, agree)


_P256, _P384 = partial(_elliptic, ec.SECP256R1()), partial(_elliptic, ec.SECP384R1())
_MAKERS: Mapping[str, Callable[[], KeyExchange]] = {
    "x25519": _x25519,
    "x448": _x448,
    "secp256r1": _P256,
    "secp384r1": _P384,
    "secp521r1": partial(_elliptic, ec.SECP521R1()),
    "brainpoolP256r1tls13": partial(_elliptic, ec.BrainpoolP256R1()),
    "brainpoolP384r1tls13": partial(_elliptic, ec.BrainpoolP384R1()),
    "brainpoolP512r1tls13": partial(_elliptic, ec.BrainpoolP512R1()),
    **{f"ffdhe{bits}": partial(_finite_field, bits) for bits in _FFDHE},
    "MLKEM768": _ml_kem_768,
    "MLKEM1024": _ml_kem_1024,
    "X25519MLKEM768": partial(_hybrid, _ml_kem_768, _x25519),
    "SecP256r1MLKEM768": partial(_hybrid, _P256, _ml_kem_768),
    "SecP384r1MLKEM1024": partial(_hybrid, _P384, _ml_kem_1024),
}
_CODES = {group_named(name).code: maker for name, maker in _MAKERS.items()}

GROUPS = tuple(_CODES)
"""The codes of the groups that a private key can be made for, by a build of ``cryptography`` that has them all."""


def private_key(group: int) -> KeyExchange | None:
    """Make a new key; None for a group that we, or this build of ``cryptography``, can't make one for.

    Args:
        group: The code of the group.
    """
    maker = _CODES.get(group)
    try:
        return maker() if maker else None
    except UnsupportedAlgorithm:
        return None
