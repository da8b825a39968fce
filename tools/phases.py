"""A pytest plugin for `tools/bench.py`: writes when each phase of a run began, into the file that ``PHASES`` names.

A phase is a stage of the testbed, or the begin, the rows or the removal of a scenario. Each lasts until the next.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from meshproof.machine import console


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Note the phases of a scenario, which is what the fixture `mesh_manifest` has in force."""
    if fixturedef.argname != "mesh_manifest":
        return (yield)
    scenario = request.path.stem.removeprefix("test_")
    _begins(f"{scenario}: begin")
    value = yield
    fixturedef.addfinalizer(lambda: _begins(f"{scenario}: removal"))  # the last one that is added is the first to run
    _begins(f"{scenario}: rows")
    return value


def pytest_unconfigure() -> None:
    """Write the phases."""
    Path(os.environ["PHASES"]).write_text(json.dumps(console.BEGUN))


def _begins(phase: str) -> None:
    console.BEGUN.append((phase, time.monotonic()))
