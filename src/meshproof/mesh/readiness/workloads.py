"""Workloads: pods of one owner that are alike in what STRICT would mean for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import pairwise

from meshproof.cluster.objects import Document
from meshproof.mesh import istio

OF_THE_CLUSTER = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
"""Namespaces of Kubernetes and kind themselves: they are looked at only where a proxy has seen them."""
_INIT = "istio-init"
_SIDECAR = "sidecar"
_CAPTURE = {
    "-b": "inbound",
    "-d": "inbound_left",
    "-q": "outbound",
    "-o": "outbound_left",
    "-i": "ranges",
    "-x": "ranges_left",
}
"""What pilot-agent's istio-iptables is given. Source: https://istio.io/latest/docs/reference/commands/pilot-agent/"""


@dataclass(frozen=True, slots=True)
class Workload:
    """Some pods.

    Attributes:
        namespace: Where they are.
        kind: What keeps them, such as ``Deployment``; ``Pod`` if nothing does.
        owner: Its name.
        pods: The pods.
    """

    namespace: str
    kind: str
    owner: str
    pods: tuple[Document, ...]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.owner}"

    @property
    def names(self) -> list[str]:
        """The names of its pods."""
        return sorted(pod["metadata"]["name"] for pod in self.pods)

    @property
    def restart(self) -> str:
        """What replaces its pods."""
        if self.kind in {"Deployment", "StatefulSet", "DaemonSet"}:
            return f"kubectl rollout restart {self.kind.lower()}/{self.owner} -n {self.namespace}"
        return f"make the {self.kind} anew"


def workloads_of(pods: Iterable[Document]) -> list[Workload]:
    """Return the workloads that pods belong to, by their names."""
    groups: dict[tuple[str, str, str], list[Document]] = {}
    for pod in pods:
        groups.setdefault((pod["metadata"]["namespace"], *_owner(pod)), []).append(pod)
    return [Workload(*key, tuple(members)) for key, members in sorted(groups.items())]


def _owner(pod: Document) -> tuple[str, str]:
    """Return the kind and the name of what keeps a pod; of a ReplicaSet, the Deployment that its name comes from."""
    owners = [each for each in pod["metadata"].get("ownerReferences") or [] if each.get("controller")]
    if not owners:
        return "Pod", pod["metadata"]["name"]
    kind, name = owners[0]["kind"], owners[0]["name"]
    template = labels_of(pod).get("pod-template-hash")
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        return "Deployment", name.removesuffix(f"-{template}")
    return kind, name


def labels_of(document: Document) -> Mapping[str, str]:
    """Return an object's labels."""
    labels: Mapping[str, str] = document["metadata"].get("labels") or {}
    return labels


def annotations_of(document: Document) -> Mapping[str, str]:
    """Return an object's annotations."""
    annotations: Mapping[str, str] = document["metadata"].get("annotations") or {}
    return annotations


def containers_of(pod: Document) -> list[Document]:
    """Return a pod's containers, those that begin before the others too: a native sidecar is one of these."""
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def has_sidecar(pod: Document) -> bool:
    """Return whether a pod has the proxy of an application; that of a gateway is none."""
    return any(each["name"] == istio.PROXY and _SIDECAR in (each.get("args") or []) for each in containers_of(pod))


def is_of_istio(pod: Document) -> bool:
    """Return whether a pod is a gateway or the control plane."""
    names = {each["name"] for each in containers_of(pod)}
    return not has_sidecar(pod) and (istio.PROXY in names or "discovery" in names)


def is_running(pod: Document) -> bool:
    """Return whether a pod has begun and neither ended nor was told to."""
    running: bool = pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    return running


@dataclass(frozen=True, slots=True)
class Capture:
    """What of a pod's traffic is led to its proxy: lists as istio-iptables takes them, ``*`` is everything."""

    inbound: str = "*"
    inbound_left: str = ""
    outbound: str = ""
    outbound_left: str = ""
    ranges: str = "*"
    ranges_left: str = ""

    @classmethod
    def of(cls, pod: Document) -> Capture | None:
        """Read it from what the pod was started with; None if that does not say."""
        for container in pod["spec"].get("initContainers") or []:
            if container["name"] == _INIT:
                words = [str(word) for word in container.get("args") or []]
                options = dict(pairwise(words))
                return cls(**{name: options[option] for option, name in _CAPTURE.items() if option in options})
        return None

    def lets_in(self, port: int) -> bool:
        """Return whether what comes in at a port reaches the application beside the proxy."""
        return port in _ports(self.inbound_left) or (self.inbound != "*" and port not in _ports(self.inbound))

    def lets_out(self, port: int, address: str) -> bool:
        """Return whether what goes out to a port of an address leaves beside the proxy."""
        if port in _ports(self.outbound):
            return False
        in_range = self.ranges == "*" or _is_in(address, self.ranges)
        return port in _ports(self.outbound_left) or _is_in(address, self.ranges_left) or not in_range


def _ports(text: str) -> set[int]:
    return {int(word) for word in text.split(",") if word.strip().isdigit()}


def _is_in(address: str, ranges: str) -> bool:
    words = [word for word in ranges.split(",") if word]
    return any(ip_address(address) in ip_network(word, strict=False) for word in words)


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service, and of the pods behind it.

    Attributes:
        number: Of the Service.
        target: Of the pod.
    """

    number: int
    target: int


def ports_of(service: Document, pod: Document) -> Iterator[Port]:
    """Give the ports of a Service that lead to a pod; a name is looked up among the ports of its containers."""
    named = {port.get("name"): port["containerPort"] for each in containers_of(pod) for port in each.get("ports") or []}
    for port in service["spec"].get("ports") or []:
        target = port.get("targetPort") or port["port"]
        target = named.get(target) if isinstance(target, str) and not target.isdigit() else int(target)
        if target is not None:
            yield Port(port["port"], target)


def is_behind(pod: Document, service: Document) -> bool:
    """Return whether a Service leads to a pod."""
    selector = service["spec"].get("selector") or {}
    here = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(selector) and here and selector.items() <= labels_of(pod).items()


def addresses_of(service: Document, pods: Sequence[Document]) -> list[str]:
    """Return the addresses that a client of a Service connects to: its own, or those of its pods if it has none."""
    own: str | None = service["spec"].get("clusterIP")
    if own and own != "None":
        return [own]
    return [address for pod in pods if (address := pod.get("status", {}).get("podIP"))]
