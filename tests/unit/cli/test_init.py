"""`meshproof init` writes the smallest project, and touches nothing that is there."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.project import Project
from meshproof.settings import TIMEOUTS

FILES = ["manifests/scenarios/shop.yaml", "pyproject.toml", "tests/test_shop.py"]


def init(directory: Path, *arguments: str) -> str:
    """Run the command in a directory; return what it prints."""
    return run([sys.executable, "-m", "meshproof", "init", *arguments], cwd=directory, timeout=TIMEOUTS.program)


def files(directory: Path) -> list[str]:
    """Return the files of a directory, by their ways from it."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("arguments", [(), ("shop",), ("a/b",)], ids=" ".join)
def test_a_project_of_three_files(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Where a directory is named it is made; what is printed says how to go on."""
    printed = init(tmp_path, *arguments)
    project = tmp_path.joinpath(*arguments)
    assert files(project) == FILES
    assert Project.of(project).declared
    assert printed.splitlines()[-1].startswith(f"Prove it: `{f'cd {arguments[0]} && ' if arguments else ''}")


@pytest.mark.parametrize("table", ["", '[tool.pytest.ini_options]\ntestpaths = ["checks"]\n'], ids=["none", "pytest's"])
def test_a_pyproject_that_is_there_is_added_to(table: str, tmp_path: Path) -> None:
    """What it says stays as it is; a table of pytest's is not given twice."""
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "shop" # ours\n{table}')
    init(tmp_path)
    text = (tmp_path / "pyproject.toml").read_text()
    assert text.startswith(f'[project]\nname = "shop" # ours\n{table}'.rstrip())
    assert tomllib.loads(text)["tool"]["pytest"]["ini_options"]["testpaths"] == (["checks"] if table else ["tests"])
    assert Project.of(tmp_path).declared


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("tests/test_shop.py", "", "tests/test_shop.py is there already, and nothing was written."),
        (
            "pyproject.toml",
            "[tool.meshproof]\n",
            "pyproject.toml has a [tool.meshproof] already, and nothing was written.",
        ),
        ("pyproject.toml", "[tool", "can't be understood"),
        ("manifests", "", "could not be written"),
    ],
)
def test_what_is_there_is_left_alone(file: str, content: str, sentence: str, tmp_path: Path) -> None:
    """It ends with 4 and one sentence, and the file that was there is as it was."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    with pytest.raises(CommandFailed) as failure:
        init(tmp_path)
    assert failure.value.returncode == 4
    assert sentence in failure.value.tail
    assert files(tmp_path) == [file]
    assert (tmp_path / file).read_text() == content
