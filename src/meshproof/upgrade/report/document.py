"""What an upgrade has left as JSON, which ``upgrade.schema.json`` describes; pages and files are made of it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from meshproof.pytest_plugin.promises import module_of
from meshproof.traffic import Flown, Record
from meshproof.upgrade.evidence import Difference, Evidence, Kind, ProbeResult, Side, Visit
from meshproof.upgrade.facts import CONFIGURATION
from meshproof.upgrade.finding import Finding, Verdict
from meshproof.upgrade.gap import Span, longest_gap, resolution_ms
from meshproof.upgrade.rates import Load
from meshproof.upgrade.summary import promise_of, summary_of
from meshproof.upgrade.support import support_of

FORMAT = 1
"""The version of the format: another one for every change after which an old reader would read something wrong."""
SCHEMA = Path(__file__).with_name("upgrade.schema.json")
RESULTS = ("kept", "broken", "not tried", "skipped", "known broken")
"""What can have become of a row."""
MOST = 1000
"""So many requests that were lost, or got in, are written one by one; the recording has all."""
Json = dict[str, Any]


def to_json(evidence: Evidence, findings: Sequence[Finding], verdict: Verdict) -> Json:
    """Return the document. All moments in it are seconds since the upgrade began.

    Args:
        evidence: What was seen.
        findings: What speaks against the upgrade, the worst first.
        verdict: What is said of it.
    """
    since = _Clock(evidence)
    return {
        "schema": SCHEMA.name,
        "format": FORMAT,
        "tool": {"name": "meshproof", "version": version("meshproof")},
        "verdict": {
            "name": str(verdict),
            "exit_code": int(verdict.value),
            "sentence": _sentence(evidence, findings, verdict),
            "to_do": findings[0].to_do if findings else "Nothing speaks against it.",
        },
        "findings": [
            {
                "verdict": str(finding.verdict),
                "subject": finding.subject,
                "state": finding.state.key,
                "seconds": since.seconds(finding.at_ns),
                "text": finding.text,
                "to_do": finding.to_do,
            }
            for finding in findings
        ],
        "summary": _summary(evidence),
        "images": asdict(evidence.images),
        "before": _side(evidence.before),
        "after": _side(evidence.after),
        "strategy": evidence.strategy.value,
        "rollback": evidence.rollback,
        "support": support_of(evidence.before, evidence.after, evidence.strategy),
        "began": datetime.fromtimestamp(evidence.began, UTC).isoformat(),
        "seconds": since.seconds(evidence.ended_ns),
        "whole_seconds": None
        if evidence.set_out_ns is None
        else round((evidence.ended_ns - evidence.set_out_ns) / 1e9, 3),
        "budget": asdict(evidence.budget),
        "load": _load(evidence.load),
        "stop": _stop(evidence),
        "unknown": list(evidence.unknown),
        "states": [_visit(visit, since) for visit in evidence.visits],
        "promises": _promises(evidence.visits),
        "events": [
            {"number": number, "seconds": since.seconds(event.at_ns), "kind": event.kind, "text": event.text}
            for number, event in enumerate(evidence.events, 1)
        ],
        "flows": [_flow(flown, since) for flown in evidence.flows],
        "controls": [_flow(flown, since) for flown in evidence.controls],
        "probes": [_probe(probe, since) for probe in evidence.probes],
        "differences": [_difference(difference) for difference in sorted(evidence.differences, key=_by_what_matters)],
        "calibration": [calibration.summary() for calibration in evidence.calibration],
        "pressure": [
            {"seconds": since.seconds(at.at_ns), "cpu": at.cpu, "memory": at.memory, "io": at.io}
            for at in evidence.pressure
        ],
    }


class _Clock:
    """Moments since the upgrade began, and what happened at about the same time."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._events = list(enumerate(evidence.events, 1))
        self._times = [event.at_ns for event in evidence.events]

    def seconds(self, at_ns: int | None) -> float | None:
        return None if at_ns is None else round((at_ns - self._evidence.began_ns) / 1e9, 3)

    def state(self, at_ns: int) -> str:
        return self._evidence.state_at(at_ns).key

    def nearest(self, began_ns: int, ended_ns: int) -> Json | None:
        """Return the event that is nearest to something, with the time from it; of those meanwhile it is the first."""
        after = bisect_left(self._times, began_ns)
        close = self._events[max(after - 1, 0) : after + 1]
        nearest = min(
            close, key=lambda event: max(began_ns - event[1].at_ns, event[1].at_ns - ended_ns, 0), default=None
        )
        if not nearest:
            return None
        number, event = nearest
        return {"number": number, "text": event.text, "seconds_after": round((ended_ns - event.at_ns) / 1e9, 3)}


def _sentence(evidence: Evidence, findings: Sequence[Finding], verdict: Verdict) -> str:
    """Return the verdict in a sentence: its first reason, or what is good."""
    if findings:
        more = Counter(str(finding.verdict) for finding in findings[1:])
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in more.items())
        many = more.total() > 1
        others = f" There {'are' if many else 'is'} {more.total():,} more finding{'s' * many}: {kinds}." if more else ""
        return f"{findings[0].text}{others}"
    requests = sum(flown.requests for flown in evidence.flows)
    lost = sum(len(flown.failures) for flown in evidence.flows)
    tries = sum(probe.tries for probe in evidence.probes)
    acknowledged = sum(bool(difference.acknowledged) for difference in evidence.differences)
    rows = sum(all(visit.rows.get(row) == "kept" for visit in evidence.visits) for row in evidence.visits[0].rows)
    return (
        f"The upgrade is {verdict}: {lost:,} of {requests:,} requests were lost, {rows:,} rows were kept in "
        f"all {len(evidence.visits)} states, and none of {tries:,} requests that must be refused got in."
        + {0: "", 1: " One change is acknowledged."}.get(acknowledged, f" {acknowledged:,} changes are acknowledged.")
    )


def _summary(evidence: Evidence) -> Json:
    summary = summary_of(evidence)
    changes = [asdict(change) | {"kind": change.kind.value} for change in summary.changes]
    return asdict(summary) | {"changes": changes}


def _by_what_matters(difference: Difference) -> tuple[int, bool]:
    """Return what differences are sorted by: their kinds, and those that are only another version last."""
    return list(Kind).index(difference.kind), "://" not in difference.expected


def _difference(difference: Difference) -> Json:
    fields = {name: value for name, value in asdict(difference).items() if name != "routine"}
    return fields | {
        "facts": list(difference.facts),
        "state": difference.state.key,
        "unknown": difference.unknown,
        "kind": difference.kind.value,
    }


def _side(side: Side) -> Json:
    return asdict(side) | {"overlays": list(side.overlays)}


def _load(load: Load | None) -> Json | None:
    if load is None:
        return None
    return {**asdict(load.rates), "spare": round(load.spare, 3), "spare_at_usual": round(load.spare_at_usual, 3)}


def _stop(evidence: Evidence) -> Json | None:
    stop = evidence.stop
    return asdict(stop) | {"state": stop.state.key} if stop else None


def _visit(visit: Visit, since: _Clock) -> Json:
    """Return a state, without the configurations of the proxies: each is 100 kB."""
    return {
        "state": visit.state.key,
        "title": visit.state.title,
        "began": since.seconds(visit.began_ns),
        "reached": since.seconds(visit.reached_ns),
        "ended": since.seconds(visit.ended_ns),
        "rows": dict(visit.rows),
        "reasons": dict(visit.reasons),
        "facts": {name: value for name, value in visit.facts.items() if not name.startswith(CONFIGURATION)},
    }


def _promises(visits: Sequence[Visit]) -> list[Json]:
    """Return what became of the rows of each module in each state that was looked at."""
    modules = sorted({module_of(row) for visit in visits for row in visit.rows})
    return [
        {
            "promise": promise_of(module),
            "module": module,
            "states": [
                {
                    "state": visit.state.key,
                    **_counted(result for row, result in visit.rows.items() if module_of(row) == module),
                }
                for visit in visits
            ],
        }
        for module in modules
    ]


def _counted(results: Iterable[str]) -> Json:
    counts = Counter(results)
    return {result: counts[result] for result in RESULTS}


def _flow(flown: Flown, since: _Clock) -> Json:
    gap = longest_gap(flown)
    return {
        **flown.summary(),
        "failed": len(flown.failures),
        "failed_in": dict(Counter(since.state(record.sent_ns) for record in flown.failures)),
        "longest_gap_ms": round(gap.ms, 3) if gap else None,
        "longest_gap": _gap(gap, since) if gap else None,
        "resolution_ms": resolution_ms(flown),
        "lost": [_lost(record, since) for record in flown.failures[:MOST]],
    }


def _gap(gap: Span, since: _Clock) -> Json:
    return {
        "began": since.seconds(gap.began_ns),
        "ended": since.seconds(gap.ended_ns),
        "state": since.state(gap.began_ns),
        "event": since.nearest(gap.began_ns, gap.ended_ns),
    }


def _lost(record: Record, since: _Clock) -> Json:
    return {
        "sent": since.seconds(record.sent_ns),
        "ended": since.seconds(record.ended_ns),
        "class": str(record),
        "state": since.state(record.sent_ns),
        "event": since.nearest(record.sent_ns, record.ended_ns),
    }


def _probe(probe: ProbeResult, since: _Clock) -> Json:
    return {
        "name": probe.name,
        "tries": probe.tries,
        "refusals": probe.refusals,
        "unknown": dict(probe.unknown),
        "got_in": len(probe.let_through),
        "let_through": [
            {
                "seconds": since.seconds(attempt.at_ns),
                "state": attempt.state.key,
                "what": attempt.what,
                "event": since.nearest(attempt.at_ns, attempt.at_ns),
            }
            for attempt in sorted(probe.let_through, key=lambda attempt: attempt.at_ns)[:MOST]
        ],
        "longest_ms": probe.longest_ms,
        "sees": probe.sees,
        "control": _flow(probe.control, since),
    }
