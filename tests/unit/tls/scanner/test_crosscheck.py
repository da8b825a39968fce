"""The cross-check: what any answer agreed on is offered, and a contradiction is said and lets no refusal stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.protocol.codes import group_named, suite_named
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.crosscheck import should_connect, with_all_that_was_negotiated, without_refusals
from meshproof.tls.scanner.findings import ClientAuthentication, GroupOrder, Posture, SuiteOrder
from tests.support.postures import CHACHA, GCM, GCM_256, GOOD, NOT_OFFERED, SILENT, UNKNOWN, groups, suites, versions

SSL_2, SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = ProtocolVersion
ECDSA_GCM = "ECDHE-ECDSA-AES128-GCM-SHA256"
AES_128 = "TLS_AES_128_GCM_SHA256"
OFFERED = Offer(offered=Offered.OFFERED)


def agreed(version: ProtocolVersion | None, suite: str | None = None, group: str | None = None) -> Answer:
    """Return an answer that agreed on so much."""
    return Answer(
        outcome=Outcome.NEGOTIATED,
        version=version,
        suite=suite_named(suite) if suite else None,
        group=group_named(group) if group else None,
    )


def checked(posture: Posture, *answers: Answer) -> Posture:
    """Hold answers against a posture."""
    return with_all_that_was_negotiated(posture, answers)


@pytest.mark.parametrize(
    "answer",
    [
        agreed(TLS_1_2, GCM, "x25519"),
        agreed(TLS_1_2, GCM_256, "secp256r1"),
        agreed(TLS_1_3, AES_128, "X25519MLKEM768"),
        agreed(TLS_1_2),
        agreed(None, "RC4-MD5", "secp192r1"),
    ],
    ids=["first choice", "last choice", "TLS 1.3", "no more than the version", "no version"],
)
def test_what_is_listed_changes_nothing(answer: Answer) -> None:
    """An answer that the lists explain leaves the posture as it is."""
    assert checked(GOOD, answer) == GOOD


def test_a_version_that_was_refused_and_negotiated_is_offered_and_a_contradiction() -> None:
    """It is offered, its lists are there and not complete, and the posture says what happened."""
    found = checked(GOOD, agreed(TLS_1_1))
    assert found.versions[TLS_1_1] == OFFERED
    assert found.versions[TLS_1_0] == NOT_OFFERED
    assert found.ciphers == (
        *GOOD.ciphers,
        SuiteOrder(version=TLS_1_1, certificate="RSA", preference=(), complete=False),
        SuiteOrder(version=TLS_1_1, certificate="ECDSA", preference=(), complete=False),
    )
    assert found.groups == (*GOOD.groups, GroupOrder(version=TLS_1_1, groups=(), complete=False))
    assert (found.alpn_complete, found.certificates_complete) == (False, False)
    assert found.contradictions == (f"{TLS_1_1} was refused at one time (PROTOCOL_VERSION) and negotiated at another",)


def test_a_version_that_was_unknown_and_negotiated_is_offered() -> None:
    """That is no contradiction: nobody said that it was refused."""
    posture = replace(GOOD, versions=versions(TLS_1_2, TLS_1_3, unknown=TLS_1_0))
    found = checked(posture, agreed(TLS_1_0))
    assert (found.versions[TLS_1_0], found.contradictions) == (OFFERED, ())
    assert [order.complete for order in found.ciphers if order.version is TLS_1_0] == [False, False]


@pytest.mark.parametrize(
    ("version", "kinds"),
    [(SSL_2, [None]), (SSL_3, ["RSA", "ECDSA"]), (TLS_1_2, ["RSA", "ECDSA"]), (TLS_1_3, [None])],
)
def test_the_lists_of_a_version_are_by_kind_of_certificate(version: ProtocolVersion, kinds: list[str | None]) -> None:
    """From SSLv3 to TLS 1.2 a suite names the kind of certificate."""
    posture = replace(GOOD, versions=versions(), ciphers=(), groups=())
    found = checked(posture, agreed(version))
    assert [order.certificate for order in found.ciphers] == kinds


def test_without_lists_only_versions_are_checked() -> None:
    """Where no lists were asked for, none is made up."""
    posture = replace(GOOD, listed=False, ciphers=(), groups=(), alpn=(), certificates=())
    found = checked(posture, agreed(TLS_1_1, GCM, "x25519"), agreed(TLS_1_2, GCM, "x25519"))
    assert (found.ciphers, found.groups, found.alpn_complete, found.certificates_complete) == ((), (), True, True)
    assert len(found.contradictions) == 1


@pytest.mark.parametrize(
    ("version", "suite", "kind"),
    [
        (TLS_1_2, "AES128-SHA", "RSA"),
        (TLS_1_2, "DHE-DSS-AES128-SHA", "RSA"),
        (TLS_1_2, ECDSA_GCM, "ECDSA"),
        (TLS_1_3, "TLS_AES_128_CCM_SHA256", None),
    ],
)
def test_a_suite_that_is_not_listed_goes_to_the_end(version: ProtocolVersion, suite: str, kind: str | None) -> None:
    """Its list is no longer complete, and its order not the server's; if it was complete, that is a contradiction."""
    posture = replace(GOOD, ciphers=(*GOOD.ciphers, suites(TLS_1_2, "AES256-SHA", certificate="ECDSA")))
    found = checked(posture, agreed(version, suite))
    [longer] = [order for order in found.ciphers if (order.version, order.certificate) == (version, kind)]
    assert longer.preference[-1] == (suite_named(suite),)
    assert len(longer.suites) > 1
    assert (longer.complete, longer.ordered) == (False, False)
    assert [order for order in found.ciphers if order != longer] == [
        order for order in posture.ciphers if (order.version, order.certificate) != (version, kind)
    ]
    assert found.contradictions == (f"{version}: {suite} was negotiated, and is not among the suites that were listed",)
    assert found.groups == posture.groups


def test_a_suite_of_a_list_that_is_not_complete_is_no_contradiction() -> None:
    """Such a list promised nothing."""
    posture = replace(GOOD, ciphers=(suites(TLS_1_2, GCM, complete=False), GOOD.ciphers[1]))
    found = checked(posture, agreed(TLS_1_2, CHACHA))
    assert (found.ciphers[0].suites, found.contradictions) == ((suite_named(GCM), suite_named(CHACHA)), ())


def test_a_suite_of_a_kind_without_a_list_gets_one() -> None:
    """A list that was empty is not shown; it was complete all the same."""
    found = checked(GOOD, agreed(TLS_1_2, ECDSA_GCM))
    assert found.ciphers[-1] == SuiteOrder(
        version=TLS_1_2,
        certificate="ECDSA",
        preference=((suite_named(ECDSA_GCM),),),
        complete=False,
        ordered=False,
    )
    assert len(found.contradictions) == 1


def test_a_group_that_is_not_listed_goes_to_the_end() -> None:
    """Its list is no longer complete; if it was, that is a contradiction."""
    found = checked(GOOD, agreed(TLS_1_2, GCM, "secp521r1"))
    assert [list(map(str, order.groups)) for order in found.groups] == [
        ["x25519", "secp256r1", "secp521r1"],
        ["X25519MLKEM768", "x25519", "secp256r1"],
    ]
    assert [order.complete for order in found.groups] == [False, True]
    assert found.contradictions == (
        f"{TLS_1_2}: secp521r1 was negotiated, and is not among the groups that were listed",
    )


def test_a_group_of_a_list_that_is_not_complete_is_no_contradiction() -> None:
    """Such a list promised nothing; and of a version without a list of groups nothing is said."""
    posture = replace(GOOD, groups=(groups(TLS_1_3, "x25519", complete=False),))
    found = checked(posture, agreed(TLS_1_3, AES_128, "secp256r1"), agreed(TLS_1_2, GCM, "secp521r1"))
    assert (list(map(str, found.groups[0].groups)), len(found.groups), found.contradictions) == (
        *(["x25519", "secp256r1"], 1),
        (),
    )


def test_all_answers_count_and_all_contradictions_are_told() -> None:
    """One that says nothing new does not hide the next."""
    found = checked(GOOD, agreed(None), agreed(TLS_1_2, "AES128-SHA"), agreed(TLS_1_1), agreed(TLS_1_0))
    assert len(found.contradictions) == 3
    assert found.offered == (TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3)


def test_who_contradicts_nobody_keeps_all() -> None:
    """What was refused stays refused."""
    assert without_refusals(GOOD) is GOOD


def test_a_contradiction_lets_no_refusal_stand() -> None:
    """What was refused may be offered at another time; what was negotiated stays, and what was unknown."""
    posture = replace(
        GOOD, versions=versions(TLS_1_2, TLS_1_3, unknown=SSL_2), contradictions=("it said so", "and not so")
    )
    found = without_refusals(posture)
    assert {version: offer.offered for version, offer in found.versions.items()} == {
        **dict.fromkeys((SSL_2, SSL_3, TLS_1_0, TLS_1_1), Offered.UNKNOWN),
        **dict.fromkeys((TLS_1_2, TLS_1_3), Offered.OFFERED),
    }
    assert found.versions[TLS_1_0] == NOT_OFFERED._replace(offered=Offered.UNKNOWN)
    assert found.versions[SSL_2] == UNKNOWN
    assert {(order.complete, order.ordered) for order in found.ciphers} == {(False, False)}
    assert [order.suites for order in found.ciphers] == [order.suites for order in GOOD.ciphers]
    assert [(order.complete, order.groups) for order in found.groups] == [(False, o.groups) for o in GOOD.groups]
    assert (found.alpn, found.alpn_complete) == (GOOD.alpn, False)
    assert (found.certificates, found.certificates_complete) == (GOOD.certificates, False)
    assert found.fallback_scsv is None
    assert [client.unknown for client in found.clients] == [False, False, True]
    assert found.contradictions == posture.contradictions


def test_a_client_that_was_unknown_stays_so() -> None:
    """Whether it was let in or not."""
    unknown = tuple(replace(client, unknown=True) for client in GOOD.clients)
    found = without_refusals(replace(GOOD, clients=unknown, contradictions=("it said so",)))
    assert [client.unknown for client in found.clients] == [True, True, True]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ClientAuthentication.NOT_REQUESTED, ClientAuthentication.NOT_REQUESTED),
        (ClientAuthentication.REQUESTED, ClientAuthentication.UNKNOWN),
        (ClientAuthentication.REQUIRED, ClientAuthentication.UNKNOWN),
        (ClientAuthentication.UNKNOWN, ClientAuthentication.UNKNOWN),
    ],
)
def test_whether_a_certificate_is_wanted(before: ClientAuthentication, after: ClientAuthentication) -> None:
    """Of two servers one may want a certificate and the other not; where none ever asked, none wants one."""
    found = without_refusals(replace(GOOD, client_authentication=before, contradictions=("it said so",)))
    assert found.client_authentication is after


def client(*versions_: ProtocolVersion, suites_: tuple[str, ...] = (GCM,), groups_: tuple[str, ...] = ()) -> Profile:
    """Return a client of these versions, suites and groups."""
    return Profile(
        name="client",
        versions=tuple(version.code for version in versions_),
        suites=tuple(suite_named(name).code for name in suites_),
        groups=tuple(group_named(name).code for name in groups_),
    )


RSA_ALONE = "AES128-SHA"
STATIC = replace(GOOD, ciphers=(suites(TLS_1_2, RSA_ALONE),), versions=versions(TLS_1_2), groups=())


@pytest.mark.parametrize(
    ("profile", "posture", "connects"),
    [
        (client(TLS_1_2, groups_=("x25519",)), GOOD, True),
        (client(TLS_1_3, TLS_1_2, groups_=("x25519",)), GOOD, True),
        (client(TLS_1_3, suites_=(AES_128,), groups_=("X25519MLKEM768",)), GOOD, True),
        (client(TLS_1_3, suites_=(AES_128,), groups_=("secp521r1",)), GOOD, False),
        (client(TLS_1_1, TLS_1_0, groups_=("x25519",)), GOOD, False),
        (client(TLS_1_2, suites_=(RSA_ALONE,)), GOOD, False),
        (client(TLS_1_2, suites_=(RSA_ALONE, GCM), groups_=("x25519",)), GOOD, True),
        (client(TLS_1_2, groups_=("secp521r1",)), GOOD, False),
        (client(TLS_1_2, groups_=("X25519MLKEM768",)), GOOD, False),
        (client(TLS_1_2, groups_=("secp521r1", "secp256r1")), GOOD, True),
        (client(TLS_1_2), GOOD, True),
        (client(TLS_1_2, groups_=("secp521r1",)), replace(GOOD, groups=GOOD.groups[1:]), True),
        (client(TLS_1_2, suites_=(RSA_ALONE,), groups_=("secp521r1",)), STATIC, True),
        (client(TLS_1_2, suites_=(RSA_ALONE,), groups_=("secp521r1",)), replace(STATIC, groups=GOOD.groups), True),
        (client(TLS_1_2, suites_=(RSA_ALONE,)), replace(GOOD, listed=False, ciphers=()), True),
        (client(TLS_1_1, suites_=(RSA_ALONE,)), replace(GOOD, listed=False, ciphers=()), False),
        (client(TLS_1_2), SILENT, False),
        (client(TLS_1_2), replace(GOOD, versions={}), False),
    ],
    ids=[
        *("TLS 1.2", "both", "TLS 1.3", "no group of TLS 1.3", "no version", "no suite", "second suite", "no group"),
        *("group of another version", "second group", "client names no groups", "groups not listed"),
        *("exchange without a group", "exchange without a group beside lists", "no lists", "no lists, no version"),
        *("nothing known", "no versions"),
    ],
)
def test_who_should_connect(profile: Profile, posture: Posture, *, connects: bool) -> None:
    """A client that has a version, a suite and, where the suite needs one, a group in common with the lists."""
    assert should_connect(profile, posture) is connects
