"""What changed between two postures, row by row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from meshproof.posture.spelling import group, result
from meshproof.posture.spelling import offer as spelled
from meshproof.tls.answer import Offered
from meshproof.tls.posture import ClientAuthentication, GroupOrder, Posture, SuiteOrder
from meshproof.tls.version import ProtocolVersion

Pair = tuple[Posture | None, Posture | None]


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is another one, or may be.

    Attributes:
        what: The row.
        before: What it was; None when that is unknown.
        after: What it is; None when that is unknown.
        reason: Why it is what it is.
    """

    what: str
    before: str | None
    after: str | None
    reason: str = ""

    @property
    def unknown(self) -> bool:
        """Whether a side is unknown, so that nobody can say whether it changed."""
        return self.before is None or self.after is None


def difference(before: Posture, after: Posture) -> tuple[Change, ...]:
    """Compare two postures; a row that is unknown on a side counts as one that may have changed."""
    parts = (_versions, _ciphers, _groups, _rest, _clients)
    rows = (row for part in parts for row in part(before, after))
    return tuple(row for row in rows if row.unknown or row.before != row.after)


def pairs(before: Sequence[Posture], after: Sequence[Posture]) -> list[Pair]:
    """Match the targets of two scans: by address and server name, else by port and name, else by name.

    Two scans of one target each are a pair whatever they are called: that is how two gateways are compared.
    """
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    partner: dict[int, Posture] = {}
    left = list(after)
    keys: tuple[Callable[[Posture], object], ...] = (
        lambda posture: (posture.target.address, posture.target.sni),
        lambda posture: (posture.target.address.port, posture.target.sni),
        lambda posture: posture.target.sni or posture.target.address,
    )
    for key in keys:
        found: dict[object, list[Posture]] = {}
        for posture in left:
            found.setdefault(key(posture), []).append(posture)
        for place, posture in enumerate(before):
            if place not in partner and found.get(key(posture)):
                partner[place] = found[key(posture)].pop(0)
        left = [posture for rest in found.values() for posture in rest]
    return [*((posture, partner.get(place)) for place, posture in enumerate(before)), *((None, each) for each in left)]


def _offered(posture: Posture, version: ProtocolVersion) -> str | None:
    offer = posture.versions.get(version)
    return None if offer is None or offer.offered is Offered.UNKNOWN else offer.offered.value


def _versions(before: Posture, after: Posture) -> Iterator[Change]:
    for version in ProtocolVersion:
        now = after.versions.get(version)
        reason = spelled(now) if now and now.refusal else ""
        yield Change(str(version), _offered(before, version), _offered(after, version), reason)


def _presence(name: object, there: Sequence[object], *, complete: bool) -> str | None:
    return Offered.OFFERED.value if name in there else Offered.NOT_OFFERED.value if complete else None


def _is_none(posture: Posture, version: ProtocolVersion) -> bool:
    return _offered(posture, version) == Offered.NOT_OFFERED.value


def _suites_of(posture: Posture, version: ProtocolVersion, certificate: str | None) -> SuiteOrder:
    """Return the suites of a version; none when it is not offered, none and not complete when that is unknown."""
    orders = [order for order in posture.ciphers if order.version is version]
    complete = bool(orders) or _is_none(posture, version)
    nothing = SuiteOrder(version=version, certificate=certificate, preference=(), complete=complete)
    return next((order for order in orders if order.certificate == certificate), nothing)


def _ciphers(before: Posture, after: Posture) -> Iterator[Change]:
    for version, kind in dict.fromkeys((o.version, o.certificate) for o in (*before.ciphers, *after.ciphers)):
        old, new = _suites_of(before, version, kind), _suites_of(after, version, kind)
        where = f"{version} {kind}" if kind else str(version)
        for suite in dict.fromkeys((*old.suites, *new.suites)):
            first, last = (_presence(suite, order.suites, complete=order.complete) for order in (old, new))
            yield Change(f"{where} {suite}", first, last)
        common = set(old.suites) & set(new.suites)
        first, last = (_ranked([common & set(alike) for alike in order.preference]) for order in (old, new))
        yield Change(f"{where} order", first, last)


def _ranked(ranks: Sequence[Collection[object]]) -> str:
    return " > ".join(" = ".join(sorted(map(str, alike))) for alike in ranks if alike)


def _groups_of(posture: Posture, version: ProtocolVersion) -> GroupOrder:
    nothing = GroupOrder(version=version, groups=(), complete=_is_none(posture, version))
    return next((order for order in posture.groups if order.version is version), nothing)


def _groups(before: Posture, after: Posture) -> Iterator[Change]:
    for version in dict.fromkeys(order.version for order in (*before.groups, *after.groups)):
        old, new = _groups_of(before, version), _groups_of(after, version)
        for each in dict.fromkeys((*old.groups, *new.groups)):
            first, last = (_presence(each, order.groups, complete=order.complete) for order in (old, new))
            yield Change(f"{version} {group(each)}", first, last)
        if old.groups and new.groups:
            first, last = (group(o.groups[0]) if o.server_decides else "the client's" for o in (old, new))
            yield Change(f"{version} preferred group", first, last)


def _rest(before: Posture, after: Posture) -> Iterator[Change]:
    first, last = ("no" if posture.unreachable else "yes" for posture in (before, after))
    yield Change("reachable", first, last, after.unreachable.value if after.unreachable else "")
    yield Change("ALPN", _alpn(before), _alpn(after))
    for kind in dict.fromkeys(each.key.partition(" ")[0] for each in (*before.certificates, *after.certificates)):
        yield Change(f"{kind} certificate", _certificate(before, kind), _certificate(after, kind))
    yield Change("client certificate", _client_certificate(before), _client_certificate(after))
    yield Change("downgrade", _downgrade(before), _downgrade(after))


def _alpn(posture: Posture) -> str | None:
    return ", ".join(posture.alpn) or ("none" if posture.ciphers else None)  # a scan may look at clients only


def _certificate(posture: Posture, kind: str) -> str | None:
    for each in posture.certificates:
        if each.key.startswith(kind):
            until = f"until {each.not_after:%Y-%m-%d %H:%M}"
            return f"{each.subject}, {each.key}, {each.signature}, {until}, SHA-256 {each.fingerprint[:16]}"
    return "none" if posture.certificates else None


def _client_certificate(posture: Posture) -> str | None:
    seen = posture.client_authentication
    return None if seen is ClientAuthentication.UNKNOWN else str(seen)


def _downgrade(posture: Posture) -> str | None:
    if posture.fallback_scsv is None:
        return "there is none" if len(posture.offered) == 1 and not posture.unreachable else None
    return "noticed" if posture.fallback_scsv else "not noticed"


def _clients(before: Posture, after: Posture) -> Iterator[Change]:
    old, new = ({client.name: client for client in posture.clients} for posture in (before, after))
    for name in old | new:
        sides = [side.get(name) for side in (old, new)]
        first, last = (None if side is None or side.unknown else result(side) for side in sides)
        yield Change(name, first, last, " Now: ".join(dict.fromkeys(side.reason for side in sides if side)))
