"""Whether a posture is as expected: a row for each thing that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from meshproof.posture.comparison import (
    AUTHENTICATION,
    CLIENT_CERTIFICATE,
    FALLBACK,
    HONOURED,
    IGNORED,
    NOT_GIVEN,
    Row,
    all_groups_known,
    concluded,
    fallback,
    let_in,
    offered,
    row,
    unreachable,
    was_read,
)
from meshproof.posture.expectations import GETS, Expectations, ExpectedCertificate, Listing, Ranks, parts_of_name
from meshproof.posture.spelling import PROTOCOLS, connection, group, protocol, result
from meshproof.posture.spelling import offer as spelled
from meshproof.tls.probe.answer import Offered
from meshproof.tls.probe.outcome import UNDECIDED
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import UNREADABLE, Certificate, ClientAuthentication, Posture


def compare(expectations: Expectations, posture: Posture) -> tuple[Row, ...]:
    """Return a row for each thing that is expected: whether it is so, is not, or is unknown."""
    gone = unreachable(posture)
    if gone:
        return (gone,)
    parts = (_versions, _ciphers, _groups, _rest, _certificates, _our_certificate, _connections)
    rows = [row for part in parts for row in part(expectations, posture)]
    if posture.contradictions:
        rows.append(Row("answers", "the same each time", "; ".join(posture.contradictions), unknown=True))
    return tuple(rows)


def _versions(expectations: Expectations, posture: Posture) -> Iterator[Row]:
    for version in ProtocolVersion if expectations.versions is not None else ():
        wanted = protocol(version) in (expectations.versions or ())
        offer = posture.versions.get(version)
        known = offer is not None and offer.offered is not Offered.UNKNOWN
        met = offer is not None and (offer.offered is Offered.OFFERED) is wanted
        yield row(str(version), _offered(wanted), spelled(offer) if offer else "not asked", met=met, known=known)


def _offered(wanted: bool) -> str:  # noqa: FBT001 - one argument
    return Offered.OFFERED.value if wanted else Offered.NOT_OFFERED.value


def _ciphers(expectations: Expectations, posture: Posture) -> Iterator[Row]:
    for name, listing in expectations.ciphers.items():
        version = PROTOCOLS[name]
        orders = [order for order in posture.ciphers if order.version is version]
        lists = [
            (f"{order} ciphers", tuple(frozenset(map(str, alike)) for alike in order.preference)) for order in orders
        ]
        listed = bool(orders) and all(order.complete and (order.ordered or not listing.order) for order in orders)
        complete = offered(posture, version) is (Offered.OFFERED if listed else Offered.NOT_OFFERED)
        yield from _listings(f"{version} ciphers", listing, lists, complete=complete)


def _groups(expectations: Expectations, posture: Posture) -> Iterator[Row]:
    if expectations.groups is None:
        return
    lists = []
    for order in posture.groups:
        names = [frozenset([group(one)]) for one in order.groups]
        ranks = tuple(names) if order.server_decides else (_union(tuple(names)),)
        lists.append((f"{order.version} groups", ranks))
    complete = all_groups_known(posture) and not (
        expectations.groups.order and any(order.server_decides is None and order.groups[1:] for order in posture.groups)
    )
    yield from _listings("groups", expectations.groups, lists, complete=complete)


def _listings(what: str, wanted: Listing, lists: Sequence[tuple[str, Ranks]], *, complete: bool) -> Iterator[Row]:
    """Compare the names in all lists together, then, where it counts, the order of each list."""
    all_wanted = _union(wanted.ranks)
    yield _names_row(what, all_wanted, _union(*(ranks for _, ranks in lists)), complete=complete)
    for name, ranks in lists if wanted.order and complete else ():
        expected = tuple(rank & _union(ranks) for rank in wanted.ranks if rank & _union(ranks))
        ranked = tuple(rank & all_wanted for rank in ranks if rank & all_wanted)
        yield row(f"{name}, order", _ranked(expected), _ranked(ranked), met=expected == ranked)


def _names_row(what: str, wanted: frozenset[str], seen: frozenset[str], *, complete: bool) -> Row:
    """Compare names: one too many is known to be, one that is missing only in a complete list."""
    too_many = bool(seen - wanted)
    more = "" if complete else ", and perhaps more"
    return row(what, _listed(wanted), _listed(seen) + more, met=seen == wanted, known=complete or too_many)


def _union(*lists: Ranks) -> frozenset[str]:
    return frozenset(name for ranks in lists for rank in ranks for name in rank)


def _ranked(ranks: Ranks) -> str:
    return " > ".join(" = ".join(sorted(rank)) for rank in ranks)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _rest(expectations: Expectations, posture: Posture) -> Iterator[Row]:
    if expectations.alpn is not None:
        complete = posture.listed and posture.alpn_complete
        yield _names_row("ALPN", expectations.alpn, frozenset(posture.alpn), complete=complete)
    wanted, authentication = expectations.client_authentication, posture.client_authentication
    if wanted is not None:
        known = authentication is not ClientAuthentication.UNKNOWN
        yield row(AUTHENTICATION, wanted, str(authentication), met=wanted == str(authentication), known=known)
    if expectations.fallback_scsv is not None:
        supported = fallback(posture)
        met = (supported != IGNORED) is expectations.fallback_scsv
        expected = HONOURED if expectations.fallback_scsv else IGNORED
        yield row(FALLBACK, expected, supported or "not known", met=met, known=supported is not None)


def _certificates(expectations: Expectations, posture: Posture) -> Iterator[Row]:
    wanted = expectations.certificate
    if wanted == ExpectedCertificate():
        return
    complete = posture.listed and posture.certificates_complete
    for certificate in posture.certificates:
        yield from _one_certificate(wanted, certificate, posture)
    if wanted.keys is not None:
        keys = frozenset(certificate.key for certificate in posture.certificates)
        read_all = all(map(was_read, keys))
        yield _names_row(
            "certificate keys", wanted.keys, frozenset(filter(was_read, keys)), complete=complete and read_all
        )
    elif not posture.certificates or not complete:
        seen_ones = _listed(certificate.subject for certificate in posture.certificates)
        more = "" if complete else ", and perhaps more"
        yield row("certificates", "all of them as expected", f"{seen_ones}{more}", met=False, known=complete)


def _one_certificate(wanted: ExpectedCertificate, certificate: Certificate, posture: Posture) -> Iterator[Row]:
    what = f"certificate {certificate.subject}"
    if wanted.names is not None:
        names = frozenset(certificate.names)
        known = all(map(was_read, names))
        yield row(f"{what}, names", _listed(wanted.names), _listed(names), met=names == wanted.names, known=known)
    if wanted.issuer is not None:
        met, known = wanted.issuer <= parts_of_name(certificate.issuer), was_read(certificate.issuer)
        yield row(f"{what}, issuer", ", ".join(sorted(wanted.issuer)), certificate.issuer, met=met, known=known)
    if wanted.days_left is not None:
        left = certificate.not_after - posture.began
        met, known = left >= timedelta(days=wanted.days_left), was_read(certificate.not_after)
        days = f"{left.days}, until {certificate.not_after:%Y-%m-%d %H:%M}" if known else UNREADABLE
        yield row(f"{what}, days left", f"{wanted.days_left} or more", days, met=met, known=known)


def _our_certificate(expectations: Expectations, posture: Posture) -> Iterator[Row]:
    if expectations.client_certificate is not None:
        yield let_in(posture, expectations.client_certificate)
    if expectations.credential is not None:
        outcome = posture.credential
        yield row(
            f"{CLIENT_CERTIFICATE}, handshake",
            expectations.credential.value,
            outcome.value if outcome else NOT_GIVEN,
            met=outcome is expectations.credential,
            known=outcome is not None and outcome not in UNDECIDED,
        )


def _connections(expectations: Expectations, posture: Posture) -> Iterator[Row]:
    clients = {client.name: client for client in posture.clients}
    for name, connects in expectations.clients.items():
        wanted = expectations.exactly.get(name, {})
        expected = "  ".join(wanted.values()) or ("a connection" if connects else "no connection")
        client = clients.get(name)
        if client is None or not concluded(client):
            yield row(name, expected, client.reason if client else "not simulated", met=False, known=False)
            continue
        got = connection(client.answer)
        fields = dict(zip(GETS, got, strict=True)) if got else {}
        met = bool(got) is connects and all(fields.get(key) == value for key, value in wanted.items())
        yield row(name, expected, result(client) if got else f"{result(client)} - {client.reason}", met=met)
