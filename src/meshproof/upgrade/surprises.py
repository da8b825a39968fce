"""What nobody hopes for, told as it happens: a request that is lost, or one that is let through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from meshproof.machine.wait import repeating
from meshproof.upgrade.evidence import State, Try
from meshproof.upgrade.recordings import Recordings
from meshproof.upgrade.report import Lines

_EVERY = 0.5  # seconds


@contextmanager
def surprises_told(recordings: Recordings, lines: Lines, state_at: Callable[[int], State]) -> Iterator[None]:
    """Tell each surprise as it happens, for as long as the context lasts.

    Args:
        recordings: Where they come from.
        lines: Where they are told.
        state_at: Gives the state of the mesh at a moment.
    """

    def look() -> None:
        for record in recordings.lost_since_last():
            lines.lost(record, state_at(record.sent_ns))
        for probe, record in recordings.let_through_since_last():
            lines.let_through(probe, Try(record.ended_ns, state_at(record.ended_ns), str(record)))

    with repeating(look, every=_EVERY, name="surprises"):
        yield
