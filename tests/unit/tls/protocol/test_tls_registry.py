"""The table of codes and names: it says what OpenSSL says, and every name leads back to its code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from meshproof.machine.process import run
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.ciphersuite import CipherSuite
from tests.support.programs import PATIENCE

TABLE = json.loads(Path(codes.__file__).with_name("codes.json").read_text())
SUITES = [codes.suite(int(code, 16)) for code, *_ in TABLE["cipher_suites"]]
SIGNATURES = [int(code, 16) for code, _ in TABLE["signature_schemes"]]
EXTENSIONS = [code for code, _ in TABLE["extensions"]]

PARTS = [
    (0x0003, "RSA", "RSA", "RC4_40", "MD5"),
    (0x000A, "RSA", "RSA", "3DES_EDE_CBC", "SHA"),
    (0x0016, "DHE", "RSA", "3DES_EDE_CBC", "SHA"),
    (0x001B, "DH", "anonymous", "3DES_EDE_CBC", "SHA"),
    (0x0029, "KRB5", "KRB5", "DES_CBC_40", "MD5"),
    (0x0032, "DHE", "DSS", "AES_128_CBC", "SHA"),
    (0x0037, "DH", "RSA", "AES_256_CBC", "SHA"),
    (0x0063, "DHE", "DSS", "DES_CBC", "SHA"),
    (0x0081, "GOSTR341001", "GOSTR341001", "28147_CNT", "IMIT"),
    (0x009C, "RSA", "RSA", "AES_128_GCM", "AEAD"),
    (0x00B0, "PSK", "PSK", "NULL", "SHA256"),
    (0x00B3, "DHE_PSK", "PSK", "AES_256_CBC", "SHA384"),
    (0x00C6, None, None, "SM4_GCM", "AEAD"),
    (0x00FF, None, None, None, None),
    (0x1301, None, None, "AES_128_GCM", "AEAD"),
    (0x1305, None, None, "AES_128_CCM_8", "AEAD"),
    (0xC004, "ECDH", "ECDSA", "AES_128_CBC", "SHA"),
    (0xC019, "ECDH", "anonymous", "AES_256_CBC", "SHA"),
    (0xC01D, "SRP", "SRP", "AES_128_CBC", "SHA"),
    (0xC01E, "SRP", "RSA", "AES_128_CBC", "SHA"),
    (0xC02B, "ECDHE", "ECDSA", "AES_128_GCM", "AEAD"),
    (0xC0A2, "DHE", "RSA", "AES_128_CCM_8", "AEAD"),
    (0xC0AB, "DHE_PSK", "PSK", "AES_256_CCM_8", "AEAD"),
    (0xC0B4, None, None, "NULL", "SHA256"),
    (0xC103, None, None, "KUZNYECHIK_MGM_L", "AEAD"),
    (0xCC13, "ECDHE", "RSA", "CHACHA20_POLY1305", "AEAD"),
    (0xCCAE, "RSA_PSK", "RSA", "CHACHA20_POLY1305", "AEAD"),
    (0xFEFF, "RSA", "RSA", "3DES_EDE_CBC", "SHA"),
    (0x020080, "RSA", "RSA", "RC4_128_EXPORT40", "MD5"),
    (0x9999, None, None, None, None),
]

FORWARD_SECRECY = [
    ("secp256r1", "256 bit ECDH (P-256)"),
    ("secp384r1", "384 bit ECDH (P-384)"),
    ("secp521r1", "521 bit ECDH (P-521)"),
    ("secp256k1", "256 bit ECDH (secp256k1)"),
    ("sect283k1", "281 bit ECDH (K-283)"),
    ("sect571r1", "570 bit ECDH (B-571)"),
    ("brainpoolP256r1", "256 bit ECDH (brainpoolP256r1)"),
    ("x25519", "253 bit ECDH (X25519)"),
    ("x448", "448 bit ECDH (X448)"),
    ("ffdhe2048", "2048 bit DH (ffdhe2048)"),
    ("X25519MLKEM768", "X25519MLKEM768"),
]

ALIASES = [
    ("P-256", 0x0017),
    ("p-256", 0x0017),
    ("prime256v1", 0x0017),
    ("secp256r1", 0x0017),
    ("prime192v1", 0x0013),
    ("X25519", 0x001D),
    ("x25519mlkem768", 0x11EC),
]

UNKNOWN: list[tuple[Callable[[str], object], str, str]] = [
    (codes.suite_named, "ECDHE-RSA-AES128-GCM-SHA265", "ECDHE-RSA-AES128-GCM-SHA256"),
    (codes.suite_named, "tls_aes_128_gcm_sha256", "TLS_AES_128_GCM_SHA256"),
    (codes.group_named, "secp256r2", "secp256r1"),
    (codes.signature_code, "rsa_pss_sha256", "rsa_pss_pss_sha256"),
    (codes.extension_code, "server-name", "server_name"),
]


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_has_the_same_names() -> None:
    """OpenSSL prints code, name at IANA and its own name for each suite: they are those of the table."""
    printed = run(["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], timeout=PATIENCE)
    theirs = {}
    for line in printed.splitlines():
        octets, _, name, _, openssl, *_ = line.split()
        theirs[int(octets.replace(",0x", ""), 16)] = (name, openssl)
    assert len(theirs) > 50
    assert {code: (codes.suite(code).name, codes.suite(code).openssl) for code in theirs} == theirs
    assert {code: codes.suite_named(openssl).code for code, (_, openssl) in theirs.items()} == {n: n for n in theirs}


@pytest.mark.parametrize("part", ["cipher_suites", "ssl2_kinds", "groups", "signature_schemes", "extensions"])
def test_no_code_and_no_name_is_there_twice(part: str) -> None:
    """A second entry would hide the first."""
    for column in (0, 1):
        values = [row[column] for row in TABLE[part]]
        assert sorted(set(values)) == sorted(values)


def test_no_name_of_openssl_is_there_twice() -> None:
    """OpenSSL used a name again only for SSL 2."""
    names = [suite.openssl for suite in SUITES if suite.openssl]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(("code", "exchange", "authentication", "encryption", "mac"), PARTS)
def test_a_name_says_what_is_in_the_suite(
    code: int, exchange: str | None, authentication: str | None, encryption: str | None, mac: str | None
) -> None:
    """Each part is read from the name at IANA; a suite of TLS 1.3 has no key exchange, an unknown one has nothing."""
    suite = codes.suite(code)
    found = (suite.key_exchange, suite.authentication, suite.encryption, suite.mac)
    assert found == (exchange, authentication, encryption, mac)
    assert suite.aead == (mac == "AEAD")


def test_every_suite_has_all_parts() -> None:
    """No name is read by halves: what is no suite of TLS 1.3 and no signal has a key exchange and a cipher."""
    for suite in codes.tls12_suites() + codes.ssl2_kinds():
        assert suite.key_exchange, suite.name
        assert suite.authentication, suite.name
        assert suite.encryption, suite.name
        assert suite.mac, suite.name


def test_kinds_of_suites() -> None:
    """Export, TLS 1.3, forward secrecy and the signals are told apart."""
    named = codes.suite_named
    assert {suite.name for suite in SUITES if suite.signalling} == {
        "TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
        "TLS_FALLBACK_SCSV",
    }
    assert named("EXP-RC4-MD5").export
    assert named("EXP1024-RC4-SHA").export
    assert named("SSL_CK_RC4_128_EXPORT40_WITH_MD5").export
    assert not named("RC4-MD5").export
    assert named("TLS_AES_128_GCM_SHA256").tls13
    assert not named("TLS_FALLBACK_SCSV").tls13
    assert not codes.suite(0x13FF).tls13
    secret = ["TLS_AES_128_GCM_SHA256", "DHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-PSK-AES128-CBC-SHA"]
    open_later = ["AES128-SHA", "ADH-AES128-SHA", "ECDH-RSA-AES128-SHA", "RSA-PSK-AES128-CBC-SHA", "TLS_FALLBACK_SCSV"]
    assert all(named(name).forward_secret for name in secret)
    assert not any(named(name).forward_secret for name in open_later)


def test_a_suite_is_found_by_each_of_its_names() -> None:
    """The name at IANA, the name in OpenSSL and the label lead back to the suite."""
    for suite in SUITES:
        assert codes.suite_named(suite.name) is suite
        assert codes.suite_named(str(suite)) is suite
        assert str(suite) == suite.label == (suite.openssl or suite.name)


def test_ssl2_kinds_are_found_by_their_own_names() -> None:
    """A name that SSL 2 shares with TLS means the suite of TLS."""
    for kind in codes.ssl2_kinds():
        assert kind.code > 0xFFFF
        assert codes.suite_named(kind.name) is kind is codes.suite(kind.code)
    assert codes.suite_named("RC4-MD5").code == 0x0004
    assert codes.suite_named("IDEA-CBC-MD5").code == 0x050080


def test_older_names_of_openssl() -> None:
    """The names of OpenSSL 1.0 are understood where they have changed since."""
    assert codes.suite_named("EDH-RSA-DES-CBC3-SHA") is codes.suite_named("DHE-RSA-DES-CBC3-SHA")
    assert codes.suite_named("EDH-RSA-DES-CBC-SHA").name == "TLS_DHE_RSA_WITH_DES_CBC_SHA"


def test_every_suite_is_offered_once() -> None:
    """What is offered for TLS 1.2 and for TLS 1.3 is all that there is, but for the signals."""
    offered = [*codes.tls12_suites(), *codes.tls13_suites()]
    assert len(offered) == len(set(offered))
    assert set(offered) == {suite for suite in SUITES if not suite.signalling}


def test_the_strongest_suites_come_first() -> None:
    """A server that follows the client takes the best that it has."""
    names = [suite.label for suite in codes.tls12_suites()]
    order = [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "DHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-SHA",
        "ECDHE-RSA-DES-CBC3-SHA",
        "RC4-SHA",
        "DES-CBC-SHA",
        "NULL-SHA",
        "ADH-AES256-GCM-SHA384",
        "EXP-RC4-MD5",
    ]
    assert sorted(order, key=names.index) == order
    assert [suite.code for suite in codes.tls13_suites()[:3]] == [0x1302, 0x1303, 0x1301]


@pytest.mark.parametrize(("name", "shown"), FORWARD_SECRECY)
def test_forward_secrecy_is_shown(name: str, shown: str) -> None:
    """Size, kind and name, as OpenSSL counts and NIST calls them; a KEM has only its name."""
    assert codes.group_named(name).forward_secrecy == shown


def test_a_group_is_found_by_its_name() -> None:
    """The name and the code of each group lead to it."""
    for group in codes.groups():
        assert codes.group_named(group.name) is group is codes.group(group.code)
        assert str(group) == group.name


@pytest.mark.parametrize(("name", "code"), ALIASES)
def test_a_group_has_other_names(name: str, code: int) -> None:
    """NIST, X9.62 and OpenSSL call some groups otherwise, and case does not matter."""
    assert codes.group_named(name).code == code


def test_signature_schemes_and_extensions_are_found_by_their_names() -> None:
    """Name and code lead to each other."""
    assert [codes.signature_code(codes.signature_name(code)) for code in SIGNATURES] == SIGNATURES
    assert [codes.extension_code(codes.extension_name(code)) for code in EXTENSIONS] == EXTENSIONS
    assert codes.signature_name(0x0403) == "ecdsa_secp256r1_sha256"
    assert codes.signature_name(0x0202) == "dsa_sha1"
    assert codes.extension_name(0) == "server_name"
    assert codes.extension_code("delegated_credentials") == codes.extension_code("delegated_credential") == 34


def test_what_has_no_name_is_its_number() -> None:
    """A code that is in no table is written in hexadecimal, and is read back from that."""
    assert codes.suite(0x7777) == codes.suite_named("0x7777") == CipherSuite(0x7777, "0x7777", None)
    assert codes.suite(0xABCDEF) == codes.suite_named("0xABCDEF")
    assert codes.group(0x7777).forward_secrecy == codes.group_named("0x7777").name == "0x7777"
    assert codes.signature_code(codes.signature_name(0x7777)) == 0x7777
    assert codes.extension_code(codes.extension_name(0x7777)) == 0x7777


@pytest.mark.parametrize(("look_up", "name", "nearest"), UNKNOWN)
def test_an_unknown_name_is_answered_with_the_nearest(
    look_up: Callable[[str], object], name: str, nearest: str
) -> None:
    """A misspelt name is said, and what was probably meant."""
    with pytest.raises(ValueError, match=f"called '{name}': there is none. The nearest is '{nearest}'"):
        look_up(name)


def test_grease() -> None:
    """There are sixteen values, and no other (RFC 8701)."""
    found = [code for code in range(0x10000) if codes.is_grease(code)]
    assert found == [digit << 12 | 0xA00 | digit << 4 | 0xA for digit in range(16)]
    assert not codes.is_grease(0x10A0A)


def test_the_table_has_a_date() -> None:
    """The version is the table's; nothing else is made up."""
    assert TABLE["version"] == codes.VERSION
    with pytest.raises(AttributeError, match="no attribute 'REVISION'"):
        codes.REVISION  # type: ignore[attr-defined]  # noqa: B018 - asking is the test
