"""An end without a word counts only between controls: one of a server that goes down, or is not up yet, does not."""

from __future__ import annotations

import pytest

from meshproof.pytest_plugin.controls import between, held
from meshproof.tls import Outcome

UP, RESET = Outcome.ESTABLISHED, Outcome.RESET


@pytest.mark.parametrize(
    ("outcomes", "counts"),
    [
        pytest.param([UP, RESET, UP], True, id="a refusal"),
        pytest.param([UP, RESET, RESET], False, id="it goes down"),
        pytest.param([RESET, RESET, UP], False, id="it comes up"),
        pytest.param([RESET, RESET, RESET], False, id="it is down"),
        pytest.param([UP, UP, UP], False, id="no refusal"),
    ],
)
def test_a_refusal_is_one_between_controls(outcomes: list[Outcome], *, counts: bool) -> None:
    """The control is asked right before and right after, and has to be let in both times."""
    remaining = iter(outcomes)
    assert (between(lambda: next(remaining), lambda: next(remaining)) == held(UP, RESET)) is counts
    assert list(remaining) == []
