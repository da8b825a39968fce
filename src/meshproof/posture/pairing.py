"""Which target of one scan is which of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from meshproof.posture.comparison import labels
from meshproof.tls.scanner.findings import Posture


class Pair(NamedTuple):
    """The same target in two scans.

    Attributes:
        name: What the target is called, in the first scan if it is in both.
        before: What the first found; None when it did not scan the target.
        after: What the second found; None when it did not scan the target.
        how: How they were paired, in a sentence; empty when both have the same name.
    """

    name: str
    before: Posture | None
    after: Posture | None
    how: str = ""


def pairs(before: Sequence[Posture], after: Sequence[Posture]) -> list[Pair]:
    """Match the targets of two scans: by their names, else by server name and port, else by server name or host.

    Two scans of one target each are a pair whatever they are called: that is how two gateways are compared.
    """
    keys: tuple[tuple[str, Callable[[Posture], object]], ...] = (
        ("the name", lambda posture: (posture.target, posture.endpoint)),
        ("the name", lambda posture: posture.target),
        ("the server name and the port", lambda posture: posture.target.sni and (*_port(posture), posture.target.sni)),
        ("the server name", lambda posture: posture.target.sni),
        ("the host", lambda posture: posture.target.address.host),
    )
    if len(before) == len(after) == 1:
        keys = (*keys, ("that each scan has no other target", lambda _: True))
    old, new = (list(zip(labels(side), side, strict=True)) for side in (before, after))
    partners: dict[int, Pair] = {}
    left = dict(enumerate(new))
    for why, key in keys:
        for value in dict.fromkeys(key(posture) for _, posture in old):
            firsts = [
                place for place, (_, posture) in enumerate(old) if place not in partners and key(posture) == value
            ]
            lasts = [place for place, (_, posture) in left.items() if key(posture) == value]
            several = len(firsts) > 1 or len(lasts) > 1
            for first, last in zip(firsts, lasts, strict=False) if value else ():
                (name, posture), (other, partner) = old[first], left.pop(last)
                how = _how(name, other, why, several=several) if several or name != other else ""
                partners[first] = Pair(name, posture, partner, how)
    alone = "There is no such target in the {} scan."
    of_the_first = [
        partners.get(place) or Pair(name, posture, None, alone.format("second"))
        for place, (name, posture) in enumerate(old)
    ]
    return [*of_the_first, *(Pair(name, None, posture, alone.format("first")) for name, posture in left.values())]


def _port(posture: Posture) -> tuple[int]:
    return (posture.target.address.port,)


def _how(first: str, last: str, why: str, *, several: bool) -> str:
    more = " Several have that, so they were paired in the order in which they were scanned." if several else ""
    return f"{first} before is compared with {last} after: what they have in common is {why}.{more}"
