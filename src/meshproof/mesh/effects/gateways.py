"""What the servers of a Gateway do, and the Secrets that they, and rules for what leaves the mesh, name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.effects.effect import Documents, Effect, GatewayPods, gateway_of, key_of, of_istio
from meshproof.mesh.effects.hosts import bare
from meshproof.mesh.effects.tls_settings import CLIENT_CA, are_in_force, settings
from meshproof.mesh.envoy import Proxies, ProxyConfig
from meshproof.mesh.manifests import CA_SUFFIX

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
    """Return what a Secret does: nothing, unless a server names it, or a rule for what gateways send.

    Its authority counts for servers that ask for clients. Of two certificates the one under ``cert`` counts, of two
    authorities that under ``cacert``; and that of a Secret of the same name with ``-cacert`` behind it, even if that
    has none.
    """
    namespace, name = key_of(document)
    if namespace != istio.NAMESPACE:
        return
    certificate, authority = (_first(document["data"], *keys) for keys in (("cert", "tls.crt"), ("cacert", "ca.crt")))
    beside = any(key_of(each) == (namespace, name + CA_SUFFIX) for each in together if each["kind"] == "Secret")
    trusting = [*([] if beside else [name]), *([name[: -len(CA_SUFFIX)]] if name.endswith(CA_SUFFIX) else [])]
    for gateway in of_istio("Gateway", together):
        if pods := gateway_of(gateway):
            if certificate is not None and _modes(name, gateway):
                yield _credential(pods.proxies, "certificate", name, certificate, ProxyConfig.shows)
            for credential in trusting:
                if authority is not None and _modes(credential, gateway) & {*CLIENT_CA}:
                    what = "authority of the clients"
                    yield _credential(pods.proxies, what, credential, authority, ProxyConfig.trusts)
    if any(_sends_with(rule, name) for rule in of_istio("DestinationRule", together)):
        yield from _of_what_is_sent(name, certificate, authority)


def _first(data: Mapping[str, str], *keys: str) -> str | None:
    """Return the content of the first of some keys that a Secret has; None where it has none of them."""
    return next((data[key] for key in keys if key in data), None)


def _modes(credential: str, gateway: Document) -> set[str]:
    """Return the modes of the servers of a gateway that name a credential."""
    servers = [server.get("tls", {}) for server in gateway["spec"]["servers"]]
    return {tls.get("mode", "SIMPLE") for tls in servers if tls.get("credentialName") == credential}


def _sends_with(rule: Document, name: str) -> bool:
    """Return whether a DestinationRule names a Secret, in whatever field of its TLS settings."""
    return f'"credentialName": "{name}"' in json.dumps(rule["spec"])


def _of_what_is_sent(name: str, certificate: str | None, authority: str | None) -> Iterator[Effect]:
    """Return what a Secret does to the gateways that show it to servers: to those with a cluster that names it.

    Source: https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings
    """
    if certificate is not None:
        yield _sent("certificate to show to servers", name, certificate, ProxyConfig.shows)
    if authority is not None:
        yield _sent("authority of the servers", name, authority, ProxyConfig.trusts)


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
        return (are_in_force(settings, chain, config.tls_defaults) for chain in config.chains(port, host))

    words, tls = ", ".join(f"{name} {value}" for name, value in settings.items()), f"TLS for {host} on port {port}"
    return Effect(proxies, f"{tls} ({words})", places, about=f"{tls}: {', '.join(settings)}")


def _credential(
    proxies: Proxies, what: str, name: str, content: str, shown: Callable[[ProxyConfig, str, bytes], bool]
) -> Effect:
    pem = base64.b64decode(content)
    return Effect(proxies, f"this run's {what} {name}", lambda config: [shown(config, name, pem)], outlasts=True)
