"""The project: found from the directory where a command is run, with defaults, and mistakes in it are sentences."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meshproof.errors import BadProject
from meshproof.machine.process import run
from meshproof.project import Project
from meshproof.settings import TIMEOUTS


def written(directory: Path, text: str) -> Path:
    """Write a pyproject.toml, and return a directory two below."""
    below = directory / "a" / "b"
    below.mkdir(parents=True)
    (directory / "pyproject.toml").write_text(text)
    return below


def test_a_project_is_found_from_below(tmp_path: Path) -> None:
    """The nearest pyproject.toml above that has the table counts, and its paths are relative to it."""
    below = written(tmp_path, '[tool.meshproof]\nscenarios = "mesh"\nistio = "1.30.0"\n')
    (below / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    found = Project.of(below)
    assert (found.root, found.scenarios) == (tmp_path, tmp_path / "mesh")
    assert (found.applications, found.artifacts) == (tmp_path / "manifests" / "apps", tmp_path / "artifacts")
    assert found.versions == {"istio": "1.30.0"}


def test_a_directory_is_a_project_of_its_own(tmp_path: Path) -> None:
    """Where no file says otherwise, the defaults count."""
    assert Project.of(tmp_path).scenarios == tmp_path / "manifests" / "scenarios"
    assert Project.of(tmp_path).versions == {}


def test_a_run_can_leave_its_artifacts_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the last word, with a path relative to where the run is started: each pair of a matrix has
    a directory of its own.
    """
    below = written(tmp_path, '[tool.meshproof]\nartifacts = "left"\n')
    assert Project.of(below).artifacts == tmp_path / "left"
    monkeypatch.setenv("MESHPROOF_ARTIFACTS", "pair")
    assert Project.of(below).artifacts == Path.cwd() / "pair"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[tool.meshproof\n", "can't be understood", id="no TOML"),
        pytest.param('[tool.black]\na = 1\n\n[ tool . "meshproof" ]\na = {', "can't be understood", id="no TOML below"),
        pytest.param("tool.meshproof.istio = 1.2.3\n", "can't be understood", id="no TOML with dots"),
        pytest.param("[tool]\nmeshproof = 1\n", "should be a table", id="no table"),
        pytest.param("[[tool.meshproof]]\n", "should be a table", id="many tables"),
        pytest.param("[[tool]]\nmeshproof = {}\n", "tool should be a table", id="many tools"),
        pytest.param("[tool.meshproof]\nscenario = 'a'\n", "has 'scenario', which is not known", id="another key"),
        pytest.param("[tool.meshproof]\nscenarios = 1\n", "scenarios of .* should be text", id="a number"),
    ],
)
def test_a_mistake_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    """It names the file and what is wrong."""
    with pytest.raises(BadProject, match=rf"^{tmp_path / 'pyproject.toml'}.*{words}.*\.$"):
        Project.of(written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('name = "{{ cookie }}\n', id="no TOML"),
        pytest.param('[project]\nname = "meshproof-tools"\nversion = {{ version }}\n', id="our name elsewhere"),
        pytest.param("\udcff", id="no UTF-8"),
        pytest.param("a = " + "[" * 10_000, id="no end"),
        pytest.param("tool = 3\n", id="no table"),
        pytest.param("[[tool]]\nblack = {}\n", id="many tools"),
    ],
)
def test_what_others_write_is_their_own_business(text: str, tmp_path: Path) -> None:
    """A file that can't be understood, and does not speak of meshproof, ends nothing, above a project or in it."""
    below = written(tmp_path, "")
    for file in (tmp_path / "pyproject.toml", below / "pyproject.toml"):
        file.write_bytes(text.encode(errors="surrogateescape"))
    (tmp_path / "a" / "pyproject.toml").mkdir()
    assert not Project.of(below).declared
    (tmp_path / "a" / "pyproject.toml").rmdir()
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.meshproof]\n")
    assert Project.of(below).root == tmp_path / "a"


def test_a_mistake_ends_a_command(tmp_path: Path) -> None:
    """The command says so and ends with 4."""
    program = "import sys; from meshproof.cli.main import main; sys.argv[1:] = ['images', 'list']; main()"
    below = written(tmp_path, "[tool.meshproof]\nscenario = 'a'\n")
    lines: list[str] = []
    command = ["sh", "-c", '"$0" -c "$1"; echo $?', sys.executable, program]
    run(command, cwd=below, timeout=TIMEOUTS.program, on_line=lines.append)
    assert [line for line in lines if "Traceback" in line] == []
    assert lines[-1] == "4"


def test_versions_are_the_projects(tmp_path: Path) -> None:
    """What a project asks for is brought up where nothing else is asked for."""
    program = "from meshproof.versions import *; print(choose(ImageSource.PACKAGES, Asked()))"
    below = written(tmp_path, '[tool.meshproof]\nkubernetes = "1.35.4"\n')
    assert "kubernetes='1.35.4'" in run([sys.executable, "-c", program], cwd=below, timeout=TIMEOUTS.program)
