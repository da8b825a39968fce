"""Programs to run, to watch and to kill."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from meshproof.errors import NotSettled
from meshproof.machine import process
from meshproof.machine.wait import until

PATIENCE = 20.0  # seconds; never used up
_MOMENT = 1.0  # seconds that a process which was told to end may take


def shell(script: str, *arguments: str | Path) -> list[str | Path]:
    """Return the command that runs a script; ``$1`` is its first argument."""
    return ["sh", "-c", script, "sh", *arguments]


@contextmanager
def python(log: Path, *arguments: str | Path) -> Iterator[psutil.Process]:
    """Run Python beside us, its output in a file; it is killed if it is still there in the end."""
    program = process.start([sys.executable, *arguments], log=log)
    try:
        yield program
    finally:
        with suppress(psutil.NoSuchProcess):
            program.kill()
        program.wait()


def line_of(file: Path, number: int = 1) -> str:
    """Return a line of a file, the first by default, as soon as a program has written it."""
    text = until(
        lambda: file.read_text() if file.exists() else "",
        f"{number} lines or more",
        lambda text: text.count("\n") >= number,
        what=f"What is written to {file}",
        timeout=PATIENCE,
        interval=0.01,
    )
    return text.splitlines()[number - 1]


def port_in(log: Path) -> int:
    """Return the port that ``openssl s_server`` has chosen; 0 while it has not."""
    found = re.search(r"^ACCEPT 127\.0\.0\.1:(\d+)\n", log.read_text() if log.exists() else "", re.MULTILINE)
    return int(found[1]) if found else 0


def outlives(pid: int) -> bool:
    """Tell whether a process is still there, a moment later; if it is, end it now."""
    try:
        until(lambda: _ended(pid), "gone", bool, what=f"Process {pid}", timeout=_MOMENT, interval=0.01)
    except NotSettled:
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # whose parent has only to take notice
    except psutil.NoSuchProcess:
        return True
