"""What changed between two postures, row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from meshproof.posture.certificate_changes import changes_of_certificates
from meshproof.posture.comparison import (
    AUTHENTICATION,
    CLIENT_CERTIFICATE,
    FALLBACK,
    Change,
    concluded,
    fallback,
    group_order,
    offered,
)
from meshproof.posture.pairing import Pair
from meshproof.posture.spelling import connection, group, result
from meshproof.posture.spelling import offer as spelled
from meshproof.tls.probe.answer import Offered
from meshproof.tls.probe.outcome import UNDECIDED, Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import ClientAuthentication, GroupOrder, Posture, SuiteOrder

_NOT_THE_TARGETS = frozenset({Outcome.LOCAL_FAULT, Outcome.NOT_ASKED})


def changes_between(before: Posture, after: Posture) -> tuple[Change, ...]:
    """Compare two postures; a row that is unknown on a side counts as one that may have changed."""
    gone = _reachable(before, after)
    if gone:
        return (gone,)
    parts = (_consistency, _versions, _ciphers, _groups, _protocols, changes_of_certificates, _rest, _clients)
    rows = (row for part in parts for row in part(before, after))
    return tuple(row for row in rows if row.unknown or row.before != row.after)


def changes(pair: Pair) -> tuple[Change, ...]:
    """Return what changed in a pair; a target that is in one scan only is a change itself."""
    if pair.before and pair.after:
        return changes_between(pair.before, pair.after)
    first, last = ("was scanned" if side else "was not scanned" for side in (pair.before, pair.after))
    return (Change("target", first, last),)


def _reachable(before: Posture, after: Posture) -> Change | None:
    """Return the only row of a target that did not answer in one of the scans; None when it did in both."""
    ends = [posture.unreachable for posture in (before, after)]
    if ends == [None, None]:
        return None
    unknown = None not in ends or not _NOT_THE_TARGETS.isdisjoint(ends)
    first, last = (("no" if not unknown else None) if end else "yes" for end in ends)
    return Change("reachable", first, last, _then_now(*(end.value if end else "reachable" for end in ends)))


def _consistency(before: Posture, after: Posture) -> Iterator[Change]:
    first, last = (None if side.contradictions else "the same each time" for side in (before, after))
    said = ("; ".join(side.contradictions) or "the same each time" for side in (before, after))
    yield Change("answers", first, last, _then_now(*said))


def _offered(posture: Posture, version: ProtocolVersion) -> str | None:
    offer = offered(posture, version)
    return None if offer is Offered.UNKNOWN else offer.value


def _versions(before: Posture, after: Posture) -> Iterator[Change]:
    for version in ProtocolVersion:
        now = after.versions.get(version)
        reason = spelled(now) if now and now.refusal else ""
        yield Change(str(version), _offered(before, version), _offered(after, version), reason)


class _List(NamedTuple):
    """The names in a list, and whether it ended with a word of the server."""

    names: tuple[str, ...]
    complete: bool

    def has(self, name: str) -> str | None:
        if name in self.names:
            return Offered.OFFERED.value
        return Offered.NOT_OFFERED.value if self.complete else None

    @property
    def text(self) -> str | None:
        """All of it; None when there may be more."""
        return (", ".join(self.names) or "none") if self.complete else None


def _lists(what: str, before: _List, after: _List) -> Iterator[Change]:
    """Compare two lists: a row for all names that came or went, and one for what may be missing in a list."""
    names = dict.fromkeys((*before.names, *after.names))
    changed = [name for name in names if None not in (ends := (before.has(name), after.has(name))) and len({*ends}) > 1]
    complete = before.complete and after.complete
    if changed:
        gone, new = (", ".join(name for name in changed if name in side.names) or "none" for side in (before, after))
        yield Change(what if complete else f"{what}, as far as known", f"removed: {gone}", f"added: {new}")
    if not complete:
        lists = (
            f"{', '.join(side.names) or 'none'}{'' if side.complete else ', and perhaps more'}"
            for side in (before, after)
        )
        yield Change(what, before.text, after.text, "Seen: {}. Now: {}.".format(*lists))


def _then_now(before: str, after: str) -> str:
    """Return two things that were said of a row as sentences; what is the same is said once."""
    first, last = (text if text.endswith(".") else f"{text}." for text in (before, after))
    return first if first == last else f"{first} Now: {last}"


def _suites_of(posture: Posture, version: ProtocolVersion, certificate: str | None) -> SuiteOrder:
    """Return the suites of a version; none when it is not offered, none and not complete when that is unknown."""
    orders = [order for order in posture.ciphers if order.version is version]
    offer = offered(posture, version)
    complete = offer is Offered.NOT_OFFERED or (offer is Offered.OFFERED and bool(orders))
    nothing = SuiteOrder(version=version, certificate=certificate, preference=(), complete=complete)
    return next((order for order in orders if order.certificate == certificate), nothing)


def _ciphers(before: Posture, after: Posture) -> Iterator[Change]:
    listed = [(order.version, order.certificate) for order in (*before.ciphers, *after.ciphers)]
    unlisted = [(v, None) for v in (*before.offered, *after.offered) if v not in {version for version, _ in listed}]
    for version, kind in dict.fromkeys((*listed, *unlisted)):
        old, new = _suites_of(before, version, kind), _suites_of(after, version, kind)
        where = f"{version} {kind}" if kind else str(version)
        first, last = (_List(tuple(map(str, order.suites)), order.complete) for order in (old, new))
        yield from _lists(f"{where} cipher suites", first, last)
        if old.complete and new.complete:
            common = set(old.suites) & set(new.suites)
            best, now = (
                _ranked([common & set(alike) for alike in order.preference]) if order.ordered else None
                for order in (old, new)
            )
            yield Change(f"{where} order", best, now)


def _ranked(ranks: Sequence[Collection[object]]) -> str:
    return " > ".join(" = ".join(sorted(map(str, alike))) for alike in ranks if alike)


def _groups(before: Posture, after: Posture) -> Iterator[Change]:
    offering = [version for version in (*before.offered, *after.offered) if version is ProtocolVersion.TLS_1_3]
    for version in dict.fromkeys((*(order.version for order in (*before.groups, *after.groups)), *offering)):
        old, new = group_order(before, version), group_order(after, version)
        first, last = (_List(tuple(map(group, order.groups)), order.complete) for order in (old, new))
        yield from _lists(f"{version} groups", first, last)
        if old.complete and new.complete and old.groups and new.groups:
            yield Change(f"{version} preferred group", _preferred(old), _preferred(new))


def _preferred(order: GroupOrder) -> str | None:
    if order.server_decides is None and order.groups[1:]:
        return None
    return "the client's" if order.server_decides is False else group(order.groups[0])


def _protocols(before: Posture, after: Posture) -> Iterator[Change]:
    old, new = (_List(side.alpn, side.listed and side.alpn_complete) for side in (before, after))
    if old.complete and new.complete:
        yield Change("ALPN", old.text, new.text)
    else:
        yield from _lists("ALPN", old, new)


def _rest(before: Posture, after: Posture) -> Iterator[Change]:
    yield Change(AUTHENTICATION, _authentication(before), _authentication(after))
    if before.credential or after.credential:
        ends = [posture.credential.value if posture.credential else "not given" for posture in (before, after)]
        first, last = (_credential(posture.credential) for posture in (before, after))
        yield Change(CLIENT_CERTIFICATE, first, last, "With --cert: {}. Now: {}.".format(*ends))
    yield Change(FALLBACK, fallback(before), fallback(after))


def _authentication(posture: Posture) -> str | None:
    authentication = posture.client_authentication
    return None if authentication is ClientAuthentication.UNKNOWN else str(authentication)


def _credential(outcome: Outcome | None) -> str | None:
    return None if outcome is None or outcome in UNDECIDED else outcome.value


def _clients(before: Posture, after: Posture) -> Iterator[Change]:
    old, new = ({client.name: client for client in posture.clients} for posture in (before, after))
    for name in [name for name in old if name in new]:
        sides = [old[name], new[name]]
        first, last = (result(side) if concluded(side) else None for side in sides)
        refused = all(concluded(side) and connection(side.answer) is None for side in sides)
        reason = "" if refused else _then_now(*(side.reason for side in sides))  # how it is refused is in the row
        yield Change(name, first, last, reason)
    only = [", ".join(name for name in side if name not in other) for side, other in ((old, new), (new, old))]
    if any(only):
        first, last = (None if all(only) else names or None for names in only)
        reason = f"Simulated once only: {', '.join(filter(None, only))}. Give both scans the same --clients."
        yield Change("clients", first, last, reason)
