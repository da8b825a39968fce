"""What the proxies say of themselves: one of each workload, for its replicas are told the same.

It is the oldest one: if a pod has been left as it was before the upgrade it is that one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError, NotSettled
from meshproof.machine.wait import until
from meshproof.mesh import istio
from meshproof.mesh.envoy import ProxyConfig, has_ready_proxy
from meshproof.upgrade.evidence import UNKNOWN
from meshproof.upgrade.facts.configuration import active_listeners, identity, resources_of, with_names
from meshproof.upgrade.facts.names import CONFIGURATION, IN_STEP, PROXY

AT_ONCE = 8  # proxies that are asked side by side
PODS = {"Pod": ("v1",)}
_INBOUND, _PLAINTEXT = "virtualInbound", "raw_buffer"
_NOT_CONNECTED = "not connected"
_RECONNECTED = 30.0  # seconds; a proxy whose istiod is gone tries another one after up to 20
_SYNCED = "SYNCED"  # as istioctl proxy-status calls it
_KINDS = ("cluster", "listener", "route", "endpoint", "extensionconfig")


def workload_of(pod: Document) -> str:
    """Return the namespace and the name of what keeps a pod running, such as of its Deployment."""
    metadata = pod["metadata"]
    owner = next((owner["name"] for owner in metadata.get("ownerReferences", [])), metadata["name"])
    template = metadata.get("labels", {}).get("pod-template-hash", "")
    return f"{metadata['namespace']}/{owner.removesuffix(f'-{template}')}"


def one_of_each(kube: Kube) -> dict[str, tuple[str, str]]:
    """Return the namespace and name of the oldest ready pod with a proxy of each workload."""
    pods = [pod for pod in kube.labelled("", PODS) if has_ready_proxy(pod)]
    return {
        workload_of(pod): (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for pod in sorted(pods, key=_made, reverse=True)
    }


def of_proxies(kube: Kube, addresses: Mapping[str, str]) -> dict[str, str]:
    """Ask a ready proxy of each workload what it has loaded, and who it says that it is.

    Args:
        kube: The cluster.
        addresses: The names of what has an address.
    """
    ready = one_of_each(kube)

    def ask(workload: str) -> dict[str, str]:
        try:
            dump = istio.pod_request(kube, *ready[workload], "config_dump")
        except ClusterError as error:
            return {f"{kind}{workload}": f"{UNKNOWN}{error}" for kind in (PROXY, CONFIGURATION)}
        itself, loaded = identity(dump) | promises(dump), resources_of(with_names(dump, addresses))
        return {
            f"{PROXY}{workload}": "answers",
            **{f"{PROXY}{workload}: {what}": value for what, value in itself.items()},
            f"{CONFIGURATION}{workload}": "loaded",
            **{f"{CONFIGURATION}{workload}: {name}": value for name, value in loaded.items()},
        }

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {name: value for facts in pool.map(ask, ready) for name, value in facts.items()}


def promises(dump: str) -> dict[str, str]:
    """Return what a proxy holds its clients to: its policies, and of a sidecar the ports that take plaintext."""
    config = ProxyConfig(active_listeners(dump), secrets={}, routes={})
    policies = sorted({f"{action} {name}" for chain in config.policies() for action, name in chain})
    facts = {"policies": ", ".join(policies) or "none"}
    if config.is_sidecar:
        matches = [chain.get("filter_chain_match", {}) for chain in config.listeners[_INBOUND]["filter_chains"]]
        ports = {match.get("destination_port", 0) for match in matches if match.get("transport_protocol") == _PLAINTEXT}
        named = [f"on port {port}" for port in sorted(ports) if port] + ["on any other port"] * (0 in ports)
        facts["takes plaintext"] = ", ".join(named) or "on no port"
    return facts


def _made(pod: Document) -> str:
    return str(pod["metadata"]["creationTimestamp"])


def in_step(pages: Iterable[str], workloads: Mapping[str, str]) -> dict[str, str]:
    """Return of each workload whether its proxies have acknowledged all that istiod has sent them.

    Args:
        pages: What each istiod has under ``debug/syncz``.
        workloads: The workloads of ready pods, by ``name.namespace``; pods that are going do not count.
    """
    kinds = {
        status["proxy"]: [kind for kind in _KINDS if status.get(f"{kind}_sent") != status.get(f"{kind}_acked")]
        for page in pages
        for status in json.loads(page) or []
    }
    behind: dict[str, set[str]] = {}
    for pod, workload in workloads.items():
        behind.setdefault(f"{IN_STEP}{workload}", set()).update(kinds.get(pod, [_NOT_CONNECTED]))
    return {name: f"not yet: {', '.join(sorted(late))}" if late else _SYNCED for name, late in behind.items()}


def settled(kube: Kube) -> dict[str, str]:
    """Return the same of now, or of when all are in step, if they are soon: what is sent just now is no fact."""

    def look() -> dict[str, str]:
        ready = [pod for pod in kube.labelled("", PODS) if has_ready_proxy(pod)]
        names = {f"{pod['metadata']['name']}.{pod['metadata']['namespace']}": workload_of(pod) for pod in ready}
        return in_step(istio.control_plane_pages(kube, "debug/syncz"), names)

    def are_synced(facts: Mapping[str, str]) -> bool:
        return set(facts.values()) <= {_SYNCED}

    try:
        return until(look, "in step", are_synced, what="What the proxies have acknowledged", timeout=_RECONNECTED)
    except NotSettled:
        return look()
