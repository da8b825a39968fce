"""What unit tests share: a project of its own, for tests of what pytest does in one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshproof.project import project_here


def pytest_configure() -> None:
    """Take signals again that this run was started without, as by ``nohup``: the programs of tests inherit that."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def own_project(pytester: pytest.Pytester) -> Iterator[Path]:
    """The current directory, which is a project of its own with one scenario; what a run leaves is its own, too."""
    pytester.path.joinpath("pyproject.toml").write_text("[tool.meshproof]\n")
    for directory in ("tests/e2e/gateway", "tests/unit", "manifests/scenarios/gateway"):
        pytester.path.joinpath(directory).mkdir(parents=True)
    document = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    pytester.path.joinpath("manifests/scenarios/gateway/passthrough.yaml").write_text(document)
    project_here.cache_clear()
    yield pytester.path
    project_here.cache_clear()
