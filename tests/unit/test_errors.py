"""The tree of errors and the exit codes: each error has a code, and the table in the documents has them all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from meshproof import errors
from meshproof.errors import ExitCode, MeshproofError
from tests.support.checkout import ROOT

OF_NO_ERROR = {
    ExitCode.DONE,
    ExitCode.DEVIATES,
    ExitCode.RUN_INTERRUPTED,
    ExitCode.NO_TESTS,
    ExitCode.UNKNOWN,
    ExitCode.FAIL_OPEN,
    ExitCode.DID_NOT_FINISH,
    ExitCode.DISRUPTION,
    ExitCode.CHANGED,
    ExitCode.INTERRUPTED,
}
"""How a run ends that went as it should, or was interrupted."""


def tree(error: type[MeshproofError]) -> Iterator[type[MeshproofError]]:
    """Yield all that derives from an error."""
    for derived in error.__subclasses__():
        if derived.__module__ == errors.__name__:
            yield derived
            yield from tree(derived)


@pytest.mark.parametrize("error", [*tree(MeshproofError)])
def test_each_error_is_described_and_has_a_code(error: type[MeshproofError]) -> None:
    """A user gets an exit code for whatever goes wrong, and a reader finds it in the picture of the tree."""
    assert isinstance(error.exit_code, ExitCode)
    assert re.search(rf"── {error.__name__} ", str(errors.__doc__))


def test_each_code_is_of_an_error_or_of_an_end() -> None:
    """There is no exit code that nothing ends with."""
    assert {error.exit_code for error in tree(MeshproofError)} | OF_NO_ERROR == set(ExitCode)


def test_the_readme_has_each_code() -> None:
    """The table of exit codes has each once, in order."""
    _, _, section = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").partition("## Exit codes")
    section = section.partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == list(ExitCode)


@pytest.mark.parametrize(
    ("ours", "of_pytest"),
    [
        (ExitCode.DONE, pytest.ExitCode.OK),
        (ExitCode.DEVIATES, pytest.ExitCode.TESTS_FAILED),
        (ExitCode.RUN_INTERRUPTED, pytest.ExitCode.INTERRUPTED),
        (ExitCode.BAD_INPUT, pytest.ExitCode.USAGE_ERROR),
        (ExitCode.NO_TESTS, pytest.ExitCode.NO_TESTS_COLLECTED),
    ],
)
def test_a_code_means_the_same_as_that_of_pytest(ours: ExitCode, of_pytest: pytest.ExitCode) -> None:
    """A script that reads pytest's exit codes reads ours."""
    assert ours.value == of_pytest.value
