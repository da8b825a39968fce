"""The fixture `eventually`: what a test of the mesh waits for, and what it says when that does not come."""

from __future__ import annotations

import pytest

from meshproof.pytest_plugin.scenarios import Eventually
from meshproof.settings import Timeouts
from meshproof.tls import WORDLESS, Outcome

FEW_SECONDS = Timeouts(behaviour=0.05)


def test_any_expected_value_will_do(eventually: Eventually) -> None:
    """Of several values each is as good as the others; what was observed is returned, not the aspect of it."""
    answers = [(Outcome.RESET, number) for number in (1, 2, 3, 4)]
    assert eventually(answers.pop, lambda seen: seen[0], *WORDLESS) == (Outcome.RESET, 2)


def test_the_expected_values_are_told(eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names each expected value, before what was seen."""
    monkeypatch.setattr("meshproof.pytest_plugin.scenarios.TIMEOUTS", FEW_SECONDS)
    with pytest.raises(
        pytest.fail.Exception, match=r"^The answer was to be CLOSED_WITHOUT_ALERT or RESET and was not .* only off"
    ):
        eventually(lambda: "off", str, *WORDLESS)
