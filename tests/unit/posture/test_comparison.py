"""What is asked of a posture without a file: the gate, our own certificate, and what is known at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from meshproof.posture.comparison import (
    Row,
    all_groups_known,
    concluded,
    fallback,
    gaps,
    gate,
    gate_of_gateway,
    group_order,
    labels,
    let_in,
    not_refused,
    row,
    verdict_of_certificate,
    was_read,
)
from meshproof.posture.verdict import Severity, judge
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.outcome import UNDECIDED, WORDLESS, Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import UNREADABLE, ClientResult, Posture
from tests.support import postures
from tests.support.postures import BEGAN, CERTIFICATE, GOOD, SILENT, TLS_1_0, TLS_1_2, TLS_1_3, WEAK

TLS_1_1 = ProtocolVersion.TLS_1_1


def test_a_row_is_met_or_unknown_or_deviates() -> None:
    """It is exactly one of the three, and what is not known is never met."""
    kinds = {
        (met, known): row("what", "expected", "seen", met=met, known=known)
        for met in (True, False)
        for known in (True, False)
    }
    assert {key: (each.met, each.unknown, each.deviates) for key, each in kinds.items()} == {
        (True, True): (True, False, False),
        (False, True): (False, False, True),
        (True, False): (False, True, False),
        (False, False): (False, True, False),
    }


@pytest.mark.parametrize("worst", Severity)
def test_the_gate_lets_pass_what_is_not_so_bad(worst: Severity) -> None:
    """Findings of the severity that is named, or worse, are rows; others are not."""
    through = list(Severity)[: list(Severity).index(worst) + 1]
    wanted = [finding for finding in judge(WEAK) if finding.severity in through]
    rows = [each for each in gate(replace(WEAK, listed=True), worst) if not each.unknown]
    assert len(rows) == len(wanted) > 0
    assert [each.what for each in rows] == [f"{finding.severity}: {finding.id}" for finding in wanted]
    assert all(each.deviates for each in rows)
    assert (
        rows[0].expected
        == {
            "broken": "nothing broken",
            "weak": "nothing broken or weak",
            "note": "nothing broken or weak or note",
        }[worst.value]
    )
    assert (rows[0].seen, rows[0].why) == ("; ".join(wanted[0].what), wanted[0].why)
    assert gate_of_gateway(wanted, worst) == tuple(rows)


def test_a_manifest_without_findings_passes_the_gate() -> None:
    """So does one whose findings are not as bad."""
    (note,) = (finding for finding in judge(WEAK) if finding.id == "dhe")
    for findings in ((), (note,)):
        (found,) = gate_of_gateway(findings, Severity.WEAK)
        assert found == Row("settings", "nothing broken or weak", "nothing broken or weak", met=True)


def test_the_gate_asks_for_the_whole_posture() -> None:
    """One that has nothing weak passes, unless a part of it is unknown; one that did not answer is unknown."""
    assert gate(GOOD, Severity.NOTE) == (
        Row("verdict", "nothing broken or weak or note", "nothing broken or weak or note", met=True),
    )
    part = replace(GOOD, alpn_complete=False, credential=Outcome.SILENT)
    assert gate(part, Severity.BROKEN) == gaps(part)
    assert gaps(part) == (
        Row("application protocols", "known", "not all was answered", unknown=True),
        Row("the given client certificate", "known", "silent until the deadline", unknown=True),
    )
    assert gaps(GOOD) == ()
    assert gate(SILENT, Severity.NOTE) == (Row("target", "an answer", "silent until the deadline", unknown=True),)


@pytest.mark.parametrize("outcome", Outcome)
def test_what_a_server_makes_of_our_certificate(outcome: Outcome) -> None:
    """It lets us in, says no, or does not ask; an end without a word, or in order too early, is none of these."""
    silent = outcome in UNDECIDED | WORDLESS | {Outcome.CLOSED_IN_ORDER}
    ends = {Outcome.ESTABLISHED: "accepted", Outcome.CLIENT_CERT_NOT_REQUESTED: "not asked for"}
    expected = None if silent else ends.get(outcome, "refused")
    assert verdict_of_certificate(outcome) == expected
    found = let_in(replace(GOOD, credential=outcome))
    accepted = expected == "accepted"
    assert (found.met, found.deviates, found.unknown) == (accepted, not (accepted or silent), silent)
    if expected != "not asked for":
        assert not_refused(replace(GOOD, credential=outcome)) == found
    else:
        assert let_in(replace(GOOD, credential=outcome), "refused").deviates
        assert not_refused(replace(GOOD, credential=outcome)).met
    assert found.seen == (f"refused: {outcome.value}" if expected == "refused" else outcome.value)


def test_a_certificate_that_was_not_given() -> None:
    """Nobody knows what becomes of it."""
    what = Row("client certificate", "refused", "none was given: scan with --cert and --key", unknown=True)
    assert let_in(GOOD, "refused") == what


def test_what_is_concluded_of_a_client() -> None:
    """A connection or a refusal; nothing, if the scan says so, the end decides nothing, or the answer is cut off."""
    chrome, ie = GOOD.clients[1:]
    assert concluded(chrome)
    assert concluded(ie)
    assert not concluded(replace(chrome, unknown=True))
    assert not concluded(ClientResult("x", Answer(outcome=Outcome.NEGOTIATED, version=TLS_1_2), ""))
    assert not concluded(ClientResult("x", Answer(outcome=Outcome.UNSTABLE), ""))


@pytest.mark.parametrize(
    ("posture", "expected"),
    [
        (GOOD, "honoured"),
        (replace(GOOD, fallback_scsv=False), "ignored"),
        (replace(GOOD, fallback_scsv=None), None),
        (replace(GOOD, fallback_scsv=None, versions=postures.versions(TLS_1_3)), "no older version to fall back to"),
        (replace(GOOD, fallback_scsv=None, versions=postures.versions()), "no older version to fall back to"),
        (replace(GOOD, fallback_scsv=None, versions=postures.versions(TLS_1_3, unknown=TLS_1_0)), None),
        (
            replace(GOOD, fallback_scsv=None, versions=postures.versions(TLS_1_3, unknown=ProtocolVersion.SSL_3)),
            "no older version to fall back to",
        ),
        (replace(GOOD, fallback_scsv=None, versions={TLS_1_3: postures.OFFERED}), None),
    ],
)
def test_a_downgrade(posture: Posture, expected: str | None) -> None:
    """It needs two versions from TLS 1.0 on; a version that was not asked for may be one."""
    assert fallback(posture) == expected


def test_groups_of_a_version() -> None:
    """Those that were listed; none at all where there can be none; and none that are known otherwise."""
    assert group_order(GOOD, TLS_1_2) is GOOD.groups[0]
    assert group_order(GOOD, TLS_1_3) is GOOD.groups[1]
    without = replace(GOOD, groups=())
    assert group_order(without, TLS_1_0).complete
    assert group_order(without, TLS_1_2).complete
    assert group_order(without, TLS_1_2).groups == ()
    assert group_order(without, TLS_1_2).version is TLS_1_2
    assert not group_order(replace(without, listed=False), TLS_1_2).complete
    assert not group_order(without, TLS_1_3).complete
    assert not group_order(replace(without, versions=postures.versions(unknown=TLS_1_2)), TLS_1_2).complete
    both = replace(without, versions=postures.versions(TLS_1_1, TLS_1_2))
    assert group_order(both, TLS_1_2).complete
    assert not group_order(both, TLS_1_1).complete


@pytest.mark.parametrize(
    ("posture", "known"),
    [
        (GOOD, True),
        (replace(GOOD, groups=GOOD.groups[1:]), True),
        (replace(GOOD, groups=GOOD.groups[:1]), False),
        (replace(GOOD, groups=(replace(GOOD.groups[0], complete=False), GOOD.groups[1])), False),
        (replace(GOOD, versions=postures.versions(TLS_1_3), groups=GOOD.groups[1:]), True),
        (replace(GOOD, versions=postures.versions(TLS_1_3, unknown=TLS_1_1), groups=GOOD.groups[1:]), False),
        (replace(GOOD, versions=postures.versions(TLS_1_2, TLS_1_3, unknown=TLS_1_1)), True),
        (replace(GOOD, versions=postures.versions(TLS_1_2, unknown=TLS_1_3), groups=GOOD.groups[:1]), False),
        (replace(GOOD, versions=postures.versions(TLS_1_0), groups=()), True),
        (replace(GOOD, versions=postures.versions(), groups=()), True),
    ],
)
def test_whether_all_groups_are_known(posture: Posture, known: bool) -> None:  # noqa: FBT001 - a row
    """Below TLS 1.3 the newest version tells; where no version is offered for certain, one that may be hides some."""
    assert all_groups_known(posture) is known


def test_what_was_read_of_a_certificate() -> None:
    """A text, a size or a moment that could not be read has a word, or a year, of its own."""
    for field in ("CN=unknown", "O=the unknown", "RSA 2048", BEGAN, CERTIFICATE.not_after):
        assert was_read(field)
    for kind in ("RSA ", "EC ", "DSA ", ""):
        assert not was_read(f"{kind}unknown")
        assert not was_read(f"{kind}{UNREADABLE}")
    assert not was_read(datetime.min.replace(tzinfo=UTC))
    assert not was_read(datetime.max.replace(tzinfo=UTC))


def test_what_postures_are_called() -> None:
    """By their targets; with the address where a target has several, if that is known."""
    other = replace(GOOD, target=GOOD.target._replace(sni="b.test"))
    second = replace(GOOD, endpoint="127.0.0.2:443")
    name = "127.0.0.1:443 (example.test)"
    assert labels([GOOD, other]) == [name, "127.0.0.1:443 (b.test)"]
    assert labels([GOOD, second, other]) == [
        f"{name} at 127.0.0.1:443",
        f"{name} at 127.0.0.2:443",
        "127.0.0.1:443 (b.test)",
    ]
    assert labels([replace(GOOD, endpoint=None), second]) == [name, f"{name} at 127.0.0.2:443"]
    assert labels([]) == []
