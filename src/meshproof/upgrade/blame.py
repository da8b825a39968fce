"""What the machine is to blame for, and not the mesh, by the control client: its traffic does not cross the mesh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshproof.traffic import Connections, Ending, Flown, Record
from meshproof.upgrade.gap import Span, gaps, nine_tenths, sender_was_late_ms

AT_ONCE_NS = 1_000_000_000
"""What the control client loses within a second of a request that was lost shows that the machine was at fault."""
LATE_MS = 250.0
"""Where the control client was later than this, or had no answer for longer, the machine was too busy."""


class Machine:
    """When the machine was at fault.

    Args:
        controls: What became of the control client's requests.
    """

    def __init__(self, controls: Sequence[Flown]) -> None:
        self._controls = controls
        self._losses = [
            Span(record.sent_ns - AT_ONCE_NS, record.ended_ns + AT_ONCE_NS)
            for control in controls
            for record in control.failures
        ]
        self._pauses = [span for control in controls for span in (*gaps(control), *_late(control)) if span.ms > LATE_MS]

    def excuses(self, record: Record) -> bool:
        """Return whether a loss may be the machine's.

        That is so where the control client lost something at about the same time; and of a request that was not
        answered in time also where the control client stood still meanwhile: nothing was fast then.
        """
        span = Span(record.sent_ns, record.ended_ns + 1)
        stood_still = record.outcome is Ending.TIMED_OUT and span.shared_with(self._pauses) > LATE_MS
        return stood_still or span.shared_with(self._losses) > 0

    def part_of(self, gap: Span, flow: Flown) -> float:
        """Return how much of a gap of a flow may be the machine's, in ms: by the control client, or its own sender."""
        return max(gap.shared_with([*self._losses, *self._pauses]), sender_was_late_ms(flow, gap))

    def was_slow(self, span: Span) -> bool:
        """Return whether one in ten requests of a control that were due in a time took longer than ``LATE_MS``."""
        for control in self._controls:
            times = [
                Span(record.due_ns, record.ended_ns).ms
                for record in control.records
                if span.began_ns <= record.due_ns < span.ended_ns
            ]
            if times and nine_tenths(times) > LATE_MS:
                return True
        return False


def _late(control: Flown) -> Iterator[Span]:
    if control.flow.connections is not Connections.STREAM:
        yield from (Span(record.due_ns, record.woken_ns) for record in control.records)
