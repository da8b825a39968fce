"""What the proxies say of themselves: one of each Deployment, for its replicas are told the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError, NotSettled
from meshproof.machine.wait import until
from meshproof.mesh import istio
from meshproof.mesh.envoy import ProxyConfig, has_ready_proxy
from meshproof.upgrade.evidence import UNKNOWN
from meshproof.upgrade.facts.configuration import identity, resources_of, with_names
from meshproof.upgrade.facts.names import CONFIGURATION, IN_STEP, PROXY, REFUSED, SOON

_AT_ONCE = 8  # proxies that are asked side by side
_REFUSED = "stats?type=Counters&filter=[.]update_rejected$"
_OF_A_POD = re.compile(r"-[a-z0-9]{5,10}-[a-z0-9]{5}$")  # what a Deployment adds to its name
_INBOUND, _PLAINTEXT = "virtualInbound", "raw_buffer"
_SYNCED = "SYNCED"  # as istioctl proxy-status calls it
_KINDS = ("cluster", "listener", "route", "endpoint", "extensionconfig")


def workload_of(pod: Document) -> str:
    """Return the namespace and the name of what keeps a pod running, such as of its Deployment."""
    metadata = pod["metadata"]
    owner = next((owner["name"] for owner in metadata.get("ownerReferences", [])), metadata["name"])
    template = metadata.get("labels", {}).get("pod-template-hash", "")
    return f"{metadata['namespace']}/{owner.removesuffix(f'-{template}')}"


def without_suffix(pod: str) -> str:
    """Return the name of a pod without what tells it from the other pods of its Deployment."""
    return _OF_A_POD.sub("", pod)


def of_proxies(kube: Kube, pods: Iterable[Document], addresses: Mapping[str, str]) -> dict[str, str]:
    """Ask a ready proxy of each workload what it has loaded and refused, and who it says that it is.

    Args:
        kube: The cluster.
        pods: Its pods.
        addresses: The names of what has an address.
    """
    ready = {workload_of(pod): pod for pod in sorted(pods, key=_made) if has_ready_proxy(pod)}

    def ask(workload: str) -> dict[str, str]:
        pod = ready[workload]["metadata"]
        try:
            dump = istio.pod_request(kube, pod["namespace"], pod["name"], "config_dump")
            refused = istio.pod_request(kube, pod["namespace"], pod["name"], _REFUSED)
        except ClusterError as error:
            return {f"{PROXY}{workload}": f"{UNKNOWN}: {error}"}
        return {
            f"{PROXY}{workload}": "answers",
            **{
                f"{PROXY}{workload}: {what}": value
                for what, value in (identity(dump) | promises(workload, dump)).items()
            },
            **{f"{REFUSED}{PROXY}{workload}: {name}": count for name, count in _counters(refused)},
            f"{CONFIGURATION}{workload}": "loaded",
            **{
                f"{CONFIGURATION}{workload}: {name}": value
                for name, value in resources_of(with_names(dump, addresses)).items()
            },
        }

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {name: value for facts in pool.map(ask, ready) for name, value in facts.items()}


def promises(workload: str, dump: str) -> dict[str, str]:
    """Return what a proxy holds its clients to: its policies, and of a sidecar the ports that take plaintext."""
    try:
        config = ProxyConfig.read(workload, dump)
    except ClusterError as error:
        return {"policies": f"{UNKNOWN}: {error}"}
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


def _counters(page: str) -> Iterator[tuple[str, str]]:
    for line in page.splitlines():
        name, _, count = line.rpartition(": ")
        if count.isdigit():
            yield name.removesuffix(".update_rejected"), count


def in_step(pages: Iterable[str]) -> dict[str, str]:
    """Return of each workload whether its proxies have acknowledged all that istiod has sent them.

    Args:
        pages: What each istiod has under ``debug/syncz``.
    """
    behind: dict[str, set[str]] = {}
    for status in (status for page in pages for status in json.loads(page) or []):
        pod, _, namespace = status["proxy"].partition(".")
        kinds = {kind for kind in _KINDS if status.get(f"{kind}_sent") != status.get(f"{kind}_acked")}
        behind.setdefault(f"{IN_STEP}{namespace}/{without_suffix(pod)}", set()).update(kinds)
    return {name: f"not yet: {', '.join(sorted(kinds))}" if kinds else _SYNCED for name, kinds in behind.items()}


def settled(kube: Kube) -> dict[str, str]:
    """Return the same of now, or of when all are in step, if they are soon: what is sent just now is no fact."""

    def look() -> dict[str, str]:
        return in_step(istio.control_plane_pages(kube, "debug/syncz"))

    def are_synced(facts: Mapping[str, str]) -> bool:
        return set(facts.values()) == {_SYNCED}

    try:
        return until(look, "in step", are_synced, what="What the proxies have acknowledged", timeout=SOON)
    except NotSettled:
        return look()
