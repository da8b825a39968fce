"""What keeps a run from being safe without being wrong: that the machine was at fault, or that nobody could have seen.

The control client does not cross the mesh: what it loses at the same time, the mesh has not lost. What was not looked
at is unknown, and an upgrade of which something is unknown is not safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from meshproof.traffic import Flown
from meshproof.upgrade.evidence import Evidence, ProbeResult, Visit, name_of, together, whole_name
from meshproof.upgrade.finding import AGAIN, Finding, Verdict, log_of, reason_of
from meshproof.upgrade.gap import longest_gap
from meshproof.upgrade.plan import ON_A_NEW_CLUSTER
from meshproof.upgrade.summary import busy

TOO_SELDOM_MS = 1000.0
"""Whoever did not look for longer than this could have missed a hole of a second."""
_ALLOWED = f"{TOO_SELDOM_MS:,.0f} ms are allowed"
MOST_UNKNOWN = 0.1
"""A probe of which a larger share of the tries ended neither way could have missed what was open for a moment."""
_SILENT = "Its silence proves nothing: look at its control in the report."
_TO_DO = (
    "Look at its control in the report. Where the machine was busy, run it again while it does nothing else, or on one "
    "with more processors."
)
_FIGURES_NS = 10_000_000_000
"""For so long after a moment the kernel's figures are about it: they are of ten seconds."""
_UNTRIED = {"not tried", "skipped"}


def doubts(evidence: Evidence) -> Iterator[Finding]:
    """Yield what makes a run inconclusive; of one that ended before anything was looked at its end says enough."""
    if evidence.stop and evidence.visits[0].reached_ns is None:
        return
    for part in (_of_the_machine, _of_the_recorder, _of_flows, _of_probes, _of_visits, _of_new_rows, _of_facts):
        yield from part(evidence)


def _unsure(
    evidence: Evidence, subject: str, text: str, to_do: str, *, visit: Visit | None = None, at_ns: int | None = None
) -> Finding:
    state = visit.state if visit else evidence.first_state if at_ns is None else evidence.state_at(at_ns)
    return Finding(Verdict.INCONCLUSIVE, subject, state, text, to_do, at_ns)


def _of_the_machine(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.controls:
        text = "There was no control client: whether the machine was at fault is not known."
        yield _unsure(evidence, "control", text, "Have one beside the mesh, on the same node.")
    for control in evidence.controls:
        first = min(control.failures, key=lambda record: record.sent_ns, default=None)
        if first:
            why = f"lost {len(control.failures):,} of {control.requests:,} requests"
        elif not control.answered:
            why = "sent nothing"
        elif (control.lag_p99_ms or 0.0) > TOO_SELDOM_MS:
            why = f"sent its requests {control.lag_p99_ms:,.0f} ms late (p99)"
        else:
            continue
        yield _unsure(
            evidence,
            control.flow.name,
            f"The control client, which does not cross the mesh, {why}: the machine may have been at fault.",
            AGAIN,
            at_ns=first.sent_ns if first else None,
        )
    for parts in together(evidence.controls):
        if missed := _missed(evidence, _moments(parts)):
            name = name_of(parts)
            text = (
                f"The control client {name} did not send {missed}: whether the machine was at fault then is not known."
            )
            yield _unsure(evidence, name, text, "Look at the log of the run.")


def _of_the_recorder(evidence: Evidence) -> Iterator[Finding]:
    for text in evidence.unknown:
        yield _unsure(evidence, "traffic", text, AGAIN)
    if not evidence.calibration:
        text = "The traffic recorder was not calibrated: whether it would have seen a loss is not known."
        yield _unsure(evidence, "traffic", text, AGAIN)
    for calibration in evidence.calibration:
        if not calibration.good:
            text = f"The traffic recorder can't be believed: {calibration}."
            yield _unsure(evidence, calibration.source, text, AGAIN)


def _of_flows(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.flows:
        yield _unsure(evidence, "traffic", "No traffic was sent: what would have been lost is not known.", "Send some.")
    for parts in together(evidence.flows):
        name = name_of(parts)
        for part in parts:
            if not part.records:
                text = f"{part.flow.name} sent nothing: what would have been lost is not known."
                yield _unsure(evidence, part.flow.name, text, "Look at the log of the run.")
        if missed := _missed(evidence, _moments(parts)):
            text = f"{name} was not sent {missed}: what would have been lost then is not known."
            yield _unsure(evidence, name, text, "Look at the log of the run.")


def _moments(parts: Iterable[Flown]) -> list[int]:
    """Return when the requests of a flow were sent, and when they ended."""
    return [at_ns for part in parts for record in part.records for at_ns in (record.sent_ns, record.ended_ns)]


def _missed(evidence: Evidence, moments: Sequence[int]) -> str:
    """Return during which part of the upgrade something was not sent.

    Args:
        evidence: When the upgrade went on.
        moments: When something was sent; while the pod of a client is replaced nothing can be, and that is no doubt.

    Returns:
        The part; empty where it was sent all the way through, or not once.
    """
    # On a new cluster that did not come up nothing is sent, and a state there is no time in which something was missed.
    later = [visit for visit in evidence.visits[1:] if visit.reached_ns or visit.state != ON_A_NEW_CLUSTER]
    if not later or not moments:
        return ""
    if min(moments) > later[0].began_ns:
        return "when the upgrade began"
    return "until the upgrade was done" if max(moments) < (later[-1].reached_ns or later[-1].began_ns) else ""


def _of_probes(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.probes:
        text = "Nothing was tried that must be refused: whether something was open is not known."
        yield _unsure(evidence, "fail-open probes", text, "Try some.")
    moments: dict[str, list[int]] = {}
    for probe in evidence.probes:
        for why, at_ns in _blindness(probe):
            text = f"The fail-open probe {probe.name} {why}."
            if at_ns is not None:
                text += _busy_at(evidence, at_ns)
            yield _unsure(evidence, probe.name, text, _SILENT if at_ns is None else _TO_DO, at_ns=at_ns)
        let_through = [attempt.at_ns for attempt in probe.let_through]
        moments.setdefault(whole_name(probe.name), []).extend([*probe.refused_ns, *probe.unknown_ns, *let_through])
    for name, tried in moments.items():
        if missed := _missed(evidence, tried):
            yield _unsure(evidence, name, f"The fail-open probe {name} was not tried {missed}.", _SILENT)


def _busy_at(evidence: Evidence, at_ns: int) -> str:
    """Return how busy the machine was at a moment, in a sentence; empty where nobody knows."""
    clause = busy(sample for sample in evidence.pressure if 0 <= sample.at_ns - at_ns <= _FIGURES_NS)
    return f" {clause[0].upper()}{clause[1:]} then." if clause else ""


def _blindness(probe: ProbeResult) -> Iterator[tuple[str, int | None]]:
    """Yield the reasons for which a probe could not have noticed, each with its moment if it has one."""
    if not probe.sees:
        yield "was not shown in this run to see a request that is let through", None
    if not probe.refusals:
        yield f"was not refused once in {probe.tries:,} tries", None
    elif probe.longest_ms is not None and probe.longest_ms > TOO_SELDOM_MS and not probe.let_through:
        why = (
            f"had no refusal for {probe.longest_ms:,.0f} ms, and {_ALLOWED}: something could have been let through "
            "meanwhile"
        )
        yield why, probe.longest_from_ns
    unknown = sum(probe.unknown.values())
    if probe.refusals and unknown > MOST_UNKNOWN * probe.tries:
        yield f"was neither refused nor let through in {unknown:,} of {probe.tries:,} tries", None
    pause = longest_gap(probe.control)
    if not probe.control.answered:
        yield "has a control that never got in: the refusals may have another reason", None
    elif pause and pause.ms > TOO_SELDOM_MS:
        why = (
            f"has a control that did not get in for {pause.ms:,.0f} ms, and {_ALLOWED}: refusals may have had another "
            "reason then"
        )
        yield why, pause.began_ns


def _of_visits(evidence: Evidence) -> Iterator[Finding]:
    """What was not looked at; in the state in which a run ended early nobody got to it."""
    first, *later = evidence.visits
    if not first.rows and not evidence.stop:
        text = "No row was run before the upgrade: what the mesh promised then is not known."
        yield _unsure(evidence, "rows", text, "Mark some rows with `upgrade`.")
        return
    for row, result in first.rows.items():
        if result in _UNTRIED | {"broken"}:
            text = f"{row} is {result} before the upgrade: what becomes of it then is no regression, and no proof."
            text += reason_of(row, first)
            yield _unsure(evidence, row, text, "Have the mesh keep its promises first, or leave the row out.")
    if "kept" not in first.rows.values() and not evidence.stopped_in(first.state):
        text = "No row was kept before the upgrade: that none was broken by it says nothing."
        yield _unsure(evidence, "rows", text, "Have the mesh keep its promises first.")
    for visit in later:
        if evidence.stopped_in(visit.state):
            continue
        kept = [row for row, result in first.rows.items() if result == "kept"]
        missing = [row for row in kept if visit.rows.get(row, "skipped") == "skipped"]
        if missing:
            more = f" and {len(missing) - 1:,} more rows were" if missing[1:] else " was"
            text = f"{missing[0]}{more} not run in {visit.state}: whether the promise is kept there is not known."
            to_do = f"Read why in {log_of(visit.state)}, beside this report."
            yield _unsure(evidence, missing[0], text, to_do, visit=visit)
        if first.facts and not visit.facts:
            text = f"Nothing was seen of the mesh in {visit.state}: whether it behaves otherwise is not known."
            yield _unsure(
                evidence, "facts", text, f"Read why in {log_of(visit.state)}, beside this report.", visit=visit
            )


def _of_new_rows(evidence: Evidence) -> Iterator[Finding]:
    """What is broken or could not be tried, and was not run before the upgrade."""
    first, *later = evidence.visits
    reported = set(first.rows)
    for visit in later:
        stopped = evidence.stopped_in(visit.state)
        for row, result in visit.rows.items():
            if row not in reported and (result == "broken" or (result == "not tried" and not stopped)):
                reported.add(row)
                text = f"{row} is {result} in {visit.state}, and was not run before the upgrade."
                text += reason_of(row, visit) or " Why is not known."
                yield _unsure(evidence, row, text, "Have the same rows run in each state.", visit=visit)


def _of_facts(evidence: Evidence) -> Iterator[Finding]:
    """What could not be found out on one of the two sides, so that nobody can say whether it differs."""
    for difference in evidence.differences:
        if difference.unknown and not difference.acknowledged:
            visit = next(visit for visit in evidence.visits if visit.state == difference.state)
            before, after = (side or "nothing" for side in (difference.before, difference.after))
            text = f"{difference.name} could not be compared. Before: {before}; after: {after}."
            yield _unsure(evidence, difference.name, text, AGAIN, visit=visit)
