"""What the machine is to blame for, and not the mesh.

The control client tells, whose traffic does not cross the mesh, and the kernel: where tasks waited for a processor all
the time, the proxies may have waited, too, and the control, which needs none of them, may have been lucky.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from meshproof.traffic import Connections, Ending, Flown, Record
from meshproof.upgrade.evidence import Pressure
from meshproof.upgrade.gap import Span, gaps, merged, nine_tenths, sender_was_late_ms

AT_ONCE_NS = 1_000_000_000
"""What the control client loses within a second of a request that was lost shows that the machine was at fault."""
DRAINED_MS = 3000.0
"""A listener that changes drains for so long (``gateways.yaml``), and cuts what has had no answer by then."""
LATE_MS = 250.0
"""Where the control client was later than this, or had no answer for longer, the machine was too busy."""

SHORT_OF_PROCESSORS = 95.0
"""For what share of the time, in percent, some task waited for a processor where the machine had too few of them.

The median of a state of an upgrade that was safe, on two processors, was 71 to 93 in seven runs; in one with states at
97 one answer in ten took two seconds there, and the control was as fast as ever. Source:
https://docs.kernel.org/accounting/psi.html
"""
_FIGURES_NS = 5_000_000_000
"""By so much samples are later than what they are mostly about: each is of the ten seconds before it."""
_LONGEST_MS = 5000.0
"""So much of a gap the lack of processors explains at most."""
_FEW = 2  # samples, of which one may be of a moment


class Machine:
    """When the machine was at fault.

    Args:
        controls: What became of the control client's requests.
        pressure: How busy it was.
    """

    def __init__(self, controls: Sequence[Flown], pressure: Sequence[Pressure] = ()) -> None:
        self._controls = controls
        self._pressure = pressure
        self._losses = merged(
            Span(record.sent_ns - AT_ONCE_NS, record.ended_ns + AT_ONCE_NS)
            for control in controls
            for record in control.failures
        )
        self._pauses = merged(
            span for control in controls for span in (*gaps(control), *_late(control)) if span.ms > LATE_MS
        )

    def excuses(self, record: Record) -> bool:
        """Return whether a loss may be the machine's.

        That is so where the control client lost something at about the same time; and of a request that was not
        answered in time, or was cut after ``DRAINED_MS``, also where the control client stood still for half of that
        time, or there were too few processors: nothing was fast then.
        """
        span = Span(record.sent_ns, record.ended_ns + 1)
        too_slow = (record.outcome is Ending.TIMED_OUT or span.ms > DRAINED_MS) and (
            span.shared_with(self._pauses) >= span.ms / 2 or self.was_short_of_processors(span)
        )
        return too_slow or span.shared_with(self._losses) > 0

    def part_of(self, gap: Span, flow: Flown) -> float:
        """Return how much of a gap of a flow may be the machine's, in ms.

        By the control client, or its own sender; and a part of it where there were too few processors.
        """
        short = _LONGEST_MS if self.was_short_of_processors(gap) else 0.0
        return max(gap.shared_with([*self._losses, *self._pauses]), sender_was_late_ms(flow, gap), min(short, gap.ms))

    def was_slow(self, span: Span) -> bool:
        """Return whether there were too few processors, or a control was slow.

        It was where one in ten of its requests that were due in that time took longer than ``LATE_MS``.
        """
        if self.was_short_of_processors(span):
            return True
        for control in self._controls:
            times = [
                Span(record.due_ns, record.ended_ns).ms
                for record in control.records
                if span.began_ns <= record.due_ns < span.ended_ns
            ]
            if times and nine_tenths(times) > LATE_MS:
                return True
        return False

    def was_short_of_processors(self, span: Span) -> bool:
        """Return whether in half of the samples of a time some task waited for a processor nearly all the time."""
        samples = [
            sample.cpu for sample in self._pressure if span.began_ns <= sample.at_ns - _FIGURES_NS < span.ended_ns
        ]
        return len(samples) >= _FEW and median(samples) >= SHORT_OF_PROCESSORS


def _late(control: Flown) -> Iterator[Span]:
    if control.flow.connections is not Connections.STREAM:
        yield from (Span(record.due_ns, record.woken_ns) for record in control.records)
