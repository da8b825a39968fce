"""What differs from the first state: told once, with what explains it, and never silent where something is unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from meshproof.upgrade.acknowledgements import Acknowledgement
from meshproof.upgrade.differences import differences_between, unused
from meshproof.upgrade.evidence import Difference, Kind, Side, State, Strategy, Visit
from meshproof.upgrade.plan import BACK, MIXED, NEW, NEW_CONTROL_PLANE, NEW_GATEWAYS, OLD, ON_A_NEW_CLUSTER

BEFORE, AFTER = Side("1.30", "1.30", "1.38.3", "v1.34.4"), Side("1.31.0", "1.31.0", "1.39.3", "v1.34.4")
CANARY, IN_PLACE = Strategy.CANARY, Strategy.IN_PLACE
ROW = "posture a.test:443: TLS 1.2"
LISTENER = "configuration of istio-system/gateway: listener 0.0.0.0_8443"


def visits(*facts: Mapping[str, str]) -> list[Visit]:
    """Return the states S0, S1, …, each with its facts."""
    return [Visit(State(f"S{number}", "state"), 0, 1, 2, {}, each) for number, each in enumerate(facts)]


def changes_of(*facts: Mapping[str, str], acknowledged: tuple[Acknowledgement, ...] = ()) -> list[Difference]:
    """Return what differs between states with these facts, in an upgrade from 1.30 to 1.31.0."""
    return differences_between(visits(*facts), acknowledged, BEFORE, AFTER, CANARY)


def test_what_is_the_same_is_silent() -> None:
    """States with the same facts differ in nothing."""
    assert changes_of({ROW: "offered"}, {ROW: "offered"}) == []
    assert changes_of({ROW: "offered"}) == []
    assert changes_of() == []


def test_a_difference_is_told_once_with_its_first_state() -> None:
    """What stays different is told in the state in which it began, and what changes again is told again."""
    first, *others = changes_of({ROW: "offered"}, {ROW: "offered"}, {ROW: "no"}, {ROW: "no"}, {ROW: "perhaps"})
    assert (first.name, first.before, first.after, first.state.key) == (ROW, "offered", "no", "S2")
    assert [(each.after, each.state.key) for each in others] == [("perhaps", "S4")]


def test_a_state_that_was_not_looked_at_differs_in_nothing() -> None:
    """Without facts nothing is known, as where the upgrade did not get so far."""
    assert changes_of({ROW: "offered"}, {}) == []


def test_a_difference_of_a_configuration_names_the_field() -> None:
    """Of a resource that differs only the fields that do are told."""
    before, after = (json.dumps({"name": "l", "tls": {"min": value}}) for value in ("TLSv1_2", "TLSv1_3"))
    (difference,) = changes_of({LISTENER: before}, {LISTENER: after})
    assert (difference.name, difference.before, difference.after) == (f"{LISTENER}: tls.min", "TLSv1_2", "TLSv1_3")


def test_what_is_gone_is_told_without_its_parts() -> None:
    """A listener that is gone is one difference, and its filter chains are none of their own."""
    facts = {LISTENER: "{}", f"{LISTENER}: filter chain a.test": "{}"}
    (difference,) = changes_of({**facts, "configuration of istio-system/gateway": "loaded"}, {ROW: "offered"})[1:]
    assert difference.name == ROW
    (gone, _) = changes_of({**facts, "configuration of istio-system/gateway": "loaded"}, {ROW: "offered"})
    assert (gone.name, gone.after) == ("configuration of istio-system/gateway", "")
    (gone,) = changes_of(facts, {"configuration of istio-system/gateway": "loaded"})[:1]
    assert (gone.name, gone.before.partition(":")[0], gone.after) == (LISTENER, "there", "")


NEW_HOST = "posture new.test:443"
NEW_CHAIN = f"{LISTENER}: filter chain new.test"


@pytest.mark.parametrize(
    ("name", "one", "other", "alike"),
    [
        (NEW_HOST, {f"{NEW_HOST}: TLS 1.0": "not offered"}, {f"{NEW_HOST}: TLS 1.0": "offered"}, False),
        (NEW_HOST, {}, {f"{NEW_HOST}: client authentication": "none"}, False),
        (NEW_HOST, {f"{NEW_HOST}: ALPN": "h2"}, {f"{NEW_HOST}: ALPN": "h2"}, True),
        (NEW_HOST, {f"{NEW_HOST}: RSA certificate": "by CA 1"}, {f"{NEW_HOST}: RSA certificate": "by CA 2"}, True),
        (NEW_CHAIN, {NEW_CHAIN: '{"require_client_certificate": true}'}, {NEW_CHAIN: "{}"}, False),
        (LISTENER, {NEW_CHAIN: '{"require_client_certificate": true}'}, {NEW_CHAIN: "{}"}, False),
    ],
    ids=[
        "another posture",
        "more in the posture",
        "the same",
        "a certificate of another run",
        "another filter chain",
        "a part of a new listener",
    ],
)
def test_what_is_new_is_acknowledged_as_it_is(
    name: str, one: dict[str, str], other: dict[str, str], *, alike: bool
) -> None:
    """Whoever has said yes to a new host with mutual TLS has not said yes to it without."""
    whole = {name: "{}" if name == LISTENER else "answers"}
    old = {LISTENER: "{}"} if name == NEW_CHAIN else {ROW: "offered"}
    (first,) = (each for each in changes_of(old, old | whole | one) if each.name == name)
    acknowledgement = Acknowledgement(name, "We want it.", first.before, first.after)
    (second,) = (
        each for each in changes_of(old, old | whole | other, acknowledged=(acknowledgement,)) if each.name == name
    )
    assert (second.kind is Kind.ACKNOWLEDGED) is alike


def test_what_a_proxy_refuses_has_its_reason() -> None:
    """That there is a refused listener is no resource that came, but what the proxy says of it."""
    name = "configuration of istio-system/gateway: refused listener 0.0.0.0_8443"
    (difference,) = changes_of({ROW: "offered"}, {ROW: "offered", name: "no such suite"})
    assert (difference.name, difference.after) == (name, "no such suite")


def test_the_same_header_on_several_ways_is_one() -> None:
    """A header that answers have no more is told once, and apart from the same header of requests."""
    names = [f"answer by {way}: header server" for way in ("gateway, HTTP/2", "egress")]
    facts = dict.fromkeys((*names, "request by egress: header server"), "istio-envoy")
    first, second = changes_of(facts, dict.fromkeys(facts, "envoy"))
    assert (first.name, second.name) == (f"{names[0]}, and 1 alike", "request by egress: header server")


def test_the_same_of_several_proxies_is_one() -> None:
    """What two sidecars and two clusters have in common is told once, with how many there are."""
    names = [
        f"configuration of default/{app}: cluster {cluster}" for app in ("shop", "bank") for cluster in ("one", "two")
    ]
    (difference,) = changes_of(dict.fromkeys(names, '{"timeout": "1s"}'), dict.fromkeys(names, '{"timeout": "2s"}'))
    assert difference.name == f"{names[0]}: timeout, and 3 alike"


def test_the_same_of_several_clients_of_a_server_is_one() -> None:
    """What keeps out several named clients is told once for each server, and other rows of it are their own."""
    names = [f"posture {server}: client {client}" for server in ("a.test:443", "b.test:443") for client in ("A", "B")]
    changes = changes_of(
        {**dict.fromkeys(names, "TLSv1.2"), ROW: "offered"}, {**dict.fromkeys(names, "none"), ROW: "no"}
    )
    assert [change.name for change in changes] == [f"{names[0]}, and 1 alike", f"{names[2]}, and 1 alike", ROW]


@pytest.mark.parametrize("side", [0, 1], ids=["before", "after"])
def test_what_is_unknown_is_told_as_unknown(side: int) -> None:
    """Where a fact could not be found out nobody can say whether it differs, and nobody can acknowledge that."""
    facts = [{ROW: "offered"}, {ROW: "offered"}]
    facts[side] = {ROW: "unknown: no answer"}
    (difference,) = changes_of(*facts, acknowledged=(Acknowledgement("*", "as always"),))
    assert difference.unknown
    assert not difference.acknowledged


def test_what_is_unknown_all_the_time_is_told() -> None:
    """Two looks that found out nothing are not the same."""
    why = "unknown: no answer"
    assert [each.unknown for each in changes_of({ROW: why}, {ROW: why})] == [True]


@pytest.mark.parametrize("part", ["", ": section ScopedRoutesConfigDump"])
def test_a_configuration_that_is_unknown_all_the_time_is_told(part: str) -> None:
    """All of it, or a part that nobody reads."""
    fact = {f"configuration of default/shop{part}": "unknown: no answer"}
    assert [each.unknown for each in changes_of(fact, fact)] == [True]


def test_a_value_that_is_unknown_is_a_value() -> None:
    """A header may say so, or a field of a proxy: it was seen."""
    assert changes_of({ROW: "unknown"}, {ROW: "unknown"}) == []
    (difference,) = changes_of({ROW: "unknown"}, {ROW: "mesh1"})
    assert not difference.unknown


@pytest.mark.parametrize(
    ("whole", "other"),
    [("proxy default/shop", "proxy default/shop-admin"), ("posture a.test:443", "posture a.test:4433")],
)
def test_what_could_not_be_found_out_hides_nothing_else(whole: str, other: str) -> None:
    """A name that begins like that of another fact is no part of it."""
    facts = {other: "answers", f"{other}: it": "DENY"}
    differences = changes_of({whole: "answers", **facts}, {whole: "unknown: no answer"})
    assert {(difference.name, difference.unknown) for difference in differences} == {(whole, True), (other, False)}


def test_a_part_that_could_not_be_looked_at_is_one_unknown() -> None:
    """Where no posture could be taken not each of its rows is told as gone."""
    (difference,) = changes_of(
        {ROW: "offered", "posture a.test:443": "answers"}, {"posture": "unknown: no such cluster"}
    )
    assert (difference.name, difference.unknown) == ("posture", True)
    (difference,) = changes_of(
        {ROW: "offered", "posture a.test:443": "answers"}, {"posture a.test:443": "unknown: connection refused"}
    )
    assert (difference.name, difference.unknown) == ("posture a.test:443", True)


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [("0", "1", 1), ("2", "0", 0), ("2", "2", 0), (None, "3", 1), (None, "0", 0), ("3", None, 0)],
    ids=["more", "a new process", "the same", "new and refused", "new and not refused", "gone"],
)
def test_only_more_refusals_are_a_difference(before: str | None, after: str | None, count: int) -> None:
    """A counter begins from nought with its process, so that fewer refusals say nothing."""
    name = "refused by istiod: pilot_total_xds_rejects"
    first, last = ({ROW: "offered", **({name: value} if value else {})} for value in (before, after))
    assert len(changes_of(first, last)) == count


def test_refusals_that_could_not_be_counted() -> None:
    """A counter that nobody could ask for is unknown, and no number."""
    name = "refused by istiod"
    (difference,) = changes_of({f"{name}: pilot_total_xds_rejects": "0"}, {name: "unknown: no istiod is ready"})
    assert (difference.name, difference.unknown) == (name, True)


@pytest.mark.parametrize(
    ("name", "before", "after", "reason"),
    [
        ("proxy default/shop: Istio", "1.30", "1.31.0", "The upgrade is to Istio 1.31.0."),
        ("proxy default/shop: Envoy", "1.38.3", "1.39.3", "The upgrade is to Envoy 1.39.3."),
        (
            "proxy default/shop: revision",
            "default",
            "1-31-0",
            "Each control plane of a canary upgrade has a revision of its own.",
        ),
        ("proxy default/shop: Istio", "1.30", "1.32.0", ""),
        ("proxy default/shop: Envoy", "1.38.3", "1.40.0", ""),
        ("proxy default/shop: revision", "default", "weird-other", ""),
        ("istiod 1-31-0", "", "1.31.0", "The upgrade is to the control plane of Istio 1.31.0, beside the old one."),
        ("istiod 1-31-0", "", "1.30", ""),
        ("istiod default", "1.30", "", ""),
        ("proxy default/shop: identity", "spiffe://a", "1.31.0", ""),
        ("webhook injector", "leads to a ready istiod", "leads to nobody: x", ""),
    ],
    ids=[
        "Istio",
        "Envoy",
        "a revision",
        "another Istio",
        "another Envoy",
        "another revision",
        "a new istiod",
        "an istiod of another release",
        "an istiod that is gone too early",
        "no release",
        "a webhook",
    ],
)
def test_what_the_upgrade_itself_brings(name: str, before: str, after: str, reason: str) -> None:
    """The new releases of proxies are expected if they are those that were asked for, and nothing else is."""
    (difference,) = changes_of({name: before}, {name: after})
    assert difference.expected == reason


@pytest.mark.parametrize(
    ("name", "before", "after", "reason"),
    [
        ("istiod default", "1.30", "1.31.0", "The upgrade is to Istio 1.31.0."),
        ("istiod default", "1.30", "", ""),
        ("proxy default/shop: revision", "default", "1-31-0", ""),
    ],
    ids=["istiod", "no istiod", "a revision"],
)
def test_what_an_upgrade_in_place_brings(name: str, before: str, after: str, reason: str) -> None:
    """The control plane keeps its revision."""
    (difference,) = differences_between(visits({name: before}, {name: after}), [], BEFORE, AFTER, IN_PLACE)
    assert difference.expected == reason


@pytest.mark.parametrize(
    ("after", "reason"),
    [("1.39.3", "Istio 1.31.0 comes with Envoy 1.39.3."), ("1.12.0", ""), ("1.39.3-dev", "")],
    ids=["a newer one", "an older one", "no number"],
)
def test_an_envoy_that_nobody_has_named(after: str, reason: str) -> None:
    """Where the images don't say which Envoy a release has, it is a newer one."""
    name, side = "proxy default/shop: Envoy", replace(AFTER, envoy="")
    (difference,) = differences_between(visits({name: "1.38.3"}, {name: after}), [], BEFORE, side, CANARY)
    assert difference.expected == reason


def test_the_old_istiod_goes_at_the_end() -> None:
    """That it is not there any more is expected when all is new."""
    first, last = visits({"istiod default": "1.30", ROW: "offered"}, {ROW: "offered"})
    (difference,) = differences_between([first, replace(last, state=NEW)], [], BEFORE, AFTER, CANARY)
    assert difference.expected == "The upgrade removes the control plane of Istio 1.30."
    assert difference.kind is Kind.ROUTINE


def test_a_rollback_that_rolled_nothing_back() -> None:
    """What an upgrade brings is expected in its states, and not when it was rolled back."""
    old, new = (
        {"proxy istio-system/gateway: Istio": release, "proxy istio-system/gateway: revision": revision}
        for release, revision in (("1.30", "default"), ("1.31.0", "1-31-0"))
    )
    states = (OLD, NEW_CONTROL_PLANE, NEW_GATEWAYS, MIXED, BACK)
    looks = [Visit(state, 0, 1, 2, {}, facts) for state, facts in zip(states, (old, old, new, new, new), strict=True)]
    differences = differences_between(looks, [], BEFORE, AFTER, CANARY)
    assert [(change.state, bool(change.expected)) for change in differences] == [(NEW_GATEWAYS, True)] * 2 + [
        (BACK, False)
    ] * 2
    assert (
        differences_between([*looks[:-1], replace(looks[0], state=BACK)], [], BEFORE, AFTER, CANARY)
        == (differences[:2])
    )


def test_what_is_known_of_a_release_does_not_excuse_a_rollback() -> None:
    """A field that the new release has is expected with it, and not after it."""
    there = {"healthy_panic_threshold": dict[str, str]()}
    facts = [
        {"configuration of default/shop: cluster a": json.dumps({"name": "a", "common_lb_config": config})}
        for config in (dict[str, dict[str, str]](), there, there)
    ]
    first, mixed, last = visits(*facts)
    known, left = differences_between([first, mixed, replace(last, state=BACK)], [], BEFORE, AFTER, CANARY)
    assert (bool(known.expected), bool(left.expected)) == (True, False)
    assert known.kind is Kind.RELEASE


@pytest.mark.parametrize(
    ("states", "acknowledged"), [((), False), (("S5",), True)], ids=["of no state", "of this state"]
)
def test_what_is_acknowledged_after_a_rollback(states: tuple[str, ...], *, acknowledged: bool) -> None:
    """What is all right in a new mesh must not be left in the old one, unless the entry says so."""
    first, last = visits({ROW: "offered"}, {ROW: "not offered"})
    entry = Acknowledgement(ROW, "meant", states=states)
    (difference,) = differences_between([first, replace(last, state=BACK)], [entry], BEFORE, AFTER, CANARY)
    assert bool(difference.acknowledged) is acknowledged


def test_what_a_rollback_leaves_otherwise_is_told_again() -> None:
    """That nobody could explain it before does not hide that it is still there."""
    first, mixed, last = visits({ROW: "offered"}, {ROW: "not offered"}, {ROW: "not offered"})
    changes = differences_between([first, mixed, replace(last, state=BACK)], [], BEFORE, AFTER, CANARY)
    assert [change.state.key for change in changes] == ["S1", "S5"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [("v1.34.4", "The upgrade is to Kubernetes 1.34.4."), ("v1.35.4", "")],
    ids=["that was asked for", "another one"],
)
def test_another_kubernetes(after: str, expected: str) -> None:
    """It is expected where it is the one that was asked for."""
    old, new = (Side("1.31.0", "1.31.0", "", release) for release in ("1.33.13", "1.34.4"))
    (difference,) = differences_between(visits({"Kubernetes": "v1.33.13"}, {"Kubernetes": after}), [], old, new, CANARY)
    assert difference.expected == expected


ROOT, ANOTHER = (f"O=cluster.local, SHA-256 {letter * 16}" for letter in "ab")


@pytest.mark.parametrize(
    ("name", "before", "after", "state", "expected"),
    [
        ("proxy default/shop: trusted roots", ROOT, ANOTHER, ON_A_NEW_CLUSTER, True),
        ("webhook injector: authority", "SHA-256 " + "a" * 16, "SHA-256 " + "b" * 16, ON_A_NEW_CLUSTER, True),
        ("proxy default/shop: trusted roots", ROOT, ANOTHER, NEW, False),
        ("proxy default/shop: trusted roots", ROOT, f"{ROOT}, {ANOTHER}", ON_A_NEW_CLUSTER, False),
        ("proxy default/shop: trusted roots", ROOT, "CN=other, SHA-256 " + "b" * 16, ON_A_NEW_CLUSTER, False),
        ("proxy default/shop: trusted roots", ROOT, "none", ON_A_NEW_CLUSTER, False),
        ("webhook injector: authority", "SHA-256 " + "a" * 16, "none", ON_A_NEW_CLUSTER, False),
        ("proxy default/shop: identity", ROOT, ANOTHER, ON_A_NEW_CLUSTER, False),
    ],
    ids=[
        "the root of the mesh",
        "the webhook's",
        "on the same cluster",
        "one more root",
        "somebody else's root",
        "no root",
        "a webhook without one",
        "no root at all",
    ],
)
def test_a_new_cluster_has_a_new_root(name: str, before: str, after: str, state: State, *, expected: bool) -> None:
    """Only one that istiod makes itself, in place of another such one: nobody is trusted beside it unnoticed."""
    first, last = visits({name: before}, {name: after})
    (difference,) = differences_between([first, replace(last, state=state)], [], AFTER, AFTER, CANARY)
    assert bool(difference.expected) is expected


def test_an_upgrade_to_itself_expects_nothing() -> None:
    """Where no release changes none is expected to."""
    facts = [{"proxy default/shop: Istio": "1.30"}, {"proxy default/shop: Istio": "1.31.0"}]
    (difference,) = differences_between(visits(*facts), [], AFTER, AFTER, CANARY)
    assert not difference.expected


@pytest.mark.parametrize(
    ("acknowledgement", "fits"),
    [
        (Acknowledgement(ROW, "meant"), True),
        (Acknowledgement("posture *: TLS 1.2", "meant"), True),
        (Acknowledgement("posture *: TLS 1.3", "meant"), False),
        (Acknowledgement(ROW, "meant", after="not*"), True),
        (Acknowledgement(ROW, "meant", after="offered"), False),
        (Acknowledgement(ROW, "meant", before="no*"), False),
        (Acknowledgement(ROW, "meant", old="1.30", new="1.31"), True),
        (Acknowledgement(ROW, "meant", old="1.29"), False),
        (Acknowledgement(ROW, "meant", new="1.3"), False),
    ],
    ids=[
        "by its name",
        "by a pattern",
        "another name",
        "its value",
        "another value",
        "another value before",
        "its releases",
        "another release",
        "half of a release",
    ],
)
def test_what_is_acknowledged(acknowledgement: Acknowledgement, *, fits: bool) -> None:
    """An acknowledgement is for what its patterns fit, in the upgrades that it is about."""
    (difference,) = changes_of({ROW: "offered"}, {ROW: "not offered"}, acknowledged=(acknowledgement,))
    assert difference.acknowledged == ("meant" if fits else "")


def test_what_is_all_right_in_one_state_only() -> None:
    """What may be so while sidecars are mixed is told again where it still is after that."""
    facts = [{ROW: value} for value in ("offered", "not offered", "not offered", "not offered")]
    first, last = changes_of(*facts, acknowledged=(Acknowledgement(ROW, "mixed", states=("S1",)),))
    assert [(each.state.key, each.acknowledged) for each in (first, last)] == [("S1", "mixed"), ("S2", "")]


def test_an_acknowledgement_that_fits_nothing_is_told() -> None:
    """What no difference needs any more is told, also where its releases are others."""
    needed, left, other = (
        Acknowledgement(ROW, "meant"),
        Acknowledgement("posture b.test:443", "was meant"),
        Acknowledgement("posture c.test:443", "for later", new="1.32"),
    )
    facts = visits({ROW: "offered"}, {ROW: "not offered"})
    assert unused(facts, [needed, left, other], BEFORE, AFTER) == [left, other]
