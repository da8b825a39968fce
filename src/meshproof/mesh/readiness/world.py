"""The objects that a cluster has, as far as they count for STRICT."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from meshproof.cluster.objects import Document
from meshproof.mesh.manifests import KINDS
from meshproof.mesh.readiness.counters import PlaintextRequest
from meshproof.mesh.readiness.pods import full_name, is_there, labels_of, owners_of
from meshproof.mesh.readiness.services import is_behind
from meshproof.mesh.testbed import LABEL

KINDS_NEEDED = {
    **{kind: KINDS.get(kind, ("v1",)) for kind in ("Namespace", "Node", "Pod", "Service", "PeerAuthentication")},
    "Deployment": KINDS["Deployment"],
    "CronJob": ("batch/v1",),
}
"""The kinds, each with its API versions."""


class World:
    """The objects that there are."""

    def __init__(self, objects: Iterable[Document]) -> None:
        of_kind: dict[str, list[Document]] = {kind: [] for kind in KINDS_NEEDED}
        for document in objects:
            of_kind[document["kind"]].append(document)
        self.namespaces = {document["metadata"]["name"]: document for document in of_kind["Namespace"]}
        self.pods = [pod for pod in of_kind["Pod"] if is_there(pod)]
        self.services = of_kind["Service"]
        self.policies = of_kind["PeerAuthentication"]
        self.cron_jobs = [job for job in of_kind["CronJob"] if not job["spec"].get("suspend")]
        self.applications = {full_name(document) for document in of_kind["Deployment"] if LABEL in labels_of(document)}
        self._nodes = of_kind["Node"]

    @property
    def workloads(self) -> set[str]:
        """The names of what has pods, or makes some at its time."""
        return {*map(str, owners_of(self.pods)), *map(full_name, self.cron_jobs)}

    def services_of(self, pod: Document) -> list[Document]:
        """Return the Services that lead to a pod."""
        return [service for service in self.services if is_behind(pod, service)]

    def pod_at(self, request: PlaintextRequest) -> Document | None:
        """Return the pod that sent a request; None if its address is no pod's own, or was that of an earlier one."""
        for pod in self.pods:
            addresses = [pod.get("status", {}).get("podIP"), *_listed(pod.get("status", {}).get("podIPs"), "ip")]
            if request.address in addresses and not pod["spec"].get("hostNetwork"):
                return pod if request.began >= pod["metadata"]["creationTimestamp"] else None
        return None

    def nodes_at(self, address: str) -> set[str]:
        """Return the nodes that have an address of their own, by which what is on their network comes."""
        return {
            node["metadata"]["name"]
            for node in self._nodes
            if address in _listed(node["status"].get("addresses"), "address")
            or any(ip_address(address) == ip_network(network)[1] for network in node["spec"].get("podCIDRs") or [])
        }

    def is_of_pods(self, address: str) -> bool:
        """Return whether an address is one that pods get."""
        networks = [network for node in self._nodes for network in node["spec"].get("podCIDRs") or []]
        return any(ip_address(address) in ip_network(network) for network in networks)


def _listed(entries: Iterable[Document] | None, key: str) -> list[str]:
    return [str(entry[key]) for entry in entries or []]
