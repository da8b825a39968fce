"""Times in which a flow had no answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from meshproof.traffic import Connections, Flown

_MS = 1_000_000  # ns


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A length of time, in ns of CLOCK_MONOTONIC."""

    began_ns: int
    ended_ns: int

    @property
    def ms(self) -> float:
        """How long it is."""
        return (self.ended_ns - self.began_ns) / _MS

    def shared_with(self, others: Iterable[Span]) -> float:
        """Return for how many ms of it any of the others lasts."""
        shared, end = 0, self.began_ns
        for other in sorted(others):
            began, ended = max(other.began_ns, end), min(other.ended_ns, self.ended_ns)
            if began < ended:
                shared, end = shared + ended - began, ended
        return shared / _MS


def gaps(flown: Flown) -> list[Span]:
    """Return all times between two answers, with those before the first one and after the last one.

    The last one ends when the last request was sent, or would have been if a kept connection had been free: no answer
    was asked for after that. That of a stream, which asks only once, ends with what ended it.
    """
    if not flown.records:
        return []
    sent = [record.sent_ns for record in flown.records]
    moments = [min(sent), *sorted(record.ended_ns for record in flown.answered)]
    if flown.flow.connections is Connections.STREAM:
        last = max(record.ended_ns for record in flown.records)
    else:
        last = max(record.due_ns for record in flown.records) + round(flown.unsent / flown.flow.rate * 1000) * _MS
    return [Span(earlier, later) for earlier, later in pairwise([*moments, max(last, *sent, moments[-1])])]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return times in order, of which those that overlap are one."""
    apart: list[Span] = []
    for span in sorted(spans):
        if apart and span.began_ns <= apart[-1].ended_ns:
            apart[-1] = Span(apart[-1].began_ns, max(apart[-1].ended_ns, span.ended_ns))
        else:
            apart.append(span)
    return apart


def longest_gap(flown: Flown) -> Span | None:
    """Return the longest time without an answer, from the first request to the last; None without any.

    A flow that is not answered any more until its end has a gap from then on, other than in ``Flown.longest_gap_ms``.
    """
    return max(gaps(flown), key=lambda span: span.ms, default=None)


def resolution_ms(flown: Flown) -> float | None:
    """Return the usual time between two answers, of which half were faster: no gap below that can be seen.

    Returns:
        None without two answers.
    """
    between = [span.ms for span in gaps(flown)[1:-1]]
    return median(between) if between else None


def sender_was_late_ms(flown: Flown, gap: Span) -> float:
    """Return by how much the sender itself was late in a gap, in ms; 0 of a stream, which asks only once."""
    if flown.flow.connections is Connections.STREAM:
        return 0.0
    return max(
        (
            (record.woken_ns - record.due_ns) / _MS
            for record in flown.records
            if gap.began_ns <= record.due_ns < gap.ended_ns
        ),
        default=0.0,
    )


def nine_tenths(times: Sequence[float]) -> float:
    """Return the time that nine in ten do not exceed: the nearest rank."""
    return sorted(times)[-(-9 * len(times) // 10) - 1]
