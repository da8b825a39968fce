"""Interrupts: they end a run in order, and never what puts things in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from meshproof.errors import CommandFailed
from meshproof.machine.interrupts import cancelling, held_back
from meshproof.machine.process import run
from tests.support.programs import PATIENCE, shell

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)

RUN_AND_UNDO = """
import signal, sys
from meshproof.machine import interrupts

interrupts.raise_keyboard_interrupt()
try:
    signal.raise_signal(int(sys.argv[1]))
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted")
finally:
    with interrupts.held_back():
        signal.raise_signal(int(sys.argv[1]))
        print("undone")
signal.raise_signal(int(sys.argv[1]))
print("went on")
"""
UNDO_AND_BE_INTERRUPTED = """
import signal, sys
from meshproof.machine import interrupts

interrupts.raise_keyboard_interrupt()
try:
    with interrupts.held_back():
        with interrupts.held_back():
            signal.raise_signal(int(sys.argv[1]))
            print("inner")
        print("outer")
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
"""


NOT_INTERRUPTED = """
import signal, sys
from meshproof.machine import interrupts

signal.signal(int(sys.argv[1]), signal.SIG_IGN)
interrupts.raise_keyboard_interrupt()
signal.raise_signal(int(sys.argv[1]))
with interrupts.held_back():
    signal.raise_signal(int(sys.argv[1]))
print("went on")
"""


@SIGNALS
def test_what_is_ignored_stays_so(number: signal.Signals) -> None:
    """A run under `nohup` outlives its terminal."""
    out = run([sys.executable, "-c", NOT_INTERRUPTED, str(number.value)], timeout=PATIENCE)
    assert out.splitlines() == ["went on"]


@SIGNALS
def test_a_signal_is_not_lost(number: signal.Signals) -> None:
    """One that comes while something is undone, and is the first, interrupts the run when that is done."""
    out = run([sys.executable, "-c", UNDO_AND_BE_INTERRUPTED, str(number.value)], timeout=PATIENCE)
    assert out.splitlines() == ["inner", "outer", "interrupted"]


@SIGNALS
def test_a_run_is_interrupted_and_undone(number: signal.Signals) -> None:
    """A signal interrupts the run, and no other one interrupts what undoes it or comes after it."""
    script = '"$@" 2>&1; echo "status $?"'
    out = run(shell(script, sys.executable, "-c", RUN_AND_UNDO, str(number.value)), timeout=PATIENCE)
    assert out.splitlines() == ["interrupted", "undone", "went on", "status 0"]


@SIGNALS
def test_a_program_can_be_ended_while_we_can_not(number: signal.Signals) -> None:
    """What we run while interrupts are held back does not inherit that: it ends by a signal as programs do."""
    with held_back(), pytest.raises(CommandFailed) as failure:
        run(shell(f"kill -{number.value} $$; echo survived"), timeout=PATIENCE)
    assert failure.value.returncode == -number


@SIGNALS
def test_afterwards_all_is_as_before(number: signal.Signals) -> None:
    """Interrupts are held back for the length of the block, also one that fails."""
    before = signal.getsignal(number)
    with pytest.raises(CommandFailed), held_back():
        run(["false"], timeout=PATIENCE)
    assert signal.getsignal(number) == before


CANCEL = """
import asyncio, os, signal, sys
from meshproof.machine import interrupts

async def main():
    with interrupts.cancelling(asyncio.current_task()):
        await asyncio.sleep(0)
    try:
        with interrupts.cancelling(asyncio.current_task()):
            os.kill(os.getpid(), int(sys.argv[1]))
            await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
    os.kill(os.getpid(), int(sys.argv[1]))
    print("went on")

interrupts.raise_keyboard_interrupt()
asyncio.run(main())
"""


@SIGNALS
def test_a_task_is_cancelled_and_a_second_signal_ends_the_process(number: signal.Signals) -> None:
    """The first signal is told to the task alone; the second does what it does to any process."""
    with pytest.raises(CommandFailed) as error:
        run([sys.executable, "-c", CANCEL, str(number.value)], timeout=PATIENCE)
    assert (error.value.returncode, error.value.last) == (-number, "cancelled")


def test_signals_are_as_before_when_nothing_was_cancelled() -> None:
    """A block that no signal comes into leaves none of its handlers behind."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    async def nothing() -> None:
        task = asyncio.current_task()
        assert task
        with cancelling(task):
            assert signal.getsignal(signal.SIGHUP) not in before

    asyncio.run(nothing())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_thread_has_nothing_to_hold_back() -> None:
    """Signals are for the main thread: in another one the block is a block like any other."""

    def inside() -> str:
        with held_back():
            return "ran"

    with ThreadPoolExecutor(max_workers=1) as pool:
        assert pool.submit(inside).result() == "ran"
