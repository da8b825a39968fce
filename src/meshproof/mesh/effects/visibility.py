"""Who can see a document: the namespaces that it is exported to, and what a Sidecar leaves of it."""

from __future__ import annotations

from collections.abc import Sequence

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.effects.effect import Documents, has_labels, of_istio
from meshproof.mesh.effects.hosts import hosts_meet
from meshproof.mesh.envoy import ProxyConfig


def is_exported(document: Document, namespace: str) -> bool:
    """Return whether a document is exported to a namespace; one that does not say is exported to all.

    Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/ (``exportTo``)
    """
    own = document["metadata"]["namespace"]
    targets = document.get("spec", {}).get("exportTo") or ["*"]
    return "*" in targets or namespace in targets or ("." in targets and namespace == own)


def is_for_sidecar(sidecar: Document, config: ProxyConfig) -> bool:
    """Return whether a Sidecar selects a proxy; one of ``istio-system`` without a selector is for the whole mesh."""
    labels = sidecar.get("spec", {}).get("workloadSelector", {}).get("labels", {})
    namespace = sidecar["metadata"]["namespace"]
    here = namespace == config.namespace or (namespace == istio.NAMESPACE and not labels)
    return config.is_sidecar and here and has_labels(labels, config.labels)


def is_known(document: Document, hosts: Sequence[str], config: ProxyConfig, together: Documents) -> bool:
    """Return whether a proxy gets to know what a document says of some hosts."""
    namespace = document["metadata"]["namespace"]
    sidecars = [each for each in of_istio("Sidecar", together) if is_for_sidecar(each, config)]
    nearest = max(sidecars, key=rank_of, default=None)
    if not is_exported(document, config.namespace) or nearest is None or "egress" not in nearest["spec"]:
        return is_exported(document, config.namespace)
    return any(is_let_out(host, namespace, hosts_of(nearest), config.namespace) for host in hosts)


def hosts_of(sidecar: Document) -> list[str]:
    """Return the hosts that a Sidecar lets its proxies know, each with its namespace."""
    return [host for listener in sidecar["spec"]["egress"] for host in listener["hosts"]]


def is_let_out(host: str, namespace: str, hosts: Sequence[str], own: str) -> bool:
    """Return whether a Sidecar lets a proxy know a host.

    Args:
        host: The host.
        namespace: That of its Service, or of the document that is about it.
        hosts: Those of the Sidecar, such as ``./*`` or ``istio-system/*``.
        own: The namespace of the proxy.
    """
    return any(
        hosts_meet(let_out, host)
        for where, _, let_out in (each.partition("/") for each in hosts)
        if where in ("*", namespace) or (where == "." and namespace == own)
    )


def rank_of(document: Document) -> int:
    """Return how near a Sidecar is: 0 for that of the mesh, 1 for a namespace's, 2 for one with a selector."""
    if document["spec"].get("workloadSelector"):
        return 2
    return 0 if document["metadata"]["namespace"] == istio.NAMESPACE else 1
