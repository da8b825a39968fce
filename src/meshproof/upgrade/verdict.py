"""The verdict on an upgrade, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from meshproof.errors import ExitCode
from meshproof.traffic import Flown, Record
from meshproof.upgrade.evidence import Evidence, ProbeResult, State

AT_ONCE_NS = 1_000_000_000
"""What the control client loses within a second of a request that was lost shows that the machine was at fault."""
LATE_MS = 250.0
"""A control flow whose sender was later than this (p99) shows nothing of gaps: the machine did not let it run."""
TOO_SELDOM_MS = 1000.0
"""Between two refusals of a fail-open probe: a hole of less than a second could have gone unseen above this."""
_SHOWN = 3
_BAD = {"broken", "not tried", "skipped"}


class Verdict(Enum):
    """What is said of an upgrade, the worst first; the value is the exit code."""

    FAIL_OPEN = ExitCode.FAIL_OPEN
    REGRESSION = ExitCode.DEVIATES
    DID_NOT_FINISH = ExitCode.DID_NOT_FINISH
    DISRUPTION = ExitCode.DISRUPTION
    CHANGED = ExitCode.CHANGED
    INTERRUPTED = ExitCode.INTERRUPTED
    INCONCLUSIVE = ExitCode.UNKNOWN
    SAFE = ExitCode.DONE

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = {
    Verdict.FAIL_OPEN: "fail-open",
    Verdict.REGRESSION: "regression",
    Verdict.DID_NOT_FINISH: "did not finish",
    Verdict.DISRUPTION: "disruption above budget",
    Verdict.CHANGED: "behaviour changed",
    Verdict.INTERRUPTED: "interrupted",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.SAFE: "safe",
}
_WORST_FIRST = list(Verdict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for a verdict.

    Attributes:
        verdict: The verdict that it would be alone.
        subject: What it is about: a flow, a probe, a row or a fact, by its name.
        state: The state in which it was so, or on the way to which.
        text: What it is, in a sentence.
        to_do: What a person does about it.
        at_ns: When it was first seen; None for what has no moment.
    """

    verdict: Verdict
    subject: str
    state: State
    text: str
    to_do: str
    at_ns: int | None = None


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """Return the worst verdict among findings; without any the upgrade is safe."""
    return min((finding.verdict for finding in findings), key=_WORST_FIRST.index, default=Verdict.SAFE)


def judge(evidence: Evidence) -> list[Finding]:
    """Return all that speaks against an upgrade, the worst first."""
    parts = (_fail_open, _regressions, _stop, _disruption, _changes, _unknown)
    findings = [finding for part in parts for finding in part(evidence)]
    return sorted(findings, key=lambda finding: _WORST_FIRST.index(finding.verdict))


def _fail_open(evidence: Evidence) -> Iterator[Finding]:
    for probe in evidence.probes:
        if not probe.let_through:
            continue
        first = probe.let_through[0]
        yield Finding(
            Verdict.FAIL_OPEN,
            probe.name,
            first.state,
            f"{len(probe.let_through)} of {probe.tries} requests that must be refused ({probe.name}) were let through, "
            f"the first with {first.what}.",
            "Do not upgrade like this: what was denied was open. Compare the policies and the proxies' configuration "
            "of this state with those of the state before.",
            first.at_ns,
        )


def _regressions(evidence: Evidence) -> Iterator[Finding]:
    """A row that was kept in the first state, and is not any more; one that never was kept is no regression."""
    first, *later = evidence.visits
    told = set()
    for visit in later:
        for row, result in visit.rows.items():
            if result in _BAD and row not in told and first.rows.get(row) == "kept":
                told.add(row)
                yield Finding(
                    Verdict.REGRESSION,
                    row,
                    visit.state,
                    f"{row} was kept in {first.state.key}, and is {result} in {visit.state}.",
                    f"Read why in the log of {visit.state.key}, beside this report.",
                    visit.reached_ns,
                )


def _stop(evidence: Evidence) -> Iterator[Finding]:
    if evidence.stop:
        verdict = Verdict.INTERRUPTED if evidence.stop.interrupted else Verdict.DID_NOT_FINISH
        yield Finding(
            verdict, "upgrade", evidence.stop.state, evidence.stop.what, evidence.stop.to_do, evidence.ended_ns
        )


def _disruption(evidence: Evidence) -> Iterator[Finding]:
    faults = [record for control in evidence.controls for record in control.failures]
    for flow in evidence.flows:
        lost = [record for record in flow.failures if not _coincide(record, faults)]
        if len(lost) > evidence.budget.failures:
            yield _lost(evidence, flow, lost)
        gap = _longest_gap(flow)
        if gap and gap[0] > evidence.budget.longest_ms and not _machine_was_at_fault(evidence, gap[1]):
            yield Finding(
                Verdict.DISRUPTION,
                flow.flow.name,
                evidence.state_at(gap[1]),
                f"{flow.flow.name} had no answer for {gap[0]:.0f} ms: the budget is {evidence.budget.longest_ms:.0f}.",
                "Look at what happened then on the time line.",
                gap[1],
            )


def _lost(evidence: Evidence, flow: Flown, lost: Sequence[Record]) -> Finding:
    first = min(lost, key=lambda record: record.ended_ns)
    classes = ", ".join(dict.fromkeys(map(str, lost)))
    return Finding(
        Verdict.DISRUPTION,
        flow.flow.name,
        evidence.state_at(first.sent_ns),
        f"{flow.flow.name} lost {len(lost)} of {flow.requests} requests ({classes}); the budget is "
        f"{evidence.budget.failures}.",
        "Two replicas, maxUnavailable: 0, and a drain that is longer than it takes to take a pod out of its Service "
        "lose nothing: compare the Deployment of the proxy on this way with that.",
        first.ended_ns,
    )


def _changes(evidence: Evidence) -> Iterator[Finding]:
    for difference in evidence.differences:
        if difference.acknowledged or difference.expected:
            continue
        before, after = (side or "nothing" for side in (difference.before, difference.after))
        yield Finding(
            Verdict.CHANGED,
            difference.name,
            difference.state,
            f"{difference.name}: {before} is now {after}.",
            "If that is meant, acknowledge it with a reason in the file of --acknowledge; if not, find out what asks "
            "for it.",
        )


def _unknown(evidence: Evidence) -> Iterator[Finding]:
    """What keeps a run from being safe without being wrong."""
    for control in evidence.controls:
        if control.failures or (control.lag_p99_ms or 0.0) > LATE_MS:
            first = min((record.ended_ns for record in control.failures), default=evidence.began_ns)
            why = f"lost {len(control.failures)} requests" if control.failures else control.lateness
            yield Finding(
                Verdict.INCONCLUSIVE,
                control.flow.name,
                evidence.state_at(first),
                f"The control client, which does not cross the mesh, {why}: the machine may have been at fault.",
                "Run it again on a machine that does nothing else.",
                first,
            )
    first_state = evidence.visits[0].state
    for probe in evidence.probes:
        for why in _blindness(probe):
            yield Finding(
                Verdict.INCONCLUSIVE,
                probe.name,
                first_state,
                f"The fail-open probe {probe.name} {why}.",
                "Its silence proves nothing: look at its control in the report.",
            )
    for visit in evidence.visits[:1]:
        for row, result in visit.rows.items():
            if result in _BAD:
                yield Finding(
                    Verdict.INCONCLUSIVE,
                    row,
                    visit.state,
                    f"{row} is {result} before the upgrade: what becomes of it then is no regression, and no proof.",
                    "Have the mesh keep its promises first, or leave the row out.",
                )


def _blindness(probe: ProbeResult) -> Iterator[str]:
    """Yield the reasons for which a probe could not have noticed."""
    if not probe.sees:
        yield "was not shown in this run to see a request that is let through"
    if not probe.refusals:
        yield f"was not refused once in {probe.tries} tries"
    elif probe.longest_ms is not None and probe.longest_ms > TOO_SELDOM_MS:
        yield f"had no refusal for {probe.longest_ms:.0f} ms: something could have been let through meanwhile"
    if not probe.control.answered:
        yield "has a control that never got in: the refusals may have another reason"


def _coincide(record: Record, faults: Sequence[Record]) -> bool:
    """Return whether the control client lost something at about the same time."""
    return any(
        fault.sent_ns - AT_ONCE_NS <= record.ended_ns and record.sent_ns <= fault.ended_ns + AT_ONCE_NS
        for fault in faults
    )


def _machine_was_at_fault(evidence: Evidence, at_ns: int) -> bool:
    return any(
        abs(record.ended_ns - at_ns) < AT_ONCE_NS for control in evidence.controls for record in control.failures
    )


def _longest_gap(flow: Flown) -> tuple[float, int] | None:
    """Return the longest gap between two answers in ms, and the moment of its end."""
    ends = sorted(record.ended_ns for record in flow.answered)
    gaps = [((later - earlier) / 1e6, later) for earlier, later in pairwise(ends)]
    return max(gaps, default=None)
