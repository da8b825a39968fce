"""The difference: what is the same is silent, what is not tells before and after, the unknown is never the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from meshproof.posture.difference import Change, difference, pairs
from meshproof.tls.outcome import Outcome
from meshproof.tls.posture import ClientAuthentication, Posture, Target
from meshproof.tls.stream import Address
from tests.unit import postures
from tests.unit.postures import CERTIFICATE, CHACHA, GCM, GCM_256, GOOD, SILENT, TLS_1_0, TLS_1_2, TLS_1_3, WEAK


def row(before: Posture, after: Posture, what: str) -> Change | None:
    """Return a row; None when it did not change."""
    return next((change for change in difference(before, after) if change.what == what), None)


@pytest.mark.parametrize("posture", [GOOD, WEAK])
def test_the_same_is_the_same(posture: Posture) -> None:
    """Two scans of one server differ in nothing, whenever they were made."""
    assert difference(posture, replace(posture, began=postures.BEGAN + timedelta(days=1), seconds=9.9)) == ()


@pytest.mark.parametrize(
    ("after", "what", "old", "new"),
    [
        (replace(GOOD, versions=postures.versions(TLS_1_0, TLS_1_2, TLS_1_3)), "TLS 1", "not offered", "offered"),
        (
            replace(GOOD, ciphers=(postures.suites(TLS_1_2, f"{GCM}|{CHACHA}"), GOOD.ciphers[1])),
            f"TLS 1.2 RSA {GCM_256}",
            "offered",
            "not offered",
        ),
        (
            replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, "AES128-SHA", CHACHA, GCM_256), GOOD.ciphers[1])),
            "TLS 1.2 RSA order",
            f"{GCM} = {CHACHA} > {GCM_256}",
            f"{GCM} > {CHACHA} > {GCM_256}",
        ),
        (
            replace(GOOD, ciphers=(*GOOD.ciphers, postures.suites(TLS_1_2, "AES128-SHA", certificate="ECDSA"))),
            "TLS 1.2 ECDSA AES128-SHA",
            "not offered",
            "offered",
        ),
        (
            replace(GOOD, ciphers=(*GOOD.ciphers, postures.suites(TLS_1_0, "AES128-SHA"))),
            "TLS 1 RSA AES128-SHA",
            "not offered",
            "offered",
        ),
        (
            replace(GOOD, groups=(GOOD.groups[0], postures.groups(TLS_1_3, "x25519", "secp256r1"))),
            "TLS 1.3 X25519MLKEM768",
            "offered",
            "not offered",
        ),
        (
            replace(GOOD, groups=(GOOD.groups[0], replace(GOOD.groups[1], server_decides=False))),
            "TLS 1.3 preferred group",
            "X25519MLKEM768",
            "the client's",
        ),
        (replace(GOOD, alpn=("h2",)), "ALPN", "h2, http/1.1", "h2"),
        (
            replace(GOOD, client_authentication=ClientAuthentication.REQUIRED),
            "client certificate",
            "not requested",
            "required",
        ),
        (replace(GOOD, fallback_scsv=False), "downgrade", "noticed", "not noticed"),
    ],
)
def test_what_changed_is_a_row(after: Posture, what: str, old: str, new: str) -> None:
    """It tells before and after, and the same the other way round."""
    assert row(GOOD, after, what) is not None
    for first, last, words in ((GOOD, after, (old, new)), (after, GOOD, (new, old))):
        change = row(first, last, what)
        assert change
        assert (change.before, change.after, change.unknown) == (*words, False)


def test_a_new_certificate_is_a_row() -> None:
    """Another serial of the same subject is another certificate."""
    change = row(GOOD, replace(GOOD, certificates=(replace(CERTIFICATE, fingerprint="cd" * 32),)), "RSA certificate")
    assert change
    assert "SHA-256 abab" in str(change.before)
    assert "SHA-256 cdcd" in str(change.after)
    second = replace(CERTIFICATE, key="EC P-256")
    added = row(GOOD, replace(GOOD, certificates=(CERTIFICATE, second)), "EC certificate")
    assert added
    assert added.before == "none"


def test_a_client_changes_with_its_reason() -> None:
    """What it got, what it gets and why; other words for the same result are no change."""
    lost = replace(GOOD, clients=(postures.refused("Chrome"), *GOOD.clients[::2]))
    change = row(GOOD, lost, "Chrome")
    assert change
    assert change.before == "TLSv1.3  TLS_AES_128_GCM_SHA256  253 bit ECDH (X25519)"
    assert change.after == "No connection: alert 40 handshake_failure"
    assert change.reason == "It offers the server's first choice. Now: It has no suite in common."
    assert len(difference(GOOD, lost)) == 1
    reworded = replace(GOOD, clients=tuple(replace(client, reason="Because.") for client in GOOD.clients))
    assert difference(GOOD, reworded) == ()


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (replace(GOOD, versions=postures.versions(TLS_1_2, unknown=TLS_1_3)), "TLS 1.3"),
        (replace(GOOD, ciphers=()), f"TLS 1.2 RSA {GCM}"),
        (replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, complete=False),)), f"TLS 1.2 RSA {CHACHA}"),
        (replace(GOOD, groups=(replace(GOOD.groups[0], groups=(), complete=False),)), "TLS 1.2 X25519"),
        (replace(GOOD, alpn=(), ciphers=()), "ALPN"),
        (replace(GOOD, certificates=()), "RSA certificate"),
        (replace(GOOD, fallback_scsv=None), "downgrade"),
        (replace(GOOD, clients=()), "Chrome"),
        (replace(GOOD, clients=(postures.refused("Chrome", unknown=True),)), "Chrome"),
    ],
)
def test_the_unknown_is_never_unchanged(after: Posture, what: str) -> None:
    """A row that is unknown on a side is told as such, from either side, and from both."""
    for first, last in ((GOOD, after), (after, GOOD)):
        change = row(first, last, what)
        assert change
        assert change.unknown
        assert [change.before, change.after].count(None) == 1


def test_two_silent_targets_are_not_alike() -> None:
    """Nothing is known of either, so no version is unchanged."""
    changes = difference(SILENT, SILENT)
    rows = {change.what for change in changes}
    assert {"TLS 1.2", "TLS 1.3", "ALPN", "client certificate", "downgrade", "Chrome"} <= rows
    assert all(change.unknown for change in changes)
    gone = row(GOOD, SILENT, "reachable")
    assert gone == Change("reachable", "yes", "no", Outcome.SILENT.value)


def at(host: str, port: int, sni: str | None) -> Posture:
    """Return the good posture of another target."""
    return replace(GOOD, target=Target(Address(host, port), sni))


def test_targets_find_each_other() -> None:
    """Address and name go before port and name, and these before the name alone; what is left is alone."""
    a, b, c = at("10.0.0.1", 443, "a.test"), at("10.0.0.1", 443, "b.test"), at("10.0.0.1", 8443, "a.test")
    moved, elsewhere, other = at("10.0.0.2", 443, "a.test"), at("10.0.0.2", 9443, "b.test"), at("10.0.0.2", 443, None)
    assert pairs([a, b, c], [c, b, a]) == [(a, a), (b, b), (c, c)]
    assert pairs([a, b], [elsewhere, moved]) == [(a, moved), (b, elsewhere)]
    assert pairs([a, b], [b, other]) == [(a, None), (b, b), (None, other)]
    assert pairs([a], [other]) == [(a, other)]
    assert pairs([], [a, b]) == [(None, a), (None, b)]
