"""The verdict: the worst of what is known, and never safe where something is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from meshproof.errors import ExitCode
from meshproof.traffic import Calibration, Connections, Ending, Flown, Record
from meshproof.upgrade.evidence import PART, Budget, Event, Evidence, Pressure, Stop, Visit
from meshproof.upgrade.verdict import Finding, Verdict, judge, verdict_of
from tests.support.upgrades import (
    ACKNOWLEDGED,
    EAST_WEST,
    EXPECTED,
    GATEWAY,
    ROWS,
    SECONDS,
    STATES,
    UNEXPLAINED,
    at,
    flown,
    good,
    probe,
    stopped,
    visits,
)

OPEN = {"probes": [probe(let_through=[27.0, 25.5])]}
LOST = {"flows": [flown(GATEWAY, lost=[450, 451])]}
MACHINE = {"controls": [flown("control", lost=[450])]}
STOP = Stop(STATES[2], "Tried to have the gateways of 1.31.0: no pod was ready within 180 s.", "Read its log.")


def judged(**changes: Any) -> list[Finding]:  # noqa: ANN401 - whatever is otherwise
    """Return what is said of the good upgrade with something else in it."""
    return judge(replace(good(), **changes))


def verdicts(findings: list[Finding]) -> list[Verdict]:
    """Return what each finding would be alone."""
    return [finding.verdict for finding in findings]


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
