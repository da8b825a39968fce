"""The difference: what is the same is silent, what is not tells before and after, the unknown is never the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from meshproof.posture.comparison import Change
from meshproof.posture.difference import changes, changes_between
from meshproof.posture.pairing import Pair
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.outcome import UNDECIDED, Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import UNREADABLE, Certificate, ClientAuthentication, ClientResult, Posture
from tests.support import postures
from tests.support.postures import (
    BEGAN,
    CERTIFICATE,
    CHACHA,
    GCM,
    GCM_256,
    GOOD,
    INTERMEDIATE,
    SILENT,
    TLS_1_0,
    TLS_1_2,
    TLS_1_3,
    WEAK,
)

TLS_1_1 = ProtocolVersion.TLS_1_1
OLD = (ProtocolVersion.SSL_2, ProtocolVersion.SSL_3, TLS_1_1)
ALL_LISTED = replace(WEAK, ciphers=(*(postures.suites(version, "AES128-SHA") for version in OLD), *WEAK.ciphers))


def row(before: Posture, after: Posture, what: str) -> Change | None:
    """Return a row; None when it did not change."""
    found = [change for change in changes_between(before, after) if change.what == what]
    assert len(found) <= 1
    return found[0] if found else None


def with_certificate(**fields: object) -> Posture:
    """Return the good posture with another certificate, issued anew."""
    changed = {"serial": 2, "fingerprint": "cd" * 32, **fields}
    return replace(GOOD, certificates=(replace(CERTIFICATE, **changed),))  # type: ignore[arg-type]


@pytest.mark.parametrize("posture", [GOOD, ALL_LISTED])
def test_the_same_is_the_same(posture: Posture) -> None:
    """Two scans of one server differ in nothing, whenever they were made."""
    assert changes_between(posture, replace(posture, began=BEGAN + timedelta(seconds=-1), seconds=9.9)) == ()


@pytest.mark.parametrize(
    ("after", "what", "old", "new"),
    [
        (replace(GOOD, versions=postures.versions(TLS_1_0, TLS_1_2, TLS_1_3)), "TLS 1.0", "not offered", "offered"),
        (
            replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, "AES128-SHA", CHACHA, GCM_256), GOOD.ciphers[1])),
            "TLS 1.2 RSA order",
            f"{GCM} = {CHACHA} > {GCM_256}",
            f"{GCM} > {CHACHA} > {GCM_256}",
        ),
        (
            replace(GOOD, groups=(GOOD.groups[0], replace(GOOD.groups[1], server_decides=False))),
            "TLS 1.3 preferred group",
            "X25519MLKEM768",
            "the client's",
        ),
        (replace(GOOD, alpn=("h2",)), "ALPN", "h2, http/1.1", "h2"),
        (replace(GOOD, alpn=("http/1.1", "h2")), "ALPN", "h2, http/1.1", "http/1.1, h2"),
        (replace(GOOD, alpn=()), "ALPN", "h2, http/1.1", "none"),
        (
            replace(GOOD, client_authentication=ClientAuthentication.REQUIRED),
            "client authentication",
            "not requested",
            "required",
        ),
        (replace(GOOD, fallback_scsv=False), "TLS_FALLBACK_SCSV", "honoured", "ignored"),
        (
            replace(GOOD, versions=postures.versions(TLS_1_3), fallback_scsv=None),
            "TLS_FALLBACK_SCSV",
            "honoured",
            "no older version to fall back to",
        ),
        (
            replace(GOOD, certificates=()),
            "RSA certificate",
            "CN=example.test, RSA 2048, until 2027-01-20 12:00, SHA-256 abababababababab",
            "none",
        ),
        (with_certificate(subject="CN=b"), "RSA certificate subject", "CN=example.test", "CN=b"),
        (
            with_certificate(names=("b.test", "a.test")),
            "RSA certificate names",
            "*.example.test, example.test",
            "a.test, b.test",
        ),
        (with_certificate(names=()), "RSA certificate names", "*.example.test, example.test", "none"),
        (with_certificate(issuer="CN=b"), "RSA certificate issuer", "CN=authority", "CN=b"),
        (with_certificate(key="RSA 4096"), "RSA certificate key", "RSA 2048", "RSA 4096"),
        (
            with_certificate(signature="sha1WithRSAEncryption"),
            "RSA certificate signature",
            "sha256WithRSAEncryption",
            "sha1WithRSAEncryption",
        ),
        (
            with_certificate(not_after=BEGAN - timedelta(seconds=1)),
            "RSA certificate lifetime",
            "not over",
            "ended on 2026-11-21 11:59",
        ),
        (
            with_certificate(not_before=BEGAN + timedelta(seconds=1)),
            "RSA certificate lifetime",
            "not over",
            "begins on 2026-11-21 12:00",
        ),
        (
            with_certificate(intermediates=()),
            "RSA certificate chain",
            "CN=authority, issued by CN=root, EC P-384, ecdsa-with-SHA384, not over",
            "none",
        ),
        (
            replace(GOOD, certificates=(replace(CERTIFICATE, intermediates=()),)),
            "RSA certificate chain",
            "CN=authority, issued by CN=root, EC P-384, ecdsa-with-SHA384, not over",
            "none",
        ),
    ],
)
def test_what_changed_is_a_row(after: Posture, what: str, old: str, new: str) -> None:
    """It tells before and after, and the same the other way round."""
    for first, last, words in ((GOOD, after, (old, new)), (after, GOOD, (new, old))):
        change = row(first, last, what)
        assert change
        assert (change.before, change.after, change.unknown, change.known) == (*words, False, True)


@pytest.mark.parametrize(
    ("after", "what", "removed", "added"),
    [
        (
            replace(GOOD, ciphers=(postures.suites(TLS_1_2, f"{GCM}|{CHACHA}"), GOOD.ciphers[1])),
            "TLS 1.2 RSA cipher suites",
            GCM_256,
            "none",
        ),
        (
            replace(GOOD, ciphers=(postures.suites(TLS_1_2, "AES128-SHA", GCM, "AES256-SHA"), GOOD.ciphers[1])),
            "TLS 1.2 RSA cipher suites",
            f"{CHACHA}, {GCM_256}",
            "AES128-SHA, AES256-SHA",
        ),
        (
            replace(GOOD, ciphers=(*GOOD.ciphers, postures.suites(TLS_1_2, "AES128-SHA", certificate="ECDSA"))),
            "TLS 1.2 ECDSA cipher suites",
            "none",
            "AES128-SHA",
        ),
        (
            replace(GOOD, ciphers=(*GOOD.ciphers, postures.suites(TLS_1_0, "AES128-SHA"))),
            "TLS 1.0 RSA cipher suites",
            "none",
            "AES128-SHA",
        ),
        (
            replace(GOOD, groups=(GOOD.groups[0], postures.groups(TLS_1_3, "x25519", "secp256r1"))),
            "TLS 1.3 groups",
            "X25519MLKEM768",
            "none",
        ),
        (replace(GOOD, groups=GOOD.groups[1:]), "TLS 1.2 groups", "X25519, P-256", "none"),
    ],
)
def test_a_list_that_changed_is_one_row(after: Posture, what: str, removed: str, added: str) -> None:
    """It has all names that came or went, and the same the other way round."""
    for first, last, gone, new in ((GOOD, after, removed, added), (after, GOOD, added, removed)):
        change = row(first, last, what)
        assert change == Change(what, f"removed: {gone}", f"added: {new}")
        assert change.known


@pytest.mark.parametrize(
    "sent",
    [
        (INTERMEDIATE, INTERMEDIATE),
        (replace(INTERMEDIATE, subject="CN=other"),),
        (replace(INTERMEDIATE, issuer="CN=other"),),
        (replace(INTERMEDIATE, key="RSA 1024"),),
        (replace(INTERMEDIATE, signature="sha1WithRSAEncryption"),),
        (replace(INTERMEDIATE, not_after=BEGAN - timedelta(days=1)),),
        (replace(INTERMEDIATE, subject=UNREADABLE, fingerprint="01" * 32),),
    ],
)
def test_the_chain(sent: tuple[Certificate, ...]) -> None:
    """An intermediate that is added, or is another one, is a change also where the leaf is the same."""
    after = replace(GOOD, certificates=(replace(CERTIFICATE, intermediates=sent),))
    (change,) = changes_between(GOOD, after)
    assert (change.what, change.known) == ("RSA certificate chain", True)


def test_a_chain_that_cannot_be_read() -> None:
    """It is told by its fingerprint, so that the same is the same and another is another."""
    first, second = (replace(INTERMEDIATE, subject=UNREADABLE, fingerprint=mark * 32) for mark in ("01", "02"))
    one, other = (
        replace(GOOD, certificates=(replace(CERTIFICATE, intermediates=(sent,)),)) for sent in (first, second)
    )
    assert changes_between(one, one) == ()
    (change,) = changes_between(one, other)
    assert str(change.after).endswith("SHA-256 0202020202020202")


def test_a_chain_of_an_older_document() -> None:
    """It has no more than the subjects, so these are compared."""
    unknown = replace(INTERMEDIATE, issuer="unknown", key="unknown", signature="unknown", fingerprint="")
    old = replace(GOOD, certificates=(replace(CERTIFICATE, intermediates=(unknown,)),))
    assert changes_between(old, GOOD) == changes_between(GOOD, old) == ()
    (change,) = changes_between(old, replace(GOOD, certificates=(replace(CERTIFICATE, intermediates=()),)))
    assert (change.before, change.after) == ("CN=authority", "none")


def test_a_renewed_certificate_is_no_change() -> None:
    """Another serial, lifetime and fingerprint with the same in all that counts is told as renewed."""
    after = with_certificate(
        not_before=BEGAN - timedelta(days=1),
        not_after=BEGAN + timedelta(days=89),
        intermediates=(replace(INTERMEDIATE, serial=3, fingerprint="01" * 32),),
    )
    assert changes_between(GOOD, after) == (
        Change(
            "RSA certificate",
            "until 2027-01-20 12:00, SHA-256 abababababababab",
            "until 2027-02-18 12:00, SHA-256 cdcdcdcdcdcdcdcd",
            "Renewed: its names, issuer, key and signature algorithm are the same.",
            renewed=True,
        ),
    )
    (renewed,) = changes_between(GOOD, after)
    assert (renewed.known, renewed.unknown) == (False, False)
    moved = replace(CERTIFICATE, names=CERTIFICATE.names[::-1], fingerprint="cd" * 32)
    assert [change.renewed for change in changes_between(GOOD, replace(GOOD, certificates=(moved,)))] == [True]


def test_the_moment_when_a_lifetime_begins() -> None:
    """It is the first moment of it."""
    assert [change.renewed for change in changes_between(GOOD, with_certificate(not_before=BEGAN))] == [True]


def test_a_version_says_how_it_is_refused_now() -> None:
    """That is the reason of its row; one that is offered needs none."""
    old = replace(GOOD, versions=postures.versions(TLS_1_0, TLS_1_2, TLS_1_3))
    lost, found = row(old, GOOD, "TLS 1.0"), row(GOOD, old, "TLS 1.0")
    assert lost
    assert lost.reason == "not offered (alert 70 protocol_version)"
    assert found
    assert found.reason == ""


def test_a_renewal_hides_no_change() -> None:
    """A name that was lost with it is the row, and that it was issued anew is not told beside it."""
    (change,) = changes_between(GOOD, with_certificate(names=("example.test",)))
    assert (change.what, change.known) == ("RSA certificate names", True)


def test_a_lifetime_that_ended_between_two_scans() -> None:
    """The certificate is the same, and over; when it was over before it is the same."""
    later = replace(GOOD, began=CERTIFICATE.not_after + timedelta(seconds=1))
    assert [change.what for change in changes_between(GOOD, later)] == [
        "RSA certificate lifetime",
        "RSA certificate chain",
    ]
    assert changes_between(later, later) == ()
    last_moment = replace(GOOD, began=INTERMEDIATE.not_after)
    assert changes_between(GOOD, last_moment) == ()


def test_two_certificates() -> None:
    """Each kind of key has its rows; two of a kind are told apart whatever order they came in."""
    second = replace(CERTIFICATE, key="EC P-256", fingerprint="01" * 32)
    both = replace(GOOD, certificates=(CERTIFICATE, second))
    added = row(GOOD, both, "EC certificate")
    assert added
    assert (added.before, added.after) == (
        "none",
        "CN=example.test, EC P-256, until 2027-01-20 12:00, SHA-256 0101010101010101",
    )
    other = replace(CERTIFICATE, subject="CN=z", fingerprint="02" * 32)
    one, another = (replace(GOOD, certificates=found) for found in ((CERTIFICATE, other), (other, CERTIFICATE)))
    assert changes_between(one, another) == ()
    lost = row(one, GOOD, "RSA certificate 2")
    assert lost
    assert lost.after == "none"
    assert len(changes_between(one, GOOD)) == 1


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"subject": UNREADABLE}, "RSA certificate subject"),
        ({"names": (UNREADABLE,)}, "RSA certificate names"),
        ({"issuer": UNREADABLE}, "RSA certificate issuer"),
        ({"key": "RSA unknown"}, "RSA certificate key"),
        ({"signature": UNREADABLE}, "RSA certificate signature"),
        ({"not_after": datetime.min.replace(tzinfo=UTC)}, "RSA certificate lifetime"),
        ({"not_before": datetime.min.replace(tzinfo=UTC)}, "RSA certificate lifetime"),
    ],
)
def test_what_cannot_be_read_of_a_certificate(fields: dict[str, object], what: str) -> None:
    """It may have changed, and so the certificate is not renewed either."""
    after = with_certificate(**fields)
    (change,) = changes_between(GOOD, after)
    assert (change.what, change.unknown, change.after) == (what, True, None)
    (both,) = changes_between(after, with_certificate(**(fields | {"fingerprint": "01" * 32})))
    assert (both.what, both.unknown) == (what, True)


def test_a_preferred_group_of_two_is_not_known_without_an_order() -> None:
    """Who of server and client decides was not found out; the lists are the same all the same."""
    known, unknown = (
        replace(GOOD, groups=(postures.groups(TLS_1_2, "x25519", "secp256r1", decides=decides), GOOD.groups[1]))
        for decides in (True, None)
    )
    change = row(known, unknown, "TLS 1.2 preferred group")
    assert change
    assert (change.before, change.after, change.unknown) == ("X25519", None, True)


def test_no_certificate_where_not_all_are_known() -> None:
    """The row says what was seen on each side, be it nothing."""
    change = row(GOOD, replace(GOOD, certificates=(), certificates_complete=False), "certificates")
    assert change
    assert change.unknown
    assert change.reason.endswith(". Now: none.")


@pytest.mark.parametrize("field", ["subject", "issuer", "key", "signature"])
def test_an_intermediate_that_cannot_be_read(field: str) -> None:
    """Nobody can say that it was renewed: another one is another chain, and the same one is none."""
    changed = {field: UNREADABLE}
    sides = [
        with_certificate(intermediates=(replace(INTERMEDIATE, fingerprint=each * 32, **changed),))  # type: ignore[arg-type]
        for each in ("01", "02")
    ]
    assert [change.what for change in changes_between(*sides)] == ["RSA certificate chain"]
    assert changes_between(sides[0], sides[0]) == ()


def test_a_client_changes_with_its_reason() -> None:
    """What it got, what it gets and why; other words for the same result are no change."""
    lost = replace(GOOD, clients=(postures.refused("Chrome"), *GOOD.clients[::2]))
    change = row(GOOD, lost, "Chrome")
    assert change
    assert change.before == "TLSv1.3  TLS_AES_128_GCM_SHA256  253 bit ECDH (X25519)"
    assert change.after == "No connection: alert 40 handshake_failure"
    assert change.reason == "It offers the server's first choice. Now: It has no suite in common."
    assert len(changes_between(GOOD, lost)) == 1
    otherwise = replace(GOOD.clients[2], answer=Answer(outcome=Outcome.PROTOCOL_VERSION, alert=70), reason="Because.")
    assert changes_between(GOOD, replace(GOOD, clients=(*GOOD.clients[:2], otherwise))) == (
        Change("IE 6 XP", "No connection: alert 40 handshake_failure", "No connection: alert 70 protocol_version"),
    )
    reworded = replace(GOOD, clients=tuple(replace(client, reason="Because.") for client in GOOD.clients))
    assert changes_between(GOOD, reworded) == ()


@pytest.mark.parametrize("outcome", sorted(UNDECIDED, key=str))
def test_an_end_that_decides_nothing_is_unknown(outcome: Outcome) -> None:
    """The same one on both sides is not the same result: of a client, or of our certificate."""
    client = ClientResult("Chrome", Answer(outcome=outcome), "Because.")
    same = replace(GOOD, clients=(client,), credential=outcome)
    assert [(change.what, change.unknown) for change in changes_between(same, same)] == [
        ("client certificate", True),
        ("Chrome", True),
    ]


def test_our_certificate() -> None:
    """Let in and refused differ; where it was given to one scan only nobody knows."""
    let_in, refused = (replace(GOOD, credential=end) for end in (Outcome.ESTABLISHED, Outcome.CLIENT_CERT_UNKNOWN_CA))
    why = "With --cert: established. Now: client certificate of an unknown authority."
    assert changes_between(let_in, refused) == (
        Change("client certificate", "established", "client certificate of an unknown authority", why),
    )
    assert changes_between(refused, refused) == ()
    (change,) = changes_between(GOOD, let_in)
    assert (change.what, change.before, change.after) == ("client certificate", None, "established")
    assert change.reason == "With --cert: not given. Now: established."
    (change,) = changes_between(refused, GOOD)
    assert change.after is None


@pytest.mark.parametrize(
    ("after", "whats"),
    [
        (
            replace(GOOD, versions=postures.versions(TLS_1_2, unknown=TLS_1_3)),
            ["TLS 1.3", "TLS_FALLBACK_SCSV"],
        ),
        (replace(GOOD, ciphers=()), ["TLS 1.2 RSA cipher suites", "TLS 1.3 cipher suites"]),
        (
            replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, complete=False), GOOD.ciphers[1])),
            ["TLS 1.2 RSA cipher suites"],
        ),
        (
            replace(GOOD, ciphers=(*GOOD.ciphers, postures.suites(TLS_1_2, certificate="ECDSA", complete=False))),
            ["TLS 1.2 ECDSA cipher suites"],
        ),
        (
            replace(GOOD, groups=(replace(GOOD.groups[0], groups=(), complete=False), GOOD.groups[1])),
            ["TLS 1.2 groups"],
        ),
        (replace(GOOD, groups=GOOD.groups[:1]), ["TLS 1.3 groups"]),
        (replace(GOOD, groups=GOOD.groups[1:], listed=False), ["TLS 1.2 groups", "ALPN", "certificates"]),
        (
            replace(GOOD, groups=(GOOD.groups[0], replace(GOOD.groups[1], server_decides=None))),
            ["TLS 1.3 preferred group"],
        ),
        (replace(GOOD, alpn=("h2",), alpn_complete=False), ["ALPN"]),
        (replace(GOOD, alpn_complete=False), ["ALPN"]),
        (replace(GOOD, certificates=(), certificates_complete=False), ["certificates"]),
        (replace(GOOD, certificates_complete=False), ["certificates"]),
        (replace(GOOD, client_authentication=ClientAuthentication.UNKNOWN), ["client authentication"]),
        (replace(GOOD, fallback_scsv=None), ["TLS_FALLBACK_SCSV"]),
        (replace(GOOD, clients=()), ["clients"]),
        (replace(GOOD, clients=(postures.refused("Chrome", unknown=True), *GOOD.clients[::2])), ["Chrome"]),
        (replace(GOOD, contradictions=("It was, and was not.",)), ["answers"]),
    ],
)
def test_the_unknown_is_never_unchanged(after: Posture, whats: Sequence[str]) -> None:
    """A row that is unknown on a side is told as such, once for a list, from either side, and from both."""
    if "TLS 1.3" in whats:
        after = replace(after, fallback_scsv=None)
    for first, last in ((GOOD, after), (after, GOOD)):
        found = changes_between(first, last)
        assert [change.what for change in found] == list(whats)
        assert all(change.unknown and not change.known for change in found)
        assert all([change.before, change.after].count(None) == 1 for change in found)
    both = changes_between(after, after)
    assert all(change.unknown for change in both)
    assert both or whats == ["clients"]


def test_what_is_known_of_an_incomplete_list() -> None:
    """What came or went for certain has its row, and what may have has one for the whole list."""
    part = replace(GOOD, ciphers=(postures.suites(TLS_1_2, "AES128-SHA", GCM, complete=False), GOOD.ciphers[1]))
    assert changes_between(GOOD, part) == (
        Change("TLS 1.2 RSA cipher suites, as far as known", "removed: none", "added: AES128-SHA"),
        Change(
            "TLS 1.2 RSA cipher suites",
            f"{GCM}, {CHACHA}, {GCM_256}",
            None,
            f"Seen: {GCM}, {CHACHA}, {GCM_256}. Now: AES128-SHA, {GCM}, and perhaps more.",
        ),
    )
    protocols = replace(GOOD, alpn=("h2", "istio"), alpn_complete=False)
    assert changes_between(protocols, GOOD) == (
        Change("ALPN, as far as known", "removed: istio", "added: none"),
        Change("ALPN", None, "h2, http/1.1", "Seen: h2, istio, and perhaps more. Now: h2, http/1.1."),
    )
    second = replace(CERTIFICATE, key="EC P-256")
    found = changes_between(GOOD, replace(GOOD, certificates=(second,), certificates_complete=False))
    assert [(change.what, change.known) for change in found] == [("EC certificate", True), ("certificates", False)]
    text = "CN=example.test, {}, until 2027-01-20 12:00, SHA-256 abababababababab"
    rsa, ec = (text.format(key) for key in ("RSA 2048", "EC P-256"))
    assert (found[1].before, found[1].after, found[1].reason) == (rsa, None, f"Seen: {rsa}. Now: {ec}.")
    nothing = replace(GOOD, ciphers=(postures.suites(TLS_1_2, complete=False), GOOD.ciphers[1]))
    (change,) = changes_between(GOOD, nothing)
    assert change.reason.endswith("Now: none, and perhaps more.")


def test_a_version_without_a_list() -> None:
    """Two scans that both lack the suites of a version that is offered are not alike."""
    without = replace(GOOD, ciphers=())
    assert [(change.what, change.before, change.after) for change in changes_between(without, without)] == [
        ("TLS 1.2 cipher suites", None, None),
        ("TLS 1.3 cipher suites", None, None),
    ]
    without = replace(GOOD, groups=())
    assert [change.what for change in changes_between(without, without)] == ["TLS 1.3 groups"]


def test_groups_below_tls_1_3() -> None:
    """They are listed in the newest version; a server without any has none there, and what is older is not asked."""
    rsa_only = replace(GOOD, groups=GOOD.groups[1:])
    assert changes_between(rsa_only, rsa_only) == ()
    older = replace(
        GOOD, versions=postures.versions(TLS_1_1, TLS_1_2, TLS_1_3), groups=(postures.groups(TLS_1_1, "x25519"),)
    )
    found = {change.what: change.unknown for change in changes_between(GOOD, older)}
    assert found["TLS 1.1 groups"] is False
    assert found["TLS 1.2 groups"] is False
    newest = replace(GOOD, versions=postures.versions(TLS_1_1, TLS_1_2, TLS_1_3), groups=GOOD.groups)
    assert "TLS 1.1 groups" in {change.what for change in changes_between(older, newest)}


def test_one_group_is_no_choice() -> None:
    """It is the preferred one as it was when there were others."""
    one = replace(GOOD, groups=(GOOD.groups[0], postures.groups(TLS_1_3, "X25519MLKEM768", decides=None)))
    assert "TLS 1.3 preferred group" not in {change.what for change in changes_between(GOOD, one)}
    assert (
        row(
            replace(GOOD, groups=(GOOD.groups[0], replace(GOOD.groups[1], complete=False))),
            one,
            "TLS 1.3 preferred group",
        )
        is None
    )


def test_clients_of_one_scan_only() -> None:
    """They are one row together, which says what to do."""
    few = replace(GOOD, clients=GOOD.clients[:1])
    advice = "Simulated once only: Chrome, IE 6 XP. Give both scans the same --clients."
    assert changes_between(GOOD, few) == (Change("clients", "Chrome, IE 6 XP", None, advice),)
    assert changes_between(few, GOOD) == (Change("clients", None, "Chrome, IE 6 XP", advice),)
    (change,) = changes_between(few, replace(GOOD, clients=GOOD.clients[1:]))
    assert (change.before, change.after) == (None, None)
    assert change.reason == "Simulated once only: Java 8u161, Chrome, IE 6 XP. Give both scans the same --clients."


def test_a_target_that_is_gone() -> None:
    """It is one row: that it answers no more is known, and of all else nothing is."""
    silent = Outcome.SILENT.value
    assert changes_between(GOOD, SILENT) == (Change("reachable", "yes", "no", f"reachable. Now: {silent}."),)
    assert changes_between(SILENT, GOOD) == (Change("reachable", "no", "yes", f"{silent}. Now: reachable."),)
    (both,) = changes_between(SILENT, SILENT)
    assert (both.what, both.before, both.after, both.unknown) == ("reachable", None, None, True)


@pytest.mark.parametrize("outcome", [Outcome.LOCAL_FAULT, Outcome.NOT_ASKED])
def test_a_fault_of_this_machine_is_no_change(outcome: Outcome) -> None:
    """Whether the target answers was not found out."""
    (change,) = changes_between(GOOD, replace(SILENT, unreachable=outcome))
    assert (change.before, change.after, change.unknown) == ("yes", None, True)


def test_two_answers_to_one_question() -> None:
    """A scan that contradicts itself may be like another, and says what was contradictory."""
    odd = replace(GOOD, contradictions=("it was", "it was not"))
    why = "the same each time. Now: it was; it was not."
    assert changes_between(GOOD, odd) == (Change("answers", "the same each time", None, why),)


def test_what_changed_in_a_pair() -> None:
    """The rows of both, or that the target is in one scan only."""
    assert changes(Pair("a", GOOD, GOOD)) == ()
    assert changes(Pair("a", GOOD, replace(GOOD, alpn=()))) == (Change("ALPN", "h2, http/1.1", "none"),)
    assert changes(Pair("a", GOOD, None)) == (Change("target", "was scanned", "was not scanned"),)
    assert changes(Pair("a", None, GOOD)) == (Change("target", "was not scanned", "was scanned"),)
