"""The verdict: each weakness has its finding with a reason, a source and a remedy; what is good has none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from meshproof.posture import verdict
from meshproof.posture.istio import (
    BORINGSSL_GROUPS,
    BORINGSSL_SUITES,
    CIPHERS,
    ENVOY_DEFAULTS,
    LEGACY,
    accepted,
    dropped_by_istio,
)
from meshproof.posture.verdict import Finding, Severity, judge, other_server
from meshproof.tls.protocol.codes import suite_named
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import UNREADABLE, Certificate, Posture, Target
from tests.support import postures
from tests.support.postures import BEGAN, CERTIFICATE, GCM, GOOD, INTERMEDIATE, SILENT, TLS_1_0, TLS_1_2, TLS_1_3, WEAK

SUITES = {
    "null": "NULL-SHA256",
    "anonymous": "ADH-AES128-GCM-SHA256",
    "export": "EXP-RC4-MD5",
    "rc4": "ECDHE-RSA-RC4-SHA",
    "des": "DES-CBC-SHA",
    "3des": "DES-CBC3-SHA",
    "cbc": "ECDHE-RSA-AES128-SHA256",
    "static-rsa": "AES128-GCM-SHA256",
    "static-dh": "TLS_DH_RSA_WITH_AES_128_GCM_SHA256",
    "no-forward-secrecy": "AES256-GCM-SHA384",
    "dhe": "DHE-RSA-AES128-GCM-SHA256",
    "md5-mac": "RC4-MD5",
    "sha1-mac": "ECDHE-RSA-AES128-SHA",
}


def names(posture: Posture) -> set[str]:
    """Return the names of all that is found."""
    return {finding.id for finding in judge(posture)}


def found(posture: Posture, name: str) -> Finding:
    """Return one finding."""
    (finding,) = [finding for finding in judge(posture) if finding.id == name]
    return finding


def with_certificate(change: Callable[[Certificate], Certificate]) -> Posture:
    """Return the good posture with another certificate."""
    return replace(GOOD, certificates=(change(CERTIFICATE),))


def test_nothing_is_wrong_with_what_is_good() -> None:
    """A gateway of today gets no finding at all."""
    assert judge(GOOD) == ()


@pytest.mark.parametrize("name", SUITES)
def test_a_weak_suite_is_found(name: str) -> None:
    """One suite is enough, it is named with its version, and good suites beside it are not."""
    posture = replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, SUITES[name]),))
    assert found(posture, name).what == (f"TLS 1.2: {suite_named(SUITES[name])}",)


@pytest.mark.parametrize("suite", [*ENVOY_DEFAULTS, *postures.TLS_1_3_SUITES])
def test_a_suite_of_envoys_defaults_is_good(suite: str) -> None:
    """What the remedy recommends is not found weak in turn."""
    assert judge(replace(GOOD, ciphers=(postures.suites(TLS_1_2, suite),))) == ()


def test_every_rule_is_tested() -> None:
    """A new rule about suites has a suite above, and every rule a text that the code uses."""
    texts = json.loads(Path(verdict.__file__).with_name("weaknesses.json").read_text())
    code = "".join(path.read_text() for path in Path(verdict.__file__).parent.glob("*.py"))
    assert set(SUITES) == set(verdict._WEAK_SUITES)  # noqa: SLF001 - the table itself is what is counted
    assert [name for name in texts if f'"{name}"' not in code] == []


@pytest.mark.parametrize("finding", judge(WEAK), ids=lambda finding: finding.id)
def test_a_finding_says_all(finding: Finding) -> None:
    """Each has a sentence without a gap, a source, and a remedy: here that of a server that can't be Envoy."""
    assert finding.why.endswith(".")
    assert "{" not in finding.why
    assert finding.source
    assert finding.what
    assert finding.remedy
    assert not re.search(r"servers\[\]|meshConfig|[{}.]$", finding.remedy)


def test_much_is_wrong_with_what_is_weak() -> None:
    """Versions, groups, primes, downgrade and certificate are judged too, the worst come first."""
    expected = {"ssl-2", "ssl-3", "tls-1.0", "tls-1.1", "no-tls-1.3", "small-group", "small-dh", "no-fallback-scsv"}
    assert expected | {"no-post-quantum", "small-key", "sha1-signature", "expires-soon"} <= names(WEAK)
    severities = [list(Severity).index(finding.severity) for finding in judge(WEAK)]
    assert severities == sorted(severities)


def test_of_the_unknown_nothing_is_said() -> None:
    """A server that never answered has no weakness, and is not short of TLS 1.3 either."""
    assert judge(SILENT) == ()
    unknown = replace(GOOD, versions=postures.versions(TLS_1_2, unknown=TLS_1_3))
    assert "no-tls-1.3" not in names(unknown)


def test_the_remedy_keeps_what_is_good() -> None:
    """The list to configure has those of the server's suites that Istio takes and nothing is wrong with."""
    mixed = replace(GOOD, ciphers=(postures.suites(TLS_1_2, "AES128-SHA", GCM, "ECDHE-RSA-AES128-SHA256"),))
    assert found(mixed, "static-rsa").remedy == f"servers[].tls.cipherSuites: [{GCM}]"
    only_weak = replace(GOOD, ciphers=(postures.suites(TLS_1_0, "AES128-SHA"),))
    assert found(only_weak, "cbc").remedy == f"servers[].tls.cipherSuites: [{', '.join(ENVOY_DEFAULTS)}]"


def test_a_group_is_a_matter_of_the_mesh() -> None:
    """A Gateway has no field for it; the groups that are there stay."""
    classic = replace(GOOD, groups=(postures.groups(TLS_1_3, "x25519", "secp384r1"),))
    assert found(classic, "no-post-quantum").what == ("X25519", "P-384")
    remedy = "meshConfig.tlsDefaults.ecdhCurves: [X25519MLKEM768, X25519, P-384]"
    assert found(classic, "no-post-quantum").remedy == f"{remedy}, for the whole mesh: a Gateway has no field for it"
    partial = replace(GOOD, groups=(postures.groups(TLS_1_3, "x25519", complete=False),))
    assert names(partial) == set()
    older = replace(GOOD, groups=(postures.groups(TLS_1_2, "x25519"),))
    assert names(older) == set()


CHAIN = (
    "credentialName: a Secret whose certificate comes first, after it the one that issued it, and so on, "
    "without the root"
)
EXPIRED = replace(CERTIFICATE, not_after=BEGAN - timedelta(days=1))


@pytest.mark.parametrize(
    "sign",
    [
        replace(GOOD, versions=postures.versions(ProtocolVersion.SSL_2, TLS_1_2, TLS_1_3)),
        replace(GOOD, versions=postures.versions(ProtocolVersion.SSL_3, TLS_1_2, TLS_1_3)),
        replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, "RC4-SHA"),)),
        replace(GOOD, ciphers=(postures.suites(TLS_1_3, "TLS_AES_128_CCM_SHA256", certificate=None),)),
        replace(GOOD, groups=(postures.groups(TLS_1_2, "secp192r1"),)),
        replace(GOOD, groups=(postures.groups(TLS_1_3, "X25519MLKEM768", "x448"),)),
        replace(GOOD, clients=(postures.connected("old", TLS_1_2, "DHE-RSA-AES128-GCM-SHA256", dh_bits=2048),)),
        replace(GOOD, fallback_scsv=False),
    ],
)
def test_what_envoy_never_does_is_not_for_a_gateway_to_fix(sign: Posture) -> None:
    """One sign is enough: what answers is another server, and no field of Istio changes even its certificate."""
    posture = replace(sign, certificates=(EXPIRED,))
    assert found(posture, "expired").remedy == "issue a new certificate"
    assert not [finding for finding in judge(posture) if re.search(r"servers\[\]|meshConfig", finding.remedy)]
    assert re.fullmatch(
        r"It is not an Envoy: it (offers|ignores) \S.*\. No field of Istio changes that: the fixes are for the server "
        r"that answers, such as a backend behind PASSTHROUGH\.",
        other_server(posture) or "",
    )


def test_the_sign_is_named() -> None:
    """One, in words that can be checked."""
    for sign, words in (
        (replace(GOOD, dh_bits=(2048,)), "it offers DHE."),
        (WEAK, "it offers SSLv2."),
        (replace(GOOD, groups=(postures.groups(TLS_1_3, "x448"),)), "it offers the group X448."),
        (replace(GOOD, ciphers=(postures.suites(TLS_1_2, "RC4-SHA"),)), "it offers the cipher suite RC4-SHA."),
        (replace(GOOD, fallback_scsv=False), "it ignores TLS_FALLBACK_SCSV."),
    ):
        assert words in (other_server(sign) or "")
    assert other_server(GOOD) is None


def test_every_prime_is_judged() -> None:
    """Also one that was sent to no client."""
    assert found(replace(GOOD, dh_bits=(2048, 1024)), "small-dh").what == ("1024 bit DH",)


@pytest.mark.parametrize(
    ("posture", "name", "remedy"),
    [
        (replace(GOOD, versions=postures.versions(TLS_1_0, TLS_1_3)), "tls-1.0", "minProtocolVersion: TLSV1_2"),
        (
            replace(GOOD, versions=postures.versions(ProtocolVersion.TLS_1_1, TLS_1_3)),
            "tls-1.1",
            "minProtocolVersion: TLSV1_2",
        ),
        (
            replace(GOOD, versions=postures.versions(TLS_1_2)),
            "no-tls-1.3",
            "maxProtocolVersion: TLSV1_3, or leave it out",
        ),
        (replace(GOOD, certificates=(EXPIRED,)), "expired", "credentialName: a Secret with another certificate"),
        (
            replace(GOOD, certificates=(replace(CERTIFICATE, intermediates=(CERTIFICATE,)),)),
            "chain-order",
            CHAIN,
        ),
    ],
)
def test_what_a_gateway_can_fix(posture: Posture, name: str, remedy: str) -> None:
    """The field of the server in the Gateway, with its value."""
    assert found(posture, name).remedy == f"servers[].tls.{remedy}"


@pytest.mark.parametrize("names", [sorted(BORINGSSL_SUITES), sorted(BORINGSSL_GROUPS)])
def test_what_envoy_can_do_is_no_sign_of_another_server(names: list[str]) -> None:
    """By whatever means it was made to: a field of Istio changes it."""
    all_of_it = replace(GOOD, certificates=(EXPIRED,))
    if GCM in names:
        all_of_it = replace(all_of_it, ciphers=(postures.suites(TLS_1_2, *names, "0xFADE"),))
    else:
        all_of_it = replace(all_of_it, groups=(postures.groups(TLS_1_2, *names, "0xFADE"),))
    assert other_server(all_of_it) is None
    assert found(all_of_it, "expired").remedy.startswith("servers[].tls.")


def test_triple_des_of_sslv2_is_no_des() -> None:
    """SSLv2 spells it otherwise."""
    ssl2 = replace(GOOD, ciphers=(postures.suites(ProtocolVersion.SSL_2, "SSL_CK_DES_192_EDE3_CBC_WITH_MD5"),))
    assert {"3des", "md5-mac"} <= names(ssl2)
    assert "des" not in names(ssl2)


def test_a_suite_without_a_name_is_not_judged() -> None:
    """Nothing is known of it."""
    assert judge(replace(GOOD, ciphers=(postures.suites(TLS_1_2, "0xFADE"),))) == ()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("expired", lambda it: replace(it, not_after=BEGAN - timedelta(seconds=1))),
        ("not-yet-valid", lambda it: replace(it, not_before=BEGAN + timedelta(seconds=1))),
        ("expires-soon", lambda it: replace(it, not_after=BEGAN + timedelta(days=1))),
        ("self-signed", lambda it: replace(it, issuer=it.subject, intermediates=())),
        ("wrong-name", lambda it: replace(it, names=("other.test", "*.com.test", "test"))),
        ("sha1-signature", lambda it: replace(it, signature="ecdsa-with-SHA1")),
        ("sha1-signature", lambda it: replace(it, signature="md5WithRSAEncryption")),
        ("small-key", lambda it: replace(it, key="RSA 1024")),
        ("small-key", lambda it: replace(it, key="EC P-192")),
    ],
)
def test_a_bad_certificate_is_found(name: str, change: Callable[[Certificate], Certificate]) -> None:
    """Each fault by itself, and none besides."""
    assert names(with_certificate(change)) == {name}


def test_a_lifetime_ends_with_its_last_moment() -> None:
    """Both ends belong to it (RFC 5280 section 4.1.2.5), and a tenth of it is soon enough to be told."""
    for change, expected in (
        (replace(CERTIFICATE, not_after=BEGAN), {"expires-soon"}),
        (replace(CERTIFICATE, not_before=BEGAN), set()),
        (replace(CERTIFICATE, not_before=BEGAN - timedelta(days=90), not_after=BEGAN + timedelta(days=10)), set()),
        (
            replace(CERTIFICATE, not_before=BEGAN - timedelta(days=91), not_after=BEGAN + timedelta(days=10)),
            {"expires-soon"},
        ),
    ):
        assert names(with_certificate(lambda _, change=change: change)) == expected  # type: ignore[misc]


def test_a_certificate_without_a_subject_is_told_by_its_names() -> None:
    """All that it has is its alternative names, or else its fingerprint."""
    for bare, name in (
        (replace(EXPIRED, subject=""), "example.test, *.example.test"),
        (replace(EXPIRED, subject="", names=()), CERTIFICATE.fingerprint),
        (EXPIRED, "CN=example.test"),
    ):
        assert found(replace(GOOD, certificates=(bare,)), "expired").what == (name,)


def test_what_cannot_be_read_is_not_judged() -> None:
    """Names, a subject, a key or a signature that nobody can read are no weakness of their own."""
    names = (UNREADABLE,)
    unreadable = replace(CERTIFICATE, subject=UNREADABLE, issuer=UNREADABLE, names=names, key=f"EC {UNREADABLE}")
    assert judge(replace(GOOD, certificates=(unreadable,))) == ()
    sent = replace(INTERMEDIATE, subject=UNREADABLE, issuer=UNREADABLE, key=UNREADABLE, fingerprint="22" * 32)
    assert judge(with_certificate(lambda it: replace(it, intermediates=(sent, INTERMEDIATE)))) == ()


ROOT = replace(INTERMEDIATE, subject="CN=root", issuer="CN=root", fingerprint="00" * 32)
STRANGER = replace(INTERMEDIATE, subject="CN=stranger", issuer="CN=elsewhere", fingerprint="11" * 32)


@pytest.mark.parametrize(
    ("name", "sent", "what"),
    [
        ("expired", replace(INTERMEDIATE, not_after=BEGAN - timedelta(seconds=1)), "intermediate CN=authority"),
        ("not-yet-valid", replace(INTERMEDIATE, not_before=BEGAN + timedelta(seconds=1)), "intermediate CN=authority"),
        ("sha1-signature", replace(INTERMEDIATE, signature="ecdsa-with-SHA1"), "intermediate CN=authority"),
        ("small-key", replace(INTERMEDIATE, key="RSA 1024"), "intermediate CN=authority"),
    ],
)
def test_an_intermediate_is_judged(name: str, sent: Certificate, what: str) -> None:
    """As the certificate of the server is, but for its names and the nearness of its end; it is told which one."""
    posture = with_certificate(lambda it: replace(it, intermediates=(sent,)))
    assert names(posture) == {name}
    assert found(posture, name).what == (what,)
    twice = replace(posture, certificates=(*posture.certificates, replace(posture.certificates[0], key="EC P-256")))
    assert found(twice, name).what == (what,)


def test_a_root_that_is_sent_is_a_note() -> None:
    """Nobody checks its signature; its key and its lifetime count."""
    sent = replace(ROOT, signature="sha1WithRSAEncryption")
    posture = with_certificate(lambda it: replace(it, intermediates=(INTERMEDIATE, sent)))
    assert names(posture) == {"root-sent"}
    assert found(posture, "root-sent").what == ("CN=example.test: CN=root",)
    assert found(posture, "root-sent").severity is Severity.NOTE
    weak = with_certificate(lambda it: replace(it, intermediates=(INTERMEDIATE, replace(sent, key="RSA 1024"))))
    assert names(weak) == {"root-sent", "small-key"}


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        ((STRANGER,), "CN=stranger certifies none of the others"),
        ((ROOT,), "CN=root certifies none of the others"),
        ((ROOT, INTERMEDIATE), "CN=root is out of order, CN=authority is out of order"),
        ((INTERMEDIATE, STRANGER), "CN=stranger certifies none of the others"),
        ((STRANGER, INTERMEDIATE), "CN=stranger certifies none of the others, CN=authority is out of order"),
        ((INTERMEDIATE, INTERMEDIATE), "CN=authority is sent twice"),
        ((INTERMEDIATE, ROOT, ROOT), "CN=root is sent twice"),
        ((CERTIFICATE, INTERMEDIATE), "CN=example.test is sent twice"),
    ],
)
def test_a_chain_is_in_order(sent: tuple[Certificate, ...], what: str) -> None:
    """Each certificate certifies the one before it; the finding says which does not, and what it does instead."""
    posture = with_certificate(lambda it: replace(it, intermediates=sent))
    assert f"CN=example.test: {what}" in found(posture, "chain-order").what
    assert found(posture, "chain-order").severity is Severity.WEAK
    assert "RFC 5246 section 7.4.2" in found(posture, "chain-order").source


@pytest.mark.parametrize(
    "sent",
    [
        (),
        (INTERMEDIATE,),
        (replace(INTERMEDIATE, subject="cn=Authority"),),
        (replace(INTERMEDIATE, subject="CN=authority "),),
        (replace(INTERMEDIATE, issuer="unknown", fingerprint=""), replace(STRANGER, issuer="unknown", fingerprint="")),
    ],
)
def test_a_chain_that_will_do(sent: tuple[Certificate, ...]) -> None:
    """None at all, for only a client knows what it trusts; names are compared without capitals and spaces."""
    assert judge(with_certificate(lambda it: replace(it, intermediates=sent))) == ()


@pytest.mark.parametrize("key", ["RSA 2048", "EC P-256", "EC P-224", "Ed25519", "EC unheard-of", "unknown"])
def test_a_key_that_will_do(key: str) -> None:
    """What is strong enough, or unheard of, is not called small."""
    assert judge(with_certificate(lambda it: replace(it, key=key))) == ()


@pytest.mark.parametrize(
    ("sni", "fits"), [("a.example.test", True), ("A.EXAMPLE.TEST.", True), ("a.b.example.test", False), ("test", False)]
)
def test_a_wildcard_is_one_label(sni: str, fits: bool) -> None:  # noqa: FBT001 - a row of the table
    """A name is compared as browsers do."""
    posture = replace(GOOD, target=Target(GOOD.target.address, sni))
    assert names(posture) == (set() if fits else {"wrong-name"})


def test_istio_takes_fifteen_names() -> None:
    """They are all suites, by their names in OpenSSL, and pass."""
    assert len(set(CIPHERS)) == 15
    assert all(suite_named(name).openssl == name and accepted(name) for name in CIPHERS)
    assert set(LEGACY) | set(ENVOY_DEFAULTS) < set(CIPHERS)
    assert dropped_by_istio([*CIPHERS, "ALL", "[A|B]", "-AES128-SHA", ""]) == ()


@pytest.mark.parametrize(
    ("name", "instead", "why"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", GCM, f"write {GCM}"),
        ("ECDHE-RSA-AES128-GCM-SHA265", GCM, "is no cipher suite; the nearest is ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_AES_128_GCM_SHA256", None, "is a suite of TLS 1.3"),
        ("ECDHE-RSA-AES128-SHA256", None, "is not among the suites"),
        ("HIGH", None, "is no cipher suite"),
    ],
)
def test_a_name_that_istio_drops(name: str, instead: str | None, why: str) -> None:
    """It is told why, how Istio spells it if it has it, and what is in force without it."""
    (dropped,) = dropped_by_istio([GCM, name, name])
    assert (dropped.name, dropped.instead) == (name, instead)
    assert why in dropped.why
    assert dropped.applies == f"without it the list is {GCM}"
    (alone,) = dropped_by_istio([name])
    assert "Envoy's defaults" in alone.applies
