"""Clients that send plaintext: why, by configuration, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.readiness.workloads import annotations_of, labels_of

_CLUSTERS = "config_dump?resource=dynamic_active_clusters"
_INJECT = "sidecar.istio.io/inject"
_NAMESPACE_LABELS = ("istio-injection", "istio.io/rev")
_AUTO = "tlsMode-istio"
_OF_THE_MESH = '"istio'  # begins the ALPN that mutual TLS of the mesh offers


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a client's traffic is plaintext.

    Attributes:
        reason: As a sentence.
        remedy: What to do.
    """

    reason: str
    remedy: str


def why_without_sidecar(pod: Document, namespace: Document, restart: str) -> Cause:
    """Return why a pod has no sidecar.

    Args:
        pod: The pod.
        namespace: The object of its namespace.
        restart: What replaces its pods.

    Source: https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/
    """
    if pod["spec"].get("hostNetwork"):
        return Cause(
            "It is on the network of its node (hostNetwork), where a pod gets no sidecar.",
            "take it off that network, or keep what it calls PERMISSIVE at that port",
        )
    asked = labels_of(pod).get(_INJECT) or annotations_of(pod).get(_INJECT)
    if asked == "false":
        where = "label" if labels_of(pod).get(_INJECT) else "annotation"
        return Cause(
            f"Its {where} {_INJECT} says false.", f"take the {where} out of the template: that replaces the pods"
        )
    name, labels = namespace["metadata"]["name"], labels_of(namespace)
    if not any(labels.get(each) for each in _NAMESPACE_LABELS) or labels.get("istio-injection") == "disabled":
        if asked != "true":
            return Cause(
                f"Its namespace has no label {_NAMESPACE_LABELS[0]}=enabled.",
                f"kubectl label --overwrite namespace {name} {_NAMESPACE_LABELS[0]}=enabled; {restart}",
            )
    elif (labelled := _labelled(namespace)) and labelled >= pod["metadata"]["creationTimestamp"]:
        return Cause("It is older than the label of its namespace, and was not restarted since.", restart)
    return Cause(
        "It asks for a sidecar, and was made without one: older than what asks for it, or istiod did not answer.",
        restart,
    )


def _labelled(namespace: Document) -> str:
    """Return when a namespace was last given the label that asks for sidecars; empty if that is not known."""
    times = []
    for entry in namespace["metadata"].get("managedFields") or []:
        labels = entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels") or {}
        if any(f"f:{label}" in labels for label in _NAMESPACE_LABELS):
            times.append(str(entry.get("time") or ""))
    return max(times, default="")


@dataclass(frozen=True, slots=True)
class Plain:
    """A port of a host to which a proxy sends no mutual TLS of the mesh.

    Attributes:
        host: The host of the Service.
        port: Of the Service.
        cause: Why.
    """

    host: str
    port: int
    cause: Cause


def plain_of(kube: Kube, pod: Document) -> list[Plain]:
    """Ask the proxy of a pod where it would send plaintext even to a server with a sidecar.

    Raises:
        ClusterError: It did not answer.
    """
    metadata = pod["metadata"]
    dump = istio.pod_request(kube, metadata["namespace"], metadata["name"], _CLUSTERS)
    return list(read_clusters(each["cluster"] for each in json.loads(dump).get("configs", [])))


def read_clusters(clusters: Iterable[Mapping[str, Any]]) -> Iterator[Plain]:
    """Read the clusters that a proxy has; see ``plain_of``.

    Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto
    """
    for cluster in clusters:
        if not cluster["name"].startswith("outbound|"):
            continue
        _, port, subset, host = cluster["name"].split("|")
        own = json.dumps(cluster.get("transport_socket", {}))
        matches = {match["name"] for match in cluster.get("transport_socket_matches", [])}
        if _AUTO in matches or _OF_THE_MESH in own:
            continue
        told = cluster.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "")
        *_, namespace, kind, name = ("", "", "", *str(told).split("/"))
        sends = "TLS of another kind" if cluster.get("transport_socket") else "plaintext"
        only = f" (subset {subset})" if subset else ""
        if kind == "destination-rule":
            cause = Cause(
                f"DestinationRule {namespace}/{name} has it send {sends}{only}.",
                f"take tls.mode out of DestinationRule {namespace}/{name}, or make it ISTIO_MUTUAL",
            )
        else:
            cause = Cause(f"Its proxy sends {sends} there{only}.", "look at enableAutoMtls of the mesh")
        yield Plain(host, int(port), cause)
