"""Waiting: until it is as expected, often enough in a row, and with a full account where it never is."""

from __future__ import annotations

import re
from itertools import cycle

import pytest

from meshproof.errors import NotSettled
from meshproof.machine.wait import Patience, until

SOON = 0.05  # seconds
EVENTUALLY = 10.0  # seconds; never used up
WHAT = "The lamp"


class Lamp:
    """Shows a series of values, one at each look, and begins again at its end."""

    def __init__(self, *values: str) -> None:
        self._values = cycle(values)
        self.looks = 0

    def look(self) -> str:
        """Return the next value."""
        self.looks += 1
        return next(self._values)


def on(seen: str) -> bool:
    """Tell whether a lamp is on."""
    return seen.startswith("on")


def test_the_last_observation_is_returned() -> None:
    """Who waits gets what satisfied in the end, not merely that something did."""
    assert until(Lamp("off", "off", "on, dim").look, "on", on, what=WHAT, timeout=EVENTUALLY, interval=0) == "on, dim"


@pytest.mark.parametrize(
    ("values", "streak", "looks"),
    [
        pytest.param(["on"], 1, 1, id="once: the first look will do"),
        pytest.param(["off", "on"], 1, 2, id="once: the first that satisfies"),
        pytest.param(["on"], 3, 3, id="three in a row from the start"),
        pytest.param(["on", "on", "off", "on", "on", "on"], 3, 6, id="a broken streak starts again"),
        pytest.param(["on", "off", "on", "on"], 2, 4, id="one alone is no streak"),
    ],
)
def test_a_streak_is_unbroken(values: list[str], streak: int, looks: int) -> None:
    """It is looked until the value satisfied so often in a row, and no further."""
    lamp = Lamp(*values)
    until(lamp.look, "on", on, what=WHAT, timeout=EVENTUALLY, interval=0, streak=streak)
    assert lamp.looks == looks


def test_a_failure_gives_a_full_account() -> None:
    """The error names what, for how long, how often, what was seen last and in all, and where to look."""
    lamp = Lamp("on", "off")
    with pytest.raises(NotSettled) as failure:
        until(lamp.look, "on", on, what=WHAT, timeout=SOON, interval=0, streak=2, hint=lambda: "Look at the bulb.")
    account = re.fullmatch(
        r"The lamp was to be on and was not within 0\.05 s \((\d+) tries, 2 in a row needed\): "
        r"last (?:on|off); seen on \S(\d+), off \S(\d+)\. Look at the bulb\.",
        str(failure.value),
    )
    assert account, failure.value
    tries, bright, dark = map(int, account.groups())
    assert lamp.looks == tries == bright + dark


def test_an_expected_value_needs_no_test_of_its_own() -> None:
    """What is expected is a value, told as it is; words with a test are for what is more than one value."""
    assert until([1, 2, 3].pop, 2, what=WHAT, timeout=EVENTUALLY, interval=0) == 2
    with pytest.raises(NotSettled, match=r"^The lamp was to be 200 and was not .*: seen only off\.$"):
        until(Lamp("off").look, 200, what=WHAT, timeout=SOON, interval=0)


def test_the_tally_is_short() -> None:
    """Of many different values the error names five."""
    with pytest.raises(NotSettled, match=r"seen (\S+ \S1, ){4}\S+ \S1\.$"):
        until(Lamp(*map(str, range(1_000_000))).look, "on", on, what=WHAT, timeout=SOON, interval=0)


def test_there_is_always_one_look() -> None:
    """Even without any time the value is looked at once."""
    with pytest.raises(NotSettled, match=r"^The lamp was to be on and was not within 0 s \(1 try\): seen only off\.$"):
        until(Lamp("off").look, "on", on, what=WHAT, timeout=0)


def test_a_hint_is_for_failures() -> None:
    """What more is known costs a request or two: nobody asks for it while all is well."""
    asked: list[str] = []

    def hint() -> str:
        asked.append("why")
        return ""

    until(Lamp("off", "on").look, "on", on, what=WHAT, timeout=EVENTUALLY, interval=0, hint=hint)
    assert asked == []
    with pytest.raises(NotSettled):
        until(Lamp("off").look, "on", on, what=WHAT, timeout=0, hint=hint)
    assert asked == ["why"]


@pytest.mark.parametrize("raised", [LookupError, KeyboardInterrupt], ids=lambda raised: raised.__name__)
def test_what_an_observation_raises_is_not_caught(raised: type[BaseException]) -> None:
    """An error is no observation: it ends the waiting at once, as itself."""
    looks: list[str] = []

    def broken() -> str:
        looks.append("once")
        raise raised("the lamp fell down")

    with pytest.raises(raised, match="the lamp fell down"):
        until(broken, "on", what=WHAT, timeout=EVENTUALLY)
    assert looks == ["once"]


def test_a_streak_may_end_after_the_deadline() -> None:
    """What is as expected when the time is up is looked at as often as is needed: it is not late, only slow."""
    assert until(Lamp("on").look, "on", on, what=WHAT, timeout=0, interval=0, streak=3) == "on"
    with pytest.raises(NotSettled, match=r"\(2 tries, 3 in a row needed\)"):
        until(Lamp("on", "off").look, "on", on, what=WHAT, timeout=0, interval=0, streak=3)


def test_patience_ends() -> None:
    """A run waits so long in vain, all together; then each wait has its least, and the error says why."""
    patience = Patience(SOON)
    with pytest.raises(
        NotSettled, match=r"^The lamp was to be on and was not within 0\.05 s \([0-9]+ tries\): seen only off\.$"
    ):
        patience.until(Lamp("off").look, "on", on, what=WHAT, timeout=EVENTUALLY, least=0, interval=0)
    assert patience.left <= 0
    with pytest.raises(
        NotSettled, match=r"within 0\.01 s .* It had 0\.01 s and not 10 s, for 0 s had been waited in vain before\.$"
    ):
        patience.until(Lamp("off").look, "on", on, what=WHAT, timeout=EVENTUALLY, least=0.01, interval=0)


def test_patience_is_not_used_up_by_what_comes() -> None:
    """Only what never comes is taken off: a slow machine that keeps its promises waits as long as it has to."""
    patience = Patience(SOON)
    for _ in range(3):
        assert (
            patience.until(Lamp("off", "on").look, "on", on, what=WHAT, timeout=EVENTUALLY, least=0, interval=0.01)
            == "on"
        )
    assert patience.left == SOON


def test_a_wait_has_no_more_than_its_own_time() -> None:
    """Patience makes no wait longer, and no error of one that had all its time speaks of it."""
    patience = Patience(EVENTUALLY)
    with pytest.raises(NotSettled, match=r"within 0\.05 s .*seen only off\.$") as failure:
        patience.until(Lamp("off").look, "on", on, what=WHAT, timeout=SOON, least=0, interval=0)
    assert "It had" not in str(failure.value)
    assert EVENTUALLY - 1 < patience.left < EVENTUALLY
