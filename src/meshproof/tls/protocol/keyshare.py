"""Public keys that a server accepts, made without a cryptographic library.

A probe only reads the server's first flight, so nobody ever needs the private key. The key must still be valid: a
server may check that a point is on its curve (RFC 8446 4.2.8.2) and that the coefficients of an ML-KEM key are
reduced (FIPS 203 7.2). One key a group is made in a process; it protects nothing.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

from meshproof.tls.protocol.codes import group_named


class _Curve(NamedTuple):
    """A short Weierstrass curve with a = -3 over a prime p = 3 mod 4 (FIPS 186-4 D.1.2)."""

    p: int
    b: int

    def point(self) -> bytes:
        """Return a random point, uncompressed (SEC 1 2.3.3)."""
        octets = (self.p.bit_length() + 7) // 8
        while True:
            x = secrets.randbelow(self.p)
            square = (x**3 - 3 * x + self.b) % self.p
            y = pow(square, (self.p + 1) // 4, self.p)
            if y * y % self.p == square:
                return b"\4" + x.to_bytes(octets, "big") + y.to_bytes(octets, "big")


_P256 = _Curve(
    2**256 - 2**224 + 2**192 + 2**96 - 1,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
)
_P384 = _Curve(
    2**384 - 2**128 - 2**96 + 2**32 - 1,
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
)
_P521 = _Curve(
    2**521 - 1,
    int(
        "051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C"
        "34F1EF451FD46B503F00",
        16,
    ),
)
_ML_KEM_PRIME = 3329
_ML_KEM_COEFFICIENTS = 256  # of 12 bits, in each polynomial
_FFDHE_BITS = {f"ffdhe{bits}": bits for bits in (2048, 3072, 4096, 6144, 8192)}


def _ml_kem(polynomials: int) -> bytes:
    """Return an encapsulation key: packed coefficients below the prime, then a seed (FIPS 203 5.1)."""
    pairs = polynomials * _ML_KEM_COEFFICIENTS // 2
    drawn = struct.unpack(f"<{2 * pairs}H", os.urandom(4 * pairs))
    packed = b"".join(
        (one % _ML_KEM_PRIME | other % _ML_KEM_PRIME << 12).to_bytes(3, "little")
        for one, other in zip(drawn[::2], drawn[1::2], strict=True)
    )
    return packed + os.urandom(32)


def _x25519() -> bytes:
    return os.urandom(32)  # every string is a public key (RFC 7748 5)


def _ffdhe(bits: int) -> bytes:
    """Return a power of the generator 2 below the prime, whose first 64 bits are ones (RFC 7919 A)."""
    return (1 << (1 + secrets.randbelow(bits - 64))).to_bytes(bits // 8, "big")


_MAKERS: Mapping[str, Callable[[], bytes]] = {
    "x25519": _x25519,
    "x448": lambda: os.urandom(56),
    "secp256r1": _P256.point,
    "secp384r1": _P384.point,
    "secp521r1": _P521.point,
    "X25519MLKEM768": lambda: _ml_kem(3) + _x25519(),
    "SecP256r1MLKEM768": lambda: _P256.point() + _ml_kem(3),
    "SecP384r1MLKEM1024": lambda: _P384.point() + _ml_kem(4),
    "X25519Kyber768Draft00": lambda: _x25519() + _ml_kem(3),
    "MLKEM512": lambda: _ml_kem(2),
    "MLKEM768": lambda: _ml_kem(3),
    "MLKEM1024": lambda: _ml_kem(4),
    **{name: partial(_ffdhe, bits) for name, bits in _FFDHE_BITS.items()},
}
_CODES = {group_named(name).code: maker for name, maker in _MAKERS.items()}


def can_be_made(group: int) -> bool:
    """Return whether ``public_key`` makes one for the group with this code."""
    return group in _CODES


@cache
def public_key(group: int) -> bytes | None:
    """Return a valid public key as a KeyShareEntry carries it; None for a group that we can't make one for.

    Args:
        group: The code of the group.
    """
    maker = _CODES.get(group)
    return maker() if maker else None
