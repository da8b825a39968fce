"""What is loaded where pytest is run, and what a run is told that lacks what the plugin needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS

LOADED_BY_NAME = ("-p", "meshproof.pytest_plugin")


def outcome(directory: Path, *options: str, **env: str) -> tuple[int, list[str]]:
    """Run the test of a directory; return pytest's exit code and what it prints."""
    (directory / "test_a.py").write_text("def test_a(): pass\n")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    lines: list[str] = []
    try:
        run(argv, cwd=directory, env={**os.environ, **env}, timeout=TIMEOUTS.program, on_line=lines.append)
    except CommandFailed as failure:
        return failure.returncode, lines
    return 0, lines


@pytest.mark.parametrize("package", ["kubernetes", "pytest_kind"])
def test_a_project_without_the_extra(package: str, tmp_path: Path) -> None:
    """It is told in one sentence what to install; a project of others goes on."""
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / f"{package}.py").write_text(f"raise ModuleNotFoundError('it is not here', name={package!r})\n")
    path = os.pathsep.join([str(missing), *filter(None, [os.environ.get("PYTHONPATH")])])
    alone = {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert outcome(tmp_path, *LOADED_BY_NAME, **alone)[0] == 0
    (tmp_path / "pyproject.toml").write_text("[tool.meshproof]\n")
    status, lines = outcome(tmp_path, *LOADED_BY_NAME, **alone)
    told = [line for line in lines if line]
    assert (status, len(told)) == (4, 1)
    assert f"need {package}, which is not installed: install meshproof with its extra `pytest`." in told[0]


@pytest.mark.parametrize(
    ("options", "env"),
    [
        pytest.param(LOADED_BY_NAME, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, id="nothing by itself"),
        pytest.param((*LOADED_BY_NAME, "-p", "no:pytest-kind-ng"), {}, id="without that one"),
    ],
)
def test_a_run_without_the_plugin_of_pytest_kind(options: tuple[str, ...], env: dict[str, str], tmp_path: Path) -> None:
    """It ends with one sentence, and does what that says; without a project it goes on."""
    assert outcome(tmp_path, *options, **env)[0] == 0
    (tmp_path / "pyproject.toml").write_text("[tool.meshproof]\n")
    status, lines = outcome(tmp_path, *options, **env)
    told = [line for line in lines if line]
    assert (status, len(told)) == (4, 1)
    assert "needs that of pytest-kind, which is not loaded: give `-p pytest_kind.plugin`" in told[0]
    assert outcome(tmp_path, *options, "-p", "pytest_kind.plugin", **env)[0] == 0


@pytest.mark.parametrize("text", ["name = '{{ cookie }}\n", "tool = 3\n"])
def test_a_faulty_file_of_others_above(text: str, tmp_path: Path) -> None:
    """Pytest goes on: it has nothing to do with meshproof."""
    (tmp_path / "pyproject.toml").write_text(text)
    below = tmp_path / "below"
    below.mkdir()
    (below / "pytest.ini").write_text("[pytest]\n")
    assert outcome(below, *LOADED_BY_NAME)[0] == 0
