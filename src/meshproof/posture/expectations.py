"""What a posture should be, from a YAML file, and where it is not so.

All keys are optional::

    versions: [TLSv1.2, TLSv1.3]            # exactly these are offered
    ciphers:                                # for each version exactly these; by their names in OpenSSL or at IANA
      TLSv1.2: [ECDHE-RSA-AES256-GCM-SHA384]
      TLSv1.3:                              # ... and in this order; a list inside: the server likes them alike
        order: true
        names: [[TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384], TLS_CHACHA20_POLY1305_SHA256]
    groups: [X25519, P-256]                 # exactly these, in all versions together; `order` and `names` as above
    alpn: [h2, http/1.1]                    # exactly these
    client_authentication: required         # or: requested, not requested
    fallback_scsv: true                     # whether a downgrade is noticed
    certificate_names: ["*.example.com"]    # exactly these, in each certificate
    clients:
      connect: [modern, Java 8u161]         # clients, or sets of them: seed, modern, all, ...
      refuse: [IE 6 XP]                     # a client that is named goes before the sets
      exactly:                              # what a client gets, as tables spell it; any of the three fields
        Java 8u161: {protocol: TLSv1.2, cipher: ECDHE-RSA-AES128-GCM-SHA256, forward_secrecy: 256 bit ECDH (P-256)}

Kinds of certificates are not told apart: a server with one of RSA and one of ECDSA has the suites of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meshproof.posture.istio import dropped_by_istio
from meshproof.posture.reading import Node, yaml_documents
from meshproof.posture.spelling import PROTOCOLS, connection, group, protocol, result
from meshproof.posture.spelling import offer as spelled
from meshproof.posture.verdict import Finding, finding
from meshproof.tls.answer import Offered
from meshproof.tls.posture import ClientAuthentication, Posture
from meshproof.tls.registry import group_named, suite_named
from meshproof.tls.version import ProtocolVersion

Ranks = tuple[frozenset[str], ...]
"""Names, best first; those that are liked alike are together."""

_KEYS = "versions ciphers groups alpn client_authentication fallback_scsv certificate_names clients".split()  # noqa: SIM905 - one line
_GETS = ("protocol", "cipher", "forward_secrecy")
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of names: exactly these.

    Attributes:
        ranks: The names.
        order: Whether their order counts.
    """

    ranks: Ranks
    order: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a posture should be; None, or nothing, where anything will do.

    Attributes:
        versions: The versions that are offered.
        ciphers: The cipher suites, by version.
        groups: The groups.
        alpn: The application protocols.
        client_authentication: Whether a client certificate is wanted.
        fallback_scsv: Whether a downgrade is noticed.
        certificate_names: The names in each certificate.
        clients: By name whether a client connects.
        exactly: By name what a client gets, by field.
        warnings: Suites in the file that a Gateway of Istio cannot be given by that name.
    """

    versions: frozenset[str] | None = None
    ciphers: Mapping[str, Listing] = field(default_factory=dict)
    groups: Listing | None = None
    alpn: frozenset[str] | None = None
    client_authentication: str | None = None
    fallback_scsv: bool | None = None
    certificate_names: frozenset[str] | None = None
    clients: Mapping[str, bool] = field(default_factory=dict)
    exactly: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing that is not as expected.

    Attributes:
        what: What it is about.
        expected: What it should be.
        seen: What it is.
        unknown: Whether it may yet be as expected: that could not be found out.
    """

    what: str
    expected: str
    seen: str
    unknown: bool = False


def read(path: Path, clients: Mapping[str, str]) -> Expectations:
    """Read expectations.

    Args:
        path: The file.
        clients: By the name of each client that there is the set that it belongs to.

    Raises:
        Unreadable: The file cannot be read, or something in it is not known; the sentence says what and where.
    """
    documents = yaml_documents(path)
    if len(documents) != 1:
        raise Node(path, "", None).wrong(f"should be there once, and is there {len(documents)} times")
    top = documents[0].fields(_KEYS)
    ciphers = top["ciphers"].fields(PROTOCOLS) if "ciphers" in top else {}
    people = top["clients"].fields(("connect", "refuse", "exactly")) if "clients" in top else {}
    authentication = top.get("client_authentication")
    return Expectations(
        versions=_words(top.get("versions"), lambda each: each.among(PROTOCOLS)),
        ciphers={version: _listing(node, _suite) for version, node in ciphers.items()},
        groups=_listing(top["groups"], _group) if "groups" in top else None,
        alpn=_words(top.get("alpn"), Node.text),
        client_authentication=authentication.among(map(str, ClientAuthentication)) if authentication else None,
        fallback_scsv=top["fallback_scsv"].flag() if "fallback_scsv" in top else None,
        certificate_names=_words(top.get("certificate_names"), Node.text),
        clients=_clients(people, clients),
        exactly=_exactly(people["exactly"], clients) if "exactly" in people else {},
        warnings=tuple(warning for version, node in ciphers.items() for warning in _dropped(version, node)),
    )


def _words(node: Node | None, read_one: Callable[[Node], str]) -> frozenset[str] | None:
    return frozenset(map(read_one, node.items())) if node else None


def _suite(node: Node) -> str:
    try:
        return suite_named(node.text()).label
    except ValueError as error:
        raise node.wrong(f"has a mistake. {str(error).rstrip('.')}") from error


def _group(node: Node) -> str:
    try:
        return group(group_named(node.text()))
    except ValueError as error:
        raise node.wrong(f"has a mistake. {str(error).rstrip('.')}") from error


def _names(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    fields = node.fields(("order", "names"))
    if "names" not in fields:
        raise node.wrong("lacks the key 'names'")
    return fields["names"]


def _alike(node: Node) -> list[Node]:
    return node.items() if isinstance(node.value, list) else [node]


def _listing(node: Node, read_one: Callable[[Node], str]) -> Listing:
    names = _names(node)
    order = node.fields()["order"].flag() if names is not node and "order" in node.fields() else False
    return Listing(tuple(frozenset(map(read_one, _alike(each))) for each in names.items()), order)


def _dropped(version: str, node: Node) -> Iterator[Finding]:
    if PROTOCOLS[version] is ProtocolVersion.TLS_1_3:
        return
    names = [name.text() for each in _names(node).items() for name in _alike(each)]
    for each in dropped_by_istio(names):
        remedy = f"servers[].tls.cipherSuites: [{each.instead}]" if each.instead else "leave it out"
        facts = {"where": f"{node.file}: {node.where}", "cipher": each.name, "fault": each.why, "applies": each.applies}
        yield finding("dropped-by-istio", [each.name], remedy, **facts)


def _clients(people: Mapping[str, Node], known: Mapping[str, str]) -> dict[str, bool]:
    """Return which clients must connect and which must not."""
    sets = {_ALL, *known.values()}
    by_set: dict[str, bool] = {}
    by_name: dict[str, bool] = {}
    for key, connects in (("connect", True), ("refuse", False)):
        for node in people[key].items() if key in people else ():
            word = node.among([*known, *sorted(sets)])
            chosen = by_name if word in known else by_set
            for name in [word] if word in known else [n for n, its in known.items() if word in (_ALL, its)]:
                if chosen.setdefault(name, connects) is not connects:
                    raise node.wrong(f"has {word!r}, and clients.connect has {name!r} too")
    return by_set | by_name


def _exactly(node: Node, known: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        name: {key: value.text() for key, value in each.fields(_GETS).items()}
        for name, each in node.fields(known).items()
    }


def compare(expectations: Expectations, posture: Posture) -> tuple[Deviation, ...]:
    """Return where a posture is not as expected; what is unknown is a deviation of its own kind."""
    if posture.unreachable is not None:
        return (Deviation("target", "an answer", posture.unreachable.value, unknown=True),)
    parts = (_versions, _ciphers, _groups, _rest, _connections)
    return tuple(deviation for part in parts for deviation in part(expectations, posture))


def _versions(expectations: Expectations, posture: Posture) -> Iterator[Deviation]:
    for version in ProtocolVersion if expectations.versions is not None else ():
        wanted = protocol(version) in (expectations.versions or ())
        offer = posture.versions.get(version)
        if offer is None or offer.offered is Offered.UNKNOWN:
            yield Deviation(str(version), _offered(wanted), spelled(offer) if offer else "not asked", unknown=True)
        elif (offer.offered is Offered.OFFERED) is not wanted:
            yield Deviation(str(version), _offered(wanted), spelled(offer))


def _offered(wanted: bool) -> str:  # noqa: FBT001 - one argument
    return Offered.OFFERED.value if wanted else Offered.NOT_OFFERED.value


def _ciphers(expectations: Expectations, posture: Posture) -> Iterator[Deviation]:
    for name, listing in expectations.ciphers.items():
        version = PROTOCOLS[name]
        offer = posture.versions.get(version)
        orders = [order for order in posture.ciphers if order.version is version]
        seen = [tuple(frozenset(map(str, alike)) for alike in order.preference) for order in orders]
        complete = all(order.complete for order in orders) and bool(orders)
        complete = complete or (offer is not None and offer.offered is Offered.NOT_OFFERED)
        yield from _listings(f"{version} ciphers", listing, seen, complete=complete)


def _groups(expectations: Expectations, posture: Posture) -> Iterator[Deviation]:
    if expectations.groups is None:
        return
    names = [(order, [group(each) for each in order.groups]) for order in posture.groups]
    seen = [
        tuple(frozenset([n]) for n in found) if order.server_decides else (frozenset(found),) for order, found in names
    ]
    complete = all(
        order.complete and not (expectations.groups.order and order.server_decides is None and order.groups[1:])
        for order in posture.groups
    )
    yield from _listings("groups", expectations.groups, seen, complete=complete and bool(posture.groups))


def _listings(what: str, wanted: Listing, seen: Sequence[Ranks], *, complete: bool) -> Iterator[Deviation]:
    """Compare the names in all lists together, then, where it counts, the order of each list."""
    all_seen, all_wanted = _union(*seen), _union(wanted.ranks)
    if all_seen - all_wanted or (complete and all_seen != all_wanted):
        yield Deviation(what, _listed(all_wanted), _listed(all_seen))
    elif not complete:
        yield Deviation(what, _listed(all_wanted), f"{_listed(all_seen)}, and perhaps more", unknown=True)
    for ranks in seen if wanted.order and complete else ():
        expected = tuple(rank & _union(ranks) for rank in wanted.ranks if rank & _union(ranks))
        found = tuple(rank & all_wanted for rank in ranks if rank & all_wanted)
        if expected != found:
            yield Deviation(f"{what}, order", _ranked(expected), _ranked(found))


def _union(*lists: Ranks) -> frozenset[str]:
    return frozenset(name for ranks in lists for rank in ranks for name in rank)


def _ranked(ranks: Ranks) -> str:
    return " > ".join(" = ".join(sorted(rank)) for rank in ranks)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _rest(expectations: Expectations, posture: Posture) -> Iterator[Deviation]:
    if expectations.alpn is not None and expectations.alpn != set(posture.alpn):
        unknown = not posture.alpn and not posture.ciphers  # a scan of versions and clients only
        yield Deviation("ALPN", _listed(expectations.alpn), _listed(posture.alpn), unknown)
    wanted, seen = expectations.client_authentication, str(posture.client_authentication)
    if wanted is not None and wanted != seen:
        unknown = posture.client_authentication is ClientAuthentication.UNKNOWN
        yield Deviation("client certificate", wanted, seen, unknown)
    noticed = {True: "noticed", False: "not noticed", None: "unknown"}
    if expectations.fallback_scsv is not None and expectations.fallback_scsv is not posture.fallback_scsv:
        unknown = posture.fallback_scsv is None
        yield Deviation("downgrade", noticed[expectations.fallback_scsv], noticed[posture.fallback_scsv], unknown)
    names = expectations.certificate_names
    if names is None:
        return
    if not posture.certificates:
        yield Deviation("certificate", _listed(names), "unknown", unknown=True)
    for certificate in posture.certificates:
        if names != frozenset(certificate.names):
            yield Deviation(f"certificate {certificate.subject}", _listed(names), _listed(certificate.names))


def _connections(expectations: Expectations, posture: Posture) -> Iterator[Deviation]:
    found = {client.name: client for client in posture.clients}
    for name in dict.fromkeys((*expectations.clients, *expectations.exactly)):
        connects = expectations.clients.get(name, name in expectations.exactly)
        wanted = expectations.exactly.get(name, {})
        expected = "  ".join(wanted.values()) or ("a connection" if connects else "no connection")
        client = found.get(name)
        if client is None or client.unknown:
            yield Deviation(name, expected, client.reason if client else "not simulated", unknown=True)
            continue
        got = connection(client.answer)
        row = dict(zip(_GETS, got, strict=True)) if got else {}
        if bool(got) is not connects or any(row.get(key) != value for key, value in wanted.items()):
            yield Deviation(name, expected, result(client) if got else f"{result(client)} - {client.reason}")
