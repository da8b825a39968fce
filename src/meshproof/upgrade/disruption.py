"""What traffic lost: above the budget it is a disruption, and inconclusive where the machine may have been at fault.

A client whose pod is replaced, or that is on two clusters, sends in several parts. The budget is for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from meshproof.traffic import Connections, Flown
from meshproof.upgrade.blame import Machine
from meshproof.upgrade.ends import unexplained
from meshproof.upgrade.evidence import Evidence, State, name_of, together
from meshproof.upgrade.finding import AGAIN, Finding, Verdict
from meshproof.upgrade.gap import Span, gaps, merged, nine_tenths

SLOWER_MS = 1000.0
"""A state is slow where one answer in ten takes so much longer than in the first one. A busy machine: 500 at most."""
_FEW = 5  # answers, of which one in ten says nothing
_MS = 1_000_000  # ns
_SLOW = (
    "Answers came, and too late to be of use: look on the time line at what happened then, at the load of the proxies "
    "and servers, and at how busy the machine was. Where that was busy, run it again while it does nothing else."
)
_LOST = (
    "Two replicas, maxUnavailable: 0, and a drain that is longer than it takes to take a pod out of its Service lose "
    "nothing: compare the Deployment of the proxy on this way with that."
)


def disruptions(evidence: Evidence) -> Iterator[Finding]:
    """Yield what traffic lost, and what cannot be said of it."""
    machine = Machine(evidence.controls, evidence.pressure)
    for parts in together(evidence.flows):
        yield from _losses(evidence, machine, parts)
        for part in parts:
            yield from _gaps(evidence, machine, part)
            yield from _late(evidence, machine, part)
        yield from _slowness(evidence, machine, parts)
        yield from _ends(evidence, machine, parts)


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
            text = (
                f"{name} lost {requests} while tasks waited for a processor all the time, or the control client lost "
                "some, too, or stood still."
            )
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


def _late(evidence: Evidence, machine: Machine, part: Flown) -> Iterator[Finding]:
    """Look at what waited for a kept connection, at the end and before; of what is alike the end is told."""
    queue = list(_queue(evidence, machine, part))
    verdicts = {finding.verdict for finding in queue}
    yield from queue
    if Verdict.DISRUPTION not in verdicts:
        yield from (finding for finding in _waits(evidence, machine, part) if finding.verdict not in verdicts)


def _waits(evidence: Evidence, machine: Machine, part: Flown) -> Iterator[Finding]:
    """Look at how long requests waited for a kept connection: for longer than a gap may be is a disruption.

    Some always wait for a moment, and none of them fails: the connections were too slow for them.
    """
    if part.flow.connections is Connections.STREAM:
        return
    budget, name = evidence.budget.longest_ms, part.flow.name
    waits = [Span(record.woken_ns, record.sent_ns) for record in part.records]
    too_long = [wait for wait in waits if wait.ms > budget]
    times = [(time, machine.was_slow(time)) for time in merged(too_long)]
    for excused in (False, True):
        of_these = [time for time, slow in times if slow is excused]
        alike = [wait for wait in too_long if wait.shared_with(of_these) > 0]
        if not alike:
            continue
        longest, began_ns = max(wait.ms for wait in alike), of_these[0].began_ns
        text = (
            f"{len(alike):,} of the {part.requests:,} requests of {name} waited for a kept connection for more than "
            f"{budget:,.0f} ms, and for {longest:,.0f} ms at most"
        )
        if excused:
            yield _unsure(evidence, name, f"{text}; the machine was slow then.", began_ns)
        else:
            yield _disruption(evidence, name, f"{text}.", _SLOW, began_ns)


def _queue(evidence: Evidence, machine: Machine, part: Flown) -> Iterator[Finding]:
    """Look at what still waited for a kept connection when a flow ended.

    Some always do for a moment. Where what was due for longer than a gap may be was not sent, the connections were too
    slow for it: that is a disruption, without any request that failed. Where a run ended early nobody knows: what
    waited might have been sent.
    """
    budget, name = evidence.budget.longest_ms, part.flow.name
    waited_ms = part.unsent / part.flow.rate * 1000
    if waited_ms <= budget or not part.records or evidence.stop:
        return
    ended_ns = max(record.ended_ns for record in part.records)
    span = Span(ended_ns - round(waited_ms * _MS), ended_ns)
    requests = f"{part.unsent:,} of the {part.requests + part.unsent:,} requests of {name} that were due"
    if machine.was_slow(span):
        text = f"{requests} were never sent, and the machine was slow then."
        yield _unsure(evidence, name, text, span.began_ns)
    else:
        text = f"{requests} were never sent: no kept connection was free for {waited_ms:,.0f} ms of them."
        yield _disruption(evidence, name, text, _SLOW, span.began_ns)


def _slowness(evidence: Evidence, machine: Machine, parts: Sequence[Flown]) -> Iterator[Finding]:
    """Look at how long answers took in each state, from when their requests were sent, compared with the first one.

    How long they waited to be sent is another matter (``_waits``): where each takes a little longer eight connections
    are soon too few for 50 requests a second.

    Where the machine was slow in the first one nothing can be compared with that: what is slow later is not known to be
    any slower.
    """
    answers: dict[State, list[Span]] = {}
    for part in parts:
        for record in part.answered:
            span = Span(record.sent_ns, record.ended_ns)
            answers.setdefault(evidence.state_at(record.sent_ns), []).append(span)
    took = {state: nine_tenths([span.ms for span in spans]) for state, spans in answers.items() if len(spans) >= _FEW}
    first, name = evidence.first_state, name_of(parts)
    usual, incomparable = took.get(first, inf), first in took and machine.was_slow(_whole(answers[first]))
    reported = set[bool]()
    if incomparable and usual > SLOWER_MS:
        text = (
            f"{name} was slow in {first} already, and so was the machine: one answer in ten took {usual:,.0f} ms or "
            "more. Whether it was slower later is not known."
        )
        yield _unsure(evidence, name, text, _whole(answers[first]).began_ns)
        reported.add(True)
    slow = {state: ms for state, ms in took.items() if ms > SLOWER_MS + (0.0 if incomparable else usual)}
    for state in sorted(slow, key=lambda state: min(answers[state])):
        span = _whole(answers[state])
        why = "the machine was slow, too" if machine.was_slow(span) else ""
        if not why and incomparable and slow[state] <= usual + SLOWER_MS:
            why = f"how long they take when it is not can't be told from {first.key}, for the machine was slow then"
        if bool(why) in reported:
            continue
        reported.add(bool(why))
        text = (
            f"{name} was slow in {state}: one answer in ten took {slow[state]:,.0f} ms or more, and {usual:,.0f} ms in "
            f"{first.key}"
        )
        if why:
            yield _unsure(evidence, name, f"{text}; {why}.", span.began_ns)
        else:
            yield _disruption(evidence, name, f"{text}.", _SLOW, span.began_ns)


def _whole(spans: Sequence[Span]) -> Span:
    """Return the time from the beginning of the first to the end of the last."""
    return Span(min(spans).began_ns, max(span.ended_ns for span in spans))


def _ends(evidence: Evidence, machine: Machine, parts: Sequence[Flown]) -> Iterator[Finding]:
    """Look at the ends of a stream that nothing explains: they are losses, and those of requests count with them."""
    ends = unexplained(evidence, [record for part in parts for record in part.ended])
    if not ends:
        return
    lost = sum(not machine.excuses(record) for part in parts for record in part.failures)
    if len(ends) + lost > evidence.budget.failures:
        name, times = name_of(parts), "once" if len(ends) == 1 else f"{len(ends):,} times"
        text = (
            f"{name} was ended {times} ({', '.join(dict.fromkeys(end.outcome.name for end in ends))}) where no pod "
            f"went and no listener should have changed; the budget is {evidence.budget.failures:,}"
        )
        if lost:
            text += f", and {lost:,} request{'s were' if lost > 1 else ' was'} lost, too"
        text += "."
        to_do = "Find what ends an answer that is to last for hours: a proxy that drains again and again, or a limit."
        yield _disruption(evidence, name, text, to_do, ends[0].ended_ns)
