"""Faults in a VirtualService: the gateways that it binds to, and where its routes lead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshproof.cluster.gateway_ports import FIXED
from meshproof.input_files import Node, nearest
from meshproof.mesh.effects.hosts import hosts_meet
from meshproof.mesh.effects.routes import MESH
from meshproof.mesh.faults.document import Written
from meshproof.mesh.faults.parts import at, list_at, need, value_at
from meshproof.mesh.faults.world import World, service_of


def virtual_service(document: Written, world: World) -> Iterator[str]:
    """Look at the gateways that a VirtualService binds to, and at its routes."""
    hosts = [host.text() for host in need(document.node, "spec", "hosts").items()]
    bound = at(document.node, "spec", "gateways")
    gateways = [gateway for gateway in (bound.items() if bound else []) if gateway.value != MESH]
    for gateway in gateways:
        yield from _binding(document, world, gateway, hosts)
    routes = [route for kind in ("http", "tls", "tcp") for route in list_at(document.node, "spec", kind)]
    if not routes:
        yield document.fault("has no route under `http`, `tls` or `tcp`")
    for route in routes:
        for target in list_at(route, "route"):
            yield from _destination(document, world, need(target, "destination"))
    for match in (match for route in list_at(document.node, "spec", "tls") for match in list_at(route, "match")):
        need(match, "sniHosts").items()
        if not gateways or not document.is_waited_for or value_at(match, "gateways") == [MESH]:
            continue
        port, fixed = need(match, "port"), [port.number for port in FIXED]
        if port.number() not in fixed:
            yield document.fault(
                f"is about port {port.value}, which the ingress gateway does not have: "
                f"choose from {', '.join(map(str, fixed))}",
                port,
            )


def _binding(document: Written, world: World, bound: Node, hosts: Sequence[str]) -> Iterator[str]:
    """Look at a gateway that a VirtualService names: whether it is there, and serves one of the hosts."""
    namespace, _, name = bound.text().rpartition("/")
    gateways = world.of("Gateway", namespace or document.namespace)
    if name not in gateways:
        yield document.fault(
            f"binds to the Gateway {bound.value}, which no manifest has: {nearest(name, gateways)}", bound
        )
        return
    served = [
        host.text() for server in list_at(gateways[name].node, "spec", "servers") for host in list_at(server, "hosts")
    ]
    if not any(hosts_meet(ours, theirs.rpartition("/")[2]) for ours in hosts for theirs in served):
        yield document.fault(
            f"is for {', '.join(hosts)}, and its Gateway {bound.value} serves {', '.join(served)}: no request could "
            "come to it",
            bound,
        )


def _destination(document: Written, world: World, destination: Node) -> Iterator[str]:
    """Look at where a route leads: whether there is such a Service, with such a port."""
    host = need(destination, "host")
    name, namespace = service_of(host.text(), document.namespace)
    if not name:
        return  # a host that may be anywhere
    services = world.of("Service", namespace)
    if name not in services:
        yield document.fault(
            f"leads to the Service {host.value}, which no manifest has: {nearest(name, services)}", host
        )
        return
    ports = [value_at(port, "port") for port in list_at(services[name].node, "spec", "ports")]
    number = at(destination, "port", "number")
    if number is not None and number.number() not in ports:
        yield document.fault(
            f"leads to port {number.value} of the Service {name}, which has {', '.join(map(str, ports))}", number
        )
