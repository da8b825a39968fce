"""What tables, pages and files write in the same words; text of strangers among it."""

from __future__ import annotations

from collections.abc import Sequence

from meshproof.tls.scanner.findings import SuiteOrder

_MOST = 12  # as many things that are unknown fit beside those that are known


def preference(order: SuiteOrder) -> str:
    """Return the suites, best first; those of equal preference are in brackets, as in Envoy's settings."""
    if not order.ordered and order.suites[1:]:
        return f"{', '.join(map(str, order.suites))} (in an order that is not known)"
    return ", ".join(f"[{' | '.join(map(str, alike))}]" if alike[1:] else str(alike[0]) for alike in order.preference)


def fallback_scsv(noticed: bool | None) -> str:  # noqa: FBT001 - the value itself
    """Return what a server does with TLS_FALLBACK_SCSV (RFC 7507); None is unknown."""
    return {True: "honoured", False: "ignored", None: "unknown"}[noticed]


def first_of(gaps: Sequence[str]) -> tuple[str, ...]:
    """Return the first of the phrases that say what is unknown, and how many more there are."""
    return (*gaps[:_MOST], f"and {len(gaps) - _MOST} more") if len(gaps) > _MOST else tuple(gaps)


def plain(text: str) -> str:
    """Return text of a stranger without what would move the cursor, colour the terminal or turn the line around."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
