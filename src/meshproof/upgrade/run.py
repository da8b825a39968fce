"""An upgrade from its first state to its last: what is done, and what is recorded meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from meshproof.errors import ClusterError
from meshproof.machine import console, interrupts
from meshproof.machine.wait import until
from meshproof.mesh import Testbed
from meshproof.pytest_plugin.rows import run_rows
from meshproof.settings import TIMEOUTS
from meshproof.upgrade import facts
from meshproof.upgrade.blame import Machine
from meshproof.upgrade.gap import Span
from meshproof.upgrade.journey import Journey
from meshproof.upgrade.new_cluster import sent_by
from meshproof.upgrade.plan import Stage
from meshproof.upgrade.pods import pods_watched
from meshproof.upgrade.pressure import sampled
from meshproof.upgrade.recordings import Recordings
from meshproof.upgrade.report import Lines
from meshproof.upgrade.steps import Steps
from meshproof.upgrade.surprises import surprises_told
from meshproof.upgrade.world import Sight, World

_BEHIND = 10
"""By how much the steps and the rows come after the sender, which has begun, where processors are short.

Source: sched(7); of this thread, and of the programs and threads that it begins from then on.
"""


class Run:
    """One upgrade while it goes on, or as much of it as is on one cluster."""

    def __init__(self, journey: Journey, testbed: Testbed, steps: Steps, world: World, records: Path) -> None:
        """Have everything ready.

        Args:
            journey: What is asked for; takes what comes of it.
            testbed: The mesh.
            steps: What is done to it.
            world: The traffic, and what is to be refused.
            records: Where those of the traffic go.
        """
        self._journey, self._testbed, self._steps, self._world = journey, testbed, steps, world
        self._records = records
        self._recordings = Recordings(world, testbed.images.traffic, records)

    def go(self) -> None:
        """Go all the way on this cluster, or as far as it can be gone; what ends it early is in the journey."""
        journey, world = self._journey, self._world
        with journey.ended_in_order():
            if not journey.load:
                journey.doing = "find out how often requests can be sent"
                with console.stage("how often requests can be sent"):
                    journey.load = world.bearable_load()
            world.rates = journey.load.rates
            journey.doing = "show that each fail-open probe sees a request that is let through"
            with console.stage("fail-open probes let through on purpose"):
                sights = world.calibrate(self._records)
            self._go(sights)

    def _go(self, sights: Sequence[Sight]) -> None:
        journey = self._journey
        journey.begins(self._world, self._recordings, sights)
        journey.doing = "begin to send traffic"
        self._lines = Lines(journey.began_ns)
        if journey.load:
            self._lines.fewer(journey.load.fewer_than_usual)
        with (
            sampled() as journey.pressure,
            pods_watched(self._testbed.kube, journey.note),
            self._recordings.going_on(),
            surprises_told(self._recordings, self._lines, journey.state_at),
        ):
            os.nice(_BEHIND)
            for stage in journey.stages:
                self._visit(stage)
                if journey.stop:
                    break
        journey.doing = "end the traffic"

    def _visit(self, stage: Stage) -> None:
        """Go to a state, look at the mesh there, and tell that; where it can't be done that is the end."""
        journey = self._journey
        journey.sets_out_for(stage.state)
        with journey.ended_in_order():
            self._look(stage)
        with journey.ended_in_order(), interrupts.held_back():
            visit = journey.leaves()
            if visit.reached_ns:
                requests, tries = sent_by(journey.earlier) if journey.earlier else (0, 0)
                self._lines.reached(visit, requests + self._recordings.requests, tries + self._recordings.tries)
            if Machine((), journey.pressure).was_short_of_processors(Span(visit.began_ns, visit.ended_ns)):
                self._lines.busy(visit)
            for difference in journey.differences:
                if difference.state is stage.state:
                    self._lines.changed(difference, visit.ended_ns)

    def _look(self, stage: Stage) -> None:
        journey, kube = self._journey, self._testbed.kube
        if stage.cluster:
            self._begins("have traffic answered before anything is changed", stage)
            self._have_answers()
            journey.sets_out_for(stage.state)  # what was sent before that was no part of it
        counted = facts.count_refusals(kube)
        for step in stage.steps:
            self._begins(step.text, stage)
            journey.note("step", step.text)
            with self._recordings.without(step.restarts):
                step.do(self._steps)
        reached_ns = journey.reaches()
        self._begins("look at the mesh", stage)  # before the rows: what they provoke is nothing of the upgrade's
        journey.sees(
            facts=facts.take(self._testbed, (), self._steps.after.images.istioctl, counted, self._world.ways())
        )
        self._begins("try the rows", stage)
        order = journey.order
        tried = run_rows(self._testbed, order.rows, order.directory / stage.state.key)
        journey.sees(rows=tried.rows, reasons=tried.reasons)
        if tried.interrupted:
            journey.end(KeyboardInterrupt())
            return
        if tried.ended_by:
            raise ClusterError(f"pytest was ended before all rows were tried: {tried.ended_by}")
        if stage.seconds:
            self._begins("send traffic for long enough", stage)
        _rest(stage.seconds, reached_ns)

    def _begins(self, what: str, stage: Stage) -> None:
        """Tell that something is done now, in a state or on the way to it."""
        self._journey.doing = what
        self._lines.begun(what, stage.state, time.monotonic_ns())

    def _have_answers(self) -> None:
        """Wait until each flow has been answered."""
        until(
            lambda: "; ".join(self._recordings.unanswered()) or "none",
            "none",
            what="What has had no answer before the upgrade",
            timeout=TIMEOUTS.behaviour,
        )


def _rest(seconds: float, since_ns: int) -> None:
    """Wait until so many seconds have gone since a moment."""
    until(
        lambda: (time.monotonic_ns() - since_ns) // 1_000_000_000,
        f"{seconds:.0f} s or more",
        lambda gone: gone >= seconds,
        what="The time for which traffic was sent",
        timeout=seconds + TIMEOUTS.behaviour,
    )
