"""The hellos of a scan: what is in them, how they are cut to size, and what of them is put in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshproof.tls.protocol import codes
from meshproof.tls.protocol.codes import extension_code, group_named, signature_code, suite_named
from meshproof.tls.protocol.hello import (
    ALPN,
    KEY_SHARE,
    POINT_FORMATS,
    PSK_MODES,
    SERVER_NAME,
    SIGNATURE_ALGORITHMS,
    SUPPORTED_GROUPS,
    SUPPORTED_VERSIONS,
    Hello,
)
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.questions import broad
from tests.support.certificates import HOST

SSL_2, SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = ProtocolVersion
SCSV, FALLBACK = 0x00FF, 0x5600
EXTENDED_MASTER_SECRET = 23
OLD = (SSL_3, TLS_1_0, TLS_1_1, TLS_1_2)
LONG_NAME = ".".join(["a" * 60] * 4)


def group_code(name: str) -> int:
    """Return the code of a group."""
    return group_named(name).code


def test_usual_groups_come_first() -> None:
    """They are in every hello that is cut short; each group is there once."""
    for version in (TLS_1_2, TLS_1_3):
        usual = questions.groups(version)
        names = ["x25519", "secp256r1", "secp384r1", "secp521r1", "x448"]
        assert usual[:5] == tuple(map(group_code, names))
        assert len(usual) == len(set(usual))
    assert set(questions.groups(TLS_1_3)) == {group.code for group in codes.groups()}


def test_key_encapsulation_is_for_tls_1_3() -> None:
    """Older versions can't use X25519MLKEM768 and its like, and can use all else."""
    kems = {group.code for group in codes.groups() if group.kind == "KEM"}
    assert group_code("X25519MLKEM768") in kems
    for version in OLD:
        assert set(questions.groups(version)) == {group.code for group in codes.groups()} - kems


def test_all_suites_are_asked_for() -> None:
    """Of TLS 1.3 those of TLS 1.3; of each older version all others, by the kind of certificate or not."""
    assert questions.suites(TLS_1_3) == codes.tls13_suites()
    everything = set(codes.tls12_suites())
    ecdsa = {suite for suite in everything if suite.authentication == "ECDSA"}
    for version in OLD:
        assert set(questions.suites(version)) == everything
        assert set(questions.suites(version, "ECDSA")) == ecdsa
        assert set(questions.suites(version, "RSA")) == everything - ecdsa


@pytest.mark.parametrize(
    "name",
    [
        *("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "DHE-RSA-AES128-SHA", "AES128-SHA"),
        *("DES-CBC3-SHA", "RC4-MD5", "CAMELLIA128-SHA", "SEED-SHA"),
    ],
)
def test_usual_suites_come_first(name: str) -> None:
    """What servers usually have is in the first portion."""
    codes = [suite.code for suite in questions.suites(TLS_1_2)[: questions.MOST_SUITES]]
    assert suite_named(name).code in codes


@pytest.mark.parametrize(
    "name",
    [
        *("EXP-RC4-MD5", "NULL-SHA", "ADH-AES128-SHA", "DHE-DSS-AES128-SHA", "PSK-AES128-CBC-SHA"),
        *("TLS_DH_RSA_WITH_AES_128_CBC_SHA256", "EXP-EDH-RSA-DES-CBC-SHA", "AECDH-NULL-SHA", "IDEA-CBC-SHA"),
    ],
)
def test_unusual_suites_come_last(name: str) -> None:
    """What hardly a server has comes after all that is usual."""
    order = [suite.name for suite in questions.suites(TLS_1_2)]
    assert order.index(suite_named(name).name) > order.index(suite_named("DES-CBC3-SHA").name)
    assert order.index(suite_named(name).name) > order.index(suite_named("SEED-SHA").name)


def test_the_order_of_equals_is_kept() -> None:
    """Among the usual, and among the others, the stronger comes first, as in the registry."""
    by_registry = {suite: place for place, suite in enumerate(codes.tls12_suites())}
    places = [by_registry[suite] for suite in questions.suites(TLS_1_2)]
    falls = [at for at in range(1, len(places)) if places[at] < places[at - 1]]
    assert len(falls) == 1


@pytest.mark.parametrize("version", [*OLD, TLS_1_3])
@pytest.mark.parametrize("sni", [None, HOST, LONG_NAME])
def test_portions_are_whole_and_short(version: ProtocolVersion, sni: str | None) -> None:
    """Together they are all that was wanted, in order; no hello has more than 128 suites or, if it can, 512 octets."""
    hello, wanted = broad(version), questions.suites(version)
    parts = list(questions.portions(hello, wanted, sni))
    assert sum(parts, ()) == wanted
    for part in parts:
        asked = questions.with_suites(hello, [suite.code for suite in part])
        assert len(asked.suites) <= 128
        assert len(Hello(asked, sni).first()) <= 512 or len(part) <= 30


def test_a_portion_fills_its_hello() -> None:
    """It is as large as 512 octets allow, and never smaller than 30 suites."""
    hello, wanted = broad(SSL_3), questions.suites(SSL_3)
    first, *_ = questions.portions(hello, wanted, None)
    assert len(first) == 123  # with the signal for secure renegotiation, which takes the place of the last
    few = replace(hello, suites=hello.suites[:50])
    assert [len(part) for part in questions.portions(few, wanted[:120], None)] == [50, 50, 20]
    crowded = replace(broad(TLS_1_2), bodies={65000: bytes(400)}, extensions=(*broad(TLS_1_2).extensions, 65000))
    assert [len(part) for part in questions.portions(crowded, wanted[:70], HOST)] == [30, 30, 10]


def test_a_portion_takes_the_name_into_account() -> None:
    """A long server name leaves room for fewer suites, two octets each."""
    hello, wanted = broad(TLS_1_0), questions.suites(TLS_1_0)
    long, longer = (len(next(iter(questions.portions(hello, wanted, "a" * length)))) for length in (200, 220))
    assert (questions.FEW_SUITES, long - longer) == (30, 10)
    assert 30 < longer < long < questions.MOST_SUITES


def test_a_broad_hello_of_sslv2() -> None:
    """It is in its own format, and offers all kinds of ciphers."""
    hello = broad(SSL_2)
    assert (hello.ssl2_format, hello.versions, hello.name) == (True, (SSL_2.code,), "")
    assert hello.suites == tuple(kind.code for kind in codes.ssl2_kinds())


@pytest.mark.parametrize("version", OLD)
def test_a_broad_hello_of_an_old_version(version: ProtocolVersion) -> None:
    """One version, the usual suites with the signal of RFC 5746, all groups and signatures, no key share."""
    hello = broad(version)
    assert hello.accepted_versions == (version,)
    assert hello.record_version is (SSL_3 if version is SSL_3 else TLS_1_0)
    assert hello.suites == (*(suite.code for suite in questions.suites(version)[:122]), SCSV)
    assert (hello.session_id, hello.key_shares, hello.alpn) == (0, (), ())
    assert hello.groups == questions.groups(version)
    common = (SERVER_NAME, SUPPORTED_GROUPS)
    rest = (POINT_FORMATS, EXTENDED_MASTER_SECRET)
    assert (
        hello.extensions
        == {
            SSL_3: (),
            TLS_1_0: common + rest,
            TLS_1_1: common + rest,
            TLS_1_2: (*common, SIGNATURE_ALGORITHMS, *rest),
        }[version]
    )


def test_a_broad_hello_of_tls_1_3() -> None:
    """One version, its suites without a signal, key shares for the two most usual groups, a session id."""
    hello = broad(TLS_1_3)
    assert (hello.accepted_versions, hello.record_version, hello.session_id) == ((TLS_1_3,), TLS_1_0, 32)
    assert hello.suites == tuple(suite.code for suite in codes.tls13_suites())
    assert hello.key_shares == (group_code("x25519"), group_code("secp256r1"))
    assert hello.extensions == (
        *(SERVER_NAME, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS),
        *(SUPPORTED_VERSIONS, PSK_MODES, KEY_SHARE),
    )
    assert hello.signature_algorithms == questions.ALL_SIGNATURES


def test_a_broad_hello_can_be_narrowed() -> None:
    """Suites, signature algorithms, key shares and application protocols can be given."""
    hello = broad(TLS_1_3, suites=[0x1301], signatures=[0x0403], key_shares=[24], alpn=["h2"])
    assert (hello.suites, hello.signature_algorithms, hello.key_shares, hello.alpn) == (
        *((0x1301,), (0x0403,), (24,)),
        ("h2",),
    )
    assert hello.extensions[-1] == ALPN
    assert broad(TLS_1_2, suites=[1, 2]).suites == (1, 2, SCSV)


def test_signatures_by_kind() -> None:
    """Each kind of key has its own; together with DSA they are all."""
    kinds = questions.CERTIFICATES
    assert list(kinds) == ["RSA", "RSA-PSS", "P-256", "P-384", "P-521", "Ed25519", "Ed448"]
    assert [len(schemes) for schemes in kinds.values()] == [7, 3, 2, 1, 1, 1, 1]
    assert signature_code("rsa_pss_rsae_sha256") in kinds["RSA"]
    assert signature_code("ecdsa_sha1") in kinds["P-256"]
    every = [scheme for schemes in kinds.values() for scheme in schemes]
    every += [signature_code("dsa_sha256"), signature_code("dsa_sha1")]
    assert sorted(every) == sorted(questions.ALL_SIGNATURES)


@pytest.mark.parametrize("version", [TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3])
def test_a_short_hello(version: ProtocolVersion) -> None:
    """Thirty usual suites, five groups, nine signature algorithms: less than any stack can bear."""
    hello = questions.short(version)
    assert hello.accepted_versions == (version,)
    assert hello.groups == questions.groups(version)[:5]
    assert len(hello.signature_algorithms) == 9
    suites = [codes.suite(code) for code in hello.suites if code != SCSV]
    assert not [suite.name for suite in suites if suite.name.endswith(("_CCM", "_CCM_8"))]
    assert all(suite.authentication in ("RSA", "ECDSA", None) for suite in suites)
    assert len(hello.suites) == (31 if version is not TLS_1_3 else len(suites))
    assert len(Hello(hello, HOST).first()) < (300 if version is TLS_1_3 else 256)
    if version is TLS_1_3:
        assert {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"} <= {suite.name for suite in suites}
        assert hello.key_shares == (group_code("x25519"), group_code("secp256r1"))
    else:
        kinds = {suite.authentication for suite in suites}
        assert kinds == {"RSA", "ECDSA"}


def test_a_bare_hello() -> None:
    """It has no extension, and so neither groups nor signature algorithms; the suites are the same."""
    for version in OLD:
        hello = questions.bare(version)
        assert (hello.extensions, hello.groups, hello.signature_algorithms) == ((), (), ())
        assert (hello.suites, hello.accepted_versions) == (broad(version).suites, (version,))


def test_a_nameless_hello() -> None:
    """Only the name is missing."""
    hello = questions.nameless(broad(TLS_1_2))
    assert SERVER_NAME not in hello.extensions
    assert {*hello.extensions, SERVER_NAME} == set(broad(TLS_1_2).extensions)
    assert replace(hello, extensions=()) == replace(broad(TLS_1_2), extensions=())


@pytest.mark.parametrize(
    ("hello", "sni", "names"),
    [
        (broad(TLS_1_2), HOST, True),
        (questions.nameless(broad(TLS_1_2)), HOST, False),
        (questions.bare(TLS_1_0), HOST, False),
        (questions.bare(TLS_1_0), None, True),
        (broad(SSL_3), HOST, True),
        (broad(SSL_2), HOST, True),
        (replace(broad(SSL_2), versions=(TLS_1_0.code,)), HOST, False),
    ],
)
def test_which_hellos_name_the_server(hello: Profile, sni: str | None, *, names: bool) -> None:
    """Those with the name, those that can't have it, and all where there is none."""
    assert questions.names_the_server(hello, sni) is names


def test_a_hello_alongside() -> None:
    """It keeps its version and offers, after its own, all that the other one does; each once."""
    own = replace(broad(TLS_1_2), suites=(1, 2), groups=(3,), signature_algorithms=(4, 5))
    other = replace(broad(TLS_1_0), suites=(2, 6), groups=(7, 3), signature_algorithms=(5, 8))
    both = questions.alongside(own, other)
    assert (both.suites, both.groups, both.signature_algorithms) == ((1, 2, 6), (3, 7), (4, 5, 8))
    assert (both.versions, both.extensions) == (own.versions, own.extensions)
    assert questions.alongside(own, broad(SSL_2)).suites == (1, 2)


def test_a_hello_without_a_key_share() -> None:
    """The extension stays, with nothing in it."""
    hello = questions.without_key_share(broad(TLS_1_3))
    assert (hello.key_shares, KEY_SHARE in hello.extensions) == ((), True)


def test_other_groups() -> None:
    """Key shares of groups that are left are kept; if none is, there is one for the first group that has a key."""
    hello = broad(TLS_1_3)
    x25519, p384 = map(group_code, ("x25519", "secp384r1"))
    keyless = group_code("brainpoolP256r1")
    assert questions.with_groups(hello, [p384, x25519]).key_shares == (x25519,)
    assert questions.with_groups(hello, [p384, x25519]).groups == (p384, x25519)
    assert questions.with_groups(hello, [keyless, p384, group_code("secp521r1")]).key_shares == (p384,)
    assert questions.with_groups(hello, [keyless]).key_shares == ()
    assert questions.with_groups(questions.without_key_share(hello), [p384]).key_shares == ()
    assert questions.with_groups(broad(TLS_1_2), [p384]).key_shares == ()


def test_other_application_protocols() -> None:
    """ALPN is there once, at the end, with the protocols; without any it is not there."""
    hello = questions.with_alpn(questions.with_alpn(broad(TLS_1_2), ["h2"]), ["http/1.1", "istio"])
    assert hello.alpn == ("http/1.1", "istio")
    assert hello.extensions == (*broad(TLS_1_2).extensions, ALPN)
    assert questions.with_alpn(hello, []) == broad(TLS_1_2)


def test_the_application_protocols_of_istio_are_asked_for() -> None:
    """Beside those of HTTP and ACME, what Istio's proxies speak among each other."""
    assert (
        *("h2", "http/1.1", "http/1.0", "acme-tls/1"),
        *("istio-peer-exchange", "istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"),
    ) == questions.PROTOCOLS


def test_a_hello_that_fell_back() -> None:
    """The signal of RFC 7507 comes after the suites."""
    hello = questions.with_fallback(broad(TLS_1_1))
    assert hello.suites == (*broad(TLS_1_1).suites, FALLBACK)


def test_a_hello_for_one_kind_of_certificate() -> None:
    """The server signs with a key of that kind; its authorities may sign with any."""
    hello = questions.for_certificate(broad(TLS_1_2), "P-384")
    assert hello.signature_algorithms == (signature_code("ecdsa_secp384r1_sha384"),)
    assert hello.signature_algorithms_cert == questions.ALL_SIGNATURES
    assert hello.extensions == (*broad(TLS_1_2).extensions, extension_code("signature_algorithms_cert"))
    assert questions.for_certificate(hello, "P-384").extensions == hello.extensions
    assert hello.suites == broad(TLS_1_2).suites


def test_the_extension_of_rfc_7627() -> None:
    """It has the number that the RFC gave it."""
    assert extension_code("extended_master_secret") == EXTENDED_MASTER_SECRET
