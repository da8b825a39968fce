"""The recordings that a run leaves are its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproof.project import current_project
from tests.support.traffic import traffic_program, traffic_server
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


RECORDS = """
"Rows: one that records, and one that does not."
from pathlib import Path
from types import SimpleNamespace
import pytest
from meshproof.testing import Flow

@pytest.fixture(scope="session")
def testbed(): return SimpleNamespace(images=SimpleNamespace(traffic=Path({program!r})))

@pytest.fixture(scope="session")
def traffic_calibration(): return []

@pytest.fixture(autouse=True)
def scenario(testbed): pass

def test_it(traffic):
    flow = Flow("kept connections", "http://{address}/", rate=100, instead={{5: "{path}"}})
    other = Flow("others", "http://{address}/", rate=20)
    with traffic.recording(flow, other, name="a rollout") as recording:
        recording.wait_for(100, flow.name)
    result = recording.flows[flow.name]
    assert not result.losses
"""
PAUSED = """#!/bin/sh
for _ in 1 2 3 4 5 6 7 8 9 10; do
  sleep 0.3; kill -STOP $$ || exit; sleep 0.2; kill -CONT $$
done >/dev/null 2>&1 &
exec {program} "$@"
"""


def recorded(pytester: pytest.Pytester, path: str, program: Path) -> str:
    """Run rows that record requests to a real server, one of them for a path; return what the run prints."""
    with traffic_server(pytester.path / "log", "--http=127.0.0.1:0") as listening:
        module = RECORDS.format(program=str(program), address=listening["http"], path=path)
        return str(ran(pytester, module).stdout)


def test_a_failure_says_which_flow_lost_what_and_where_the_picture_is(pytester: pytest.Pytester) -> None:
    """The reader of a red row need not look for the recording, nor for the flow."""
    printed = recorded(pytester, "/reset", traffic_program())
    assert "where Counter({'RESET': 1}) = <kept connections: " in printed
    _, _, section = printed.partition("-- recordings --")
    assert "\nartifacts/traffic/a-rollout.svg: a rollout: " in section
    lost = [line for line in section.splitlines() if line.startswith("  ") and " requests, 1 RESET lost, " in line]
    assert [line.partition(":")[0] for line in lost] == ["  kept connections"]


def test_a_sender_that_was_late_is_told(pytester: pytest.Pytester) -> None:
    """Where the sender itself did not run for a while the end of the run says so, and so does the picture."""
    program = pytester.path / "paused"
    program.write_text(PAUSED.format(program=traffic_program()))
    program.chmod(0o700)
    printed = recorded(pytester, "/", program)
    assert "1 passed" in printed
    (line,) = [line for line in printed.splitlines() if "    kept connections: " in line]
    assert "the sender itself was late by " in line
    assert " ms (p99): the machine was too busy for the rates, and gaps are partly its own" in line
    drawing = (current_project().artifacts / "traffic" / "a-rollout.svg").read_text()
    assert " ms (p99): the machine was too busy</text>" in drawing
