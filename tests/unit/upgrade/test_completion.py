"""What must hold in a state: an upgrade that did not come about, or a rollback of nothing, is not safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from meshproof.upgrade.completion import unfinished
from meshproof.upgrade.evidence import Evidence, Side, State, Strategy, Visit
from meshproof.upgrade.facts.control_plane import LEADS, LEADS_NOWHERE
from meshproof.upgrade.finding import Finding, Verdict
from meshproof.upgrade.plan import (
    BACK,
    GATEWAYS_IN_PLACE,
    MIXED,
    NEW,
    NEW_CONTROL_PLANE,
    NEW_GATEWAYS,
    OLD,
    ON_A_NEW_CLUSTER,
    REPLACED_CONTROL_PLANE,
)
from meshproof.upgrade.verdict import judge
from tests.support.upgrades import good

BEFORE, AFTER = Side("1.30", "1.30", "1.38.3", "1.34.4"), Side("1.31.0", "1.31.0", "1.39.3", "1.34.4")
GATEWAY, SHOP = "istio-system/istio-ingressgateway", "default/shop"
FIRST, LAST = ([f"meshproof-upgrade/{kind}-{half}" for kind in ("sender", "server")] for half in ("first", "last"))
WEBHOOK = "webhook rev.namespace.sidecar-injector.istio.io"


def proxy(name: str, release: str, envoy: str, revision: str = "default") -> dict[str, str]:
    """Return the facts of a proxy."""
    parts = {"": "answers", ": Istio": release, ": Envoy": envoy, ": revision": revision}
    return {f"proxy {name}{part}": value for part, value in parts.items()}


def old(name: str) -> dict[str, str]:
    """Return the facts of a proxy of the old mesh."""
    return proxy(name, "1.30", "1.38.3")


def new(name: str, revision: str = "1-31-0") -> dict[str, str]:
    """Return the facts of a proxy of the new mesh."""
    return proxy(name, "1.31.0", "1.39.3", revision)


OLD_ISTIOD, NEW_ISTIOD, REPLACED_ISTIOD = (
    {"istiod default": "1.30"},
    {"istiod 1-31-0": "1.31.0"},
    {"istiod default": "1.31.0"},
)
ALL_OLD = OLD_ISTIOD | old(GATEWAY) | old(SHOP) | old(FIRST[0]) | old(FIRST[1]) | old(LAST[0]) | old(LAST[1])
CANARY: dict[State, dict[str, str]] = {
    OLD: ALL_OLD,
    NEW_CONTROL_PLANE: ALL_OLD | NEW_ISTIOD,
    NEW_GATEWAYS: ALL_OLD | NEW_ISTIOD | new(GATEWAY),
    MIXED: ALL_OLD | NEW_ISTIOD | new(GATEWAY) | new(FIRST[0]) | new(FIRST[1]),
    NEW: NEW_ISTIOD | new(GATEWAY) | new(SHOP),
}
IN_PLACE: dict[State, dict[str, str]] = {
    OLD: ALL_OLD,
    REPLACED_CONTROL_PLANE: ALL_OLD | REPLACED_ISTIOD,
    GATEWAYS_IN_PLACE: ALL_OLD | REPLACED_ISTIOD | new(GATEWAY, "default"),
    NEW: REPLACED_ISTIOD | new(GATEWAY, "default") | new(SHOP, "default"),
}
ROLLED_BACK = {**{state: facts for state, facts in CANARY.items() if state != NEW}, BACK: ALL_OLD}
MOVED = {OLD: ALL_OLD, ON_A_NEW_CLUSTER: IN_PLACE[NEW]}


def upgrade(facts: Mapping[State, Mapping[str, str]], strategy: Strategy = Strategy.CANARY) -> Evidence:
    """Return an upgrade from 1.30 to 1.31.0 that was good, with these facts."""
    rows = good().visits[0].rows
    visits = [
        Visit(state, number, number, number, rows, of_one) for number, (state, of_one) in enumerate(facts.items())
    ]
    return replace(good(), before=BEFORE, after=AFTER, strategy=strategy, visits=visits)


def findings(facts: Mapping[State, Mapping[str, str]], strategy: Strategy = Strategy.CANARY) -> list[Finding]:
    """Return what does not hold in it."""
    return list(unfinished(upgrade(facts, strategy)))


@pytest.mark.parametrize(
    ("facts", "strategy"),
    [
        (CANARY, Strategy.CANARY),
        (ROLLED_BACK, Strategy.CANARY),
        (IN_PLACE, Strategy.IN_PLACE),
        ({OLD: ALL_OLD, GATEWAYS_IN_PLACE: IN_PLACE[GATEWAYS_IN_PLACE], BACK: ALL_OLD}, Strategy.IN_PLACE),
        (MOVED, Strategy.NEW_CLUSTER),
    ],
    ids=["canary", "canary, rolled back", "in place", "in place, rolled back", "a new cluster"],
)
def test_what_came_about(facts: Mapping[State, Mapping[str, str]], strategy: Strategy) -> None:
    """Where each state is what it is called nothing is said."""
    assert findings(facts, strategy) == []


@pytest.mark.parametrize("strategy", [Strategy.CANARY, Strategy.IN_PLACE], ids=lambda strategy: strategy.value)
def test_an_upgrade_to_itself(strategy: Strategy) -> None:
    """Only the revision tells of a canary that it came about, and in place nothing does."""
    revision = "1-31-0" if strategy is Strategy.CANARY else "default"
    same = REPLACED_ISTIOD | new(GATEWAY, "default") | new(SHOP, "default")
    after = {f"istiod {revision}": "1.31.0"} | new(GATEWAY, revision) | new(SHOP, revision)
    evidence = replace(upgrade({OLD: same, NEW: after}, strategy), before=AFTER)
    assert list(unfinished(evidence)) == []
    stayed = replace(upgrade({OLD: same, NEW: same}, strategy), before=AFTER)
    assert bool(list(unfinished(stayed))) is (strategy is Strategy.CANARY)


@pytest.mark.parametrize(
    ("way", "strategy", "state", "facts", "text"),
    [
        pytest.param(
            CANARY,
            Strategy.CANARY,
            NEW,
            NEW_ISTIOD | new(GATEWAY) | old(SHOP),
            "The proxy of default/shop has Istio 1.30, Envoy 1.38.3, revision default in S4 all new, and should have "
            "Istio 1.31.0, Envoy 1.39.3, revision 1-31-0.",
            id="a sidecar stayed old",
        ),
        pytest.param(
            CANARY,
            Strategy.CANARY,
            NEW,
            NEW_ISTIOD | new(GATEWAY) | new(SHOP, "weird-other"),
            "The proxy of default/shop has revision weird-other in S4 all new, and should have revision 1-31-0.",
            id="a sidecar of another revision",
        ),
        pytest.param(
            CANARY,
            Strategy.CANARY,
            NEW,
            CANARY[NEW] | OLD_ISTIOD,
            "The istiod of the revision default is of Istio 1.30 in S4 all new, and should be gone.",
            id="the old istiod stayed",
        ),
        pytest.param(
            CANARY,
            Strategy.CANARY,
            NEW_CONTROL_PLANE,
            ALL_OLD,
            "The istiod of the revision 1-31-0 is not there in S1 new control plane beside the old one, and should be "
            "of Istio 1.31.0.",
            id="no new istiod",
        ),
        pytest.param(
            CANARY,
            Strategy.CANARY,
            NEW_CONTROL_PLANE,
            ALL_OLD | {"istiod 1-31-0": "1.30"},
            "The istiod of the revision 1-31-0 is of Istio 1.30 in S1 new control plane beside the old one, and should "
            "be of Istio 1.31.0.",
            id="an overlay pins the tag of istiod",
        ),
        pytest.param(
            CANARY,
            Strategy.CANARY,
            NEW_GATEWAYS,
            CANARY[NEW_GATEWAYS] | proxy(GATEWAY, "1.30", "1.38.3", "1-31-0"),
            "The proxy of istio-system/istio-ingressgateway has Istio 1.30, Envoy 1.38.3 in S2 new gateways, and "
            "should have Istio 1.31.0, Envoy 1.39.3.",
            id="an overlay pins the image of proxies",
        ),
        pytest.param(
            ROLLED_BACK,
            Strategy.CANARY,
            MIXED,
            CANARY[NEW_GATEWAYS],
            "The proxy of meshproof-upgrade/sender-first, meshproof-upgrade/server-first has Istio 1.30, Envoy 1.38.3, "
            "revision default in S3 mixed sidecars, and should have Istio 1.31.0, Envoy 1.39.3, revision 1-31-0.",
            id="no sidecar went over",
        ),
        pytest.param(
            CANARY,
            Strategy.CANARY,
            MIXED,
            CANARY[MIXED] | new(LAST[1]),
            "The proxy of meshproof-upgrade/server-last has Istio 1.31.0, Envoy 1.39.3, revision 1-31-0 in S3 mixed "
            "sidecars, and should have Istio 1.30, Envoy 1.38.3, revision default.",
            id="one of the last half went over, too",
        ),
        pytest.param(
            IN_PLACE,
            Strategy.IN_PLACE,
            REPLACED_CONTROL_PLANE,
            ALL_OLD,
            "The istiod of the revision default is of Istio 1.30 in S1' new control plane in place of the old one, and "
            "should be of Istio 1.31.0.",
            id="istiod was not replaced",
        ),
        pytest.param(
            IN_PLACE,
            Strategy.IN_PLACE,
            GATEWAYS_IN_PLACE,
            ALL_OLD | REPLACED_ISTIOD,
            "The proxy of istio-system/istio-ingressgateway has Istio 1.30, Envoy 1.38.3 in S2' new gateways, and "
            "should have Istio 1.31.0, Envoy 1.39.3.",
            id="gateways stayed old in place",
        ),
        pytest.param(
            ROLLED_BACK,
            Strategy.CANARY,
            BACK,
            OLD_ISTIOD | new(GATEWAY) | old(SHOP),
            "The proxy of istio-system/istio-ingressgateway has Istio 1.31.0, Envoy 1.39.3, revision 1-31-0 in S5 "
            "rolled back, and should have Istio 1.30, Envoy 1.38.3, revision default.",
            id="a gateway was not rolled back",
        ),
        pytest.param(
            ROLLED_BACK,
            Strategy.CANARY,
            BACK,
            ALL_OLD | NEW_ISTIOD,
            "The istiod of the revision 1-31-0 is of Istio 1.31.0 in S5 rolled back, and should be gone.",
            id="the new istiod stayed",
        ),
        pytest.param(
            MOVED,
            Strategy.NEW_CLUSTER,
            ON_A_NEW_CLUSTER,
            REPLACED_ISTIOD | new(GATEWAY, "default") | old(SHOP),
            "The proxy of default/shop has Istio 1.30, Envoy 1.38.3 in S6 the mesh on a new cluster, and should have "
            "Istio 1.31.0, Envoy 1.39.3.",
            id="a sidecar of the new cluster is old",
        ),
    ],
)
def test_what_did_not_come_about(
    way: Mapping[State, Mapping[str, str]], strategy: Strategy, state: State, facts: Mapping[str, str], text: str
) -> None:
    """A state is told with what it is, what it should be and what to do; the verdict is that it did not finish."""
    assert not [finding for finding in findings(way, strategy) if finding.state == state]
    (finding,) = findings({**way, state: facts}, strategy)
    assert (finding.verdict, finding.state, finding.text) == (Verdict.DID_NOT_FINISH, state, text)
    assert finding.to_do
    assert finding in judge(upgrade({**way, state: facts}, strategy))


def test_several_proxies_are_one_finding() -> None:
    """What is alike of several proxies is told once; five of them are named."""
    names = [f"default/shop-{number}" for number in range(7)]
    sidecars = {name: value for workload in names for name, value in old(workload).items()}
    (finding,) = findings({OLD: ALL_OLD, NEW: NEW_ISTIOD | new(GATEWAY) | sidecars})
    assert f"The proxy of {', '.join(names[:5])} and 2 more has Istio 1.30" in finding.text


def test_what_could_not_be_found_out() -> None:
    """It is no end of the upgrade, but unknown; nor is anything said of a state that was not looked at."""
    unknown = {"istiod": "unknown: no answer", "proxy default/shop": "unknown: no answer"}
    assert findings({OLD: ALL_OLD, NEW: unknown}) == []
    release = {"proxy default/shop: Istio": "unknown: it does not say"}
    assert findings({OLD: ALL_OLD, NEW: NEW_ISTIOD | new(SHOP) | release}) == []
    assert findings({OLD: ALL_OLD, NEW: {}}) == []


def test_an_envoy_that_nobody_knows() -> None:
    """Where the images do not say which Envoy they have, no proxy has a wrong one."""
    facts = {OLD: ALL_OLD, NEW: NEW_ISTIOD | proxy(SHOP, "1.31.0", "1.40.0", "1-31-0")}
    assert list(unfinished(replace(upgrade(facts), after=replace(AFTER, envoy="")))) == []
    assert [finding.text for finding in findings(facts)] == [
        "The proxy of default/shop has Envoy 1.40.0 in S4 all new, and should have Envoy 1.39.3."
    ]


@pytest.mark.parametrize("state", [NEW, BACK], ids=["all new", "rolled back"])
def test_a_webhook_that_leads_to_nobody(state: State) -> None:
    """At the end each leads to a ready istiod, wherever it led before; on the way it may lead to nobody."""
    way = CANARY if state == NEW else ROLLED_BACK
    for value, count in ((LEADS, 0), (f"{LEADS_NOWHERE}: tag to istio-system/istiod", 1)):
        facts = {at: {**of_one, WEBHOOK: value} for at, of_one in way.items()}
        (*several,) = findings(facts)
        assert [(finding.verdict, finding.state) for finding in several] == [(Verdict.DID_NOT_FINISH, state)] * count
