"""What became of a flow: a record for each request, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from meshproof.traffic.endings import ENDS_OF_STREAMS, Ending
from meshproof.traffic.flows import Connections, Flow

LATE = 100.0
"""ms; where the sender was later than that, gaps between answers are partly its own."""
_MS = 1e6  # ns


@dataclass(frozen=True, slots=True)
class Record:
    """One request; of a stream, one line. Times are ns of CLOCK_MONOTONIC, as ``time.monotonic_ns()`` of this machine.

    Attributes:
        flow: The flow's name.
        sequence: Its number in the flow, from 0.
        due_ns: When it was to be sent.
        woken_ns: When the sender took it up.
        sent_ns: When a connection was free for it; on a new one, before that was made.
        ended_ns: When its end was known.
        outcome: How it ended.
        status: The status code; None without one.
        connection: ``new`` or ``kept``; empty where none could be made.
        number: The connection's number; 0 where none could be made.
        replaces: How the connection before this one ended while it was idle; empty if there is nothing to tell.
        protocol: ``HTTP/1.1`` or ``HTTP/2.0``; empty without an answer.
        peer: The serial number of the server's certificate; None without TLS.
        alert: The number of the TLS alert that refused it.
        detail: What Go's library said.
        body: The answer's, up to 64 KiB, if the flow asks for it.
        headers: The answer's, by lower-case name, if the flow asks for the body.
    """

    flow: str
    sequence: int
    due_ns: int
    woken_ns: int
    sent_ns: int
    ended_ns: int
    outcome: Ending
    status: int | None = None
    connection: str = ""
    number: int = 0
    replaces: str = ""
    protocol: str = ""
    peer: int | None = None
    alert: int | None = None
    detail: str = ""
    body: str = ""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.outcome} {self.status}" if self.status else str(self.outcome)

    @classmethod
    def of(cls, flow: Flow, line: Mapping[str, Any]) -> Record:
        """Return the record of a line of the sender's."""
        return cls(
            flow=flow.name,
            sequence=line["sequence"],
            due_ns=line["due"],
            woken_ns=line["woken"],
            sent_ns=line["sent"],
            ended_ns=line["ended"],
            outcome=Ending[line["outcome"]],
            status=line.get("status"),
            connection=line.get("connection", ""),
            number=line.get("number", 0),
            replaces=line.get("replaces", ""),
            protocol=line.get("protocol", ""),
            peer=int(line["peer"]) if "peer" in line else None,
            alert=line.get("alert"),
            detail=line.get("detail", ""),
            body=line.get("body", ""),
            headers=line.get("headers", {}),
        )


@dataclass(frozen=True, repr=False)
class Flown:
    """A flow and its records.

    Attributes:
        flow: What was asked for.
        records: By sequence number; after a recording, all there are.
        unsent: How many more were due, and not sent before the recording ended: no kept connection was free for them.
    """

    flow: Flow
    records: Sequence[Record]
    unsent: int = 0

    def __str__(self) -> str:
        lost = ", ".join(f"{number} {ending}" for ending, number in sorted(self.losses.items()))
        gap = "" if self.longest_gap_ms is None else f", longest gap {self.longest_gap_ms:.0f} ms"
        return f"{self.flow.name}: {self.requests} requests, {lost or 'none'} lost{gap}"

    def __repr__(self) -> str:
        return (
            f"<{self}>"  # pytest shows it of an assertion that fails, and thousands of records would hide what failed
        )

    @property
    def requests(self) -> int:
        """How many there were, but for the ends of streams."""
        return len(self.records) - len(self.ended)

    @cached_property
    def answered(self) -> list[Record]:
        """Those that were answered with the expected status."""
        return [record for record in self.records if self._as_expected(record)]

    @cached_property
    def refused(self) -> list[Record]:
        """Those that were refused, as the flow says that they may be."""
        return [record for record in self.records if record.outcome in self.flow.refusals]

    @cached_property
    def failures(self) -> list[Record]:
        """Those that were neither answered with the expected status nor refused as they may be."""
        fine = self.flow.refusals
        return [
            record
            for record in self.records
            if not self._as_expected(record) and record.outcome not in fine and not self._is_end(record)
        ]

    @cached_property
    def ended(self) -> list[Record]:
        """The ends that long streams have to expect; they are neither requests nor failures."""
        return [record for record in self.records if self._is_end(record)]

    @property
    def ends(self) -> Counter[str]:
        """How many of these there were, by their names."""
        return Counter(record.outcome.name for record in self.ended)

    @property
    def losses(self) -> Counter[str]:
        """The failures by their class: ``RESET``, ``ANSWERED 503``."""
        return Counter(map(str, self.failures))

    @property
    def longest_gap_ms(self) -> float | None:
        """The longest time between two answers that followed each other; None if there were not two."""
        ends = sorted(record.ended_ns for record in self.answered)
        return max(((later - earlier) / _MS for earlier, later in pairwise(ends)), default=None)

    @property
    def p50_ms(self) -> float | None:
        """How long half of the answers took at most, from when they were due; None without an answer."""
        return _share([record.ended_ns - record.due_ns for record in self.answered], 0.5)

    @property
    def p99_ms(self) -> float | None:
        """How long 99 of a hundred answers took at most; see ``p50_ms``."""
        return _share([record.ended_ns - record.due_ns for record in self.answered], 0.99)

    @property
    def lag_p99_ms(self) -> float | None:
        """How late the sender itself was, of 99 in a hundred requests at most; None of a stream, or without any."""
        if self.flow.connections is Connections.STREAM:
            return None
        return _share([record.woken_ns - record.due_ns for record in self.records], 0.99)

    @property
    def lateness(self) -> str:
        """A clause on how late the sender was, if its ``lag_p99_ms`` is above ``LATE``; else it is empty."""
        lag = self.lag_p99_ms or 0.0
        return f"the sender itself was late by {lag:.0f} ms (p99): the machine was too busy" if lag > LATE else ""

    def _as_expected(self, record: Record) -> bool:
        return record.outcome is Ending.ANSWERED and record.status == self.flow.status

    def _is_end(self, record: Record) -> bool:
        return record.outcome in ENDS_OF_STREAMS and record.status == self.flow.status

    def summary(self) -> dict[str, Any]:
        """Return the numbers for a report."""
        return {
            "flow": self.flow.name,
            "requests": self.requests,
            "unsent": self.unsent,
            "failures": dict(self.losses),
            "refused": len(self.refused),
            "ends": dict(self.ends),
            "longest_gap_ms": self.longest_gap_ms,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "lag_p99_ms": self.lag_p99_ms,
        }


def _share(times_ns: list[int], share: float) -> float | None:
    """Return the time in ms that this share of some times does not exceed: the nearest rank."""
    if not times_ns:
        return None
    return sorted(times_ns)[max(0, -(-int(len(times_ns) * share * 1000) // 1000) - 1)] / _MS
