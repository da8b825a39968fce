"""What the routes of a VirtualService do: in the gateways, and in the sidecars (the gateway ``mesh``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meshproof.cluster.objects import Document
from meshproof.mesh.effects.effect import Documents, Effect, GatewayPods, gateway_of, key_of, of_istio
from meshproof.mesh.effects.gateways import PLAIN
from meshproof.mesh.effects.hosts import bare, hosts_meet, whole_host
from meshproof.mesh.effects.visibility import is_known
from meshproof.mesh.envoy import Proxies, ProxyConfig

MESH = "mesh"
"""What a VirtualService binds to for the sidecars, and where it names no gateway."""


def effects_of_virtual_service(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what a VirtualService does to each gateway that it binds to."""
    for bound in document["spec"].get("gateways") or [MESH]:
        if bound == MESH:
            yield from _effects_on_sidecars(document, together)
        else:
            yield from _effects_on_gateway(document, bound, together)


def _effects_on_gateway(document: Document, bound: str, together: Documents) -> Iterator[Effect]:
    """Return what it does to the pods of a gateway: TLS that is passed on, and HTTP routes."""
    where, _, name = bound.rpartition("/")
    key = where or key_of(document)[0], name
    (gateway,) = (each for each in of_istio("Gateway", together) if key_of(each) == key)
    if (pods := gateway_of(gateway)) is None:
        return
    for match in matches_for(bound, document["spec"].get("tls", [])):
        yield from (_passes(pods.proxies, pods.targets[match["port"]], host) for host in match["sniHosts"])
    if matches_for(bound, document["spec"].get("http", [])):
        yield from _routes_of_servers(document, gateway, pods)


def _routes_of_servers(document: Document, gateway: Document, pods: GatewayPods) -> Iterator[Effect]:
    """Return what HTTP routes do to a Gateway: they are in each server that has a host of their hosts."""
    for server in gateway["spec"]["servers"]:
        port, hosts = server["port"], [bare(host) for host in server["hosts"]]
        meets = any(hosts_meet(ours, theirs) for ours in document["spec"]["hosts"] for theirs in hosts)
        if not meets or server.get("tls", {}).get("mode") == "PASSTHROUGH":
            continue
        if port["protocol"].upper() in PLAIN:
            routes = f"http.{pods.targets[port['number']]}"
        else:
            where, name = key_of(gateway)
            routes = f"https.{port['number']}.{port['name']}.{name}.{where}"
        yield _routes(pods.proxies, routes, _mark(document))


def _effects_on_sidecars(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what it does to the sidecars: its name is in the routes (HTTP) or in the listeners (TLS, TCP) of each."""
    for kind in ("http", "tls", "tcp"):
        if matches_for(MESH, document["spec"].get(kind, [])):
            yield _known(document, kind, together)


def _known(document: Document, kind: str, together: Documents) -> Effect:
    of, hosts = _mark(document), [whole_host(host, key_of(document)[0]) for host in document["spec"]["hosts"]]

    def places(config: ProxyConfig) -> Iterator[bool]:
        if config.is_sidecar and is_known(document, hosts, config, together):
            yield f'{of}"' in json.dumps(config.routes if kind == "http" else config.listeners)

    return Effect(Proxies(), f"{of} in the {kind} routes of the sidecars", places, where_it_can=True)


def matches_for(gateway: str, routes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the matches of routes that are for a gateway: a match may name some of those that its document binds to.

    A route without a match has one that is met by all.
    """
    matches = [match for route in routes for match in route.get("match") or [{}]]
    return [match for match in matches if gateway in (match.get("gateways") or [gateway])]


def _mark(document: Document) -> str:
    """Return how a proxy names a VirtualService in what comes of it."""
    namespace, name = key_of(document)
    return f"/namespaces/{namespace}/virtual-service/{name}"


def _passes(proxies: Proxies, port: int, host: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ("transport_socket" not in chain for chain in config.chains(port, host))

    return Effect(proxies, f"TLS that is passed on for {host} on port {port}", places)


def _routes(proxies: Proxies, routes: str, of: str) -> Effect:
    def places(config: ProxyConfig) -> list[bool]:
        return [f'{of}"' in json.dumps(config.routes.get(routes, {}))]

    return Effect(proxies, f"{of} in the routes {routes}", places)
