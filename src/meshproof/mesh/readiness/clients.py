"""Clients that send plaintext: why, by configuration, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import OF_KUBERNETES, Document
from meshproof.mesh import istio
from meshproof.mesh.readiness.pods import annotations_of, labels_of

_CLUSTERS = "config_dump?resource=dynamic_active_clusters"
_INJECT = "sidecar.istio.io/inject"
_INJECTION, _REVISION = "istio-injection", "istio.io/rev"
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
    """
    if cause := what_forbids_a_sidecar(pod, namespace, restart):
        return cause
    labelled = _labelled(namespace) if _asks(namespace) else ""
    if labelled and labelled >= pod["metadata"]["creationTimestamp"]:
        return Cause("It is older than the label of its namespace, and was not restarted since.", restart)
    return Cause(
        "It asks for a sidecar, and was made without one: older than what asks for it, istiod did not answer, or there "
        "is none of the revision that it asks for.",
        restart,
    )


def what_forbids_a_sidecar(pod: Document, namespace: Document, restart: str) -> Cause | None:
    """Return why a pod would get no sidecar if it were made now; None if it would; see ``why_without_sidecar``.

    Args:
        pod: The pod, or the template of one.
        namespace: The object of its namespace.
        restart: What replaces its pods.

    Of the labels of a namespace, ``istio-injection`` goes before ``istio.io/rev``. An annotation of a pod can keep it
    from a sidecar, but does not ask for one: istiod is called by labels only.

    Source: https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/
    """
    if pod["spec"].get("hostNetwork"):
        return Cause(
            "It is on the network of its node (hostNetwork), where a pod gets no sidecar.",
            "take it off that network, or keep what it calls PERMISSIVE at that port",
        )
    name, labels = namespace["metadata"]["name"], labels_of(namespace)
    if name in OF_KUBERNETES:
        return Cause(
            f"It is in {name}, where Istio gives no pod a sidecar.", "keep what it calls PERMISSIVE at that port"
        )
    where, choice = _choice(pod)
    if choice == "false":
        return Cause(
            f"Its {where} {_INJECT} says false.", f"take the {where} out of the template: that replaces the pods"
        )
    by_itself = not labels.keys() & {_INJECTION, _REVISION} and (
        (where, choice) == ("label", "true") or _REVISION in labels_of(pod)
    )
    if by_itself or _asks(namespace):
        return None
    return Cause(
        f"Its namespace has no label {_INJECTION}=enabled.",
        f"kubectl label --overwrite namespace {name} {_INJECTION}=enabled; {restart}",
    )


def _asks(namespace: Document) -> bool:
    """Return whether a namespace asks for sidecars."""
    labels = labels_of(namespace)
    return labels.get(_INJECTION) == "enabled" or (_INJECTION not in labels and bool(labels.get(_REVISION)))


def _choice(pod: Document) -> tuple[str, str]:
    """Return where a pod itself says whether it gets a sidecar, and what; a label goes before an annotation."""
    if _INJECT in labels_of(pod):
        return "label", labels_of(pod)[_INJECT]
    return "annotation", annotations_of(pod).get(_INJECT, "")


def _labelled(namespace: Document) -> str:
    """Return when a namespace was last given the label that asks for sidecars; empty if that is not known."""
    times = []
    for entry in namespace["metadata"].get("managedFields") or []:
        labels = entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels") or {}
        if any(f"f:{label}" in labels for label in (_INJECTION, _REVISION)):
            times.append(str(entry.get("time") or ""))
    return max(times, default="")


@dataclass(frozen=True, slots=True)
class Plain:
    """A port of a host to which a proxy sends no mutual TLS of the mesh.

    Attributes:
        host: The host of the Service.
        port: Of the Service.
        cause: Why.
        by_rule: Whether a DestinationRule says so; if not, it may follow from what the server takes now.
    """

    host: str
    port: int
    cause: Cause
    by_rule: bool


def plain_of(kube: Kube, pod: Document) -> list[Plain]:
    """Ask the proxy of a pod where it would send plaintext even to a server with a sidecar.

    Raises:
        ClusterError: It did not answer.
    """
    metadata = pod["metadata"]
    dump = istio.pod_request(kube, metadata["namespace"], metadata["name"], _CLUSTERS)
    return list(read_clusters(entry["cluster"] for entry in json.loads(dump).get("configs", [])))


def read_clusters(clusters: Iterable[Mapping[str, Any]]) -> Iterator[Plain]:
    """Read the clusters that a proxy has; see ``plain_of``.

    Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto
    """
    for cluster in clusters:
        if not cluster["name"].startswith("outbound|"):
            continue
        _, port, subset, host = cluster["name"].split("|")
        socket = json.dumps(cluster.get("transport_socket", {}))
        matches = {match["name"] for match in cluster.get("transport_socket_matches", [])}
        if _AUTO in matches or _OF_THE_MESH in socket:
            continue
        rule = cluster.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "")
        *_, namespace, kind, name = ("", "", "", *str(rule).split("/"))
        sends = "TLS of another kind" if cluster.get("transport_socket") else "plaintext"
        only = f" (subset {subset})" if subset else ""
        by_rule = kind == "destination-rule"
        if by_rule:
            cause = Cause(
                f"DestinationRule {namespace}/{name} has it send {sends}{only}.",
                f"take tls.mode out of DestinationRule {namespace}/{name}, or make it ISTIO_MUTUAL",
            )
        else:
            cause = Cause(f"Its proxy sends {sends} there{only}.", "look at enableAutoMtls of the mesh")
        yield Plain(host, int(port), cause, by_rule)
