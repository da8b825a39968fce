"""Private keys for each group: two of them agree, and nonsense is refused."""

from __future__ import annotations

from functools import partial

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1

from meshproof.tls.protocol import codes
from meshproof.tls.protocol.codes import group_named
from meshproof.tls.protocol.keyexchange import _CODES, GROUPS, _elliptic, ffdhe_prime, private_key
from meshproof.tls.protocol.keyshare import public_key
from meshproof.tls.protocol.profile import GREASE
from tests.support.flights import CURVES, HYBRIDS, ML_KEMS, X25519, agree

NAMES = {
    *("x25519", "x448", "secp256r1", "secp384r1", "secp521r1"),
    *("brainpoolP256r1tls13", "brainpoolP384r1tls13", "brainpoolP512r1tls13"),
    *("ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"),
    *("MLKEM768", "MLKEM1024", "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"),
}
LENGTHS = {  # of the server's share: FIPS 203 8 table 3, draft-ietf-tls-ecdhe-mlkem 3
    "MLKEM768": 1088,
    "MLKEM1024": 1568,
    "X25519MLKEM768": 1120,
    "SecP256r1MLKEM768": 1153,
    "SecP384r1MLKEM1024": 1665,
}
SYMMETRIC = sorted(NAMES - LENGTHS.keys())
FFDHE = [2048, 3072, 4096, 6144, 8192]
SECRETS = {"secp521r1": 66, "secp384r1": 48, "x448": 56, "brainpoolP512r1tls13": 64, "brainpoolP384r1tls13": 48}


def code(name: str) -> int:
    """Return the code of a group."""
    return group_named(name).code


def test_the_groups() -> None:
    """All groups that servers of TLS 1.3 have keys for, but for those that our library lacks."""
    assert set(GROUPS) == set(map(code, NAMES))


@pytest.mark.parametrize("group", [GREASE, code("MLKEM512"), code("X25519Kyber768Draft00"), 0xFFFF], ids=hex)
def test_there_is_no_key_for_every_group(group: int) -> None:
    """A group that we can't make a key for is told by None."""
    assert private_key(group) is None


class Unsupported(SECP256R1):
    """A curve that no library has."""

    name = "P-255"


def test_a_group_that_the_library_lacks_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built with an old OpenSSL, ``cryptography`` has no ML-KEM: then there is no key, and no traceback."""
    lacking = partial(_elliptic, Unsupported())
    with pytest.raises(UnsupportedAlgorithm):
        lacking()
    monkeypatch.setitem(_CODES, 0xFFFF, lacking)
    assert private_key(0xFFFF) is None


@pytest.mark.parametrize("name", SYMMETRIC)
def test_two_keys_agree(name: str) -> None:
    """Each side computes the same secret, as long as the group's numbers are; another pair has another one."""
    one, other, third = (private_key(code(name)) for _ in range(3))
    assert one
    assert other
    assert third
    secret = one.shared(other.public)
    assert secret == other.shared(one.public)
    assert secret != third.shared(one.public)
    expected = int(name[5:]) // 8 if name.startswith("ffdhe") else SECRETS.get(name, 32)
    assert len(secret) == expected
    assert len(one.public) == one.length


@pytest.mark.parametrize("group", [X25519, *CURVES, *ML_KEMS, *HYBRIDS], ids=lambda code: str(codes.group(code)))
def test_a_server_agrees(group: int) -> None:
    """What a server makes of our share, written independently, is the secret that we make of its."""
    key = private_key(group)
    assert key
    share, secret = agree(group, key.public)
    assert key.shared(share) == secret
    assert len(share) == key.length == LENGTHS.get(str(codes.group(group)), len(share))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_key_is_as_long_as_one_without_a_private_part(name: str) -> None:
    """The shares of both kinds have one length, where there are both."""
    key, bare = private_key(code(name)), public_key(code(name))
    assert key
    assert bare is None or len(bare) == len(key.public)


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("change", [-1, 1, None], ids=["short", "long", "empty"])
def test_a_share_of_another_length_is_refused(name: str, change: int | None) -> None:
    """A share is as long as the standard says, or it is none."""
    key = private_key(code(name))
    assert key
    share = bytes(key.length + change) if change else b""
    with pytest.raises(ValueError, match=f"{len(share)} octets where {key.length} are due"):
        key.shared(share)


@pytest.mark.parametrize("name", [name for name in SYMMETRIC if not name.startswith("ffdhe")] + list(HYBRIDS))
def test_a_share_that_is_no_key_is_refused(name: str | int) -> None:
    """Zeros are on no curve, and give no secret on the curves of RFC 7748."""
    key = private_key(code(name) if isinstance(name, str) else name)
    assert key
    with pytest.raises(ValueError, match=r".") as caught:
        key.shared(bytes(key.length))
    assert "octets where" not in str(caught.value)


@pytest.mark.parametrize("name", ["secp256r1", "SecP256r1MLKEM768"])
def test_a_compressed_point_is_refused(name: str) -> None:
    """TLS 1.3 knows uncompressed points only (RFC 8446 4.2.8.2)."""
    key = private_key(code(name))
    assert key
    point = key.public[:65]
    compressed = bytes([2 + (point[-1] & 1)]) + point[1:33]
    with pytest.raises(ValueError, match="octets where"):
        key.shared(compressed + bytes(key.length - 65))


@pytest.mark.parametrize("bits", FFDHE)
def test_a_share_out_of_bounds_is_refused(bits: int) -> None:
    """A power of two is between 1 and the prime less 1, both excluded (RFC 7919 5.1)."""
    key, prime = private_key(code(f"ffdhe{bits}")), ffdhe_prime(bits)
    assert key
    for wrong in (0, 1, prime - 1, prime, prime + 1):
        with pytest.raises(ValueError, match="out of bounds"):
            key.shared(wrong.to_bytes(bits // 8, "big"))
    for right in (2, prime - 2):
        assert len(key.shared(right.to_bytes(bits // 8, "big"))) == bits // 8


@pytest.mark.parametrize("bits", FFDHE)
def test_a_prime_is_safe(bits: int) -> None:
    """The prime and half of it are strong probable primes: so the formula is right to its last digit (RFC 7919 A)."""
    prime = ffdhe_prime(bits)
    assert prime.bit_length() == bits
    assert prime >> (bits - 64) == prime & (2**64 - 1) == 2**64 - 1
    assert pow(2, (prime - 1) // 2, prime) == 1  # 2 has the order of half the prime
    half = (prime - 1) // 2
    odd = half - 1
    while odd % 2 == 0:
        odd //= 2
    power = pow(3, odd, half)
    while power not in (1, half - 1) and odd < half:
        power, odd = power * power % half, odd * 2
    assert power in (1, half - 1)


def test_a_key_is_new() -> None:
    """No two connections share a private key."""
    for group in GROUPS:
        keys = [private_key(group) for _ in range(3)]
        assert len({key.public for key in keys if key}) == 3
