"""The objects that a cluster has, as far as they count for STRICT."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from meshproof.cluster.objects import Document
from meshproof.mesh.manifests import KINDS
from meshproof.mesh.readiness.traffic import PlaintextRequest
from meshproof.mesh.readiness.workloads import is_behind, is_running

WANTED = {kind: KINDS.get(kind, ("v1",)) for kind in ("Namespace", "Node", "Pod", "Service", "PeerAuthentication")}
"""The kinds, each with its API versions."""


class World:
    """The objects that there are."""

    def __init__(self, objects: Iterable[Document]) -> None:
        of_kind: dict[str, list[Document]] = {kind: [] for kind in WANTED}
        for each in objects:
            of_kind[each["kind"]].append(each)
        self.namespaces = {each["metadata"]["name"]: each for each in of_kind["Namespace"]}
        self.pods = [pod for pod in of_kind["Pod"] if is_running(pod)]
        self.services = of_kind["Service"]
        self.policies = of_kind["PeerAuthentication"]
        self._nodes = of_kind["Node"]

    def services_of(self, pod: Document) -> list[Document]:
        """Return the Services that lead to a pod."""
        return [service for service in self.services if is_behind(pod, service)]

    def pod_at(self, request: PlaintextRequest) -> Document | None:
        """Return the pod that sent a request; None if its address is no pod's own, or was that of an earlier one."""
        for pod in self.pods:
            began = pod["metadata"]["creationTimestamp"]
            if pod["status"].get("podIP") == request.address and not pod["spec"].get("hostNetwork"):
                return pod if request.began >= began else None
        return None

    def is_node(self, address: str) -> bool:
        """Return whether an address is one of a node's own, by which what is on its network comes."""
        return any(
            address in {each["address"] for each in node["status"].get("addresses", [])}
            or any(ip_address(address) == ip_network(each)[1] for each in node["spec"].get("podCIDRs") or [])
            for node in self._nodes
        )

    def is_of_pods(self, address: str) -> bool:
        """Return whether an address is one that pods get."""
        ranges = [each for node in self._nodes for each in node["spec"].get("podCIDRs") or []]
        return any(ip_address(address) in ip_network(each) for each in ranges)
