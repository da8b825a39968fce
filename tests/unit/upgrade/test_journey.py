"""How far an upgrade has come: whatever ends it, and whenever, there is something to be judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshproof.errors import BadOutput, ClusterError, MeshproofError
from meshproof.upgrade.evidence import Budget, Evidence, Side, Strategy
from meshproof.upgrade.journey import Journey
from meshproof.upgrade.order import Order
from meshproof.upgrade.rates import USUAL, Load
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from tests.support.upgrades import ROWS

BEFORE, AFTER = Side("1.30", "1.30", "", "1.34.4"), Side("1.31.0", "1.31.0", "", "1.34.4")
KEPT = dict.fromkeys(ROWS, "kept")


def order(strategy: Strategy = Strategy.CANARY) -> Order:
    """Return what is asked for."""
    return Order(BEFORE, AFTER, strategy, False, (), Budget(), (), Path("artifacts"))


def visited(journey: Journey, number: int = 1) -> Journey:
    """Go through so many states in which all is well."""
    for stage in journey.stages[:number]:
        journey.sets_out_for(stage.state)
        journey.reaches()
        journey.sees(facts={"a fact": "as it was"})
        journey.sees(rows=KEPT)
        journey.leaves()
    return journey


def said(evidence: Evidence) -> tuple[Verdict, str]:
    """Return the verdict, and the first sentence."""
    findings = judge(evidence)
    return verdict_of(findings), findings[0].text


def test_an_interrupt_before_anything_was_looked_at_has_a_report() -> None:
    """It says what was being done; the first state is there, and was not reached."""
    journey = Journey(order())
    with journey.ended_in_order():
        raise KeyboardInterrupt
    evidence = journey.evidence()
    assert said(evidence) == (
        Verdict.INTERRUPTED,
        "It was interrupted while it was to bring up a cluster with both meshes; install the old one.",
    )
    assert [(visit.state.key, visit.reached_ns) for visit in evidence.visits] == [("S0", None)]


def test_a_cluster_that_does_not_come_up_is_an_upgrade_that_did_not_finish() -> None:
    """With the error's own sentence."""
    journey = Journey(order())
    with journey.ended_in_order():
        raise ClusterError("kind failed.")
    assert said(journey.evidence()) == (
        Verdict.DID_NOT_FINISH,
        "Tried to bring up a cluster with both meshes; install the old one, and it could not be done: kind failed.",
    )
    assert journey.stop
    assert journey.stop.to_do == "Mend what is said here; until then nothing was looked at."


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(KeyboardInterrupt(), Verdict.INTERRUPTED), (ClusterError("No pod was ready."), Verdict.DID_NOT_FINISH)],
    ids=["an interrupt", "an error"],
)
def test_what_was_seen_in_a_state_is_kept(error: KeyboardInterrupt | MeshproofError, verdict: Verdict) -> None:
    """Also of the state in which it ends, and on the way to one."""
    journey = visited(Journey(order()))
    journey.sets_out_for(journey.stages[1].state)
    journey.reaches()
    journey.sees(facts={"a fact": "as it was"})
    journey.doing = "try the rows"
    journey.end(error)
    evidence = journey.evidence()
    assert said(evidence)[0] is verdict
    assert evidence.stop
    assert (evidence.stop.state.key, "try the rows" in evidence.stop.what) == ("S1", True)
    assert [(visit.state.key, dict(visit.facts)) for visit in evidence.visits] == [
        ("S0", {"a fact": "as it was"}),
        ("S1", {"a fact": "as it was"}),
    ]
    assert evidence.visits[0].rows == KEPT


def test_what_goes_wrong_after_the_last_state_is_not_known() -> None:
    """Such as records that could not be written: what was seen is judged, and is not called safe."""
    journey = Journey(order())
    visited(journey, len(journey.stages))
    with journey.ended_in_order():
        raise BadOutput("The disk is full.")
    evidence = journey.evidence()
    assert not evidence.stop
    assert evidence.unknown == ["The disk is full."]
    assert verdict_of(judge(evidence)) is Verdict.INCONCLUSIVE


def test_the_first_end_is_the_one_that_is_told() -> None:
    """What goes wrong after it is only said to be not known."""
    journey = visited(Journey(order()))
    journey.end(KeyboardInterrupt())
    journey.end(ClusterError("The API was gone."))
    assert journey.stop
    assert journey.stop.interrupted
    assert journey.evidence().unknown == ["The API was gone."]


def test_a_state_has_its_moment() -> None:
    """From when it was set out for it, on the way or in it; before the first one it is the first one."""
    journey = Journey(order())
    visited(journey, 2)
    first, second, third = (stage.state for stage in journey.stages[:3])
    journey.sets_out_for(third)
    began = [visit.began_ns for visit in journey.visits]
    assert [journey.state_at(at_ns) for at_ns in (began[0] - 1, *began)] == [first, first, second, third]


def test_an_end_between_two_clusters() -> None:
    """What was seen on the old one is reported, with where it ended."""
    new = Journey(order(Strategy.NEW_CLUSTER), visited(Journey(order(Strategy.NEW_CLUSTER))).evidence())
    new.end(ClusterError("kind failed."))
    evidence = new.evidence()
    assert [(visit.state.key, visit.reached_ns is None) for visit in evidence.visits] == [("S0", False), ("S6", True)]
    verdict, text = said(evidence)
    assert verdict is Verdict.DID_NOT_FINISH
    assert text.startswith("Tried to delete that cluster, and bring up one with 1.31.0, and it could not be done: kind")
    assert evidence.stop
    assert evidence.stop.to_do == "Mend what is said here; until then the mesh was not looked at on the new cluster."


def test_an_end_on_the_second_cluster() -> None:
    """Its state is there, as far as it was gone, beside that of the first one."""
    first = visited(Journey(order(Strategy.NEW_CLUSTER))).evidence()
    new = Journey(order(Strategy.NEW_CLUSTER), first)
    new.sets_out_for(new.stages[0].state)
    new.end(KeyboardInterrupt())
    evidence = new.evidence()
    assert [visit.state.key for visit in evidence.visits] == ["S0", "S6"]
    assert evidence.visits[1].began_ns == first.ended_ns
    assert said(evidence)[0] is Verdict.INTERRUPTED


def test_a_second_cluster_is_sent_as_much_as_the_first_one() -> None:
    """What is compared is sent alike; before anybody knows how much the machine can bear there is nothing to tell."""
    first = Journey(order(Strategy.NEW_CLUSTER))
    assert first.load is None
    first.load = Load(replace(USUAL, kept=25.0), 0.5, 0.2)
    evidence = visited(first).evidence()
    assert evidence.load == first.load
    assert Journey(order(Strategy.NEW_CLUSTER), evidence).load == first.load
