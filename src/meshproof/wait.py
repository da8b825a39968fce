"""The one waiting primitive; nothing else in the project sleeps."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from meshproof.errors import NotSettled

Observed = TypeVar("Observed")


def until(
    observe: Callable[[], Observed],
    satisfies: Callable[[Observed], bool],
    *,
    what: str,
    timeout: float,
    interval: float = 0.1,
    streak: int = 1,
    hint: Callable[[], str] = lambda: "",
) -> Observed:
    """Observe again and again until the observation is as expected, ``streak`` times in a row.

    Args:
        observe: Returns a value; what it raises is not caught.
        satisfies: Whether the value is the expected one.
        what: What is waited for, as the subject of the error's sentence.
        timeout: Seconds until the waiting ends.
        interval: Seconds between two observations.
        streak: How often in a row the value must satisfy.
        hint: Asked only on failure: what more is known, or where to look.

    Returns:
        The last observation.

    Raises:
        NotSettled: Says how often it was observed, what was seen, and what last.
    """
    from tenacity import (  # noqa: PLC0415 - a scan only pauses, and begins sooner without it
        RetryError,
        Retrying,
        retry_if_result,
        stop_after_delay,
        wait_fixed,
    )

    seen: Counter[str] = Counter()
    in_a_row = 0
    last: Observed

    def once() -> bool:
        nonlocal in_a_row, last
        last = observe()
        seen[str(last)] += 1
        in_a_row = in_a_row + 1 if satisfies(last) else 0
        return in_a_row >= streak

    settled = Retrying(
        stop=stop_after_delay(timeout), wait=wait_fixed(interval), retry=retry_if_result(lambda done: not done)
    )
    try:
        settled(once)
    except RetryError:
        tally = ", ".join(f"{value} ×{count}" for value, count in seen.most_common(5))
        raise NotSettled(
            f"{what} did not settle within {timeout:g} s ({seen.total()} tries, {streak} in a row needed): "
            f"last {last}; seen {tally}. {hint()}".strip()
        ) from None
    return last


async def pause(seconds: float) -> None:
    """Let so many seconds pass between two tries, while other tasks go on; the caller observes and counts them."""
    await asyncio.sleep(seconds)
