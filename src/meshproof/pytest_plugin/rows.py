"""Rows that are run by another program of ours, on a mesh that is there and is taken as it is."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshproof.errors import BadInput, BadOutput, ClusterError, NotThere
from meshproof.mesh import Testbed
from meshproof.project import leaving_in
from meshproof.pytest_plugin.promises import FILE, GIVEN, module_of

LOG = "pytest.log"
_LONGEST_REASON = 300  # letters
_BESIDE_OTHERS = (
    "--capture=sys",  # what other threads print to our streams is not pytest's
    *("-p", "no:warnings", "-p", "no:threadexception", "-p", "no:unraisableexception"),  # nor what they are warned of
    *("-p", "no:cacheprovider"),
    *("-p", "no:hypothesispytest"),
)
"""What pytest is told as one of several things that go on in this process."""


@dataclass(frozen=True, slots=True)
class RowsTried:
    """A run of rows.

    Attributes:
        rows: What became of each, by its name: ``kept``, ``broken``, ``not tried``, ``known broken`` or ``skipped``.
        interrupted: Whether somebody has ended it.
        reasons: Why a row is not kept, in one line, by its name: what its own report says first.
        ended_by: What else has ended the run before all rows were tried, such as the words of ``pytest.exit``; empty
            where nothing has.
    """

    rows: Mapping[str, str]
    interrupted: bool
    reasons: Mapping[str, str] = field(default_factory=dict)
    ended_by: str = ""


def look_for_rows(words: Sequence[str]) -> Mapping[str, int]:
    """Return how many rows of each module fit some words, without running any: a run in vain costs a cluster.

    Args:
        words: What pytest is told, such as ``-m upgrade`` and where the tests are.

    Raises:
        NotThere: Nothing fits the words.
        BadInput: pytest does not understand them, or a test can't be read.
    """
    output, complaints, rows = io.StringIO(), io.StringIO(), _Rows()
    with redirect_stdout(output), redirect_stderr(complaints):
        status = pytest.main([*_BESIDE_OTHERS, "--collect-only", "--quiet", *words], plugins=[rows])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise NotThere(f"`pytest {' '.join(words)}` has no test: mark those to be tried, or name their directory.")
    if status != pytest.ExitCode.OK:
        lines = [line.removeprefix("ERROR: ") for line in complaints.getvalue().splitlines() if line]
        why = "\n".join(lines or rows.unreadable) or output.getvalue().strip()
        raise BadInput(f"`pytest {' '.join(words)}` can't be begun: {why}")
    return rows.by_module


def run_rows(testbed: Testbed, words: Sequence[str], directory: Path) -> RowsTried:
    """Run rows by pytest, in this process.

    Args:
        testbed: The mesh.
        words: What pytest is told, such as ``-m upgrade`` and where the tests are.
        directory: Where the run leaves what it leaves, and what it prints.

    Returns:
        What became of each row, and whether somebody has ended the run.

    Raises:
        ClusterError: The run could not be had to its end.
        BadOutput: The directory can't be written to.
    """
    reasons = Reasons()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / LOG).open("w", encoding="utf-8") as log, leaving_in(directory), redirect_stdout(log):
            status = pytest.main(
                [*_BESIDE_OTHERS, f"--junitxml={directory / 'junit.xml'}", *words], plugins=[_Given(testbed), reasons]
            )
        results = json.loads((directory / FILE).read_text(encoding="utf-8")) if (directory / FILE).exists() else None
    except OSError as error:
        raise BadOutput(f"{directory} could not be written: {error.strerror}.") from error
    if status == pytest.ExitCode.INTERRUPTED:
        ended_by = "" if reasons.interrupted else reasons.ended_by or "a module could not be read"
        rows = results["rows"] if results else {}
        return RowsTried(rows, reasons.interrupted, reasons=reasons.by_row, ended_by=ended_by)
    if results is None or status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise ClusterError(f"pytest ended with {int(status)} before all rows were tried: {directory / LOG} says why.")
    return RowsTried(results["rows"], interrupted=False, reasons=reasons.by_row)


class _Rows:
    """Counts the rows that are to be run.

    Attributes:
        by_module: How many there are of each module, by its name.
        unreadable: Why modules can't be read, for each of them.
    """

    def __init__(self) -> None:
        self.by_module: Counter[str] = Counter()
        self.unreadable: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.unreadable.append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.by_module.update(module_of(item.nodeid) for item in session.items)


class Reasons:
    """Keeps the first line of what the report of a row says of it, where the row is not kept.

    Attributes:
        by_row: It, by the row's name.
        interrupted: Whether a person, or a signal, has ended the run.
        ended_by: With which words a test or a fixture has; empty where none has.
    """

    def __init__(self) -> None:
        self.by_row: dict[str, str] = {}
        self.interrupted = False
        self.ended_by = ""

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note what has ended the run; pytest calls ``pytest.exit`` an interrupt, too."""
        if isinstance(excinfo.value, KeyboardInterrupt):
            self.interrupted = True
        else:
            self.ended_by = str(excinfo.value)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep it of a module that could not be collected."""
        self._keep(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep it of a row."""
        self._keep(report)

    def _keep(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if reason := _reason(report):
            self.by_row.setdefault(report.nodeid, reason)


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return the first line of a report's own message; empty where the row is kept."""
    known = str(getattr(report, "wasxfail", ""))
    if report.passed:
        text = f"It passes, and is marked as known to be broken: {known}" if hasattr(report, "wasxfail") else ""
    elif known:
        text = known
    elif isinstance(report.longrepr, tuple):  # of a row that was skipped: the file, the line and the reason
        text = report.longrepr[-1]
    else:
        crash = getattr(report.longrepr, "reprcrash", None)
        no_fixture = getattr(report.longrepr, "errorstring", "")
        text = crash.message if crash else no_fixture or report.longreprtext
    line = next(filter(None, map(str.strip, text.splitlines())), "")
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


class _Given:
    """Hands the mesh to the plugin."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[GIVEN] = self._testbed
