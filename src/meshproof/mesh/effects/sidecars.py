"""What a Sidecar does: what a proxy knows of the mesh, and what it lets in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.effects.destinations import is_outbound, namespace_of
from meshproof.mesh.effects.effect import Documents, Effect, key_of, of_istio
from meshproof.mesh.effects.visibility import hosts_of, is_for_sidecar, is_let_out, rank_of
from meshproof.mesh.envoy import Proxies, ProxyConfig

_CATCH_ALL = "virtualOutbound-catchall-tcp"
_ELSEWHERE = {"REGISTRY_ONLY": ("BlackHoleCluster", "block_all"), "ALLOW_ANY": ("PassthroughCluster", "allow_any")}
"""Where a sidecar leads connections and requests to a host that it does not know; the second is Istio's default."""


def effects_of_sidecar(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what a Sidecar does to the proxies that it selects.

    Of several that are for a proxy the one with a selector counts, then that of its namespace, then the mesh's.
    """
    (namespace, name), spec = key_of(document), document["spec"]
    labels = spec.get("workloadSelector", {}).get("labels", {})
    wide = not labels
    others = [each for each in of_istio("Sidecar", together) if each is not document]
    nearer = [each for each in others if rank_of(each) > rank_of(document)]
    proxies = Proxies() if wide and namespace == istio.NAMESPACE else Proxies(namespace, tuple(sorted(labels.items())))

    def is_for(config: ProxyConfig) -> bool:
        return is_for_sidecar(document, config) and not any(is_for_sidecar(each, config) for each in nearer)

    if "egress" in spec:
        hosts = hosts_of(document)

        def egress(config: ProxyConfig) -> Iterator[bool]:
            if is_for(config):
                clusters = [each for each in config.clusters.values() if is_outbound(each)]
                yield all(
                    is_let_out(each["name"].rpartition("|")[2], namespace_of(each), hosts, config.namespace)
                    for each in clusters
                )

        unseen = bool(others) or "*/*" in hosts
        yield Effect(proxies, f"no clusters but those of {', '.join(hosts)}", egress, unseen, wide)
    if (mode := spec.get("outboundTrafficPolicy", {}).get("mode")) in _ELSEWHERE:
        yield _elsewhere(proxies, mode, is_for, wide=wide)
    if "ingress" in spec:
        mark = f"/namespaces/{namespace}/sidecar/{name}"

        def ingress(config: ProxyConfig) -> Iterator[bool]:
            if is_for(config):
                yield f'{mark}"' in json.dumps(config.listeners)

        yield Effect(proxies, f"{mark} in the listeners", ingress, where_it_can=wide, drains=True)


def _elsewhere(proxies: Proxies, mode: str, is_for: Callable[[ProxyConfig], bool], *, wide: bool) -> Effect:
    """Return the effect of a mode of ``outboundTrafficPolicy``."""
    cluster, virtual_host = _ELSEWHERE[mode]
    either = {name for _, name in _ELSEWHERE.values()}

    def places(config: ProxyConfig) -> Iterator[bool]:
        if is_for(config):
            chains = config.listeners.get("virtualOutbound", {}).get("filter_chains", [])
            filters = [each for chain in chains if chain["name"] == _CATCH_ALL for each in chain["filters"]]
            yield cluster in {each["typed_config"].get("cluster") for each in filters}
            for routes in config.routes.values():
                yield from (
                    each["name"] == virtual_host for each in routes.get("virtual_hosts", []) if each["name"] in either
                )

    outlasts = mode == "ALLOW_ANY"
    return Effect(proxies, f"{mode} for hosts that it does not know", places, outlasts, where_it_can=wide)
