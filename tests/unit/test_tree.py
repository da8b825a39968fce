"""The tree of certificates: as a file says it, each made when it is asked for, and faults told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from trustme import KeyType

from meshproof.certificates.authority import Lifetime
from meshproof.certificates.tree import Certificates, Definition, read
from meshproof.errors import ClusterError, FaultyManifests

TREE = """
shop:
  shop.example: {names: [shop.example, www.shop.example], key: ECDSA}
  buyer: {names: ['spiffe://shop/buyer'], lifetime: expired, common_name: Buyer}
stranger:
  buyer at the door: {names: ['spiffe://shop/buyer'], key: ECDSA}
nobody: {}
"""


def tree(directory: Path, text: str) -> Certificates:
    """Read a file with this text."""
    file = directory / "certificates.yaml"
    file.write_text(text)
    return read(file)


def test_a_certificate_is_as_the_file_says(tmp_path: Path) -> None:
    """Names, kind of key, lifetime, common name and authority are those of the file."""
    certificates = tree(tmp_path, TREE)
    server, buyer = certificates["shop.example"], certificates["buyer"]
    assert server.names == ("shop.example", "www.shop.example")
    assert (buyer.names, buyer.common_name) == (("spiffe://shop/buyer",), "Buyer")
    assert buyer.not_after < server.not_after
    parsed = {name: x509.load_pem_x509_certificate(certificates[name].chain_pem) for name in certificates.definitions}
    assert isinstance(parsed["shop.example"].public_key(), ec.EllipticCurvePublicKey)
    assert isinstance(parsed["buyer"].public_key(), rsa.RSAPublicKey)
    assert isinstance(parsed["buyer at the door"].public_key(), ec.EllipticCurvePublicKey)
    for name, definition in certificates.definitions.items():
        issuer = x509.load_pem_x509_certificate(certificates.authority(definition.authority).pem)
        parsed[name].verify_directly_issued_by(issuer)


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    """Who asks twice gets the same; its serial number tells its name, and that of another one nothing."""
    certificates = tree(tmp_path, TREE)
    assert certificates["buyer"] is certificates["buyer"]
    assert certificates.name_of(certificates["buyer"].serial) == "buyer"
    assert certificates.name_of(1) is None


def test_without_a_file_there_is_one_authority(tmp_path: Path) -> None:
    """A project that has no file still has an authority, for the certificates that its manifests define."""
    certificates = read(tmp_path / "certificates.yaml")
    assert (certificates.authorities, certificates.definitions) == (["meshproof"], {})
    name, definition = Definition.inline({"name": "shop.example", "lifetime": "not yet valid"})
    certificates.define(name, definition)
    certificates.define(name, definition)
    assert definition == Definition("meshproof", ("shop.example",), KeyType.RSA, Lifetime.NOT_YET_VALID)
    assert certificates["shop.example"].names == ("shop.example",)
    with pytest.raises(ClusterError, match=r"^The certificate shop\.example is defined twice, and not alike"):
        certificates.define(name, Definition("shop", ("shop.example",)))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A misspelt name is told with the nearest that is there."""
    certificates = tree(tmp_path, TREE)
    with pytest.raises(ClusterError, match=r"^There is no certificate buyr: the nearest is buyer\.$"):
        certificates["buyr"]
    with pytest.raises(ClusterError, match=r"^There is no authority shopp: the nearest is shop\.$"):
        certificates.authority("shopp")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[shop]", "should name authorities"),
        ("shop: [a]", "should name authorities"),
        ("shop: {a: b}", "the certificate a of shop should say names, key"),
        ("shop: {a: {keyy: RSA}}", "the certificate a of shop has 'keyy': the nearest is key"),
        ("shop: {a: {key: DSA}}", "the certificate a of shop has key 'DSA': choose from RSA, ECDSA"),
        ("shop: {a: {lifetime: old}}", "has lifetime 'old': choose from current, expired, not yet valid"),
        ("shop: {a: {names: []}}", "should have a list of texts as its names"),
        ("shop: {a: {names: [a, 'spiffe://a']}}", "has both hosts and URIs"),
        ("shop: {a: {common_name: 1}}", "should have a text as its common_name"),
        ("shop: {a: {}}\nother: {a: {}}", "the certificate a is there twice"),
        ("shop: {a: {}", "can't be read"),
    ],
)
def test_a_fault_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    """What can't be understood is told with the file, the authority and the certificate."""
    with pytest.raises(FaultyManifests, match=r"^[^\n]+$") as told:
        tree(tmp_path, text)
    assert sentence in str(told.value)
    assert str(tmp_path) in str(told.value)
