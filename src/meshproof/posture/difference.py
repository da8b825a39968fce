"""What changed between two postures, row by row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from meshproof.posture.comparison import (
    AUTHENTICATION,
    CLIENT_CERTIFICATE,
    FALLBACK,
    concluded,
    fallback,
    group_order,
    labels,
    offered,
    was_read,
)
from meshproof.posture.spelling import connection, group, result
from meshproof.posture.spelling import offer as spelled
from meshproof.tls.probe.answer import Offered
from meshproof.tls.probe.outcome import UNDECIDED, Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import (
    UNREADABLE,
    Certificate,
    ClientAuthentication,
    GroupOrder,
    Posture,
    SuiteOrder,
)

_NOT_THE_TARGETS = frozenset({Outcome.LOCAL_FAULT, Outcome.NOT_ASKED})


@dataclass(frozen=True, slots=True)
class Pair:
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


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is another one, or may be.

    Attributes:
        what: The row.
        before: What it was; None when that is unknown.
        after: What it is; None when that is unknown.
        reason: Why it is what it is.
        renewed: Whether it is no change: a certificate that was issued anew, and is the same in all that counts.
    """

    what: str
    before: str | None
    after: str | None
    reason: str = ""
    renewed: bool = False

    @property
    def unknown(self) -> bool:
        """Whether a side is unknown, so that nobody can say whether it changed."""
        return self.before is None or self.after is None

    @property
    def known(self) -> bool:
        """Whether it is known to be a change."""
        return not (self.unknown or self.renewed)


def difference(before: Posture, after: Posture) -> tuple[Change, ...]:
    """Compare two postures; a row that is unknown on a side counts as one that may have changed."""
    gone = _reachable(before, after)
    if gone:
        return (gone,)
    parts = (_consistency, _versions, _ciphers, _groups, _protocols, _certificates, _rest, _clients)
    rows = (row for part in parts for row in part(before, after))
    return tuple(row for row in rows if row.unknown or row.before != row.after)


def changes(pair: Pair) -> tuple[Change, ...]:
    """Return what changed in a pair; a target that is in one scan only is a change itself."""
    if pair.before and pair.after:
        return difference(pair.before, pair.after)
    first, last = ("was scanned" if side else "was not scanned" for side in (pair.before, pair.after))
    return (Change("target", first, last),)


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
            firsts = [place for place, (_, each) in enumerate(old) if place not in partners and key(each) == value]
            lasts = [place for place, (_, each) in left.items() if key(each) == value]
            several = len(firsts) > 1 or len(lasts) > 1
            for first, last in zip(firsts, lasts, strict=False) if value else ():
                (name, posture), (other, partner) = old[first], left.pop(last)
                how = _how(name, other, why, several=several) if several or name != other else ""
                partners[first] = Pair(name, posture, partner, how)
    alone = "There is no such target in the {} scan."
    found = [
        partners.get(place) or Pair(name, posture, None, alone.format("second"))
        for place, (name, posture) in enumerate(old)
    ]
    return [*found, *(Pair(name, None, posture, alone.format("first")) for name, posture in left.values())]


def _port(posture: Posture) -> tuple[int]:
    return (posture.target.address.port,)


def _how(first: str, last: str, why: str, *, several: bool) -> str:
    more = " Several have that, so they were paired in the order in which they were scanned." if several else ""
    return f"{first} before is compared with {last} after: what they have in common is {why}.{more}"


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
    seen = offered(posture, version)
    return None if seen is Offered.UNKNOWN else seen.value


def _versions(before: Posture, after: Posture) -> Iterator[Change]:
    for version in ProtocolVersion:
        now = after.versions.get(version)
        reason = spelled(now) if now and now.refusal else ""
        yield Change(str(version), _offered(before, version), _offered(after, version), reason)


@dataclass(frozen=True, slots=True)
class _List:
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
        seen = (
            f"{', '.join(each.names) or 'none'}{'' if each.complete else ', and perhaps more'}"
            for each in (before, after)
        )
        yield Change(what, before.text, after.text, "Seen: {}. Now: {}.".format(*seen))


def _then_now(before: str, after: str) -> str:
    """Return two things that were said of a row as sentences; what is the same is said once."""
    first, last = (text if text.endswith(".") else f"{text}." for text in (before, after))
    return first if first == last else f"{first} Now: {last}"


def _suites_of(posture: Posture, version: ProtocolVersion, certificate: str | None) -> SuiteOrder:
    """Return the suites of a version; none when it is not offered, none and not complete when that is unknown."""
    orders = [order for order in posture.ciphers if order.version is version]
    seen = offered(posture, version)
    complete = seen is Offered.NOT_OFFERED or (seen is Offered.OFFERED and bool(orders))
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


def _certificates(before: Posture, after: Posture) -> Iterator[Change]:
    old, new = (_by_kind(posture.certificates) for posture in (before, after))
    complete = [posture.listed and posture.certificates_complete for posture in (before, after)]
    for what in dict.fromkeys((*old, *new)):
        first, last = old.get(what), new.get(what)
        if first and last:
            yield from _one_certificate(what, (first, before.began), (last, after.began))
        elif complete[bool(first)]:
            yield Change(what, _certificate(first), _certificate(last))
    if not all(complete):
        names = [", ".join(map(_certificate, side.values())) or "none" for side in (old, new)]
        first_text, last_text = (text if known else None for text, known in zip(names, complete, strict=True))
        yield Change("certificates", first_text, last_text, "Seen: {}. Now: {}.".format(*names))


def _by_kind(certificates: Iterable[Certificate]) -> dict[str, Certificate]:
    """Return the certificates by the row that each has; those after the first of a kind have a number."""
    found: dict[str, Certificate] = {}
    for each in sorted(certificates, key=lambda each: (each.subject, each.names, each.fingerprint, each.chain)):
        kind = f"{each.key.partition(' ')[0]} certificate"
        number = sum(name.startswith(kind) for name in found) + 1
        found[kind if number == 1 else f"{kind} {number}"] = each
    return found


def _certificate(certificate: Certificate | None) -> str:
    if certificate is None:
        return "none"
    return f"{certificate.subject}, {certificate.key}, {_issue(certificate)}"


def _issue(certificate: Certificate) -> str:
    return f"until {certificate.not_after:%Y-%m-%d %H:%M}, SHA-256 {certificate.fingerprint[:16]}"


def _one_certificate(
    what: str, before: tuple[Certificate, datetime], after: tuple[Certificate, datetime]
) -> Iterator[Change]:
    """Compare two certificates of a kind: what counts has a row each; one that is new and the same in it is renewed."""
    aspects: dict[str, Callable[[Certificate, datetime], str | None]] = {
        "subject": lambda each, _: each.subject if was_read(each.subject) else None,
        "names": lambda each, _: _names(each) if all(map(was_read, each.names)) else None,
        "issuer": lambda each, _: each.issuer if was_read(each.issuer) else None,
        "key": lambda each, _: each.key if was_read(each.key) else None,
        "signature": lambda each, _: each.signature if was_read(each.signature) else None,
    }
    leaves = before[0], after[0]
    same = leaves[0].fingerprint == leaves[1].fingerprint
    rows = [] if same else [Change(f"{what} {aspect}", say(*before), say(*after)) for aspect, say in aspects.items()]
    rows.append(Change(f"{what} lifetime", _lifetime(*before), _lifetime(*after)))
    by_subject = any(not each.fingerprint for leaf in leaves for each in leaf.intermediates)  # of an older document
    first, last = (_chain(*side, by_subject=by_subject) for side in (before, after))
    rows.append(Change(f"{what} chain", first, last))
    yield from rows
    if not same and all(each.before == each.after and not each.unknown for each in rows):
        reason = "Renewed: its names, issuer, key and signature algorithm are the same."
        yield Change(what, _issue(leaves[0]), _issue(leaves[1]), reason, renewed=True)


def _names(certificate: Certificate) -> str:
    return ", ".join(sorted(certificate.names)) or "none"


def _lifetime(certificate: Certificate, now: datetime) -> str | None:
    if not (was_read(certificate.not_before) and was_read(certificate.not_after)):
        return None
    if certificate.not_after < now:
        return f"ended on {certificate.not_after:%Y-%m-%d %H:%M}"
    return f"begins on {certificate.not_before:%Y-%m-%d %H:%M}" if certificate.not_before > now else "not over"


def _chain(certificate: Certificate, now: datetime, *, by_subject: bool) -> str:
    """Return the intermediates without what a renewal of one changes, unless it is out of its lifetime."""
    if by_subject:
        return "; ".join(certificate.chain) or "none"
    return "; ".join(_link(each, now) for each in certificate.intermediates) or "none"


def _link(certificate: Certificate, now: datetime) -> str:
    parts = (certificate.subject, f"issued by {certificate.issuer}", certificate.key, certificate.signature)
    unread = not all(map(was_read, (certificate.subject, certificate.issuer, certificate.key, certificate.signature)))
    more = f"SHA-256 {certificate.fingerprint[:16]}" if unread else _lifetime(certificate, now) or UNREADABLE
    return ", ".join((*parts, more))


def _rest(before: Posture, after: Posture) -> Iterator[Change]:
    yield Change(AUTHENTICATION, _authentication(before), _authentication(after))
    if before.credential or after.credential:
        ends = [posture.credential.value if posture.credential else "not given" for posture in (before, after)]
        first, last = (_credential(posture.credential) for posture in (before, after))
        yield Change(CLIENT_CERTIFICATE, first, last, "With --cert: {}. Now: {}.".format(*ends))
    yield Change(FALLBACK, fallback(before), fallback(after))


def _authentication(posture: Posture) -> str | None:
    seen = posture.client_authentication
    return None if seen is ClientAuthentication.UNKNOWN else str(seen)


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
