"""How often requests are sent: as often as the machine can bear beside an upgrade."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshproof.upgrade.rates import NEEDED, SHORTEST_GAP_MS, USUAL, Load, Rates, bearable
from meshproof.upgrade.summary import summary_of
from tests.support.upgrades import good


def machine(processors: float) -> tuple[list[Rates], Load]:
    """Return which rates are tried on a machine, and what comes of it.

    Args:
        processors: How many processors it has, if 50 requests a second on kept connections take one.
    """
    tried = []

    def spare_at(rates: Rates) -> float:
        tried.append(rates)
        return max(0.0, 1 - rates.kept / USUAL.kept / processors)

    return tried, bearable(spare_at)


def test_a_machine_that_is_fast_enough_gets_the_usual_rates() -> None:
    """Nothing else is tried there."""
    assert machine(4) == ([USUAL], Load(USUAL, 0.75, 0.75))


@pytest.mark.parametrize(("processors", "kept", "spare"), [(1.0, 25.0, 0.5), (0.5, 12.5, 0.5), (0.01, 12.5, 0.0)])
def test_one_that_is_not_gets_half_of_them_or_a_quarter(processors: float, kept: float, spare: float) -> None:
    """There is nothing below a quarter: the upgrade goes on with that, and it is known how much was left."""
    tried, load = machine(processors)
    assert (load.rates.kept, load.spare, load.spare_at_usual) == (kept, spare, 0.0)
    assert [rates.kept for rates in tried] == [50.0, 25.0, 12.5][: 1 + [50.0, 25.0, 12.5].index(kept)]


def test_what_is_needed_is_enough() -> None:
    """The limit is on the side of the usual rates."""
    assert bearable(lambda _: NEEDED).rates == USUAL
    assert bearable(lambda rates: NEEDED - 0.01 if rates == USUAL else 1.0).rates != USUAL


def test_the_lowest_rates_are_enough_to_see_a_hole() -> None:
    """A probe without a refusal for a second may have missed one: there are several tries in it, and of its control.

    And each kept connection has a request before a proxy that ends closes it, a second after it has said so.
    """
    _, load = machine(0.01)
    assert min(load.rates.tries, load.rates.new) >= 5
    assert load.rates.kept / load.rates.connections >= 3
    assert load.rates.new * SHORTEST_GAP_MS >= 2000


def test_fewer_requests_are_told_beside_the_verdict() -> None:
    """With the usual ones, and with why; where all were sent there is nothing to be told."""
    _, load = machine(1.25)
    sentences = load.fewer_than_usual
    assert sentences == (
        "Fewer requests than usual are sent each second: 25 requests of each flow on kept connections (usually 50), "
        "10 of each on new ones (as usual), 10 tries of each fail-open probe (usually 15). Beside the usual ones the "
        "processors had 19% of their time to spare, and 60% beside these, where 50% is asked for. What is over within "
        "40 ms on kept connections, 100 ms on new ones or 100 ms at a probe may not be seen; all limits are as usual."
    )
    assert summary_of(replace(good(), load=load)).machine.startswith(f"{sentences} The senders were late")
    for enough in (None, Load(USUAL, 0.5, 0.5)):
        assert summary_of(replace(good(), load=enough)).machine.startswith("The senders were late")
    _, slowest = machine(0.01)
    assert (
        "where 50% is asked for, so what is slow may be the machine's fault. What is over within 80 ms"
        in slowest.fewer_than_usual
    )
    assert "had 39% of" in replace(load, spare_at_usual=0.399).fewer_than_usual
