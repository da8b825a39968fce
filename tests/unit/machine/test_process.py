"""Other programs: what they are given, what they print, and how they fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from meshproof.errors import CommandFailed, ToolMissing
from meshproof.machine.process import run, start
from tests.support.programs import PATIENCE, shell

IMPATIENT = 2.0  # seconds; for one that would wait for input
BOTH_STREAMS = "echo out; echo err >&2"
OnLine = Callable[[str], None]

MISSING = pytest.mark.parametrize("mode", [None, 0o600], ids=["not there", "not executable"])
HOW = pytest.mark.parametrize("on_line", [None, lambda _: None], ids=["all at once", "line by line"])


def test_standard_output_is_returned() -> None:
    """What a program prints on standard output comes back as it is; its standard error does not."""
    assert run(shell(f"{BOTH_STREAMS}; printf end"), timeout=PATIENCE) == "out\nend"


def test_lines_arrive_one_by_one() -> None:
    """Whoever listens gets the lines of both streams, without their ends, and the last ones come back too."""
    lines: list[str] = []
    out = run(shell(f"{BOTH_STREAMS}; printf end"), timeout=PATIENCE, on_line=lines.append)
    assert (lines, out) == (["out", "err", "end"], "out\nerr\nend")


@HOW
def test_a_program_is_fed(on_line: OnLine | None) -> None:
    """A program reads what it is given, however its output is taken."""
    assert run(["cat"], timeout=IMPATIENT, stdin="one\ntwo\n", on_line=on_line) == "one\ntwo\n"


@HOW
def test_a_program_that_is_not_fed_reads_nothing(on_line: OnLine | None) -> None:
    """A program that asks a question gets no answer, and does not wait for a person."""
    assert run(["cat"], timeout=PATIENCE, on_line=on_line) == ""


def test_the_environment_is_added_to(tmp_path: Path) -> None:
    """A program has our environment, what is added to it, and the directory that it is to run in."""
    out = run(
        shell("echo $PATH; echo $MESHPROOF_ADDED; pwd"), timeout=PATIENCE, env={"MESHPROOF_ADDED": "x"}, cwd=tmp_path
    )
    assert out.splitlines() == [os.environ["PATH"], "x", str(tmp_path)]


@HOW
def test_a_failure_is_described(on_line: OnLine | None) -> None:
    """The error carries the command, its status and its last lines, and says the last one in a sentence."""
    command = ["sh", "-c", "echo first >&2; echo last >&2; exit 3"]
    with pytest.raises(CommandFailed) as failure:
        run(command, timeout=PATIENCE, on_line=on_line)
    error = failure.value
    assert (error.argv, error.returncode, error.tail.split()) == (command, 3, ["first", "last"])
    assert str(error) == f"`{' '.join(command)}` ended with status 3: last."


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        pytest.param("echo why; exit 1", 1, "ended with status 1: why.", id="said on standard output"),
        pytest.param("exit 1", 1, "ended with status 1: it printed nothing.", id="silent"),
        pytest.param("kill -KILL $$", -signal.SIGKILL, "ended with status -9: it printed nothing.", id="killed"),
    ],
)
def test_every_failure_has_a_reason(script: str, status: int, message: str) -> None:
    """Whatever a program left unsaid, the sentence is whole."""
    with pytest.raises(CommandFailed) as failure:
        run(shell(script), timeout=PATIENCE)
    assert failure.value.returncode == status
    assert str(failure.value).endswith(message)


@MISSING
def test_a_missing_program_is_named(mode: int | None, tmp_path: Path) -> None:
    """What can't be run is not installed, by its name, with where to look."""
    program = tmp_path / "istioctl"
    if mode:
        program.touch(mode)
    with pytest.raises(ToolMissing, match=rf"^Tried to run `{program}`: .*\. Run `meshproof doctor`\.$"):
        run([program], timeout=PATIENCE)


@pytest.mark.parametrize("content", ["", "\x7fELF"], ids=["empty", "half written"])
def test_a_file_that_is_no_whole_program_is_named(content: str, tmp_path: Path) -> None:
    """What is executable and yet no program can't be run or started; it is said what to do with it."""
    program = tmp_path / "istioctl"
    program.write_text(content)
    program.chmod(0o700)
    says = rf"`{program}`: Exec format error\. The file is incomplete, .*: delete it, and install or build it again\.$"
    with pytest.raises(ToolMissing, match=f"^Tried to run {says}"):
        run([program], timeout=PATIENCE)
    with pytest.raises(ToolMissing, match=f"^Tried to start {says}"):
        start([program], log=tmp_path / "log")


def test_a_started_program_has_a_log(tmp_path: Path) -> None:
    """A program that is to outlive us writes into a file, both streams, and reads nothing."""
    started = start(shell(f"cat; {BOTH_STREAMS}"), log=tmp_path / "log")
    assert (started.wait(PATIENCE), (tmp_path / "log").read_text()) == (0, "out\nerr\n")


@MISSING
def test_a_missing_program_is_not_started(mode: int | None, tmp_path: Path) -> None:
    """What can't be run is named where it is to be started, too."""
    program = tmp_path / "dockerd"
    if mode:
        program.touch(mode)
    with pytest.raises(ToolMissing, match=rf"^Tried to start `{program}`: .*\. Run `meshproof doctor`\.$"):
        start([program], log=tmp_path / "log")
