"""The tree of certificates: as a file says it, each made when it is asked for, and faults told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from trustme import KeyType

from meshproof.certificates.authority import Lifetime
from meshproof.certificates.tree import Certificates, Definition, read
from meshproof.errors import ClusterError, FaultyManifests, NotThere, Unreadable
from meshproof.input_files import Node

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
    name, definition = Definition.inline(Node(tmp_path, "", {"name": "shop.example", "lifetime": "not yet valid"}))
    certificates.define(name, definition)
    certificates.define(name, definition)
    assert definition == Definition("meshproof", ("shop.example",), KeyType.RSA, Lifetime.NOT_YET_VALID)
    assert certificates["shop.example"].names == ("shop.example",)
    with pytest.raises(ClusterError, match=r"^The certificate shop\.example is defined twice, and not alike"):
        certificates.define(name, Definition("meshproof", ("www.shop.example",)))


def test_a_definition_adds_no_authority(tmp_path: Path) -> None:
    """Who signs is in the file, or a misspelt authority would be one that nobody trusts."""
    with pytest.raises(NotThere, match=r"^There is no authority shopp: the nearest is 'shop'\.$"):
        tree(tmp_path, TREE).define("a", Definition("shopp", ("a",)))


def test_a_scope_keeps_its_definitions(tmp_path: Path) -> None:
    """What is defined in a scope is there only; what is outside is the same in it."""
    certificates = tree(tmp_path, TREE)
    scope = certificates.scope()
    scope.define("a", Definition("shop", ("a",)))
    assert {"a"} == scope.definitions.keys() - certificates.definitions.keys()
    assert scope.authorities == certificates.authorities


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A misspelt name is told with the nearest that is there."""
    certificates = tree(tmp_path, TREE)
    with pytest.raises(NotThere, match=r"^There is no certificate buyr: the nearest is 'buyer'\.$"):
        certificates["buyr"]
    with pytest.raises(NotThere, match=r"^There is no authority shopp: the nearest is 'shop'\.$"):
        certificates.authority("shopp")


NAMES = (
    *("shop", "*.shop.example", "Shop.Example", "straße.example", "xn--tda.example", f"{'a' * 60}.shop.example"),
    *(".".join(["a" * 63] * 3 + ["b" * 61]), "192.0.2.1", "2001:db8::1", "spiffe://shop/buyer", "a+b://c?d=%20#e"),
    *("", " ", ".", "*", "*.", "**.a", "a.*", "a..b", "a.", "-a", "a_b", "foo bar", "xn--x", "a" * 64, "a@b.example"),
    *(".".join(["a" * 63] * 4), "10.0.0.0/8", "2001:db8::/32", "fe80::1%eth0", "1.2.3.4:80", "\ud800", "a\0", "a\nb"),
    *("://a", "1://a", "spiffe://", "spiffe://ü/x", "spiffe://a b", "spiffe://\ud800"),
)
CAN_BE = 11  # the first ones


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_is_read_can_be_issued(name: str, tmp_path: Path) -> None:
    """A name that no certificate can have is refused when it is read, not when the certificate is made."""
    facts = Node(tmp_path, "a", {"names": [name], "key": "ECDSA"})
    if name not in NAMES[:CAN_BE]:
        with pytest.raises(Unreadable, match="should be a host, such as shop"):
            Definition.read("a", facts, "shop")
        return
    certificates = Certificates({"shop": {"a": Definition.read("a", facts, "shop")}})
    assert len(certificates["a"].names) == 1


@pytest.mark.parametrize("name", ["a" * 64, "ü" * 32, "shop buyer", "a" * 65, "ü" * 33, "", "\ud800", "\0"], ids=ascii)
def test_what_is_read_as_a_common_name_can_be_issued(name: str, tmp_path: Path) -> None:
    """The same for the CN, which is short."""
    facts = Node(tmp_path, "a", {"common_name": name, "key": "ECDSA"})
    if not 0 < len(name.encode(errors="replace")) <= 64 or not name.isprintable():
        with pytest.raises(Unreadable, match="common_name should be of 1 to 64 letters"):
            Definition.read("a", facts, "shop")
        return
    assert Certificates({"shop": {"a": Definition.read("a", facts, "shop")}})["a"].common_name == name


def test_a_long_host_is_no_common_name(tmp_path: Path) -> None:
    """A host may be longer than a CN: then its certificate has none."""
    host = f"{'a' * 60}.shop.example"
    leaf = tree(tmp_path, f"shop: {{{host}: {{key: ECDSA}}}}")[host]
    assert (leaf.names, leaf.common_name) == ((host,), None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[shop]", "the document should be a mapping"),
        ("shop: [a]", "line 1: shop should be a mapping, and is a list"),
        ("shop: {a: b}", "shop.a should be a mapping"),
        ("shop: {a: {keyy: RSA}}", "line 1: shop.a has 'keyy', which is not known; the nearest is 'key'"),
        ("shop: {a: {key: DSA}}", "shop.a.key has 'DSA', which is not known; the nearest is 'ECDSA'"),
        ("shop: {a: {lifetime: old}}", "choose from current, expired, not yet valid"),
        ("shop: {a: {names: []}}", "shop.a.names is empty"),
        ("shop: {a: {names: [a, 'spiffe://a']}}", "shop.a.names has hosts and URIs"),
        ("shop: {a: {common_name: 1}}", "shop.a.common_name should be text"),
        ("shop: {a: {common_name: ''}}", "shop.a.common_name should be of 1 to 64 letters"),
        ("shop: {late buyer: {}}", "line 1: shop.late buyer has no `names`, and its own, 'late buyer', is none that"),
        ("shop: {a: {names: [foo bar]}}", "line 1: shop.a.names should be a host, such as shop.example or"),
        ("shop: {a/b: {}}", "line 1: shop.a/b is called 'a/b', and `meshproof apply` writes it to a file"),
        ("x/y: {}", "line 1: x/y is called 'x/y'"),
        ("'': {}", "is called ''"),
        ("shop: {a: {}}\nother:\n  a: {}", "line 3: other.a is there twice"),
        ("shop: {a: {}}\n---\nother: {}", "line 3: the document is a second one, and all certificates are in one"),
        ("shop: {a: {}", "line 2"),
    ],
)
def test_a_fault_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    """What can't be understood is told with the file, the authority and the certificate."""
    with pytest.raises(FaultyManifests, match=r"^[^\n]+$") as told:
        tree(tmp_path, text)
    assert sentence in str(told.value)
    assert str(tmp_path) in str(told.value)
