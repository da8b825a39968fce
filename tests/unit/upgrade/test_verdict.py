"""The verdict: the worst of what is known, and never safe where something is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from meshproof.errors import ExitCode
from meshproof.traffic import Calibration
from meshproof.upgrade.evidence import Evidence, Pressure, Stop, Visit
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from tests.support.upgrades import (
    ACKNOWLEDGED,
    EAST_WEST,
    EXPECTED,
    GATEWAY,
    LOST,
    MACHINE,
    ROWS,
    STATES,
    UNEXPLAINED,
    at,
    flown,
    good,
    judged,
    probe,
    stopped,
    verdicts,
    visits,
)

OPEN = {"probes": [probe(let_through=[27.0, 25.5])]}
STOP = Stop(STATES[2], "Tried to have the gateways of 1.31.0: no pod was ready within 180 s.", "Read its log.")


def test_an_upgrade_that_does_nothing_wrong_is_safe() -> None:
    """Without a finding; what is expected or acknowledged is no change."""
    assert judged(differences=[EXPECTED, ACKNOWLEDGED]) == []
    assert verdict_of([]) is Verdict.SAFE


@pytest.mark.parametrize(
    ("changes", "verdict", "state", "text"),
    [
        pytest.param(
            OPEN,
            Verdict.FAIL_OPEN,
            "S2",
            "2 of 600 requests that must be refused (no client certificate) got in, the first with ANSWERED 418.",
            id="a request got in",
        ),
        pytest.param(
            {"visits": visits(S3=[1], S4=[1])},
            Verdict.REGRESSION,
            "S3",
            f"{ROWS[1]} was kept in S0, and is broken in S3 mixed sidecars.",
            id="a row is broken, and stays so",
        ),
        pytest.param({"stop": STOP}, Verdict.DID_NOT_FINISH, "S2", STOP.what, id="a rollout is stuck"),
        pytest.param(
            {"stop": replace(STOP, what="It was ended.", interrupted=True)},
            Verdict.INTERRUPTED,
            "S2",
            "It was ended.",
            id="a person ended it",
        ),
        pytest.param(
            LOST,
            Verdict.DISRUPTION,
            "S2",
            f"{GATEWAY} lost 2 of 1,200 requests (RESET); the budget is 0.",
            id="requests were lost",
        ),
        pytest.param(
            {"flows": [flown(EAST_WEST, silent=(33, 39.5))]},
            Verdict.DISRUPTION,
            "S3",
            f"{EAST_WEST} had no answer for 6,550 ms; the budget is 5,000 ms.",
            id="a long gap without a loss",
        ),
        pytest.param(
            {"differences": [EXPECTED, UNEXPLAINED]},
            Verdict.CHANGED,
            "S2",
            f"{UNEXPLAINED.name}: {UNEXPLAINED.before} is now {UNEXPLAINED.after}.",
            id="a posture changed",
        ),
        pytest.param(
            MACHINE,
            Verdict.INCONCLUSIVE,
            "S2",
            "The control client, which does not cross the mesh, lost 1 of 1,200 requests: the machine may have been "
            "at fault.",
            id="the control lost something",
        ),
    ],
)
def test_each_verdict_has_its_reason_and_its_state(
    changes: dict[str, Any], verdict: Verdict, state: str, text: str
) -> None:
    """One thing that is wrong is one finding, with the state in which it was so."""
    (finding,) = judged(**changes)
    assert (finding.verdict, finding.state.key, finding.text) == (verdict, state, text)
    assert finding.to_do


def test_the_worst_is_the_verdict() -> None:
    """All reasons are there, in the order in which they matter; those of one kind in the order of time."""
    changes = {
        **OPEN,
        **LOST,
        "controls": [flown("control", lost=[1190])],
        "visits": visits(S1=[0]),
        "stop": STOP,
        "differences": [UNEXPLAINED],
    }
    order = [
        Verdict.FAIL_OPEN,
        Verdict.REGRESSION,
        Verdict.DID_NOT_FINISH,
        Verdict.DISRUPTION,
        Verdict.CHANGED,
        Verdict.INCONCLUSIVE,
    ]
    findings = judged(**changes)
    assert verdicts(findings) == order
    for number, verdict in enumerate(order):
        assert verdict_of(findings[number:][::-1]) is verdict
    assert [finding.at_ns for finding in judged(probes=[probe(let_through=[30.0]), probe(let_through=[12.0])])] == [
        at(12.0),
        at(30.0),
    ]


def test_each_verdict_has_an_exit_code_of_its_own() -> None:
    """A script can tell them apart."""
    codes = {verdict: verdict.value for verdict in Verdict}
    assert len(set(codes.values())) == len(Verdict)
    assert codes[Verdict.SAFE] is ExitCode.DONE
    assert codes[Verdict.INCONCLUSIVE] is ExitCode.UNKNOWN


def test_what_was_open_before_the_upgrade_is_not_its_fault() -> None:
    """There is no state before to compare with; it is as open all the same."""
    (finding,) = judged(probes=[probe(let_through=[5.0, 6.0])])
    assert (finding.verdict, finding.state.key) == (Verdict.FAIL_OPEN, "S0")
    assert finding.text.endswith("got in, the first with ANSWERED 418: that was open before the upgrade.")
    assert finding.to_do.startswith("It was open already")
    (finding,) = judged(probes=[probe(let_through=[5.0, 27.0, 28.0])])
    assert finding.text.endswith("with ANSWERED 418: 1 of them before the upgrade, and 2 since then.")
    assert finding.to_do.startswith("It was open already")
    (finding,) = judged(**OPEN)
    assert finding.to_do.endswith("with those of the state before.")


def test_another_certificate_for_an_unknown_name_is_explained() -> None:
    """A Gateway for all names takes it: a user who has one is to know that."""
    taken = [replace(attempt, what="UNTRUSTED") for attempt in probe(let_through=[27.0]).let_through]
    (finding,) = judged(probes=[replace(probe(), let_through=taken)])
    assert finding.verdict is Verdict.FAIL_OPEN
    assert "`hosts: ['*']`" in finding.to_do


def test_an_inconclusive_run_does_not_hide_a_fail_open() -> None:
    """What got in got in, whatever the machine was doing."""
    assert verdict_of(judged(**OPEN, **MACHINE)) is Verdict.FAIL_OPEN
    assert verdict_of(judged(**OPEN, controls=[])) is Verdict.FAIL_OPEN


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sees": False}, "was not shown in this run to see a request that is let through"),
        ({"refusals": 0}, "was not refused once in 600 tries"),
        ({"unknown": {"TIMED_OUT": 540}, "refusals": 60}, "was neither refused nor let through in 540 of 600 tries"),
        ({"refused_ns": probe().refused_ns[:90]}, "was not tried until the upgrade was done"),
        ({"refused_ns": probe().refused_ns[101:]}, "was not tried when the upgrade began"),
        ({"longest_ms": 1400.0}, "had no refusal for 1,400 ms, and 1,000 ms are allowed: something could have"),
        ({"control": flown("control", lost=range(1200))}, "has a control that never got in"),
        (
            {"control": flown("control", silent=(40, 43))},
            "has a control that did not get in for 3,050 ms, and 1,000",
        ),
    ],
    ids=[
        "not shown to see",
        "never refused",
        "mostly unknown",
        "ended early",
        "began late",
        "seldom refused",
        "control refused",
        "control refused for a while",
    ],
)
def test_a_probe_that_could_not_notice_says_so(change: dict[str, Any], why: str) -> None:
    """Its silence is no proof, and the upgrade is not safe."""
    (finding,) = judged(probes=[replace(probe(), **change), probe("another")])
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert f"no client certificate {why}" in finding.text


def test_a_probe_may_have_a_few_tries_that_are_unknown() -> None:
    """One in ten, between refusals, could not hide a hole of a second."""
    assert judged(probes=[probe(unknown=range(0, 600, 10))]) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"flows": []}, "No traffic was sent"),
        ({"flows": [flown(GATEWAY, until=0)]}, "sent nothing"),
        ({"flows": [flown(GATEWAY, until=40)]}, "was not sent until the upgrade was done"),
        ({"flows": [flown(GATEWAY, silent=(0, 12))]}, "was not sent when the upgrade began"),
        ({"probes": []}, "Nothing was tried that must be refused"),
        ({"controls": []}, "There was no control client"),
        ({"controls": [flown("control", until=0)]}, "sent nothing"),
        ({"controls": [flown("control", late_ms=1300)]}, "sent its requests 1,300 ms late"),
        ({"controls": [flown("control", until=0.05)]}, "The control client control did not send until the upgrade was"),
        ({"controls": [flown("control", until=50)]}, "The control client control did not send until the upgrade was"),
        ({"controls": [flown("control", silent=(0, 12))]}, "The control client control did not send when the upgrade"),
        ({"calibration": []}, "The traffic recorder was not calibrated"),
        ({"calibration": [Calibration(GATEWAY, 4, 3, (), 20)]}, "The traffic recorder can't be believed"),
    ],
    ids=[
        "no flows",
        "an empty flow",
        "a flow that ends early",
        "a flow that begins late",
        "no probes",
        "no control",
        "an empty control",
        "a late control",
        "a control with one request",
        "a control that ends early",
        "a control that begins late",
        "no calibration",
        "a recorder that misses losses",
    ],
)
def test_what_was_not_looked_at_is_not_safe(changes: dict[str, Any], why: str) -> None:
    """It is unknown, and unknown is not safe."""
    (finding,) = judged(**changes)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert why in finding.text


def rows(state: int, result: str | None) -> list[Visit]:
    """Return the visits with the first row other than kept in one state; None is not there."""
    changed = visits()
    of_state = {row: kept for row, kept in changed[state].rows.items() if row != ROWS[0]}
    changed[state] = replace(changed[state], rows=of_state | ({ROWS[0]: result} if result else {}))
    return changed


def with_another_row(result: str) -> list[Visit]:
    """Return the visits with a row more from S2 on."""
    return [
        replace(visit, rows={**visit.rows, "tests/e2e/test_new.py::test_it": result}) if number >= 2 else visit
        for number, visit in enumerate(visits())
    ]


def all_known_to_be_broken() -> list[Visit]:
    """Return the visits with rows that nobody expects to be kept."""
    return [replace(visit, rows=dict.fromkeys(ROWS, "known broken")) for visit in visits()]


def test_a_row_that_was_known_to_be_broken_and_is_broken_is_a_change() -> None:
    """It is broken otherwise than somebody has said; where it is kept that is no finding."""
    before = replace(visits()[0], rows={**visits()[0].rows, ROWS[0]: "known broken"})
    assert judged(visits=[before, *visits()[1:]]) == []
    (finding,) = judged(visits=[before, *visits(S2=[0], S3=[0])[1:]])
    assert (finding.verdict, finding.state.key) == (Verdict.CHANGED, "S2")


@pytest.mark.parametrize(
    ("made", "verdict", "why"),
    [
        (lambda: rows(3, "not tried"), Verdict.REGRESSION, "and could not be tried in S3"),
        (lambda: rows(3, "skipped"), Verdict.INCONCLUSIVE, "was not run in S3 mixed sidecars"),
        (lambda: rows(3, None), Verdict.INCONCLUSIVE, "was not run in S3 mixed sidecars"),
        (lambda: rows(3, "known broken"), Verdict.CHANGED, "was kept in S0, and is known broken in S3"),
        (
            lambda: with_another_row("not tried"),
            Verdict.INCONCLUSIVE,
            "is not tried in S2 new gateways, and was not run",
        ),
        (
            lambda: with_another_row("broken"),
            Verdict.INCONCLUSIVE,
            "is broken in S2 new gateways, and was not run before",
        ),
        (all_known_to_be_broken, Verdict.INCONCLUSIVE, "No row was kept before the upgrade"),
        (lambda: rows(0, "broken"), Verdict.INCONCLUSIVE, "is broken before the upgrade"),
        (lambda: rows(0, "not tried"), Verdict.INCONCLUSIVE, "is not tried before the upgrade"),
        (lambda: [replace(visit, rows={}) for visit in visits()], Verdict.INCONCLUSIVE, "No row was run"),
        (
            lambda: [*visits()[:4], replace(visits()[4], rows={})],
            Verdict.INCONCLUSIVE,
            "and 2 more rows were not run in S4",
        ),
        (lambda: [*visits()[:4], replace(visits()[4], facts={})], Verdict.INCONCLUSIVE, "Nothing was seen of the mesh"),
    ],
    ids=[
        "could not be tried any more",
        "skipped",
        "gone",
        "known to be broken",
        "not tried, and not there before",
        "broken, and not there before",
        "known to be broken all the time",
        "broken before",
        "not tried before",
        "no rows at all",
        "no rows in a state",
        "no facts in a state",
    ],
)
def test_a_row_that_is_not_known_to_be_kept(made: Callable[[], list[Visit]], verdict: Verdict, why: str) -> None:
    """One that can't be tried any more is a regression; of one that was not run nothing is known."""
    (finding,) = judged(visits=made())
    assert finding.verdict is verdict
    assert why in finding.text


def interrupted(**changes: Any) -> Evidence:  # noqa: ANN401 - whatever is otherwise
    """Return an upgrade that a person has ended on its way to S2: what came after it is not there."""
    changed = visits()[:3]
    of_last = dict.fromkeys(ROWS, "not tried")
    changed[2] = replace(changed[2], reached_ns=None, rows=of_last, facts={})
    stop = replace(STOP, what="Ctrl-C ended it on the way to S2.", interrupted=True)
    flows = [flown(GATEWAY, until=21)]
    return replace(good(), visits=changed, stop=stop, flows=flows, **changes)


def test_an_upgrade_that_is_interrupted_says_so() -> None:
    """What nobody got to is no regression and no doubt; what was seen before counts."""
    assert verdicts(judge(interrupted())) == [Verdict.INTERRUPTED]
    assert verdict_of(judge(interrupted(differences=[UNEXPLAINED]))) is Verdict.INTERRUPTED
    assert verdict_of(judge(interrupted(**OPEN))) is Verdict.FAIL_OPEN


def test_an_upgrade_that_is_interrupted_at_once_is_judged() -> None:
    """There is the first state, and it was not reached; that nothing was sent needs no sentences of its own."""
    first = replace(visits()[0], reached_ns=None, rows={}, facts={})
    nothing = {"visits": [first], "flows": [], "probes": [], "controls": [], "differences": [], "calibration": []}
    (finding,) = judged(**nothing, stop=replace(STOP, state=STATES[0], interrupted=True))
    assert finding.verdict is Verdict.INTERRUPTED


def test_a_flow_that_ends_before_the_upgrade_was_interrupted_is_not_known() -> None:
    """Also in a state that was not reached something is sent."""
    early = replace(stopped(), flows=[flown(GATEWAY, until=19)])
    assert any("was not sent until the upgrade was done" in finding.text for finding in judge(early))


def test_what_could_not_be_found_out_is_no_change() -> None:
    """Nobody knows whether it differs: that is inconclusive."""
    (finding,) = judged(differences=[replace(UNEXPLAINED, after="unknown: no answer")])
    assert (finding.verdict, finding.subject, finding.state.key) == (Verdict.INCONCLUSIVE, UNEXPLAINED.name, "S2")


def test_a_long_fact_is_cut() -> None:
    """A finding is a sentence; the report has the whole fact elsewhere."""
    (finding,) = judged(differences=[replace(UNEXPLAINED, before="a\nb " * 500, after="")])
    assert len(finding.text) < 300
    assert finding.text.endswith("… is now nothing.")


def test_a_broken_row_says_why_and_where_its_log_is() -> None:
    """In the line that its own report has, with the file's way from the report."""
    broken = visits(S3=[1])
    broken[3] = replace(broken[3], reasons={ROWS[1]: "AssertionError: the answer was 503"})
    (finding,) = judged(visits=broken)
    assert finding.text.endswith("is broken in S3 mixed sidecars. Its report says: AssertionError: the answer was 503")
    assert finding.to_do.startswith("Read more in S3/pytest.log, beside this report. If that is meant, ")
    (finding,) = judged(visits=visits(S3=[1]))
    assert finding.to_do.startswith("Read why in S3/pytest.log, beside this report. If that is meant, ")


def test_a_row_that_was_broken_before_says_why() -> None:
    """As one that the upgrade broke."""
    first, *later = visits(S0=[1], S1=[1], S2=[1], S3=[1], S4=[1])
    (finding,) = judged(visits=[replace(first, reasons={ROWS[1]: "no such host"}), *later])
    assert finding.text.endswith("no regression, and no proof. Its report says: no such host")


def test_a_probe_that_was_tried_too_seldom_says_how_busy_the_machine_was_then() -> None:
    """With the figure of that time, and to run it again; where there is none nothing is made up."""
    moment = at(25)
    seldom = [replace(probe(), longest_ms=1400.0, longest_from_ns=moment)]
    for pressure, sentence in (
        (
            [Pressure(at(2), 99.0, 0, 0), Pressure(at(27), 71.0, 0, 0)],
            " Some tasks waited for a processor for at most 71% of ten seconds then.",
        ),
        ([], ""),
    ):
        (finding,) = judged(probes=seldom, pressure=pressure)
        assert finding.text == (
            "The fail-open probe no client certificate had no refusal for 1,400 ms, and 1,000 ms are allowed: "
            f"something could have been let through meanwhile.{sentence}"
        )
        assert finding.to_do.startswith("Look at its control in the report.")
