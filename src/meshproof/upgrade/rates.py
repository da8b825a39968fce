"""How often requests are sent: as often as gaps are to be known by, or less often where the machine can't bear that.

Traffic that takes all processors measures itself: proxies wait for the sender, it waits for them, and the work of the
upgrade waits for both. So all of it is sent for some seconds before the first state. Where the processors have too
little time to spare beside it, it is sent less often, from the first state to the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

NEEDED = 0.5
"""The share of the processors' time that the traffic has to leave: new proxies, istioctl and the rows need it.

On two processors of a slow evening, with 0.25 left, some probes had no refusal for 1.5 s, where 1 s is allowed, and
with 0.45 left a control had no answer for 0.98 s. At the lowest rates nothing was longer than 0.7 s, once
Deployments were restarted two at a time.
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often requests are sent, each a second.

    Attributes:
        kept: Of a flow on kept connections, and the lines of a stream.
        new: Of a flow on new connections.
        tries: Of a fail-open probe.
        connections: How many a flow on kept ones has. With two, some answers that take 0.2 s keep all that is due then
            waiting for seconds; and a proxy that ends says so with an answer, so each has to have one now and then.
    """

    kept: float
    new: float
    tries: float
    connections: int


USUAL = Rates(kept=50.0, new=10.0, tries=15.0, connections=8)
"""A gap is known to 20 ms on kept connections and to 100 ms on new ones, and refusals are 67 ms apart."""
_FEWER = Rates(kept=25.0, new=10.0, tries=10.0, connections=4)
_FEWEST = Rates(kept=12.5, new=5.0, tries=7.5, connections=4)
SHORTEST_GAP_MS = 2 * 1000 / _FEWEST.new
"""What is shorter than the time between two requests and the next one is no gap that can be told."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, and what that leaves of the processors' time.

    Attributes:
        rates: How often requests are sent.
        spare: The share of the processors' time that was left beside that, from 0 to 1, when it was tried.
        spare_at_usual: The share that the usual rates left.
    """

    rates: Rates
    spare: float
    spare_at_usual: float

    @property
    def fewer_than_usual(self) -> str:
        """A sentence on rates that are lower than the usual ones, and why; empty where they are not."""
        rates = self.rates
        if rates == USUAL:
            return ""
        kinds = (
            (rates.kept, USUAL.kept, "requests of each flow on kept connections"),
            (rates.new, USUAL.new, "of each on new ones"),
            (rates.tries, USUAL.tries, "tries of each fail-open probe"),
        )
        parts = ", ".join(
            f"{number:g} {kind} ({'as usual' if number == usual else f'usually {usual:g}'})"
            for number, usual, kind in kinds
        )
        at_usual, at_these, needed = map(_percent, (self.spare_at_usual, self.spare, NEEDED))
        little = ", so what is slow may be the machine's fault" if self.spare < NEEDED else ""
        return (
            f"Fewer requests than usual are sent each second: {parts}. Beside the usual ones the processors had "
            f"{at_usual} of their time to spare, and {at_these} beside these, where {needed} is asked for{little}. "
            f"What is over within {1000 / rates.kept:.0f} ms on kept connections, {1000 / rates.new:.0f} ms on new "
            f"ones or {1000 / rates.tries:.0f} ms at a probe may not be seen; all limits are as usual."
        )


def bearable(spare_at: Callable[[Rates], float]) -> Load:
    """Return the highest rates that leave the processors enough time, or else the lowest ones.

    Args:
        spare_at: Sends at some rates, and returns the share of the processors' time that is left.
    """
    at_usual = spare = spare_at(USUAL)
    rates = USUAL
    for lower in (_FEWER, _FEWEST):
        if spare >= NEEDED:
            break
        rates, spare = lower, spare_at(lower)
    return Load(rates, spare, at_usual)


def _percent(share: float) -> str:
    """Return a share in percent, rounded down: what is not enough does not look so."""
    return f"{int(100 * share)}%"
