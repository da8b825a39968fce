"""Traffic in a test: the fixture that records it, and whether it can be believed in this run."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshproof.errors import TrafficUnknown
from meshproof.machine.console import stage
from meshproof.machine.wait import Patience
from meshproof.mesh.scenario import in_force
from meshproof.mesh.testbed import Testbed
from meshproof.project import as_typed_here, current_project
from meshproof.pytest_plugin.scenarios import in_one_sentence, is_row
from meshproof.traffic import MANIFEST, Calibration, Flow, Recording, calibrate, record

CALIBRATIONS = pytest.StashKey[list[Calibration]]()
"""What each source saw of the losses that were made on purpose in this run."""
RECORDINGS = pytest.StashKey[list[Recording]]()
"""What was recorded in this run."""
_MODULES = pytest.StashKey[dict[str, Path]]()
"""In which module each of them was made."""


class Traffic:
    """The fixture `traffic`.

    Attributes:
        recordings: All that were begun, in their order.
    """

    def __init__(self, program: Path, directory: Path) -> None:
        self.recordings: list[Recording] = []
        self._program = program
        self._directory = directory

    @contextmanager
    def recording(self, *flows: Flow, name: str, seconds: float | None = None) -> Iterator[Recording]:
        """Send flows side by side for as long as the block lasts; what came of them is in the recording's ``flows``.

        Their records and a picture are left as NAME.jsonl and NAME.svg in ``traffic`` of the artifacts.

        Args:
            flows: What to send; all have begun when the block does.
            name: What the recording is called.
            seconds: After which no more is sent, even if the block goes on. Without it, a block of more than
                five minutes is an error.
        """
        with (
            in_one_sentence(),
            record(*flows, name=name, program=self._program, directory=self._directory, seconds=seconds) as recording,
        ):
            self.recordings.append(recording)
            yield recording


@pytest.fixture(scope="session")
def traffic_calibration(testbed: Testbed, mesh_patience: Patience, request: pytest.FixtureRequest) -> list[Calibration]:
    """What the sources of traffic saw of losses that were made on purpose, and where there were none."""
    directory = _directory()
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with (
        in_one_sentence(),
        capture.global_and_fixture_disabled(),  # it takes its time: let people see what goes on
        stage("traffic recorder calibrated"),
        in_force(MANIFEST, testbed, mesh_patience) as scenario,
    ):
        trust = testbed.certificates.authority("meshproof").pem
        results = calibrate(scenario, testbed.kube, trust, testbed.images.traffic, directory)
    request.config.stash[CALIBRATIONS] = results
    text = json.dumps([result.summary() for result in results], indent=2)
    (directory / "calibration.json").write_text(f"{text}\n", encoding="utf-8")
    return results


@pytest.fixture(scope="session")
def traffic(testbed: Testbed, traffic_calibration: list[Calibration], request: pytest.FixtureRequest) -> Traffic:
    """Records requests, one by one, while a test does something: `with traffic.recording(Flow(…), name=…)`.

    Where it did not see what it measures, nothing that it would say counts, and the rows that use it fail.
    """
    wrong = "; ".join(str(result) for result in traffic_calibration if not result.good)
    if wrong:
        with in_one_sentence():
            raise TrafficUnknown(
                f"The traffic recorder can't be believed in this run: {wrong}. Look into its records and its "
                "picture, traffic/calibration.jsonl and .svg in the artifacts, for what was lost and when."
            )
    recorder = Traffic(testbed.images.traffic, _directory())
    request.config.stash[RECORDINGS] = recorder.recordings
    return recorder


def pytest_collection_finish(session: pytest.Session) -> None:
    """Forget the recordings of the last run, if this one has rows: nobody is to mix them up."""
    if session.config.option.collectonly or not any(map(is_row, session.items)):
        return
    for file in (file for kind in ("*.jsonl", "*.svg", "calibration.json") for file in _directory().glob(kind)):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise pytest.UsageError(
                f"{file}, a recording of the last run, can't be removed: {error.strerror}."
            ) from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name the pictures of a failure's module, and the flows that lost something or whose sender was late."""
    report = yield
    recordings = item.config.stash.get(RECORDINGS, [])
    modules = item.config.stash.setdefault(_MODULES, {})
    for recording in recordings:  # a fixture of the module may have made it for other rows
        modules.setdefault(recording.name, item.path)
    of_module = [recording for recording in recordings if modules[recording.name] == item.path]
    if report.failed and of_module:
        lines = [line for recording in of_module for line in _account(recording)]
        report.sections.append(("recordings", "\n".join(lines)))
    return report


def _account(recording: Recording) -> Iterator[str]:
    """Tell where the picture of a recording is, and what is to be seen on it."""
    yield f"{as_typed_here(_directory() / recording.picture)}: {recording}"
    for flown in recording.flows.values():
        if flown.losses or flown.lateness:
            yield f"  {flown}{', ' * bool(flown.lateness)}{flown.lateness}"


def _directory() -> Path:
    return current_project().artifacts / "traffic"


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say of each source of traffic what it saw of losses made on purpose, and of each recording what was lost."""
    if results := config.stash.get(CALIBRATIONS, []):
        terminalreporter.write_line("\nThe traffic recorder in this run:")
        for result in results:
            terminalreporter.write_line(f"  {result}")
    if recordings := config.stash.get(RECORDINGS, []):
        terminalreporter.write_line(f"\nRecorded, each with a picture in {as_typed_here(_directory())}:")
        for recording in recordings:
            terminalreporter.write_line(f"  {recording}")
            for flown in (flown for flown in recording.flows.values() if flown.lateness):
                terminalreporter.write_line(
                    f"    {flown.flow.name}: {flown.lateness} for the rates, and gaps are partly its own"
                )
