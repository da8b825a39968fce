"""What the servers of a Gateway do, and the Secrets that they, and rules for what leaves the mesh, name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.effects.effect import Documents, Effect, GatewayPods, gateway_of, of_istio
from meshproof.mesh.effects.hosts import bare
from meshproof.mesh.effects.tls_settings import CLIENT_CA, settings, settings_in_force
from meshproof.mesh.envoy import Proxies, ProxyConfig

PLAIN = ("HTTP", "HTTP2", "GRPC")
"""Protocols of a server that ends no TLS."""


def effects_of_gateway(document: Document, _: Documents) -> Iterator[Effect]:
    """Return what a Gateway does."""
    if pods := gateway_of(document):
        for server in document["spec"]["servers"]:
            yield from _effects_of_server(server, pods)


def _effects_of_server(server: Mapping[str, Any], pods: GatewayPods) -> Iterator[Effect]:
    """Return what a server of a Gateway does; that of one that passes TLS on comes with its VirtualService."""
    port, tls = pods.targets[server["port"]["number"]], server.get("tls", {})
    hosts = [bare(host) for host in server["hosts"]]
    if server["port"]["protocol"].upper() in PLAIN:
        yield _takes_http(pods.proxies, port)
        if tls.get("httpsRedirect"):
            yield from (_redirects(pods.proxies, port, host) for host in hosts)
    elif tls.get("mode") != "PASSTHROUGH":
        yield from (_ends_tls(pods.proxies, port, host, settings(tls)) for host in hosts)


def effects_of_secret(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what a Secret does: nothing, unless a server names it, or a rule for what gateways send."""
    if document["metadata"]["namespace"] != istio.NAMESPACE:
        return
    name = document["metadata"]["name"]
    for gateway in of_istio("Gateway", together):
        if pods := gateway_of(gateway):
            servers = [server.get("tls", {}) for server in gateway["spec"]["servers"]]
            modes = {tls.get("mode", "SIMPLE") for tls in servers if tls.get("credentialName") == name}
            yield from _of_a_server(document, pods.proxies, modes)
    if any(_sends_with(rule, name) for rule in of_istio("DestinationRule", together)):
        yield from _of_what_is_sent(document)


def _of_a_server(secret: Document, proxies: Proxies, modes: set[str]) -> Iterator[Effect]:
    """Return what a Secret does to the gateway whose servers name it; its authority counts if they ask for clients."""
    name, data = secret["metadata"]["name"], secret["data"]
    if modes:
        yield _credential(proxies, "certificate", name, data["tls.crt"], ProxyConfig.shows)
    if "ca.crt" in data and modes & {*CLIENT_CA}:
        yield _credential(proxies, "authority of the clients", name, data["ca.crt"], ProxyConfig.trusts)


def _sends_with(rule: Document, name: str) -> bool:
    """Return whether a DestinationRule names a Secret, in whatever field of its TLS settings."""
    return f'"credentialName": "{name}"' in json.dumps(rule["spec"])


def _of_what_is_sent(secret: Document) -> Iterator[Effect]:
    """Return what a Secret does to the gateways that show it to servers: to those with a cluster that names it.

    Source: https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings
    """
    name, data = secret["metadata"]["name"], secret["data"]
    yield _sent("certificate to show to servers", name, data["tls.crt"], ProxyConfig.shows)
    if "ca.crt" in data:
        yield _sent("authority of the servers", name, data["ca.crt"], ProxyConfig.trusts)


def _sent(what: str, name: str, content: str, shown: Callable[[ProxyConfig, str, bytes], bool]) -> Effect:
    pem = base64.b64decode(content)

    def places(config: ProxyConfig) -> Iterator[bool]:
        if f'"kubernetes://{name}"' in json.dumps(config.clusters):
            yield shown(config, name, pem)

    gateways = Proxies(istio.NAMESPACE)
    return Effect(gateways, f"this run's {what} {name}", places, outlasts=True, where_it_can=True)


def _takes_http(proxies: Proxies, port: int) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ("transport_socket" not in chain for chain in config.chains(port))

    return Effect(proxies, f"a listener for HTTP on port {port}", places)


def _redirects(proxies: Proxies, port: int, host: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        hosts = config.routes.get(f"http.{port}", {}).get("virtual_hosts", [])
        return (each.get("require_tls") == "ALL" for each in hosts if host in each["domains"])

    return Effect(proxies, f"a redirect to HTTPS for {host} on port {port}", places)


def _ends_tls(proxies: Proxies, port: int, host: str, settings: Mapping[str, object]) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return (settings.items() <= settings_in_force(chain).items() for chain in config.chains(port, host))

    words = ", ".join(f"{name} {value}" for name, value in settings.items())
    return Effect(proxies, f"TLS for {host} on port {port} ({words})", places)


def _credential(
    proxies: Proxies, what: str, name: str, content: str, shown: Callable[[ProxyConfig, str, bytes], bool]
) -> Effect:
    pem = base64.b64decode(content)
    return Effect(proxies, f"this run's {what} {name}", lambda config: [shown(config, name, pem)], outlasts=True)
