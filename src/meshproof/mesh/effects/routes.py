"""What the routes of a VirtualService do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meshproof.cluster.objects import Document, name_of
from meshproof.cluster.ports import TARGETS
from meshproof.errors import ClusterError
from meshproof.mesh.effects.effect import INGRESS, Effect, Gateways, key_of
from meshproof.mesh.effects.gateways import PLAIN
from meshproof.mesh.effects.hosts import bare, hosts_meet
from meshproof.mesh.envoy import ProxyConfig


def effects_of_passing(routes: Sequence[Mapping[str, Any]]) -> Iterator[Effect]:
    """Return what the TLS routes of a VirtualService do."""
    ports = TARGETS
    for match in (match for route in routes for match in route["match"]):
        yield from (_passes(ports[match["port"]], host) for host in match["sniHosts"])


def effects_of_routes(document: Document, gateways: Gateways) -> Iterator[Effect]:
    """Return what the HTTP routes of a VirtualService do: they are in each server that has a host of its hosts."""
    namespace, name = key_of(document)
    for bound in document["spec"].get("gateways", ["mesh"]):
        where, _, gateway = bound.rpartition("/")
        if (where or namespace, gateway) not in gateways:
            raise ClusterError(
                f"{name_of(document)} can't be waited for: it binds to the gateway {bound}, and its manifest has no "
                "such Gateway."
            )
        for server in gateways[where or namespace, gateway]["spec"]["servers"]:
            port = server["port"]
            meets = any(
                hosts_meet(ours, bare(theirs)) for ours in document["spec"]["hosts"] for theirs in server["hosts"]
            )
            if not meets or server.get("tls", {}).get("mode") == "PASSTHROUGH":
                continue
            if port["protocol"].upper() in PLAIN:
                routes = f"http.{TARGETS[port['number']]}"
            else:
                routes = f"https.{port['number']}.{port['name']}.{gateway}.{where or namespace}"
            yield _routes(routes, f"/namespaces/{namespace}/virtual-service/{name}")


def _passes(port: int, host: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ("transport_socket" not in chain for chain in config.chains(port, host))

    return Effect(INGRESS, f"TLS that is passed on for {host} on port {port}", places)


def _routes(routes: str, of: str) -> Effect:
    def places(config: ProxyConfig) -> list[bool]:
        return [f'{of}"' in json.dumps(config.routes.get(routes, {}))]

    return Effect(INGRESS, f"{of} in the routes {routes}", places)
