"""The way of an upgrade: its states, and the steps that lead from each to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor

from meshproof.mesh.manifests import FIRST, LAST
from meshproof.upgrade.evidence import Side, State, Strategy
from meshproof.upgrade.steps import Steps

OLD = State("S0", "all old")
NEW_CONTROL_PLANE = State("S1", "new control plane beside the old one")
NEW_GATEWAYS = State("S2", "new gateways")
MIXED = State("S3", "mixed sidecars")
NEW = State("S4", "all new")
BACK = State("S5", "rolled back")
REPLACED_CONTROL_PLANE = State("S1'", "new control plane in place of the old one")
GATEWAYS_IN_PLACE = State("S2'", "new gateways")
ON_A_NEW_CLUSTER = State("S6", "the mesh on a new cluster")
STATES = (
    OLD,
    NEW_CONTROL_PLANE,
    NEW_GATEWAYS,
    MIXED,
    NEW,
    BACK,
    REPLACED_CONTROL_PLANE,
    GATEWAYS_IN_PLACE,
    ON_A_NEW_CLUSTER,
)
_LONG_ENOUGH = 20.0  # seconds of traffic on each of two clusters: there is none on the way
_TO_BRING_UP, _TO_LOOK = 110.0, 33.0  # seconds, about, where the images are there; to look at the mesh and try the rows
_QUICK, _BUSY = 0.9, 1.2
"""What an upgrade takes of that at least, and at most: twelve canaries took 298 to 458 s, and 378 s were expected."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done to the mesh.

    Attributes:
        text: What, as a person reads it.
        seconds: How long it takes, about, on two processors.
        do: Does it.
        restarts: The half of the Deployments that it restarts: ``first`` or ``last``; empty where it restarts none.
    """

    text: str
    seconds: float
    do: Callable[[Steps], None]
    restarts: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A state, and what leads to it from the one before.

    Attributes:
        state: The state.
        steps: What is done, in this order; nothing for the first one, which is there.
        cluster: How its cluster is brought up; empty where that is the one of the state before.
        seconds: For how long the mesh rests in it at least.
    """

    state: State
    steps: tuple[Step, ...] = ()
    cluster: str = ""
    seconds: float = 0.0

    @property
    def to_reach(self) -> float:
        """How long it takes to get there, about, in seconds."""
        return sum(step.seconds for step in self.steps) + (_TO_BRING_UP if self.cluster else 0.0)

    @property
    def to_look(self) -> float:
        """For how long it is looked at, about, in seconds."""
        return max(_TO_LOOK, self.seconds)


def minutes(way: Sequence[Stage]) -> tuple[int, int]:
    """Return how many minutes an upgrade takes at least and at most, about: on a machine that is quiet, or busy.

    Args:
        way: Its states.
    """
    seconds = sum(stage.to_reach + stage.to_look for stage in way)
    return floor(seconds * _QUICK / 60), ceil(seconds * _BUSY / 60)


def stages(before: Side, after: Side, strategy: Strategy, *, rollback: bool, applied: bool = False) -> list[Stage]:
    """Return the way of an upgrade.

    A canary that is rolled back turns round at its mixed state; in place, at the new gateways.

    Args:
        before: The mesh that is there.
        after: The one that is to be.
        strategy: How.
        rollback: Whether to turn round half-way.
        applied: Whether something is applied when the new gateways come.

    Source: https://istio.io/latest/docs/setup/upgrade/canary/ and https://istio.io/latest/docs/setup/upgrade/in-place/
    """
    way = {Strategy.CANARY: _canary, Strategy.IN_PLACE: _in_place, Strategy.NEW_CLUSTER: _new_cluster}[strategy]
    applying = (_APPLY,) if applied else ()
    returning = (_APPLY_BACK,) if applied else ()
    return list(way(before.name, after.name, applying, returning, rollback=rollback))


_BOTH_MESHES = "bring up a cluster with both meshes; install the old one"
_APPLY = Step("apply what the new side's overlay has beside its mesh", 1, Steps.apply)
_APPLY_BACK = Step("have that as it was", 1, Steps.apply_back)


def _canary(
    before: str, after: str, applying: Sequence[Step], returning: Sequence[Step], *, rollback: bool
) -> Iterator[Stage]:
    yield Stage(OLD, cluster=_BOTH_MESHES)
    yield Stage(
        NEW_CONTROL_PLANE, (Step(f"install the control plane of {after} under a revision", 10, Steps.install_beside),)
    )
    yield Stage(NEW_GATEWAYS, (*applying, Step(f"have the gateways of {after}", 30, Steps.replace_gateways)))
    yield Stage(
        MIXED,
        (
            Step("let the tag `default` lead to the new revision", 2, Steps.move_tag),
            Step("restart the first half of the Deployments that have sidecars", 28, Steps.restart_first, FIRST),
        ),
    )
    if rollback:
        yield Stage(
            BACK,
            (
                *returning,
                Step("let the tag `default` lead to the old revision", 2, Steps.move_tag_back),
                Step("restart what has new sidecars", 28, Steps.restart_first, FIRST),
                Step(f"have the gateways of {before}", 30, Steps.install_before),
                Step(f"remove the new control plane, of {after}", 5, Steps.uninstall_after),
            ),
        )
        return
    yield Stage(
        NEW,
        (
            Step("restart the other Deployments that have sidecars", 28, Steps.restart_last, LAST),
            Step(f"remove the old control plane, of {before}", 5, Steps.uninstall_before),
        ),
    )


def _in_place(
    before: str, after: str, applying: Sequence[Step], returning: Sequence[Step], *, rollback: bool
) -> Iterator[Stage]:
    yield Stage(OLD, cluster=_BOTH_MESHES)
    yield Stage(
        REPLACED_CONTROL_PLANE,
        (Step(f"replace the control plane by that of {after}", 15, Steps.replace_control_plane),),
    )
    yield Stage(GATEWAYS_IN_PLACE, (*applying, Step(f"have the gateways of {after}", 30, Steps.install_after)))
    if rollback:
        yield Stage(BACK, (*returning, Step(f"install {before} again", 25, Steps.install_before)))
        return
    yield Stage(
        NEW,
        (
            Step("restart the first half of the Deployments that have sidecars", 28, Steps.restart_first, FIRST),
            Step("restart the other half", 28, Steps.restart_last, LAST),
        ),
    )


def _new_cluster(
    before: str, after: str, applying: Sequence[Step], _returning: Sequence[Step], *, rollback: bool
) -> Iterator[Stage]:
    assert not rollback, "there is no cluster to go back to"
    yield Stage(OLD, cluster=f"bring up a cluster with {before}", seconds=_LONG_ENOUGH)
    doing = f"delete that cluster, and bring up one with {after}"
    yield Stage(ON_A_NEW_CLUSTER, tuple(applying), doing, _LONG_ENOUGH)
