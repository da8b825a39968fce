"""The verdict on an upgrade, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from meshproof.traffic import Ending
from meshproof.upgrade.completion import unfinished
from meshproof.upgrade.disruption import disruptions
from meshproof.upgrade.doubt import doubts
from meshproof.upgrade.evidence import Evidence, whole_name
from meshproof.upgrade.finding import WORST_FIRST, Finding, Verdict, log_of, reason_of, verdict_of

__all__ = ["Finding", "Verdict", "judge", "verdict_of"]

_OPEN_BEFORE = (
    "It was open already, and whether the upgrade opens it further can't be told. Have the policies and Gateways of "
    "this mesh refuse it first, and upgrade then."
)
_OPENED = (
    "Do not upgrade like this: what was denied was open. Compare the policies and the proxies' configuration of this "
    "state with those of the state before."
)
_UNTRUSTED = (
    "UNTRUSTED means that a server took the connection, and showed the certificate of another name: a Gateway with "
    "`hosts: ['*']` on this port does that for each name."
)
_MEANT = (
    " If that is meant, a row is no fact, and nobody can acknowledge it: have it ask for what is new, or leave it out "
    "(--marks)."
)
_BECAME = {
    ("kept", "broken"): Verdict.REGRESSION,
    ("kept", "not tried"): Verdict.REGRESSION,
    ("kept", "known broken"): Verdict.CHANGED,
    ("known broken", "broken"): Verdict.CHANGED,
}
"""What it is where a row was the one before the upgrade, and became the other."""


def judge(evidence: Evidence) -> list[Finding]:
    """Return all that speaks against an upgrade, the worst first; what is equally bad in the order of time."""
    parts = (_fail_open, _rows, _stop, unfinished, _changes, doubts, disruptions)
    findings = [finding for part in parts for finding in part(evidence)]
    return sorted(
        findings,
        key=lambda finding: (WORST_FIRST.index(finding.verdict), inf if finding.at_ns is None else finding.at_ns),
    )


def _fail_open(evidence: Evidence) -> Iterator[Finding]:
    open_before = {
        whole_name(probe.name)
        for probe in evidence.probes
        if any(attempt.state == evidence.first_state for attempt in probe.let_through)
    }
    for probe in evidence.probes:
        first = min(probe.let_through, key=lambda attempt: attempt.at_ns, default=None)
        if not first:
            continue
        number, was_open = len(probe.let_through), whole_name(probe.name) in open_before
        early = sum(attempt.state == evidence.first_state for attempt in probe.let_through)
        text = f"{number:,} of {probe.tries:,} requests that must be refused ({probe.name}) " + (
            f"was let through, with {first.what}" if number == 1 else f"got in, the first with {first.what}"
        )
        if 0 < early < number:
            text = f"{text}: {early:,} of them before the upgrade, and {number - early:,} since then"
        elif was_open:
            text = f"{text}: that was open before the upgrade{'' if early else ', too'}"
        to_do = _OPEN_BEFORE if was_open else _OPENED
        if Ending.UNTRUSTED.name in first.what:
            to_do = f"{to_do} {_UNTRUSTED}"
        yield Finding(Verdict.FAIL_OPEN, probe.name, first.state, f"{text}.", to_do, first.at_ns)


def _rows(evidence: Evidence) -> Iterator[Finding]:
    """A row that was kept in the first state, or known to be broken, and is broken in a later one: told once.

    One that was kept, and is known to be broken now, is a change: somebody has said so. Nobody got to one that was not
    tried in the state in which the run ended early.
    """
    first, *later = evidence.visits
    reported = set()
    for visit in later:
        stopped = evidence.stopped_in(visit.state)
        for row, result in visit.rows.items():
            verdict = _BECAME.get((first.rows.get(row, ""), result))
            if verdict is None or (row, verdict) in reported or (result == "not tried" and stopped):
                continue
            reported.add((row, verdict))
            became = "could not be tried" if result == "not tried" else f"is {result}"
            if first.rows[row] == "known broken":
                became = "is not so any more"
            reason = reason_of(row, visit)
            yield Finding(
                verdict,
                row,
                visit.state,
                f"{row} was {first.rows[row]} in {first.state.key}, and {became} in {visit.state}.{reason}",
                f"Read {'more' if reason else 'why'} in {log_of(visit.state)}, beside this report."
                + (_MEANT if verdict is Verdict.REGRESSION else ""),
                visit.reached_ns,
            )


def _stop(evidence: Evidence) -> Iterator[Finding]:
    if evidence.stop:
        verdict = Verdict.INTERRUPTED if evidence.stop.interrupted else Verdict.DID_NOT_FINISH
        yield Finding(
            verdict, "upgrade", evidence.stop.state, evidence.stop.what, evidence.stop.to_do, evidence.ended_ns
        )


def _changes(evidence: Evidence) -> Iterator[Finding]:
    for difference in evidence.differences:
        if difference.acknowledged or difference.expected or difference.unknown:
            continue
        yield Finding(
            Verdict.CHANGED,
            difference.name,
            difference.state,
            difference.sentence,
            "If that is meant, acknowledge it: copy acknowledge.yaml, which is beside this report and has an entry for "
            "it, write the reason, and give the copy to --acknowledge. If not, find out what asks for it.",
        )
