"""Two clusters, one after the other, as one upgrade: what was sent on them stays apart, the way between is no gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshproof.traffic import Connections, Ending, Flown
from meshproof.upgrade.evidence import Evidence, Stop, Try
from meshproof.upgrade.gap import longest_gap
from meshproof.upgrade.new_cluster import joined, sent_by, stopped
from meshproof.upgrade.verdict import Finding, Verdict, judge
from tests.support.upgrades import GATEWAY, MOVING, at, flown, good, on_the_new_cluster, on_the_old_cluster

PARTS = (", part 1 (Kubernetes 1.33.13)", ", part 2 (Kubernetes 1.34.4)")


def both(first: Evidence | None = None, last: Evidence | None = None) -> Evidence:
    """Return the two as one upgrade; each is good if not said otherwise."""
    return joined(first or on_the_old_cluster(), last or on_the_new_cluster(), MOVING)


def losing(flows: Sequence[Flown], *numbers: int) -> list[Flown]:
    """Return flows of which the first one has lost some requests."""
    first, *others = flows
    records = [replace(record, status=503) if record.sequence in numbers else record for record in first.records]
    return [replace(first, records=records), *others]


def said(evidence: Evidence) -> list[tuple[Verdict, str, str]]:
    """Return each finding's verdict, subject and state."""
    return [(finding.verdict, finding.subject, finding.state.key) for finding in judge(evidence)]


def test_a_mesh_that_is_the_same_on_both_is_safe() -> None:
    """Nothing was lost, and the 20 s without a cluster are no gap of any flow, control or probe."""
    evidence = both()
    assert judge(evidence) == []
    gaps = [longest_gap(flow) for flow in (*evidence.flows, *evidence.controls)]
    gaps += [longest_gap(probe.control) for probe in evidence.probes]
    assert max(gap.ms for gap in gaps if gap) < 200
    assert (evidence.began_ns, evidence.ended_ns) == (at(0), at(60))


def test_what_was_sent_on_the_two_has_names_of_its_own() -> None:
    """Flows, controls, probes and the recorder's calibration: each is told with the Kubernetes that it is about."""
    evidence = both()
    for of_both, names in (
        ([flow.flow.name for flow in evidence.flows], [flow.flow.name for flow in good().flows]),
        ([flow.flow.name for flow in evidence.controls], [flow.flow.name for flow in good().controls]),
        ([probe.name for probe in evidence.probes], [probe.name for probe in good().probes]),
        ([each.source for each in evidence.calibration], [each.source for each in good().calibration]),
    ):
        assert of_both == [f"{name}{part}" for part in PARTS for name in names]


def test_the_way_from_one_to_the_other_begins_when_nothing_more_is_sent_on_the_old_one() -> None:
    """The deletion of the old cluster and the new one are a step on that way, in the order of all events."""
    evidence = both()
    assert [(visit.state.key, visit.began_ns) for visit in evidence.visits] == [("S0", at(0)), ("S6", at(20))]
    assert [(event.kind, event.at_ns) for event in evidence.events] == [
        ("state", at(0)),
        ("step", at(20)),
        ("pod going", at(20.1)),
        ("state", at(42)),
    ]
    assert evidence.events[1].text == MOVING.cluster


@pytest.mark.parametrize(
    ("number", "part", "state"),
    [(50, 0, "S0"), (395, 0, "S0"), (900, 1, "S6")],
    ids=["old", "old, when it was looked at", "new"],
)
def test_what_is_lost_on_a_cluster_is_told_of_that_one(number: int, part: int, state: str) -> None:
    """By the name of the flow, and by the state."""
    old, new = on_the_old_cluster(), on_the_new_cluster()
    evidence = both(replace(old, flows=losing(old.flows, number)), replace(new, flows=losing(new.flows, number)))
    assert said(evidence) == [(Verdict.DISRUPTION, f"{GATEWAY}{PARTS[part]}", state)]


@pytest.mark.parametrize(
    ("part", "when"), [(0, "when the upgrade began"), (1, "until the upgrade was done")], ids=["old", "new"]
)
def test_a_flow_that_is_missing_on_a_cluster_is_inconclusive(part: int, when: str) -> None:
    """What would have been lost there is not known."""
    sides = [on_the_old_cluster(), on_the_new_cluster()]
    sides[part] = replace(sides[part], flows=sides[part].flows[1:])
    (finding,) = judge(both(*sides))
    assert isinstance(finding, Finding)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.text.startswith(f"{GATEWAY}{PARTS[1 - part]} was not sent {when}")


def test_what_is_not_known_of_one_of_them_is_not_known() -> None:
    """A sender that did not tell all, a probe that saw nothing, or a recorder that can't be believed on one cluster."""
    old, new = on_the_old_cluster(), on_the_new_cluster()
    blind = replace(new, probes=[replace(new.probes[0], sees=False), *new.probes[1:]])
    recorder = replace(old, unknown=["A sender did not tell all."], calibration=[replace(old.calibration[0], seen=0)])
    assert [(verdict, state) for verdict, _, state in said(both(recorder, blind))] == [
        (Verdict.INCONCLUSIVE, "S0") for _ in range(3)
    ]


@pytest.mark.parametrize("interrupted", [False, True], ids=["it did not come up", "a person ended it"])
def test_an_end_on_the_way_is_the_one_thing_that_is_said(*, interrupted: bool) -> None:
    """What was seen on the old cluster is reported as it was: nothing of it is missing."""
    stop = Stop(MOVING.state, "Tried to bring one up.", "Look why.", interrupted)
    evidence = stopped(on_the_old_cluster(), MOVING, stop)
    verdict = Verdict.INTERRUPTED if interrupted else Verdict.DID_NOT_FINISH
    assert said(evidence) == [(verdict, "upgrade", "S6")]
    assert [(visit.state.key, visit.reached_ns) for visit in evidence.visits] == [("S0", at(0)), ("S6", None)]
    assert [flown.flow.name for flown in evidence.flows] == [flown.flow.name for flown in good().flows]


def test_what_is_open_on_both_was_open_before() -> None:
    """The new cluster did not open it."""
    old, new = on_the_old_cluster(), on_the_new_cluster()
    old = replace(old, probes=[replace(old.probes[0], let_through=[Try(at(5), old.first_state, "ANSWERED 418")])])
    new = replace(new, probes=[replace(new.probes[0], let_through=[Try(at(50), MOVING.state, "ANSWERED 418")])])
    texts = [finding.text for finding in judge(both(old, new)) if finding.verdict is Verdict.FAIL_OPEN]
    assert [text.partition("418")[2] for text in texts] == [
        ": that was open before the upgrade.",
        ": that was open before the upgrade, too.",
    ]


def test_how_much_was_sent() -> None:
    """The lines of the second cluster count on from the first; the control does not cross the mesh, and is no part."""
    old = on_the_old_cluster()
    assert sent_by(old) == (20 * 20 + 50 * 20, 2 * 10 * 20)
    stream = flown("stream", lost=[7], ending=Ending.ANNOUNCED_DRAIN, until=20, connections=Connections.STREAM)
    ended = replace(stream, records=[replace(record, status=200) for record in stream.records])
    assert sent_by(replace(old, flows=[ended]))[0] == 20 * 20 - 1
