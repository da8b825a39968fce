"""The application protocols that a server accepts: in the clear, and in TLS 1.3, where they have to be the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from meshproof.tls.scanner import questions
from meshproof.tls.scanner.listing import Listing
from meshproof.tls.scanner.prober import Prober
from meshproof.tls.scanner.questions import ENCRYPTED
from meshproof.tls.scanner.versions import Version


class Choice(NamedTuple):
    """What a server made of a list of application protocols.

    Attributes:
        protocol: The one that it chose; None when it chose none.
        known: Whether it said so: it went on without any (RFC 7301 3.2 allows that), or refused.
    """

    protocol: str | None
    known: bool


ChooseProtocol = Callable[[Sequence[str]], Awaitable[Choice]]
"""Offers application protocols."""


async def list_protocols(choose: ChooseProtocol) -> Listing[str]:
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


async def protocols(
    in_clear: ChooseProtocol | None, encrypted: ChooseProtocol | None, contradict: Callable[[str], None]
) -> Listing[str] | None:
    """List the application protocols: of the newest version in the clear; in TLS 1.3 they have to be the same.

    Args:
        in_clear: Offers them in a version before TLS 1.3; None where the server has none.
        encrypted: Offers them in TLS 1.3; None where the server has not got it.
        contradict: Takes a sentence where the two are not the same.
    """
    listing = await list_protocols(in_clear) if in_clear else None
    if not encrypted:
        return listing
    if listing is None or not listing.complete:
        other = await list_protocols(encrypted)
        return other if listing is None or other.complete else listing
    for offered, expected in repeated(listing):
        choice = await encrypted(offered)
        if choice.known and choice.protocol != expected:
            other = await list_protocols(encrypted)
            listing.items += [protocol for protocol in other.items if protocol not in listing.items]
            contradict("its application protocols in TLS 1.3 are not those before")
            return listing
        listing.complete &= choice.known
    return listing


def choosing_in_clear(prober: Prober, known: Version) -> ChooseProtocol:
    """Return what offers protocols in a version before TLS 1.3."""
    chosen = known.answer.suite
    hello = questions.with_suites(known.hello, [chosen.code]) if chosen else known.hello  # it may not be long

    async def choose(protocols: Sequence[str]) -> Choice:
        answer = await prober.ask(questions.with_alpn(hello, protocols), control=hello)
        return Choice(answer.alpn if answer.negotiated else None, answer.negotiated or answer.refused)

    return choose


def choosing_encrypted(prober: Prober) -> ChooseProtocol:
    """Return what offers protocols in TLS 1.3, where the choice is encrypted."""

    async def choose(protocols: Sequence[str]) -> Choice:
        answer, flight = await prober.ask_encrypted(questions.with_alpn(ENCRYPTED, protocols))
        return Choice(flight.alpn, flight.client_cert_requested is not None or answer.refused)

    return choose


def repeated(protocols: Listing[str]) -> list[tuple[Sequence[str], str | None]]:
    """Return what has to be answered as before: the whole list with the first choice, and the rest with none."""
    first = protocols.items[0] if protocols.items else None
    return [(questions.PROTOCOLS, first), (protocols.rest, None)]
