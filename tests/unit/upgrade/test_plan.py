"""The way of an upgrade: which states there are, and that each half is restarted as often as it has to be."""

from __future__ import annotations

import pytest

from meshproof.mesh.manifests import FIRST, LAST, TURN
from meshproof.upgrade.evidence import Side, Strategy
from meshproof.upgrade.plan import minutes, stages
from meshproof.upgrade.steps import halves, parted

ON_ONE_CLUSTER = (Strategy.CANARY, Strategy.IN_PLACE)
BEFORE, AFTER = Side("1.30", "1.30", "", ""), Side("1.31.0", "1.31.0", "", "")


@pytest.mark.parametrize(
    ("strategy", "rollback", "keys"),
    [
        pytest.param(Strategy.CANARY, False, ["S0", "S1", "S2", "S3", "S4"], id="canary"),
        pytest.param(Strategy.CANARY, True, ["S0", "S1", "S2", "S3", "S5"], id="canary, rolled back"),
        pytest.param(Strategy.IN_PLACE, False, ["S0", "S1'", "S2'", "S4"], id="in place"),
        pytest.param(Strategy.IN_PLACE, True, ["S0", "S1'", "S2'", "S5"], id="in place, rolled back"),
    ],
)
def test_states(strategy: Strategy, keys: list[str], *, rollback: bool) -> None:
    """Each way has its states, and nothing is done for the first one."""
    way = stages(BEFORE, AFTER, strategy, rollback=rollback)
    assert [stage.state.key for stage in way] == keys
    assert [bool(stage.steps) for stage in way] == [False] + [True] * (len(way) - 1)
    assert [bool(stage.cluster) for stage in way] == [True] + [False] * (len(way) - 1)


@pytest.mark.parametrize("applied", [False, True], ids=["the same policies", "other ones"])
def test_a_new_cluster(*, applied: bool) -> None:
    """There are two states, each on a cluster of its own and with 20 s of traffic; nothing is restarted."""
    old, new = stages(BEFORE, AFTER, Strategy.NEW_CLUSTER, rollback=False, applied=applied)
    assert (old.state.key, new.state.key) == ("S0", "S6")
    assert (old.cluster, new.cluster) == (
        "bring up a cluster with 1.30",
        "delete that cluster, and bring up one with 1.31.0",
    )
    assert min(old.seconds, new.seconds) >= 20
    assert not old.steps
    assert [step.text for step in new.steps] == ["apply what the new side's overlay has beside its mesh"] * applied


@pytest.mark.parametrize("strategy", ON_ONE_CLUSTER, ids=lambda strategy: strategy.value)
def test_both_halves_go_over(strategy: Strategy) -> None:
    """At the end all sidecars are new: each half was restarted once."""
    restarts = [step.restarts for stage in stages(BEFORE, AFTER, strategy, rollback=False) for step in stage.steps]
    assert [restart for restart in restarts if restart] == [FIRST, LAST]


def test_what_went_over_comes_back() -> None:
    """Where a canary is rolled back, only the first half had new sidecars."""
    restarts = [
        step.restarts for stage in stages(BEFORE, AFTER, Strategy.CANARY, rollback=True) for step in stage.steps
    ]
    assert [restart for restart in restarts if restart] == [FIRST, FIRST]


def test_a_step_says_what_it_is_of() -> None:
    """The releases are in the words of the steps."""
    words = " ".join(
        step.text for stage in stages(BEFORE, AFTER, Strategy.CANARY, rollback=False) for step in stage.steps
    )
    assert "control plane of 1.31.0 under a revision" in words
    assert "remove the old control plane, of 1.30" in words


def test_halves() -> None:
    """A Deployment goes over when its label says; the others by turns."""

    def deployment(name: str, turn: str = "") -> dict[str, dict[str, object]]:
        return {"metadata": {"name": name, "labels": {TURN: turn} if turn else {}}}

    first, last = halves(
        [deployment("a"), deployment("b", LAST), deployment("c"), deployment("d", FIRST), deployment("e")]
    )
    assert [document["metadata"]["name"] for document in first] == ["d", "a", "e"]
    assert [document["metadata"]["name"] for document in last] == ["b", "c"]


def test_what_comes_or_goes_between_the_halves() -> None:
    """All that was not restarted first is restarted last, whatever turn it would have now."""
    first, others = ([{"metadata": {"namespace": "default", "name": name}} for name in names] for names in ("ac", "bc"))
    half, _ = halves(first)
    now = [{"metadata": {"namespace": "default", "name": name}} for name in "0abc"]
    assert [[document["metadata"]["name"] for document in part] for part in parted(now, half)] == [
        ["a"],
        ["0", "b", "c"],
    ]
    assert parted(others, half) == ([], others)


@pytest.mark.parametrize(
    ("strategy", "rollback", "measured"),
    [
        pytest.param(Strategy.CANARY, False, (298, 320, 384, 393, 412, 450, 452, 458), id="canary"),
        pytest.param(Strategy.CANARY, True, (343, 376), id="canary, rolled back"),
        pytest.param(Strategy.IN_PLACE, False, (277, 298, 336), id="in place"),
    ],
)
def test_the_time_that_is_told_is_the_one_it_takes(
    strategy: Strategy, measured: tuple[int, ...], *, rollback: bool
) -> None:
    """From the quickest to the slowest run that was measured on two processors, with bringing the cluster up."""
    least, most = minutes(stages(BEFORE, AFTER, strategy, rollback=rollback))
    assert all(least <= round(seconds / 60) <= most for seconds in measured)
    assert most - least <= 3
