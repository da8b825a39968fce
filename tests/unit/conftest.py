"""A project of its own, for tests of what pytest does in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshproof.project import current_project


@pytest.fixture
def own_project(pytester: pytest.Pytester) -> Iterator[Path]:
    """The current directory, which is a project of its own with one scenario; what a run leaves is its own, too."""
    pytester.path.joinpath("pyproject.toml").write_text("[tool.meshproof]\n")
    for directory in ("tests/e2e/gateway", "tests/unit", "manifests/scenarios/gateway"):
        pytester.path.joinpath(directory).mkdir(parents=True)
    document = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    pytester.path.joinpath("manifests/scenarios/gateway/passthrough.yaml").write_text(document)
    current_project.cache_clear()
    yield pytester.path
    current_project.cache_clear()
