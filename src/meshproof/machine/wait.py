"""The one waiting primitive; nothing else in the project sleeps."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from meshproof.errors import NotSettled

Observed = TypeVar("Observed")


def until(
    observe: Callable[[], Observed],
    expected: object,
    satisfies: Callable[[Observed], bool] | None = None,
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
        expected: The expected value; with ``satisfies`` the words for it, as they follow "was to be".
        satisfies: Whether a value is as expected; by default, whether it is equal.
        what: What is waited for, as the subject of the error's sentence.
        timeout: Seconds until the waiting ends; a streak that has begun by then may still end.
        interval: Seconds between two observations.
        streak: How often in a row the value must be as expected.
        hint: Asked only on failure: what more is known, or where to look.

    Returns:
        The last observation.

    Raises:
        NotSettled: Says what was expected, how often it was observed, what was seen, and what last.
    """
    values: Counter[str] = Counter()
    in_a_row = 0
    end = time.monotonic() + timeout
    while True:
        last = observe()
        values[str(last)] += 1
        in_a_row = in_a_row + 1 if (satisfies(last) if satisfies else last == expected) else 0
        if in_a_row >= streak:
            return last
        if not in_a_row and time.monotonic() >= end:
            break
        time.sleep(interval)  # noqa: TID251 - here it is
    tries = f"{values.total()} {'try' if values.total() == 1 else 'tries'}"
    tally = ", ".join(f"{value} ×{count}" for value, count in values.most_common(5))
    raise NotSettled(
        f"{what} was to be {expected} and was not within {timeout:.3g} s "
        f"({tries}{f', {streak} in a row needed' if streak > 1 else ''}): "
        f"{f'last {last}; seen {tally}' if len(values) > 1 else f'seen only {last}'}. {hint()}".strip()
    )


class Patience:
    """Waits as ``until`` does, but not for ever: what has been waited for in vain is taken off the waits to come.

    Where one thing is broken, much that needs it never comes: the first wait has all its time, and the last ones are
    short.

    Attributes:
        left: Seconds that are left to be waited in vain.
    """

    def __init__(self, seconds: float) -> None:
        self._all = self.left = seconds

    def until(
        self,
        observe: Callable[[], Observed],
        expected: object,
        satisfies: Callable[[Observed], bool] | None = None,
        *,
        what: str,
        timeout: float,
        least: float,
        interval: float = 0.1,
        streak: int = 1,
    ) -> Observed:
        """Observe until it is as expected; see ``until``.

        Args:
            observe: As there.
            expected: As there.
            satisfies: As there.
            what: As there.
            timeout: Seconds until the waiting ends, as long as so many are left.
            least: Seconds that this wait has even if none are left.
            interval: As there.
            streak: As there.

        Raises:
            NotSettled: As there; also says that the wait was short.
        """
        given = min(timeout, max(self.left, least))
        in_vain = self._all - self.left
        hint = f"It had {given:.3g} s and not {timeout:g} s, for {in_vain:.0f} s had been waited in vain before."
        began = time.monotonic()
        try:
            return until(
                observe, expected, satisfies, what=what, timeout=given, interval=interval, streak=streak,
                hint=lambda: hint if given < timeout and in_vain else "",
            )  # fmt: skip
        except NotSettled:
            self.left -= time.monotonic() - began
            raise


@contextmanager
def repeating(look: Callable[[], None], *, every: float, name: str) -> Iterator[None]:
    """Look again and again, in another thread, for as long as the context lasts, and once more at its end.

    Args:
        look: Looks once; what it raises ends the looks, and is raised at the end of the context.
        every: Seconds between two looks.
        name: What the thread is called.
    """
    ended = threading.Event()

    def look_once() -> bool:
        over = ended.is_set()
        look()
        return over

    with ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
        looks = pool.submit(until, look_once, expected=True, what=name, timeout=math.inf, interval=every)
        try:
            yield
        finally:
            ended.set()
        looks.result()


async def pause(seconds: float) -> None:
    """Let so many seconds pass between two tries, while other tasks go on; the caller observes and counts them."""
    await asyncio.sleep(seconds)
