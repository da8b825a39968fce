"""Ends of a long stream that nothing explains.

A stream that is asked for hours ends when a pod on its way goes: the gateway's, which announces that, or the server's.
Each pod ends it once at most. A gateway also drains the listeners that change, and announces that too. Rows change some
in each state, and so do the steps and a new control plane. How often the rows do, the state before the upgrade shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from meshproof.mesh import istio
from meshproof.mesh.gateways import INGRESS_DEPLOYMENT
from meshproof.traffic import Ending, Record
from meshproof.upgrade.evidence import Evidence, State
from meshproof.upgrade.flows import NAMESPACE
from meshproof.upgrade.pods import GOING

_ON_ITS_WAY = (f"{istio.NAMESPACE}/{INGRESS_DEPLOYMENT}-", f"{NAMESPACE}/server-")
"""How the names of pods begin that a stream crosses: the gateway's, and the servers'; see ``world.yaml``."""
_DRAIN_NS = 60_000_000_000
"""A stream ends so long after its pod began to go at most; measured: 4 to 12 s with drains of 1, 3 and 5 s."""
_SEEN_LATE_NS = 5_000_000_000
"""So much later than it began to go a pod may be seen to; it is looked for twice a second."""
_CHANGES = 2
"""So many drains more than the rows' a state may have, for the steps that lead to it; measured: none in 19 states."""


def unexplained(evidence: Evidence, ends: Sequence[Record]) -> list[Record]:
    """Return the ends of a stream that neither a pod that went explains, nor a listener that changed.

    Args:
        evidence: What happened meanwhile.
        ends: All ends of the stream, in the order of time.
    """
    gone = [event.at_ns for event in evidence.events if event.kind == GOING and event.text.startswith(_ON_ITS_WAY)]
    rest = []
    for end in ends:
        explains = (at_ns for at_ns in gone if -_SEEN_LATE_NS <= end.ended_ns - at_ns <= _DRAIN_NS)
        pod = min(explains, default=None)
        if pod is None:
            rest.append(end)
        else:
            gone.remove(pod)
    return _without_drains(evidence, rest)


def _without_drains(evidence: Evidence, ends: Sequence[Record]) -> list[Record]:
    """Leave out announced ends: all before the upgrade, and twice as many in each state after that, and two."""
    drains: Counter[State] = Counter()
    rest = []
    for end in ends:
        state = evidence.state_at(end.ended_ns)
        drains[state] += end.outcome is Ending.ANNOUNCED_DRAIN
        allowed = 2 * drains[evidence.first_state] + _CHANGES
        if end.outcome is not Ending.ANNOUNCED_DRAIN or (state != evidence.first_state and drains[state] > allowed):
            rest.append(end)
    return rest
