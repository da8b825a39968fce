"""What traffic lost: above the budget it is a disruption, and inconclusive where the machine may have been at fault.

A client whose pod is replaced, or that is on two clusters, sends in several parts. The budget is for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshproof.traffic import Flown
from meshproof.upgrade.blame import Machine
from meshproof.upgrade.evidence import Evidence, name_of, together
from meshproof.upgrade.finding import AGAIN, Finding, Verdict
from meshproof.upgrade.gap import gaps

_LOST = (
    "Two replicas, maxUnavailable: 0, and a drain that is longer than it takes to take a pod out of its Service lose "
    "nothing: compare the Deployment of the proxy on this way with that."
)


def disruptions(evidence: Evidence) -> Iterator[Finding]:
    """Yield what traffic lost, and what cannot be said of it."""
    machine = Machine(evidence.controls)
    for parts in together(evidence.flows):
        yield from _losses(evidence, machine, parts)
        for part in parts:
            yield from _gaps(evidence, machine, part)


def _disruption(evidence: Evidence, subject: str, text: str, to_do: str, at_ns: int) -> Finding:
    return Finding(Verdict.DISRUPTION, subject, evidence.state_at(at_ns), text, to_do, at_ns)


def _unsure(evidence: Evidence, subject: str, text: str, at_ns: int) -> Finding:
    return Finding(Verdict.INCONCLUSIVE, subject, evidence.state_at(at_ns), text, AGAIN, at_ns)


def _losses(evidence: Evidence, machine: Machine, parts: Sequence[Flown]) -> Iterator[Finding]:
    """Look at requests that failed."""
    excuses = {part.flow.name: list(map(machine.excuses, part.failures)) for part in parts}
    for excused in (False, True):
        losing = [part for part in parts if excused in excuses[part.flow.name]]
        lost = [
            record
            for part in losing
            for record, excuse in zip(part.failures, excuses[part.flow.name], strict=True)
            if excuse is excused
        ]
        if len(lost) <= (0 if excused else evidence.budget.failures):
            continue
        name, first = name_of(losing), min(record.sent_ns for record in lost)
        if excused:
            requests = "a request" if len(lost) == 1 else f"{len(lost):,} requests"
            text = f"{name} lost {requests} while the control client lost some too, or stood still."
            yield _unsure(evidence, name, text, first)
            continue
        text = (
            f"{name} lost {len(lost):,} of {sum(part.requests for part in losing):,} requests "
            f"({', '.join(dict.fromkeys(map(str, lost)))}); the budget is {evidence.budget.failures:,}."
        )
        yield _disruption(evidence, name, text, _LOST, first)


def _gaps(evidence: Evidence, machine: Machine, part: Flown) -> Iterator[Finding]:
    """Look at the longest time without an answer, less what of it is the machine's; each part has gaps of its own."""
    budget, name = evidence.budget.longest_ms, part.flow.name
    excuses = {gap: machine.part_of(gap, part) for gap in gaps(part) if gap.ms > budget}
    too_long = [gap for gap, excuse in excuses.items() if gap.ms - excuse > budget]
    if too_long:
        gap = max(too_long, key=lambda gap: gap.ms)
        text = f"{name} had no answer for {gap.ms:,.0f} ms; the budget is {budget:,.0f} ms."
        yield _disruption(evidence, name, text, "Look on the time line at what happened then.", gap.began_ns)
    excused = [gap for gap in excuses if gap not in too_long]
    if excused:
        gap = max(excused, key=lambda gap: gap.ms)
        text = (
            f"{name} had no answer for {gap.ms:,.0f} ms, of which the machine was to blame for {excuses[gap]:,.0f} ms."
        )
        yield _unsure(evidence, name, text, gap.began_ns)
