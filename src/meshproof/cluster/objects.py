"""Objects of Kubernetes as plain data, as they stand in a manifest and as the API gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

OF_KUBERNETES = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
"""Namespaces of Kubernetes and kind themselves, in which Istio gives no pod a sidecar.

Source: IgnoredNamespaces in Istio's pkg/kube/inject/inject.go
"""


def name_of(document: Document) -> str:
    """Return an object's name as an error has it: ``Kind namespace/name``.

    Istio and Kubernetes have a kind Gateway each; Kubernetes' is called ``Kubernetes Gateway``.
    """
    metadata, kind = document["metadata"], document["kind"]
    if kind == "Gateway" and document.get("apiVersion", "").startswith("gateway.networking.k8s.io/"):
        kind = "Kubernetes Gateway"
    return f"{kind} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")


def containers_of(pod: Document) -> list[Document]:
    """Return a pod's containers, those that begin before the others too: a native sidecar is one of these."""
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def strings(value: object) -> Iterator[str]:
    """Yield each string in a value of YAML, at whatever depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
