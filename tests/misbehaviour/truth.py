"""What is true of a server, and which statements of a posture are not.

What a server offers is told by its settings, and not by a scan. Only two things are read off a scan of the server when
it is well-behaved, which `make parity` holds against testssl.sh: what each named client gets, and OpenSSL's own groups.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from meshproof.certificates.authority import Authority
from meshproof.certificates.leaf import Leaf
from meshproof.posture.spelling import connection
from meshproof.tls import Offered, Options, Posture, ProtocolVersion, Target, scan_one
from meshproof.tls.protocol.clients import built_in
from meshproof.tls.scanner.findings import ClientAuthentication
from tests.support.certificates import HOST, SERVER
from tests.support.servers import Behaviour, server_context, serving, speak

SSL_2, SSL_3 = ProtocolVersion.SSL_2, ProtocolVersion.SSL_3
TLS_1_0, TLS_1_1 = ProtocolVersion.TLS_1_0, ProtocolVersion.TLS_1_1
TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
CLIENTS = built_in().of("seed")

Connection = tuple[str, str, str]
"""Protocol, cipher suite and forward secrecy, as in the table of clients."""

Kind = tuple[ProtocolVersion, str | None]
"""A version and the kind of certificate that its suites go with."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is true of one endpoint.

    Attributes:
        offered: The versions.
        suites: The cipher suites, by version and kind of certificate, best first.
        ordered: Whether the server has that order; False where there are several servers.
        groups: The groups before TLS 1.3 (False) and in it (True).
        alpn: The application protocols.
        certificates: The fingerprints of the certificates.
        authentication: Whether a client certificate is wanted; None where no answer is true.
        fallback_scsv: Whether a downgrade is noticed; both where that depends on the server that is met.
        clients: What each client may get; None among it is no connection.
    """

    offered: frozenset[ProtocolVersion]
    suites: Mapping[Kind, tuple[int, ...]]
    ordered: bool = True
    groups: Mapping[bool, frozenset[int]]
    alpn: frozenset[str]
    certificates: frozenset[str]
    authentication: ClientAuthentication | None
    fallback_scsv: frozenset[bool]
    clients: Mapping[str, frozenset[Connection | None]]

    def refusing(self, *versions: ProtocolVersion) -> Facts:
        """Return what is true where something in front lets nobody have these versions."""
        return replace(
            self,
            offered=self.offered - set(versions),
            suites={kind: codes for kind, codes in self.suites.items() if kind[0] not in versions},
        )

    def without(self, clients: Iterable[str]) -> Facts:
        """Return what is true where these clients get no connection."""
        return replace(self, clients={**self.clients, **{name: frozenset({None}) for name in clients}})

    def beside(self, other: Facts) -> Facts:
        """Return what is true of an endpoint with two servers: what either offers is offered."""
        return Facts(
            offered=self.offered | other.offered,
            suites={
                kind: tuple({*self.suites.get(kind, ()), *other.suites.get(kind, ())})
                for kind in (*self.suites, *other.suites)
            },
            ordered=False,
            groups={new: self.groups[new] | other.groups[new] for new in (False, True)},
            alpn=self.alpn | other.alpn,
            certificates=self.certificates | other.certificates,
            authentication=self.authentication if self.authentication is other.authentication else None,
            fallback_scsv=self.fallback_scsv if self.offered == other.offered else frozenset({True, False}),
            clients={name: _either(mine, other.clients[name]) for name, mine in self.clients.items()},
        )


def _either(one: frozenset[Connection | None], other: frozenset[Connection | None]) -> frozenset[Connection | None]:
    """Return what a client may get of two servers; that it gets no connection is true only if neither gives one."""
    both = one | other
    return both - {None} if both != {None} else both


@dataclass(frozen=True, kw_only=True, eq=False)
class Server:
    """A well-behaved server: OpenSSL, as Python has it.

    Attributes:
        oldest: The oldest version.
        newest: The newest.
        leaves: The certificates.
        curve: The only group, as OpenSSL calls it, and its code; None for OpenSSL's own.
        ciphers: The cipher suites before TLS 1.3, as OpenSSL writes them.
        alpn: The application protocols.
        clients: Whose client certificate is required; None asks for none.
    """

    oldest: ProtocolVersion = TLS_1_2
    newest: ProtocolVersion = TLS_1_3
    leaves: tuple[Leaf, ...] = (SERVER,)
    curve: tuple[str, int] | None = None
    ciphers: str = "DEFAULT"
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    clients: Authority | None = None

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What OpenSSL needs."""
        context = server_context(
            *self.leaves,
            oldest=ssl.TLSVersion(self.oldest.code),
            newest=ssl.TLSVersion(self.newest.code),
            curve=self.curve[0] if self.curve else None,
        )
        context.set_ciphers(f"{self.ciphers}:@SECLEVEL=0")
        context.set_alpn_protocols(list(self.alpn))
        if self.clients:
            context.load_verify_locations(cadata=self.clients.pem.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    @property
    def behaviour(self) -> Behaviour:
        """Speak TLS."""
        return speak(self.context)

    @cached_property
    def facts(self) -> Facts:
        """What is true of it."""
        offered = frozenset(each for each in ProtocolVersion if self.oldest.code <= each.code <= self.newest.code)
        kinds = {_kind(leaf) for leaf in self.leaves}
        suites = {
            (version, kind): self._suites(version, kind)
            for version in offered
            for kind in ({None} if version is TLS_1_3 else kinds)
        }
        return Facts(
            offered=offered,
            suites=suites,
            groups=self._groups(),
            alpn=frozenset(self.alpn),
            certificates=frozenset(leaf.fingerprint for leaf in self.leaves),
            authentication=ClientAuthentication.REQUIRED if self.clients else ClientAuthentication.NOT_REQUESTED,
            fallback_scsv=frozenset({True} if len(offered) > 1 else ()),
            clients={name: frozenset({got}) for name, got in _clients(self).items()},
        )

    def _groups(self) -> Mapping[bool, frozenset[int]]:
        groups = dict.fromkeys((False, True), frozenset({self.curve[1]})) if self.curve else usual_groups()
        ephemeral = any(suite["kea"] == "kx-ecdhe" for suite in self.context.get_ciphers())
        return groups if ephemeral else {**groups, False: frozenset()}

    def _suites(self, version: ProtocolVersion, kind: str | None) -> tuple[int, ...]:
        """Return the suites that go with a version and a kind of certificate; there are no primes for DHE.

        Python tells OpenSSL to follow the server's order.
        """
        exchanges = {None: {"kx-any"}, "ECDSA": {"kx-ecdhe"}}.get(kind, {"kx-ecdhe", "kx-rsa"})
        authentication = f"auth-{kind or 'any'}".lower()
        protocols = {TLS_1_3: {"TLSv1.3"}, TLS_1_2: {"TLSv1.2", "TLSv1.0", "SSLv3"}}.get(version, {"TLSv1.0", "SSLv3"})
        return tuple(
            suite["id"] & 0xFFFF
            for suite in self.context.get_ciphers()
            if suite["kea"] in exchanges and suite["auth"] == authentication and suite["protocol"] in protocols
        )


@cache
def usual_groups() -> Mapping[bool, frozenset[int]]:
    """Return the groups of a server that has no settings for them: before TLS 1.3, and in it."""
    found = _scanned(Server(), lists=True)
    return {order.version is TLS_1_3: frozenset(group.code for group in order.groups) for order in found.groups}


def _kind(leaf: Leaf) -> str:
    key = x509.load_pem_x509_certificate(leaf.chain_pem).public_key()
    return "RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA"


def _clients(server: Server) -> dict[str, Connection | None]:
    found = _scanned(server, lists=False)
    assert not any(client.unknown for client in found.clients)
    return {client.name: connection(client.answer) for client in found.clients}


def _scanned(server: Server, *, lists: bool) -> Posture:
    with serving(server.behaviour) as address:
        return scan_one(Target(address, HOST), Options(clients=() if lists else CLIENTS, lists=lists))


def false_statements(posture: Posture, alternatives: Sequence[Facts]) -> list[str]:
    """Return what a posture says that is not so: what is true in none of the alternatives."""
    false = [dict.fromkeys(_false(posture, facts)) for facts in alternatives]
    return [statement for statement in false[0] if all(statement in each for each in false)]


def _false(posture: Posture, facts: Facts) -> Iterator[str]:
    for judge in (_of_versions, _of_suites, _of_groups, _of_the_rest, _of_clients):
        yield from judge(posture, facts)


def _of_versions(posture: Posture, facts: Facts) -> Iterator[str]:
    for version, offer in posture.versions.items():
        if offer.offered is Offered.OFFERED and version not in facts.offered:
            yield f"{version} is offered"
        if offer.offered is Offered.NOT_OFFERED and version in facts.offered:
            yield f"{version} is not offered"


def _of_suites(posture: Posture, facts: Facts) -> Iterator[str]:
    told = set()
    for order in posture.ciphers:
        kind = order.version, order.certificate
        told.add(kind)
        listed, true = [suite.code for suite in order.suites], facts.suites.get(kind, ())
        yield from _of_list(f"cipher suites of {order}", listed, true, complete=order.complete)
        in_order = [code for code in true if code in listed]
        if (
            facts.ordered
            and order.ordered
            and (listed != in_order or any(len(alike) > 1 for alike in order.preference))
        ):
            yield f"cipher suites of {order}: they are not in the server's order"
    if _lists_are_due(posture):
        for kind, suites in facts.suites.items():
            if suites and kind[0] in posture.offered and kind not in told:
                yield f"no word of the cipher suites of {kind[0]} {kind[1] or ''}"


def _of_groups(posture: Posture, facts: Facts) -> Iterator[str]:
    for order in posture.groups:
        true = facts.groups[order.version is TLS_1_3]
        yield from _of_list(
            f"groups of {order.version}", [group.code for group in order.groups], true, complete=order.complete
        )
    told = {order.version is TLS_1_3 for order in posture.groups}
    if _lists_are_due(posture):
        for version in posture.offered:
            new = version is TLS_1_3
            if version.code >= TLS_1_0.code and facts.groups[new] and new not in told:
                yield f"no word of the groups of {version}"


def _lists_are_due(posture: Posture) -> bool:
    """Say whether a list that is not there says that there is nothing to list."""
    return posture.unreachable is None and (posture.listed or not posture.unknown)


def _of_list(what: str, listed: Sequence[object], true: Collection[object], *, complete: bool) -> Iterator[str]:
    wrong = sorted(str(item) for item in listed if item not in true)
    if wrong:
        yield f"{what}: {', '.join(wrong)}"
    if complete and not set(true) <= set(listed):
        yield f"{what}: {len(listed)} of {len(true)} are all"


def _of_the_rest(posture: Posture, facts: Facts) -> Iterator[str]:
    due = _lists_are_due(posture)
    shown = [certificate.fingerprint for certificate in posture.certificates]
    yield from _of_list("application protocols", posture.alpn, facts.alpn, complete=due and posture.alpn_complete)
    yield from _of_list("certificates", shown, facts.certificates, complete=due and posture.certificates_complete)
    if posture.client_authentication not in (ClientAuthentication.UNKNOWN, facts.authentication):
        yield f"client certificate {posture.client_authentication}"
    if posture.fallback_scsv not in (None, *facts.fallback_scsv):
        yield f"TLS_FALLBACK_SCSV: {posture.fallback_scsv}"


def _of_clients(posture: Posture, facts: Facts) -> Iterator[str]:
    for client in posture.clients:
        got = connection(client.answer)
        if not client.unknown and got not in facts.clients[client.name]:
            yield f"{client.name}: {' '.join(got) if got else 'no connection'}"
