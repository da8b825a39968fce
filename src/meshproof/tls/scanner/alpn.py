"""The application protocols that a server accepts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from meshproof.tls.scanner import questions
from meshproof.tls.scanner.listing import Listing


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server made of a list of application protocols.

    Attributes:
        protocol: The one that it chose; None when it chose none.
        known: Whether it said so: it went on without any (RFC 7301 3.2 allows that), or refused.
    """

    protocol: str | None
    known: bool


ChooseProtocol = Callable[[Sequence[str]], Awaitable[Choice]]
"""Offers application protocols."""


async def protocols(choose: ChooseProtocol) -> Listing[str]:
    """List the application protocols that a server accepts of those that are asked for, its first choice first."""
    listing: Listing[str] = Listing(rest=list(questions.PROTOCOLS))
    while listing.rest:
        choice = await choose(listing.rest)
        if choice.protocol not in listing.rest:
            listing.complete = choice.known and choice.protocol is None
            break
        listing.items.append(choice.protocol)
        listing.rest.remove(choice.protocol)
    return listing
