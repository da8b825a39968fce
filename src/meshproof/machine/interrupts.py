"""Ctrl-C, SIGTERM and a closed terminal end a run in the same orderly way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Task  # takes longer than some commands may

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_keyboard_interrupt() -> None:
    """Make the first of the signals raise KeyboardInterrupt, so that what was begun is undone; others do nothing.

    One that is ignored stays so: under ``nohup`` a run outlives its terminal.
    """
    for number in _heeded():
        signal.signal(number, _interrupt)


def _heeded() -> list[signal.Signals]:
    """Return the signals that are not ignored."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def held_back() -> Iterator[None]:
    """Let nobody interrupt what undoes things: a signal that comes meanwhile counts at the end of the block.

    Where the run was interrupted before, it is an impatient second Ctrl-C, and without effect. Not by ignoring the
    signals: a program that we run would inherit that.

    Raises:
        KeyboardInterrupt: One came, and the block is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])  # to whom it would have come: an outer block, or the run


@contextmanager
def cancelling(task: Task[Any]) -> Iterator[None]:
    """Let the first of the signals cancel a task instead, and a second one end the process at once.

    KeyboardInterrupt would come out of any callback of the event loop, and asyncio stands aside where SIGINT has a
    handler. In another thread than the main one signals are as they were.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = task.get_loop()
    before = {number: signal.getsignal(number) for number in _heeded()}
    cancelled = False

    def cancel() -> None:
        nonlocal cancelled
        cancelled = True
        for number in before:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        loop.set_exception_handler(lambda *_: None)  # of what is cancelled with it nobody asks for the result
        task.cancel()

    for number in _heeded():
        loop.add_signal_handler(number, cancel)
    try:
        yield
    finally:
        for number, handler in before.items() if not cancelled else ():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _interrupt(received: int, frame: FrameType | None) -> None:
    for number in _heeded():
        signal.signal(number, _do_nothing)
    signal.default_int_handler(received, frame)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    return
