"""Upgrades that the tests judge and show, put together by hand: a minute long, and good if not said otherwise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from meshproof.traffic import Calibration, Connections, Ending, Flow, Flown, Record
from meshproof.upgrade.evidence import (
    Difference,
    Event,
    Evidence,
    Pressure,
    ProbeResult,
    Side,
    State,
    Stop,
    Strategy,
    Try,
    Visit,
)
from meshproof.upgrade.new_cluster import joined
from meshproof.upgrade.plan import ON_A_NEW_CLUSTER, stages
from meshproof.upgrade.rates import USUAL, Load
from meshproof.upgrade.verdict import Finding, Verdict, judge

_MS = 1_000_000
_BEGAN_NS = 5_000_000 * _MS
SECONDS = 60.0
STATES = tuple(
    State(key, title)
    for key, title in (
        ("S0", "all old"),
        ("S1", "new control plane beside the old one"),
        ("S2", "new gateways"),
        ("S3", "mixed sidecars"),
        ("S4", "all new"),
    )
)
_TIMES = ((0, 0, 10), (10, 15, 20), (20, 26, 32), (32, 40, 45), (45, 55, 60))  # s: began, reached, ended
ROWS = (
    "tests/e2e/gateway/test_mutual_tls.py::test_no_certificate_is_refused",
    "tests/e2e/gateway/test_mutual_tls.py::test_our_certificate_is_accepted",
    "tests/e2e/policies/test_authorization.py::test_a_denied_principal[sleep]",
)
FEWER = Load(replace(USUAL, kept=25.0), spare=0.5, spare_at_usual=0.2)
GATEWAY, EAST_WEST = "outside, HTTP/1.1, new connections", "pod to pod, kept connections"


def at(seconds: float) -> int:
    """Return a moment of an upgrade by its clock."""
    return _BEGAN_NS + round(seconds * 1000) * _MS


def flown(
    name: str,
    *,
    rate: float = 20.0,
    lost: Collection[int] = (),
    ending: Ending = Ending.RESET,
    late_ms: int = 0,
    silent: tuple[float, float] = (0.0, 0.0),
    until: float = SECONDS,
    connections: Connections = Connections.NEW,
) -> Flown:
    """Return a flow.

    Args:
        name: What it is called.
        rate: Requests a second.
        lost: The numbers of requests that failed.
        ending: How they did.
        late_ms: How late its sender was.
        silent: From when to when nothing was sent, in seconds.
        until: When its last request was sent, in seconds.
        connections: How it uses connections.
    """
    records = []
    for number in range(int(until * rate)):
        due = at(number / rate)
        if at(silent[0]) <= due < at(silent[1]):
            continue
        woken = due + late_ms * _MS
        end, status = (ending, None) if number in lost else (Ending.ANSWERED, 200)
        records.append(Record(name, number, due, woken, woken, woken + 4 * _MS, end, status))
    flow = Flow(name, "http://shop.example/", rate=rate, connections=connections)
    return Flown(flow, records)


def probe(
    name: str = "no client certificate", *, let_through: Iterable[float] = (), unknown: Collection[int] = ()
) -> ProbeResult:
    """Return a probe that tries something ten times a second.

    Args:
        name: What it is called.
        let_through: When something got in, in seconds.
        unknown: The numbers of the tries that ended otherwise.
    """
    tries = [at(number / 10) for number in range(int(SECONDS * 10))]
    through = [at(seconds) for seconds in let_through]
    refused = [moment for number, moment in enumerate(tries) if moment not in through and number not in unknown]
    return ProbeResult(
        name=name,
        tries=len(tries),
        refusals=len(refused),
        unknown={"TIMED_OUT": len(unknown)} if unknown else {},
        let_through=[Try(moment, good().state_at(moment), "ANSWERED 418") for moment in through],
        longest_ms=100.0,
        control=flown(f"{name}: control", rate=10),
        sees=True,
        refused_ns=refused,
        unknown_ns=[tries[number] for number in unknown],
    )


def visits(**broken: Sequence[int]) -> list[Visit]:
    """Return the visits of all states; by the key of a state, the numbers of the rows that are broken in it."""
    return [
        Visit(
            state,
            at(began),
            at(reached),
            at(ended),
            {row: "broken" if number in broken.get(state.key, ()) else "kept" for number, row in enumerate(ROWS)},
            {"posture shop.example:443: TLS 1.3": "offered"},
        )
        for state, (began, reached, ended) in zip(STATES, _TIMES, strict=True)
    ]


EVENTS = (
    Event(at(10), "step", "install the control plane of 1.31.0 under a revision"),
    Event(at(15), "state", "S1 new control plane beside the old one"),
    Event(at(20), "step", "have the gateways of 1.31.0"),
    Event(at(22.1), "pod ready", "istio-system/istio-ingressgateway-6d9f-x2x"),
    Event(at(22.4), "pod going", "istio-system/istio-ingressgateway-5c7b-abc"),
    Event(at(26), "state", "S2 new gateways"),
    Event(at(32), "step", "let the tag `default` lead to the new revision"),
    Event(at(32.3), "step", "restart the first half of the Deployments that have sidecars"),
    Event(at(40), "state", "S3 mixed sidecars"),
    Event(at(45), "step", "restart the other Deployments that have sidecars"),
    Event(at(55), "state", "S4 all new"),
)
EXPECTED = Difference("version of istiod", "1.30.0", "1.31.0", STATES[1], expected="the upgrade itself", routine=True)
ACKNOWLEDGED = Difference("response header server", "istio-envoy", "", STATES[2], acknowledged="We asked for that.")
UNEXPLAINED = Difference(
    "posture shop.example:443: TLSv1.2 cipher suites",
    "ECDHE-RSA-AES128-GCM-SHA256, ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    STATES[2],
)


def good() -> Evidence:
    """Return what a canary leaves that lost nothing."""
    return _GOOD


def without_probes() -> Evidence:
    """Return all of it but for the probes, which ask it for the states."""
    return Evidence(
        before=Side("1.30", "1.30.0", "1.38.3", "1.34.4"),
        after=Side("1.31.0", "1.31.0", "1.39.3", "1.34.4", ("overlay.yaml",)),
        strategy=Strategy.CANARY,
        rollback=False,
        began=1_795_000_000.0,
        began_ns=at(0),
        ended_ns=at(SECONDS),
        visits=visits(),
        events=EVENTS,
        flows=[flown(GATEWAY), flown(EAST_WEST, rate=50.0, connections=Connections.KEPT)],
        controls=[flown("control, on the same node")],
        probes=[],
        differences=[EXPECTED, ACKNOWLEDGED],
        pressure=[Pressure(at(second), 20.0 + second / 2, 0.5, 2.0) for second in range(0, 60, 2)],
        calibration=[Calibration(GATEWAY, 4, 4, (), 20)],
    )


_GOOD = without_probes()
_GOOD = replace(_GOOD, probes=[probe(), probe("a denied principal")])


@cache
def fail_open() -> Evidence:
    """Return one with all that can be wrong, but for an early end."""
    return replace(
        good(),
        visits=visits(S3=[1]),
        flows=[
            flown(GATEWAY, lost=[450, 451, 800]),
            flown(EAST_WEST, silent=(33, 34.4), rate=50.0),
            flown("outside, HTTP/2, kept connections", rate=50.0, connections=Connections.KEPT),
        ],
        controls=[flown("control, on the same node", lost=[1190])],
        probes=[
            probe(let_through=[25.5, 27.0], unknown=range(300, 312)),
            probe("a denied principal"),
            replace(probe("plaintext into STRICT"), sees=False),
        ],
        differences=[EXPECTED, ACKNOWLEDGED, UNEXPLAINED],
    )


@cache
def many_failures() -> Evidence:
    """Return one that loses nearly all of its requests, and lets much through."""
    everything = range(1, 6_000)
    endings = (Ending.RESET, Ending.TIMED_OUT, Ending.TLS_REFUSED)
    through = [number / 10 for number in range(100, 600)]
    return replace(
        good(),
        flows=[flown(f"{GATEWAY}, {ending}", rate=100.0, lost=everything, ending=ending) for ending in endings],
        probes=[probe(let_through=through)],
        events=[Event(at(number / 5), "pod ready", f"default/pod-{number}") for number in range(300)],
    )


def stopped(*, interrupted: bool = False) -> Evidence:
    """Return one that ended on its way to S2."""
    changed = visits()[:3]
    changed[2] = replace(changed[2], reached_ns=None, rows={}, facts={})
    stop = Stop(STATES[2], "Tried to have the gateways: no pod was ready within 180 s.", "Read its log.", interrupted)
    return replace(good(), visits=changed, stop=stop, ended_ns=at(32), flows=[flown(GATEWAY, until=32)])


def on_the_old_cluster() -> Evidence:
    """Return what is seen of a mesh on Kubernetes 1.33.13 in 20 s, before it is brought up on a new cluster."""
    return replace(
        _part_of(good(), 0, 20),
        before=Side("1.31.0 on Kubernetes 1.33.13", "1.31.0", "1.39.3", "1.33.13"),
        after=Side("1.31.0 on Kubernetes 1.34.4", "1.31.0", "1.39.3", "1.34.4"),
        strategy=Strategy.NEW_CLUSTER,
        visits=[replace(visits()[0], ended_ns=at(19.5))],
        events=[Event(at(0), "state", "S0 all old"), Event(at(20.1), "pod going", "default/httpbin")],
    )


def on_the_new_cluster(**changed: Any) -> Evidence:  # noqa: ANN401 - whatever is otherwise
    """Return what a run on the new one leaves, from the 40th second on."""
    old = on_the_old_cluster()
    visit = Visit(ON_A_NEW_CLUSTER, at(41), at(42), at(59), old.visits[0].rows, old.visits[0].facts)
    state = Event(at(42), "state", str(visit.state))
    parts = {"visits": [*old.visits, visit], "ended_ns": at(60), "events": [state]} | changed
    sent = {field: getattr(_part_of(good(), 40, 60), field) for field in ("flows", "controls", "probes", "pressure")}
    return replace(old, **(sent | parts))


def _part_of(evidence: Evidence, began: float, ended: float) -> Evidence:
    """Return an upgrade that was looked at between two moments only."""

    def of(flow: Flown) -> Flown:
        return replace(flow, records=[record for record in flow.records if at(began) <= record.due_ns < at(ended)])

    def within(moments: Iterable[int]) -> list[int]:
        return [moment for moment in moments if at(began) <= moment < at(ended)]

    return replace(
        evidence,
        ended_ns=at(ended),
        flows=[of(flow) for flow in evidence.flows],
        controls=[of(flow) for flow in evidence.controls],
        probes=[
            replace(
                probe,
                tries=len(within(probe.refused_ns)),
                refusals=len(within(probe.refused_ns)),
                control=of(probe.control),
                refused_ns=within(probe.refused_ns),
            )
            for probe in evidence.probes
        ],
        pressure=[sample for sample in evidence.pressure if at(began) <= sample.at_ns < at(ended)],
    )


MOVING = stages(on_the_old_cluster().before, on_the_old_cluster().after, Strategy.NEW_CLUSTER, rollback=False)[1]
"""The way from the one to the other."""


def nothing() -> Evidence:
    """Return one that ended before anything was seen."""
    first = replace(visits()[0], reached_ns=None, rows={}, facts={})
    stop = Stop(STATES[0], "Ctrl-C ended it.", "Run it again.", interrupted=True)
    return replace(
        good(),
        visits=[first],
        stop=stop,
        ended_ns=at(0),
        events=[],
        flows=[],
        controls=[],
        probes=[],
        differences=[],
        pressure=[],
        calibration=[],
    )


def evil(name: str) -> Evidence:
    """Return one in which all that a stranger may name has a name."""
    state = replace(STATES[1], title=name)
    flow = replace(flown(name, lost=[3]), flow=Flow(name, "http://shop.example/"))
    through = Try(at(12), state, name)
    visit = replace(visits()[1], state=state, rows={f"{name}.py::{name}": "broken"}, facts={name: name})
    kept = replace(visits()[0], rows={f"{name}.py::{name}": "kept"})
    return replace(
        good(),
        before=Side(name, name, name, name, (name,)),
        visits=[kept, visit],
        events=[Event(at(1), name, name)],
        flows=[flow],
        controls=[flow],
        probes=[replace(probe(name, let_through=[12]), let_through=[through], unknown={name: 1})],
        differences=[Difference(name, name, name, state), Difference(name, name, name, state, acknowledged=name)],
        calibration=[Calibration(name, 1, 0, (name,), 0)],
        stop=Stop(state, name, name),
    )


UPGRADES: dict[str, Callable[[], Evidence]] = {
    "safe": good,
    "fail-open": fail_open,
    "very many failures": many_failures,
    "stuck": stopped,
    "interrupted": lambda: stopped(interrupted=True),
    "interrupted at once": nothing,
    "nothing sent": lambda: replace(good(), flows=[flown(GATEWAY, until=0)], controls=[], probes=[]),
    "behaviour changed": lambda: replace(good(), differences=[UNEXPLAINED] * 2),
    "a fact that is unknown": lambda: replace(
        good(), differences=[replace(UNEXPLAINED, after="unknown: no answer")], unknown=["A sender did not tell all."]
    ),
    "regression": lambda: replace(good(), visits=visits(S2=[0, 1, 2], S3=[0])),
    "disruption": lambda: replace(good(), flows=[flown(GATEWAY, lost=[450])]),
    "inconclusive": lambda: replace(good(), controls=[flown("control", lost=[450])]),
    "on a new cluster": lambda: joined(on_the_old_cluster(), on_the_new_cluster(load=FEWER), MOVING),
}
"""An upgrade of each verdict, and such as are hard to show."""


LOST = {"flows": [flown(GATEWAY, lost=[450, 451])]}
"""What is otherwise in an upgrade that lost something."""
MACHINE = {"controls": [flown("control", lost=[450])]}
"""And in one in which the machine may have been at fault."""


def judged(**changes: Any) -> list[Finding]:  # noqa: ANN401 - whatever is otherwise
    """Return what is said of the good upgrade with something else in it."""
    return judge(replace(good(), **changes))


def verdicts(findings: list[Finding]) -> list[Verdict]:
    """Return what each finding would be alone."""
    return [finding.verdict for finding in findings]
