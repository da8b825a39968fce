"""Rows that are run by another program of ours, on a mesh that is there and is taken as it is."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshproof.errors import BadInput, BadOutput, ClusterError, NotThere
from meshproof.mesh import Testbed
from meshproof.project import leaving_in
from meshproof.pytest_plugin.mesh import GIVEN
from meshproof.pytest_plugin.promises import FILE

LOG = "pytest.log"
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
    """

    rows: Mapping[str, str]
    interrupted: bool


def look_for_rows(words: Sequence[str]) -> int:
    """Return how many rows fit some words, without running any; those that are run in vain cost a cluster.

    Args:
        words: What pytest is told, such as ``-m upgrade`` and where the tests are.

    Raises:
        NotThere: Nothing fits the words.
        BadInput: pytest does not understand them, or a test can't be read.
    """
    output, rows = io.StringIO(), _Rows()
    with redirect_stdout(output):
        status = pytest.main([*_BESIDE_OTHERS, "--collect-only", "--quiet", *words], plugins=[rows])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise NotThere(f"`pytest {' '.join(words)}` has no test: mark those to be tried, or name their directory.")
    if status != pytest.ExitCode.OK:
        raise BadInput(f"`pytest {' '.join(words)}` can't be begun:\n{output.getvalue().strip()}")
    return rows.number


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
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / LOG).open("w", encoding="utf-8") as log, leaving_in(directory), redirect_stdout(log):
            status = pytest.main(
                [*_BESIDE_OTHERS, f"--junitxml={directory / 'junit.xml'}", *words], plugins=[_Given(testbed)]
            )
        results = json.loads((directory / FILE).read_text(encoding="utf-8")) if (directory / FILE).exists() else None
    except OSError as error:
        raise BadOutput(f"{directory} could not be written: {error.strerror}.") from error
    if status == pytest.ExitCode.INTERRUPTED:
        return RowsTried(results["rows"] if results else {}, interrupted=True)
    if results is None or status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise ClusterError(f"pytest ended with {int(status)} before all rows were tried: {directory / LOG} says why.")
    return RowsTried(results["rows"], interrupted=False)


class _Rows:
    """Counts the rows that are to be run.

    Attributes:
        number: How many there are.
    """

    number = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.number = len(session.items)


class _Given:
    """Hands the mesh to the plugin."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[GIVEN] = self._testbed
