"""What a person sees while something long goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import TaskID

console = Console(stderr=True, highlight=False, soft_wrap=True)

BEGUN: list[tuple[str, float]] = []
"""The stages of this run so far, each with the time of `time.monotonic` when it began."""


def duration(seconds: float) -> str:
    """Return a length of time as a person says it."""
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"  # noqa: PLR2004


def complain(sentence: str) -> None:
    """Print on standard error why the command ends without having done what was asked."""
    console.print(f"[red]meshproof:[/] {escape(sentence)}")


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Print that something begins and, when it is done, how long it took."""
    began = time.monotonic()
    BEGUN.append((what, began))
    with console.status(f"{what} …"):
        yield
    console.print(f"[green]✓[/] {what} [dim]({duration(time.monotonic() - began)})[/]")


class BuildProgress:
    """Shows how a build goes on: what is under way, since when, and how long it is expected to take.

    On a terminal the lines are live; in a log there is one when a step begins and one when it ends.
    """

    def __init__(self, steps: int) -> None:
        """Expect so many steps."""
        from rich.progress import (  # noqa: PLC0415 - only a build needs it, and a command that builds nothing is quick
            Progress,
            SpinnerColumn,
            TimeElapsedColumn,
        )

        self._steps = steps
        self._done = 0
        columns = (SpinnerColumn(), "{task.description}", TimeElapsedColumn(), "{task.fields[expected]}")
        self._live = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave only the finished lines."""
        self._live.stop()

    def began(self, name: str, expected: float) -> None:
        """Print that a step has begun; it is expected to take so many seconds."""
        about = f"of about {duration(expected)}"
        self._tasks[name] = self._live.add_task(f"building {name}", total=None, expected=about)
        if not console.is_terminal:
            console.print(f"… building {name} (about {duration(expected)})")

    def waiting(self) -> None:
        """Print that another run builds, and is waited for."""
        console.print("… another run is building images; waiting for it")

    def ended(self, name: str, seconds: float) -> None:
        """Print that a step is done, after so many seconds, and how many are not."""
        self._done += 1
        self._live.remove_task(self._tasks.pop(name))
        left = max(0, self._steps - self._done)
        console.print(f"[green]✓[/] built {name} [dim]({duration(seconds)}; {left} of {self._steps} left)[/]")
