"""An upgrade to a new cluster: what was seen on the old one and on the new one, put together.

Nothing is sent while there is no cluster. So what was sent on the two stays apart: each flow, control and fail-open
probe has a part on each of them, with a name of its own, and the time between them is nobody's gap.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from meshproof.traffic import Flown
from meshproof.upgrade.evidence import PART, Event, Evidence, Side, Stop, Visit
from meshproof.upgrade.plan import Stage


def joined(first: Evidence, last: Evidence, stage: Stage) -> Evidence:
    """Return what was seen on both clusters.

    Args:
        first: What was seen on the old one.
        last: What ``Run`` has of the new one: its visits and differences are of both already.
        stage: How it came to the new one.
    """
    one, other = _part(1, first.before), _part(2, last.after)
    *visits, moved = last.visits
    return replace(
        last,
        visits=[*visits, replace(moved, began_ns=_left_ns(first))],
        events=sorted([*first.events, _step(first, stage), *last.events], key=attrgetter("at_ns")),
        flows=[*_called(first.flows, one), *_called(last.flows, other)],
        controls=[*_called(first.controls, one), *_called(last.controls, other)],
        probes=[
            replace(probe, name=f"{probe.name}{part}")
            for part, probes in ((one, first.probes), (other, last.probes))
            for probe in probes
        ],
        pressure=[*first.pressure, *last.pressure],
        calibration=[
            replace(calibration, source=f"{calibration.source}{part}")
            for part, calibrations in ((one, first.calibration), (other, last.calibration))
            for calibration in calibrations
        ],
        unknown=[*first.unknown, *last.unknown],
    )


def stopped(first: Evidence, stage: Stage, stop: Stop) -> Evidence:
    """Return what was seen on the old cluster, where the new one did not come to be looked at.

    Args:
        first: What was seen.
        stage: How it was to come to the new one.
        stop: Why it did not.
    """
    now_ns = time.monotonic_ns()
    return replace(
        first,
        ended_ns=now_ns,
        visits=[*first.visits, Visit(stage.state, _left_ns(first), None, now_ns)],
        events=sorted([*first.events, _step(first, stage)], key=attrgetter("at_ns")),
        stop=stop,
    )


def sent_by(evidence: Evidence) -> tuple[int, int]:
    """Return how many requests there were that the mesh was to answer, and how many that must be refused."""
    requests = sum(flown.requests for flown in evidence.flows)
    return requests, sum(probe.tries for probe in evidence.probes)


def _left_ns(first: Evidence) -> int:
    """Return when the way to the new cluster began: nothing more was sent on the old one."""
    return first.ended_ns


def _step(first: Evidence, stage: Stage) -> Event:
    return Event(_left_ns(first), "step", stage.cluster)


def _part(number: int, side: Side) -> str:
    """Return what is added to the name of what was sent on a cluster."""
    return f"{PART}{number} (Kubernetes {side.kubernetes})"


def _called(flows: Iterable[Flown], part: str) -> list[Flown]:
    return [replace(flown, flow=replace(flown.flow, name=f"{flown.flow.name}{part}")) for flown in flows]
