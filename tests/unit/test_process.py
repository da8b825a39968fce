"""Other programs: what they print, how they fail, and that none of them stays behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meshproof.errors import CommandFailed, ToolMissing
from meshproof.process import end_all, run, start
from tests.unit.programs import PATIENCE, line_of, outlives, python, shell

SOON = 0.3  # seconds; for programs that don't end
IMPATIENT = 2.0  # seconds; for one that would wait for input
BOTH_STREAMS = "echo out; echo err >&2"
OnLine = Callable[[str], None]

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


@pytest.mark.parametrize("mode", [None, 0o600], ids=["not there", "not executable"])
def test_a_missing_program_is_named(mode: int | None, tmp_path: Path) -> None:
    """What can't be run is not installed, by its name, with where to look."""
    program = tmp_path / "istioctl"
    if mode:
        program.touch(mode)
    with pytest.raises(ToolMissing, match=rf"^Tried to run `{program}`: .*\. Run `meshproof doctor`\.$"):
        run([program], timeout=PATIENCE)


@HOW
@pytest.mark.parametrize(
    "script",
    [
        pytest.param("sleep 5 & echo $! >$1; wait", id="its parent waits"),
        pytest.param("sleep 5 & echo $! >$1", id="its parent has ended"),
        pytest.param("(trap '' TERM; sleep 5; :) & echo $! >$1; wait", id="it ignores SIGTERM"),
    ],
)
def test_a_timeout_ends_the_grandchildren(script: str, on_line: OnLine | None, tmp_path: Path) -> None:
    """A program that takes too long fails, says so, and takes along whatever it started."""
    with pytest.raises(CommandFailed, match=r"no end within 0\.3 s"):
        run(shell(script, tmp_path / "pid"), timeout=SOON, on_line=on_line)
    assert not outlives(int(line_of(tmp_path / "pid")))


def test_an_end_in_order_leaves_nothing_behind(tmp_path: Path) -> None:
    """What a program left running in the background ends with it."""
    run(shell("sleep 5 >/dev/null 2>&1 & echo $! >$1", tmp_path / "pid"), timeout=PATIENCE)
    assert not outlives(int(line_of(tmp_path / "pid")))


@HOW
def test_all_programs_can_be_ended(on_line: OnLine | None, tmp_path: Path) -> None:
    """Another thread ends what this one waits for."""
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(
            run, shell("echo $$ >$1; exec sleep 5", tmp_path / "pid"), timeout=PATIENCE, on_line=on_line
        )
        line_of(tmp_path / "pid")
        end_all()
    with pytest.raises(CommandFailed) as failure:
        waiting.result()
    assert failure.value.returncode == -signal.SIGTERM


INTERRUPTED = """
import sys
from meshproof.process import run
run(["sh", "-c", "sleep 5 & echo $! >$0; wait", sys.argv[1]], timeout=20, on_line=print if sys.argv[2:] else None)
"""


@pytest.mark.parametrize("listening", [[], ["on_line"]], ids=["all at once", "line by line"])
def test_an_interrupt_leaves_nothing_behind(listening: list[str], tmp_path: Path) -> None:
    """Ctrl-C ends what we run, before it ends us."""
    with python(tmp_path / "log", "-c", INTERRUPTED, tmp_path / "pid", *listening) as program:
        grandchild = int(line_of(tmp_path / "pid"))
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE) == -signal.SIGINT
    assert not outlives(grandchild)


def test_a_started_program_has_a_log(tmp_path: Path) -> None:
    """A program that is to outlive us writes into a file, both streams, and reads nothing."""
    started = start(shell(f"cat; {BOTH_STREAMS}"), log=tmp_path / "log")
    assert (started.wait(PATIENCE), (tmp_path / "log").read_text()) == (0, "out\nerr\n")


def test_a_missing_program_is_not_started(tmp_path: Path) -> None:
    """What is not installed is named where it is to be started, too."""
    with pytest.raises(ToolMissing, match=r"^Tried to start `no-such-program`: it is not installed"):
        start(["no-such-program"], log=tmp_path / "log")
