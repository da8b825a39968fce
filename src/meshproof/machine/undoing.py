"""What was begun is undone, whatever ends it, and what goes wrong meanwhile never hides why it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from meshproof.errors import MeshproofError
from meshproof.machine import interrupts
from meshproof.machine.console import complain


@contextmanager
def afterwards(undo: Callable[[], None]) -> Iterator[None]:
    """Undo something at the end of the context; nobody interrupts that.

    Where an error ends the context, that error goes on, and one of the undoing is only said.

    Raises:
        MeshproofError: Nothing went wrong but the undoing.
    """
    try:
        yield
    except BaseException:
        try:
            with interrupts.held_back():
                undo()
        except MeshproofError as second:
            with suppress(MeshproofError):  # standard error may be closed or full
                complain(str(second))
        raise
    with interrupts.held_back():
        undo()
