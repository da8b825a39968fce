"""The end of other programs: in time or not, in order or interrupted, none of them leaves anything behind."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meshproof.errors import CommandFailed
from meshproof.machine.process import beside, end_all, run
from tests.support.programs import PATIENCE, line_of, outlives, python, shell

SOON = 0.3  # seconds; for programs that don't end
OnLine = Callable[[str], None]

HOW = pytest.mark.parametrize("on_line", [None, lambda _: None], ids=["all at once", "line by line"])


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


def test_a_program_beside_a_block_ends_with_it(tmp_path: Path) -> None:
    """The end of a block ends its own program, with what that started, and no other."""
    script = "sleep 5 & echo $! >$1; wait"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(run, shell(script, tmp_path / "other"), timeout=PATIENCE)
        other = int(line_of(tmp_path / "other"))
        with beside(shell(script, tmp_path / "pid"), timeout=PATIENCE) as output:
            grandchild = int(line_of(tmp_path / "pid"))
        assert isinstance(output.exception(), CommandFailed)
        assert not outlives(grandchild)
        assert not waiting.done()
        assert outlives(other)
        end_all()


def test_a_program_beside_a_block_may_end_first() -> None:
    """What it printed is there as soon as it has ended."""
    with beside(["echo", "done"], timeout=PATIENCE) as output:
        assert output.result(PATIENCE) == "done\n"


# The pause gives us the time to be waiting when the interrupt comes: between the start and that nobody is safe.
INTERRUPTED = """
import sys
from meshproof.machine.process import run
command = ["sh", "-c", "sleep 5 & sleep 0.3; echo $! >$0; wait", sys.argv[1]]
run(command, timeout=20, on_line=print if sys.argv[2:] else None)
"""


@pytest.mark.parametrize("listening", [[], ["on_line"]], ids=["all at once", "line by line"])
def test_an_interrupt_leaves_nothing_behind(listening: list[str], tmp_path: Path) -> None:
    """Ctrl-C ends what we run, before it ends us."""
    with python(tmp_path / "log", "-c", INTERRUPTED, tmp_path / "pid", *listening) as program:
        grandchild = int(line_of(tmp_path / "pid"))
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE) == -signal.SIGINT
    assert not outlives(grandchild)


INTERRUPTED_TALKER = """
import sys
from meshproof.machine.process import run
command = ["sh", "-c", '''trap 'head -c 200000 /dev/zero | tr "\\\\\\\\0" x; echo; echo done >$1; exit' TERM
echo ready >$0; sleep 5 & wait''', *sys.argv[1:]]
run(command, timeout=20, grace=20, on_line=len)
"""


def test_what_is_interrupted_may_have_much_to_say(tmp_path: Path) -> None:
    """A program that is ended is read to its end: more than a pipe holds would keep it from putting things in order."""
    with python(tmp_path / "log", "-c", INTERRUPTED_TALKER, tmp_path / "ready", tmp_path / "done") as program:
        assert line_of(tmp_path / "ready") == "ready"
        program.send_signal(signal.SIGINT)
        assert line_of(tmp_path / "done") == "done"
        assert program.wait(PATIENCE) == -signal.SIGINT


def test_a_program_has_its_grace(tmp_path: Path) -> None:
    """One that is still there after it is killed."""
    script = "trap '' TERM; echo $$ >$1; while :; do sleep 0.1; done"
    with pytest.raises(CommandFailed, match=r"no end within"):
        run(shell(script, tmp_path / "pid"), timeout=SOON, grace=SOON)
    assert not outlives(int(line_of(tmp_path / "pid")))
