"""What can be said of an upgrade, and the reasons for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from meshproof.errors import ExitCode
from meshproof.pytest_plugin.rows import LOG
from meshproof.upgrade.evidence import State, Visit


class Verdict(Enum):
    """What is said of an upgrade, the worst first; the value is the exit code."""

    FAIL_OPEN = ExitCode.FAIL_OPEN
    REGRESSION = ExitCode.DEVIATES
    DID_NOT_FINISH = ExitCode.DID_NOT_FINISH
    INTERRUPTED = ExitCode.INTERRUPTED
    DISRUPTION = ExitCode.DISRUPTION
    CHANGED = ExitCode.CHANGED
    INCONCLUSIVE = ExitCode.UNKNOWN
    SAFE = ExitCode.DONE

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = {
    Verdict.FAIL_OPEN: "fail-open",
    Verdict.REGRESSION: "regression",
    Verdict.DID_NOT_FINISH: "did not finish",
    Verdict.INTERRUPTED: "interrupted",
    Verdict.DISRUPTION: "disruption above budget",
    Verdict.CHANGED: "behaviour changed",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.SAFE: "safe",
}
WORST_FIRST = list(Verdict)
AGAIN = "Run it again on a machine that does nothing else, or has more processors."
"""What a person does where the machine may have been at fault."""


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
    return min((finding.verdict for finding in findings), key=WORST_FIRST.index, default=Verdict.SAFE)


def log_of(state: State) -> str:
    """Return where the log of a state's rows is, from the directory of the report."""
    return f"{state.key}/{LOG}"


def reason_of(row: str, visit: Visit) -> str:
    """Return why a row was not kept in a state, as a sentence that follows another one; empty where nobody says so."""
    return f" Its report says: {visit.reasons[row]}" if row in visit.reasons else ""
