"""What a terminal shows of an upgrade while it goes on: a line for each step, state and surprise, then the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from meshproof.errors import MeshproofError
from meshproof.machine.console import console as standard_error
from meshproof.machine.console import duration
from meshproof.report.wording import plain
from meshproof.traffic import Record
from meshproof.upgrade.acknowledgements import Acknowledgement
from meshproof.upgrade.evidence import UNKNOWN, Difference, State, Try, Visit
from meshproof.upgrade.finding import Finding, Verdict
from meshproof.upgrade.summary import Summary

_MOST = 5
"""So many lines about one flow, probe or kind of finding; then a last one says that there are more."""
_STYLES = {
    Verdict.SAFE: "green",
    Verdict.CHANGED: "yellow",
    Verdict.INTERRUPTED: "yellow",
    Verdict.INCONCLUSIVE: "yellow",
}
_SIGNS = {"green": "✓", "yellow": "!", "red": "✗"}


class Lines:
    """The lines of one upgrade.

    Args:
        began_ns: When it began, in ns of CLOCK_MONOTONIC.
        console: Where they go; standard error by default.
    """

    def __init__(self, began_ns: int, console: Console = standard_error) -> None:
        self._began_ns = began_ns
        self._console = console
        self._counts: Counter[str] = Counter()

    def reached(self, visit: Visit, requests: int, tries: int) -> None:
        """Print that a state was reached and looked at.

        Args:
            visit: What was seen in it.
            requests: How many requests there have been by now.
            tries: How many requests of fail-open probes there have been by now.
        """
        kept = sum(result == "kept" for result in visit.rows.values())
        took = ((visit.reached_ns or visit.ended_ns) - visit.began_ns) / 1e9
        after = f" [dim](after {duration(took)})[/]" if took else ""
        rows = f"{kept:,} of {len(visit.rows):,} rows kept, " if visit.rows else ""
        self._line(
            "green" if kept == len(visit.rows) else "red",
            f"[bold]{_text(str(visit.state))}[/]{after}: {rows}{requests:,} requests and {tries:,} "
            "fail-open tries so far",
            visit.ended_ns,
        )

    def fewer(self, sentence: str) -> None:
        """Print that fewer requests are sent than usual, and why; nothing where the sentence is empty."""
        if sentence:
            self._print(f"[yellow]![/] {_text(sentence)}")

    def busy(self, visit: Visit) -> None:
        """Print that the machine was so busy in a state that nobody could tell whether the mesh was slow there."""
        text = "The machine is very busy: where something is slow nobody can tell whether that is the mesh's fault."
        self._surprise("yellow", "a busy machine", text, visit.state, visit.ended_ns)

    def begun(self, what: str, state: State, at_ns: int) -> None:
        """Print what is done next, in a state or on the way to it; dim, for states and surprises matter more."""
        self._print(f"[dim]… {self._seconds(at_ns)} {_text(state.key)}: {_text(what)}[/]")

    def lost(self, record: Record, state: State) -> None:
        """Print that a request was lost, and in which state, or on the way to which."""
        self._surprise("red", record.flow, f"{record.flow} lost a request: {record}", state, record.ended_ns)

    def let_through(self, probe: str, attempt: Try) -> None:
        """Print that a request got in that must be refused."""
        text = f"FAIL-OPEN: {probe} got in: {attempt.what}"
        self._surprise("red", f"fail-open {probe}", text, attempt.state, attempt.at_ns)

    def changed(self, difference: Difference, at_ns: int) -> None:
        """Print that something is otherwise; what is acknowledged or expected is no surprise, and has no line."""
        if not (difference.acknowledged or difference.expected):
            text = f"{difference.name} is otherwise than before the upgrade"
            if difference.unknown:
                text = f"{difference.name} could not be found out: {_why_unknown(difference)}"
            self._surprise("yellow", "differences", text, difference.state, at_ns)

    def unused(self, acknowledgement: Acknowledgement) -> None:
        """Print which entry of the user's file nothing needs: that is no fault."""
        line = f" of line {acknowledgement.line}" if acknowledgement.line else ""
        self._print(f"[dim]The acknowledgement{line} fits nothing that is otherwise: {_text(acknowledgement.fact)}[/]")

    def verdict(self, verdict: Verdict, findings: Sequence[Finding], summary: Summary) -> None:
        """Print the verdict and its reasons; then what was tried, what changes, and how busy the machine was."""
        style = _STYLES.get(verdict, "red")
        self._print()
        self._print(f"[{style} bold]{_SIGNS[style]} {_text(str(verdict)).capitalize()}[/]")
        for finding in findings[:_MOST]:
            style = _STYLES.get(finding.verdict, "red")
            self._print(f"  [{style}]{finding.verdict}[/]: {_text(finding.text)}")
            self._print(f"    [dim]{_text(finding.to_do)}[/]")
        if len(findings) > _MOST:
            self._print(f"  and {len(findings) - _MOST:,} more, which are in the report")
        self._print(f"  {_text(summary.traffic)}")
        self._print(f"  {_text(summary.rows)}")
        self._print(f"  What changes: {_text(summary.differences)}.")
        printed = {finding.text for finding in findings[:_MOST]}
        changes = [change for change in summary.changes if change.text not in printed]
        for change in changes[:_MOST]:
            self._print(f"    {_text(change.kind.value)}: {_text(str(change))}")
        if len(changes) > _MOST:
            self._print(f"    and {len(changes) - _MOST:,} more, which are in the report")
        self._print(f"  {_text(summary.machine)}")

    def written(self, file: Path) -> None:
        """Print where the report is."""
        self._print(f"The report: {_text(str(file))}")

    def _surprise(self, style: str, about: str, text: str, state: State, at_ns: int) -> None:
        self._counts[about] += 1
        if self._counts[about] <= _MOST:
            self._line(style, f"{_text(text)} [dim]({_text(str(state))})[/]", at_ns)
        elif self._counts[about] == _MOST + 1:
            self._line(style, f"more of {_text(about)}: the report counts them", at_ns)

    def _line(self, style: str, markup: str, at_ns: int) -> None:
        self._print(f"[{style}]{_SIGNS[style]}[/] [dim]{self._seconds(at_ns)}[/] {markup}")

    def _seconds(self, at_ns: int) -> str:
        return f"{(at_ns - self._began_ns) / 1e9:6.1f} s"

    def _print(self, markup: str = "") -> None:
        """Print a line; where nobody reads it, or it can't be written, the upgrade goes on to its report."""
        with suppress(MeshproofError):
            self._console.print(markup)


def _why_unknown(difference: Difference) -> str:
    """Return why one of the two sides could not be found out."""
    side = next(side for side in (difference.after, difference.before) if side.startswith(UNKNOWN))
    return side.removeprefix(UNKNOWN)


def _text(text: str) -> str:
    return escape(plain(text))
