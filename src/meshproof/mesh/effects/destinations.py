"""What a DestinationRule does to the clusters of its host, and a ServiceEntry to the proxies that get its hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.effects.effect import Documents, Effect, key_of, of_istio
from meshproof.mesh.effects.hosts import is_within, whole_host
from meshproof.mesh.effects.visibility import is_exported, is_known
from meshproof.mesh.envoy import Proxies, ProxyConfig

_HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")  # protocols of a port whose requests are routed by their host
_NAMELESS = ("TCP", "MONGO", "MYSQL", "REDIS")  # protocols whose connections tell no host


def effects_of_destination_rule(document: Document, _: Documents) -> Iterator[Effect]:
    """Return what a DestinationRule does: the clusters of its host have its name, and its subsets are there.

    It counts for clients in its own namespace and for hosts of its own namespace; one of ``istio-system`` for all.
    Source: https://istio.io/latest/docs/ops/best-practices/traffic-management/#cross-namespace-configuration
    """
    (namespace, name), spec = key_of(document), document["spec"]
    host, labels = whole_host(spec["host"], namespace), spec.get("workloadSelector", {}).get("matchLabels", {})
    mark = f"/namespaces/{namespace}/destination-rule/{name}"
    subsets = ["", *(subset["name"] for subset in spec.get("subsets", []))]

    def places(config: ProxyConfig) -> Iterator[bool]:
        if not is_exported(document, config.namespace):
            return
        for cluster in [each for each in config.clusters.values() if is_outbound(each)]:
            _, port, subset, its_host = cluster["name"].split("|")
            if (
                subset
                or not is_within(its_host, host)
                or not {namespace} & {istio.NAMESPACE, config.namespace, namespace_of(cluster)}
            ):
                continue
            wanted = [config.clusters.get(f"outbound|{port}|{subset}|{its_host}", {}) for subset in subsets]
            yield from (str(_told(each).get("config", "")).endswith(mark) for each in wanted)

    proxies = Proxies(namespace, tuple(sorted(labels.items()))) if labels else Proxies()
    words = f" with {', '.join(subsets[1:])}" if subsets[1:] else ""
    yield Effect(proxies, f"{mark}{words} in the clusters of {host}", places, where_it_can=True)


def effects_of_service_entry(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what a ServiceEntry does: each of its hosts has a cluster for each port, and sidecars have a way to it."""
    spec = document["spec"]
    for host in spec["hosts"]:
        for port in spec.get("ports", []):
            yield _cluster(document, together, host, port["number"])
            if not _is_led_elsewhere(host, port, together):
                yield _way(document, together, host, port)


def _cluster(document: Document, together: Documents, host: str, port: int) -> Effect:
    name = f"outbound|{port}||{host}"

    def places(config: ProxyConfig) -> Iterator[bool]:
        if is_known(document, [host], config, together):
            yield name in config.clusters

    return Effect(Proxies(), f"a cluster {name}", places, where_it_can=True)


def _way(document: Document, together: Documents, host: str, port: Mapping[str, Any]) -> Effect:
    """Return the effect that a sidecar's routes or listeners name a host; another document's may do so, too."""
    number, routed = port["number"], port["protocol"].upper() in _HTTP

    def places(config: ProxyConfig) -> Iterator[bool]:
        if not is_known(document, [host], config, together):
            return
        if not config.is_sidecar:
            yield f"outbound|{number}||{host}" in config.clusters
        else:
            text = json.dumps(config.routes.get(str(number), {}) if routed else config.listeners).lower()
            yield f'"{host}"'.lower() in text or f'"outbound|{number}||{host}"'.lower() in text

    return Effect(Proxies(), f"a way to {host} port {number}", places, outlasts=True, where_it_can=True)


def _is_led_elsewhere(host: str, port: Mapping[str, Any], together: Documents) -> bool:
    """Return whether a VirtualService says where connections to a host go, whose names they don't carry."""
    return port["protocol"].upper() in _NAMELESS and any(
        "tcp" in each["spec"] and host in each["spec"]["hosts"] for each in of_istio("VirtualService", together)
    )


def is_outbound(cluster: Mapping[str, Any]) -> bool:
    """Return whether a cluster leads to a host of the mesh: then it is called ``outbound|PORT|SUBSET|HOST``."""
    return str(cluster["name"]).startswith("outbound|")


def namespace_of(cluster: Mapping[str, Any]) -> str:
    """Return the namespace of the Service or the ServiceEntry that a cluster is for."""
    services = _told(cluster).get("services", [])
    return str(services[0].get("namespace", "")) if services else ""


def _told(cluster: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what Istio has written to a cluster about where it comes from."""
    told: Mapping[str, Any] = cluster.get("metadata", {}).get("filter_metadata", {}).get("istio", {})
    return told
