"""The cache: a directory of our own, marked, outside of which nothing is removed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from meshproof.docker import daemon
from meshproof.errors import CommandFailed, MachineError
from meshproof.images import golang
from meshproof.machine.cache import MARK, claim, claimed, discard, fault, in_use, is_ours
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS, cache_directory
from tests.support.programs import shell


def home(directory: Path) -> Path:
    """Make a directory that belongs to a person, who writes programs in Go."""
    for file in ("go/pkg/mod/module.go", "build/notes", "toolchain/mine"):
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text("precious")
    return directory


def precious(directory: Path) -> int:
    """Count the person's files."""
    return sum(path.read_text() == "precious" for path in directory.rglob("*") if path.is_file())


def test_a_cache_in_a_home_takes_nothing_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With MESHPROOF_CACHE=$HOME what Go has in its home stays when what Go has in the cache is thrown away."""
    monkeypatch.setenv("MESHPROOF_CACHE", str(home(tmp_path)))
    claim(cache_directory())
    ours = cache_directory() / "go" / "mod"
    ours.mkdir(parents=True)
    golang.forget(cache_directory())
    assert (ours.exists(), precious(tmp_path)) == (False, 3)


def test_nothing_is_removed_without_a_mark(tmp_path: Path) -> None:
    """Whoever calls with a directory that is not marked gets an error, and the directory keeps all that it has."""
    with pytest.raises(ValueError, match="is not in a cache of meshproof's"):
        golang.forget(home(tmp_path))
    with pytest.raises(ValueError, match="is not in a cache"):
        discard(tmp_path / "build" / "notes")
    assert precious(tmp_path) == 3


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    """A part of the cache that somebody has put elsewhere is theirs."""
    claim(tmp_path / "cache")
    (tmp_path / "cache" / "go").symlink_to(home(tmp_path / "home"))
    golang.forget(tmp_path / "cache")
    assert not (tmp_path / "cache" / "go").is_symlink()
    assert precious(tmp_path / "home") == 3


def test_a_cache_is_made_and_marked_once(tmp_path: Path) -> None:
    """The first run makes it, and the second one finds it."""
    directory = tmp_path / "not" / "there" / "yet"
    for _ in range(2):
        claim(directory)
        assert is_ours(directory)
    assert [path.name for path in directory.iterdir()] == [MARK]


def test_a_cache_from_before_the_mark_is_adopted(tmp_path: Path) -> None:
    """What was built stays built: a directory with nothing but what meshproof makes gets the mark."""
    for name in ("build", "clusters", "docker", "go", "logs", "programs", "tmpab12_xyz", "toolchain.unfinished"):
        (tmp_path / name).mkdir()
    (tmp_path / "build.lock").touch()
    claim(tmp_path)
    assert is_ours(tmp_path)
    assert (tmp_path / "build").is_dir()


@pytest.mark.parametrize("also", [[], [MARK]], ids=["no mark", "the mark of another program"])
def test_a_directory_of_somebody_else_is_refused(also: list[str], tmp_path: Path) -> None:
    """One foreign file is enough: the directory is named, so is the file, and nothing is written."""
    for name in ("build", "letters"):
        (tmp_path / name).mkdir()
    for name in also:
        (tmp_path / name).write_text("Signature: 8a477f597d28d172789f06886806bc55\n# made by another\n")
    with pytest.raises(MachineError, match=rf"^{tmp_path} can't be the cache: letters in it is not meshproof's\."):
        claim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["build", "letters", *also])


def test_a_file_is_no_cache(tmp_path: Path) -> None:
    """A file in the cache's place, or above it, is named."""
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "cache"):
        assert fault(directory) == (
            f"{directory} can't be the cache: {tmp_path / 'file'} is not a directory. "
            "Set MESHPROOF_CACHE to a directory that you can write to."
        )
        with pytest.raises(MachineError, match="Set MESHPROOF_CACHE"):
            claim(directory)


def test_a_part_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    """An error of the file system in the cache is a sentence about the cache; one elsewhere is not."""
    claim(tmp_path / "cache")
    (tmp_path / "cache" / "logs").touch()
    sentence = r"cache/logs could not be written: .* set MESHPROOF_CACHE to another"
    with pytest.raises(MachineError, match=sentence), claimed(tmp_path / "cache"):
        (tmp_path / "cache" / "logs").mkdir()
    with pytest.raises(FileExistsError), claimed(tmp_path / "cache"):
        (tmp_path / "cache" / "..").resolve().mkdir()


CLAIM = "import pathlib, sys; from meshproof.machine.cache import claim; claim(pathlib.Path(sys.argv[1]))"
BUILD = [sys.executable, "-m", "meshproof", "doctor"]
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


def on_a_read_only_disk(place: Path, program: list[str | Path], **env: str) -> CommandFailed:
    """Run a program where a directory can't be written; return how it ended."""
    if os.geteuid() == 0:
        program = ["unshare", "--mount", *shell(READ_ONLY, place, *program)]
    place.chmod(0o555)
    with pytest.raises(CommandFailed) as failure:
        run(program, env=env, timeout=TIMEOUTS.program, on_line=lambda _: None)
    return failure.value


@pytest.mark.parametrize("there", [True, False], ids=["already there", "to be made"])
def test_a_read_only_disk_is_named(there: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """On a disk that can't be written the error is a sentence, whether the cache is there or not."""
    directory = tmp_path / "disk" / "meshproof-cache"
    (directory if there else directory.parent).mkdir(parents=True)
    error = on_a_read_only_disk(tmp_path / "disk", [sys.executable, "-c", CLAIM, directory])
    place = directory if there else directory.parent
    assert f"MachineError: {directory} can't be the cache: {place} can't be written. Set MESHPROOF_CACHE" in error.tail


def test_the_doctor_looks_at_the_cache(tmp_path: Path) -> None:
    """Before anything is begun a cache that can't be written is told, with the code of a lacking machine."""
    (tmp_path / "disk").mkdir()
    error = on_a_read_only_disk(tmp_path / "disk", list(BUILD), MESHPROOF_CACHE=str(tmp_path / "disk"), COLUMNS="400")
    assert error.returncode == 11
    assert "can't be written. Set MESHPROOF_CACHE to a directory that you can write to" in error.tail


def test_a_run_ends_in_one_sentence(tmp_path: Path) -> None:
    """Who brings up a cluster with a file for a cache is told so before anything is started."""
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"is not a directory\. Set MESHPROOF_CACHE"), daemon(tmp_path / "file"):
        pass


def test_nothing_is_removed_while_a_run_needs_it(tmp_path: Path) -> None:
    """Runs use the cache side by side; whoever wants to remove from it is told to wait."""
    refused = pytest.raises(MachineError, match=r"Another run of meshproof uses \S+, and nothing was removed")
    with in_use(tmp_path), in_use(tmp_path), refused, in_use(tmp_path, alone=True):
        pass
    with in_use(tmp_path, alone=True):
        assert is_ours(tmp_path)
