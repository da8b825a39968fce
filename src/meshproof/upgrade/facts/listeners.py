"""The posture of each TLS listener of the ingress gateway, as a client meets it: what `meshproof scan` finds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby

from meshproof import tls
from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.gateways import INGRESS_DEPLOYMENT, INGRESS_GATEWAY, INGRESS_HOST
from meshproof.posture import comparison, spelling
from meshproof.tls import Address, Certificate, ClientAuthentication, GroupOrder, Options, Posture, SuiteOrder, Target
from meshproof.tls.protocol.clients import built_in
from meshproof.upgrade.evidence import UNKNOWN
from meshproof.upgrade.facts.names import CLIENT, POSTURE
from meshproof.upgrade.facts.proxies import workload_of

_GATEWAY_API = "gateway.networking.k8s.io/"
GATEWAYS = {"Gateway": ("networking.istio.io/v1", f"{_GATEWAY_API}v1", f"{_GATEWAY_API}v1beta1")}
"""Istio's Gateways, and those of the Gateway API where a cluster has that."""
_ENDS_TLS_OR_PASSES_IT = ("HTTPS", "TLS")
_OF_HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")
_CLIENT = CLIENT.removeprefix(": ")
NOT_LOOKED_AT = "not looked at: the port of the gateway is not on this machine"
"""The posture of a server that nobody can get at from here, before the upgrade as after it."""
_GATEWAY = f"{istio.NAMESPACE}/{INGRESS_DEPLOYMENT}"
_ANY = "any"  # the label that stands for a wildcard of which no host is known


def postures(names: Collection[tuple[str, int]], gateway: Mapping[int, Address]) -> dict[str, str]:
    """Scan some TLS hosts of the gateway.

    Args:
        names: The server names, each with the port of the gateway's Service.
        gateway: Where these ports are on this machine.

    Returns:
        The rows of each posture, by their names; without serial numbers and dates of certificates.
    """
    facts, targets = dict[str, str](), dict[Target, str]()
    for host, port in sorted(names):
        name = f"{POSTURE}{host}:{port}"
        if port in gateway:
            targets[Target(gateway[port], host)] = name
        else:
            facts[name] = NOT_LOOKED_AT

    def take(posture: Posture) -> None:
        name = targets[posture.target]
        for row, value in rows(posture):
            facts[f"{name}: {row}" if row else name] = value

    tls.scan(targets, Options(clients=built_in().of("seed")), take)
    return facts


def server_names(
    gateways: Iterable[Document], hosts: Collection[str], labels: Mapping[str, str]
) -> set[tuple[str, int]]:
    """Return the server names that Gateways take TLS for, each with the port of the ingress gateway's Service.

    Args:
        gateways: The Gateways; those of another gateway do not count, such as one that Istio deploys for a Gateway of
            the Gateway API.
        hosts: Server names that stand for the wildcards that they fit.
        labels: Those of the ingress gateway's pods, see ``labels_of``.
    """
    return {
        (name, port)
        for document in gateways
        for host, port in (_listeners(document) if _is_of_gateway_api(document) else _servers(document, labels))
        for name in _names(host, hosts)
    }


def labels_of(pods: Iterable[Document]) -> dict[str, str]:
    """Return the labels that all pods of the ingress gateway's Deployment have.

    Args:
        pods: All pods of a cluster.
    """
    of_gateway = [pod["metadata"].get("labels", {}).items() for pod in pods if workload_of(pod) == _GATEWAY]
    first, *others = of_gateway or [{"istio": INGRESS_GATEWAY}.items()]
    return {name: value for name, value in first if all((name, value) in labels for labels in others)}


def _is_of_gateway_api(document: Document) -> bool:
    return str(document["apiVersion"]).startswith(_GATEWAY_API)


def _servers(document: Document, labels: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Yield each host of a Gateway of Istio's that takes TLS, with its port, if it selects the ingress gateway.

    Without a selector it is for all gateways. A server takes TLS if its protocol says so, in upper or lower case, or if
    it has TLS settings and is not one of HTTP, for which these only redirect.

    Source: https://istio.io/latest/docs/reference/config/networking/gateway/
    """
    selector = document["spec"].get("selector") or {}
    if not selector.items() <= labels.items():
        return
    for server in document["spec"].get("servers") or []:
        protocol = str(server["port"].get("protocol", "")).upper()
        if protocol in _ENDS_TLS_OR_PASSES_IT or (server.get("tls") and protocol not in _OF_HTTP):
            for host in server.get("hosts") or []:
                yield host.rpartition("/")[2], server["port"]["number"]


def _listeners(document: Document) -> Iterator[tuple[str, int]]:
    """Yield the same of one of the Gateway API, if it names the ingress gateway's Service as its address.

    Source: https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api/#manual-deployment
    """
    namespace = document["metadata"]["namespace"]
    addresses = [str(address.get("value", "")) for address in document["spec"].get("addresses") or []]
    if INGRESS_HOST in (name if "." in name else f"{name}.{namespace}.svc.cluster.local" for name in addresses):
        for listener in document["spec"].get("listeners", []):
            if listener.get("protocol") in _ENDS_TLS_OR_PASSES_IT:
                yield listener.get("hostname") or "*", listener["port"]


def _names(host: str, hosts: Collection[str]) -> Iterator[str]:
    if not host.startswith("*"):
        yield host
    else:
        yield from [name for name in hosts if name.endswith(host[1:])] or [f"{_ANY}{host[1:] or '.invalid'}"]


def rows(posture: Posture) -> Iterator[tuple[str, str]]:
    """Yield what a posture says, a row each; the first, without a name, is whether the target answered."""
    if posture.unreachable:
        yield "", f"{UNKNOWN}{posture.unreachable.value}"
        return
    yield "", f"{UNKNOWN}{'; '.join(posture.contradictions)}" if posture.contradictions else "answers"
    for version, offer in posture.versions.items():
        unknown = offer.offered is tls.Offered.UNKNOWN
        yield str(version), f"{UNKNOWN}{spelling.offer(offer)}" if unknown else spelling.offer(offer)
    for suites in posture.ciphers:
        yield f"{suites} cipher suites", _suites(suites)
    for groups in posture.groups:
        yield f"{groups.version} groups", _groups(groups)
    yield "ALPN", _known(", ".join(posture.alpn) or "none", known=posture.listed and posture.alpn_complete)
    authentication = posture.client_authentication
    yield "client authentication", _known(str(authentication), known=authentication is not ClientAuthentication.UNKNOWN)
    yield (
        "TLS_FALLBACK_SCSV",
        comparison.fallback(posture) or f"{UNKNOWN}no handshake has shown it",
    )
    yield from _certificates(posture)
    for client in posture.clients:
        yield f"{_CLIENT}{client.name}", _known(spelling.result(client), known=comparison.concluded(client))


def _known(text: str, *, known: bool) -> str:
    return text if known else f"{UNKNOWN}{text}"


def _suites(order: SuiteOrder) -> str:
    ranks = [" = ".join(sorted(map(str, alike))) for alike in order.preference]
    return _known(" > ".join(ranks), known=order.complete and order.ordered)


def _groups(order: GroupOrder) -> str:
    between = ", " if order.server_decides is False else " > "
    return _known(between.join(map(spelling.group, order.groups)) or "none", known=order.complete)


def _certificates(posture: Posture) -> Iterator[tuple[str, str]]:
    def kind(certificate: Certificate) -> str:
        return certificate.key.partition(" ")[0]

    for name, certificates in groupby(sorted(posture.certificates, key=kind), kind):
        yield (
            f"{name} certificate",
            _known("; ".join(sorted(map(_certificate, certificates))), known=posture.certificates_complete),
        )


def _certificate(certificate: Certificate) -> str:
    """Return what counts of a certificate: all that is the same in one that is issued anew."""
    names = ", ".join(sorted(certificate.names)) or "no name"
    chain = "".join(f", then {issuer.subject} ({issuer.key})" for issuer in certificate.intermediates)
    kind = f"{certificate.key}, {certificate.signature}"
    return f"{certificate.subject} for {names}, {kind}, issued by {certificate.issuer}{chain}"
