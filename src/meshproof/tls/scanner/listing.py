"""Listing what a server accepts, with one connection more than the list has entries.

Offer all, take away what the server chose, and ask again until it refuses (N + 1 connections). The order of the choices
is the server's order of preference. A list is complete only when a refusal ended it. Its control is the same hello
with what was chosen last put back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from meshproof.tls.probe.answer import Answer
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.scanner.refusals import Control

Item = TypeVar("Item")


class Asker(Protocol):
    """Sends hellos to one target.

    Attributes:
        sni: The server name that is sent.
        slowed: Whether connections ended only because there were too many of them.
    """

    sni: str | None
    slowed: bool

    @property
    def answered(self) -> bool:
        """Whether the target has answered anything."""
        ...

    async def ask(self, profile: Profile, *, control: Profile | None = None) -> Answer:
        """Send a hello; see ``Prober.ask``."""
        ...

    async def ask_once(self, profile: Profile) -> Answer:
        """Send a hello once; see ``Prober.ask_once``."""
        ...

    async def judged(self, profile: Profile, answer: Answer, *, control: Control | None = None) -> Answer:
        """Find out what an end is worth; see ``Prober.judged``."""
        ...


@dataclass(slots=True)
class Listing(Generic[Item]):
    """What a server chose, in its order.

    Attributes:
        items: The choices, best first.
        complete: Whether a refusal ended the list.
        ends: The hellos that were refused, each with its control: they must be refused later as well.
        rest: What was offered at last, and not chosen.
    """

    items: list[Item] = field(default_factory=list)
    complete: bool = True
    ends: list[tuple[Profile, Profile]] = field(default_factory=list)
    rest: list[Item] = field(default_factory=list)


Choose = Callable[[Sequence[Item], Item | None], Awaitable[tuple[Item | None, Answer]]]
"""Offers some items; the other one is known to be accepted, and goes into the control."""

Ended = Callable[[Sequence[Item], Item | None], tuple[Profile, Profile]]
"""Returns the hello that offers some items, and its control."""


async def choices(
    choose: Choose[Item], ended: Ended[Item], offered: Sequence[Item], back: Item | None
) -> Listing[Item]:
    """List what the server chooses, one after the other, until it refuses."""
    left = list(offered)
    listing: Listing[Item] = Listing()
    while left:
        item, answer = await choose(left, back)
        if item is None or item not in left:
            listing.complete = answer.refused
            if answer.refused:
                listing.ends.append(ended(left, back))
            return listing
        listing.items.append(item)
        left.remove(item)
        back = item
    return listing
