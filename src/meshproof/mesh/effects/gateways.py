"""What the servers of a Gateway do, and the Secrets that they name."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meshproof.cluster.gateway_ports import TARGETS
from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.effects.effect import INGRESS, SELECTOR, Documents, Effect, of_istio
from meshproof.mesh.effects.hosts import bare
from meshproof.mesh.effects.tls_settings import CLIENT_CA, settings, settings_in_force
from meshproof.mesh.envoy import ProxyConfig

PLAIN = ("HTTP", "HTTP2", "GRPC")
"""Protocols of a server that ends no TLS."""


def effects_of_gateway(document: Document, _: Documents) -> Iterator[Effect]:
    """Return what a Gateway does."""
    for server in document["spec"]["servers"]:
        yield from _effects_of_server(server)


def _effects_of_server(server: Mapping[str, Any]) -> Iterator[Effect]:
    """Return what a server of a Gateway does; that of one that passes TLS on comes with its VirtualService."""
    port, tls = TARGETS[server["port"]["number"]], server.get("tls", {})
    hosts = [bare(host) for host in server["hosts"]]
    if server["port"]["protocol"].upper() in PLAIN:
        yield _takes_http(port)
        if tls.get("httpsRedirect"):
            yield from (_redirects(port, host) for host in hosts)
    elif tls.get("mode") != "PASSTHROUGH":
        yield from (_ends_tls(port, host, settings(tls)) for host in hosts)


def effects_of_secret(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what a Secret does: nothing, unless a server names it; its authority counts if that asks for clients."""
    if document["metadata"]["namespace"] != istio.NAMESPACE:
        return
    name, data = document["metadata"]["name"], document["data"]
    gateways = [each for each in of_istio("Gateway", together) if each["spec"].get("selector") == SELECTOR]
    servers = [server.get("tls", {}) for gateway in gateways for server in gateway["spec"]["servers"]]
    modes = {tls.get("mode", "SIMPLE") for tls in servers if tls.get("credentialName") == name}
    if modes:
        yield _credential("certificate", name, data["tls.crt"], ProxyConfig.shows)
    if "ca.crt" in data and modes & {*CLIENT_CA}:
        yield _credential("authority of the clients", name, data["ca.crt"], ProxyConfig.trusts)


def _takes_http(port: int) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ("transport_socket" not in chain for chain in config.chains(port))

    return Effect(INGRESS, f"a listener for HTTP on port {port}", places)


def _redirects(port: int, host: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        hosts = config.routes.get(f"http.{port}", {}).get("virtual_hosts", [])
        return (each.get("require_tls") == "ALL" for each in hosts if host in each["domains"])

    return Effect(INGRESS, f"a redirect to HTTPS for {host} on port {port}", places)


def _ends_tls(port: int, host: str, settings: Mapping[str, object]) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return (settings.items() <= settings_in_force(chain).items() for chain in config.chains(port, host))

    words = ", ".join(f"{name} {value}" for name, value in settings.items())
    return Effect(INGRESS, f"TLS for {host} on port {port} ({words})", places)


def _credential(what: str, name: str, content: str, shown: Callable[[ProxyConfig, str, bytes], bool]) -> Effect:
    pem = base64.b64decode(content)
    return Effect(INGRESS, f"this run's {what} {name}", lambda config: [shown(config, name, pem)], outlasts=True)
