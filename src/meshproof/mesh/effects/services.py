"""What a Service does to the proxies that know it: they have endpoints for it, so that the first request has an answer.

istiod sends endpoints apart from the routes that lead to them (EDS), and Kubernetes has them only when pods are ready.
Source: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/service_discovery
"""

from __future__ import annotations

from collections.abc import Iterator

from meshproof.cluster.objects import Document
from meshproof.mesh.effects.effect import Documents, Effect, has_labels, key_of
from meshproof.mesh.envoy import Proxies, ProxyConfig
from meshproof.mesh.manifests import is_waited_for

_EXPORT = "networking.istio.io/exportTo"
_HEADLESS = "None"


def effects_of_service(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what a Service does whose pods come with the same documents: it has endpoints wherever it is known.

    A headless one has none in a proxy, which takes the address that the application has asked for.
    """
    spec, annotations = document["spec"], document["metadata"].get("annotations", {})
    selector = spec.get("selector")
    if not selector or spec.get("clusterIP") == _HEADLESS or _EXPORT in annotations:
        return
    namespace, name = key_of(document)
    if not any(_has_pods_of(each, namespace, selector) for each in together):
        return
    ending = f"||{name}.{namespace}.svc.cluster.local"

    def places(config: ProxyConfig) -> Iterator[bool]:
        for cluster in config.clusters:
            if cluster.startswith("outbound|") and cluster.endswith(ending):
                yield config.endpoints.get(cluster, 0) > 0

    yield Effect(Proxies(), f"endpoints of {name}.{namespace}", places, where_it_can=True)


def _has_pods_of(document: Document, namespace: str, selector: dict[str, str]) -> bool:
    """Return whether a document is a Deployment whose pods a Service selects, and which has to become ready."""
    if document["kind"] != "Deployment" or key_of(document)[0] != namespace or not is_waited_for(document):
        return False
    labels = document["spec"]["template"]["metadata"].get("labels", {})
    return document["spec"].get("replicas", 1) > 0 and has_labels(selector, labels)
