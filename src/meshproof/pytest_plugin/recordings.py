"""Traffic in a test: the fixture that records it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshproof.mesh.testbed import Testbed
from meshproof.project import current_project
from meshproof.pytest_plugin.scenarios import in_one_sentence
from meshproof.traffic import LONGEST, Flow, Recording, record


class Traffic:
    """The fixture `traffic`."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self._directory = directory

    @contextmanager
    def recording(self, *flows: Flow, name: str, seconds: float = LONGEST) -> Iterator[Recording]:
        """Send flows side by side for as long as the block lasts; what came of them is in the recording's ``flows``.

        Their records and a picture are left as NAME.jsonl and NAME.svg in ``traffic`` of the artifacts.

        Args:
            flows: What to send; all have begun when the block does.
            name: What the recording is called.
            seconds: After which no more is sent, even if the block goes on.
        """
        with in_one_sentence(), record(
            *flows, name=name, program=self._program, directory=self._directory, seconds=seconds
        ) as recording:  # fmt: skip
            yield recording


@pytest.fixture(scope="session")
def traffic(testbed: Testbed) -> Traffic:
    """Records requests, one by one, while a test does something: `with traffic.recording(Flow(…), name=…)`."""
    return Traffic(testbed.images.traffic, current_project().artifacts / "traffic")
