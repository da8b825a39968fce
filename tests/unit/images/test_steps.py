"""Build steps: one result for one content, whole or not there, and failures that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshproof.errors import BuildFailed, CommandFailed, MachineError
from meshproof.images.steps import Step, build, missing
from tests.support import building
from tests.support.building import Record, command, held_step
from tests.support.programs import PATIENCE, line_of, python

OnLine = Callable[[str], None]
DISK_FULL = r"^No space was left on the disk of \S+ while a step was built .*set MESHPROOF_CACHE to another disk"


def fill_the_disk(_out: Path, _on_line: OnLine) -> None:
    """Write to a device that is always full."""
    Path("/dev/full").write_text("x")


def digest(*inputs: Path | str) -> str:
    """Return what a step of these inputs is known by."""
    return Step("a step", inputs, lambda *_: None, seconds=1).digest


def sources(root: Path) -> Path:
    """Write a directory of sources."""
    (root / "sources" / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (root / "sources" / name).write_text(f"the content of {name}")
    return root / "sources"


def test_a_step_is_built_once(tmp_path: Path) -> None:
    """What is built stays built, and is not even mentioned again."""
    step, progress = command("echo x >>$1/../built; echo result >$1/file"), Record()
    for _ in range(2):
        build([step], tmp_path, progress)
    assert (step.directory(tmp_path) / "file").read_text() == "result\n"
    assert (tmp_path / "build" / "built").read_text() == "x\n"
    assert (progress.begun, progress.done, missing([step], tmp_path)) == (["a step"], ["a step"], [])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda at: (at / "sub" / "c").write_text("another"), id="content"),
        pytest.param(lambda at: (at / "a").chmod(0o755), id="executable bit"),
        pytest.param(lambda at: (at / "a").rename(at / "z"), id="name"),
        pytest.param(lambda at: (at / "sub" / "d").touch(), id="one more file"),
        pytest.param(lambda at: (at / "b").unlink(), id="one file less"),
    ],
)
def test_a_change_of_the_sources_is_another_step(change: Callable[[Path], object], tmp_path: Path) -> None:
    """Whatever decides about the result decides about its name."""
    there = sources(tmp_path)
    before = digest(there)
    change(there)
    assert digest(there) != before


def test_a_change_of_a_string_is_another_step() -> None:
    """Versions are inputs too; where one string ends and the next begins matters."""
    assert len({digest("1.31", "0"), digest("1.31", "1"), digest("1.3", "10"), digest("1.310")}) == 4


def test_the_same_content_is_the_same_step(tmp_path: Path) -> None:
    """Neither the checkout's place, nor the age of its files, nor the order of their creation matters."""
    here, there = sources(tmp_path / "here"), tmp_path / "there" / "sources"
    (there / "sub").mkdir(parents=True)
    for name in ("sub/c", "b", "a"):
        (there / name).write_text((here / name).read_text())
    assert digest(here, here / "a") == digest(there, there / "a")


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    """After a SIGKILL half-way the step is still missing, and the next build makes it whole."""
    step = held_step(tmp_path)
    with python(tmp_path / "log", building.__file__, tmp_path) as builder:
        line_of(tmp_path / "builds")
        builder.kill()
        builder.wait(PATIENCE)
    assert missing([step], tmp_path / "cache") == [step]
    (tmp_path / "go").touch()
    build([step], tmp_path / "cache", Record())
    result = step.directory(tmp_path / "cache")
    assert {file.name for file in result.iterdir()} == {"first", "second"}
    assert list(result.parent.iterdir()) == [result]


def test_two_runs_share_a_build(tmp_path: Path) -> None:
    """A run that comes while another one builds waits, and then finds the result."""
    with (
        python(tmp_path / "log1", building.__file__, tmp_path) as first,
        python(tmp_path / "log2", building.__file__, tmp_path) as second,
    ):
        line_of(tmp_path / "builds")
        line_of(tmp_path / "arrived", 2)
        (tmp_path / "go").touch()
        assert (first.wait(PATIENCE), second.wait(PATIENCE)) == (0, 0)
    assert (tmp_path / "builds").read_text() == "half-way\n"


def test_a_failure_shows_its_last_lines_and_its_log(tmp_path: Path) -> None:
    """Of a build that fails one reads the end at once, and all of it in a file."""
    step = command("for i in $(seq 20); do echo line $i; done; echo no such module >&2; exit 1")
    with pytest.raises(BuildFailed) as failure:
        build([step], tmp_path, Record())
    assert "    line 20\n    no such module\n" in str(failure.value)
    assert "line 5\n" not in str(failure.value)
    assert str(failure.value).endswith(f"The whole log is {failure.value.log}.")
    assert failure.value.log.read_text().splitlines() == [*(f"line {i}" for i in range(1, 21)), "no such module"]
    assert missing([step], tmp_path) == [step]


def test_a_failure_ends_the_other_builds(tmp_path: Path) -> None:
    """With one step broken nobody waits for a slow one beside it."""
    slow = command("echo running >$1/../running; sleep 60")

    def fail(out: Path, _: OnLine) -> None:
        line_of(out.parent / "running")
        raise CommandFailed(["go"], 1, "broken")

    with pytest.raises(BuildFailed, match="broken"):
        build([slow, Step("broken", [], fail, seconds=1, compiles=True)], tmp_path, Record())
    assert missing([slow], tmp_path) == [slow]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(command("dd if=/dev/zero of=/dev/full count=1"), id="a program says so"),
        pytest.param(Step("a step", [], fill_the_disk, seconds=1), id="we find out"),
    ],
)
def test_a_full_disk_is_the_machines_fault(step: Step, tmp_path: Path) -> None:
    """Who runs out of disk space is told so and what to do, and not to read the log of a compiler."""
    with pytest.raises(MachineError, match=DISK_FULL):
        build([step], tmp_path, Record())
    assert missing([step], tmp_path) == [step]
