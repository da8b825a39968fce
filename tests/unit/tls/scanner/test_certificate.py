"""A certificate is read as far as it can be: rotten DER costs a field, and never more than a ValueError."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from meshproof.tls.scanner.certificate import certificate_of
from meshproof.tls.scanner.findings import UNREADABLE, Certificate
from tests.support.certificates import HOST, OURS, SERVER

YEAR_0 = datetime.min.replace(tzinfo=UTC)
MUTANTS = 5000
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PublicKey = (
    ec.EllipticCurvePublicKey
    | dsa.DSAPublicKey
    | ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | x25519.X25519PublicKey
)


def issue(key: PublicKey, *, year: int = 2026, names: tuple[str, ...] = (HOST,)) -> bytes:
    """Return a certificate in DER."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "issuer")]))
        .public_key(key)
        .serial_number(0x5E41A1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC).replace(year=year) + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
        .sign(EC_KEY, SHA256())
        .public_bytes(Encoding.DER)
    )


EC_LEAF = issue(EC_KEY.public_key())
RSA_LEAF, CA = (x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) for pem in (SERVER.chain_pem, OURS.pem))

COMMON_NAME = b"\x0c\x04leaf"  # UTF8String
P_256 = bytes.fromhex("06082a8648ce3d030107")
EC_KEY_KIND = bytes.fromhex("06072a8648ce3d0201")
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")
SERIAL = bytes.fromhex("02035e41a1")
VERSION_3 = bytes.fromhex("a003020102")


def changed(der: bytes, old: bytes, new: bytes) -> bytes:
    """Return a certificate with other octets, as many as before."""
    assert old in der
    assert len(old) == len(new)
    return der.replace(old, new)


def test_what_is_in_a_certificate() -> None:
    """Its names, its numbers, its key, its signature and its lifetime."""
    assert certificate_of((EC_LEAF,)) == Certificate(
        subject="CN=leaf",
        names=(HOST,),
        issuer="O=issuer",
        serial=0x5E41A1,
        key="EC P-256",
        signature="ecdsa-with-SHA256",
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2026, 4, 1, tzinfo=UTC),
        fingerprint=hashlib.sha256(EC_LEAF).hexdigest(),
    )


def test_a_chain_is_in_its_order() -> None:
    """What was sent after the leaf is read as the leaf is."""
    chain = certificate_of((RSA_LEAF, CA, EC_LEAF))
    assert chain.intermediates == (certificate_of((CA,)), certificate_of((EC_LEAF,)))
    assert (chain.key, chain.intermediates[0].key) == ("RSA 2048", "RSA 2048")
    assert chain.chain == (certificate_of((CA,)).subject, "CN=leaf")


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (ec.generate_private_key(ec.SECP384R1()).public_key(), "EC P-384"),
        (ec.generate_private_key(ec.BrainpoolP256R1()).public_key(), "EC brainpoolP256r1"),
        (dsa.generate_private_key(2048).public_key(), "DSA 2048"),
        (ed25519.Ed25519PrivateKey.generate().public_key(), "Ed25519"),
        (ed448.Ed448PrivateKey.generate().public_key(), "Ed448"),
        (x25519.X25519PrivateKey.generate().public_key(), "unknown"),
    ],
    ids=str,
)
def test_a_key_is_told_by_kind_and_size(key: PublicKey, shown: str) -> None:
    """A kind of key that signs nothing is unknown."""
    assert certificate_of((issue(key),)).key == shown


@pytest.mark.parametrize(
    ("der", "field", "value"),
    [
        (changed(EC_LEAF, COMMON_NAME, b"\x0c\x04\xff\xfe\xff\xfe"), "subject", UNREADABLE),
        (changed(EC_LEAF, b"\x0c\x06issuer", b"\x09\x06issuer"), "issuer", UNREADABLE),  # a number is no text
        (changed(EC_LEAF, b"\x82\x0cexample.test", b"\x82\x0d" + HOST.encode()), "names", (UNREADABLE,)),
        (changed(EC_LEAF, P_256, P_256[:-1] + b"\x63"), "key", "EC unknown"),
        (changed(EC_LEAF, P_256 + b"\x03\x42\x00\x04", P_256 + b"\x03\x42\x00\x09"), "key", f"EC {UNREADABLE}"),
        (changed(EC_LEAF, EC_KEY_KIND, EC_KEY_KIND[:-1] + b"\x63"), "key", "unknown"),
        (changed(RSA_LEAF, b"\x30\x82\x01\x0a\x02", b"\x30\x82\x01\x0a\x04"), "key", f"RSA {UNREADABLE}"),
        (changed(EC_LEAF, ECDSA_SHA256, ECDSA_SHA256[:-1] + b"\x63"), "signature", "1.2.840.10045.4.3.99"),
        (changed(EC_LEAF, SERIAL, b"\x02\x03\x80\x00\x00"), "serial", -0x800000),
    ],
)
def test_what_cannot_be_read_costs_one_field(der: bytes, field: str, value: object) -> None:
    """Text that is none, a curve or a kind of key that nobody has, a negative number: all else is as it was."""
    whole = certificate_of((EC_LEAF if len(der) == len(EC_LEAF) else RSA_LEAF,))
    read = certificate_of((der,))
    assert getattr(read, field) == value
    others = {"subject", "names", "issuer", "serial", "key", "signature", "not_before", "not_after"} - {field}
    assert {name: getattr(read, name) for name in others} == {name: getattr(whole, name) for name in others}


def test_a_year_that_python_does_not_have() -> None:
    """A moment in the year 0 is one in the year 1: long ago."""
    late = issue(EC_KEY.public_key(), year=2050)  # from then on a year has four figures
    assert certificate_of((late,)).not_after == datetime(2050, 4, 1, tzinfo=UTC)
    assert certificate_of((changed(late, b"20500401", b"00000401"),)).not_after == YEAR_0


@pytest.mark.parametrize("blob", [b"", b"no certificate", EC_LEAF[:-1], EC_LEAF + b"\x00"])
def test_what_is_no_certificate(blob: bytes) -> None:
    """A leaf that is none is an error; an intermediate that is none has a fingerprint and nothing else."""
    with pytest.raises(ValueError, match="asn1"):
        certificate_of((blob,))
    (sent,) = certificate_of((EC_LEAF, blob)).intermediates
    assert (sent.subject, sent.issuer, sent.key, sent.signature) == (UNREADABLE,) * 4
    assert (sent.names, sent.serial, sent.fingerprint) == ((), 0, hashlib.sha256(blob).hexdigest())
    assert (sent.not_before, sent.not_after) == (YEAR_0, datetime.max.replace(tzinfo=UTC))


def test_a_version_that_there_is_not() -> None:
    """Versions go up to 3 (RFC 5280 section 4.1.2.1): what says otherwise is no certificate."""
    with pytest.raises(ValueError, match="99 is not a valid X509 version"):
        certificate_of((changed(EC_LEAF, VERSION_3, VERSION_3[:-1] + b"\x63"),))


def test_whatever_comes_is_a_certificate_or_a_value_error() -> None:
    """Octets that were turned, lost or repeated: no other exception, and no warning, leaves the reader."""
    dice = random.Random(8)  # noqa: S311 - it must be the same in each run
    outcomes = {"certificate": 0, "no certificate": 0, "unreadable": 0}
    for _ in range(MUTANTS):
        der = bytearray(dice.choice((EC_LEAF, RSA_LEAF, CA)))
        for _ in range(dice.choice((1, 1, 2, 3))):
            place = dice.randrange(len(der))
            der[place : place + dice.choice((0, 1, 1, 1))] = bytes([dice.randrange(256)])
        if dice.random() < 0.1:
            del der[dice.randrange(len(der)) :]
        try:
            read = certificate_of((bytes(der),))
        except ValueError:
            outcomes["no certificate"] += 1
            continue
        outcomes["certificate"] += 1
        outcomes["unreadable"] += UNREADABLE in f"{read.subject} {read.names} {read.issuer} {read.key}"
    assert min(outcomes.values()) > MUTANTS // 50, outcomes
