"""Reasons: each follows from what is known of the server and the client, or is not said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import Outcome, outcome_of_alert
from meshproof.tls.protocol.codes import group_named, suite_named
from meshproof.tls.protocol.hello import SERVER_NAME, SUPPORTED_GROUPS
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import GroupOrder, Posture, SuiteOrder, Target
from meshproof.tls.scanner.reason import reason_for
from tests.support import postures
from tests.support.postures import GCM, GOOD, HOST, TLS_1_0, TLS_1_2, TLS_1_3

TLS_1_1 = ProtocolVersion.TLS_1_1
ECDSA_GCM = "ECDHE-ECDSA-AES128-GCM-SHA256"
CBC = "ECDHE-RSA-AES128-SHA256"
NO_SUITE = "no cipher suite in common in TLS 1.2"
NO_NAME = "it sends no server name, and the server has nothing for that"

RSA_ONLY = replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM), *GOOD.ciphers[1:]))
ECDSA_ONLY = replace(GOOD, ciphers=(postures.suites(TLS_1_2, ECDSA_GCM, certificate="ECDSA"),), certificates=())
BOTH_KINDS = replace(RSA_ONLY, ciphers=(*RSA_ONLY.ciphers, *ECDSA_ONLY.ciphers))
INCOMPLETE = replace(GOOD, ciphers=(replace(GOOD.ciphers[0], complete=False), GOOD.ciphers[1]))
HALF_INCOMPLETE = replace(
    GOOD, ciphers=(GOOD.ciphers[0], postures.suites(TLS_1_2, certificate="ECDSA", complete=False), GOOD.ciphers[1])
)
UNKNOWN_1_0 = replace(GOOD, versions=postures.versions(TLS_1_2, TLS_1_3, unknown=TLS_1_0))


def client(
    *suites: str,
    versions: tuple[ProtocolVersion, ...] = (TLS_1_2,),
    groups: tuple[str, ...] = ("x25519", "secp256r1"),
    named: bool = True,
    grouped: bool = True,
) -> Profile:
    """Return a client with these suites."""
    return Profile(
        name="a client",
        group="user",
        provenance="a test",
        versions=tuple(version.code for version in versions),
        suites=tuple(suite_named(name).code for name in suites),
        extensions=(*((SERVER_NAME,) if named else ()), *((SUPPORTED_GROUPS,) if grouped else ())),
        groups=tuple(group_named(name).code for name in groups),
    )


def alert(number: int) -> Answer:
    """Return a refusal with an alert."""
    return Answer(outcome=outcome_of_alert(number), alert=number)


REFUSED = alert(40)
RESET = Answer(outcome=Outcome.RESET)


def why(profile: Profile, answer: Answer, posture: Posture = GOOD) -> str:
    """Return the reason without the end that it explains; nothing when there is none."""
    return reason_for(profile, answer, posture).partition(": ")[2]


def test_a_client_that_gets_in() -> None:
    """It is told whether the server wanted another key."""
    answer = GOOD.clients[1].answer
    assert reason_for(client(GCM), replace(answer, retried=False), GOOD) == "first hello accepted"
    assert reason_for(client(GCM), answer, GOOD) == "after a HelloRetryRequest for x25519"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (REFUSED, "alert 40 handshake_failure: no cipher suite in common in TLS 1.2"),
        (alert(0), "alert 0 close_notify"),
        (RESET, "connection reset: no cipher suite in common in TLS 1.2"),
        (Answer(outcome=Outcome.SILENT), "silent until the deadline"),
        (Answer(outcome=Outcome.REFUSED), "TCP connection refused"),
        (
            Answer(outcome=Outcome.VERSION_NOT_OFFERED, version=TLS_1_0),
            "version not offered: the server chose TLS 1.0",
        ),
        (Answer(outcome=Outcome.VERSION_NOT_OFFERED), "version not offered"),
        (
            Answer(outcome=Outcome.CIPHER_NOT_OFFERED, suite=suite_named(GCM)),
            f"cipher suite not offered: the server chose {GCM}",
        ),
        (
            Answer(outcome=Outcome.GROUP_NOT_OFFERED, group=group_named("x448")),
            "group not offered: the server chose x448",
        ),
        (
            Answer(outcome=Outcome.DH_SIZE_REFUSED, dh_bits=512),
            "Diffie-Hellman prime of a refused size: the server's has 512 bits",
        ),
        (
            Answer(outcome=Outcome.DOWNGRADED, version=TLS_1_1),
            "downgrade marker: the server says that it could do better than TLS 1.1",
        ),
    ],
)
def test_an_end_is_told_first(answer: Answer, words: str) -> None:
    """Then what explains it, where anything does."""
    assert reason_for(client(CBC), answer, GOOD) == words


@pytest.mark.parametrize("answer", [alert(70), REFUSED, RESET, alert(80)], ids=str)
def test_no_version_in_common(answer: Answer) -> None:
    """However the server says so: what the client speaks, and what the server offers."""
    old = client(CBC, versions=(TLS_1_1, TLS_1_0))
    assert why(old, answer) == "it speaks TLS 1.1, TLS 1.0, the server offers TLS 1.2, TLS 1.3"
    nothing = replace(GOOD, versions=postures.versions())
    assert why(old, answer, nothing) == "it speaks TLS 1.1, TLS 1.0, the server offers none"


def test_a_version_that_is_unknown_explains_nothing() -> None:
    """Not a version of the client's; one of others only leaves open what else the server offers."""
    assert why(client(CBC, versions=(TLS_1_0,)), alert(70), UNKNOWN_1_0) == ""
    assert why(client(CBC, versions=(TLS_1_2, TLS_1_0)), REFUSED, UNKNOWN_1_0) == ""
    assert why(client(CBC, versions=(TLS_1_2,)), REFUSED, UNKNOWN_1_0) == NO_SUITE
    assert why(client(CBC, versions=(TLS_1_2,)), REFUSED, replace(GOOD, versions={})) == ""
    open_end = "it speaks TLS 1.1, which the server does not offer"
    assert why(client(CBC, versions=(TLS_1_1,)), alert(70), UNKNOWN_1_0) == open_end


@pytest.mark.parametrize("answer", [REFUSED, alert(47), alert(71), alert(109), RESET], ids=str)
def test_no_suite_in_common(answer: Answer) -> None:
    """It is told by the versions that are in common, where the lists of all of them are complete."""
    assert why(client(CBC), answer) == NO_SUITE
    both = client(CBC, "TLS_SM4_GCM_SM3", versions=(TLS_1_3, TLS_1_2))
    assert why(both, answer) == "no cipher suite in common in TLS 1.3, TLS 1.2"
    assert why(client(GCM), answer) == ""


@pytest.mark.parametrize("answer", [alert(80), alert(90), alert(0), alert(50), alert(86), alert(120)], ids=str)
def test_an_alert_about_something_else_is_not_explained_by_suites(answer: Answer) -> None:
    """Not even where there are none in common."""
    assert why(client(CBC), answer) == ""


@pytest.mark.parametrize(
    "posture",
    [INCOMPLETE, HALF_INCOMPLETE, replace(GOOD, ciphers=()), replace(GOOD, ciphers=GOOD.ciphers[1:])],
)
def test_a_list_that_is_not_complete_explains_nothing(posture: Posture) -> None:
    """One of two for a version is not enough, nor is one of another version."""
    assert why(client(CBC), REFUSED, posture) == ""
    assert why(client(GCM, groups=("secp384r1",)), REFUSED, posture) == ""


@pytest.mark.parametrize(
    ("posture", "suite", "hint"),
    [
        (RSA_ONLY, ECDSA_GCM, "; with an ECDSA certificate as well there may be one"),
        (ECDSA_ONLY, GCM, "; with an RSA certificate as well there may be one"),
        (RSA_ONLY, "ECDHE-ECDSA-AES256-SHA", ""),
        (RSA_ONLY, CBC, ""),
        (BOTH_KINDS, CBC, ""),
        (BOTH_KINDS, "ECDHE-ECDSA-AES128-SHA256", ""),
        (replace(RSA_ONLY, certificates=(replace(postures.CERTIFICATE, key="EC P-256"),)), ECDSA_GCM, ""),
        (replace(ECDSA_ONLY, certificates=GOOD.certificates), GCM, ""),
    ],
)
def test_another_certificate_may_help(posture: Posture, suite: str, hint: str) -> None:
    """Only where the server has one kind, and the client the same suite for the other kind."""
    assert why(client(suite), REFUSED, posture) == f"{NO_SUITE}{hint}"


def test_a_kind_that_another_version_shows_is_there() -> None:
    """A server that takes suites of ECDSA in TLS 1.0 has such a certificate."""
    ecdsa_in_1_0 = postures.suites(TLS_1_0, "ECDHE-ECDSA-AES128-SHA", certificate="ECDSA")
    posture = replace(RSA_ONLY, versions=postures.versions(TLS_1_0, TLS_1_2), ciphers=(*RSA_ONLY.ciphers, ecdsa_in_1_0))
    assert why(client(ECDSA_GCM), REFUSED, posture) == NO_SUITE


def with_groups(*orders: GroupOrder, ciphers: tuple[SuiteOrder, ...] = GOOD.ciphers) -> Posture:
    """Return the good posture with other groups."""
    return replace(GOOD, groups=orders, ciphers=ciphers)


P_256 = postures.groups(TLS_1_2, "secp256r1")
P_256_IN_1_3 = postures.groups(TLS_1_3, "secp256r1", "secp384r1")


@pytest.mark.parametrize(
    ("posture", "profile", "words"),
    [
        (with_groups(P_256), client(GCM, groups=("x25519",)), "no group in common: the server takes secp256r1"),
        (with_groups(P_256), client(GCM, groups=()), "no group in common: the server takes secp256r1"),
        (
            with_groups(P_256),
            client(GCM, groups=(), grouped=False),
            "it names no group for an ephemeral key exchange",
        ),
        (with_groups(P_256), client(GCM), ""),
        (with_groups(replace(P_256, complete=False)), client(GCM, groups=("x25519",)), ""),
        (with_groups(P_256_IN_1_3), client(GCM, groups=("x25519",)), ""),
        (with_groups(replace(P_256, groups=())), client(GCM, groups=("x25519",)), ""),
        (
            with_groups(P_256, P_256_IN_1_3),
            client(GCM, "TLS_AES_128_GCM_SHA256", versions=(TLS_1_3, TLS_1_2), groups=("x25519",)),
            "no group in common: the server takes secp256r1, secp384r1",
        ),
        (
            with_groups(P_256, P_256_IN_1_3),
            client(GCM, "TLS_AES_128_GCM_SHA256", versions=(TLS_1_3, TLS_1_2), groups=("secp384r1",)),
            "",
        ),
        (
            with_groups(P_256, ciphers=(postures.suites(TLS_1_2, GCM, "AES128-SHA"),)),
            client(GCM, "AES128-SHA", groups=("x25519",)),
            "",
        ),
    ],
)
def test_no_group_in_common(posture: Posture, profile: Profile, words: str) -> None:
    """Only where every suite in common needs one, and the groups of all versions in common are known."""
    assert why(profile, REFUSED, posture) == words
    assert why(profile, RESET, posture) == words


def test_a_client_without_a_server_name() -> None:
    """Left without a word by a server that has words, it is told so; nothing else is known of its suites."""
    nameless = client(CBC, versions=(TLS_1_2,), named=False)
    assert why(nameless, RESET) == NO_NAME
    assert why(nameless, Answer(outcome=Outcome.CLOSED_WITHOUT_ALERT)) == NO_NAME
    assert why(nameless, REFUSED) == ""
    assert why(nameless, Answer(outcome=Outcome.SILENT)) == ""
    nobody = replace(GOOD, target=Target(GOOD.target.address, None))
    assert why(nameless, RESET, nobody) == NO_SUITE
    assert why(client(CBC), RESET, nobody) == NO_SUITE


def test_a_server_without_words_leaves_others_so_too() -> None:
    """Where it resets a version of TLS that it does not offer, a reset says nothing of names; one of SSL does not."""
    nameless = client(CBC, versions=(TLS_1_2,), named=False)
    reset = Offer(offered=Offered.NOT_OFFERED, refusal=Outcome.RESET)
    assert why(nameless, RESET, replace(GOOD, versions={**GOOD.versions, TLS_1_0: reset})) == ""
    for version in (ProtocolVersion.SSL_2, ProtocolVersion.SSL_3):
        assert why(nameless, RESET, replace(GOOD, versions={**GOOD.versions, version: reset})) == NO_NAME


def test_a_name_that_is_not_recognized() -> None:
    """Alert 112 is about the name that was sent, if one was."""
    assert why(client(GCM), alert(112)) == f"the server has nothing for the name {HOST}"
    assert why(client(GCM, named=False), alert(112)) == "it sends no server name"
    assert why(client(GCM), alert(112), replace(GOOD, target=Target(GOOD.target.address, None))) == (
        "it sends no server name"
    )
    assert why(client(GCM), alert(112), UNKNOWN_1_0) == f"the server has nothing for the name {HOST}"
