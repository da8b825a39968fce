"""The recordings that a run leaves are its own."""

from __future__ import annotations

import pytest

from meshproof.project import current_project
from tests.unit.pytest_plugin.test_promises import MODULE, WORKS, ran

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("own_project")


@pytest.mark.parametrize(
    ("options", "forgotten"), [((), True), (("--collect-only",), False)], ids=["a run", "only collected"]
)
def test_the_recordings_of_the_last_run_are_forgotten(
    options: tuple[str, ...],
    forgotten: bool,  # noqa: FBT001
    pytester: pytest.Pytester,
) -> None:
    """A run of rows removes the recordings of the last one, and nothing else."""
    directory = current_project().artifacts / "traffic"
    directory.mkdir(parents=True)
    for name in ("rollout.jsonl", "rollout.svg", "calibration.json", "notes.txt"):
        directory.joinpath(name).touch()
    ran(pytester, MODULE.format(works=WORKS, holds=True, skips=False), *options)
    left = {file.name for file in directory.iterdir()}
    assert (left == {"notes.txt"}) is forgotten
