"""What traffic lost: a disruption, inconclusive where the machine may have been at fault, or within the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from meshproof.traffic import Connections, Ending, Flown, Record
from meshproof.upgrade.evidence import PART, Budget, Event, Pressure
from meshproof.upgrade.verdict import Verdict, verdict_of
from tests.support.upgrades import EAST_WEST, GATEWAY, LOST, MACHINE, SECONDS, at, flown, good, judged, probe, verdicts


def test_what_the_control_loses_too_is_inconclusive() -> None:
    """Neither red nor green: the machine may have been at fault."""
    findings = judged(**LOST, **MACHINE)
    assert [(finding.verdict, finding.subject) for finding in findings] == [
        (Verdict.INCONCLUSIVE, "control"),
        (Verdict.INCONCLUSIVE, GATEWAY),
    ]
    elsewhere = judged(**LOST, controls=[flown("control", lost=[900])])
    assert verdict_of(elsewhere) is Verdict.DISRUPTION


@pytest.mark.parametrize(
    ("ending", "control", "verdict"),
    [
        (Ending.TIMED_OUT, {"silent": (22, 23)}, Verdict.INCONCLUSIVE),
        (Ending.TIMED_OUT, {"silent": (32, 33)}, Verdict.DISRUPTION),
        (Ending.TIMED_OUT, {"silent": (23, 23.4)}, Verdict.DISRUPTION),
        (Ending.TIMED_OUT, {}, Verdict.DISRUPTION),
        (Ending.RESET, {"silent": (22, 23)}, Verdict.DISRUPTION),
    ],
    ids=[
        "the control stood still",
        "it stood still later",
        "it stood still for a part of that time",
        "it never stood still",
        "the loss is no matter of time",
    ],
)
def test_what_times_out_while_the_control_stands_still_is_inconclusive(
    ending: Ending, control: dict[str, Any], verdict: Verdict
) -> None:
    """Nothing was fast then; but no busy machine resets a connection."""
    flow = flown(GATEWAY, lost=[450])
    late = [
        replace(record, ended_ns=record.ended_ns + 1_000_000_000, outcome=ending) if record.sequence == 450 else record
        for record in flow.records
    ]
    (finding,) = judged(flows=[replace(flow, records=late)], controls=[flown("control", **control)])
    assert (finding.verdict, finding.subject) == (verdict, GATEWAY)


def test_a_shorter_gap_that_nobody_excuses_counts() -> None:
    """Also where the longest one is the machine's."""
    flow = flown(EAST_WEST, silent=(33, 39.5))
    twice = replace(flow, records=[record for record in flow.records if not at(10) <= record.due_ns < at(17)])
    findings = judged(flows=[twice], controls=[flown("control", silent=(10, 17))])
    assert [(finding.verdict, finding.state.key) for finding in findings] == [
        (Verdict.DISRUPTION, "S3"),
        (Verdict.INCONCLUSIVE, "S0"),
    ]


def test_a_gap_of_the_control_is_taken_off_a_gap() -> None:
    """Where both stood still, the machine did; what is left of the gap counts."""
    flows = [flown(EAST_WEST, silent=(33, 39.5))]
    (finding,) = judged(flows=flows, controls=[flown("control", silent=(33, 39))])
    assert (finding.verdict, finding.subject) == (Verdict.INCONCLUSIVE, EAST_WEST)
    assert "of which the machine was to blame for 6,0" in finding.text
    assert verdicts(judged(flows=flows, controls=[flown("control", silent=(33, 34))])) == [Verdict.DISRUPTION]


def test_a_gap_that_the_sender_made_is_inconclusive() -> None:
    """It was late itself: that says nothing of the mesh. A stream asks only once, and can't be late."""
    late = flown(EAST_WEST, rate=0.2, late_ms=4000)
    (finding,) = judged(flows=[late], budget=Budget(longest_ms=2000))
    assert (finding.verdict, finding.state.key) == (Verdict.INCONCLUSIVE, "S0")
    stream = replace(late, flow=replace(late.flow, connections=Connections.STREAM))
    assert verdict_of(judged(flows=[stream], budget=Budget(longest_ms=2000))) is Verdict.DISRUPTION


def test_a_flow_that_is_not_answered_any_more_has_a_gap() -> None:
    """Also where its losses are within the budget: nothing comes after the gap that could end it."""
    flow = flown(GATEWAY, lost=range(900, 1200))
    findings = judged(flows=[flow], budget=Budget(failures=1000))
    assert [(finding.verdict, finding.state.key) for finding in findings] == [(Verdict.DISRUPTION, "S3")]
    assert flow.longest_gap_ms is not None
    assert flow.longest_gap_ms < 100


@pytest.mark.parametrize("connections", [Connections.KEPT, Connections.STREAM], ids=str)
def test_a_flow_that_hangs_until_its_end_has_a_gap(connections: Connections) -> None:
    """Its losses may be within the budget; what was due meanwhile found no connection, or was not asked for."""
    flow = flown(EAST_WEST, rate=12.5, connections=connections)
    before = [record for record in flow.records if record.due_ns < at(53)]
    hanging = [
        replace(record, ended_ns=record.sent_ns + 5_001_000_000, outcome=Ending.TIMED_OUT, status=None)
        for record in flow.records[len(before) :]
    ]
    hanging = hanging[: 1 if connections is Connections.STREAM else 4]
    unsent = 0 if connections is Connections.STREAM else len(flow.records) - len(before) - 4
    flow = replace(flow, records=[*before, *hanging], unsent=unsent)
    assert verdict_of(judged(flows=[flow], budget=Budget(failures=9))) is Verdict.DISRUPTION
    probes = [replace(probe(), control=flow), probe("another")]
    assert "has a control that did not get in for" in judged(probes=probes)[0].text


def test_the_last_request_of_a_flow_makes_no_gap() -> None:
    """Where it is not answered it is a loss; nothing was asked for after it that could have been answered."""
    *before, last = flown(EAST_WEST, connections=Connections.KEPT).records
    late = replace(last, outcome=Ending.TIMED_OUT, status=None, ended_ns=last.sent_ns + 5_001_000_000)
    flow = replace(flown(EAST_WEST, connections=Connections.KEPT), records=[*before, late])
    assert judged(flows=[flow], budget=Budget(failures=1)) == []
    assert verdicts(judged(flows=[flow])) == [Verdict.DISRUPTION]


@pytest.mark.parametrize("connections", list(Connections), ids=str)
def test_the_budget_is_what_may_be_lost(connections: Connections) -> None:
    """As many losses as it allows are none."""
    flow = flown(GATEWAY, lost=[450, 451], connections=connections)
    assert judged(flows=[flow], budget=Budget(failures=2)) == []
    assert verdicts(judged(flows=[flow], budget=Budget(failures=1))) == [Verdict.DISRUPTION]


KEPT = flown(EAST_WEST, rate=50.0, connections=Connections.KEPT)


def slowed(flow: Flown, began: float, ended: float, took_ms: int) -> Flown:
    """Return a flow of which the answers took long between two moments; a kept connection has one request at a time."""
    records: list[Record] = []
    free_ns = 0
    for record in flow.records:
        sent_ns = max(record.sent_ns, free_ns)
        slow = at(began) <= record.due_ns < at(ended)
        ended_ns = sent_ns + (took_ms * 1_000_000 if slow else record.ended_ns - record.sent_ns)
        if flow.flow.connections is Connections.KEPT:
            free_ns = ended_ns
            if sent_ns >= at(SECONDS):
                break
        records.append(replace(record, sent_ns=sent_ns, ended_ns=ended_ns))
    return replace(flow, records=records, unsent=len(flow.records) - len(records))


def test_what_was_due_and_never_sent_is_a_disruption() -> None:
    """Each answer came within 4.9 s, so nothing was lost and no gap was too long, and 2,987 requests were not sent."""
    (finding,) = judged(flows=[slowed(KEPT, 0, 60, 4900)])
    assert (finding.verdict, finding.subject) == (Verdict.DISRUPTION, EAST_WEST)
    assert finding.text.startswith(f"2,987 of the 3,000 requests of {EAST_WEST} that were due were never sent")


def queued(flow: Flown, unsent: int) -> Flown:
    """Return a flow of which each request waited a little longer than the one before it, until some were never sent."""
    number = len(flow.records)
    records = []
    for record in flow.records[: number - unsent]:
        late_ns = (record.due_ns - at(0)) * unsent // (number - unsent)
        records.append(replace(record, sent_ns=record.sent_ns + late_ns, ended_ns=record.ended_ns + late_ns))
    return replace(flow, records=records, unsent=unsent)


@pytest.mark.parametrize(
    ("unsent", "control", "expected"),
    [
        (250, {}, []),
        (251, {}, [Verdict.DISRUPTION]),
        (251, {"late_ms": 300}, [Verdict.INCONCLUSIVE]),
    ],
    ids=["what is due within the budget", "more than that", "the control was slow, too"],
)
def test_a_few_requests_that_wait_at_the_end_are_none(
    unsent: int, control: dict[str, Any], expected: list[Verdict]
) -> None:
    """They would have been sent within the time that a gap may last."""
    assert verdicts(judged(flows=[queued(KEPT, unsent)], controls=[flown("control", **control)])) == expected


def waiting(flow: Flown, *times: tuple[float, float]) -> Flown:
    """Return a flow of which the requests that were due at some times waited for six seconds."""
    late_ns = 6_000_000_000
    records = [
        replace(record, sent_ns=record.sent_ns + late_ns, ended_ns=record.ended_ns + late_ns)
        if any(at(began) <= record.due_ns < at(ended) for began, ended in times)
        else record
        for record in flow.records
    ]
    return replace(flow, records=records)


@pytest.mark.parametrize(
    ("waits", "states"),
    [
        (((22, 23), (46, 47)), [("disruption above budget", "S2"), ("inconclusive", "S4")]),
        (((46, 47),), [("inconclusive", "S4")]),
        (((22, 23),), [("disruption above budget", "S2")]),
    ],
    ids=["at both times", "while the machine was slow", "while it was not"],
)
def test_what_waits_at_another_time_than_the_machine_is_slow_is_late(
    waits: Sequence[tuple[float, float]], states: list[tuple[str, str]]
) -> None:
    """Each time is judged by itself."""
    findings = judged(flows=[waiting(KEPT, *waits)], controls=[slowed(flown("control"), 45, 55, 300)])
    assert [(str(finding.verdict), finding.state.key) for finding in findings] == states
    assert all(finding.text.startswith("50 of the 3,000 requests") for finding in findings)


def test_a_queue_at_the_end_hides_no_wait_before_it() -> None:
    """The machine was slow at the end, and not when others waited."""
    flow = waiting(queued(KEPT, 251), (22, 23))
    findings = judged(flows=[flow], controls=[slowed(flown("control"), 53, 60, 300)])
    assert verdicts(findings) == [Verdict.DISRUPTION, Verdict.INCONCLUSIVE]


def pressed(began: float, ended: float, cpu: float) -> list[Pressure]:
    """Return the kernel's figures: between two moments, in seconds, some task waited for a processor for so long.

    Each is of the ten seconds before it.
    """
    return [Pressure(at(second), cpu if began <= second - 5 < ended else 80.0, 0.5, 2.0) for second in range(60)]


def timed_out(sent: float, ended: float) -> Flown:
    """Return a flow with one request that had no answer between two moments, in seconds."""
    flow = flown(GATEWAY, lost=[round(sent * 20)], ending=Ending.TIMED_OUT)
    return replace(
        flow,
        records=[replace(record, ended_ns=at(ended)) if record in flow.failures else record for record in flow.records],
    )


@pytest.mark.parametrize(
    ("pressure", "verdict"),
    [
        (pressed(20, 40, 97.0), Verdict.INCONCLUSIVE),
        (pressed(20, 40, 94.0), Verdict.DISRUPTION),
        (pressed(40, 60, 97.0), Verdict.DISRUPTION),
        (pressed(0, 20, 97.0), Verdict.DISRUPTION),
        (pressed(22, 23, 97.0)[27:28], Verdict.DISRUPTION),
        ([], Verdict.DISRUPTION),
    ],
    ids=["all the time", "most of the time", "later", "earlier", "for a moment", "nobody knows"],
)
@pytest.mark.parametrize(
    "flow",
    [
        slowed(flown(GATEWAY), 20, 32, 1500),
        timed_out(22.5, 27.5),
        flown(EAST_WEST, silent=(22.5, 28)),
    ],
    ids=["slow in a state", "timed out", "a gap"],
)
def test_what_is_slow_where_tasks_wait_for_a_processor_is_inconclusive(
    flow: Flown, pressure: list[Pressure], verdict: Verdict
) -> None:
    """A control that needs no proxy can be fast on a machine that is too small for the proxies."""
    assert verdicts(judged(flows=[flow], pressure=pressure)) == [verdict]


def test_a_slow_machine_before_the_upgrade_hides_nothing() -> None:
    """Whether the mesh is slower afterwards can't be said of a first state that was slow by the machine's fault."""
    flow = slowed(slowed(flown(GATEWAY), 0, 10, 2500), 20, 60, 3400)
    (finding,) = judged(flows=[flow], pressure=pressed(0, 10, 99.0))
    assert (finding.verdict, finding.state.key) == (Verdict.INCONCLUSIVE, "S0")
    assert "Whether it was slower later is not known" in finding.text


def test_a_busy_machine_before_the_upgrade_is_no_measure() -> None:
    """0.95 s then and 1.9 s on a quiet machine afterwards may be more than a second slower than it would have been."""
    flow = slowed(slowed(flown(GATEWAY), 0, 10, 950), 20, 60, 1900)
    assert judged(flows=[slowed(flown(GATEWAY), 0, 10, 950)], pressure=pressed(0, 10, 99.0)) == []
    assert judged(flows=[flow]) == []
    (finding,) = judged(flows=[flow], pressure=pressed(0, 10, 99.0))
    assert (finding.verdict, finding.state.key) == (Verdict.INCONCLUSIVE, "S2")
    assert "can't be told from S0" in finding.text


@pytest.mark.parametrize(
    ("took_ms", "control", "expected"),
    [
        (45, {}, []),
        (250, {}, [Verdict.DISRUPTION]),
        (250, {"late_ms": 300}, [Verdict.INCONCLUSIVE]),
    ],
    ids=["within the budget", "for longer than a gap may be", "the control was slow"],
)
def test_what_waits_for_a_connection_is_late(took_ms: int, control: dict[str, Any], expected: list[Verdict]) -> None:
    """Answers of a quarter of a second make 50 requests a second wait; none fails, and all are sent in the end."""
    flow = slowed(KEPT, 20, 23, took_ms)
    assert not flow.failures
    assert verdicts(judged(flows=[flow], controls=[flown("control", **control)])) == expected


def test_a_reset_is_a_loss_however_busy_the_machine_is() -> None:
    """No processor that is missing resets a connection; but what had no answer for seconds may be cut by a drain."""
    flow = flown(GATEWAY, lost=[450], ending=Ending.RESET)
    assert verdicts(judged(flows=[flow], pressure=pressed(0, 60, 99.0))) == [Verdict.DISRUPTION]
    records = [
        replace(record, ended_ns=record.sent_ns + 3_100_000_000) if record in flow.failures else record
        for record in flow.records
    ]
    cut = replace(flow, records=records)
    assert verdicts(judged(flows=[cut], pressure=pressed(0, 60, 99.0))) == [Verdict.INCONCLUSIVE]
    assert verdicts(judged(flows=[cut], pressure=pressed(0, 60, 80.0))) == [Verdict.DISRUPTION]


def test_no_machine_is_busy_enough_for_a_long_hole() -> None:
    """A lack of processors makes things late; where all of it is silent for long it is no excuse."""
    flow = flown(EAST_WEST, silent=(22, 33))
    assert verdicts(judged(flows=[flow], pressure=pressed(0, 60, 99.0))) == [Verdict.DISRUPTION]


@pytest.mark.parametrize(
    ("flow", "control", "expected"),
    [
        (slowed(flown(GATEWAY), 20, 32, 1500), {}, [Verdict.DISRUPTION]),
        (slowed(KEPT, 20, 20.3, 1500), {}, [Verdict.DISRUPTION] * 2),
        (slowed(flown(GATEWAY), 20, 32, 1500), {"late_ms": 300}, [Verdict.INCONCLUSIVE]),
        (slowed(flown(GATEWAY), 0, 60, 1500), {}, []),
        (slowed(flown(GATEWAY), 20, 32, 900), {}, []),
        (slowed(flown(GATEWAY), 20, 21, 4000), {}, []),
    ],
    ids=[
        "slow in a state",
        "slow on kept connections",
        "the control was slow, too",
        "slow in all states",
        "slower by less than a second",
        "slow for a moment",
    ],
)
def test_a_state_that_is_slow_is_a_disruption(flow: Flown, control: dict[str, Any], expected: list[Verdict]) -> None:
    """One answer in ten takes a second longer than before the upgrade, and no gap is long enough to tell."""
    findings = judged(flows=[flow], controls=[flown("control", **control)])
    assert verdicts(findings) == expected
    assert {finding.state.key for finding in findings} <= {"S2"}


def stream(ending: Ending, *ends: float) -> Flown:
    """Return a stream that ended at some moments, in seconds, and was asked for again."""
    numbers = {round(end * 20) for end in ends}
    flow = flown("long stream", lost=numbers, ending=ending, connections=Connections.STREAM)
    return replace(flow, records=[replace(record, status=200) for record in flow.records])


@pytest.mark.parametrize(
    ("ending", "ends", "number"),
    [
        (Ending.STREAM_ENDED, [each / 5 for each in range(300)], 298),
        (Ending.ANNOUNCED_DRAIN, [each / 5 for each in range(300)], 0),
        (Ending.ANNOUNCED_DRAIN, [5, 6, *(11 + each / 10 for each in range(80))], 72),
        (Ending.STREAM_ENDED, [26], 0),
        (Ending.STREAM_ENDED, [21, 26, 30], 1),
        (Ending.STREAM_ENDED, [5], 1),
        (Ending.ANNOUNCED_DRAIN, [5, 6, 17, 18, 23, 30, 31, 41, 42, 57, 58], 0),
    ],
    ids=[
        "ended all the time",
        "drained all the time, also before the upgrade",
        "drained all the time",
        "its pod went",
        "ended more often than pods went",
        "ended before any pod went",
        "a good run",
    ],
)
def test_an_end_of_a_stream_has_its_reason(ending: Ending, ends: list[float], number: int) -> None:
    """A pod on its way ends it once; a listener that changes, as rows have it, drains it as it did in S0."""
    gone = Event(at(23), "pod going", "meshproof-upgrade/server-first-5c7b-abc")
    findings = judged(flows=[stream(ending, *ends)], events=[*good().events, gone])
    assert verdicts(findings) == [Verdict.DISRUPTION] * bool(number)
    assert all(f"was ended {'once' if number == 1 else f'{number} times'} (" in finding.text for finding in findings)


@pytest.mark.parametrize(
    ("kind", "pod", "verdict"),
    [
        ("pod going", "meshproof-upgrade/server-last-5c7b-abc", Verdict.SAFE),
        ("pod going", "istio-system/istio-ingressgateway-5c7b-abc", Verdict.SAFE),
        ("pod not ready", "istio-system/istio-ingressgateway-5c7b-abc", Verdict.DISRUPTION),
        ("pod going", "istio-system/istiod-5c7b-abc", Verdict.DISRUPTION),
        ("pod going", "istio-system/istio-egressgateway-5c7b-abc", Verdict.DISRUPTION),
        ("pod going", "meshproof-upgrade/sender-last-5c7b-abc", Verdict.DISRUPTION),
    ],
)
def test_only_a_pod_on_its_way_explains_an_end(kind: str, pod: str, verdict: Verdict) -> None:
    """What a stream does not cross does not end it."""
    events = [Event(at(47), kind, pod)]
    assert verdict_of(judged(flows=[stream(Ending.STREAM_ENDED, 48)], events=events)) is verdict


def test_ends_and_losses_have_one_budget() -> None:
    """What nothing explains is a loss, whether it was the answer of a request or went on for hours."""
    flow = stream(Ending.STREAM_ENDED, 5, 6)
    lost = replace(flow, records=[*flow.records, *flown(GATEWAY, lost=[0, 1]).failures])
    (finding,) = judged(flows=[lost], budget=Budget(failures=3))
    assert finding.verdict is Verdict.DISRUPTION
    assert finding.text.endswith("; the budget is 3, and 2 requests were lost, too.")
    assert judged(flows=[lost], budget=Budget(failures=4)) == []


def test_the_budget_is_for_all_parts_of_a_flow() -> None:
    """A client whose pod is replaced sends in two parts, and may lose no more for that."""
    parts = [flown(EAST_WEST, lost=[450], until=40), flown(f"{EAST_WEST}{PART}2", lost=[900], silent=(0, 41))]
    assert judged(flows=parts, budget=Budget(failures=2)) == []
    (finding,) = judged(flows=parts, budget=Budget(failures=1))
    assert (finding.verdict, finding.state.key) == (Verdict.DISRUPTION, "S2")
    assert finding.text == f"{EAST_WEST} lost 2 of 1,180 requests (RESET); the budget is 1."
