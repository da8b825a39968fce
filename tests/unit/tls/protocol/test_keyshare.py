"""Key shares: made without a cryptographic library, and valid to those of others."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
)

from meshproof.tls import Outcome, ProtocolVersion
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.exchange import ask
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol.codes import group_named
from meshproof.tls.protocol.hello import KEY_SHARE
from meshproof.tls.protocol.keyshare import public_key
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.scanner.questions import broad
from tests.support.certificates import HOST, SERVER
from tests.support.servers import serving, tls

ML_KEM_PRIME = 3329  # FIPS 203 8
FRESH = 8  # keys of one kind
POINTS = {"secp256r1": (SECP256R1(), 65), "secp384r1": (SECP384R1(), 97), "secp521r1": (SECP521R1(), 133)}
LENGTHS = {name: length for name, (_, length) in POINTS.items()}
LENGTHS |= {"x25519": 32, "x448": 56}  # RFC 7748 5
LENGTHS |= {"MLKEM512": 800, "MLKEM768": 1184, "MLKEM1024": 1568}  # FIPS 203 8, table 3
LENGTHS |= {
    "X25519MLKEM768": 1216,
    "SecP256r1MLKEM768": 1249,
    "SecP384r1MLKEM1024": 1665,
    "X25519Kyber768Draft00": 1216,
}
LENGTHS |= {"ffdhe2048": 256, "ffdhe3072": 384, "ffdhe4096": 512, "ffdhe6144": 768, "ffdhe8192": 1024}  # RFC 7919 A


def fresh(name: str) -> list[bytes]:
    """Make keys that are not yet known."""
    made = [public_key.__wrapped__(group_named(name).code) for _ in range(FRESH)]
    return [key for key in made if key is not None]


@pytest.mark.parametrize(("name", "length"), LENGTHS.items())
def test_a_key_has_its_length(name: str, length: int) -> None:
    """A share is as long as the standard says, it is drawn, and one is kept for the process."""
    keys = fresh(name)
    assert [len(key) for key in keys] == [length] * FRESH
    assert len(set(keys)) > FRESH // 2
    code = group_named(name).code
    assert public_key(code) is public_key(code)


@pytest.mark.parametrize("code", [GREASE, group_named("brainpoolP256r1").code, 0xFFFF], ids=hex)
def test_there_is_no_key_for_every_group(code: int) -> None:
    """A group that we can't make a key for is told by None."""
    assert public_key(code) is None


@pytest.mark.parametrize(
    ("name", "curve", "part"),
    [
        *((name, curve, slice(0, length)) for name, (curve, length) in POINTS.items()),
        ("SecP256r1MLKEM768", SECP256R1(), slice(0, 65)),
        ("SecP384r1MLKEM1024", SECP384R1(), slice(0, 97)),
    ],
)
def test_a_point_is_on_its_curve(name: str, curve: EllipticCurve, part: slice) -> None:
    """Another library takes the points, also those that come before an ML-KEM key."""
    for key in fresh(name):
        EllipticCurvePublicKey.from_encoded_point(curve, key[part])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("MLKEM512", slice(0, 768)),
        ("MLKEM768", slice(0, 1152)),
        ("MLKEM1024", slice(0, 1536)),
        ("X25519MLKEM768", slice(0, 1152)),
        ("SecP256r1MLKEM768", slice(65, 65 + 1152)),
        ("SecP384r1MLKEM1024", slice(97, 97 + 1536)),
        ("X25519Kyber768Draft00", slice(32, 32 + 1152)),
    ],
)
def test_an_ml_kem_key_is_reduced(name: str, part: slice) -> None:
    """All coefficients are below the prime, as a server may check (FIPS 203 7.2)."""
    for key in fresh(name)[:2]:
        packed = int.from_bytes(key[part], "little")
        coefficients = [packed >> at & 0xFFF for at in range(0, 8 * (part.stop - part.start), 12)]
        assert len(coefficients) % 256 == 0
        assert max(coefficients) < ML_KEM_PRIME
        assert max(coefficients) > ML_KEM_PRIME * 9 // 10  # and they are drawn from all of them


def asked(profile: Profile, curve: str | None = None) -> Answer:
    """Send a hello to a server of OpenSSL."""
    with serving(tls(SERVER, curve=curve)) as address:
        return asyncio.run(ask(Endpoint(socket.AF_INET, (address.host, address.port)), profile, sni=HOST))


def offering(*names: str, shares: tuple[str, ...]) -> Profile:
    """Return a client of TLS 1.3 with these groups and shares."""
    groups = [group_named(name).code for name in names]
    hello = broad(ProtocolVersion.TLS_1_3, key_shares=[group_named(name).code for name in shares])
    return replace(hello, groups=tuple(groups))


@pytest.mark.parametrize("name", ["secp256r1", "x25519", "secp384r1", "secp521r1", "x448", "ffdhe2048"])
def test_openssl_accepts_the_share(name: str) -> None:
    """A real server computes with the share, and answers with one of its own; it needs no other."""
    seen = asked(offering(name, shares=(name,)))
    assert (seen.outcome, str(seen.group), seen.retried) == (Outcome.NEGOTIATED, name, False)


def test_openssl_refuses_a_share_that_is_none() -> None:
    """The control of the test above: a point that is not on the curve is an illegal_parameter."""
    wrong = struct.pack("!HHH", 4 + 65, group_named("secp256r1").code, 65) + b"\4" + b"\1" * 64
    seen = asked(replace(offering("secp256r1", shares=()), bodies={KEY_SHARE: wrong}))
    assert (seen.outcome, seen.alert) == (Outcome.OTHER_ALERT, 47)


@pytest.mark.parametrize("name", ["secp384r1", "secp521r1"])
def test_openssl_gets_the_share_that_it_asks_for(name: str) -> None:
    """A server whose only group came without a share asks for it, and accepts the second hello."""
    seen = asked(offering("secp256r1", name, shares=("secp256r1",)), curve=name)
    assert (seen.outcome, str(seen.group), seen.retried) == (Outcome.NEGOTIATED, name, True)


def test_a_group_of_tls_1_2_is_seen() -> None:
    """Before TLS 1.3 the server sends its share first, and the group is read from that."""
    seen = asked(broad(ProtocolVersion.TLS_1_2), curve="secp384r1")
    assert (seen.outcome, str(seen.group), seen.forward_secrecy) == (
        *(Outcome.NEGOTIATED, "secp384r1"),
        "384 bit ECDH (P-384)",
    )
