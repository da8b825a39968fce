"""A refusal without a word is held between controls: a server that goes down ends connections in the same way."""

from __future__ import annotations

from collections.abc import Callable


def between(control: Callable[[], object], observe: Callable[[], object]) -> str:
    """Observe once, with a control before and after it.

    Args:
        control: The same with one thing changed, which is let in.
        observe: What may end without a word.

    Returns:
        What the three came to, as ``held`` has it.
    """
    before, seen, after = control(), observe(), control()
    return f"{seen} (its controls: {before}, {after})"


def held(control: object, expected: object) -> str:
    """Return what ``between`` gives where both controls and the observation came to what they should."""
    return f"{expected} (its controls: {control}, {control})"
