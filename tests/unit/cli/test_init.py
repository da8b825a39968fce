"""`meshproof init` writes the smallest project, and touches nothing that is there."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

import meshproof
from meshproof.errors import CommandFailed
from meshproof.machine.process import run
from meshproof.project import Project
from meshproof.settings import TIMEOUTS

TEMPLATE = Path(meshproof.__file__).with_name("template")
FILES = [".gitignore", "manifests/scenarios/shop.yaml", "pyproject.toml", "tests/test_shop.py"]


def init(directory: Path, *arguments: str) -> str:
    """Run the command in a directory; return what it prints."""
    return run([sys.executable, "-m", "meshproof", "init", *arguments], cwd=directory, timeout=TIMEOUTS.program)


def files(directory: Path) -> list[str]:
    """Return the files of a directory, by their ways from it."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("arguments", [(), ("shop",), ("a/b",)], ids=" ".join)
def test_a_project_of_four_files(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Where a directory is named it is made; what is printed says how to go on."""
    printed = init(tmp_path, *arguments)
    project = tmp_path.joinpath(*arguments)
    assert files(project) == FILES
    assert Project.of(project).declared
    assert printed.splitlines()[-1].startswith(f"Prove it: `{f'cd {arguments[0]} && ' if arguments else ''}")


def test_a_gitignore_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """It is no reason to write nothing: what it should have is said. A link that leads nowhere is there, too."""
    for name, write in (("file", Path.touch), ("link", lambda path: path.symlink_to("nowhere"))):
        directory = tmp_path / name
        directory.mkdir()
        write(directory / ".gitignore")
        assert ".gitignore stays as it is: it should have /artifacts/" in init(directory)
        assert [file for file in files(directory) if file != ".gitignore"] == FILES[1:]
    assert (tmp_path / "file" / ".gitignore").read_text() == ""
    assert not (tmp_path / "link" / "nowhere").exists()


def test_what_a_run_leaves_is_not_for_git(tmp_path: Path) -> None:
    """The directory of artifacts is ignored, of which the project is told to have it there; its tests are not."""
    init(tmp_path)
    run(["git", "init", "-q"], cwd=tmp_path, timeout=TIMEOUTS.program)
    left = tmp_path / Project.of(tmp_path).artifacts / "promises.json"
    left.parent.mkdir()
    left.touch()
    untracked = run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, timeout=TIMEOUTS.program)
    assert sorted(line.removeprefix("?? ") for line in untracked.splitlines()) == FILES


def test_its_row_takes_part_in_an_upgrade(tmp_path: Path) -> None:
    """What is written can be upgraded as it is: nobody has to mark it first."""
    init(tmp_path)
    words = ["upgrade", "--from=1.30", "--to=1.31.0", "--images=packages", "--plan"]
    printed = run([sys.executable, "-m", "meshproof", *words], cwd=tmp_path, timeout=TIMEOUTS.program)
    assert "Rows in each state: 1 row of 1 module" in printed


WITHOUT_PYTEST = (TEMPLATE / "pyproject.toml").read_text().partition("\n[tool.pytest")[0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'[project]\nname = "shop" # ours', id="no end of the last line"),
        pytest.param(b'[project]\r\nname = "shop"\r\n\r\n', id="lines of Windows"),
        pytest.param(b'[tool.pytest.ini_options]\ntestpaths = ["checks"]\n', id="a table of pytest's"),
        pytest.param(b'[tool.pytest]\nini_options = {addopts = "-ra"}\n', id="within a line"),
        pytest.param(b'[ tool."pytest".ini_options ]\naddopts = "-ra"\n', id="spelled otherwise"),
        pytest.param(b"# [tool.meshproof]\na = nan\ntool.black.line-length = 80\n", id="dots"),
        pytest.param(b"[tool]\nblack = {line-length = 80}\n", id="a table of tools"),
    ],
)
def test_a_pyproject_that_is_there_is_added_to(text: bytes, tmp_path: Path) -> None:
    """What it says stays as it is, to the last byte, and so does who may read it; pytest is not told anything."""
    file = tmp_path / "pyproject.toml"
    file.write_bytes(text)
    file.chmod(0o640)
    printed = init(tmp_path)
    content = file.read_bytes()
    assert content.startswith(text)
    assert content.removeprefix(text).decode().replace("\r\n", "\n").lstrip() == WITHOUT_PYTEST
    assert content.count(b"\n") == content.count(b"\r\n") or b"\r" not in content
    assert file.stat().st_mode & 0o777 == 0o640
    assert Project.of(tmp_path).declared
    assert "pytest tests`" in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("pytest.ini", "", False),
        ("tox.ini", "[pytest]\ntestpaths = checks\n", False),
        ("setup.cfg", "[tool:pytest]\naddopts = %(x)s\n", False),
        ("tox.ini", "[tox]\n", True),
        ("setup.cfg", "no section\n", True),
    ],
)
def test_another_configuration_of_pytest_counts(file: str, content: str, *, told: bool, tmp_path: Path) -> None:
    """A pyproject.toml that is new has a table of pytest's only where it takes the place of nothing."""
    (tmp_path / file).write_text(content)
    init(tmp_path)
    text = (TEMPLATE / "pyproject.toml").read_text()
    assert (tmp_path / "pyproject.toml").read_text() == (text if told else WITHOUT_PYTEST)


def test_where_a_link_leads(tmp_path: Path) -> None:
    """A pyproject.toml that is a symbolic link stays one."""
    (tmp_path / "shared.toml").write_text("[project]\n")
    (tmp_path / "pyproject.toml").symlink_to("shared.toml")
    init(tmp_path)
    assert (tmp_path / "pyproject.toml").is_symlink()
    assert (tmp_path / "shared.toml").read_text() == f"[project]\n\n{WITHOUT_PYTEST}"


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
        ("pyproject.toml", "tool = {black = {line-length = 80}}\n", "add the line [tool.meshproof] by hand"),
        ("pyproject.toml", "[[tool]]\n", "add the line [tool.meshproof] by hand"),
        ("pyproject.toml", "tool = 3\n", "add the line [tool.meshproof] by hand"),
        ("manifests", "", "manifests/scenarios/shop.yaml can't be written: manifests is no directory."),
        ("tests", "", "tests/test_shop.py can't be written: tests is no directory."),
    ],
)
def test_what_is_there_is_left_alone(file: str, content: str, sentence: str, tmp_path: Path) -> None:
    """It ends with 4 and one sentence, and the file that was there is as it was."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    assert sentence in refusal(tmp_path, code=4)
    assert files(tmp_path) == [file]
    assert (tmp_path / file).read_text() == content


@pytest.mark.parametrize("file", ["tests/test_shop.py", "pyproject.toml", "manifests"])
def test_a_link_that_leads_nowhere_is_there(file: str, tmp_path: Path) -> None:
    """Nothing is written to where it leads."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).symlink_to(tmp_path / "nowhere")
    assert "nothing was written" in refusal(tmp_path, code=4).lower()
    assert files(tmp_path) == []
    assert not (tmp_path / "manifests/scenarios").exists()


@pytest.mark.parametrize("size", [1, 2500], ids=["the first file", "the last file"])
def test_what_was_written_is_removed_if_a_file_fails(size: int, tmp_path: Path) -> None:
    """On a full disk it ends with 11, as any output does, and all is as it was, directories too."""
    text = f"[project]\nname = '{'x' * 4000}'\n"
    (tmp_path / "pyproject.toml").write_text(text)
    assert "Tried to write" in refusal(tmp_path, code=11, file_size=size)
    assert [path.name for path in tmp_path.rglob("*")] == ["pyproject.toml"]
    assert (tmp_path / "pyproject.toml").read_text() == text


def refusal(directory: Path, *, code: int, file_size: int = resource.RLIM_INFINITY) -> str:
    """Return what the command says as it ends with a code.

    Args:
        directory: Where it is run.
        code: Its exit code.
        file_size: How many octets a file may have, in place of a disk that is full.
    """
    program = (
        "import resource, sys; from meshproof.cli.main import main; sys.argv[1:] = ['init']; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_size}, {file_size})); main()"
    )
    argv = [sys.executable, "-B", "-c", program]
    with pytest.raises(CommandFailed) as failure:
        run(argv, cwd=directory, timeout=TIMEOUTS.program)
    assert failure.value.returncode == code
    return failure.value.tail
