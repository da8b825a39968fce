"""An upgrade from its first state to its last: what is done, and what is recorded meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from meshproof.errors import MeshproofError
from meshproof.machine.wait import until
from meshproof.mesh import Testbed
from meshproof.pytest_plugin.rows import run_rows
from meshproof.settings import TIMEOUTS
from meshproof.traffic import Calibration
from meshproof.upgrade import facts
from meshproof.upgrade.acknowledgements import Acknowledgement
from meshproof.upgrade.differences import differences_between
from meshproof.upgrade.evidence import Budget, Difference, Event, Evidence, Side, State, Stop, Strategy, Visit, state_at
from meshproof.upgrade.gap import Span
from meshproof.upgrade.new_cluster import sent_by
from meshproof.upgrade.overlays import Overlay, documents_of
from meshproof.upgrade.plan import Stage, stages
from meshproof.upgrade.pods import pods_watched
from meshproof.upgrade.pressure import sampled
from meshproof.upgrade.recordings import Recordings
from meshproof.upgrade.report import Lines
from meshproof.upgrade.steps import Steps
from meshproof.upgrade.surprises import surprises_told
from meshproof.upgrade.world import World


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        before: The mesh before.
        after: The mesh after.
        strategy: How the one is made the other.
        rollback: Whether to turn round half-way.
        rows: What pytest is told: which rows to try in each state.
        budget: What the upgrade may cost.
        acknowledgements: What may be otherwise afterwards.
        directory: Where everything is left.
        overlays: What the user has for both sides.
        to_overlays: What there is for the new side only.
    """

    before: Side
    after: Side
    strategy: Strategy
    rollback: bool
    rows: Sequence[str]
    budget: Budget
    acknowledgements: Sequence[Acknowledgement]
    directory: Path
    overlays: tuple[Overlay, ...] = ()
    to_overlays: tuple[Overlay, ...] = ()

    @property
    def stages(self) -> list[Stage]:
        """The states, and what leads to each."""
        applied = bool(documents_of(self.to_overlays))
        return stages(self.before, self.after, self.strategy, rollback=self.rollback, applied=applied)


class Run:
    """One upgrade while it goes on, or as much of it as is on one cluster.

    Attributes:
        visits: The states so far, also those on an earlier cluster.
        events: What happened so far.
        stop: Why it ended early.
    """

    def __init__(
        self,
        order: Order,
        testbed: Testbed,
        steps: Steps,
        world: World,
        records: Path,
        *,
        earlier: Evidence | None = None,
    ) -> None:
        """Have everything ready.

        Args:
            order: What is asked for.
            testbed: The mesh.
            steps: What is done to it.
            world: The traffic, and what is to be refused.
            records: Where those of the traffic go.
            earlier: What was seen on the cluster before this one; None on the first one.
        """
        self.visits: list[Visit] = [*earlier.visits] if earlier else []
        self.events: list[Event] = []
        self.stop: Stop | None = None
        self._order, self._testbed, self._steps, self._world = order, testbed, steps, world
        self._earlier = earlier
        first, *others = order.stages[len(self.visits) :]
        self._stages = [first, *takewhile(lambda stage: not stage.cluster, others)]
        self._ways: list[tuple[int, State]] = []  # to each state, since when
        self._differences: list[Difference] = []
        self._records = records
        self._recordings = Recordings(world, testbed.images.traffic, records)

    def go(self, calibration: Sequence[Calibration]) -> Evidence:
        """Go all the way on this cluster, or as far as it can be gone; return what came of it.

        Of an earlier cluster there are the states and when it all began, and the differences from it.

        Args:
            calibration: What each source of traffic saw of losses that were made on purpose.

        Raises:
            MeshproofError: There is nothing to be judged: the traffic did not begin, or was not answered before the
                upgrade. On a later cluster traffic that is not answered is the end of the upgrade, and no error.
        """
        sights = self._world.calibrate(self._records)
        began, began_ns = time.time(), time.monotonic_ns()
        if self._earlier:
            began, began_ns = self._earlier.began, self._earlier.began_ns
        self._lines = Lines(began_ns)
        with (
            sampled() as pressure,
            pods_watched(self._testbed.kube, self._note),
            self._recordings.going_on(),
            surprises_told(self._recordings, self._lines, self._state_at),
        ):
            if not self._earlier:
                self._have_answers()
            for stage in self._stages:
                self._visit(stage)
                if self.stop:
                    break
        order = self._order
        here = self.visits[-len(self._ways) :]
        looked_at = Span(here[0].began_ns, here[-1].ended_ns)
        return Evidence(
            before=order.before,
            after=order.after,
            strategy=order.strategy,
            rollback=order.rollback,
            began=began,
            began_ns=began_ns,
            ended_ns=time.monotonic_ns(),
            visits=self.visits,
            events=sorted(self.events, key=lambda event: event.at_ns),
            flows=self._recordings.flows,
            controls=self._recordings.controls,
            probes=self._world.results(self._recordings.flown, sights, self._state_at, looked_at),
            differences=self._differences,
            pressure=pressure,
            budget=order.budget,
            calibration=calibration,
            stop=self.stop,
            unknown=self._recordings.unknown,
        )

    def _visit(self, stage: Stage) -> None:
        """Go to a state and look at the mesh there; note why that could not be done."""
        began_ns, reached_ns = time.monotonic_ns(), None
        self._ways.append((began_ns, stage.state))
        rows: Mapping[str, str] = {}
        seen: Mapping[str, str] = {}
        doing = "begin"
        try:
            if self._earlier:
                doing = "have traffic answered on the new cluster"
                self._have_answers()
            counted = facts.count_refusals(self._testbed.kube)
            for step in stage.steps:
                doing = step.text
                self._note("step", doing)
                with self._recordings.without(step.restarts):
                    step.do(self._steps)
            reached_ns = time.monotonic_ns()
            self._note("state", str(stage.state))
            doing = "look at the mesh"  # before the rows: what they provoke is nothing of the upgrade's
            seen = facts.take(self._testbed, (), self._steps.after.images.istioctl, counted, self._world.ways())
            doing = "try the rows"
            tried = run_rows(self._testbed, self._order.rows, self._order.directory / stage.state.key)
            rows = tried.rows
            if tried.interrupted:
                self.stop = interrupted(stage.state, doing)
            else:
                doing = "send traffic for long enough"
                _rest(stage.seconds, reached_ns)
        except KeyboardInterrupt:
            self.stop = interrupted(stage.state, doing)
        except MeshproofError as error:
            self.stop = Stop(
                stage.state,
                f"Tried to {doing}, and it could not be done: {error}",
                "Mend what is said here; until then the mesh is between two states.",
            )
        visit = Visit(stage.state, began_ns, reached_ns, time.monotonic_ns(), rows, seen)
        self.visits.append(visit)
        if reached_ns:
            requests, tries = sent_by(self._earlier) if self._earlier else (0, 0)
            self._lines.reached(visit, requests + self._recordings.requests, tries + self._recordings.tries)
        order = self._order
        self._differences = differences_between(
            self.visits, order.acknowledgements, order.before, order.after, order.strategy
        )
        for difference in self._differences:
            if difference.state is stage.state:
                self._lines.changed(difference, visit.ended_ns)

    def _have_answers(self) -> None:
        """Wait until each flow has been answered."""
        until(
            self._recordings.unanswered,
            [],
            what="The list of flows that were not answered before the upgrade",
            timeout=TIMEOUTS.behaviour,
        )

    def _state_at(self, at_ns: int) -> State:
        """Return the state that the mesh was in at a moment, or on its way to."""
        return state_at(self._ways or [(at_ns, self._stages[0].state)], at_ns)

    def _note(self, kind: str, text: str) -> None:
        self.events.append(Event(time.monotonic_ns(), kind, text))


def _rest(seconds: float, since_ns: int) -> None:
    """Wait until so many seconds have gone since a moment."""
    until(
        lambda: (time.monotonic_ns() - since_ns) // 1_000_000_000,
        f"{seconds:.0f} s or more",
        lambda gone: gone >= seconds,
        what="The time for which traffic was sent",
        timeout=seconds + TIMEOUTS.behaviour,
    )


def interrupted(state: State, doing: str) -> Stop:
    """Return that a person ended an upgrade on its way to a state, or in it."""
    return Stop(
        state,
        f"It was interrupted while it was to {doing}.",
        "What would have come after that is not known: run it again.",
        interrupted=True,
    )
