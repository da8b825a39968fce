"""Faults in what says where requests go: DestinationRule, ServiceEntry, Sidecar, and the routes of the Gateway API."""

from __future__ import annotations

from collections.abc import Iterator

from meshproof.input_files import Node, nearest
from meshproof.mesh.effects.hosts import hosts_meet
from meshproof.mesh.faults.document import Written, named
from meshproof.mesh.faults.parts import at, list_at, need, value_at
from meshproof.mesh.faults.policies import selects
from meshproof.mesh.faults.world import World, certificate_of, service_of
from meshproof.mesh.gateways import GATEWAY_HOSTS
from meshproof.mesh.manifests import CERTIFICATE, CLIENT_CA


def destination_rule(document: Written, world: World) -> Iterator[str]:
    """Look at the host of a DestinationRule, and at whom it is for."""
    yield from _known(document, world, need(document.node, "spec", "host"))
    for subset in list_at(document.node, "spec", "subsets"):
        need(subset, "name").text()
    yield from selects(document, world, "spec", "workloadSelector", "matchLabels")


def service_entry(document: Written, world: World) -> Iterator[str]:
    """Look at the hosts and ports of a ServiceEntry, at the pods that it selects, and at its server if it has one."""
    for host in need(document.node, "spec", "hosts").items():
        host.text()
    for port in list_at(document.node, "spec", "ports"):
        need(port, "number").number()
        need(port, "protocol").text()
    yield from selects(document, world, "spec", "workloadSelector", "labels")
    yield from _server_outside(document, world)


def _server_outside(document: Written, world: World) -> Iterator[str]:
    """Look at the annotations that say what the server of a ServiceEntry shows, and whom it lets in."""
    certificate = at(document.node, "metadata", "annotations", CERTIFICATE)
    authority = at(document.node, "metadata", "annotations", CLIENT_CA)
    if certificate is None:
        if authority:
            yield document.fault(
                f"says whose clients a server lets in, and not what it shows: {CERTIFICATE}", authority
            )
        return
    yield from certificate_of(document, certificate, world)
    yield from named(document, authority, "authority", world.certificates.authorities)
    if (resolution := need(document.node, "spec", "resolution")).value != "STATIC":
        raise resolution.is_not("STATIC, for the server has an address and no name in DNS")
    if endpoints := at(document.node, "spec", "endpoints"):
        yield document.fault("has endpoints, and those of its server are put in at run time", endpoints)


def sidecar(document: Written, world: World) -> Iterator[str]:
    """Look at whom a Sidecar selects, and at the hosts that it lets its proxy know."""
    yield from selects(document, world, "spec", "workloadSelector", "labels")
    for listener in list_at(document.node, "spec", "egress"):
        for host in need(listener, "hosts").items():
            where, slash, _ = host.text().partition("/")
            if not slash:
                raise host.is_not("a namespace and a host, such as ./* or istio-system/*")
            if where not in ("*", ".", "~", *world.namespaces()):
                yield document.fault(
                    f"lets a proxy know hosts of the namespace {where}, which no manifest makes: "
                    f"{nearest(where, world.namespaces())}",
                    host,
                )


def gateway_api_route(document: Written, world: World) -> Iterator[str]:
    """Look at the Gateways that a route of the Gateway API is for, and at the Services that it leads to."""
    for parent in list_at(document.node, "spec", "parentRefs"):
        if value_at(parent, "kind") in (None, "Gateway"):
            yield from _refers(document, world, parent, "Gateway", gateway_api=True)
    for rule in list_at(document.node, "spec", "rules"):
        for backend in list_at(rule, "backendRefs"):
            if value_at(backend, "kind") in (None, "Service"):
                yield from _refers(document, world, backend, "Service", gateway_api=False)


def _refers(document: Written, world: World, reference: Node, kind: str, *, gateway_api: bool) -> Iterator[str]:
    """Look whether what a route refers to is there."""
    name, where = need(reference, "name"), at(reference, "namespace")
    there = world.of(kind, where.text() if where else document.namespace, gateway_api=gateway_api)
    if name.text() not in there:
        what = "Kubernetes Gateway" if gateway_api else kind
        yield document.fault(f"names the {what} {name.value}, which is not there: {nearest(name.text(), there)}", name)


def _known(document: Written, world: World, host: Node) -> Iterator[str]:
    """Look whether a host is that of a Service or of a ServiceEntry."""
    name, namespace = service_of(host.text(), document.namespace)
    services = world.of("Service", namespace)
    entries = [each for each in world.documents if each.kind == "ServiceEntry"]
    others = [each.text() for entry in entries for each in list_at(entry.node, "spec", "hosts")]
    if name and "*" not in name and name not in services:
        yield document.fault(f"is for the Service {host.value}, which no manifest has: {nearest(name, services)}", host)
    elif not name and host.text() not in GATEWAY_HOSTS and not any(hosts_meet(host.text(), other) for other in others):
        yield document.fault(
            f"is for {host.value}, which is no Service of the cluster (NAME.NAMESPACE.svc.cluster.local), and no "
            f"ServiceEntry has it: {nearest(host.text(), others)}",
            host,
        )
